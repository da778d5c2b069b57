package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/checkpoint/takeover"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/operate/positions"
)

const importUsage = `checkpoint import --from TABLE [--reread-aggregates]

Takes over the positions of another consumer of the same stream: a lease table of vmware-go-kcl's own checkpointer, or of
the Kinesis Client Library for Java, version 2 or 3. That consumer must be stopped for good, and no daemon may run. The
daemon's settings must be set as they will be: the table is bound to STREAM_NAME, and shards on which the other had no
progress begin at START_POSITION. The record at each checkpoint of the Java library is looked at, since it may be a KPL
aggregate that was not finished. The stream is listed, and every shard gets its row: those that the other had finished,
and those that follow a shard it had begun, included. See docs/operations.md.

Nothing is written if any shard here has progress of its own. If the command fails or dies while it writes, daemons refuse
the table; run it again.`

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
	plan, first, err := positions.Takeover{
		From: *from, Store: store, Application: cfg.Application, Initial: cfg.StartPosition.Position(),
		Kinesis: kinesis.NewFromConfig(account), Stream: cfg.StreamID(),
		Failover: cfg.Failover, Reread: *reread, Log: log,
	}.Run(ctx)
	if err != nil {
		return err
	}
	return printTakeover(out, plan, first, *from, cfg.Table())
}

func printTakeover(out io.Writer, p takeover.Plan, initial checkpoint.Position, from, to string) error {
	fmt.Fprintf(out, "%d shards taken over from %s into %s\n", p.Taken, from, to)
	fmt.Fprintf(out, "shards on which the other had no progress begin at %s, the first position of the application\n", initial)
	for _, line := range []struct {
		count int
		text  string
	}{
		{p.Finished, "shards without a lease there were finished and are not read again"},
		{p.Following, "shards without a lease there follow those and begin at their oldest record"},
		{p.Unrelated, "shards without a lease there are related to none and begin there, too"},
	} {
		if line.count > 0 {
			fmt.Fprintf(out, "%d %s\n", line.count, line.text)
		}
	}
	for _, shard := range p.Lost {
		fmt.Fprintf(out, "shard %s was not finished and has left the stream: what it held after its checkpoint is lost\n", shard)
	}
	_, err := fmt.Fprintln(out, "consumer checkpoint show prints them")
	return err
}
