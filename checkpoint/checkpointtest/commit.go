package checkpointtest

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"aws-streaming-pipeline/checkpoint"
)

func testCommitAtomic(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 5, "w1")
	must(t, s.Commit(ctx, batchOf("b1", sequence(10), held...)))
	for _, l := range held {
		if got := read(t, s, l.Shard).Checkpoint; got != sequence(10) {
			t.Errorf("shard %s is at %s, want %s", l.Shard, got, sequence(10))
		}
	}
	moved := scan(t, s).Leases
	moved[3].Checkpoint = sequence(11) // is at 10
	wantConflict(t, "Commit with one stale range of five", s.Commit(ctx, batchOf("b2", sequence(20), moved...)))
	for _, l := range scan(t, s).Leases {
		if l.Checkpoint != sequence(10) {
			t.Errorf("the refused commit moved shard %s to %s", l.Shard, l.Checkpoint)
		}
	}
	if _, err := s.Batch(ctx, "b2"); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("the refused batch is in the outbox: %v", err)
	}
}

func testCommitConditions(t *testing.T, s checkpoint.Store) {
	held := makeHeld(t, s, 1, "w1")[0]
	for name, change := range map[string]func(r *checkpoint.Range){
		"another start":           func(r *checkpoint.Range) { r.Start = sequence(1) },
		"a start of another kind": func(r *checkpoint.Range) { r.Start = checkpoint.AtTimestamp(arrival) },
		"another owner":           func(r *checkpoint.Range) { r.LeaseOwner = "w2" },
		"an older counter":        func(r *checkpoint.Range) { r.LeaseCounter-- },
		"a newer counter":         func(r *checkpoint.Range) { r.LeaseCounter++ },
		"another shard":           func(r *checkpoint.Range) { r.Shard = shardID(1) },
	} {
		b := batchOf("b", sequence(5), held)
		change(&b.Ranges[0])
		wantConflict(t, "Commit with "+name, s.Commit(t.Context(), b))
	}
	if got := read(t, s, held.Shard); !reflect.DeepEqual(got, held) {
		t.Errorf("refused commits changed the row to %+v", got)
	}
	b := batchOf("b", sequence(5), held)
	b.Ranges[0].LastArrival, b.Ranges[0].Load = arrival, 1234
	must(t, s.Commit(t.Context(), b))

	now := read(t, s, held.Shard)
	if now.Load != 1234 || scan(t, s).Leases[0].Load != 1234 {
		t.Errorf("after a commit with a load of 1234 the row is %+v", now)
	}
	b = batchOf("end", checkpoint.ShardEnd, now)
	must(t, s.Commit(t.Context(), b))
	if got := read(t, s, held.Shard); got.Checkpoint != checkpoint.ShardEnd || !got.Arrival.Equal(arrival) || got.Load != 1234 {
		t.Errorf("after the end of the shard the row is %+v, want SHARD_END, the arrival of the last record, %s, and the load", got, arrival)
	}
}

func testCommitMaxRanges(t *testing.T, s checkpoint.Store) {
	held := makeHeld(t, s, checkpoint.MaxRanges+1, "w1")
	err := s.Commit(t.Context(), batchOf("b1", sequence(3), held...))
	if !errors.Is(err, checkpoint.ErrInvalidBatch) {
		t.Errorf("Commit of %d ranges: %v, want ErrInvalidBatch", len(held), err)
	}
	b := batchOf("b2", sequence(3), held[:checkpoint.MaxRanges]...)
	must(t, s.Commit(t.Context(), b))
	got, err := s.Batch(t.Context(), "b2")
	must(t, err)
	if !reflect.DeepEqual(got.Ranges, b.Ranges) {
		t.Errorf("the batch came back with other ranges")
	}
}

