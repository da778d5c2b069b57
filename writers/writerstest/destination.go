package writerstest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers"
)

// Place is an empty destination with an independent view of it.
type Place struct {
	// Sink and Other are the sinks of two workers for the same destination.
	Sink, Other writers.Destination
	// Missing is a destination that does not exist.
	Missing writers.Destination
	// Get returns the bytes of a visible file without using the sink, or nil.
	Get func(t *testing.T, key string) []byte
	// Occupy writes bytes under the key of a file, as somebody else would, labelled with the batch of spec. It is nil if
	// nobody else can write to the destination.
	Occupy func(t *testing.T, spec writers.ObjectSpec, body []byte)
}

// TestDestination checks that a destination of any kind keeps the promises of writers.Destination and writers.Upload.
func TestDestination(t *testing.T, open func(t *testing.T) Place) {
	for name, test := range map[string]func(*testing.T, Place){
		"bytes are invisible until they are published and whole afterwards": invisibleUntilPublished,
		"publishing again gives the same answer":                            publishAgain,
		"another worker may publish":                                        publishByAnother,
		"an aborted upload cannot be published":                             publishAborted,
		"aborting again, or after the publishing, does no harm":             abortAgain,
		"an object of somebody else is not taken for the file":              foreignObject,
		"an object of the batch with another size is not the file":          otherSize,
		"an abandoned upload leaves nothing visible":                        abandon,
		"the end of the context ends an upload":                             contextEnds,
		"check tells a destination from none":                               check,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

const batchID = "01J8ZK3V7Q-0001"

// spec returns an object whose key has special characters, as partitions may.
func spec(name string) writers.ObjectSpec {
	return writers.ObjectSpec{
		Key:         "trips/year=2026/month=11/part key=a+b/" + name,
		ContentType: "application/x-ndjson",
		Metadata:    map[string]string{writers.MetadataBatchID: batchID},
	}
}

// random returns incompressible bytes that depend on the seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = c.Read(b) // never fails
	return b
}

// stage uploads a body in writes of odd sizes, finishes it, and returns the file as the outbox restores it.
func stage(t *testing.T, p Place, s writers.ObjectSpec, body []byte) checkpoint.File {
	t.Helper()
	u, err := p.Sink.Begin(t.Context(), s)
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
	return outbox(t, f)
}

// outbox passes a file through the outbox, as from one worker to another.
func outbox(t *testing.T, f checkpoint.File) checkpoint.File {
	t.Helper()
	data, err := checkpoint.EncodeFiles([]checkpoint.File{f})
	if err != nil {
		t.Fatal(err)
	}
	files, err := checkpoint.DecodeFiles(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(files, []checkpoint.File{f}) {
		t.Fatalf("the outbox makes %+v of %+v: members of Staged have names of a File's, or it is not compact", files[0], f)
	}
	return files[0]
}

func publish(t *testing.T, d writers.Destination, f checkpoint.File) string {
	t.Helper()
	etag, err := d.Publish(t.Context(), f, batchID)
	if err != nil {
		t.Fatal(err)
	}
	if etag == "" {
		t.Fatal("publish gave no ETag")
	}
	return etag
}

func invisibleUntilPublished(t *testing.T, p Place) {
	s, body := spec("large"), random(1, 11<<20+5)
	f := stage(t, p, s, body)
	if p.Get(t, s.Key) != nil {
		t.Fatal("the object is visible before it is published")
	}
	if f.Key != s.Key || f.Bytes != int64(len(body)) || len(f.Staged) == 0 {
		t.Fatalf("staged file is %+v", f)
	}
	publish(t, p.Sink, f)
	if got := p.Get(t, s.Key); !bytes.Equal(got, body) {
		t.Fatalf("%d bytes came back, not the %d that were written", len(got), len(body))
	}
}

func publishAgain(t *testing.T, p Place) {
	f := stage(t, p, spec("twice"), []byte("once\n"))
	first := publish(t, p.Sink, f)
	if again := publish(t, p.Sink, f); again != first {
		t.Fatalf("ETag %s became %s", first, again)
	}
}

func publishByAnother(t *testing.T, p Place) {
	s := spec("left behind")
	f := stage(t, p, s, []byte("by another\n"))
	first := publish(t, p.Other, f)
	if again := publish(t, p.Sink, f); again != first {
		t.Fatalf("ETag %s became %s", first, again)
	}
	if got := p.Get(t, s.Key); string(got) != "by another\n" {
		t.Fatalf("the file holds %q", got)
	}
}

func publishAborted(t *testing.T, p Place) {
	s := spec("aborted")
	f := stage(t, p, s, []byte("never\n"))
	if err := p.Sink.Abort(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sink.Publish(t.Context(), f, batchID); !errors.Is(err, writers.ErrUploadGone) {
		t.Fatalf("publishing gave %v", err)
	}
	if p.Get(t, s.Key) != nil {
		t.Fatal("the object is visible")
	}
}

func abortAgain(t *testing.T, p Place) {
	s := spec("aborted twice")
	aborted := stage(t, p, s, []byte("never\n"))
	for range 2 {
		if err := p.Sink.Abort(t.Context(), aborted); err != nil {
			t.Fatal(err)
		}
	}
	s = spec("published")
	published := stage(t, p, s, []byte("ever\n"))
	publish(t, p.Sink, published)
	if err := p.Other.Abort(t.Context(), published); err != nil {
		t.Fatal(err)
	}
	if p.Get(t, s.Key) == nil {
		t.Fatal("aborting has removed a published object")
	}
	if err := p.Sink.Abort(t.Context(), checkpoint.File{Key: "never begun"}); err != nil {
		t.Fatal(err)
	}
}

func foreignObject(t *testing.T, p Place) {
	if p.Occupy == nil {
		t.Skip("nobody else can write here")
	}
	s := spec("foreign")
	f := stage(t, p, s, []byte("ours\n"))
	if err := p.Sink.Abort(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	foreign := s
	foreign.Metadata = map[string]string{writers.MetadataBatchID: "another batch"}
	p.Occupy(t, foreign, []byte("ours\n"))
	if etag, err := p.Sink.Publish(t.Context(), f, batchID); err == nil || errors.Is(err, writers.ErrUploadGone) {
		t.Fatalf("publishing gave %q, %v", etag, err)
	}
}

func otherSize(t *testing.T, p Place) {
	if p.Occupy == nil {
		t.Skip("nobody else can write here")
	}
	s := spec("other size")
	f := stage(t, p, s, []byte("ours\n"))
	if err := p.Sink.Abort(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	p.Occupy(t, s, []byte("ours, but not whole"))
	if etag, err := p.Sink.Publish(t.Context(), f, batchID); err == nil || errors.Is(err, writers.ErrUploadGone) {
		t.Fatalf("publishing gave %q, %v", etag, err)
	}
}

func abandon(t *testing.T, p Place) {
	s := spec("abandoned")
	u, err := p.Sink.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(random(2, 6<<20)); err != nil {
		t.Fatal(err)
	}
	f := u.Abandon()
	if len(f.Staged) == 0 || f.Key != s.Key {
		t.Fatalf("abandoned file is %+v", f)
	}
	if _, err := u.Write([]byte("more")); err == nil {
		t.Fatal("an abandoned upload takes bytes")
	}
	if err := p.Sink.Abort(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sink.Publish(t.Context(), f, batchID); err == nil {
		t.Fatal("an abandoned upload can be published")
	}
	if p.Get(t, s.Key) != nil {
		t.Fatal("the object is visible")
	}
}

func contextEnds(t *testing.T, p Place) {
	ctx, cancel := context.WithCancel(t.Context())
	u, err := p.Sink.Begin(ctx, spec("cut short"))
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
	if _, err := p.Sink.Begin(ctx, spec("not begun")); !errors.Is(err, context.Canceled) {
		t.Fatalf("beginning gave %v", err)
	}
	if err := p.Sink.Abort(t.Context(), u.Abandon()); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, p Place) {
	if err := p.Sink.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Missing.Check(t.Context()); err == nil {
		t.Fatal("a destination that does not exist is ready")
	}
}
