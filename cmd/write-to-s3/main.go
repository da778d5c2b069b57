// Command write-to-s3 is a Lambda function that writes the records of a Kinesis stream to S3 as JSON Lines, one object per
// batch:
//
//	context=write_to_s3/date=2026-01-31/2026_01_31_23_<uuid>.json
//
// Date and hour, in UTC, are those of the first record's arrival; the uuid is derived from the stream, the shard and the
// first and last sequence numbers, so Lambda's retry of a batch replaces the object instead of adding one. Records that
// cannot be delivered go to the error prefix, under the same name.
//
// The result is
//
//	{"s3_path": "s3://bucket/context=write_to_s3/...", "error_paths": [], "batchItemFailures": []}
//
// with an empty s3_path if no record could be delivered. If an object cannot be written in time, batchItemFailures names
// the batch's first record, and Lambda retries the whole batch. If a payload waits for a schema registry, the records before
// it are written, and Lambda retries from that payload on.
//
// Settings are environment variables, see config. lambdatest.Permissions lists the permissions that the function's role needs.
package main

import (
	"context"
	"os"
	"time"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/settings"
)

func main() { lambdas.Main(build) }

// build creates the handler from the environment.
func build(ctx context.Context) (any, error) {
	h, err := newHandler(ctx)
	if err != nil {
		return nil, err
	}
	return h.handle, nil
}

// config holds all settings.
type config struct {
	Bucket      string `envconfig:"DESTINATION_S3_BUCKET" required:"true" desc:"Name of the S3 bucket to write to."`
	ErrorBucket string `envconfig:"ERROR_S3_BUCKET" desc:"Name of the S3 bucket for records that cannot be delivered. Default: DESTINATION_S3_BUCKET."`
	Compression string `envconfig:"COMPRESSION" default:"none" oneof:"none,gzip" desc:"Compression of the objects: none or gzip."`
	lambdas.Errors
	lambdas.Payloads
	lambdas.Validation
	lambdas.Reporting
}

func newHandler(ctx context.Context) (*handler, error) {
	var c config
	f := settings.Read(&c)
	c.Errors.Check(f)
	c.Reporting.Check(f)
	checker, err := c.Checker()
	f.Add("SCHEMA", err)
	if err := f.Err(); err != nil {
		return nil, err
	}
	account, err := lambdas.Account(ctx)
	if err != nil {
		return nil, err
	}
	log := c.Logger(os.Stderr)
	decoder, err := c.Decoder(ctx, account, log)
	if err != nil {
		return nil, err
	}
	objects := lambdas.NewObjects(account, c.Compression == "gzip")
	if c.ErrorBucket == "" {
		c.ErrorBucket = c.Bucket
	}
	rejected, err := lambdas.NewErrorPrefix(objects, c.ErrorBucket, c.ErrorPrefix)
	if err != nil {
		return nil, err
	}
	return &handler{
		bucket: c.Bucket, decoder: decoder, checker: checker, objects: objects, errors: rejected,
		log: log, metrics: c.Metrics(os.Stdout), now: time.Now,
	}, nil
}
