package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/checkpoint/takeover"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/positions"
)

const importUsage = `usage: consumer import <source> [flags]

  firehose  print the settings that deliver what a Firehose stream delivers
  kcl       continue where vmware-go-kcl or the Java KCL stopped, from its lease table

See "consumer import <source> --help".
`

// imports runs the command "import".
func imports(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, err := io.WriteString(out, importUsage)
		return err
	}
	switch args[0] {
	case "firehose":
		return command.UnlessHelp(importFirehose(ctx, args[1:], out))
	case "kcl":
		return command.Undone(command.UnlessHelp(importKCL(ctx, args[1:], out)))
	}
	return command.Undone(fmt.Errorf("unknown source %q\n%s", args[0], importUsage))
}

const importKCLUsage = `import kcl TABLE [--reread-aggregates]

Takes over the positions of another consumer of the same stream, from a lease table of vmware-go-kcl's own checkpointer or
of the Kinesis Client Library for Java, version 2 or 3. Stop that consumer for good first, and run no daemon. Set the
daemon's final settings: the table is bound to STREAM_NAME, and shards without progress in the other table begin at
START_POSITION. The command reads the record at each checkpoint of the Java library, since it may be an unfinished KPL
aggregate. It lists the stream and writes a row for every shard, including finished shards and the children of shards
that the other consumer had started. See docs/operations.md.

Nothing is written if a shard in this table already has progress. If the command fails or is killed while it writes, daemons
refuse the table; run it again. "consumer checkpoint import --from TABLE" does the same.`

const rereadMeaning = "if the other consumer stopped inside a KPL aggregate, begin at the aggregate's arrival time: records that it had processed are delivered twice"

func importKCL(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("import kcl", importKCLUsage, out)
	reread := f.Bool("reread-aggregates", false, rereadMeaning)
	from, err := parseNamed(f, args)
	if err != nil {
		return err
	}
	if from == "" {
		return errors.New("import kcl: name the table to import")
	}
	return importTable(ctx, from, *reread, out)
}

// importCheckpoints is the command "checkpoint import".
func importCheckpoints(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("checkpoint import", strings.Replace(importKCLUsage, "import kcl TABLE", "checkpoint import --from TABLE", 1), out)
	from := f.String("from", "", "`name` of the other consumer's table (required)")
	reread := f.Bool("reread-aggregates", false, rereadMeaning)
	if err := command.Parse(f, args); err != nil {
		return err
	}
	if *from == "" {
		return errors.New("--from is required: name the table to import")
	}
	return importTable(ctx, *from, *reread, out)
}

// parseNamed reads flags and at most one name, before, between or after them.
func parseNamed(f *flag.FlagSet, args []string) (name string, err error) {
	if err := f.Parse(args); err != nil || f.NArg() == 0 {
		return "", err
	}
	name = f.Arg(0)
	return name, command.Parse(f, f.Args()[1:])
}

// importTable takes over the positions in a table.
func importTable(ctx context.Context, from string, reread bool, out io.Writer) error {
	if toolSettings().CheckpointFile != "" {
		return errors.New("import writes to a DynamoDB table, but CHECKPOINT_FILE is set")
	}
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return fmt.Errorf("invalid settings:\n%w", err)
	}
	if from == cfg.Table() {
		return fmt.Errorf("table %q is the table to import into: set CHECKPOINT_TABLE to another", from)
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return err
	}
	log := consumer.NewLogger(cfg)
	store, err := dynamo.Open(ctx, dynamo.Config{AWS: account, Table: cfg.Table(), Create: cfg.CheckpointCreate, Log: log})
	if err != nil {
		return err
	}
	plan, first, err := positions.Takeover{
		From: from, Store: store, Application: cfg.Application, Initial: cfg.StartPosition.Position(),
		Kinesis: kinesis.NewFromConfig(account), Stream: cfg.StreamID(),
		Failover: cfg.Failover, Reread: reread, Log: log,
	}.Run(ctx)
	if err != nil {
		return err
	}
	return printTakeover(out, plan, first, from, cfg.Table())
}

func printTakeover(out io.Writer, p takeover.Plan, initial checkpoint.Position, from, to string) error {
	fmt.Fprintf(out, "%d shards taken over from %s into %s\n", p.Taken, from, to)
	fmt.Fprintf(out, "shards without progress in that table begin at %s, the application's first position\n", initial)
	for _, line := range []struct {
		count int
		text  string
	}{
		{p.Finished, "shards without a lease in that table were finished and are not read again"},
		{p.Following, "shards without a lease in that table are their descendants and begin at their oldest record"},
		{p.Unrelated, "shards without a lease in that table are unrelated to those and begin at the first position, too"},
	} {
		if line.count > 0 {
			fmt.Fprintf(out, "%d %s\n", line.count, line.text)
		}
	}
	for _, shard := range p.Lost {
		fmt.Fprintf(out, "shard %s was not finished and is no longer in the stream: its records after the checkpoint are lost\n", shard)
	}
	_, err := fmt.Fprintln(out, "to see them: consumer checkpoint show")
	return err
}
