package consumer

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/writers/s3sink"
)

// newIdleDaemon makes a daemon whose services do not answer; it is not run.
func newIdleDaemon(t *testing.T) (*Daemon, *unanswered) {
	t.Helper()
	cfg := Defaults()
	cfg.Stream, cfg.Bucket, cfg.HTTPAddress = "stream", "bucket", ""
	registry := prometheus.NewRegistry()
	m := metrics.New(registry)
	b := budget.New(int64(cfg.MemoryBudget), m)
	log := slog.New(slog.DiscardHandler)
	network, keys := &unanswered{}, credentials.NewStaticCredentialsProvider("id", "secret", "")
	sink, err := s3sink.New(s3.New(s3.Options{Region: "us-east-1", HTTPClient: network, Credentials: keys, Retryer: aws.NopRetryer{}}), s3sink.Config{Bucket: cfg.Bucket, Budget: b, Metrics: m, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(cfg, Services{
		Kinesis: kinesis.New(kinesis.Options{Region: "us-east-1", HTTPClient: network, Credentials: keys}), Store: unasked{}, Sink: sink,
		Budget: b, Metrics: m, Registry: registry, Log: log, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return d, network
}

func get(t *testing.T, d *Daemon, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

// unanswered is the network of an idle daemon: it counts what is asked, and fails.
type unanswered struct{ asked atomic.Int64 }

func (u *unanswered) Do(r *http.Request) (*http.Response, error) {
	u.asked.Add(1)
	return nil, errors.New("nobody answers at " + r.URL.Host)
}

// unasked is a store that nobody may ask anything.
type unasked struct{ checkpoint.Store }

func (unasked) Health() error { return nil }

// Whoever reaches the port can have the daemon look into its own memory, and nothing else: no request becomes one to AWS.
func TestHandler_AsksNobody(t *testing.T) {
	d, network := newIdleDaemon(t)
	for range 20 {
		for _, path := range []string{"/", "/status.json", "/metrics", "/healthz", "/readyz", "/elsewhere"} {
			get(t, d, path)
		}
	}
	if n := network.asked.Load(); n != 0 {
		t.Errorf("%d requests to AWS", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := d.sink.Check(ctx); err == nil || network.asked.Load() == 0 {
		t.Errorf("a look at the bucket is not seen: %v", err)
	}
}

// scannable is a store that answers scans, and nothing else.
type scannable struct {
	unasked
	checkpoint.Snapshot
	scans atomic.Int64
	fails atomic.Bool
}

func (s *scannable) Scan(context.Context) (checkpoint.Snapshot, error) {
	s.scans.Add(1)
	if s.fails.Load() {
		return checkpoint.Snapshot{}, errors.New("throttled")
	}
	return s.Snapshot, nil
}

// A worker that follows reads the table when somebody looks at its page, however many do, and for nobody else. Who asks the probes or for
// the metrics makes no request to AWS.
func TestHandler_ReadsTheTableForWhoeverLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, network := newIdleDaemon(t)
		d.worker = "a follower"
		leader := checkpoint.Worker{ID: "leader", Beat: 1, Address: "10.0.0.1:8080", Version: "v2", Follows: true}
		stored := &scannable{Snapshot: checkpoint.Snapshot{
			Workers: []checkpoint.Worker{leader, {ID: "old", Beat: 1}, {ID: d.worker, Follows: true}},
			Leases: []checkpoint.Lease{
				{Shard: "shard-1", Owner: "leader", Checkpoint: "1"}, {Shard: "shard-2", Owner: "old", Checkpoint: "1"}, {Shard: "shard-3", Checkpoint: "1"},
				{Shard: "shard-4", Owner: "leader", Checkpoint: checkpoint.ShardEnd},
			},
			Batches: []checkpoint.Batch{{ID: "b1"}, {ID: "b2"}}, Published: []checkpoint.Batch{{ID: "b3", Tables: []string{"lake"}}},
		}}
		d.overview.scan = stored.Scan
		d.scan = lease.Scan{At: time.Now(), Live: []string{d.worker, "leader"}, Snapshot: checkpoint.Snapshot{
			Workers: []checkpoint.Worker{leader}, Lead: checkpoint.Lead{Worker: "leader", Term: 1},
		}}
		for range 20 {
			for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/elsewhere"} {
				get(t, d, path)
			}
		}
		if n := stored.scans.Load(); n != 0 {
			t.Fatalf("%d scans before somebody looked", n)
		}
		before := d.Status()
		if len(before.Shards) != 0 || len(before.Workers) != 2 || before.Leader == nil || *before.Leader != (LeaderStatus{ID: "leader", Address: "10.0.0.1:8080"}) || before.Fleet == nil {
			t.Errorf("from its memory it shows %+v", before)
		}
		look := func() (s Status) {
			t.Helper()
			_, body := get(t, d, "/status.json")
			if err := json.Unmarshal([]byte(body), &s); err != nil {
				t.Fatal(err)
			}
			return s
		}
		var s Status
		for range 20 {
			s = look()
		}
		if n := stored.scans.Load(); n != 1 {
			t.Errorf("%d scans for 20 looks, want 1", n)
		}
		states, roles := "", ""
		for _, shard := range s.Shards {
			states += fmt.Sprint(shard.Shard, " ", shard.State, " ", shard.Owner, "; ")
		}
		for _, w := range s.Workers {
			roles += fmt.Sprint(w.Role, " ", w.Shards, " ", w.Alive, "; ")
		}
		if want := "shard-1 owned leader; shard-2 owned old; shard-3 free ; shard-4 ended leader; "; states != want {
			t.Errorf("the shards are %s, want %s", states, want)
		}
		if want := "follower 0 true; leader 2 true; alone 1 true; "; roles != want {
			t.Errorf("the workers are %s, want %s", roles, want)
		}
		if s.Pipeline.Outbox != 2 || len(s.Pipeline.Tables) != 1 || s.Pipeline.Tables[0].Batches != 1 || s.Fleet.AsOf.IsZero() || s.Fleet.Problem != "" {
			t.Errorf("it shows %d batches, the tables %+v and the fleet %+v", s.Pipeline.Outbox, s.Pipeline.Tables, s.Fleet)
		}

		stored.fails.Store(true)
		time.Sleep(2 * overviewEvery) // in which the others' heartbeats stood still
		if later := look(); later.Fleet.Problem != "throttled" || !later.Fleet.AsOf.Equal(s.Fleet.AsOf) || len(later.Shards) != 4 {
			t.Errorf("when the table cannot be read it shows %+v", later.Fleet)
		}
		stored.fails.Store(false)
		time.Sleep(overviewEvery)
		if later := look(); later.Shards[0].State != "owned" || later.Shards[1].State != "free" || later.Workers[2].Alive {
			t.Errorf("the worker died, and the page shows %+v", later)
		}
		if n := network.asked.Load(); n != 0 {
			t.Errorf("%d requests to AWS", n)
		}

		scans := stored.scans.Load()
		d.scan.Leading = true // it knows the table
		time.Sleep(overviewEvery)
		if s := look(); s.Fleet != nil || stored.scans.Load() != scans {
			t.Errorf("a leader reads the table for its page: %+v", s.Fleet)
		}
	})
}

// The port shows and changes nothing: it takes GET and HEAD, and has no profiles.
func TestHandler_TakesNoOrders(t *testing.T) {
	d, _ := newIdleDaemon(t)
	for _, path := range []string{"/", "/status.json", "/metrics", "/healthz", "/readyz"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			w := httptest.NewRecorder()
			if d.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader("{}"))); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/vars", "/-/quit", "/status.html"} {
		if code, _ := get(t, d, path); code != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, code)
		}
	}
}

