package checkpointtest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Rows writes to a store bypassing its methods, as a later release would.
type Rows struct {
	// Put turns whatever is stored under the batch's id into an UnknownBatch that holds all that b has.
	Put func(t *testing.T, b checkpoint.UnknownBatch)
	// Remove deletes whatever is stored.
	Remove func(t *testing.T, id string)
}

// RunKinds checks that a store keeps what checkpoint.UnknownBatch promises: this release leaves alone what it does not
// understand, whatever it was about to do with a batch when a later release changed it.
func RunKinds(t *testing.T, open func(t *testing.T) (checkpoint.Store, Rows), runs int) {
	t.Run("a batch of an unknown kind is seen, and stays", func(t *testing.T) {
		s, rows := open(t)
		testUnknown(t, s, rows)
	})
	t.Run("in any order of events it stays", func(t *testing.T) {
		var total kindEvents
		for seed := range uint64(runs) {
			if err := playKinds(t, open, seed, false, &total); err != nil {
				t.Fatalf("run %d: %v", seed, err)
			}
		}
		t.Logf("%d runs: %+v", runs, total)
		if total.forgotten == 0 || total.refused == 0 || total.unread == 0 || total.finished == 0 {
			t.Errorf("%+v: the runs prove little", total)
		}
	})
	t.Run("control: a worker that forgets without a look at the kind", func(t *testing.T) {
		for seed := range uint64(10 * runs) {
			if err := playKinds(t, open, seed, true, new(kindEvents)); err != nil {
				t.Logf("noticed in run %d: %v", seed, err)
				return
			}
		}
		t.Errorf("not noticed in %d runs", 10*runs)
	})
}

func testUnknown(t *testing.T, s checkpoint.Store, rows Rows) {
	ctx := t.Context()
	held := makeHeld(t, s, 1, "w1")
	known := batchOf("known", sequence(5), held...)
	must(t, s.Commit(ctx, known))
	want := checkpoint.UnknownBatch{ID: "unknown", Kind: "BATCH_WITH_MORE", Worker: "w9", Created: arrival}
	rows.Put(t, want)

	snap := scan(t, s)
	if !reflect.DeepEqual(snap.Unknown, []checkpoint.UnknownBatch{want}) || len(snap.Batches) != 1 || len(snap.Tombstones) != 0 {
		t.Errorf("Scan returned unknown batches %+v, batches %+v and tombstones %q", snap.Unknown, snap.Batches, snap.Tombstones)
	}
	if _, err := s.Batch(ctx, want.ID); !errors.Is(err, checkpoint.ErrUnknownKind) || errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("Batch: %v, want ErrUnknownKind", err)
	}
	if err := s.NotePublished(ctx, want.ID, []int{0}); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("NotePublished: %v, want ErrNotFound", err)
	}
	for name, err := range map[string]error{"MarkPublished": s.MarkPublished(ctx, want.ID, arrival), "MarkLoaded": s.MarkLoaded(ctx, want.ID, lake)} {
		if !errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	if _, unknown, err := s.Outbox(ctx); err != nil || !reflect.DeepEqual(unknown, snap.Unknown) {
		t.Errorf("Outbox returned the unknown batches %+v, %v, want %+v", unknown, err, snap.Unknown)
	}
	if committed, err := s.Bury(ctx, want.ID, "w1"); committed || !errors.Is(err, checkpoint.ErrUnknownKind) {
		t.Errorf("Bury: %t, %v, want ErrUnknownKind", committed, err)
	}
	wantConflict(t, "Commit under the same id", s.Commit(ctx, batchOf(want.ID, sequence(6), read(t, s, shardID(0)))))
	for range 2 {
		if err := s.Forget(ctx, want.ID); !errors.Is(err, checkpoint.ErrUnknownKind) {
			t.Errorf("Forget: %v, want ErrUnknownKind", err)
		}
	}
	must(t, s.Forget(ctx, known.ID))
	if snap := scan(t, s); !reflect.DeepEqual(snap.Unknown, []checkpoint.UnknownBatch{want}) || len(snap.Batches) != 0 {
		t.Errorf("after all that Scan returned unknown batches %+v, batches %+v", snap.Unknown, snap.Batches)
	}
	rows.Remove(t, want.ID)
	must(t, s.Forget(ctx, want.ID))
}