func testCommitInvalid(t *testing.T, s checkpoint.Store) {
	held := makeHeld(t, s, 1, "w1")[0]
	for name, change := range map[string]func(b *checkpoint.Batch){
		"no id":                      func(b *checkpoint.Batch) { b.ID = "" },
		"no ranges":                  func(b *checkpoint.Batch) { b.Ranges = nil },
		"a shard twice":              func(b *checkpoint.Batch) { b.Ranges = append(b.Ranges, b.Ranges[0]) },
		"no shard":                   func(b *checkpoint.Batch) { b.Ranges[0].Shard = "" },
		"no owner":                   func(b *checkpoint.Batch) { b.Ranges[0].LeaseOwner = "" },
		"no start":                   func(b *checkpoint.Batch) { b.Ranges[0].Start = "" },
		"a start after the end":      func(b *checkpoint.Batch) { b.Ranges[0].Start = checkpoint.ShardEnd },
		"no end":                     func(b *checkpoint.Batch) { b.Ranges[0].End = "" },
		"an end that is not a place": func(b *checkpoint.Batch) { b.Ranges[0].End = checkpoint.TrimHorizon },
		"a range that stands":        func(b *checkpoint.Batch) { b.Ranges[0].Start, b.Ranges[0].End = "100", "100" },
		"a list without a key":       func(b *checkpoint.Batch) { b.List = checkpoint.NewFileList("lake", "", 1, []byte("x")) },
		"a list without a bucket":    func(b *checkpoint.Batch) { b.List = checkpoint.NewFileList("", "k", 1, []byte("x")) },
		"a list of no files":         func(b *checkpoint.Batch) { b.List = checkpoint.NewFileList("lake", "k", 0, []byte("x")) },
		"a list without its sum":     func(b *checkpoint.Batch) { b.List = &checkpoint.FileList{Bucket: "lake", Key: "k", Files: 1, Bytes: 1} },
		"a range that goes back":     func(b *checkpoint.Batch) { b.Ranges[0].Start, b.Ranges[0].End = "100", "99" },
	} {
		b := batchOf("b", sequence(5), held)
		change(&b)
		if err := s.Commit(t.Context(), b); !errors.Is(err, checkpoint.ErrInvalidBatch) {
			t.Errorf("Commit of a batch with %s: %v, want ErrInvalidBatch", name, err)
		}
	}
	if got := read(t, s, held.Shard); !reflect.DeepEqual(got, held) {
		t.Errorf("refused commits changed the row to %+v", got)
	}
}

func testCommitTooLarge(t *testing.T, s checkpoint.Store) {
	held := makeHeld(t, s, 1, "w1")[0]
	b := batchOf("b", sequence(5), held)
	b.Files = Files(3000, 3)
	if err := s.Commit(t.Context(), b); !errors.Is(err, checkpoint.ErrBatchTooLarge) {
		t.Fatalf("Commit: %v, want ErrBatchTooLarge", err)
	}
	committed, err := s.Bury(t.Context(), "b", "w1")
	must(t, err)
	if committed {
		t.Error("the refused batch is committed")
	}

	b = batchOf("large", sequence(5), held)
	b.Files = Files(150, 4)
	must(t, s.Commit(t.Context(), b))
	got, err := s.Batch(t.Context(), "large")
	must(t, err)
	if !reflect.DeepEqual(got.Files, b.Files) {
		t.Error("a large batch came back with other files")
	}
}

// A batch that no item has room for is committed with a list, and has the same life as any other batch.
func testCommitListed(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 1, "w1")
	b := batchOf("b", sequence(5), held...)
	b.Files = Files(3000, 3)
	data, err := checkpoint.EncodeFiles(b.Files)
	must(t, err)
	b.List = checkpoint.NewFileList("lake", "manifests/outbox/b.json.zst", len(b.Files), data)
	must(t, s.Commit(ctx, b))
	if got := read(t, s, shardID(0)).Checkpoint; got != sequence(5) {
		t.Errorf("the shard is at %s, want %s", got, sequence(5))
	}

	want := b
	want.Files = nil
	got, err := s.Batch(ctx, "b")
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Batch returned\n%+v, want\n%+v", got, want)
	}
	header := checkpoint.Batch{ID: b.ID, Worker: b.Worker, Created: b.Created}
	if got := scan(t, s).Batches; !reflect.DeepEqual(got, []checkpoint.Batch{header}) {
		t.Errorf("Scan returned the batches %+v, want %+v", got, header)
	}
	committed, err := s.Bury(ctx, "b", "w2")
	must(t, err)
	if !committed {
		t.Error("the batch was buried")
	}
	// The same commit again, and another batch with the same id.
	if err := s.Commit(ctx, b); err != nil && !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("the repeated Commit: %v", err)
	}
	other := batchOf("b", sequence(6), read(t, s, shardID(0)))
	wantConflict(t, "Commit of another batch under the same id", s.Commit(ctx, other))
	other = batchOf("b", sequence(5), held...)
	other.List = checkpoint.NewFileList("lake", "manifests/outbox/b.json.zst", len(b.Files), []byte("other files"))
	wantConflict(t, "Commit of another list under the same id", s.Commit(ctx, other))

	must(t, s.Forget(ctx, "b"))
	if _, err := s.Batch(ctx, "b"); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("Batch after Forget: %v, want ErrNotFound", err)
	}
	if got := scan(t, s).Batches; len(got) != 0 {
		t.Errorf("after Forget there are %+v", got)
	}
}

