package main

import (
	"context"
	"log/slog"

	"github.com/apache/iceberg-go/catalog"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/iceberg"
	"aws-streaming-pipeline/loader/iceberg/catalogs"
	"aws-streaming-pipeline/record/table"
)

// openDestination opens the table that the settings name. They must be valid, and TABLE be set. It waits for unavailable services
// until ctx ends.
func openDestination(ctx context.Context, cfg consumer.Config, account aws.Config, bucket *s3.Client, log *slog.Logger) (loader.Destination, error) {
	patiently := func(what string) func(func() error) error {
		return func(f func() error) error { return consumer.Patiently(ctx, log, what, f) }
	}
	columns, err := consumer.LoadSchema(ctx, cfg.Schema, bucket, patiently("read the schema "+cfg.Schema))
	if err != nil {
		return nil, err
	}
	terms, err := table.ParsePartition(cfg.TablePartition)
	if err != nil {
		return nil, err
	}
	uri, _ := cfg.TableURI()
	files := iceberg.NewFiles(ctx, bucket)
	var c catalog.Catalog
	err = patiently("open the catalog of " + uri.String())(func() (err error) {
		c, err = catalogs.Open(ctx, catalogs.Settings{
			URI: uri, Account: account, Bucket: bucket, Files: files,
			Warehouse: cfg.TableWarehouse, Signing: cfg.TableSigning, Token: cfg.TableToken,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return iceberg.New(iceberg.Settings{
		Application: cfg.Application, URI: uri, Schema: columns, Create: cfg.TableCreate, Partition: terms, Location: cfg.TableLocation,
		Evolve: cfg.TableEvolve,
	}, c, files), nil
}
