package positions

import (
	"errors"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// newLoading is a stage with a batch for two tables.
func newLoading(t *testing.T) (*stage, Skipper) {
	t.Helper()
	s := newStage(t)
	row := s.lease("shard-2")
	must(t, s.store.Commit(t.Context(), checkpoint.Batch{
		ID: "b", Worker: "worker", Created: time.Now(), Tables: []string{"glue://lake/trips", "s3://lake/trips"},
		Ranges: []checkpoint.Range{{Shard: "shard-2", Start: row.Checkpoint, End: "300", LeaseOwner: row.Owner, LeaseCounter: row.Counter}},
	}))
	return s, Skipper{Store: s.store, Notes: Notes{API: s.client, Bucket: "out", ManifestPrefix: "manifests/", By: "op@host", Reason: "a test"}}
}

func TestSkipper_TakesABatchFromOneTableAfterTheOther(t *testing.T) {
	s, skipper := newLoading(t)
	ctx := t.Context()
	must(t, s.store.MarkPublished(ctx, "b", time.Now()))
	for i, table := range []string{"s3://lake/trips", "glue://lake/trips"} {
		b, err := skipper.Plan(ctx, "b", table)
		must(t, err)
		removed, err := skipper.Skip(ctx, b, table)
		if err != nil || removed != (i == 1) {
			t.Errorf("table %s: removed: %t, error %v", table, removed, err)
		}
		if _, err := skipper.Plan(ctx, "b", table); err == nil {
			t.Errorf("table %s: planned again", table)
		}
	}
	if _, err := s.store.Batch(ctx, "b"); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("the batch is still in the outbox: %v", err)
	}
	bucket := objects.Bucket{API: s.client, Name: "out"}
	var tables []string
	for o, err := range bucket.List(ctx, layout.SkipsFolder("manifests/"), "") {
		must(t, err)
		body, _, err := bucket.Read(ctx, *o.Key, 1<<20)
		must(t, err)
		note, err := layout.DecodeSkip(body)
		must(t, err)
		if note.Batch != "b" || note.By != "op@host" || note.Reason != "a test" || note.At.IsZero() {
			t.Errorf("note %+v", note)
		}
		tables = append(tables, note.Table)
	}
	if len(tables) != 2 {
		t.Errorf("notes for the tables %q, want both", tables)
	}
}

func TestSkipper_RefusesWhatDoesNotWaitForTheTable(t *testing.T) {
	s, skipper := newLoading(t)
	ctx := t.Context()
	wantRefused := func(id, table, says string) {
		t.Helper()
		if _, err := skipper.Plan(ctx, id, table); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("batch %s, table %s: error %v, want one that says %q", id, table, err, says)
		}
	}
	wantRefused("b", "glue://lake/trips", "not published yet")
	must(t, s.store.MarkPublished(ctx, "b", time.Now()))
	wantRefused("b", "glue://lake/fares", `table "glue://lake/fares": batch b is for glue://lake/trips, s3://lake/trips`)
	wantRefused("other", "glue://lake/trips", "no such item")
	must(t, s.store.MarkLoaded(ctx, "b", "glue://lake/trips"))
	wantRefused("b", "glue://lake/trips", "has batch b already")

	b, err := skipper.Plan(ctx, "b", "s3://lake/trips")
	must(t, err)
	silent := skipper
	silent.Notes.Reason = ""
	if _, err := silent.Skip(ctx, b, "s3://lake/trips"); err == nil {
		t.Error("skipped without a reason")
	}
	unwritten := skipper
	unwritten.Notes.Bucket = "absent"
	if _, err := unwritten.Skip(ctx, b, "s3://lake/trips"); err == nil {
		t.Error("skipped without a note")
	}
	if b, err := s.store.Batch(ctx, "b"); err != nil || len(b.Loaded) != 1 {
		t.Errorf("the refused skips left %+v, %v", b, err)
	}
}

// The command for batches that cannot be published says what a published one waits for.
func TestOutbox_SaysThatAPublishedBatchWaitsForItsTables(t *testing.T) {
	s, _ := newLoading(t)
	must(t, s.store.MarkPublished(t.Context(), "b", time.Now()))
	must(t, s.store.MarkLoaded(t.Context(), "b", "s3://lake/trips"))
	o := Outbox{Store: s.store, API: s.client, Bucket: "out", ManifestPrefix: "manifests/"}
	if _, err := o.Inspect(t.Context(), "b"); err == nil || !strings.Contains(err.Error(), "is published and waits to be loaded into glue://lake/trips") {
		t.Errorf("error %v", err)
	}
	if _, err := s.store.Batch(t.Context(), "b"); err != nil {
		t.Error(err)
	}
}
