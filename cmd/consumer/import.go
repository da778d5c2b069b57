package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/checkpoint/takeover"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/positions"
)

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import", Short: "take over from another consumer",
		Long: "Takes over from another consumer of the stream: prints the settings for a Firehose stream, or imports the positions of a KCL application.",
	}
	cmd.AddCommand(importFirehoseCommand(), importKCLCommand())
	return cmd
}

const importKCLHelp = `Takes over the positions of another consumer of the same stream, from a lease table of vmware-go-kcl's own checkpointer or
of the Kinesis Client Library for Java, version 2 or 3. Stop that consumer for good first, and run no daemon. Set the
daemon's final settings: the table is bound to STREAM_NAME, and shards without progress in the other table begin at
START_POSITION. The command reads the record at each checkpoint of the Java library, since it may be an unfinished KPL
aggregate. It lists the stream and writes a row for every shard, including finished shards and the children of shards
that the other consumer had started. See docs/operations.md. "consumer policy --operator --import-table TABLE" prints the
permissions that it needs.

Nothing is written if a shard in this table already has progress. If the command fails or is killed while it writes, daemons
refuse the table; run it again. `

const rereadMeaning = "if the other consumer stopped inside a KPL aggregate, begin at the aggregate's arrival time: records that it had processed are delivered twice"

func importKCLCommand() *cobra.Command {
	var reread bool
	cmd := &cobra.Command{
		Use: "kcl TABLE", Short: "continue where vmware-go-kcl or the Java KCL stopped, from its lease table",
		Long:    importKCLHelp + `"consumer checkpoint import --from TABLE" does the same.`,
		Example: "consumer import kcl old-application",
		RunE: func(cmd *cobra.Command, args []string) error {
			return importTable(cmd.Context(), args[0], reread, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&reread, "reread-aggregates", false, rereadMeaning)
	return cmd
}

func checkpointImportCommand() *cobra.Command {
	var from string
	var reread bool
	cmd := &cobra.Command{
		Use: "import", Short: "the same as \"consumer import kcl\"",
		Long:    importKCLHelp + `"consumer import kcl TABLE" does the same.`,
		Example: "consumer checkpoint import --from old-application",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" {
				return command.Usagef("--from is missing: name the table to import")
			}
			return importTable(cmd.Context(), from, reread, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`name` of the other consumer's table (required)")
	cmd.Flags().BoolVar(&reread, "reread-aggregates", false, rereadMeaning)
	return cmd
}

// importTable takes over the positions in a table.
func importTable(ctx context.Context, from string, reread bool, out io.Writer) error {
	if toolSettings().CheckpointFile != "" {
		return command.Undone(errors.New("import writes to a DynamoDB table, but CHECKPOINT_FILE is set"))
	}
	cfg, err := loadSettings()
	if err != nil {
		return err
	}
	if from == cfg.Table() {
		return command.Usagef("table %q is the table to import into: set CHECKPOINT_TABLE to another", from)
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
