package consumer

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/writers/s3sink"
)

// newIdleDaemon makes a daemon whose services do not answer; it is not run.
func newIdleDaemon(t *testing.T) *Daemon {
	t.Helper()
	cfg := Defaults()
	cfg.Stream, cfg.Bucket, cfg.HTTPAddress = "stream", "bucket", ""
	registry := prometheus.NewRegistry()
	m := metrics.New(registry)
	b := budget.New(int64(cfg.MemoryBudget), m)
	log := slog.New(slog.DiscardHandler)
	sink, err := s3sink.New(s3.New(s3.Options{Region: "us-east-1"}), s3sink.Config{Bucket: cfg.Bucket, Budget: b, Metrics: m, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	store := local.OpenMemory()
	t.Cleanup(func() { store.Close() })
	d, err := New(cfg, Services{
		Kinesis: kinesis.New(kinesis.Options{Region: "us-east-1"}), Store: store, Sink: sink,
		Budget: b, Metrics: m, Registry: registry, Log: log, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
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

func TestHandler_TellsWhatIsWrongBeforeAnythingRuns(t *testing.T) {
	d := newIdleDaemon(t)
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
	d := newIdleDaemon(t)
	d.shards.Shards()
	if code, body := get(t, d, "/healthz"); code != 200 {
		t.Errorf("just after a tick: %d %s", code, body)
	}
	d.shards.ticked.Store(time.Now().Add(-2 * stallLimit).UnixNano())
	if code, body := get(t, d, "/healthz"); code != 503 || !strings.Contains(body, "stood still") {
		t.Errorf("long after a tick: %d %s", code, body)
	}
}

func TestMetrics_TellWhatReadinessTells(t *testing.T) {
	d := newIdleDaemon(t)
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
