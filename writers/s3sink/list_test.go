package s3sink_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"aws-streaming-pipeline/checkpoint"
)

// BUCKET may have changed since a list was written.
func TestSink_ReadsAndDeletesListsWhereTheyLie(t *testing.T) {
	e := newEnv(t, nil)
	content := body(300_000)
	if err := e.sink.Put(t.Context(), spec("lists/a"), content); err != nil {
		t.Fatal(err)
	}
	l := *checkpoint.NewFileList(bucket, "lists/a", 1, content)
	c := config()
	c.Bucket = "another"
	moved := newSink(t, e.endpoint, nil, c)
	if got, id, err := moved.ReadList(t.Context(), l); err != nil || id != batchID || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes of batch %q: %v", len(got), id, err)
	}
	if err := moved.DeleteList(t.Context(), l); err != nil || e.get(t, "lists/a") != nil {
		t.Errorf("not deleted: %v", err)
	}
	if _, _, err := moved.ReadList(t.Context(), l); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("reading the deleted list: %v, want ErrNotFound", err)
	}
}

func TestSink_OutlastsFaultsOfLists(t *testing.T) {
	content := body(300_000)
	for name, strike := range map[string]func(http.RoundTripper, *http.Request) (*http.Response, error){
		"service is busy":    refuse(503, "SlowDown"),
		"access denied":      refuse(403, "AccessDenied"),
		"a lost answer":      lose,
		"a brokenOff answer": breakOff,
	} {
		for _, operation := range []string{"GetObject", "DeleteObject"} {
			t.Run(operation+" "+name, func(t *testing.T) {
				e := newEnv(t, nil, &fault{operation: operation, times: 2, strike: strike})
				if err := e.sink.Put(t.Context(), spec("lists/a"), content); err != nil {
					t.Fatal(err)
				}
				l := *checkpoint.NewFileList(bucket, "lists/a", 1, content)
				if got, _, err := e.sink.ReadList(t.Context(), l); err != nil || !bytes.Equal(got, content) {
					t.Errorf("read %d bytes: %v", len(got), err)
				}
				if err := e.sink.DeleteList(t.Context(), l); err != nil {
					t.Error(err)
				}
				if n := e.requests(operation, "retried"); n != 2 {
					t.Errorf("%d requests were made again, want 2", n)
				}
				if e.get(t, "lists/a") != nil {
					t.Error("the list is there")
				}
			})
		}
	}
}

// breakOff is a strike that lets the request through and breaks the answer off in the middle.
func breakOff(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(r)
	if err != nil || resp.ContentLength <= 0 {
		return lose(next, r)
	}
	resp.Body = brokenOff{io.LimitReader(resp.Body, resp.ContentLength/2), resp.Body}
	return resp, nil
}

type brokenOff struct {
	io.Reader
	io.Closer
}

func (t brokenOff) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// An object longer than the list cannot be it: it is not read to its end.
func TestSink_ReadsNoMoreOfAListThanItsSize(t *testing.T) {
	e := newEnv(t, nil)
	if err := e.sink.Put(t.Context(), spec("lists/a"), body(300_000)); err != nil {
		t.Fatal(err)
	}
	l := *checkpoint.NewFileList(bucket, "lists/a", 1, body(1000))
	if got, _, err := e.sink.ReadList(t.Context(), l); err != nil || len(got) != 1001 {
		t.Errorf("read %d bytes (%v), want one more than the list has", len(got), err)
	}
}