// Browsers run the page's own script and style alone, frame it nowhere, and guess no types.
func TestHandler_GuardsEachAnswer(t *testing.T) {
	d, _ := newIdleDaemon(t)
	for _, path := range []string{"/", "/status.json", "/metrics", "/healthz", "/readyz", "/elsewhere"} {
		w := httptest.NewRecorder()
		d.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		h := w.Result().Header
		if got := h.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options is %q", path, got)
		}
		if got := h.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("%s: Referrer-Policy is %q", path, got)
		}
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !slices.Contains(strings.Split(csp, "; "), want) {
				t.Errorf("%s: the policy %q lacks %s", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy allows what anybody writes into the page: %s", path, csp)
		}
	}
	// The policy names hashes of the page's elements, so everything has to stand in them.
	for element, in := range map[string]string{"script": "script-src", "style": "style-src"} {
		m := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllSubmatch(page, -1)
		if len(m) != 1 {
			t.Fatalf("the page has %d elements %s", len(m), element)
		}
		sum := sha256.Sum256(m[0][1])
		if want := in + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %s", policy, want)
		}
	}
	if m := regexp.MustCompile(`\s(on[a-z]+|style|src)=|<link|href="[^"]*:`).Find(page); m != nil {
		t.Errorf("the page has an attribute that the policy forbids: %s", m)
	}
}

