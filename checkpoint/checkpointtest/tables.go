package checkpointtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

const (
	lake   = "glue://lake/trips"
	mirror = "s3://mirror/trips"
)

// tabled commits a batch that is to be loaded into the tables.
func tabled(t *testing.T, s checkpoint.Store, id string, tables ...string) checkpoint.Batch {
	t.Helper()
	b := batchOf(id, sequence(5), makeHeld(t, s, 1, "w1")...)
	b.Tables = tables
	b.Files = []checkpoint.File{{Bucket: "bucket", Key: "a", Rows: 1, Bytes: 2, Staged: json.RawMessage(`{"upload_id":"u"}`), Table: json.RawMessage(`{"uuid":"t"}`)}}
	must(t, s.Commit(t.Context(), b))
	return b
}

func testTableSteps(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	b := tabled(t, s, "b1", lake, mirror)
	head := checkpoint.Batch{ID: b.ID, Worker: b.Worker, Created: b.Created, Tables: b.Tables}
	wantOutbox(t, s, head)
	if snap := scan(t, s); !reflect.DeepEqual(snap.Batches, []checkpoint.Batch{head}) || snap.Published != nil || snap.Unknown != nil {
		t.Errorf("after the commit Scan returned %+v", snap)
	}
	if got, err := s.Batch(ctx, b.ID); err != nil || !reflect.DeepEqual(got.Files, b.Files) || !slices.Equal(got.Tables, b.Tables) {
		t.Errorf("Batch returned %+v, %v", got, err)
	}
	if committed, err := s.Bury(ctx, b.ID, "w2"); !committed || err != nil {
		t.Errorf("Bury: %t, %v", committed, err)
	}
	must(t, s.NotePublished(ctx, b.ID, []int{0}))
	wantKept(t, s, b.ID)

	at := arrival.Add(time.Minute)
	must(t, s.MarkPublished(ctx, b.ID, at))
	must(t, s.MarkPublished(ctx, b.ID, at.Add(time.Hour))) // of a request that was sent twice
	head.PublishedAt = at
	wantOutbox(t, s, head)
	if snap := scan(t, s); snap.Batches != nil || !reflect.DeepEqual(snap.Published, []checkpoint.Batch{head}) {
		t.Errorf("after it was published Scan returned %+v", snap)
	}
	wantKept(t, s, b.ID)
	for range 2 {
		must(t, s.MarkLoaded(ctx, b.ID, mirror))
	}
	head.Loaded = []string{mirror}
	wantOutbox(t, s, head)
	if got, err := s.Batch(ctx, b.ID); err != nil || !got.PublishedAt.Equal(at) || !slices.Equal(got.Loaded, head.Loaded) || !slices.Equal(got.Published, []int{0}) {
		t.Errorf("Batch returned %+v, %v", got, err)
	}
	wantKept(t, s, b.ID)
	if err := s.MarkLoaded(ctx, b.ID, "glue://lake/fares"); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("MarkLoaded with another table: %v, want ErrNotFound", err)
	}
	must(t, s.MarkLoaded(ctx, b.ID, lake))
	for range 2 {
		must(t, s.Forget(ctx, b.ID))
	}
	wantOutbox(t, s)
}

// Whatever arrives late must not bring back a batch that is forgotten, nor give a step to one that has none.
func testTableStepsLate(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	b := tabled(t, s, "b1", lake)
	must(t, s.MarkPublished(ctx, b.ID, arrival))
	must(t, s.MarkLoaded(ctx, b.ID, lake))
	must(t, s.Forget(ctx, b.ID))
	must(t, s.Commit(ctx, batchOf("plain", sequence(6), read(t, s, shardID(0)))))
	if _, err := s.Bury(ctx, "tomb", "w1"); err != nil {
		t.Fatal(err)
	}
	before := scan(t, s)
	for _, id := range []string{b.ID, "plain", "tomb", "never"} {
		if err := s.MarkPublished(ctx, id, arrival); !errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("MarkPublished of %s: %v, want ErrNotFound", id, err)
		}
		if err := s.MarkLoaded(ctx, id, lake); !errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("MarkLoaded of %s: %v, want ErrNotFound", id, err)
		}
	}
	if after := scan(t, s); !reflect.DeepEqual(after, before) {
		t.Errorf("the store has changed from\n%+v to\n%+v", before, after)
	}
}

func testTableListed(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	b := batchOf("b1", sequence(5), makeHeld(t, s, 1, "w1")...)
	b.Tables, b.Files = []string{lake}, nil
	b.List = &checkpoint.FileList{Bucket: "bucket", Key: "list", Files: 9, Bytes: 10, SHA256: strings.Repeat("0", 64)}
	must(t, s.Commit(ctx, b))
	got, err := s.Batch(ctx, b.ID)
	if err != nil || !reflect.DeepEqual(got.List, b.List) || len(got.Files) != 0 || !slices.Equal(got.Tables, b.Tables) {
		t.Errorf("Batch returned %+v, %v", got, err)
	}
	wantKept(t, s, b.ID)
}

