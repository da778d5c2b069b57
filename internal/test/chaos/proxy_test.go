package chaos

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// backend counts what it is asked for.
type backend struct {
	*httptest.Server
	applied atomic.Int32
}

const said = "what the service said"

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("read request: %v", err)
		}
		b.applied.Add(1)
		_, _ = io.WriteString(w, said)
	}))
	t.Cleanup(b.Close)
	return b
}

// newProxy starts a proxy that has the fate for each request.
func newProxy(t *testing.T, service Service, b *backend, f fate, v victim) *proxy {
	t.Helper()
	to, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{service: service, backend: to, meet: func(call) fate { return f }, victim: v}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// ask sends a request as a daemon would, on a connection of its own.
func ask(p *proxy) (status int, body string, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	in, err := client.Post(p.url(), "application/x-amz-json-1.0", strings.NewReader(`{}`))
	if err != nil {
		return 0, "", err
	}
	content, err := io.ReadAll(in.Body)
	return in.StatusCode, string(content), errors.Join(err, in.Body.Close())
}

func TestProxy_DoesWhatTheKindSays(t *testing.T) {
	const delay = 50 * time.Millisecond
	tests := []struct {
		kind    Kind
		status  int   // 0: the connection is dropped
		atOnce  int32 // applied when the daemon knows
		applied int32 // applied in the end
	}{
		{"", 200, 1, 1},
		{ServerError, 500, 0, 0},
		{Unavailable, 503, 0, 0},
		{Throttled, 503, 0, 0},
		{LostRequest, 0, 0, 0},
		{LostAnswer, 0, 1, 1},
		{TornAnswer, 0, 1, 1},
		{LateAnswer, 200, 1, 1},
		{LateRequest, 0, 0, 1},
		{Doubled, 200, 2, 2},
		{Echoed, 200, 1, 2},
		{SlowAnswer, 200, 1, 1},
		{SlowPart, 200, 1, 1},
		{SlowComplete, 200, 1, 1},
		{LateError, 200, 0, 0},
		{FalseError, 200, 1, 1},
		{Expired, 400, 0, 0},
		{Forbidden, 403, 0, 0},
		{Barred, 403, 0, 0},
	}
	covered := map[Kind]bool{}
	for _, tt := range tests {
		covered[tt.kind] = true
		t.Run(string(tt.kind), func(t *testing.T) {
			b := newBackend(t)
			p := newProxy(t, S3, b, fate{kind: tt.kind, delay: delay}, nil)
			began := time.Now()
			status, body, err := ask(p)
			took, applied := time.Since(began), b.applied.Load()
			if dropped := err != nil; dropped != (tt.status == 0) || !dropped && status != tt.status {
				t.Errorf("status %d, error %v; want %d (0: dropped)", status, err, tt.status)
			}
			want := said
			switch tt.kind {
			case LateError, FalseError:
				want = "<Code>InternalError</Code>"
			}
			if tt.status == 200 && !strings.Contains(body, want) {
				t.Errorf("answer %q, want %q", body, want)
			}
			// A late request may be early for us if this test is late.
			if applied != tt.atOnce && took < delay {
				t.Errorf("applied %d times when the answer came, want %d", applied, tt.atOnce)
			}
			if slow := tt.kind == LateAnswer || tt.kind == SlowPart || tt.kind == SlowComplete; slow && took < delay {
				t.Errorf("answered after %v, before %v", took, delay)
			}
			if err := p.close(); err != nil {
				t.Error(err)
			}
			if n := b.applied.Load(); n != tt.applied {
				t.Errorf("applied %d times in the end, want %d", n, tt.applied)
			}
		})
	}
	for _, kind := range slices.Concat(requestKinds, spells) {
		if !covered[kind] && kind != Exhausted && kind != Conflict { // these are DynamoDB's

			t.Errorf("kind %q is in no test", kind)
		}
	}
}

// subject is a victim that notes what is done to it and how often the service had been asked by then.
type subject struct {
	backend *backend
	mu      sync.Mutex
	life    []string
	asked   []int32
}

func (s *subject) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = append(s.life, what)
	s.asked = append(s.asked, s.backend.applied.Load())
}

