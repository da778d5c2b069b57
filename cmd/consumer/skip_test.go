package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/command"
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

// The table is named as in TABLE or as batches name it.
func TestSkip_TakesATableInEachFormOfItsName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "checkpoints.db")
	store, err := local.Open(file)
	must(t, err)
	must(t, store.CreateLeases(t.Context(), []checkpoint.Lease{{Shard: "shard-2", Checkpoint: "200"}}))
	row, err := store.Lease(t.Context(), "shard-2")
	must(t, err)
	row, err = store.Acquire(t.Context(), row, "worker")
	must(t, err)
	must(t, store.Commit(t.Context(), checkpoint.Batch{
		ID: "b", Worker: "worker", Created: time.Now(), Tables: []string{"postgres://db/lake/public.trips"},
		List:   checkpoint.NewFileList("out", "manifests/outbox/b.json.zst", 1, []byte("list")),
		Ranges: []checkpoint.Range{{Shard: "shard-2", Start: row.Checkpoint, End: "300", LeaseOwner: row.Owner, LeaseCounter: row.Counter, Records: 7}},
	}))
	must(t, store.MarkPublished(t.Context(), "b", time.Now()))
	must(t, store.Close())
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "BUCKET": "out", "CHECKPOINT_FILE": file,
	} {
		t.Setenv(name, value)
	}
	for name, want := range map[string]string{
		"postgres://db/lake/public.trips":   "table postgres://db/lake/public.trips never gets them",
		"postgres://db/lake/trips":          "table postgres://db/lake/public.trips never gets them",
		"postgresql://db:5432/lake/trips":   "table postgres://db/lake/public.trips never gets them",
		"postgres://db/lake/others":         `table "postgres://db/lake/public.others": batch b is for postgres://db/lake/public.trips`,
		"postgres://u:secret@db/lake/trips": "--table: want no user and password",
		"trips":                             "--table: want glue://",
	} {
		var out bytes.Buffer
		cmd := root()
		cmd.SetIn(strings.NewReader("no\n"))
		err := command.Execute(t.Context(), cmd, []string{"checkpoint", "skip", "--batch", "b", "--table", name, "--reason", "a test"}, &out, &out)
		if printed := fmt.Sprint(out.String(), err); err == nil || !strings.Contains(printed, want) || strings.Contains(printed, "secret") {
			t.Errorf("%s: want %q, got %s", name, want, printed)
		}
	}
}