func TestHandler_TellsWhatIsWrongBeforeAnythingRuns(t *testing.T) {
	d, _ := newIdleDaemon(t)
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/":            {200, "<title>"},
		"/status.json": {200, `"state":"not ready"`},
		"/metrics":     {200, "consumer_leases_held 0\n"},
		"/healthz":     {200, "alive"},
		"/readyz":      {503, "has not started"},
		"/elsewhere":   {404, ""},
	} {
		if code, body := get(t, d, path); code != want.code || !strings.Contains(body, want.text) {
			t.Errorf("GET %s: %d %.200s, want %d and %q", path, code, body, want.code, want.text)
		}
	}
}

func TestHandler_IsNotAliveWhenTheEngineStandsStill(t *testing.T) {
	d, _ := newIdleDaemon(t)
	d.shards.Shards()
	if code, body := get(t, d, "/healthz"); code != 200 {
		t.Errorf("just after a tick: %d %s", code, body)
	}
	d.shards.ticked.Store(time.Now().Add(-2 * stallLimit).UnixNano())
	if code, body := get(t, d, "/healthz"); code != 503 || !strings.Contains(body, "engine has been stuck") {
		t.Errorf("long after a tick: %d %s", code, body)
	}
}

func TestMetrics_TellWhatReadinessTells(t *testing.T) {
	d, _ := newIdleDaemon(t)
	d.trouble.kinesis("shardId-000000000000", errors.New("no such stream"))
	_, body := get(t, d, "/metrics")
	for _, want := range []string{
		`consumer_check_ok{check="leases"} 0`, `consumer_check_ok{check="kinesis"} 0`, `consumer_check_ok{check="s3"} 1`,
		"consumer_commit_interval_seconds 300",
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	d.trouble.kinesis("shardId-000000000000", nil)
	if _, body := get(t, d, "/metrics"); !strings.Contains(body, `consumer_check_ok{check="kinesis"} 1`) {
		t.Error("kinesis has recovered, and the metrics do not tell")
	}
}

// If no shard can be read, the check names some and counts the others, in an order that stays: the page and screen readers would
// show a new text every two seconds.
func TestTrouble_IsShort(t *testing.T) {
	var tr trouble
	if err := tr.get(); err != nil {
		t.Errorf("without trouble: %v", err)
	}
	for i := range 200 {
		tr.kinesis(fmt.Sprintf("shardId-%012d", 199-i), fmt.Errorf("refused %d", i))
	}
	const want = "shard shardId-000000000000 cannot be read: refused 199; shard shardId-000000000001 cannot be read: refused 198; shard shardId-000000000002 cannot be read: refused 197; 197 more shards"
	for range 20 {
		if got := problem(tr.get()); got != want {
			t.Fatalf("the problem is %q, want %q", got, want)
		}
	}
}

// A panic that comes again at one position holds its shard up until somebody mends the program: readiness says where.
func TestReadiness_FailsWhereThePanicComesAgain(t *testing.T) {
	d, _ := newIdleDaemon(t)
	const shard = "shardId-000000000007"
	problem := func() string {
		for _, c := range d.checks() {
			if c.Name == "records" {
				return c.Problem
			}
		}
		return "no such check"
	}
	told := func(want string) {
		t.Helper()
		if got := problem(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("problem %q, want %q", got, want)
		}
		ok := "1"
		if want != "" {
			ok = "0"
		}
		if _, body := get(t, d, "/metrics"); !strings.Contains(body, `consumer_check_ok{check="records"} `+ok+"\n") {
			t.Errorf("the metric is not %s", ok)
		}
		if code, body := get(t, d, "/readyz"); code != http.StatusServiceUnavailable || want != "" && !strings.Contains(body, want) {
			t.Errorf("/readyz: %d %s, want %q", code, body, want)
		}
	}
	d.scan.Leading, d.scan.At = true, time.Now()
	d.scan.Snapshot.Leases = []checkpoint.Lease{{Shard: shard, Owner: d.worker}}
	told("")
	d.pipeline.Panicked(shard, "4711", "a panic")
	told("")
	d.pipeline.Panicked(shard, "4711", "a panic")
	told("shard " + shard + ": the program panicked 2 times after the checkpoint 4711: a panic")

	d.scan.Snapshot.Leases[0].Owner = "another" // which finds out for itself
	told("")
	d.scan.Snapshot.Leases[0].Owner = ""
	told("4711")
	d.pipeline.Panicked(shard, "4712", "a panic")
	told("")

	d.pipeline.Panicked(shard, "4712", "a panic")
	told("4712")
	d.scan.Leading = false // a worker that follows knows its own shards
	told("4712")
	d.scan.Snapshot.Leases = nil
	told("")
}
