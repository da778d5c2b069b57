//go:build table

package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/iceberg"
)

func init() { openLake = openIceberg }

// icebergLake is a table in the demo's bucket, whose catalog is a folder of it.
type icebergLake struct {
	*loader.Loader
	table *iceberg.Table
}

func openIceberg(ctx context.Context, st *stage, cfg consumer.Config, store consumer.Store, log *slog.Logger) (lake, error) {
	bucket := st.s3()
	columns, err := consumer.LoadSchema(ctx, cfg.Schema, consumer.SchemaServices{AWS: st.aws, S3: bucket}, func(f func() error) error { return f() })
	if err != nil {
		return nil, err
	}
	to, err := iceberg.Open(context.WithoutCancel(ctx), iceberg.Options{
		Application: cfg.Application, TableConfig: cfg.TableConfig, Bucket: cfg.Bucket, Schema: columns, Account: st.aws, S3: bucket,
	})
	if err != nil {
		return nil, err
	}
	l, err := newLoader(to, st, cfg, store, log)
	if err != nil {
		return nil, err
	}
	return icebergLake{l, to}, nil
}

func (l icebergLake) problem() string { return problemOf(l.Loader) }

// contents plans a scan of the whole table. It reads what the table says of its files, and nothing that the loader counts.
func (l icebergLake) contents(ctx context.Context) (holdings, error) {
	t, err := l.table.Now(ctx)
	if err != nil {
		return nil, err
	}
	var c contents
	for _, s := range t.Metadata().Snapshots() {
		to := snapshot{id: s.SnapshotID, at: time.UnixMilli(s.TimestampMs)}
		if s.Summary != nil {
			to.operation = string(s.Summary.Operation)
			to.files, to.rows = s.Summary.Properties["added-data-files"], s.Summary.Properties["added-records"]
		}
		c.snapshots = append(c.snapshots, to)
	}
	if len(c.snapshots) == 0 {
		return c, nil
	}
	tasks, err := t.Scan().PlanFiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan a scan of the table: %w", err)
	}
	for _, task := range tasks {
		c.files = append(c.files, task.File.FilePath())
		c.rows += task.File.Count()
	}
	return c, nil
}
