package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers"
)

// stuck is a stage with a batch in the outbox whose files lie in a bucket that is not the configured one.
type stuck struct {
	*stage
	client *s3.Client
	batch  checkpoint.Batch
}

func newStuck(t *testing.T) *stuck {
	t.Helper()
	s := newStage(t, "", false)
	st := &stuck{stage: s, client: s.mover.notes.client}
	_, err := st.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("before")})
	must(t, err)
	row := s.lease("shard-2")
	st.batch = checkpoint.Batch{
		ID: "stuck", Worker: "worker", Created: time.Now().Add(-3 * time.Hour),
		Ranges:   []checkpoint.Range{{Shard: "shard-2", Start: row.Checkpoint, End: "300", LeaseOwner: row.Owner, LeaseCounter: row.Counter}},
		Manifest: checkpoint.Place{Bucket: "before", Key: "manifests-before/stuck.json"},
	}
	for _, key := range []string{"data/0", "data/1", "data/2"} {
		st.batch.Files = append(st.batch.Files, checkpoint.File{Bucket: "before", Key: key, Rows: 3, UploadID: st.begin(key)})
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
	_, err := st.client.AbortMultipartUpload(st.t.Context(), &s3.AbortMultipartUploadInput{Bucket: &f.Bucket, Key: &f.Key, UploadId: &f.UploadID})
	must(st.t, err)
}

func (st *stuck) put(key, batch string) {
	st.t.Helper()
	_, err := st.client.PutObject(st.t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("before"), Key: &key, Metadata: map[string]string{writers.MetadataBatchID: batch}, Body: strings.NewReader("x"),
	})
	must(st.t, err)
}

func (st *stuck) forget(missing string, ask io.Reader) (said string, err error) {
	var out bytes.Buffer
	fg := forgetter{store: st.store, client: st.client, bucket: "out", manifestPrefix: "manifests/", missing: missing, ask: ask, out: &out}
	err = fg.forget(context.Background(), st.batch.ID)
	if err != nil {
		out.WriteString(err.Error())
	}
	return out.String(), err
}

func (st *stuck) inOutbox() bool {
	_, err := st.store.Batch(context.Background(), st.batch.ID)
	return err == nil
}

// wantRefused checks that nothing was removed, and what was said.
func (st *stuck) wantRefused(said string, err error, texts ...string) {
	st.t.Helper()
	if err == nil || !st.inOutbox() {
		st.t.Errorf("the batch was removed: %v\n%s", err, said)
	}
	for _, text := range texts {
		if !strings.Contains(said, text) {
			st.t.Errorf("it does not say %q:\n%s", text, said)
		}
	}
}

func (st *stuck) manifest() *checkpoint.Batch {
	st.t.Helper()
	out, err := st.client.GetObject(st.t.Context(), &s3.GetObjectInput{Bucket: &st.batch.Manifest.Bucket, Key: &st.batch.Manifest.Key})
	if err != nil {
		return nil
	}
	defer out.Body.Close()
	var b checkpoint.Batch
	must(st.t, json.NewDecoder(out.Body).Decode(&b))
	return &b
}

func TestForget_LeavesABatchThatAWorkerPublishes(t *testing.T) {
	st := newStuck(t)
	said, err := st.forget("", nil)
	st.wantRefused(said, err, "s3://before/data/1", "waits in its upload", "3 files wait in their uploads")
	said, err = st.forget(missingDelivered, nil)
	st.wantRefused(said, err, "3 files wait")
	for _, f := range st.batch.Files {
		st.put(f.Key, "stuck")
	}
	for _, missing := range []string{"", missingDelivered, missingLost} {
		said, err = st.forget(missing, nil)
		st.wantRefused(said, err, "only lacks its manifest")
	}
	st.put(st.batch.Manifest.Key, "stuck")
	for _, f := range st.batch.Files {
		_, err := st.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: &f.Key})
		must(t, err)
	}
	for _, missing := range []string{"", missingDelivered, missingLost} {
		said, err = st.forget(missing, nil)
		st.wantRefused(said, err, "all of it was delivered")
	}
}