func testTableInvalid(t *testing.T, s checkpoint.Store) {
	held := makeHeld(t, s, 1, "w1")
	for _, tables := range [][]string{{""}, {"b", "a"}, {"a", "a"}, strings.Split("abcdefghijk", "")} {
		b := batchOf("b1", sequence(5), held...)
		b.Tables = tables
		if err := s.Commit(t.Context(), b); !errors.Is(err, checkpoint.ErrInvalidBatch) {
			t.Errorf("Commit with tables %q: %v, want ErrInvalidBatch", tables, err)
		}
	}
}

func testTableItem(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	if _, err := s.Table(ctx, lake); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("Table: %v, want ErrNotFound", err)
	}
	if _, err := s.PutTable(ctx, checkpoint.Table{Name: lake, Version: 1}); !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("PutTable of a version that is not there: %v, want ErrConflict", err)
	}
	first, err := s.PutTable(ctx, checkpoint.Table{Name: lake, Loader: "l1"})
	must(t, err)
	if _, err := s.PutTable(ctx, checkpoint.Table{Name: lake, Loader: "l2"}); !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("PutTable of a second first: %v, want ErrConflict", err)
	}
	change := first
	change.Loader, change.Definition = "", json.RawMessage(`{"uuid":"`+strings.Repeat("u", 500_000)+`"}`)
	second, err := s.PutTable(ctx, change)
	must(t, err)
	if _, err := s.PutTable(ctx, change); !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("PutTable twice: %v, want ErrConflict", err)
	}
	want := change
	want.Version = 2
	got, err := s.Table(ctx, lake)
	must(t, err)
	if first.Version != 1 || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(second, want) {
		t.Errorf("Table returned version %d, loader %q, %d bytes; PutTable versions %d and %d", got.Version, got.Loader, len(got.Definition), first.Version, second.Version)
	}
	if snap := scan(t, s); !reflect.DeepEqual(snap, checkpoint.Snapshot{}) {
		t.Errorf("Scan shows %+v", snap)
	}
}

func wantOutbox(t *testing.T, s checkpoint.Store, want ...checkpoint.Batch) {
	t.Helper()
	got, unknown, err := s.Outbox(t.Context())
	must(t, err)
	if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) || unknown != nil {
		t.Errorf("Outbox returned\n%+v, want\n%+v", got, want)
	}
}

func wantKept(t *testing.T, s checkpoint.Store, id string) {
	t.Helper()
	if err := s.Forget(t.Context(), id); !errors.Is(err, checkpoint.ErrNotLoaded) {
		t.Errorf("Forget: %v, want ErrNotLoaded", err)
	}
	if _, err := s.Batch(t.Context(), id); err != nil {
		t.Errorf("Batch after a Forget that was refused: %v", err)
	}
}

func racePutTable(t *testing.T, s checkpoint.Store) {
	const rounds = 5
	for version := range int64(rounds) {
		var winners atomic.Int64
		together(racers, func(i int) {
			loader := fmt.Sprintf("l%d", i)
			got, err := s.PutTable(t.Context(), checkpoint.Table{Name: lake, Version: version, Loader: loader})
			switch {
			case err == nil && (got.Loader != loader || got.Version != version+1):
				t.Errorf("%s wrote the item and got %+v", loader, got)
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, checkpoint.ErrConflict):
				t.Errorf("%s: %v", loader, err)
			}
		})
		if n := winners.Load(); n != 1 {
			t.Errorf("%d of %d loaders wrote version %d", n, racers, version+1)
		}
	}
}

// raceMarkForget forgets batches while other calls mark them: each is gone for good once it was forgotten, and none is
// forgotten before it is loaded.
func raceMarkForget(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	b := tabled(t, s, "b", lake, mirror)
	var refused, forgotten atomic.Int64
	together(racers, func(i int) {
		var err error
		switch i % 4 {
		case 0:
			err = s.MarkPublished(ctx, b.ID, arrival)
		case 1:
			err = s.MarkLoaded(ctx, b.ID, lake)
		case 2:
			err = s.MarkLoaded(ctx, b.ID, mirror)
		default:
			switch err = s.Forget(ctx, b.ID); {
			case err == nil:
				forgotten.Add(1)
			case errors.Is(err, checkpoint.ErrNotLoaded):
				refused.Add(1)
				err = nil
			}
		}
		if err != nil && !errors.Is(err, checkpoint.ErrNotFound) {
			t.Error(err)
		}
	})
	t.Logf("%d calls of Forget were refused, %d were not", refused.Load(), forgotten.Load())
	must(t, s.Forget(ctx, b.ID))
	wantOutbox(t, s)
}
