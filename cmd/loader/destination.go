package main

import (
	"context"
	"time"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/iceberg"
	"aws-streaming-pipeline/loader/postgres"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// open opens a table to load. An error means that waiting does not help.
func (s *site) open(ctx context.Context, uri table.URI) (loader.Destination, error) {
	if uri.Iceberg() {
		return s.openIceberg(ctx, uri)
	}
	return s.openPostgres(ctx, uri, s.cfg.PostgresFailover)
}

// openPostgres opens a table of PostgreSQL, whose batches are settled after that time. It makes no calls to the database.
func (s *site) openPostgres(ctx context.Context, uri table.URI, failover time.Duration) (*postgres.Table, error) {
	columns, err := s.columns(ctx)
	if err != nil {
		return nil, err
	}
	at := s.place(uri)
	at.Schema, at.PostgresFailover = columns, failover
	return postgres.Open(at)
}

// place is where a table of PostgreSQL is, without its schema.
func (s *site) place(uri table.URI) postgres.Site {
	return postgres.Site{Config: s.cfg, URI: uri, Account: s.account, Bucket: s.bucket, Log: s.log}
}

// openIceberg opens an Iceberg table. A program that has patience waits for unavailable services until ctx ends.
func (s *site) openIceberg(ctx context.Context, uri table.URI) (to *iceberg.Table, err error) {
	columns, err := s.columns(ctx)
	if err != nil {
		return nil, err
	}
	err = s.await(ctx, "open the catalog of "+uri.String(), s.cfg.AboutTables(uri.String(), s.account.Region), func() (err error) {
		to, err = iceberg.Open(ctx, iceberg.Options{
			Application: s.cfg.Application, TableConfig: s.cfg.TableConfig, Bucket: s.cfg.Bucket, Schema: columns, Account: s.account, S3: s.bucket,
		})
		return err
	})
	return to, err
}

// columns reads the schema of the settings; nil without one.
func (s *site) columns(ctx context.Context) (*schema.Schema, error) {
	return consumer.LoadSchema(ctx, s.cfg.Schema, consumer.SchemaServices{AWS: s.account, S3: s.bucket}, func(f func() error) error {
		return s.await(ctx, "read the schema "+s.cfg.Schema, s.cfg.AboutSchema(s.account.Region), f)
	})
}
