package s3sink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/s3sink"
)

// slow answers completions like S3: with a header at once and the rest later. It is a transport without a network, so
// that it works in virtual time.
type slow struct {
	completions []func(ctx context.Context) io.Reader // bodies, one for each attempt; the last one for all that follow
	head        int                                   // status of HEAD
	header      http.Header                           // of the answer to HEAD

	completed int
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &http.Response{
		StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
		Header: http.Header{}, Body: http.NoBody,
	}
	if operation(r) == "CompleteMultipartUpload" {
		body := s.completions[min(s.completed, len(s.completions)-1)]
		s.completed++
		answer.Body = io.NopCloser(body(r.Context()))
		return answer, nil
	}
	answer.StatusCode, answer.ContentLength = s.head, 0
	if s.header != nil {
		answer.Header = s.header
	}
	return answer, nil
}

// trickle sends a byte of white space every ten seconds, and then the rest.
func trickle(spaces int, rest string) func(context.Context) io.Reader {
	return func(ctx context.Context) io.Reader {
		return io.MultiReader(strings.NewReader(declaration), &spaced{ctx, spaces}, strings.NewReader(rest))
	}
}

type spaced struct {
	ctx  context.Context
	left int
}

func (s *spaced) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	p[0] = ' '
	return 1, wait(s.ctx, 10*time.Second)
}

// silent sends something and then nothing more.
func silent(ctx context.Context) io.Reader {
	return io.MultiReader(strings.NewReader("  "), never{ctx})
}

type never struct{ ctx context.Context }

func (n never) Read([]byte) (int, error) { return 0, wait(n.ctx, 24*time.Hour) }

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// torn is an answer whose connection breaks.
func torn(begin string) func(context.Context) io.Reader {
	return func(context.Context) io.Reader { return io.MultiReader(strings.NewReader(begin), tear{}) }
}

type tear struct{}

func (tear) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

const (
	declaration = `<?xml version="1.0" encoding="UTF-8"?>`
	result      = `<CompleteMultipartUploadResult><ETag>"done"</ETag></CompleteMultipartUploadResult>`
)

func inAnswer(code string) string {
	return "<Error><Code>" + code + "</Code><Message>planted</Message></Error>"
}

// The answers of AWS to completions, and the ways in which they break.
func TestPublish_WaitsForACompletionAsLongAsItIsHeardOf(t *testing.T) {
	gone := inAnswer("NoSuchUpload")
	for name, test := range map[string]struct {
		completions []func(context.Context) io.Reader
		attempts    int
		atLeast     time.Duration
		atMost      time.Duration
		missing     bool // there is no object
		fails       error
	}{
		"white space for 15 minutes":                    {completions: all(trickle(90, result)), attempts: 1, atLeast: 15 * time.Minute, atMost: 15 * time.Minute},
		"white space for 5 minutes, and then an error":  {completions: all(trickle(30, inAnswer("InternalError")), trickle(0, result)), attempts: 2, atLeast: 5 * time.Minute, atMost: 6 * time.Minute},
		"white space, and then: slow down":              {completions: all(trickle(1, inAnswer("SlowDown")), trickle(0, result)), attempts: 2, atMost: time.Minute},
		"white space, and then silence":                 {completions: all(silent, trickle(0, result)), attempts: 2, atLeast: 30 * time.Second, atMost: 40 * time.Second},
		"silence from the beginning":                    {completions: all(func(ctx context.Context) io.Reader { return never{ctx} }, trickle(0, result)), attempts: 2, atLeast: 30 * time.Second, atMost: 40 * time.Second},
		"white space, and then its end":                 {completions: all(trickle(1, ""), trickle(0, result)), attempts: 2, atMost: time.Minute},
		"nothing":                                       {completions: all(trickle(0, ""), trickle(0, result)), attempts: 2, atMost: time.Minute},
		"the end within the result":                     {completions: all(trickle(1, result[:50]), trickle(0, result)), attempts: 2, atMost: time.Minute},
		"a connection that breaks after white space":    {completions: all(torn(declaration+"  "), trickle(0, result)), attempts: 2, atMost: time.Minute},
		"a connection that breaks within the result":    {completions: all(torn(result[:50]), trickle(0, result)), attempts: 2, atMost: time.Minute},
		"another document":                              {completions: all(trickle(0, "<html/>"), trickle(0, result)), attempts: 2, atMost: time.Minute},
		"white space, a lost result, and no upload":     {completions: all(torn("  "), trickle(0, gone)), attempts: 2, atMost: time.Minute},
		"a success, and the object was moved away":      {completions: all(trickle(0, result)), attempts: 1, missing: true},
		"no upload, and no object":                      {completions: all(trickle(2, gone)), attempts: 1, missing: true, atMost: time.Minute, fails: writers.ErrUploadGone},
		"refused in the body, for good":                 {completions: all(trickle(0, inAnswer("AccessDenied"))), attempts: 4, missing: true, atLeast: 30 * time.Second, atMost: time.Minute, fails: writers.ErrRefused},
		"its end without a result for good, no object":  {completions: all(trickle(1, "")), attempts: 3, missing: true, atMost: 2 * time.Minute, fails: errAny},
		"silence for good, and the object is not there": {completions: all(silent), attempts: 2, missing: true, atMost: 2 * time.Minute, fails: errAny},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &slow{completions: test.completions, head: 200, header: http.Header{
					"X-Amz-Meta-Batch-Id": {batchID}, "Content-Length": {"7"}, "Etag": {`"there"`},
				}}
				if test.missing {
					transport.head, transport.header = 404, nil
				}
				c := config()
				c.Backoff = backoff.Policy{}
				sink := newSink(t, "http://s3.invalid", transport, c)
				began := time.Now()
				etag, err := sink.Publish(t.Context(), checkpoint.File{Bucket: bucket, Key: "a", Staged: []byte(`{"upload_id":"u"}`), Bytes: 7}, batchID)
				if took := time.Since(began); took < test.atLeast || took > test.atMost {
					t.Errorf("it took %s, want %s to %s", took, test.atLeast, test.atMost)
				}
				if transport.completed < test.attempts || test.fails == nil && transport.completed != test.attempts {
					t.Errorf("%d attempts, want %d", transport.completed, test.attempts)
				}
				switch {
				case test.fails == nil && (err != nil || etag == ""):
					t.Errorf("publishing gave %q, %v", etag, err)
				case test.fails == errAny && err == nil, test.fails != nil && test.fails != errAny && !errors.Is(err, test.fails):
					t.Errorf("publishing gave %q, %v; want %v", etag, err, test.fails)
				}
			})
		})
	}
}

