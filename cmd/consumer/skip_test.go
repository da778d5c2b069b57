package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/positions"
)

func TestSkip_AsksBeforeATableGoesWithoutABatch(t *testing.T) {
	const table = "glue://lake/trips"
	store := newTable(t)
	row, err := store.Lease(t.Context(), "shard-2")
	must(t, err)
	row, err = store.Acquire(t.Context(), row, "worker")
	must(t, err)
	must(t, store.Commit(t.Context(), checkpoint.Batch{
		ID: "b", Worker: "worker", Created: time.Now(), Tables: []string{table, "s3://lake/trips"},
		List:   checkpoint.NewFileList("out", "manifests/outbox/b.json.zst", 1, []byte("list")),
		Ranges: []checkpoint.Range{{Shard: "shard-2", Start: row.Checkpoint, End: "300", LeaseOwner: row.Owner, LeaseCounter: row.Counter, Records: 7}},
	}))
	must(t, store.MarkPublished(t.Context(), "b", time.Now()))
	skipper := positions.Skipper{Store: store, Notes: positions.Notes{API: newBuckets(t), Bucket: "out", ManifestPrefix: "manifests/", Reason: "a test"}}
	for _, step := range []struct {
		table, answer, says string
		waiting             int // tables that wait for the batch afterwards
	}{
		{table, "no", "nothing was skipped", 2},
		{table, "yes", "batch b with 7 records", 1},
		{table, "yes", "has batch b already", 1},
		{"s3://lake/trips", "yes", "skipped batch b and removed it from the outbox", 0},
	} {
		var out bytes.Buffer
		var ask io.Reader = strings.NewReader(step.answer)
		if err := runSkip(t.Context(), skipper, "b", step.table, ask, &out); err != nil {
			out.WriteString(err.Error())
		}
		if !strings.Contains(out.String(), step.says) {
			t.Errorf("table %s, answer %q: it does not say %q:\n%s", step.table, step.answer, step.says, &out)
		}
		b, err := store.Batch(t.Context(), "b")
		if waiting := len(b.Tables) - len(b.Loaded); waiting != step.waiting || (step.waiting == 0) != errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("table %s, answer %q: %d tables wait, want %d: %v", step.table, step.answer, waiting, step.waiting, err)
		}
	}
}
