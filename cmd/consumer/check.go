package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/check"
	"aws-streaming-pipeline/operate/objects"
)

func checkCommand() *cobra.Command {
	var within time.Duration
	var payload string
	cmd := &cobra.Command{
		Use: "check", Short: "send a record to each shard and wait for the files that hold them",
		Long: `Sends a record to each open shard of STREAM_NAME and waits until the daemon has delivered all of them: a manifest covers
each record, and one of its files contains the event id. Uses the daemon's settings. The records stay in the files.
Permissions: kinesis:ListShards, kinesis:PutRecord, s3:ListBucket, s3:GetObject.

Exit code: 0 delivered, 1 not delivered in time or rejected, 2 could not be checked.`,
		Example: "consumer check\nconsumer check --within 10m --payload '{\"kind\":\"test\"}'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := toolSettings()
			if !cmd.Flags().Changed("within") {
				within = cfg.CommitInterval + time.Minute
			}
			return checkDelivery(cmd.Context(), cfg, within, payload, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.DurationVar(&within, "within", 0, "`time` to wait; default: COMMIT_INTERVAL plus a minute")
	f.StringVar(&payload, "payload", "", "JSON `object` to send, needed if records must match a schema or a transform drops others; default: an object with an id")
	return cmd
}

func checkDelivery(ctx context.Context, cfg consumer.Config, within time.Duration, payload string, out io.Writer) error {
	stream := cfg.StreamID()
	if stream == "" || cfg.Bucket == "" {
		return command.Undone(errors.New("check: STREAM_NAME and BUCKET must be set"))
	}
	if payload == "" {
		payload = fmt.Sprintf(`{"consumer_check":%q}`, uuid.NewString())
	} else if !json.Valid([]byte(payload)) {
		return command.Usagef("check: --payload=%s: want JSON", payload)
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return command.Undone(err)
	}
	began := time.Now()
	late := fmt.Errorf("waited for %v", within)
	wait, cancel := context.WithTimeoutCause(ctx, within, late)
	defer cancel()
	records, err := check.Run(wait, check.Config{
		Kinesis: kinesis.NewFromConfig(account), Stream: stream, Payload: []byte(payload), Transforms: cfg.Transform != "" || cfg.TransformQuery != "",
		Bucket: objects.Bucket{API: bucketClient(account, cfg), Name: cfg.Bucket}, ManifestPrefix: cfg.ManifestPrefix,
		Sent: func(sent []check.Record) { fmt.Fprintf(out, "sent a record to each of %d shards\n", len(sent)) },
	})
	refused := 0
	for _, r := range records {
		switch {
		case r.Unnamed:
			fmt.Fprintf(out, "%s %s: published, in files without event ids\n", r.Shard, r.Sequence)
		case r.Key == "":
			fmt.Fprintf(out, "%s %s: not in any file\n", r.Shard, r.Sequence)
		default:
			fmt.Fprintf(out, "%s %s: in s3://%s/%s\n", r.Shard, r.Sequence, cfg.Bucket, r.Key)
		}
		if r.Error {
			refused++
		}
	}
	switch {
	case errors.Is(err, late) || err != nil && len(records) > 0:
		return &command.ExitError{Code: command.ExitFindings, Err: fmt.Errorf("check: not delivered: %w", err)}
	case err != nil:
		return command.Undone(fmt.Errorf("check: %w", err))
	case refused > 0:
		return &command.ExitError{Code: command.ExitFindings, Err: fmt.Errorf("check: %d records went to the error prefix: set a --payload that matches the stream's schema", refused)}
	}
	_, err = fmt.Fprintf(out, "delivered within %v\n", time.Since(began).Round(100*time.Millisecond))
	return err
}
