package positions_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/positions"
)

const waitedTable = "glue://lake/trips"

// waitStore is a store that has a statement and an outbox.
type waitStore struct {
	checkpoint.Tables
	mu      sync.Mutex
	c       checkpoint.Complete
	batches map[string]checkpoint.Batch
	unknown []checkpoint.UnknownBatch
	fail    error
}

func (s *waitStore) change(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *waitStore) Complete(context.Context) (checkpoint.Complete, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c, s.fail
}

func (*waitStore) RaiseComplete(context.Context, checkpoint.Complete) (checkpoint.Complete, error) {
	panic("whoever waits raises nothing")
}

func (s *waitStore) Outbox(context.Context) (all []checkpoint.Batch, unknown []checkpoint.UnknownBatch, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		all = append(all, b)
	}
	return all, s.unknown, s.fail
}

func (s *waitStore) Table(_ context.Context, name string) (checkpoint.Table, error) {
	if name != waitedTable {
		return checkpoint.Table{}, checkpoint.ErrNotFound
	}
	return checkpoint.Table{Name: name}, nil
}

// published puts batches into the outbox that wait for tables.
func (s *waitStore) published(tables string, ids ...string) {
	s.change(func() {
		if s.batches == nil {
			s.batches = make(map[string]checkpoint.Batch)
		}
		for _, id := range ids {
			s.batches[id] = checkpoint.Batch{ID: id, Tables: strings.Fields(tables), PublishedAt: time.Now()}
		}
	})
}

// waiting runs a Waiter.
type waiting struct {
	*testing.T
	store waitStore
	said  []string
	found positions.Waited
	ended bool
	mu    sync.Mutex
}

var waitedFor = time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)

func (c *waiting) start(ctx context.Context, table string, timeout time.Duration) {
	w := positions.Waiter{Store: &c.store, Until: waitedFor, Table: table, Every: 5 * time.Second, Tell: func(text string) { c.said = append(c.said, text) }}
	if timeout >= 0 {
		w.Deadline = time.Now().Add(timeout)
	}
	go func() {
		found := w.Wait(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.found, c.ended = found, true
	}()
}

// after lets time pass and checks whether the Waiter has ended.
func (c *waiting) after(d time.Duration, ended bool) positions.Waited {
	c.Helper()
	time.Sleep(d)
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != ended {
		c.Fatalf("ended: %t, want %t; %+v", c.ended, ended, c.found)
	}
	return c.found
}

func waits(t *testing.T, f func(c *waiting)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(&waiting{T: t}) })
}

func TestWaiter_WaitsForTheStatement(t *testing.T) {
	waits(t, func(c *waiting) {
		c.start(c.Context(), "", -1)
		c.after(time.Hour, false)
		c.store.change(func() { c.store.c.UpTo = waitedFor.Add(-time.Millisecond) })
		c.after(time.Hour, false)
		c.store.change(func() { c.store.fail = errors.New("planted") })
		c.after(time.Minute, false)
		c.store.change(func() { c.store.fail, c.store.c.UpTo = nil, waitedFor })
		if w := c.after(6*time.Second, true); !w.Complete || !w.CompleteUpTo.Equal(waitedFor) || w.Batches != nil {
			t.Errorf("found %+v", w)
		}
		if want := []string{"not stated yet", "not complete up to 2026-11-28T10:00:00Z yet", "cannot be read: planted"}; len(c.said) != len(want) {
			t.Errorf("said %q", c.said)
		} else {
			for i := range want {
				if !strings.Contains(c.said[i], want[i]) {
					t.Errorf("said %q, want %q", c.said[i], want[i])
				}
			}
		}
	})
}

func TestWaiter_GivesUpAfterTheTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{0, 3 * time.Second, 17 * time.Second} {
		waits(t, func(c *waiting) {
			c.start(c.Context(), "", timeout)
			if timeout > 0 {
				c.after(timeout-time.Second, false)
			}
			if w := c.after(time.Second, true); w.Complete {
				t.Errorf("found %+v", w)
			}
		})
		waits(t, func(c *waiting) { // what is complete at the last moment counts
			c.store.c.UpTo = waitedFor.Add(-1)
			c.start(c.Context(), "", timeout)
			if timeout == 0 {
				c.after(0, true)
				return
			}
			c.after(timeout-time.Second, false)
			c.store.change(func() { c.store.c.UpTo = waitedFor })
			if w := c.after(time.Second, true); !w.Complete {
				t.Errorf("timeout %v: found %+v", timeout, w)
			}
		})
	}
}

func TestWaiter_WaitsForTheBatchesOfTheTableThatTheStatementCovers(t *testing.T) {
	waits(t, func(c *waiting) {
		c.store.published(waitedTable, "a", "b")
		c.store.published("postgres://db/lake/trips", "another table's")
		c.store.change(func() {
			c.store.batches["unpublished"] = checkpoint.Batch{ID: "unpublished", Tables: []string{waitedTable}}
		})
		c.start(c.Context(), waitedTable, -1)
		c.after(time.Minute, false)
		c.store.published(waitedTable, "c") // before the statement
		c.store.change(func() { c.store.c.UpTo = waitedFor.Add(time.Second) })
		c.after(6*time.Second, false)
		c.store.published(waitedTable, "later")
		for _, id := range []string{"a", "b"} {
			c.store.change(func() { delete(c.store.batches, id) })
			c.after(6*time.Second, false)
		}
		c.store.change(func() { // loaded, and waits for another table
			b := c.store.batches["c"]
			b.Loaded = []string{waitedTable}
			c.store.batches["c"] = b
		})
		if w := c.after(6*time.Second, true); !w.Complete || *w.Batches != 0 {
			t.Errorf("found %+v", w)
		}
		if said := fmt.Sprint(c.said); !strings.Contains(said, "3 batches are to be loaded into table "+waitedTable) || !strings.Contains(said, "1 batches") {
			t.Errorf("said %s", said)
		}
	})
}

// A batch of a later release may be for the table.
func TestWaiter_WaitsForBatchesThatItDoesNotKnow(t *testing.T) {
	waits(t, func(c *waiting) {
		c.store.c.UpTo = waitedFor
		c.store.unknown = []checkpoint.UnknownBatch{{ID: "u"}}
		c.start(c.Context(), waitedTable, -1)
		c.after(time.Minute, false)
		c.store.change(func() { c.store.unknown = nil })
		if w := c.after(6*time.Second, true); !w.Complete {
			t.Errorf("found %+v", w)
		}
	})
}

func TestWaiter_RefusesATableThatWasNeverLoaded(t *testing.T) {
	w := positions.Waiter{Store: &waitStore{}, Table: "glue://lake/tripps"}
	if err := w.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "glue://lake/tripps: no loader") {
		t.Errorf("error %v", err)
	}
	w.Table = waitedTable
	if err := w.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
