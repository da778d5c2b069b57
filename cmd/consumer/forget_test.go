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

// stuck is an outbox with a batch of two files that were published and moved, or lost.
type stuck struct {
	t      *testing.T
	outbox positions.Outbox
}

func newStuck(t *testing.T, list *checkpoint.FileList) *stuck {
	t.Helper()
	store := newTable(t)
	row, err := store.Lease(t.Context(), "shard-2")
	must(t, err)
	row, err = store.Acquire(t.Context(), row, "worker")
	must(t, err)
	b := checkpoint.Batch{
		ID: "stuck", Worker: "worker", Created: time.Now().Add(-3 * time.Hour), List: list,
		Ranges:   []checkpoint.Range{{Shard: "shard-2", Start: row.Checkpoint, End: "300", LeaseOwner: row.Owner, LeaseCounter: row.Counter}},
		Manifest: checkpoint.Place{Bucket: "before", Key: "manifests-before/stuck.json"},
	}
	if list == nil {
		b.Files = []checkpoint.File{{Bucket: "before", Key: "data/0", Rows: 3}, {Bucket: "before", Key: "data/1", Rows: 12}}
	}
	must(t, store.Commit(t.Context(), b))
	return &stuck{t, positions.Outbox{Store: store, API: newBuckets(t), Bucket: "out", ManifestPrefix: "manifests/"}}
}

// wantSaid runs the command and checks whether the batch is gone, and what the output contains and does not contain.
func (s *stuck) wantSaid(fate positions.Fate, ask io.Reader, gone bool, says []string, silent ...string) {
	s.t.Helper()
	var out bytes.Buffer
	err := runForget(s.t.Context(), s.outbox, "stuck", fate, ask, &out)
	if err != nil {
		out.WriteString(err.Error())
	}
	_, left := s.outbox.Store.Batch(s.t.Context(), "stuck")
	if (err == nil) != gone || errors.Is(left, checkpoint.ErrNotFound) != gone {
		s.t.Errorf("fate %q: error %v, in the outbox: %v", fate, err, left)
	}
	for _, text := range says {
		if !strings.Contains(out.String(), text) {
			s.t.Errorf("fate %q: it does not say %q:\n%s", fate, text, &out)
		}
	}
	for _, text := range silent {
		if strings.Contains(out.String(), text) {
			s.t.Errorf("fate %q: it says %q:\n%s", fate, text, &out)
		}
	}
}

// Only the operator can find out whether a rewind restores or duplicates records: until then nothing is suggested.
func TestRunForget_AsksWhatBecameOfMissingFilesBeforeItNamesACure(t *testing.T) {
	s := newStuck(t, nil)
	s.wantSaid(positions.Unknown, nil, false, []string{
		"FILE                ROWS  STATE\ns3://before/data/0  3     missing: neither the upload nor the object exists\ns3://before/data/1  12 ",
		"2 files are missing", "sealed 3h0m0s ago", "lifecycle rule", "CompleteMultipartUpload", "--missing delivered or --missing lost",
	}, "rewind")
	s.wantSaid(positions.Delivered, strings.NewReader("no"), false, []string{"Type yes", "nothing was removed"}, "rewind")
	s.wantSaid(positions.Delivered, strings.NewReader("yes"), true, []string{"removed batch stuck from the outbox\n"}, "rewind")
}

func TestRunForget_SaysHowLostFilesAreDeliveredAgain(t *testing.T) {
	s := newStuck(t, nil)
	cure := []string{"consumer checkpoint rewind --shard shard-2 --to 200\n", "delivered after this batch is delivered again"}
	s.wantSaid(positions.Lost, strings.NewReader("no"), false, append(cure, "nothing was removed"))
	s.wantSaid(positions.Lost, strings.NewReader("yes"), true, append(cure, "removed batch stuck from the outbox"))
}

func TestRunForget_OfABatchWhoseListIsGone(t *testing.T) {
	s := newStuck(t, checkpoint.NewFileList("before", "manifests-before/outbox/stuck.json.zst", 400, []byte("files")))
	says := []string{"there is no object s3://before/manifests-before/outbox/stuck.json.zst\nWithout it the state of the batch's 400 files is unknown: look for keys that contain stuck.\nFILE"}
	s.wantSaid(positions.Unknown, nil, false, append(says, "400 files are missing"))
	s.wantSaid(positions.Lost, nil, true, append(says, "rewind"), "is no longer needed")
}
