// Package writerstest tests the behaviour that every implementation of the interfaces of writers must have, and helps to
// test their users.
package writerstest

import (
	"bytes"
	"errors"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers"
)

// Object is an object as an independent client sees it.
type Object struct {
	Body            []byte
	ContentType     string
	ContentEncoding string
	Metadata        map[string]string
}

// Bucket is an empty bucket with its sinks and an independent view of it.
type Bucket struct {
	// Sink and Other are the sinks of two workers for the same bucket.
	Sink, Other writers.Sink
	// Missing is a sink to a bucket that does not exist.
	Missing writers.Sink
	// Get reads an object without using the sink; it returns nil if there is none.
	Get func(t *testing.T, key string) *Object
}

// TestSink checks that a bucket keeps the promises of writers.Sink, including those of a destination, and of writers.Versions.
func TestSink(t *testing.T, open func(t *testing.T) Bucket) {
	TestDestination(t, func(t *testing.T) Place { return open(t).place() })
	for name, test := range map[string]func(*testing.T, Bucket){
		"a file is an object with its labels":                 labels,
		"put replaces an object":                              putReplaces,
		"a list is read and deleted by any worker":            lists,
		"an object is known by the batch that has written it": written,
		"an object is replaced only as it was read":           versions,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// place returns the bucket as a destination.
func (b Bucket) place() Place {
	return Place{
		Sink: b.Sink, Other: b.Other, Missing: b.Missing,
		Get: func(t *testing.T, key string) []byte {
			t.Helper()
			if o := b.Get(t, key); o != nil {
				return o.Body
			}
			return nil
		},
		Occupy: func(t *testing.T, spec writers.ObjectSpec, body []byte) {
			t.Helper()
			if err := b.Sink.Put(t.Context(), spec, body); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func labels(t *testing.T, b Bucket) {
	s := spec("labelled")
	f := stage(t, b.place(), s, []byte("once\n"))
	if f.Bucket == "" {
		t.Fatalf("staged file is %+v, in no bucket", f)
	}
	publish(t, b.Sink, f)
	o := b.Get(t, s.Key)
	if o == nil || o.ContentType != s.ContentType || o.Metadata[writers.MetadataBatchID] != batchID {
		t.Fatalf("object is %+v", o)
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
	bucket := stage(t, b.place(), spec("staged"), []byte("staged\n")).Bucket
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

func versions(t *testing.T, b Bucket) {
	s := writers.ObjectSpec{Key: "_complete/application.json", ContentType: "application/json"}
	const limit = 1000
	one, other := b.Sink.(writers.Versions), b.Other.(writers.Versions)
	body, none, err := one.ReadVersion(t.Context(), s.Key, limit)
	if err != nil || body != nil || none != "" {
		t.Fatalf("an object that is not there: %q, version %q, %v", body, none, err)
	}
	first, err := one.PutVersion(t.Context(), s, []byte("1"), none)
	if err != nil || first == "" {
		t.Fatalf("the first version is %q, %v", first, err)
	}
	if _, err := other.PutVersion(t.Context(), s, []byte("2"), none); !errors.Is(err, writers.ErrReplaced) {
		t.Fatalf("a second first version: %v, want ErrReplaced", err)
	}
	body, read, err := other.ReadVersion(t.Context(), s.Key, limit)
	if err != nil || string(body) != "1" || read != first {
		t.Fatalf("read %q, version %q, %v; want 1, version %q", body, read, err, first)
	}
	second, err := other.PutVersion(t.Context(), s, []byte("two"), read)
	if err != nil || second == "" || second == first {
		t.Fatalf("the second version is %q, %v", second, err)
	}
	if _, err := one.PutVersion(t.Context(), s, []byte("late"), first); !errors.Is(err, writers.ErrReplaced) {
		t.Fatalf("a write on the first version: %v, want ErrReplaced", err)
	}
	if o := b.Get(t, s.Key); o == nil || string(o.Body) != "two" || o.ContentType != s.ContentType {
		t.Fatalf("the object is %+v", o)
	}
	if _, err := one.PutVersion(t.Context(), writers.ObjectSpec{Key: "elsewhere"}, nil, first); !errors.Is(err, writers.ErrReplaced) {
		t.Fatalf("a version of an object that is not there: %v, want ErrReplaced", err)
	}
	if _, _, err := one.ReadVersion(t.Context(), s.Key, 2); err == nil {
		t.Fatal("an object was read beyond its limit")
	}
	if _, err := one.PutVersion(t.Context(), writers.ObjectSpec{Key: "data/_SUCCESS"}, nil, ""); err != nil {
		t.Fatalf("an empty object: %v", err)
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
