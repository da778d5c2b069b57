package s3sink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/s3sink"
	"aws-streaming-pipeline/writers/spool"
	"aws-streaming-pipeline/writers/writerstest"
)

// fault changes what happens to some requests of one operation.
type fault struct {
	operation string
	// skip is the number of requests that pass first, and times how often the fault strikes; 0 means always.
	skip, times int
	strike      func(next http.RoundTripper, r *http.Request) (*http.Response, error)

	seen, hits int
}

// faulty is a transport with planted faults.
type faulty struct {
	mu     sync.Mutex
	faults []*fault
	seen   []*http.Request // in order; bodies are gone
}

func (f *faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	if strike := f.choose(r); strike != nil {
		return strike(http.DefaultTransport, r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (f *faulty) choose(r *http.Request) func(http.RoundTripper, *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, r)
	for _, planted := range f.faults {
		if planted.operation != operation(r) {
			continue
		}
		planted.seen++
		if planted.seen <= planted.skip || planted.times > 0 && planted.hits == planted.times {
			continue
		}
		planted.hits++
		return planted.strike
	}
	return nil
}

// checkHit fails if a planted fault has not struck.
func (f *faulty) checkHit(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, planted := range f.faults {
		if planted.hits == 0 || planted.hits < planted.times {
			t.Errorf("the fault planted in %s was hit %d times of %d", planted.operation, planted.hits, planted.times)
		}
	}
}

// lift removes a fault.
func (f *faulty) lift(lifted *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lifted.times = max(lifted.hits, 1)
}

// operation names a request as the S3 API does.
func operation(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "AbortMultipartUpload"
	case r.Method == http.MethodGet && q.Has("uploadId"):
		return "ListParts"
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return "UploadPart"
	case r.Method == http.MethodPut:
		return "PutObject"
	case r.Method == http.MethodHead:
		return "HeadObject"
	case r.Method == http.MethodGet:
		return "GetObject"
	case r.Method == http.MethodDelete:
		return "DeleteObject"
	}
	return r.Method
}

// answer is a strike that answers in S3's place.
func answer(status int, body string) func(http.RoundTripper, *http.Request) (*http.Response, error) {
	return func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			_ = r.Body.Close() // unread: a server may answer early
		}
		return &http.Response{
			Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header:        http.Header{"Content-Type": {"application/xml"}},
			ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

func refuse(status int, code string) func(http.RoundTripper, *http.Request) (*http.Response, error) {
	return answer(status, fmt.Sprintf("<Error><Code>%s</Code><Message>planted</Message></Error>", code))
}

// loginPage is what a proxy or a captive network answers in S3's place.
func loginPage(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	const page = "<html><body>please sign in</body></html>"
	resp, err := answer(200, page)(next, r)
	resp.Header.Set("Content-Type", "text/html")
	if r.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp, err
}

// lose is a strike that lets the request through and loses the answer.
func lose(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return nil, errors.New("planted: connection reset by peer")
}

// hang is a strike that never answers.
func hang(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// env is a sink on a local bucket with planted faults.
type env struct {
	sink      *s3sink.Sink
	transport *faulty
	metrics   *metrics.Metrics
	config    s3sink.Config
	endpoint  string
}

func newEnv(t *testing.T, adjust func(*s3sink.Config), faults ...*fault) *env {
	t.Helper()
	e := &env{transport: &faulty{faults: faults}, metrics: metrics.New(prometheus.NewRegistry()), config: config()}
	e.config.Metrics = e.metrics
	if adjust != nil {
		adjust(&e.config)
	}
	e.endpoint, _ = writerstest.LocalBucket(t, bucket)
	e.sink = newSink(t, e.endpoint, e.transport, e.config)
	t.Cleanup(func() {
		e.transport.checkHit(t)
		for a := range budget.Disk + 1 {
			if n := e.config.Budget.Held(a); n != 0 {
				t.Errorf("account %d still holds %d bytes", a, n)
			}
		}
	})
	return e
}

func (e *env) get(t *testing.T, key string) *writerstest.Object {
	return writerstest.Get(t, e.client(), bucket, key)
}

// client returns a client without faults.
func (e *env) client() *s3.Client { return writerstest.Client(e.endpoint, "key", "secret", nil) }

func createBucket(name string) *s3.CreateBucketInput { return &s3.CreateBucketInput{Bucket: &name} }

// requests returns the value of the metric.
func (e *env) requests(operation, result string) int {
	var m dto.Metric
	if err := e.metrics.S3Requests.WithLabelValues(operation, result).Write(&m); err != nil {
		panic(err)
	}
	return int(m.GetCounter().GetValue())
}

const batchID = "batch-7"

func spec(key string) writers.ObjectSpec {
	return writers.ObjectSpec{Key: key, Metadata: map[string]string{writers.MetadataBatchID: batchID}}
}

// body returns n bytes that are different everywhere.
func body(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

func (e *env) stage(ctx context.Context, key string, body []byte) (checkpoint.File, error) {
	u, err := e.sink.Begin(ctx, spec(key))
	if err != nil {
		return checkpoint.File{}, err
	}
	if _, err := u.Write(body); err != nil {
		u.Abandon()
		return checkpoint.File{}, err
	}
	f, err := u.Finish(ctx)
	if err != nil {
		u.Abandon()
	}
	return f, err
}

// Whatever S3 does to single requests, the object is whole in the end.
func TestSink_OutlastsFaults(t *testing.T) {
	const completeError = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code><Message>planted</Message></Error>`
	tests := map[string]*fault{
		"the second part is answered 503":            {operation: "UploadPart", skip: 1, times: 1, strike: refuse(503, "SlowDown")},
		"a part's digest is refused":                 {operation: "UploadPart", times: 1, strike: refuse(400, "BadDigest")},
		"a part's answer is lost":                    {operation: "UploadPart", skip: 1, times: 1, strike: lose},
		"begin is never answered":                    {operation: "CreateMultipartUpload", times: 1, strike: hang},
		"begin is answered 500":                      {operation: "CreateMultipartUpload", times: 3, strike: refuse(500, "InternalError")},
		"begin's answer is lost":                     {operation: "CreateMultipartUpload", times: 1, strike: lose},
		"complete is answered 503":                   {operation: "CompleteMultipartUpload", times: 2, strike: refuse(503, "ServiceUnavailable")},
		"complete's answer is lost":                  {operation: "CompleteMultipartUpload", times: 1, strike: lose},
		"complete is answered 200 with an error":     {operation: "CompleteMultipartUpload", times: 2, strike: answer(200, completeError)},
		"begin is answered by a login page":          {operation: "CreateMultipartUpload", times: 2, strike: loginPage},
		"a part is answered by a login page":         {operation: "UploadPart", skip: 1, times: 2, strike: loginPage},
		"complete is answered by a login page":       {operation: "CompleteMultipartUpload", times: 2, strike: loginPage},
		"the object is hidden by a login page":       {operation: "HeadObject", times: 2, strike: loginPage},
		"complete conflicts with another":            {operation: "CompleteMultipartUpload", times: 1, strike: refuse(409, "ConditionalRequestConflict")},
		"the permission to begin is away for a time": {operation: "CreateMultipartUpload", times: 3, strike: refuse(403, "AccessDenied")},
		"the permission for parts is away":           {operation: "UploadPart", times: 3, strike: refuse(403, "AccessDenied")},
		"the bucket is away for a time":              {operation: "UploadPart", times: 2, strike: refuse(404, "NoSuchBucket")},
	}
	for name, planted := range tests {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, func(c *s3sink.Config) { c.AttemptTimeout = 2 * time.Second }, planted)
			content := body(6 << 20)
			f, err := e.stage(t.Context(), "trips/a", content)
			if err != nil {
				t.Fatal(err)
			}
			if e.get(t, "trips/a") != nil {
				t.Fatal("the object is visible before it is published")
			}
			if _, err := e.sink.Publish(t.Context(), f, batchID); err != nil {
				t.Fatal(err)
			}
			if o := e.get(t, "trips/a"); o == nil || !bytes.Equal(o.Body, content) {
				t.Fatal("the object is not what was written")
			}
			if retried := e.requests(planted.operation, "retried"); retried < planted.times {
				t.Errorf("%d retries were counted for %d faults", retried, planted.times)
			}
			if err := e.sink.Health(); err != nil {
				t.Errorf("health is %v after all went well", err)
			}
		})
	}
}

// The manifest of a batch is put, not uploaded. The control is the object, which only the last request can have written.
func TestSink_DoesNotTakeALoginPageForAnAnswer(t *testing.T) {
	planted := []*fault{{operation: "PutObject", times: 2, strike: loginPage}, {operation: "GetObject", times: 2, strike: loginPage}}
	e := newEnv(t, nil, planted...)
	if err := e.sink.Put(t.Context(), spec("trips/a"), []byte("manifest")); err != nil {
		t.Fatal(err)
	}
	content, version, err := e.sink.ReadVersion(t.Context(), "trips/a", 1<<10)
	if err != nil || string(content) != "manifest" || version == "" {
		t.Fatalf("read %q, version %q, %v", content, version, err)
	}
	planted[0].hits = 0
	if version, err := e.sink.PutVersion(t.Context(), spec("trips/a"), []byte("next"), version); err != nil || version == "" {
		t.Fatalf("version %q, %v", version, err)
	}
	if o := e.get(t, "trips/a"); o == nil || string(o.Body) != "next" {
		t.Fatal("the object is not what was written")
	}
}

func TestSink_EndsAnUploadThatIsGone(t *testing.T) {
	e := newEnv(t, nil)
	u, err := e.sink.Begin(t.Context(), spec("trips/a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.sink.Abort(t.Context(), u.Abandon()); err != nil {
		t.Fatal(err)
	}
	lost := &fault{operation: "UploadPart", strike: refuse(404, "NoSuchUpload")}
	e = newEnv(t, nil, lost)
	if _, err := e.stage(t.Context(), "trips/b", body(6<<20)); !errors.Is(err, writers.ErrUploadGone) {
		t.Fatalf("staging gave %v", err)
	}
}

func TestSink_ShowsWhatIsWrongAndEndsWithItsContext(t *testing.T) {
	denied := &fault{operation: "UploadPart", strike: refuse(403, "AccessDenied")}
	e := newEnv(t, nil, denied)
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := e.stage(ctx, "trips/a", body(100))
		result <- err
	}()
	var trouble *s3sink.Trouble
	for trouble == nil || trouble.Attempts < 2 {
		select {
		case err := <-result:
			t.Fatalf("staging ended with %v", err)
		case <-time.After(time.Millisecond):
		}
		errors.As(e.sink.Health(), &trouble)
	}
	if trouble.Operation != "UploadPart" || trouble.Key != "trips/a" || !strings.Contains(trouble.Error(), "AccessDenied") {
		t.Errorf("trouble is %v", trouble)
	}
	waitUntil(t, func() bool { return errors.As(e.sink.Check(t.Context()), &trouble) }) // not ready if it lasts
	stop := errors.New("shutdown")
	cancel(stop)
	if err := <-result; !errors.Is(err, stop) {
		t.Errorf("staging gave %v", err)
	}
	if err := e.sink.Health(); err != nil {
		t.Errorf("health is %v when nothing is tried any more", err)
	}
}

func TestSink_DoesNotRepeatWhatCanNeverSucceed(t *testing.T) {
	tooLong := &fault{operation: "CreateMultipartUpload", strike: refuse(400, "KeyTooLongError")}
	e := newEnv(t, nil, tooLong)
	if _, err := e.sink.Begin(t.Context(), spec("trips/a")); err == nil || !strings.Contains(err.Error(), "KeyTooLongError") {
		t.Fatalf("begin gave %v", err)
	}
	if tooLong.hits != 1 || e.requests("CreateMultipartUpload", "error") != 1 {
		t.Fatalf("%d requests, %d counted as errors", tooLong.hits, e.requests("CreateMultipartUpload", "error"))
	}
}

// The sink looks at an object that prevents a conditional completion before it decides.
func TestSink_LooksAtTheObjectInItsWay(t *testing.T) {
	conditional := func(c *s3sink.Config) { c.IfNoneMatch = true }
	t.Run("somebody else's", func(t *testing.T) {
		e := newEnv(t, conditional)
		f, err := e.stage(t.Context(), "trips/a", body(100))
		if err != nil {
			t.Fatal(err)
		}
		foreign := writers.ObjectSpec{Key: "trips/a"}
		if err := e.sink.Put(t.Context(), foreign, body(100)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.sink.Publish(t.Context(), f, batchID); !errors.Is(err, writers.ErrForeignObject) {
			t.Fatalf("publishing gave %v", err)
		}
		if o := e.get(t, "trips/a"); o.Metadata[writers.MetadataBatchID] != "" {
			t.Fatal("somebody else's object was replaced")
		}
	})
	t.Run("our own, from a request whose answer was lost", func(t *testing.T) {
		late := &fault{operation: "CompleteMultipartUpload", skip: 1, times: 1, strike: refuse(412, "PreconditionFailed")}
		e := newEnv(t, conditional, &fault{operation: "CompleteMultipartUpload", times: 1, strike: lose}, late)
		late.skip = 0
		f, err := e.stage(t.Context(), "trips/a", body(100))
		if err != nil {
			t.Fatal(err)
		}
		if etag, err := e.sink.Publish(t.Context(), f, batchID); err != nil || etag == "" {
			t.Fatalf("publishing gave %q, %v", etag, err)
		}
	})
}

// S3 answers that the upload is completed, but the object contradicts it or is missing.
func TestSink_BelievesTheObjectRatherThanTheAnswer(t *testing.T) {
	const success = `<CompleteMultipartUploadResult><ETag>"answered"</ETag></CompleteMultipartUploadResult>`
	t.Run("somebody else's object", func(t *testing.T) {
		e := newEnv(t, nil, &fault{operation: "CompleteMultipartUpload", strike: answer(200, success)})
		f, err := e.stage(t.Context(), "trips/a", body(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.sink.Put(t.Context(), writers.ObjectSpec{Key: "trips/a"}, body(100)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.sink.Publish(t.Context(), f, batchID); !errors.Is(err, writers.ErrForeignObject) {
			t.Fatalf("publishing gave %v", err)
		}
	})
	t.Run("the object was read and moved away already", func(t *testing.T) {
		e := newEnv(t, nil, &fault{operation: "HeadObject", strike: refuse(404, "NotFound")})
		f, err := e.stage(t.Context(), "trips/a", body(100))
		if err != nil {
			t.Fatal(err)
		}
		if etag, err := e.sink.Publish(t.Context(), f, batchID); err != nil || etag == "" {
			t.Fatalf("publishing gave %q, %v", etag, err)
		}
	})
}

// staged and stagedPart are stored with batches in the outbox; workers of all releases read them.
type staged struct {
	UploadID string       `json:"upload_id"`
	Parts    []stagedPart `json:"parts"`
}

type stagedPart struct {
	ETag     string `json:"etag"`
	Bytes    int64  `json:"bytes"`
	Checksum string `json:"checksum"`
}

func stagedOf(t *testing.T, f checkpoint.File) staged {
	t.Helper()
	var s staged
	if err := json.Unmarshal(f.Staged, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// A late attempt has replaced a part by the same bytes with another ETag, as under aws:kms.
func TestSink_AcceptsPartsThatWereReplacedByTheirLikes(t *testing.T) {
	content := body(6 << 20)
	tests := map[string]struct {
		change func(first *stagedPart) // what the batch holds
		listed string                  // the checksum that S3 lists for the first part; empty for the right one
		ok     bool
	}{
		"same content":   {change: func(first *stagedPart) { first.ETag = `"another"` }, ok: true},
		"other checksum": {change: func(first *stagedPart) { first.ETag = `"another"` }, listed: "AAAAAA=="},
		"other size":     {change: func(first *stagedPart) { first.ETag = `"another"`; first.Bytes++ }},
		"no checksum":    {change: func(first *stagedPart) { first.ETag, first.Checksum = `"another"`, "" }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			list := &fault{operation: "ListParts"}
			e := newEnv(t, nil, list)
			f, err := e.stage(t.Context(), "trips/a", content)
			if err != nil {
				t.Fatal(err)
			}
			var parts strings.Builder
			upload := stagedOf(t, f)
			for i, p := range upload.Parts {
				sum := p.Checksum
				if i == 0 && test.listed != "" {
					sum = test.listed
				}
				fmt.Fprintf(&parts, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Size>%d</Size><ChecksumCRC32C>%s</ChecksumCRC32C></Part>",
					i+1, p.ETag, p.Bytes, sum)
			}
			list.strike = answer(200, "<ListPartsResult>"+parts.String()+"</ListPartsResult>")
			test.change(&upload.Parts[0])
			if f.Staged, err = json.Marshal(upload); err != nil {
				t.Fatal(err)
			}
			_, err = e.sink.Publish(t.Context(), f, batchID)
			if (err == nil) != test.ok {
				t.Fatalf("publishing gave %v", err)
			}
			if o := e.get(t, "trips/a"); (o != nil) != test.ok {
				t.Fatalf("object is there: %t", o != nil)
			}
		})
	}
}

// Requests on the wire: no hash of the body in the signature, a CRC32C, and the settings of the bucket's owner.
func TestSink_SendsWhatItIsToldTo(t *testing.T) {
	e := newEnv(t, func(c *s3sink.Config) {
		c.Encryption, c.KMSKeyID = types.ServerSideEncryptionAwsKms, "alias/trips"
		c.IfNoneMatch = true
	})
	f, err := e.stage(t.Context(), "trips/a", body(100))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.sink.Publish(t.Context(), f, batchID); err != nil {
		t.Fatal(err)
	}
	if err := e.sink.Put(t.Context(), spec("manifest"), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{
		"X-Amz-Server-Side-Encryption":                "aws:kms",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "alias/trips",
		"X-Amz-Meta-Batch-Id":                         batchID,
	}
	want := map[string]map[string]string{
		"CreateMultipartUpload":   settings,
		"PutObject":               settings,
		"UploadPart":              {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "X-Amz-Checksum-Crc32c": stagedOf(t, f).Parts[0].Checksum},
		"CompleteMultipartUpload": {"If-None-Match": "*"},
	}
	for _, r := range e.transport.seen {
		for header, value := range want[operation(r)] {
			if got := r.Header.Get(header); got != value {
				t.Errorf("%s sends %s %q, not %q", operation(r), header, got, value)
			}
		}
		delete(want, operation(r))
	}
	if len(want) != 0 {
		t.Errorf("not seen: %v", want)
	}
}

// S3 is down. What is written meanwhile is held within the limits of memory and disk, and everything is there once S3 is
// back.
func TestUpload_HoldsWithinItsBoundsWhileS3IsAway(t *testing.T) {
	const limit, size = 16 << 20, 24 << 20
	for name, withSpool := range map[string]bool{"with a spool": true, "without a spool": false} {
		t.Run(name, func(t *testing.T) {
			away := &fault{operation: "UploadPart", strike: refuse(503, "ServiceUnavailable")}
			var held *budget.Budget
			e := newEnv(t, func(c *s3sink.Config) {
				held = budget.New(limit, nil)
				c.Budget = held
				if !withSpool {
					return
				}
				s, err := spool.New(t.TempDir(), 64<<20, held)
				if err != nil {
					t.Fatal(err)
				}
				c.Spool = s
			}, away)
			u, err := e.sink.Begin(t.Context(), spec("trips/a"))
			if err != nil {
				t.Fatal(err)
			}
			content := body(size)
			var peak int64
			written := make(chan error, 1)
			go func() {
				for rest := content; len(rest) > 0; {
					n := min(len(rest), 256<<10)
					if _, err := u.Write(rest[:n]); err != nil {
						written <- err
						return
					}
					rest = rest[n:]
					peak = max(peak, held.Used())
				}
				written <- nil
			}()
			if withSpool {
				if err := <-written; err != nil { // does not wait for S3
					t.Fatal(err)
				}
				if held.Held(budget.Disk) == 0 {
					t.Error("nothing lies on disk")
				}
			} else {
				waitUntil(t, func() bool { return held.Used() > limit })
			}
			if held.Used() > limit+limit/10 {
				t.Errorf("%d bytes are held in memory, limit is %d", held.Used(), limit)
			}
			e.transport.lift(away)
			if !withSpool {
				if err := <-written; err != nil {
					t.Fatal(err)
				}
			}
			f, err := u.Finish(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if peak > limit+limit/10 {
				t.Errorf("up to %d bytes were held in memory, limit is %d", peak, limit)
			}
			if _, err := e.sink.Publish(t.Context(), f, batchID); err != nil {
				t.Fatal(err)
			}
			if o := e.get(t, "trips/a"); !bytes.Equal(o.Body, content) {
				t.Fatal("the object is not what was written")
			}
		})
	}
}

// waitUntil polls for an effect of another goroutine.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within two minutes")
		}
	}
}

// A spool that is full or not writable costs memory and nothing else.
func TestUpload_KeepsInMemoryWhatTheSpoolDoesNotTake(t *testing.T) {
	e := newEnv(t, func(c *s3sink.Config) {
		c.Budget = budget.New(1<<20, nil)
		s, err := spool.New(t.TempDir(), 2<<20, c.Budget)
		if err != nil {
			t.Fatal(err)
		}
		c.Spool = s
	})
	u, err := e.sink.Begin(t.Context(), spec("trips/a"))
	if err != nil {
		t.Fatal(err)
	}
	content := body(4 << 20)
	for rest := content; len(rest) > 0; rest = rest[64<<10:] {
		if _, err := u.Write(rest[:64<<10]); err != nil {
			t.Fatal(err)
		}
	}
	if disk := e.config.Budget.Held(budget.Disk); disk < 1<<20 || disk > 2<<20 {
		t.Errorf("%d bytes lie on disk", disk)
	}
	f, err := u.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.sink.Publish(t.Context(), f, batchID); err != nil {
		t.Fatal(err)
	}
	if o := e.get(t, "trips/a"); !bytes.Equal(o.Body, content) {
		t.Fatal("the object is not what was written")
	}
}

func TestConfig_NamesEveryFault(t *testing.T) {
	_, err := s3sink.New(nil, s3sink.Config{
		PartSize: 1 << 20, Concurrency: -1, AttemptTimeout: -1, Backoff: backoff.Policy{First: 2, Longest: 1},
		Encryption: "rot13", KMSKeyID: "key",
	})
	if err == nil {
		t.Fatal("the configuration was taken")
	}
	for _, fault := range []string{"bucket", "part size", "concurrency", "attempt timeout", "backoff", "encryption", "KMS key", "budget"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%q is not named in: %v", fault, err)
		}
	}
}
