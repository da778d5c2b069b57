package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Bind implements checkpoint.Store.
func (s *Store) Bind(ctx context.Context, app checkpoint.Application) (checkpoint.Application, error) {
	app, err := app.Normalized()
	if err != nil {
		return checkpoint.Application{}, err
	}
	err = s.change(ctx, "bind", func(c *change) error {
		stored, ok := s.tables.application.rows[theApplication]
		if !ok {
			return s.tables.application.put(c, theApplication, app)
		}
		if err := stored.Accept(app); err != nil {
			return err
		}
		app = stored
		return nil
	})
	if err != nil {
		return checkpoint.Application{}, err
	}
	return app, nil
}

// Scan implements checkpoint.Store. All items are from one moment.
func (s *Store) Scan(ctx context.Context) (checkpoint.Snapshot, error) {
	var snap checkpoint.Snapshot
	err := s.call(ctx, "scan", func() error {
		t := &s.tables
		snap.Application = t.application.rows[theApplication]
		snap.Complete = t.complete.rows[theComplete]
		for _, shard := range t.leases.sorted() {
			snap.Leases = append(snap.Leases, cloneLease(t.leases.rows[shard]))
		}
		for _, id := range t.workers.sorted() {
			snap.Workers = append(snap.Workers, cloneWorker(t.workers.rows[id]))
		}
		snap.Lead = t.lead.rows[theLead]
		snap.Ordered = append(snap.Ordered, t.orders.sorted()...)
		for _, id := range t.outbox.sorted() {
			row := t.outbox.rows[id]
			if row.Tombstone {
				snap.Tombstones = append(snap.Tombstones, id)
				continue
			}
			snap.Batches = append(snap.Batches, row.header(id))
		}
		for _, id := range t.listed.sorted() {
			snap.Batches = append(snap.Batches, t.listed.rows[id].header(id))
		}
		for _, id := range t.further.sorted() {
			row := t.further.rows[id]
			if row.Kind == kindTables {
				b := row.header(id)
				if b.PublishedAt.IsZero() {
					snap.Batches = append(snap.Batches, b)
				} else {
					snap.Published = append(snap.Published, b)
				}
				continue
			}
			snap.Unknown = append(snap.Unknown, checkpoint.UnknownBatch{ID: id, Kind: row.Kind, Worker: row.Worker, Created: row.Created})
		}
		return nil
	})
	if err != nil {
		return checkpoint.Snapshot{}, err
	}
	return snap, nil
}

// ScanConsistently implements checkpoint.Store.
func (s *Store) ScanConsistently(ctx context.Context) (checkpoint.Snapshot, error) {
	return s.Scan(ctx)
}

// Heartbeat implements checkpoint.Store.
func (s *Store) Heartbeat(ctx context.Context, w checkpoint.Worker) error {
	if w.ID == "" {
		return errors.New("heartbeat: the worker has no id")
	}
	return s.change(ctx, "heartbeat", func(c *change) error { return s.tables.workers.put(c, w.ID, cloneWorker(w)) })
}

// Leave implements checkpoint.Store.
func (s *Store) Leave(ctx context.Context, worker string) error {
	return s.change(ctx, "leave", func(c *change) error {
		s.tables.workers.remove(c, worker)
		return nil
	})
}

