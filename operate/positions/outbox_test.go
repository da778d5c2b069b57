package positions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// stuck is a stage with a batch in the outbox whose files are in a bucket that is not the configured one.
type stuck struct {
	*stage
	batch checkpoint.Batch
}

func newStuck(t *testing.T) *stuck {
	t.Helper()
	s := newStage(t)
	st := &stuck{stage: s}
	_, err := st.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("before")})
	must(t, err)
	row := s.lease("shard-2")
	st.batch = checkpoint.Batch{
		ID: "stuck", Worker: "worker", Created: time.Now().Add(-3 * time.Hour),
		Ranges:   []checkpoint.Range{{Shard: "shard-2", Start: row.Checkpoint, End: "300", LeaseOwner: row.Owner, LeaseCounter: row.Counter}},
		Manifest: checkpoint.Place{Bucket: "before", Key: "manifests-before/stuck.json"},
	}
	for _, key := range []string{"data/0", "data/1", "data/2"} {
		st.batch.Files = append(st.batch.Files, checkpoint.File{Bucket: "before", Key: key, Rows: 3, Staged: fmt.Appendf(nil, `{"upload_id":%q}`, st.begin(key))})
	}
	must(t, s.store.Commit(t.Context(), st.batch))
	return st
}

func (st *stuck) begin(key string) string {
	st.t.Helper()
	out, err := st.client.CreateMultipartUpload(st.t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("before"), Key: &key})
	must(st.t, err)
	return *out.UploadId
}

// end removes the upload of a file.
func (st *stuck) end(file int) {
	st.t.Helper()
	f := st.batch.Files[file]
	var upload struct {
		ID string `json:"upload_id"`
	}
	must(st.t, json.Unmarshal(f.Staged, &upload))
	_, err := st.client.AbortMultipartUpload(st.t.Context(), &s3.AbortMultipartUploadInput{Bucket: &f.Bucket, Key: &f.Key, UploadId: &upload.ID})
	must(st.t, err)
}

func (st *stuck) put(key, batch string) {
	st.t.Helper()
	_, err := st.client.PutObject(st.t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("before"), Key: &key, Metadata: map[string]string{writers.MetadataBatchID: batch}, Body: strings.NewReader("x"),
	})
	must(st.t, err)
}

// forget inspects the batch and removes it from the outbox.
func (st *stuck) forget(fate Fate) (Remains, error) {
	o := Outbox{Store: st.store, API: st.client, Bucket: "out", ManifestPrefix: "manifests/"}
	r, err := o.Inspect(context.Background(), st.batch.ID)
	if err == nil {
		err = o.Forget(context.Background(), r, fate)
	}
	return r, err
}

func (st *stuck) inOutbox() bool {
	_, err := st.store.Batch(context.Background(), st.batch.ID)
	return err == nil
}

// wantRefused checks that the batch stays in the outbox, whatever is said of its missing files, and why.
func (st *stuck) wantRefused(says string, fates ...Fate) {
	st.t.Helper()
	for _, fate := range fates {
		if _, err := st.forget(fate); err == nil || !strings.Contains(err.Error(), says) || !st.inOutbox() {
			st.t.Errorf("fate %q: error %v, in the outbox: %v; want an error that says %q", fate, err, st.inOutbox(), says)
		}
	}
}

func wantStates(t *testing.T, r Remains, waiting, missing int, states ...string) {
	t.Helper()
	var got []string
	for _, s := range r.Files {
		got = append(got, string(s))
	}
	if r.Waiting != waiting || r.Missing != missing || !slices.Equal(got, states) {
		t.Errorf("%d files wait and %d are missing, want %d and %d; they are\n%q, want\n%q", r.Waiting, r.Missing, waiting, missing, got, states)
	}
}

func (st *stuck) manifest() *layout.Manifest {
	st.t.Helper()
	body, _, err := objects.Bucket{API: st.client, Name: st.batch.Manifest.Bucket}.Read(context.Background(), st.batch.Manifest.Key, layout.MaxManifest)
	if errors.Is(err, objects.ErrNotFound) {
		return nil
	}
	must(st.t, err)
	m, err := layout.DecodeManifest(body)
	must(st.t, err)
	return &m
}

func TestOutbox_LeavesABatchThatAWorkerPublishes(t *testing.T) {
	st := newStuck(t)
	r, err := st.forget(Unknown)
	if !errors.Is(err, ErrUnknownFate) {
		t.Errorf("error %v, want %v", err, ErrUnknownFate)
	}
	wantStates(t, r, 3, 0, string(waiting), string(waiting), string(waiting))
	st.wantRefused("is unknown", Unknown)
	st.wantRefused("3 files are still uploads", Delivered)
	for _, f := range st.batch.Files {
		st.put(f.Key, "stuck")
	}
	st.wantRefused("only its manifest is missing", Unknown, Delivered, Lost)
	st.put(st.batch.Manifest.Key, "stuck")
	for _, f := range st.batch.Files {
		_, err := st.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: &f.Key})
		must(t, err)
	}
	st.wantRefused("so the batch was delivered", Unknown, Delivered, Lost)
}

