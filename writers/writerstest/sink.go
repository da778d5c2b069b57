// Package writerstest holds the behaviour that every implementation of the interfaces of writers has to show, and aids
// for tests of what uses them.
package writerstest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers"
)

// Object is what an independent client sees of an object.
type Object struct {
	Body            []byte
	ContentType     string
	ContentEncoding string
	Metadata        map[string]string
}

// Bucket is an empty bucket with its sinks and an independent view of it.
type Bucket struct {
	// Sink and Other are two workers' sinks to the same bucket.
	Sink, Other writers.Sink
	// Missing is a sink to a bucket that does not exist.
	Missing writers.Sink
	// Get reads an object without the sink; nil if there is none.
	Get func(t *testing.T, key string) *Object
}

// TestSink holds a sink to the promises of writers.Sink and writers.Upload.
func TestSink(t *testing.T, open func(t *testing.T) Bucket) {
	tests := map[string]func(*testing.T, Bucket){
		"bytes are invisible until they are published and whole afterwards": invisibleUntilPublished,
		"publishing again gives the same answer":                            publishAgain,
		"another worker may publish":                                        publishByAnother,
		"an aborted upload can not be published":                            publishAborted,
		"aborting again, or after the publishing, does no harm":             abortAgain,
		"an object of somebody else is not taken for the file":              foreignObject,
		"an object of the batch with another size is not the file":          otherSize,
		"an abandoned upload leaves nothing visible":                        abandon,
		"put replaces an object":                                            putReplaces,
		"a list is read and deleted by any worker":                          lists,
		"an object is known by the batch that has written it":               written,
		"the end of the context ends an upload":                             contextEnds,
		"check tells a bucket from none":                                    check,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

const batchID = "01J8ZK3V7Q-0001"

// spec has a key with the characters that partitions bring along.
func spec(name string) writers.ObjectSpec {
	return writers.ObjectSpec{
		Key:         "trips/year=2026/month=11/part key=a+b/" + name,
		ContentType: "application/x-ndjson",
		Metadata:    map[string]string{writers.MetadataBatchID: batchID},
	}
}

// random returns bytes that do not compress and differ between seeds.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = c.Read(b) // never fails
	return b
}

// stage uploads a body in writes of odd sizes and finishes it.
func stage(t *testing.T, b Bucket, s writers.ObjectSpec, body []byte) checkpoint.File {
	t.Helper()
	u, err := b.Sink.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 777_777)
		if written, err := u.Write(rest[:n]); err != nil || written != n {
			t.Fatalf("wrote %d of %d bytes: %v", written, n, err)
		}
		rest = rest[n:]
	}
	f, err := u.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func publish(t *testing.T, s writers.Sink, f checkpoint.File) string {
	t.Helper()
	etag, err := s.Publish(t.Context(), f, batchID)
	if err != nil {
		t.Fatal(err)
	}
	if etag == "" {
		t.Fatal("publish gave no ETag")
	}
	return etag
}

func invisibleUntilPublished(t *testing.T, b Bucket) {
	s, body := spec("large"), random(1, 11<<20+5)
	f := stage(t, b, s, body)
	if b.Get(t, s.Key) != nil {
		t.Fatal("the object is visible before it is published")
	}
	if f.Key != s.Key || f.Bytes != int64(len(body)) || f.UploadID == "" || f.Bucket == "" || len(f.Parts) < 2 {
		t.Fatalf("staged file is %+v", f)
	}
	publish(t, b.Sink, f)
	o := b.Get(t, s.Key)
	if o == nil {
		t.Fatal("the object is not visible after it is published")
	}
	if !bytes.Equal(o.Body, body) {
		t.Fatalf("%d bytes came back, not the %d that were written", len(o.Body), len(body))
	}
	if o.ContentType != s.ContentType || o.Metadata[writers.MetadataBatchID] != batchID {
		t.Fatalf("labels came back as %q, %v", o.ContentType, o.Metadata)
	}
}

func publishAgain(t *testing.T, b Bucket) {
	f := stage(t, b, spec("twice"), []byte("once\n"))
	first := publish(t, b.Sink, f)
	if again := publish(t, b.Sink, f); again != first {
		t.Fatalf("ETag %s became %s", first, again)
	}
}

func publishByAnother(t *testing.T, b Bucket) {
	s := spec("left behind")
	f := stage(t, b, s, []byte("by another\n"))
	first := publish(t, b.Other, f)
	if again := publish(t, b.Sink, f); again != first {
		t.Fatalf("ETag %s became %s", first, again)
	}
	if o := b.Get(t, s.Key); o == nil || string(o.Body) != "by another\n" {
		t.Fatalf("object is %+v", o)
	}
}