func (s *subject) kill(string)  { s.note("killed") }
func (s *subject) freeze() bool { s.note("frozen"); return true }
func (s *subject) thaw()        { s.note("awake") }

func TestProxy_SpringsTraps(t *testing.T) {
	tests := []struct {
		action  action
		life    string
		asked   []int32 // requests that the service had got at each of these moments
		applied int32
		answers bool
	}{
		{killBefore, "killed", []int32{0}, 0, false},
		{killInFlight, "killed", []int32{0}, 1, false},
		{killAfter, "killed", []int32{1}, 1, false},
		{freezeBefore, "frozen awake", []int32{0, 1}, 1, true},
		{freezeAfter, "frozen awake", []int32{1, 1}, 1, true},
		{thawLate, "frozen awake", []int32{0, 0}, 1, true},
	}
	if len(tests) != len(actions) {
		t.Errorf("%d actions, %d tests", len(actions), len(tests))
	}
	for _, tt := range tests {
		t.Run(string(tt.action), func(t *testing.T) {
			b := newBackend(t)
			s := &subject{backend: b}
			p := newProxy(t, DynamoDB, b, fate{
				trap: newTrap(strike{action: tt.action}, 10*time.Millisecond, nil), delay: 10 * time.Millisecond,
			}, s)
			_, _, err := ask(p)
			if (err == nil) != tt.answers {
				t.Errorf("error %v, want an answer: %v", err, tt.answers)
			}
			if err := p.close(); err != nil {
				t.Error(err)
			}
			if life := strings.Join(s.life, " "); life != tt.life {
				t.Errorf("the daemon was %s, want %s", life, tt.life)
			}
			for i, asked := range s.asked {
				if asked != tt.asked[i] {
					t.Errorf("when it was %s the service had got %d requests, want %d", s.life[i], asked, tt.asked[i])
				}
			}
			if n := b.applied.Load(); n != tt.applied {
				t.Errorf("applied %d times, want %d", n, tt.applied)
			}
		})
	}
}