// kindEvents counts what happened, because runs in which nothing did prove nothing.
type kindEvents struct {
	forgotten int // batches that this release published and forgot
	refused   int // that it was about to forget when a later release had made them its own
	unread    int // that it had seen in a scan and could no longer read
	finished  int // unknown ones that the later release finished
}

// kindWorker is a worker of this release: it scans, reads, publishes and forgets, and anything may happen between two
// steps.
type kindWorker struct {
	left []string // ids of the last scan
	at   string   // id of the batch that was read and is being published
}

// playKinds plays workers of this release next to one of a later release, which commits batches of an unknown kind,
// takes over others, and finishes them. It fails if a batch is published that was unknown when it was read, or if one
// is gone that the later release has not finished.
func playKinds(t *testing.T, open func(t *testing.T) (checkpoint.Store, Rows), seed uint64, blind bool, events *kindEvents) error {
	s, rows := open(t)
	defer func() { must(t, s.Close()) }()
	ctx, rng := t.Context(), rand.New(rand.NewPCG(seed, 1))
	makeHeld(t, s, 1, "w1")
	unknown := make(map[string]bool)
	unfinished := func() error {
		var there []string
		for _, b := range scan(t, s).Unknown {
			there = append(there, b.ID)
		}
		if want := slices.Sorted(maps.Keys(unknown)); !slices.Equal(slices.Sorted(slices.Values(there)), want) {
			return fmt.Errorf("the unknown batches are %q, want %q", there, want)
		}
		return nil
	}
	workers := make([]kindWorker, 2)
	next := 0
	for range 60 {
		switch w := &workers[rng.IntN(len(workers))]; rng.IntN(8) {
		case 0: // a batch of this release
			next++
			must(t, s.Commit(ctx, batchOf(fmt.Sprintf("b%03d", next), sequence(next), read(t, s, shardID(0)))))
		case 1: // one of the later release
			next++
			id := fmt.Sprintf("b%03d", next)
			rows.Put(t, checkpoint.UnknownBatch{ID: id, Kind: "LATER", Worker: "w9", Created: arrival.Add(time.Duration(next) * time.Second)})
			unknown[id] = true
		case 2: // the later release makes a batch its own
			if batches := scan(t, s).Batches; len(batches) > 0 {
				b := batches[rng.IntN(len(batches))]
				rows.Put(t, checkpoint.UnknownBatch{ID: b.ID, Kind: "LATER", Worker: b.Worker, Created: b.Created})
				unknown[b.ID] = true
			}
		case 3: // and finishes one
			if ids := slices.Sorted(maps.Keys(unknown)); len(ids) > 0 && rng.IntN(2) == 0 {
				id := ids[rng.IntN(len(ids))]
				rows.Remove(t, id)
				delete(unknown, id)
				events.finished++
			}
		default:
			if err := w.step(t, s, rows, unknown, blind, events); err != nil {
				return err
			}
		}
		if err := unfinished(); err != nil {
			return err
		}
	}
	return nil
}

func (w *kindWorker) step(t *testing.T, s checkpoint.Store, rows Rows, unknown map[string]bool, blind bool, events *kindEvents) error {
	switch {
	case w.at != "":
		id := w.at
		w.at = ""
		if blind {
			rows.Remove(t, id)
			return nil
		}
		switch err := s.Forget(t.Context(), id); {
		case err == nil:
			events.forgotten++
		case errors.Is(err, checkpoint.ErrUnknownKind) && unknown[id]:
			events.refused++
		default:
			return fmt.Errorf("forget %s: %w", id, err)
		}
	case len(w.left) > 0:
		id := w.left[0]
		w.left = w.left[1:]
		b, err := s.Batch(t.Context(), id)
		switch {
		case err == nil && unknown[id]:
			return fmt.Errorf("batch %s would be published, but is of an unknown kind", id)
		case err == nil:
			w.at = b.ID
		case errors.Is(err, checkpoint.ErrUnknownKind) && unknown[id]:
			events.unread++
		case !errors.Is(err, checkpoint.ErrNotFound):
			return fmt.Errorf("read %s: %w", id, err)
		}
	default:
		for _, b := range scan(t, s).Batches {
			w.left = append(w.left, b.ID)
		}
	}
	return nil
}