func publishAborted(t *testing.T, b Bucket) {
	s := spec("aborted")
	f := stage(t, b, s, []byte("never\n"))
	if err := b.Sink.Abort(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sink.Publish(t.Context(), f, batchID); !errors.Is(err, writers.ErrUploadGone) {
		t.Fatalf("publishing gave %v", err)
	}
	if b.Get(t, s.Key) != nil {
		t.Fatal("the object is visible")
	}
}

func abortAgain(t *testing.T, b Bucket) {
	s := spec("aborted twice")
	aborted := stage(t, b, s, []byte("never\n"))
	for range 2 {
		if err := b.Sink.Abort(t.Context(), aborted); err != nil {
			t.Fatal(err)
		}
	}
	s = spec("published")
	published := stage(t, b, s, []byte("ever\n"))
	publish(t, b.Sink, published)
	if err := b.Other.Abort(t.Context(), published); err != nil {
		t.Fatal(err)
	}
	if b.Get(t, s.Key) == nil {
		t.Fatal("aborting has removed a published object")
	}
	if err := b.Sink.Abort(t.Context(), checkpoint.File{Key: "never begun"}); err != nil {
		t.Fatal(err)
	}
}

func foreignObject(t *testing.T, b Bucket) {
	s := spec("foreign")
	f := stage(t, b, s, []byte("ours\n"))
	if err := b.Sink.Abort(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	foreign := s
	foreign.Metadata = map[string]string{writers.MetadataBatchID: "another batch"}
	if err := b.Sink.Put(t.Context(), foreign, []byte("ours\n")); err != nil {
		t.Fatal(err)
	}
	if etag, err := b.Sink.Publish(t.Context(), f, batchID); err == nil || errors.Is(err, writers.ErrUploadGone) {
		t.Fatalf("publishing gave %q, %v", etag, err)
	}
}

func otherSize(t *testing.T, b Bucket) {
	s := spec("other size")
	f := stage(t, b, s, []byte("ours\n"))
	if err := b.Sink.Abort(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if err := b.Sink.Put(t.Context(), s, []byte("ours, but not whole")); err != nil {
		t.Fatal(err)
	}
	if etag, err := b.Sink.Publish(t.Context(), f, batchID); err == nil || errors.Is(err, writers.ErrUploadGone) {
		t.Fatalf("publishing gave %q, %v", etag, err)
	}
}

func abandon(t *testing.T, b Bucket) {
	s := spec("abandoned")
	u, err := b.Sink.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(random(2, 6<<20)); err != nil {
		t.Fatal(err)
	}
	f := u.Abandon()
	if f.UploadID == "" || f.Key != s.Key {
		t.Fatalf("abandoned file is %+v", f)
	}
	if _, err := u.Write([]byte("more")); err == nil {
		t.Fatal("an abandoned upload takes bytes")
	}
	if err := b.Sink.Abort(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sink.Publish(t.Context(), f, batchID); err == nil {
		t.Fatal("an abandoned upload can be published")
	}
	if b.Get(t, s.Key) != nil {
		t.Fatal("the object is visible")
	}
}

func putReplaces(t *testing.T, b Bucket) {
	s := writers.ObjectSpec{Key: "manifests/batch.json", ContentType: "application/json"}
	for _, body := range []string{`{"files":[]}`, `{"files":[1]}`, `{"files":[1]}`} {
		if err := b.Sink.Put(t.Context(), s, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if o := b.Get(t, s.Key); o == nil || string(o.Body) != body || o.ContentType != s.ContentType {
			t.Fatalf("object is %+v, not %s", o, body)
		}
	}
}

func lists(t *testing.T, b Bucket) {
	bucket := stage(t, b, spec("staged"), []byte("staged\n")).Bucket
	content := random(3, 100_000)
	s := writers.ObjectSpec{Key: "manifests/outbox/b.json.zst", Metadata: map[string]string{writers.MetadataBatchID: batchID}}
	if err := b.Sink.Put(t.Context(), s, content); err != nil {
		t.Fatal(err)
	}
	l := *checkpoint.NewFileList(bucket, s.Key, 1, content)
	for name, sink := range map[string]writers.Sink{"its own sink": b.Sink, "another": b.Other} {
		got, id, err := sink.ReadList(t.Context(), l)
		if err != nil || !bytes.Equal(got, content) || id != batchID {
			t.Fatalf("%s read %d bytes of batch %q: %v", name, len(got), id, err)
		}
	}
	elsewhere := l
	elsewhere.Key += "x"
	if _, _, err := b.Sink.ReadList(t.Context(), elsewhere); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Fatalf("reading an object that is not there: %v", err)
	}
	if err := b.Sink.DeleteList(t.Context(), elsewhere); err != nil {
		t.Fatalf("deleting an object that is not there: %v", err)
	}
	for range 2 {
		if err := b.Other.DeleteList(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if b.Get(t, s.Key) != nil {
		t.Fatal("the deleted object is there")
	}
	if _, _, err := b.Sink.ReadList(t.Context(), l); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Fatalf("reading the deleted object: %v", err)
	}
}

func written(t *testing.T, b Bucket) {
	s := spec("manifest")
	for _, want := range []bool{false, true} {
		if got, err := b.Other.Written(t.Context(), s.Bucket, s.Key, batchID); err != nil || got != want {
			t.Fatalf("written: %t, %v; want %t", got, err, want)
		}
		if err := b.Sink.Put(t.Context(), s, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Other.Written(t.Context(), s.Bucket, s.Key, "another batch"); err != nil || got {
		t.Fatalf("written by another batch: %t, %v", got, err)
	}
}

func contextEnds(t *testing.T, b Bucket) {
	ctx, cancel := context.WithCancel(t.Context())
	u, err := b.Sink.Begin(ctx, spec("cut short"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := u.Write([]byte("x")); !errors.Is(err, context.Canceled) {
		t.Fatalf("writing gave %v", err)
	}
	if _, err := u.Finish(t.Context()); !errors.Is(err, context.Canceled) {
		t.Fatalf("finishing gave %v", err)
	}
	if _, err := b.Sink.Begin(ctx, spec("not begun")); !errors.Is(err, context.Canceled) {
		t.Fatalf("beginning gave %v", err)
	}
	if err := b.Sink.Abort(t.Context(), u.Abandon()); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, b Bucket) {
	if err := b.Sink.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Missing.Check(t.Context()); err == nil {
		t.Fatal("a bucket that does not exist is ready")
	}
}