// A client without an answer waits until it gives up, and its request is applied or not.
func TestProxy_LeavesRequestsWithoutAnAnswer(t *testing.T) {
	tests := []struct {
		action  action
		body    string // what comes of the answer
		applied int32
	}{
		{ignore, "", 0},
		{hush, "", 1},
		{stall, said[:len(said)/2], 1},
	}
	if len(tests) != len(silences) {
		t.Errorf("%d ways, %d tests", len(silences), len(tests))
	}
	for _, tt := range tests {
		t.Run(string(tt.action), func(t *testing.T) {
			b := newBackend(t)
			p := newProxy(t, S3, b, fate{trap: newTrap(strike{action: tt.action}, 0, nil)}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url(), strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			const patience = 100 * time.Millisecond
			var got []byte
			if tt.body == "" {
				go func() {
					for b.applied.Load() < tt.applied && ctx.Err() == nil {
						time.Sleep(time.Millisecond)
					}
					time.AfterFunc(patience, cancel)
				}()
			}
			in, err := http.DefaultClient.Do(r)
			if err == nil {
				got = make([]byte, len(tt.body))
				if _, err := io.ReadFull(in.Body, got); err != nil {
					t.Error(err)
				}
				time.AfterFunc(patience, cancel)
				if rest, ended := io.ReadAll(in.Body); len(rest) > 0 || !errors.Is(ended, context.Canceled) {
					t.Errorf("then came %q and %v", rest, ended)
				}
				_ = in.Body.Close()
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("the request ended with %v", err)
			}
			if string(got) != tt.body {
				t.Errorf("%q came, want %q", got, tt.body)
			}
			if err := p.close(); err != nil {
				t.Error(err)
			}
			if n := b.applied.Load(); n != tt.applied {
				t.Errorf("applied %d times, want %d", n, tt.applied)
			}
		})
	}
}

// While S3 works, white space keeps the connection alive. It finishes even if the sender goes.
func TestProxy_CompletesSlowly(t *testing.T) {
	const delay = 200 * time.Millisecond
	b := newBackend(t)
	p := newProxy(t, S3, b, fate{kind: SlowComplete, delay: delay}, nil)
	_, body, err := ask(p)
	if err != nil {
		t.Fatal(err)
	}
	white, _, _ := strings.Cut(body, said)
	if _, white, _ = strings.Cut(white, "?>"); len(white) < 3 || strings.TrimSpace(white) != "" {
		t.Errorf("before the document came %q, want some white space", white)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url(), strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	in, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	// What is applied may be two for us if this test is late.
	if applied := b.applied.Load(); in.StatusCode != http.StatusOK || applied != 1 && time.Since(began) < delay {
		t.Errorf("status %d, applied %d times at the beginning of the second, want 200 and 1", in.StatusCode, applied)
	}
	cancel()
	_ = in.Body.Close()
	for end := time.Now().Add(2 * time.Minute); b.applied.Load() < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what was begun is not finished when the sender goes")
		}
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

func TestProxy_DeniesWhatIsNotAllowed(t *testing.T) {
	b := newBackend(t)
	p := newProxy(t, DynamoDB, b, fate{}, nil)
	var asked []string
	p.allow = func(c call, r *http.Request, body []byte) bool {
		asked = append(asked, string(c.service)+" "+r.Method+" "+string(body))
		return len(asked) == 2
	}
	for i, want := range []int{400, 200} {
		status, body, err := ask(p)
		if err != nil {
			t.Fatal(err)
		}
		if status != want || want == 400 && !strings.Contains(body, "AccessDeniedException") {
			t.Errorf("request %d: status %d, %s, want %d", i, status, body, want)
		}
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
	if b.applied.Load() != 1 || asked[0] != "DynamoDB POST {}" {
		t.Errorf("applied %d times, asked %q", b.applied.Load(), asked)
	}
}

func TestProxy_RefusesConnectionsWhileItIsShut(t *testing.T) {
	b := newBackend(t)
	p := newProxy(t, Kinesis, b, fate{}, nil)
	for range 3 {
		if _, _, err := ask(p); err != nil {
			t.Fatalf("open: %v", err)
		}
		if err := p.shut(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ask(p); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("shut: %v, want a refused connection", err)
		}
		if err := p.open(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

func TestIdentify_NamesOperations(t *testing.T) {
	const item = `{"Item":{"leaseKey":{"S":"%"}}}`
	const key = `{"Key":{"leaseKey":{"S":"%"}}}`
	const update = `{"Key":{"leaseKey":{"S":"#batch/1"}},"ExpressionAttributeNames":{"#a":"%","#b":"entityType"}}`
	tests := []struct {
		service Service
		method  string // or the target of a JSON protocol
		rest    string // path of S3 and of a catalog, body otherwise
		want    string
	}{
		{Kinesis, "Kinesis_20131202.GetRecords", `{}`, Read},
		{Kinesis, "Kinesis_20131202.SubscribeToShard", `{}`, Subscribe},
		{DynamoDB, "DynamoDB_20120810.Scan", `{}`, "Scan"},
		{DynamoDB, "DynamoDB_20120810.PutItem", strings.ReplaceAll(item, "%", "#batch/1"), Tombstone},
		{DynamoDB, "DynamoDB_20120810.PutItem", strings.ReplaceAll(item, "%", "#worker/1"), Heartbeat},
		{DynamoDB, "DynamoDB_20120810.PutItem", strings.ReplaceAll(item, "%", "shardId-1"), "PutItem lease"},
		{DynamoDB, "DynamoDB_20120810.PutItem", strings.ReplaceAll(item, "%", "#application"), "PutItem application"},
		{DynamoDB, "DynamoDB_20120810.DeleteItem", strings.ReplaceAll(key, "%", "#batch/1"), Forget},
		{DynamoDB, "DynamoDB_20120810.DeleteItem", strings.ReplaceAll(key, "%", "#worker/1"), "DeleteItem worker"},
		{DynamoDB, "DynamoDB_20120810.UpdateItem", strings.ReplaceAll(key, "%", "shardId-1"), Acquire},
		{DynamoDB, "DynamoDB_20120810.TransactWriteItems", `{}`, Commit},
		{DynamoDB, "DynamoDB_20120810.UpdateItem", strings.ReplaceAll(update, "%", "publishedAt"), Publish},
		{DynamoDB, "DynamoDB_20120810.UpdateItem", strings.ReplaceAll(update, "%", "loaded"), Loaded},
		{DynamoDB, "DynamoDB_20120810.UpdateItem", strings.ReplaceAll(update, "%", "published"), "UpdateItem batch"},
		{DynamoDB, "DynamoDB_20120810.DeleteItem", strings.ReplaceAll(update, "%", "loaded"), Forget},
		{DynamoDB, "DynamoDB_20120810.PutItem", strings.ReplaceAll(item, "%", "#table/s3://lake/rides"), Seat},
		{DynamoDB, "DynamoDB_20120810.GetItem", strings.ReplaceAll(key, "%", "#table/s3://lake/rides"), "GetItem table"},
		{DynamoDB, "DynamoDB_20120810.GetItem", strings.ReplaceAll(key, "%", "#worker/1"), Look},
		{DynamoDB, "DynamoDB_20120810.PutItem", strings.ReplaceAll(item, "%", "#orders/1"), Order},
		{DynamoDB, "DynamoDB_20120810.GetItem", strings.ReplaceAll(key, "%", "#orders/1"), Obey},
		{DynamoDB, "DynamoDB_20120810.UpdateItem", strings.ReplaceAll(key, "%", "#leader"), TakeLead},
		{S3, "POST", "/out/a/b?uploads", Create},
		{S3, "PUT", "/out/a/b?partNumber=1&uploadId=x", Part},
		{S3, "POST", "/out/a/b?uploadId=x", Complete},
		{S3, "DELETE", "/out/a/b?uploadId=x", Abort},
		{S3, "GET", "/out/a/b?uploadId=x", "ListParts"},
		{S3, "PUT", "/out/a/b", Put},
		{S3, "PUT", "/lake/rides/metadata/snap-1.avro", Metadata},
		{S3, "HEAD", "/out/a/b", "HeadObject"},
		{S3, "HEAD", "/out", "HeadBucket"},
		{Catalog, "GET", "/v1/config", "GET config"},
		{Catalog, "GET", "/v1/namespaces/trips/tables/rides", Load},
		{Catalog, "POST", "/v1/namespaces/trips/tables/rides", Append},
		{Catalog, "POST", "/v1/namespaces/trips/tables", "POST tables"},
		{Catalog, "HEAD", "/v1/namespaces/trips", "HEAD trips"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			method, path, body := tt.method, tt.rest, ""
			if tt.service != S3 && tt.service != Catalog {
				method, path, body = http.MethodPost, "/", tt.rest
			}
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("X-Amz-Target", tt.method)
			if c := identify(0, tt.service, r, []byte(body)); c.operation != tt.want {
				t.Errorf("%s %s is %q", tt.method, tt.rest, c.operation)
			}
		})
	}
}

// A process reaches a catalog that has the same name for all of them through a proxy of its own.
func TestProxy_StandsBeforeACatalog(t *testing.T) {
	b := newBackend(t)
	p := newProxy(t, Catalog, b, fate{kind: Throttled}, nil)
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	proxy := func(*http.Request) (*url.URL, error) { return url.Parse(p.url()) }
	client := &http.Client{Transport: &http.Transport{Proxy: proxy, DisableKeepAlives: true}}
	get := func() (status int, body string) {
		answer, err := client.Get("http://catalog.test/v1/namespaces/trips/tables/rides")
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(content)
	}
	if status, body := get(); status != 429 || body != `{"error":{"message":"planted","type":"TooManyRequestsException","code":429}}` {
		t.Errorf("the refusal is %d %s", status, body)
	}
	p.meet = func(c call) fate {
		if c.operation != Load {
			t.Errorf("the request is %s", c.operation)
		}
		return fate{}
	}
	if status, body := get(); status != 200 || body != said || b.applied.Load() != 1 {
		t.Errorf("the catalog answers %d %s after %d requests", status, body, b.applied.Load())
	}
}
