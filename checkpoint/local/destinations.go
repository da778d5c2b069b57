package local

import (
	"context"
	"fmt"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Outbox implements checkpoint.Store.
func (s *Store) Outbox(ctx context.Context) ([]checkpoint.Batch, []checkpoint.UnknownBatch, error) {
	snap, err := s.Scan(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("outbox: %w", err)
	}
	return slices.Concat(snap.Batches, snap.Published), snap.Unknown, nil
}

// MarkPublished implements checkpoint.Store.
func (s *Store) MarkPublished(ctx context.Context, id string, at time.Time) error {
	return s.mark(ctx, "mark published", id, func(row *outboxRow) bool {
		if row.PublishedAt.IsZero() {
			row.PublishedAt = at.UTC()
		}
		return true
	})
}

// MarkLoaded implements checkpoint.Store.
func (s *Store) MarkLoaded(ctx context.Context, id, table string) error {
	return s.mark(ctx, "mark loaded", id, func(row *outboxRow) bool {
		if !slices.Contains(row.Loaded, table) {
			row.Loaded = append(slices.Clone(row.Loaded), table)
			slices.Sort(row.Loaded)
		}
		return slices.Contains(row.Tables, table)
	})
}

// mark changes the row of a batch that is to be loaded into tables, if f agrees.
func (s *Store) mark(ctx context.Context, operation, id string, f func(row *outboxRow) bool) error {
	return s.change(ctx, operation, func(c *change) error {
		row, ok := s.tables.further.rows[id]
		if !ok || row.Kind != kindTables || !f(&row) {
			return fmt.Errorf("batch %s: %w", id, checkpoint.ErrNotFound)
		}
		return s.tables.further.put(c, id, row)
	})
}

// Table implements checkpoint.Store.
func (s *Store) Table(ctx context.Context, name string) (t checkpoint.Table, err error) {
	err = s.call(ctx, "table", func() error {
		row, ok := s.tables.destinations.rows[name]
		if !ok {
			return fmt.Errorf("table %s: %w", name, checkpoint.ErrNotFound)
		}
		t = row
		t.Definition = slices.Clone(row.Definition)
		return nil
	})
	return t, err
}

// PutTable implements checkpoint.Store.
func (s *Store) PutTable(ctx context.Context, t checkpoint.Table) (checkpoint.Table, error) {
	err := s.change(ctx, "put table", func(c *change) error {
		if row := s.tables.destinations.rows[t.Name]; row.Version != t.Version {
			return fmt.Errorf("table %s has version %d, want %d: %w", t.Name, row.Version, t.Version, checkpoint.ErrConflict)
		}
		t.Version++
		t.Definition = slices.Clone(t.Definition)
		return s.tables.destinations.put(c, t.Name, t)
	})
	if err != nil {
		return checkpoint.Table{}, err
	}
	return t, nil
}
