package checkpointtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

const racers = 32

func raceBind(t *testing.T, s checkpoint.Store) {
	bound := make([]checkpoint.Application, racers)
	together(racers, func(i int) {
		app := application
		app.Initial = checkpoint.AtTimestamp(arrival.Add(time.Duration(i) * time.Second))
		var err error
		if bound[i], err = s.Bind(t.Context(), app); err != nil {
			t.Errorf("bind: %v", err)
		}
	})
	for _, app := range bound {
		if app != bound[0] {
			t.Fatalf("one worker starts at %s, another at %s", bound[0].Initial, app.Initial)
		}
	}
}

func raceAcquire(t *testing.T, s checkpoint.Store) {
	makeLeases(t, s, 1)
	free := read(t, s, shardID(0))
	var winners atomic.Int64
	together(racers, func(i int) {
		owner := fmt.Sprintf("w%d", i)
		got, err := s.Acquire(t.Context(), free, owner)
		switch {
		case err == nil && (got.Owner != owner || got.Counter != 1):
			t.Errorf("%s acquired the lease and got %+v", owner, got)
		case err == nil:
			winners.Add(1)
		case !errors.Is(err, checkpoint.ErrConflict):
			t.Errorf("%s: %v", owner, err)
		}
	})
	if n := winners.Load(); n != 1 {
		t.Errorf("%d of %d workers acquired the lease", n, racers)
	}
	if got := read(t, s, shardID(0)); got.Counter != 1 || got.Owner == "" {
		t.Errorf("the row is %+v", got)
	}
}

func raceCommitBury(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 2, "w1")
	for round := range 20 {
		id := fmt.Sprintf("b%d", round)
		end := sequence(round + 1)
		b := batchOf(id, end, held...)
		committedSeen := make([]bool, 4)
		var commitErr error
		together(1+len(committedSeen), func(i int) {
			if i == len(committedSeen) {
				commitErr = s.Commit(ctx, b)
				return
			}
			committed, err := s.Bury(ctx, id, "w2")
			if err != nil {
				t.Errorf("bury: %v", err)
			}
			committedSeen[i] = committed
		})
		for _, c := range committedSeen {
			if c != (commitErr == nil) {
				t.Fatalf("round %d: the commit returned %v and the buriers saw committed = %v", round, commitErr, committedSeen)
			}
		}
		if commitErr != nil {
			wantConflict(t, "Commit", commitErr)
			end = held[0].Checkpoint
		}
		held = scan(t, s).Leases
		if held[0].Checkpoint != end || held[1].Checkpoint != end {
			t.Fatalf("round %d: the shards are at %s and %s, want %s", round, held[0].Checkpoint, held[1].Checkpoint, end)
		}
	}
}

func raceTwoBatches(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 3, "w1")
	for round := range 10 {
		errs := make([]error, 2)
		together(2, func(i int) {
			errs[i] = s.Commit(ctx, batchOf(fmt.Sprintf("b%d-%d", round, i), sequence(10*round+i+1), held...))
		})
		winner := slices.Index(errs, nil)
		if winner < 0 || errs[1-winner] == nil {
			t.Fatalf("round %d: the commits returned %v", round, errs)
		}
		wantConflict(t, "the other commit", errs[1-winner])
		held = scan(t, s).Leases
		for _, l := range held {
			if want := sequence(10*round + winner + 1); l.Checkpoint != want {
				t.Fatalf("round %d: shard %s is at %s, want %s", round, l.Shard, l.Checkpoint, want)
			}
		}
	}
	if n := len(scan(t, s).Batches); n != 10 {
		t.Errorf("%d batches are in the outbox, want 10", n)
	}
}

func raceSameCommit(t *testing.T, s checkpoint.Store) {
	held := makeHeld(t, s, 2, "w1")
	b := batchOf("b", sequence(5), held...)
	var applied atomic.Int64
	together(8, func(int) {
		err := s.Commit(t.Context(), b)
		if err == nil {
			applied.Add(1)
			return
		}
		if !errors.Is(err, checkpoint.ErrConflict) {
			t.Errorf("commit: %v", err)
		}
	})
	if applied.Load() == 0 {
		t.Error("no commit was applied")
	}
	snap := scan(t, s)
	if len(snap.Batches) != 1 || snap.Leases[0].Checkpoint != sequence(5) || snap.Leases[1].Checkpoint != sequence(5) {
		t.Errorf("the store holds %+v", snap)
	}
}

// raceOverlapping commits pairs of neighbours in a ring of shards. Each commit moves both of its shards by its own
// amount or none, so that the total of all positions shows whether one was torn.
func raceOverlapping(t *testing.T, s checkpoint.Store) {
	const shards, rounds = 4, 6
	ctx := t.Context()
	var held []checkpoint.Lease
	for i := range shards {
		must(t, s.CreateLeases(ctx, []checkpoint.Lease{{Shard: shardID(i), Checkpoint: "1000"}}))
		held = append(held, acquire(t, s, shardID(i), "w1"))
	}
	var mu sync.Mutex
	commits := 0
	together(shards, func(i int) {
		for round := range rounds {
			pair := []checkpoint.Lease{read(t, s, held[i].Shard), read(t, s, held[(i+1)%shards].Shard)}
			b := batchOf(fmt.Sprintf("b%d-%d", i, round), "", pair...)
			for j := range b.Ranges {
				b.Ranges[j].End = increment(b.Ranges[j].Start)
			}
			err := s.Commit(ctx, b)
			if err == nil {
				mu.Lock()
				commits++
				mu.Unlock()
			} else if !errors.Is(err, checkpoint.ErrConflict) {
				t.Errorf("commit: %v", err)
			}
		}
	})
	snap := scan(t, s)
	total := 0
	for _, l := range snap.Leases {
		var n int
		if _, err := fmt.Sscan(string(l.Checkpoint), &n); err != nil {
			t.Fatal(err)
		}
		total += n - 1000
	}
	if total != 2*commits || len(snap.Batches) != commits || commits == 0 {
		t.Errorf("%d commits moved the shards by %d together and left %d batches", commits, total, len(snap.Batches))
	}
}

func increment(p checkpoint.Position) checkpoint.Position {
	var n int
	if _, err := fmt.Sscan(string(p), &n); err != nil {
		panic(err)
	}
	return checkpoint.Position(fmt.Sprint(n + 1))
}

// together runs f in n goroutines that start at the same time, and waits for them.
func together(n int, f func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}
