package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/operate/positions"
)

func checkpointCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "checkpoint", Short: "show the lease table, or move positions",
		Long: `Shows and changes the table with the positions: CHECKPOINT_TABLE (default: APPLICATION_NAME) in DynamoDB, or the file
CHECKPOINT_FILE, which only one process at a time can open: stop the daemon first. "consumer policy --operator" prints the
permissions that the commands need.`,
	}
	cmd.AddCommand(showCommand(), rewindCommand(), setCommand(), forgetCommand(), skipCommand(), restoreCommand(), checkpointImportCommand())
	return cmd
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
	store, err := consumer.OpenStore(ctx, cfg, account, nil, consumer.NewLogger(cfg))
	return store, diagnosis.Explain(err, cfg.AboutTable(account.Region))
}

func showCommand() *cobra.Command {
	var asJSON bool
	var batch string
	cmd := &cobra.Command{
		Use: "show", Short: "print the table: the leader, shards with their positions, workers, the outbox",
		Long: `Prints the lease table. The leader is the worker that scans the table and plans for the others. AGE is the time since the last
committed record arrived: how far the bucket lags if records arrive continuously. The outbox holds batches that are committed but
not yet published; normally it is empty almost all the time. Tombstones mark batches that can no longer be committed; they are
deleted after an hour.`,
		Example: "consumer checkpoint show\nconsumer checkpoint show --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showTable(cmd.Context(), batch, asJSON, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&batch, "batch", "", "print the batch with this `id` in the outbox instead, as JSON")
	return cmd
}

func showTable(ctx context.Context, batch string, asJSON bool, out io.Writer) (err error) {
	store, err := openTable(ctx, toolSettings())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if batch != "" {
		b, err := checkpoint.LoadBatch(ctx, store, lists{toolSettings()}, batch)
		if err != nil {
			return fmt.Errorf("batch %s: %w", batch, err)
		}
		return command.Print(out, true, b, nil)
	}
	snap, err := store.Scan(ctx)
	if err != nil {
		return err
	}
	t := positions.NewTable(snap, time.Now())
	return command.Print(out, asJSON, t, t.WriteText)
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
