package local

import (
	"context"
	"fmt"

	"aws-streaming-pipeline/checkpoint"
)

// Complete implements checkpoint.Store.
func (s *Store) Complete(ctx context.Context) (c checkpoint.Complete, err error) {
	err = s.call(ctx, "complete", func() error {
		c = s.tables.complete.rows[theComplete]
		return nil
	})
	return c, err
}

// RaiseComplete implements checkpoint.Store.
func (s *Store) RaiseComplete(ctx context.Context, c checkpoint.Complete) (checkpoint.Complete, error) {
	c = c.Normalized()
	err := s.change(ctx, "raise complete", func(changes *change) error {
		stored := s.tables.complete.rows[theComplete]
		if stored.Rewinds != c.Rewinds {
			return fmt.Errorf("%d rewinds are known, %d were made: %w", c.Rewinds, stored.Rewinds, checkpoint.ErrConflict)
		}
		if !c.UpTo.After(stored.UpTo) {
			c = stored
			return nil
		}
		return s.tables.complete.put(changes, theComplete, c)
	})
	if err != nil {
		return checkpoint.Complete{}, err
	}
	return c, nil
}