// A tombstone keeps out a batch with a list as it does any other.
func testCommitListedAfterBury(t *testing.T, s checkpoint.Store) {
	held := makeHeld(t, s, 1, "w1")
	committed, err := s.Bury(t.Context(), "b", "w1")
	must(t, err)
	if committed {
		t.Fatal("a batch that was never sent is committed")
	}
	b := batchOf("b", sequence(5), held...)
	b.List = checkpoint.NewFileList("lake", "k", 1, []byte("x"))
	wantConflict(t, "Commit", s.Commit(t.Context(), b))
	if got := scan(t, s); len(got.Batches) != 0 || !slices.Equal(got.Tombstones, []string{"b"}) {
		t.Errorf("the outbox holds %+v and the tombstones %q", got.Batches, got.Tombstones)
	}
}

func testCommitTwice(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 2, "w1")
	b := batchOf("b", sequence(5), held...)
	must(t, s.Commit(ctx, b))
	// A store may recognize the repeated call (nil) or find that its conditions no longer hold (ErrConflict); nothing
	// may change.
	if err := s.Commit(ctx, b); err != nil && !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("the repeated Commit: %v", err)
	}
	committed, err := s.Bury(ctx, "b", "w1")
	must(t, err)
	if !committed {
		t.Error("Bury does not see the commit")
	}
	for _, l := range scan(t, s).Leases {
		if l.Checkpoint != sequence(5) {
			t.Errorf("shard %s is at %s", l.Shard, l.Checkpoint)
		}
	}
}

func testCommitAfterBury(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 1, "w1")
	committed, err := s.Bury(ctx, "b", "w1")
	must(t, err)
	if committed {
		t.Fatal("a batch that was never sent is committed")
	}
	for range 2 {
		wantConflict(t, "Commit", s.Commit(ctx, batchOf("b", sequence(5), held...)))
	}
	if got := read(t, s, shardID(0)); !reflect.DeepEqual(got, held[0]) {
		t.Errorf("the buried batch changed the row to %+v", got)
	}
	must(t, s.Commit(ctx, batchOf("b2", sequence(6), held...)))
}

func testCommitAfterRewind(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 1, "w1")[0]
	late := batchOf("late", sequence(5), held)
	rewound, err := s.Rewind(ctx, held, held.Checkpoint)
	must(t, err)
	wantConflict(t, "Commit after Rewind", s.Commit(ctx, late))
	again, err := s.Acquire(ctx, rewound, "w1")
	must(t, err)
	wantConflict(t, "Commit from before Rewind after the same worker took the lease", s.Commit(ctx, late))
	must(t, s.Commit(ctx, batchOf("new", sequence(5), again)))
}

func testCommitZombie(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	zombie := makeHeld(t, s, 1, "w1")[0]
	second, err := s.Acquire(ctx, zombie, "w2")
	must(t, err)
	wantConflict(t, "Commit of the former holder", s.Commit(ctx, batchOf("b1", sequence(5), zombie)))
	must(t, s.Release(ctx, second))
	wantConflict(t, "Commit with a released lease", s.Commit(ctx, batchOf("b2", sequence(5), second)))
	third := acquire(t, s, shardID(0), "w1")
	wantConflict(t, "Commit with the counter of an earlier term", s.Commit(ctx, batchOf("b3", sequence(5), zombie)))
	must(t, s.Commit(ctx, batchOf("b4", sequence(5), third)))
}

