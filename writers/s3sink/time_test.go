package s3sink_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/writers/s3sink"
)

// standin answers every request of an upload like a healthy S3, unless before overrides it. It needs no network, so it
// works in a bubble of virtual time.
type standin struct {
	before func(operation string, r *http.Request) error // nil, or the answer

	mu   sync.Mutex
	seen map[string]int // requests by operation
}

func (s *standin) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body) // of a part in memory
		_ = r.Body.Close()
	}
	name := operation(r)
	s.mu.Lock()
	s.seen[name]++
	s.mu.Unlock()
	if err := s.before(name, r); err != nil {
		return nil, err
	}
	body := ""
	if name == "CreateMultipartUpload" {
		body = "<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>"
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": {"application/xml"}, "Etag": {`"etag"`}},
		ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// timed is a sink on a stand-in.
func timed(t *testing.T, before func(operation string, r *http.Request) error) (*s3sink.Sink, *standin) {
	t.Helper()
	s := &standin{before: before, seen: map[string]int{}}
	return newSink(t, "http://s3.test", s, config()), s
}

// Only what Finish returned is committed: a part that has not arrived by then is lost with the process.
func TestUpload_IsNotFinishedBeforeItsLastPartIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arrived := make(chan struct{})
		sink, _ := timed(t, func(operation string, _ *http.Request) error {
			if operation == "UploadPart" {
				<-arrived
			}
			return nil
		})
		u, err := sink.Begin(t.Context(), spec("trips/a"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Write(body(100)); err != nil {
			t.Fatal(err)
		}
		finished := false
		var parts int
		done := make(chan struct{})
		go func() {
			defer close(done)
			f, err := u.Finish(t.Context())
			if err != nil {
				t.Error(err)
			}
			finished = true
			for _, p := range stagedOf(t, f).Parts {
				if p.ETag != "" {
					parts++
				}
			}
		}()
		synctest.Wait()
		if finished {
			t.Error("the upload is finished, and S3 has not taken its part yet")
		}
		close(arrived)
		<-done
		if parts != 1 {
			t.Errorf("%d parts have an ETag, want 1", parts)
		}
	})
}

func TestSink_GivesUpAnAttemptThatIsNeverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := 0
		sink, s := timed(t, func(operation string, r *http.Request) error {
			if operation == "CreateMultipartUpload" && hung < 2 {
				hung++
				<-r.Context().Done()
				return r.Context().Err()
			}
			return nil
		})
		began := time.Now()
		u, err := sink.Begin(t.Context(), spec("trips/a"))
		if err != nil {
			t.Fatal(err)
		}
		u.Abandon()
		if took := time.Since(began); hung != 2 || s.seen["CreateMultipartUpload"] != 3 || took > 90*time.Second {
			t.Errorf("%d attempts, of which %d hung, took %v", s.seen["CreateMultipartUpload"], hung, took)
		}
	})
}