var errAny = errors.New("any error")

func all(completions ...func(context.Context) io.Reader) []func(context.Context) io.Reader {
	return completions
}

// A versioned bucket remembers deleted objects.
func TestPublish_TakesADeleteMarkerForTheObjectThatItReplaced(t *testing.T) {
	for name, test := range map[string]struct {
		marker string
		fails  error
	}{
		"a delete marker": {"true", nil},
		"none":            {"", writers.ErrUploadGone},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &slow{
				completions: all(trickle(0, inAnswer("NoSuchUpload"))), head: 404,
				header: http.Header{"X-Amz-Delete-Marker": {test.marker}},
			}
			sink := newSink(t, "http://s3.invalid", transport, config())
			_, err := sink.Publish(t.Context(), checkpoint.File{Bucket: bucket, Key: "a", Staged: []byte(`{"upload_id":"u"}`), Bytes: 7}, batchID)
			if !errors.Is(err, test.fails) {
				t.Errorf("publishing gave %v, want %v", err, test.fails)
			}
			if written, err := sink.Written(t.Context(), bucket, "a", batchID); err != nil || written != (test.fails == nil) {
				t.Errorf("written: %t, %v", written, err)
			}
		})
	}
}

// A request that keeps failing ends when the patience does; requests that fill a batch are never given up.
func TestSink_GivesUpOnlyWhatOthersCanDoLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.Backoff, c.Patience = backoff.Policy{}, 5*time.Minute
		sink := newSink(t, "http://s3.invalid", refusing{}, c)
		f := checkpoint.File{Bucket: bucket, Key: "a", Staged: []byte(`{"upload_id":"u"}`)}
		for name, call := range map[string]struct {
			bounded bool
			do      func(context.Context) error
		}{
			"publish": {true, func(ctx context.Context) error { _, err := sink.Publish(ctx, f, batchID); return err }},
			"put":     {true, func(ctx context.Context) error { return sink.Put(ctx, spec("m"), []byte("{}")) }},
			"written": {true, func(ctx context.Context) error { _, err := sink.Written(ctx, bucket, "m", batchID); return err }},
			"begin":   {false, func(ctx context.Context) error { _, err := sink.Begin(ctx, spec("b")); return err }},
		} {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			err := call.do(ctx)
			cancel()
			switch took := time.Since(began); {
			case call.bounded && (!errors.Is(err, writers.ErrRefused) || took > 5*time.Minute || took < 4*time.Minute):
				t.Errorf("%s gave %v after %s", name, err, took)
			case !call.bounded && (!errors.Is(err, context.DeadlineExceeded) || took != time.Hour):
				t.Errorf("%s gave %v after %s", name, err, took)
			}
		}
	})
}

type refusing struct{}

func (refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	return refuse(403, "AccessDenied")(nil, r)
}

// Settings may name another bucket than when a file was begun.
func TestSink_KeepsToTheBucketOfTheFile(t *testing.T) {
	e := newEnv(t, nil)
	client := e.client()
	for _, name := range []string{"before", "after"} {
		if _, err := client.CreateBucket(t.Context(), createBucket(name)); err != nil {
			t.Fatal(err)
		}
	}
	sinkOf := func(name string) *s3sink.Sink {
		c := e.config
		c.Bucket = name
		return newSink(t, e.endpoint, e.transport, c)
	}
	before, after := sinkOf("before"), sinkOf("after")
	stage := func(key string) checkpoint.File {
		e.sink = before
		f, err := e.stage(t.Context(), key, body(100))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := stage("a")
	for range 2 { // the second time by the object
		if etag, err := after.Publish(t.Context(), f, batchID); err != nil || etag == "" {
			t.Fatalf("publishing gave %q, %v", etag, err)
		}
	}
	manifest := spec("m")
	manifest.Bucket = "before"
	if err := after.Put(t.Context(), manifest, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for key, there := range map[string]bool{"a": true, "m": true} {
		for _, name := range []string{"before", "after"} {
			written, err := after.Written(t.Context(), name, key, batchID)
			if want := there && name == "before"; err != nil || written != want {
				t.Errorf("%s in bucket %s: %t, %v; want %t", key, name, written, err, want)
			}
		}
	}
	dropped := stage("b")
	if err := after.Abort(t.Context(), dropped); err != nil {
		t.Fatal(err)
	}
	_, err := before.Publish(t.Context(), dropped, batchID)
	if !errors.Is(err, writers.ErrUploadGone) || !strings.Contains(fmt.Sprint(err), "s3://before/b") {
		t.Errorf("publishing what was aborted gave %v", err)
	}
}