func TestOutbox_TellsWhatThereIsOfEachFile(t *testing.T) {
	st := newStuck(t)
	st.put("data/0", "stuck")
	st.put("data/1", "somebody else's")
	for file := range st.batch.Files {
		st.end(file)
	}
	must(t, st.store.NotePublished(t.Context(), "stuck", []int{2}))
	r, err := st.forget(Unknown)
	if !errors.Is(err, ErrUnknownFate) || r.Batch.Files[0].ETag == "" {
		t.Errorf("error %v, files %+v", err, r.Batch.Files)
	}
	wantStates(t, r, 0, 1, string(there), `missing: its key holds an object of batch "somebody else's"`, string(published))
}

func TestOutbox_ForgetsABatchWhoseFilesAreLost(t *testing.T) {
	st := newStuck(t)
	st.put("data/0", "stuck")
	for file := range st.batch.Files {
		st.end(file)
	}
	if r, err := st.forget(Lost); err != nil || st.inOutbox() || st.manifest() != nil || r.Batch.Ranges[0].Start != "200" {
		t.Errorf("error %v, in the outbox: %v, manifest %v, batch %+v", err, st.inOutbox(), st.manifest(), r.Batch)
	}
	if _, err := st.forget(Lost); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("the second time: error %v", err)
	}
}

func TestOutbox_OfDeliveredFilesOnlyTheManifestIsMissing(t *testing.T) {
	st := newStuck(t)
	st.put("data/0", "stuck")
	for file := range st.batch.Files {
		st.end(file)
	}
	if _, err := st.forget(Delivered); err != nil || st.inOutbox() {
		t.Errorf("error %v, in the outbox: %v", err, st.inOutbox())
	}
	m := st.manifest()
	if m == nil || len(m.Files) != 3 || m.Files[0].ETag == "" || m.Files[1].ETag != "" || m.Ranges[0].End != "300" {
		t.Errorf("the manifest is %+v", m)
	}
}

func TestOutbox_KeepsABatchWhoseManifestCannotBeWritten(t *testing.T) {
	st := newStuck(t)
	for file := range st.batch.Files {
		st.end(file)
	}
	o := Outbox{Store: st.store, API: st.client, Bucket: "out"}
	r, err := o.Inspect(t.Context(), st.batch.ID)
	must(t, err)
	r.manifest.Bucket = "absent"
	if err := o.Forget(t.Context(), r, Delivered); err == nil || !st.inOutbox() {
		t.Errorf("error %v, in the outbox: %v", err, st.inOutbox())
	}
}

func TestOutbox_OfABatchWhoseFilesAreInAnObject(t *testing.T) {
	st := newStuck(t)
	must(t, st.store.Forget(t.Context(), st.batch.ID))
	data, err := checkpoint.EncodeFiles(st.batch.Files)
	must(t, err)
	st.batch.ID = "listed"
	st.batch.List = checkpoint.NewFileList("before", "manifests-before/outbox/listed.json.zst", len(st.batch.Files), data)
	row := st.lease("shard-2")
	r := &st.batch.Ranges[0]
	r.Start, r.End, r.LeaseOwner, r.LeaseCounter = row.Checkpoint, "400", row.Owner, row.Counter
	must(t, st.store.Commit(t.Context(), st.batch))
	putList := func(body []byte) {
		_, err := st.client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &st.batch.List.Bucket, Key: &st.batch.List.Key, Metadata: map[string]string{writers.MetadataBatchID: "listed"}, Body: bytes.NewReader(body),
		})
		must(t, err)
	}

	// Without its list the batch cannot be published, so it must be possible to remove it.
	remains, err := st.forget(Unknown)
	if !errors.Is(err, ErrUnknownFate) || remains.Unlisted == nil || !strings.Contains(remains.Unlisted.Error(), "there is no object s3://before/manifests-before/outbox/listed.json.zst") {
		t.Errorf("error %v, list: %v", err, remains.Unlisted)
	}
	wantStates(t, remains, 0, 3)
	putList(append(data, "more"...))
	remains, _ = st.forget(Unknown)
	if remains.Unlisted == nil || !strings.Contains(remains.Unlisted.Error(), "the list of files is lost") || remains.Allow(Lost) != nil {
		t.Errorf("list: %v, may be forgotten as lost: %v", remains.Unlisted, remains.Allow(Lost))
	}
	st.wantRefused("cannot be written without the list", Delivered)

	putList(data)
	st.wantRefused("3 files are still uploads", Delivered)
	st.put("data/0", "listed")
	st.end(0)
	st.end(1)
	st.end(2)
	if remains, err = st.forget(Delivered); err != nil || st.inOutbox() || remains.Unlisted != nil {
		t.Errorf("error %v, in the outbox: %v, list: %v", err, st.inOutbox(), remains.Unlisted)
	}
	if m := st.manifest(); m == nil || len(m.Files) != 3 {
		t.Errorf("manifest %+v", m)
	}
}
