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
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
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
	connector, err := s.connector(uri)
	if err != nil {
		return nil, err
	}
	sink, err := consumer.OpenSink(s.cfg, s.bucket, s.log)
	if err != nil {
		return nil, err
	}
	prefixes, zone, err := s.cfg.ErrorPrefixes()
	if err != nil {
		return nil, err
	}
	return postgres.New(postgres.Options{
		Application: s.cfg.Application, URI: uri, Schema: columns, Create: s.cfg.TableCreate, Evolve: s.cfg.TableEvolve,
		Unique: s.cfg.PostgresUnique, Key: s.cfg.KeyColumns(), Daily: s.cfg.PostgresPartition == "day", Failover: failover,
		Connect: connector.Connect, Bucket: s.bucket,
		Refused: postgres.RefusedFiles{Stream: s.cfg.Stream, Zone: zone, Prefix: prefixes, Put: func(ctx context.Context, key string, content []byte) error {
			file, _ := layout.ParseFile(key) // it is one
			spec := writers.ObjectSpec{Key: key, ContentType: "application/gzip", Metadata: map[string]string{writers.MetadataBatchID: file.Batch}}
			return sink.Put(ctx, spec, content)
		}},
	})
}

// connector opens connections to the database of a table.
func (s *site) connector(uri table.URI) (*postgres.Connector, error) {
	return postgres.NewConnector(postgres.Reach{
		PostgresConfig: s.cfg.PostgresConfig, Application: s.cfg.Application, Table: uri, Account: s.account, Log: s.log,
	})
}

// openIceberg opens an Iceberg table. It waits for unavailable services until ctx ends.
func (s *site) openIceberg(ctx context.Context, uri table.URI) (to *iceberg.Table, err error) {
	columns, err := s.columns(ctx)
	if err != nil {
		return nil, err
	}
	err = consumer.Patiently(ctx, s.log, "open the catalog of "+uri.String(), func() (err error) {
		to, err = iceberg.Open(ctx, iceberg.Options{
			Application: s.cfg.Application, TableConfig: s.cfg.TableConfig, Bucket: s.cfg.Bucket, Schema: columns, Account: s.account, S3: s.bucket,
		})
		return err
	})
	return to, err
}

// columns reads the schema of the settings; nil without one.
func (s *site) columns(ctx context.Context) (*schema.Schema, error) {
	return consumer.LoadSchema(ctx, s.cfg.Schema, s.bucket, func(f func() error) error {
		return consumer.Patiently(ctx, s.log, "read the schema "+s.cfg.Schema, f)
	})
}
