package main

import (
	"context"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/loader/iceberg"
)

// openDestination opens the table that the settings name. They must be valid, and TABLE be set. It waits for unavailable services
// until ctx ends.
func openDestination(ctx context.Context, cfg consumer.Config, account aws.Config, bucket *s3.Client, log *slog.Logger) (to *iceberg.Table, err error) {
	columns, err := consumer.LoadSchema(ctx, cfg.Schema, bucket, func(f func() error) error {
		return consumer.Patiently(ctx, log, "read the schema "+cfg.Schema, f)
	})
	if err != nil {
		return nil, err
	}
	err = consumer.Patiently(ctx, log, "open the catalog of "+cfg.TableConfig.Table, func() (err error) {
		to, err = iceberg.Open(ctx, iceberg.Options{
			Application: cfg.Application, TableConfig: cfg.TableConfig, Bucket: cfg.Bucket, Schema: columns, Account: account, S3: bucket,
		})
		return err
	})
	return to, err
}
