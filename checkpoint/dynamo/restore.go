package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Restore writes rows whose positions are known from elsewhere: it creates those that are missing, and replaces others
// whatever their positions. Each row gets the given lease counter, or a higher one, and no owner. The source says where
// the positions come from.
//
// Call Bind first. Restore refuses to write while workers run, and waits for failover to find out. After any other error,
// or if the process dies, workers refuse the table until Restore has been called again, from the same source, and has
// returned nil.
func (s *Store) Restore(ctx context.Context, source string, failover time.Duration, rows []checkpoint.Lease) error {
	if err := s.restore(ctx, source, failover, rows); err != nil {
		return fmt.Errorf("restore table %s from %s: %w", *s.table, source, err)
	}
	return nil
}

func (s *Store) restore(ctx context.Context, source string, failover time.Duration, rows []checkpoint.Lease) error {
	for _, l := range rows {
		if err := l.ValidateNew(); err != nil {
			return err
		}
	}
	app, err := s.application(ctx)
	if err != nil {
		return fmt.Errorf("read the application: %w", err)
	}
	if app.Importing != "" && app.Importing != source {
		return fmt.Errorf("an import from %s was not finished: finish it, or use a new table", app.Importing)
	}
	ours, err := s.ownLeases(ctx)
	if err != nil {
		return err
	}
	return s.write(ctx, app, source, failover, func() error {
		for _, l := range rows {
			if err := s.restoreLease(ctx, l, ours); err != nil {
				return fmt.Errorf("shard %s: %w", l.Shard, err)
			}
		}
		return nil
	})
}

// restoreLease writes a row, provided that it has not changed since it was read.
func (s *Store) restoreLease(ctx context.Context, l checkpoint.Lease, ours map[string]checkpoint.Lease) error {
	own, exists := ours[l.Shard]
	var e expression
	switch {
	case !exists:
		e.absent(attrKey)
	case own.Owner == "" && own.Checkpoint == l.Checkpoint && own.Counter >= l.Counter:
		return nil // an earlier call wrote it
	default:
		e.owned(own.Owner, own.Counter)
		e.equal(attrCheckpoint, str(string(own.Checkpoint)))
		l.Counter = max(l.Counter, own.Counter+1)
	}
	err := s.put(ctx, "restore", leaseItem(l), e)
	if errors.Is(err, checkpoint.ErrConflict) {
		// An earlier send of this call may have been applied, and its answer lost.
		if row, readErr := s.Lease(ctx, l.Shard); readErr == nil && row.Owner == "" && row.Checkpoint == l.Checkpoint && row.Counter == l.Counter {
			return nil
		}
	}
	return err
}
