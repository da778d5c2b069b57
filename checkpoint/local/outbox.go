package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"aws-streaming-pipeline/checkpoint"
)

// Commit implements checkpoint.Store.
func (s *Store) Commit(ctx context.Context, b checkpoint.Batch) error {
	if err := b.Validate(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	body, err := encodeBatch(b)
	if err != nil {
		return fmt.Errorf("commit: batch %s: %w", b.ID, err)
	}
	return s.change(ctx, "commit", func(c *change) error {
		if row, ok := s.tables.batch(b.ID); ok {
			return fmt.Errorf("batch %s is in the outbox already (tombstone: %t): %w", b.ID, row.Tombstone, checkpoint.ErrConflict)
		}
		for _, r := range b.Ranges {
			if err := s.advance(c, r); err != nil {
				return fmt.Errorf("batch %s: %w", b.ID, err)
			}
		}
		row := outboxRow{Worker: b.Worker, Created: b.Created.UTC(), Batch: body, Tables: b.Tables}
		into := &s.tables.outbox
		switch {
		case len(b.Tables) > 0:
			into, row.Kind = &s.tables.further, kindTables
		case b.List != nil:
			into = &s.tables.listed
		}
		return into.put(c, b.ID, row)
	})
}

// advance moves one checkpoint if both its position and the lease holder are as expected.
func (s *Store) advance(c *change, r checkpoint.Range) error {
	row, ok := s.tables.leases.rows[r.Shard]
	if !ok {
		return fmt.Errorf("shard %s: no such row: %w", r.Shard, checkpoint.ErrConflict)
	}
	if row.Checkpoint != r.Start || row.Owner != r.LeaseOwner || row.Counter != r.LeaseCounter {
		return conflict(checkpoint.Lease{Shard: r.Shard, Owner: r.LeaseOwner, Counter: r.LeaseCounter, Checkpoint: r.Start}, row)
	}
	row.Checkpoint = r.End
	if !r.LastArrival.IsZero() {
		row.Arrival = r.LastArrival.UTC()
	}
	if r.Load > 0 {
		row.Load = r.Load
	}
	return s.tables.leases.put(c, r.Shard, row)
}

// encodeBatch encodes b and enforces the size limit of a shared table, so that the embedded store accepts nothing that
// production refuses.
func encodeBatch(b checkpoint.Batch) (json.RawMessage, error) {
	if b.List != nil {
		b.Files = nil
	}
	body, err := json.Marshal(b)
	if err != nil || len(body) <= checkpoint.MaxBatchItem {
		return body, err
	}
	_, err = checkpoint.EncodeItemFiles(b.Files)
	return body, err
}

// Bury implements checkpoint.Store.
func (s *Store) Bury(ctx context.Context, id, worker string) (committed bool, err error) {
	if id == "" {
		return false, errors.New("bury: the batch has no id")
	}
	err = s.change(ctx, "bury", func(c *change) error {
		if err := s.tables.unknown(id); err != nil {
			return err
		}
		row, ok := s.tables.batch(id)
		if ok {
			committed = !row.Tombstone
			return nil
		}
		return s.tables.outbox.put(c, id, outboxRow{Tombstone: true, Worker: worker})
	})
	if err != nil {
		return false, err
	}
	return committed, nil
}

// Batch implements checkpoint.Store.
func (s *Store) Batch(ctx context.Context, id string) (checkpoint.Batch, error) {
	var b checkpoint.Batch
	err := s.call(ctx, "batch", func() error {
		if err := s.tables.unknown(id); err != nil {
			return err
		}
		row, ok := s.tables.batch(id)
		if !ok || row.Tombstone {
			return fmt.Errorf("batch %s: %w", id, checkpoint.ErrNotFound)
		}
		if err := json.Unmarshal(row.Batch, &b); err != nil {
			return err
		}
		b.Published, b.PublishedAt, b.Loaded = slices.Clone(row.Published), row.PublishedAt, slices.Clone(row.Loaded)
		return nil
	})
	if err != nil {
		return checkpoint.Batch{}, err
	}
	return b, nil
}

// NotePublished implements checkpoint.Store.
func (s *Store) NotePublished(ctx context.Context, id string, files []int) error {
	return s.change(ctx, "note published", func(c *change) error {
		row, ok := s.tables.batch(id)
		if !ok || row.Tombstone || row.Kind != "" && row.Kind != kindTables {
			return fmt.Errorf("batch %s: %w", id, checkpoint.ErrNotFound)
		}
		known := append(slices.Clone(row.Published), files...)
		slices.Sort(known)
		row.Published = slices.Compact(known)
		return s.tables.of(id).put(c, id, row)
	})
}

// Forget implements checkpoint.Store.
func (s *Store) Forget(ctx context.Context, id string) error {
	return s.change(ctx, "forget", func(c *change) error {
		if err := s.tables.unknown(id); err != nil {
			return err
		}
		row, ok := s.tables.batch(id)
		if ok && !slices.Equal(row.Tables, row.Loaded) {
			return fmt.Errorf("batch %s: tables %q, loaded %q: %w", id, row.Tables, row.Loaded, checkpoint.ErrNotLoaded)
		}
		s.tables.of(id).remove(c, id)
		return nil
	})
}
