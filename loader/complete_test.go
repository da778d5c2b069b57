package loader_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/table"
)

// stating is a table that shows up to when it is complete.
type stating struct {
	loader.Destination
	mu   sync.Mutex
	said []time.Time // apart from data
}

type statingState struct {
	loader.State
	to *stating
}

func (s *stating) Load(ctx context.Context, previous *table.Definition) (loader.State, error) {
	state, err := s.Destination.Load(ctx, previous)
	return statingState{state, s}, err
}

func (s *stating) statements() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said
}

func (s statingState) CompleteUpTo() (last time.Time) {
	if said := s.to.statements(); len(said) > 0 {
		last = said[len(said)-1]
	}
	return last
}

func (s statingState) StateComplete(_ context.Context, upTo time.Time) error {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	s.to.said = append(s.to.said, upTo)
	return nil
}

// A table without new data shows every few minutes up to when it is complete, and not at all while a batch cannot be loaded.
func TestLoader_StatesUpToWhenTheTableIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		to := &stating{Destination: s.table.Open()}
		s.to = to
		say := func() time.Time {
			t.Helper()
			c, err := s.store.RaiseComplete(t.Context(), checkpoint.Complete{UpTo: time.Now().Add(-10 * time.Second)})
			if err != nil {
				t.Fatal(err)
			}
			return c.UpTo
		}
		one := s.write("one", 1)
		s.publish(one)
		first := say()
		l, _, stop := s.run("l1")
		defer stop()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := l.Status().CompleteUpTo; !got.Equal(first) {
			t.Errorf("after the write the table is complete up to %s, want %s", got, first)
		}
		var last time.Time
		for range 20 {
			last = say()
			time.Sleep(interval)
			synctest.Wait()
		}
		if got := l.Status().CompleteUpTo; got.Before(last) {
			t.Errorf("without new data it is complete up to %s, want %s", got, last)
		}
		if n := len(to.statements()); n < 3 || n > 4 {
			t.Errorf("%d statements in twenty minutes", n)
		}
		stuck := s.write("stuck", 1)
		s.describe(stuck, func(d *table.Description) { d.UUID = "another" })
		s.publish(stuck)
		before := l.Status().CompleteUpTo
		said := len(to.statements())
		for range 10 {
			say()
			time.Sleep(interval)
			synctest.Wait()
		}
		if got := l.Status().CompleteUpTo; !got.Equal(before) || len(to.statements()) != said {
			t.Errorf("while a batch is stuck, the table is complete up to %s, want %s; %d statements", got, before, len(to.statements())-said)
		}
	})
}