// CreateLeases implements checkpoint.Store.
func (s *Store) CreateLeases(ctx context.Context, leases []checkpoint.Lease) error {
	for _, l := range leases {
		if err := l.ValidateNew(); err != nil {
			return fmt.Errorf("create leases: %w", err)
		}
	}
	return s.change(ctx, "create leases", func(c *change) error {
		made := make(map[string]bool, len(leases))
		for _, l := range leases {
			if _, ok := s.tables.leases.rows[l.Shard]; ok || made[l.Shard] {
				continue
			}
			made[l.Shard] = true
			if err := s.tables.leases.put(c, l.Shard, cloneLease(l)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Lease implements checkpoint.Store.
func (s *Store) Lease(ctx context.Context, shard string) (checkpoint.Lease, error) {
	var lease checkpoint.Lease
	err := s.call(ctx, "lease", func() error {
		l, ok := s.tables.leases.rows[shard]
		if !ok {
			return fmt.Errorf("shard %s: %w", shard, checkpoint.ErrNotFound)
		}
		lease = cloneLease(l)
		return nil
	})
	return lease, err
}

// Acquire implements checkpoint.Store.
func (s *Store) Acquire(ctx context.Context, l checkpoint.Lease, owner string) (checkpoint.Lease, error) {
	if owner == "" {
		return checkpoint.Lease{}, fmt.Errorf("acquire: shard %s: no owner given", l.Shard)
	}
	return s.update(ctx, "acquire", l, func(_ *change, row *checkpoint.Lease) error {
		row.Owner = owner
		row.Counter++
		return nil
	})
}

// Release implements checkpoint.Store.
func (s *Store) Release(ctx context.Context, l checkpoint.Lease) error {
	_, err := s.update(ctx, "release", l, func(_ *change, row *checkpoint.Lease) error {
		row.Owner = ""
		return nil
	})
	return err
}

// Stop implements checkpoint.Store.
func (s *Store) Stop(ctx context.Context, l checkpoint.Lease, until time.Time) (checkpoint.Lease, error) {
	return s.update(ctx, "stop", l, func(_ *change, row *checkpoint.Lease) error {
		if row.Checkpoint != l.Checkpoint {
			return conflict(l, *row)
		}
		row.Stop = checkpoint.Stop{Until: until.UTC(), After: l.Checkpoint}
		return nil
	})
}

// Rewind implements checkpoint.Store.
func (s *Store) Rewind(ctx context.Context, l checkpoint.Lease, to checkpoint.Position) (checkpoint.Lease, error) {
	if err := to.Validate(); err != nil {
		return checkpoint.Lease{}, fmt.Errorf("rewind: shard %s: %w", l.Shard, err)
	}
	return s.update(ctx, "rewind", l, func(c *change, row *checkpoint.Lease) error {
		if row.Checkpoint != l.Checkpoint {
			return conflict(l, *row)
		}
		*row = row.Moved(to)
		return s.tables.complete.put(c, theComplete, s.tables.complete.rows[theComplete].Rewound())
	})
}

// DeleteLease implements checkpoint.Store.
func (s *Store) DeleteLease(ctx context.Context, l checkpoint.Lease) error {
	if err := l.ValidateDelete(); err != nil {
		return err
	}
	return s.change(ctx, "delete lease", func(c *change) error {
		row, ok := s.tables.leases.rows[l.Shard]
		if !ok {
			return nil
		}
		if row.Owner != l.Owner || row.Counter != l.Counter || row.Checkpoint != l.Checkpoint {
			return conflict(l, row)
		}
		s.tables.leases.remove(c, l.Shard)
		return nil
	})
}

// update changes one row if Owner and Counter are still those of l, and returns it after the change.
func (s *Store) update(ctx context.Context, operation string, l checkpoint.Lease, f func(c *change, row *checkpoint.Lease) error) (checkpoint.Lease, error) {
	var row checkpoint.Lease
	err := s.change(ctx, operation, func(c *change) error {
		stored, ok := s.tables.leases.rows[l.Shard]
		if !ok {
			return fmt.Errorf("shard %s: no such row: %w", l.Shard, checkpoint.ErrConflict)
		}
		if stored.Owner != l.Owner || stored.Counter != l.Counter {
			return conflict(l, stored)
		}
		row = cloneLease(stored)
		if err := f(c, &row); err != nil {
			return err
		}
		return s.tables.leases.put(c, row.Shard, row)
	})
	if err != nil {
		return checkpoint.Lease{}, err
	}
	return cloneLease(row), nil
}

func conflict(want, is checkpoint.Lease) error {
	return fmt.Errorf("shard %s is at %s, held by %q (%d), not at %s, held by %q (%d): %w", want.Shard,
		is.Checkpoint, is.Owner, is.Counter, want.Checkpoint, want.Owner, want.Counter, checkpoint.ErrConflict)
}

func cloneLease(l checkpoint.Lease) checkpoint.Lease {
	l.Parents = slices.Clone(l.Parents)
	return l
}