func testCommitAfterForget(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 1, "w1")
	b := batchOf("b", sequence(5), held...)
	must(t, s.Commit(ctx, b))
	must(t, s.Forget(ctx, "b"))
	// DynamoDB remembers a token for ten minutes and then answers as it did before, without applying anything.
	if err := s.Commit(ctx, b); err != nil && !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("the repeated Commit: %v", err)
	}
	if got := scan(t, s).Batches; len(got) != 0 {
		t.Errorf("the forgotten batch is in the outbox again: %+v", got)
	}
}

func testBury(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 1, "w1")
	for _, worker := range []string{"w1", "w2"} {
		committed, err := s.Bury(ctx, "buried", worker)
		must(t, err)
		if committed {
			t.Errorf("%s: a buried batch is committed", worker)
		}
	}
	must(t, s.Commit(ctx, batchOf("committed", sequence(5), held...)))
	for range 2 {
		committed, err := s.Bury(ctx, "committed", "w2")
		must(t, err)
		if !committed {
			t.Error("a committed batch was buried")
		}
	}
	if _, err := s.Batch(ctx, "committed"); err != nil {
		t.Errorf("after Bury the committed batch is gone: %v", err)
	}
	if _, err := s.Batch(ctx, "buried"); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("Batch of a tombstone: %v, want ErrNotFound", err)
	}
	if got := scan(t, s).Tombstones; !slices.Equal(got, []string{"buried"}) {
		t.Errorf("Scan returned the tombstones %q", got)
	}
	if _, err := s.Bury(ctx, "", "w1"); err == nil {
		t.Error("a batch without an id was buried")
	}
}

func testNotePublished(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 2, "w1")
	b := batchOf("b", sequence(5), held[0])
	b.Files = Files(4, 1)
	must(t, s.Commit(ctx, b))
	listed := batchOf("listed", sequence(5), held[1])
	listed.List = checkpoint.NewFileList("lake", "manifests/outbox/listed.json.zst", 4, []byte("files"))
	must(t, s.Commit(ctx, listed))
	for _, want := range []checkpoint.Batch{b, listed} {
		for _, files := range [][]int{{2}, nil, {0, 2}, {3}} {
			must(t, s.NotePublished(ctx, want.ID, files))
		}
		got, err := s.Batch(ctx, want.ID)
		must(t, err)
		if want.Published = []int{0, 2, 3}; !reflect.DeepEqual(got, want) {
			t.Errorf("Batch returned\n%+v, want\n%+v", got, want)
		}
		must(t, s.Forget(ctx, want.ID))
	}
	_, err := s.Bury(ctx, "t", "w1")
	must(t, err)
	for _, id := range []string{"b", "listed", "t", "never"} {
		if err := s.NotePublished(ctx, id, []int{1}); !errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("NotePublished of %q, which is not a batch of the outbox: %v, want ErrNotFound", id, err)
		}
	}
	if snap := scan(t, s); len(snap.Batches) != 0 || len(snap.Tombstones) != 1 {
		t.Errorf("the outbox holds %+v and %q", snap.Batches, snap.Tombstones)
	}
}

func testForget(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	held := makeHeld(t, s, 1, "w1")
	must(t, s.Commit(ctx, batchOf("b", sequence(5), held...)))
	_, err := s.Bury(ctx, "t", "w1")
	must(t, err)
	for _, id := range []string{"b", "t", "never"} {
		must(t, s.Forget(ctx, id))
		must(t, s.Forget(ctx, id))
	}
	if snap := scan(t, s); len(snap.Batches)+len(snap.Tombstones) != 0 {
		t.Errorf("after Forget there are %+v and %q", snap.Batches, snap.Tombstones)
	}
	if _, err := s.Batch(ctx, "b"); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("Batch after Forget: %v, want ErrNotFound", err)
	}
	if got := read(t, s, shardID(0)).Checkpoint; got != sequence(5) {
		t.Errorf("Forget moved the checkpoint to %s", got)
	}
}
