package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/metrics"
)

const importUsage = `checkpoint import --from TABLE [--reread-aggregates]

Takes over the positions of another consumer of the same stream: a lease table of vmware-go-kcl's own checkpointer, or of
the Kinesis Client Library for Java, version 2 or 3. That consumer must be stopped for good. The daemon's settings must
be set as they will be: the table is bound to STREAM_NAME, and shards on which the other had no progress begin at
START_POSITION. Nothing is written if any shard here has progress of its own.`

func importTable(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("checkpoint import", importUsage, out)
	from := f.String("from", "", "`name` of the other consumer's table (required)")
	reread := f.Bool("reread-aggregates", false, "where the other stopped inside a KPL aggregate, begin at the aggregate's arrival: what it had done of that comes twice")
	if err := parse(f, args); err != nil {
		return err
	}
	if toolSettings().CheckpointFile != "" {
		return errors.New("import needs a DynamoDB table to import into, and CHECKPOINT_FILE is set")
	}
	if *from == "" {
		return errors.New("--from: name the table to import")
	}
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return fmt.Errorf("settings are wrong:\n%w", err)
	}
	if *from == cfg.Table() {
		return fmt.Errorf("--from=%q is the table to import into: set CHECKPOINT_TABLE to another", *from)
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return err
	}
	log := newLogger(cfg)
	store, err := dynamo.Open(ctx, dynamo.Config{AWS: account, Table: cfg.Table(), Create: cfg.CheckpointCreate, Log: log})
	if err != nil {
		return err
	}
	stream, name := kinesis.NewFromConfig(account), cmp.Or(cfg.StreamARN, cfg.Stream)
	keeper, err := lease.New(lease.Config{
		Worker: "import", Application: cfg.Application, Initial: initial(cfg.StartPosition),
	}, store, shardmap.NewLister(stream, name), log, metrics.New(prometheus.NewRegistry()))
	if err != nil {
		return err
	}
	if _, err := keeper.Bind(ctx); err != nil {
		return err
	}
	source := dynamo.Source{Table: *from}
	if *reread {
		source.Before = arrivals{stream, name, log}.before
	}
	n, err := store.Import(ctx, source)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d shards taken over from %s into %s; consumer checkpoint show prints them\n", n, *from, cfg.Table())
	return err
}

// initial is where shards begin on which nobody has progress.
func initial(p consumer.StartPosition) checkpoint.Position {
	switch {
	case p.Latest:
		return lease.Latest
	case !p.Time.IsZero():
		return checkpoint.AtTimestamp(p.Time)
	}
	return checkpoint.TrimHorizon
}
