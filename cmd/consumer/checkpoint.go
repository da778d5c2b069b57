package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/operate/positions"
)

const checkpointUsage = `usage: consumer checkpoint <command> [flags]

  show      print the table: shards with their positions, workers, the outbox
  rewind    move shards back to an earlier position: the records after it are delivered again
  set       move shards to any position; moving ahead skips the records in between, and the bucket never gets them
  forget    remove a batch from the outbox that can no longer be published
  skip      have a table go without a published batch: it is never loaded
  import    the same as "consumer import kcl"

The table is CHECKPOINT_TABLE (default: APPLICATION_NAME) in DynamoDB, or the file CHECKPOINT_FILE, which only one
process at a time can open: stop the daemon first. See "consumer checkpoint <command> --help".
`

// checkpoints runs the command "checkpoint".
func checkpoints(ctx context.Context, args []string, out io.Writer) error {
	commands := map[string]func(context.Context, []string, io.Writer) error{
		"show": showTable, "rewind": rewindShards, "set": setShards, "forget": forgetBatch, "skip": skipBatch, "import": importCheckpoints,
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, err := io.WriteString(out, checkpointUsage)
		return err
	}
	run, ok := commands[args[0]]
	if !ok {
		return command.Undone(fmt.Errorf("unknown command \"checkpoint %s\"\n%s", args[0], checkpointUsage))
	}
	return command.Undone(command.UnlessHelp(run(ctx, args[1:], out)))
}

// openTable opens an existing table.
func openTable(ctx context.Context, cfg consumer.Config) (checkpoint.Store, error) {
	cfg.CheckpointCreate = false
	if cfg.CheckpointFile != "" {
		if _, err := os.Stat(cfg.CheckpointFile); err != nil {
			return nil, fmt.Errorf("CHECKPOINT_FILE=%q: %w", cfg.CheckpointFile, err)
		}
		return consumer.OpenStore(ctx, cfg, aws.Config{}, nil, consumer.NewLogger(cfg))
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return nil, err
	}
	return consumer.OpenStore(ctx, cfg, account, nil, consumer.NewLogger(cfg))
}

const showUsage = `checkpoint show [--json] [--batch ID]

Prints the lease table. AGE is the time since the last committed record arrived: how far the bucket lags if records arrive
continuously. The outbox holds batches that are committed but not yet published; normally it is empty almost all the time.
Tombstones mark batches that can no longer be committed; they are deleted after an hour.`

func showTable(ctx context.Context, args []string, out io.Writer) (err error) {
	f := newFlags("checkpoint show", showUsage, out)
	asJSON := f.Bool("json", false, "print JSON")
	batch := f.String("batch", "", "print the batch with this `id` in the outbox instead, as JSON")
	if err := command.Parse(f, args); err != nil {
		return err
	}
	store, err := openTable(ctx, toolSettings())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if *batch != "" {
		b, err := checkpoint.LoadBatch(ctx, store, lists{toolSettings()}, *batch)
		if err != nil {
			return fmt.Errorf("batch %s: %w", *batch, err)
		}
		return command.Print(out, true, b, nil)
	}
	snap, err := store.Scan(ctx)
	if err != nil {
		return err
	}
	t := positions.NewTable(snap, time.Now())
	return command.Print(out, *asJSON, t, t.WriteText)
}

// lists reads the file lists that batches keep in the bucket instead of the table. It loads an AWS account only when it
// reads one.
type lists struct{ cfg consumer.Config }

// ReadList implements checkpoint.Lists.
func (l lists) ReadList(ctx context.Context, list checkpoint.FileList) ([]byte, string, error) {
	account, err := loadAccount(ctx)
	if err != nil {
		return nil, "", err
	}
	return objects.Bucket{API: bucketClient(account, l.cfg)}.ReadList(ctx, list)
}