// Whether a rewind mends or doubles is the operator's to find out: nothing is suggested before.
func TestForget_AsksWhatBecameOfMissingFilesBeforeItNamesACure(t *testing.T) {
	st := newStuck(t)
	st.put("data/0", "stuck")
	for file := range st.batch.Files {
		st.end(file)
	}
	must(t, st.store.NotePublished(t.Context(), "stuck", []int{2}))
	said, err := st.forget("", nil)
	st.wantRefused(said, err, "1 files are missing", "was published, and moved", "sealed 3h0m0s ago", "lifecycle rule", "CompleteMultipartUpload",
		"--missing delivered or --missing lost")
	if strings.Contains(said, "rewind") {
		t.Errorf("a rewind is suggested:\n%s", said)
	}
	said, err = st.forget(missingLost, strings.NewReader("no"))
	st.wantRefused(said, err)
}

func TestForget_LostFilesAreToBeDeliveredAgain(t *testing.T) {
	st := newStuck(t)
	st.put("data/0", "stuck")
	st.put("data/1", "somebody else's")
	for file := range st.batch.Files {
		st.end(file)
	}
	said, err := st.forget(missingLost, strings.NewReader("yes"))
	if err != nil || st.inOutbox() || st.manifest() != nil {
		t.Errorf("error %v, in the outbox: %v, manifest %v", err, st.inOutbox(), st.manifest())
	}
	for _, text := range []string{"rewind --shard shard-2 --to 200", "delivered after this batch is delivered again", `object of batch "somebody else's"`} {
		if !strings.Contains(said, text) {
			t.Errorf("it does not say %q:\n%s", text, said)
		}
	}
	if _, err := st.forget(missingLost, nil); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("the second time: error %v", err)
	}
}

func TestForget_DeliveredFilesNeedOnlyTheManifest(t *testing.T) {
	st := newStuck(t)
	st.put("data/0", "stuck")
	for file := range st.batch.Files {
		st.end(file)
	}
	said, err := st.forget(missingDelivered, strings.NewReader("yes"))
	if err != nil || st.inOutbox() || strings.Contains(said, "rewind") {
		t.Errorf("error %v, in the outbox: %v; it said\n%s", err, st.inOutbox(), said)
	}
	m := st.manifest()
	if m == nil || len(m.Files) != 3 || m.Files[0].ETag == "" || m.Files[1].ETag != "" || m.Files[0].UploadID != "" || m.Ranges[0].End != "300" {
		t.Errorf("the manifest is %+v", m)
	}
}

func TestForget_OfABatchWhoseFilesAreInAnObject(t *testing.T) {
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

	// Without its list nobody can publish the batch, and it has to be possible to clear it out.
	said, err := st.forget("", nil)
	st.wantRefused(said, err, "there is no object s3://before/manifests-before/outbox/listed.json.zst", "--missing lost")
	putList(append(data, "more"...))
	said, err = st.forget(missingDelivered, nil)
	st.wantRefused(said, err, "the list of files is lost", "cannot be written without the list")
	said, err = st.forget(missingLost, strings.NewReader("no"))
	st.wantRefused(said, err, "rewind --shard shard-2")

	putList(data)
	said, err = st.forget("", nil)
	st.wantRefused(said, err, "3 files wait in their uploads")
	st.put("data/0", "listed")
	st.end(0)
	st.end(1)
	st.end(2)
	said, err = st.forget(missingDelivered, strings.NewReader("yes"))
	must(t, err)
	if st.inOutbox() || !strings.Contains(said, "listed.json.zst, is of no more use") {
		t.Errorf("in the outbox: %v; it said\n%s", st.inOutbox(), said)
	}
	if m := st.manifest(); m == nil || len(m.Files) != 3 || m.List != nil {
		t.Errorf("manifest %+v", m)
	}
}
