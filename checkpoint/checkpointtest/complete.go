package checkpointtest

import (
	"errors"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

func testComplete(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	wantComplete(t, s, checkpoint.Complete{})
	first := checkpoint.Complete{UpTo: arrival, At: arrival.Add(time.Minute), Shards: 3}
	raise(t, s, first, first)
	later := checkpoint.Complete{UpTo: arrival.Add(time.Millisecond), At: arrival.Add(time.Hour), Shards: 1}
	raise(t, s, later, later)
	for name, at := range map[string]time.Time{"earlier": arrival, "equal": later.UpTo, "earlier by less than a millisecond": later.UpTo.Add(time.Microsecond)} {
		t.Log(name)
		raise(t, s, checkpoint.Complete{UpTo: at, At: arrival.Add(24 * time.Hour), Shards: 9}, later)
	}
	_, err := s.RaiseComplete(ctx, checkpoint.Complete{UpTo: arrival.Add(time.Hour), Rewinds: 1})
	wantConflict(t, "RaiseComplete with rewinds that were never made", err)
	wantComplete(t, s, later)
	exact := checkpoint.Complete{UpTo: arrival.Add(time.Hour + 999*time.Microsecond), At: arrival.Add(time.Hour)}
	raise(t, s, exact, exact.Normalized())
}

func testCompleteRewind(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	makeLeases(t, s, 2)
	for rewinds := range int64(3) {
		c := checkpoint.Complete{UpTo: arrival.Add(time.Hour), At: arrival, Shards: 2, Rewinds: rewinds}
		raise(t, s, c, c)
		row := read(t, s, shardID(1))
		stale := row
		stale.Counter += 7
		_, err := s.Rewind(ctx, stale, checkpoint.TrimHorizon)
		wantConflict(t, "Rewind of a row that has changed", err)
		wantComplete(t, s, c)
		moved, err := s.Rewind(ctx, row, checkpoint.AtTimestamp(arrival.Add(time.Duration(rewinds)*time.Second)))
		must(t, err)
		if stored := read(t, s, shardID(1)); stored.Counter != moved.Counter || stored.Checkpoint != moved.Checkpoint {
			t.Errorf("Rewind returned %+v, the row is %+v", moved, stored)
		}
		wantComplete(t, s, checkpoint.Complete{Rewinds: rewinds + 1})
		_, err = s.RaiseComplete(ctx, checkpoint.Complete{UpTo: arrival.Add(48 * time.Hour), Rewinds: rewinds})
		wantConflict(t, "RaiseComplete from before a rewind", err)
	}
	raise(t, s, checkpoint.Complete{UpTo: arrival, Rewinds: 3}, checkpoint.Complete{UpTo: arrival, Rewinds: 3})
}

func raceComplete(t *testing.T, s checkpoint.Store) {
	together(racers, func(i int) {
		c := checkpoint.Complete{UpTo: arrival.Add(time.Duration(i) * time.Second), At: arrival, Shards: i}
		got, err := s.RaiseComplete(t.Context(), c)
		if err != nil || got.UpTo.Before(c.UpTo) {
			t.Errorf("RaiseComplete(%+v) returned %+v, %v", c, got, err)
		}
	})
	wantComplete(t, s, checkpoint.Complete{UpTo: arrival.Add((racers - 1) * time.Second), At: arrival, Shards: racers - 1})
}

func raceCompleteRewind(t *testing.T, s checkpoint.Store) {
	makeLeases(t, s, racers)
	together(racers, func(i int) {
		if i%2 == 0 {
			_, err := s.RaiseComplete(t.Context(), checkpoint.Complete{UpTo: arrival.Add(time.Duration(i) * time.Second)})
			if err != nil && !errors.Is(err, checkpoint.ErrConflict) {
				t.Error(err)
			}
			return
		}
		row, err := s.Lease(t.Context(), shardID(i))
		if err == nil {
			_, err = s.Rewind(t.Context(), row, checkpoint.TrimHorizon)
		}
		if err != nil {
			t.Error(err)
		}
	})
	wantComplete(t, s, checkpoint.Complete{Rewinds: racers / 2})
}

// raise makes a statement and checks which one is then in force.
func raise(t *testing.T, s checkpoint.Store, c, want checkpoint.Complete) {
	t.Helper()
	got, err := s.RaiseComplete(t.Context(), c)
	if err != nil || got != want {
		t.Errorf("RaiseComplete returned %+v, %v, want %+v", got, err, want)
	}
	wantComplete(t, s, want)
}

func wantComplete(t *testing.T, s checkpoint.Store, want checkpoint.Complete) {
	t.Helper()
	if got, err := s.Complete(t.Context()); err != nil || got != want {
		t.Errorf("Complete returned %+v, %v, want %+v", got, err, want)
	}
	for name, read := range map[string]func() (checkpoint.Snapshot, error){
		"Scan":             func() (checkpoint.Snapshot, error) { return s.Scan(t.Context()) },
		"ScanConsistently": func() (checkpoint.Snapshot, error) { return s.ScanConsistently(t.Context()) },
	} {
		if snap, err := read(); err != nil || snap.Complete != want {
			t.Errorf("%s returned the statement %+v, %v, want %+v", name, snap.Complete, err, want)
		}
	}
}
