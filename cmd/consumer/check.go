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

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/check"
	"aws-streaming-pipeline/operate/objects"
)

const checkUsage = `check [--within T] [--payload JSON]

Sends a record to each open shard of STREAM_NAME and waits until the daemon has delivered all of them: a manifest covers
each record, and one of its files contains the event id. Uses the daemon's settings. The records stay in the files.
Permissions: kinesis:ListShards, kinesis:PutRecord, s3:ListBucket, s3:GetObject.

Exit code: 0 delivered, 1 not delivered in time or rejected, 2 could not be checked.`

func checkDelivery(ctx context.Context, args []string, out io.Writer) error {
	cfg := toolSettings()
	f := newFlags("check", checkUsage, out)
	within := f.Duration("within", cfg.CommitInterval+time.Minute, "`time` to wait; default: COMMIT_INTERVAL plus a minute")
	payload := f.String("payload", "", "JSON `object` to send, needed if records must match a schema or a transform drops others; default: an object with an id")
	if err := command.Parse(f, args); err != nil {
		return command.Undone(command.UnlessHelp(err))
	}
	stream := cfg.StreamID()
	if stream == "" || cfg.Bucket == "" {
		return command.Undone(errors.New("check: STREAM_NAME and BUCKET must be set"))
	}
	if *payload == "" {
		*payload = fmt.Sprintf(`{"consumer_check":%q}`, uuid.NewString())
	} else if !json.Valid([]byte(*payload)) {
		return command.Undone(fmt.Errorf("check: --payload=%s: want JSON", *payload))
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return command.Undone(err)
	}
	began := time.Now()
	late := fmt.Errorf("waited for %v", *within)
	wait, cancel := context.WithTimeoutCause(ctx, *within, late)
	defer cancel()
	records, err := check.Run(wait, check.Config{
		Kinesis: kinesis.NewFromConfig(account), Stream: stream, Payload: []byte(*payload), Transforms: cfg.Transform != "" || cfg.TransformQuery != "",
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
