// Package local is the checkpoint store of a single process: its state is in memory, and every change is durable in one
// file before the call returns. It serves the embedded default, tests and simulations; several machines share a table
// with package dynamo.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"aws-streaming-pipeline/checkpoint"
)

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("the checkpoint store is closed")

// lockWait is how long Open waits for another process that has the file open: long enough for one that is about to
// exit.
const lockWait = 2 * time.Second

// Store implements checkpoint.Store. Open and OpenMemory return one.
type Store struct {
	mu     sync.Mutex
	db     *bolt.DB // nil for a store in memory
	tables tables
	// broken is the first error of a write to the file. What the file then holds is unknown until it is opened again,
	// so the store answers no further calls.
	broken error
	closed bool
}

var _ checkpoint.Store = (*Store)(nil)

// Open opens the file at path, creating it and its directory if needed. Each change is one transaction of the file: it
// survives a crash at any instruction. After a short wait, Open refuses a file that another process has open.
func Open(path string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open checkpoint file %s: %w", path, err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open checkpoint file %s: another process has it open; a file serves a single process", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open checkpoint file %s: %w", path, err)
	}
	s := &Store{db: db, tables: newTables()}
	if err := s.tables.load(db); err != nil {
		return nil, errors.Join(fmt.Errorf("read checkpoint file %s: %w", path, err), db.Close())
	}
	return s, nil
}

// OpenMemory returns a store that keeps its state in memory only.
func OpenMemory() *Store { return &Store{tables: newTables()} }

// Health always returns nil: a file answers each call at once, with its own error if it fails.
func (s *Store) Health() error { return nil }

// Close closes the file. It may be called more than once.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// change runs f, which checks conditions and collects writes, and applies the writes all or nothing.
func (s *Store) change(ctx context.Context, operation string, f func(c *change) error) error {
	return s.call(ctx, operation, func() error {
		c := &change{}
		if err := f(c); err != nil {
			return err
		}
		if err := c.save(s.db); err != nil {
			s.broken = fmt.Errorf("the checkpoint file could not be written, open it again: %w", err)
			return s.broken
		}
		c.apply()
		return nil
	})
}

// call runs f under the lock.
func (s *Store) call(ctx context.Context, operation string, f func() error) error {
	err := ctx.Err()
	if err == nil {
		err = s.locked(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}

func (s *Store) locked(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.broken != nil {
		return s.broken
	}
	return f()
}
