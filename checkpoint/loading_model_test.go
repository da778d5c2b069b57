package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// The model also loads batches into a table, by the rule of package loader. At the end the files of each batch that names the
// table are in it exactly once, and no others are. No batch comes back that was forgotten.

const lakeName = "lake"

// marks is how the store and the workers treat batches that are to be loaded.
type marks int

const (
	marksKept   marks = iota // on condition that the batch is there; it is forgotten after the table has it
	marksAlways              // also if there is no item, which makes one, as DynamoDB's UpdateItem does
	marksForget              // a batch is forgotten when it is published
)

// lake is the table. Its ledger changes together with its files.
type lake struct {
	version int
	ledger  map[string]bool // ids of batches
	files   map[string]int  // ids of uploads, and how often each is in the table
	// ghosts are batches that a mark has brought back after they were forgotten, and revived are the ids of all that ever were.
	ghosts  map[string]checkpoint.Batch
	revived []string
}

func newLake() lake {
	return lake{ledger: map[string]bool{}, files: map[string]int{}, ghosts: map[string]checkpoint.Batch{}}
}

// lakeState is the table as it was read.
type lakeState struct {
	version int
	ledger  map[string]bool
}

// checkLake compares the table with the uploads.
func (w *world) checkLake() error {
	for id, u := range w.uploads {
		want := 0
		if u.complete {
			want = u.loads
		}
		if n := w.table.files[id]; n != want {
			return &violation{fmt.Sprintf("upload %s is in the table %d times, want %d", id, n, want)}
		}
	}
	if len(w.table.revived) > 0 {
		return &violation{fmt.Sprintf("the batches %q were forgotten and came back", w.table.revived)}
	}
	return nil
}

// markPublished is the store's MarkPublished under the rules.
func (w *world) markPublished(b checkpoint.Batch) error {
	ctx := context.Background()
	err := w.store.MarkPublished(ctx, b.ID, time.Unix(1, 0))
	if errors.Is(err, checkpoint.ErrNotFound) {
		w.events.lateMarks++
		if w.rules.marks == marksAlways {
			b.PublishedAt = time.Unix(1, 0)
			w.table.ghosts[b.ID] = b
			w.table.revived = append(w.table.revived, b.ID)
		}
	}
	if w.rules.marks == marksForget {
		return errors.Join(w.store.MarkLoaded(ctx, b.ID, lakeName), w.store.Forget(ctx, b.ID))
	}
	return err
}

// outbox are the batches that are to be loaded.
func (w *world) outbox() ([]checkpoint.Batch, error) {
	batches, _, err := w.store.Outbox(context.Background())
	for _, id := range slices.Sorted(maps.Keys(w.table.ghosts)) {
		batches = append(batches, w.table.ghosts[id])
	}
	return batches, err
}

func (w *world) readBatch(id string) (checkpoint.Batch, error) {
	if ghost, ok := w.table.ghosts[id]; ok {
		return ghost, nil
	}
	return w.store.Batch(context.Background(), id)
}

// finish marks a batch as loaded and forgets it.
func (a *actor) finish(id string) {
	w, ctx := a.w, context.Background()
	if w.rng.IntN(4) == 0 { // as by a loader that believes another one has marked it
		_, err := call(a, "forget", "", func() (struct{}, error) { return struct{}{}, w.store.Forget(ctx, id) })
		if errors.Is(err, checkpoint.ErrNotLoaded) {
			w.events.kept++
		}
	}
	_, err := call(a, "mark loaded", "", func() (struct{}, error) {
		if _, ghost := w.table.ghosts[id]; ghost {
			return struct{}{}, nil
		}
		return struct{}{}, w.store.MarkLoaded(ctx, id, lakeName)
	})
	if err != nil {
		return
	}
	_, _ = call(a, "forget", "", func() (struct{}, error) {
		delete(w.table.ghosts, id)
		return struct{}{}, w.store.Forget(ctx, id)
	})
}

// load is a round of a loader: the table, then the outbox; what the ledger names is marked and forgotten, and the rest is
// written on condition that the table is as it was read.
func (a *actor) load() {
	w := a.w
	state, err := call(a, "read table", "", func() (lakeState, error) {
		return lakeState{w.table.version, maps.Clone(w.table.ledger)}, nil
	})
	if err != nil {
		return
	}
	batches, err := call(a, "outbox", "", w.outbox)
	if err != nil {
		return
	}
	ledger := map[string]bool{}
	var add []checkpoint.Batch
	for _, header := range batches {
		switch {
		case len(header.Tables) == 0:
		case state.ledger[header.ID]:
			ledger[header.ID] = true
			a.finish(header.ID)
		case !header.PublishedAt.IsZero():
			b, err := call(a, "batch", "", func() (checkpoint.Batch, error) { return w.readBatch(header.ID) })
			if err == nil {
				ledger[b.ID] = true
				add = append(add, b)
			}
		}
	}
	if len(add) == 0 {
		return
	}
	_, _ = call(a, "append", "", func() (struct{}, error) { return struct{}{}, w.append(state.version, ledger, add) })
}

// append adds the files of batches to the table and replaces its ledger.
func (w *world) append(version int, ledger map[string]bool, batches []checkpoint.Batch) error {
	if w.table.version != version {
		w.events.outdated++
		return checkpoint.ErrConflict
	}
	w.events.appends++
	w.table.version++
	w.table.ledger = ledger
	for _, b := range batches {
		for _, f := range b.Files {
			w.table.files[uploadOf(f)]++
		}
	}
	return nil
}
