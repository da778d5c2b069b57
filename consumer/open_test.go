package consumer

import (
	"bytes"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/localstream"
)

// begun keeps the requests that begin an upload.
type begun struct {
	aws.HTTPClient
	mu       sync.Mutex
	requests []*http.Request
}

func (b *begun) Do(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
		b.mu.Lock()
		b.requests = append(b.requests, r.Clone(r.Context()))
		b.mu.Unlock()
	}
	return b.HTTPClient.Do(r)
}

func TestOpen_DeliversBySettingsAlone(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	network := &begun{HTTPClient: st.account.HTTPClient}
	st.account.HTTPClient = network
	for _, payload := range []string{`{"n":1}`, `{"n":"none"}`} {
		if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	cfg := Defaults()
	cfg.Stream, cfg.Bucket, cfg.HTTPAddress, cfg.PathStyle, cfg.Encryption = "stream", "bucket", "", true, "AES256"
	cfg.CommitInterval, cfg.Failover, cfg.MemoryBudget = time.Second, time.Second, 48<<20
	cfg.CheckpointFile, cfg.Schema, cfg.SpoolDir = filepath.Join(dir, "checkpoints.db"), filepath.Join(dir, "schema.json"), dir
	if err := os.WriteFile(cfg.Schema, []byte(`{"type":"object","properties":{"n":{"type":"integer"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), cfg, Account{Config: st.account, KinesisEndpoint: st.stream.URL(), S3Endpoint: st.bucket.URL()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := st.run(d)
	eventually(t, "both records are published", func() bool {
		totals := d.Status().Pipeline.Totals
		return totals.Records >= 1 && totals.ErrorRecords >= 1
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if code, text := get(t, d, "/metrics"); code != http.StatusOK || !strings.Contains(text, "go_goroutines{") || !strings.Contains(text, "consumer_memory_budget_bytes{") {
		t.Errorf("/metrics answers %d:\n%s", code, text)
	}
	var prefixes []string
	for _, r := range network.requests {
		if r.Header.Get("X-Amz-Server-Side-Encryption") != "AES256" || !strings.HasPrefix(r.URL.Path, "/bucket/") {
			t.Errorf("upload of %s with %v", r.URL, r.Header)
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/bucket/"), "/")
		prefixes = append(prefixes, first)
	}
	slices.Sort(prefixes)
	if !slices.Equal(prefixes, []string{"data", "errors"}) {
		t.Errorf("uploads under %q, want one file of data and one of errors: the schema admits one record", prefixes)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	store, err := local.Open(cfg.CheckpointFile)
	if err != nil {
		t.Fatalf("the file is still open: %v", err)
	}
	store.Close()
}

// Each setting of the sink reaches it.
func TestConfig_GivesTheSinkItsSettings(t *testing.T) {
	cfg := Defaults()
	cfg.Bucket, cfg.PartSize, cfg.UploadConcurrency, cfg.Encryption, cfg.KMSKey, cfg.SpoolDir = "bucket", 6<<20, 3, "aws:kms", "key", t.TempDir()
	svc := Services{Budget: budget.New(1<<20, nil)}
	to, err := cfg.sinkConfig(svc)
	if err != nil || to.Bucket != "bucket" || to.PartSize != 6<<20 || to.Concurrency != 3 || to.Encryption != "aws:kms" || to.KMSKeyID != "key" || to.Spool == nil {
		t.Errorf("%+v, %v", to, err)
	}
	cfg.Encryption, cfg.KMSKey, cfg.SpoolDir = "none", "", ""
	if to, err = cfg.sinkConfig(svc); err != nil || to.Encryption != "" || to.Spool != nil {
		t.Errorf("%+v, %v", to, err)
	}
	cfg.SpoolDir = filepath.Join(t.TempDir(), "absent")
	if _, err = cfg.sinkConfig(svc); err == nil || !strings.Contains(err.Error(), "SPOOL_DIR=") {
		t.Errorf("error %v", err)
	}
}

func TestOpen_ClosesTheStoreOfADaemonThatCannotBeMade(t *testing.T) {
	cfg := Defaults()
	cfg.Stream, cfg.Bucket, cfg.CheckpointFile, cfg.TimeZone = "stream", "bucket", filepath.Join(t.TempDir(), "checkpoints.db"), "nowhere"
	if _, err := Open(t.Context(), cfg, Account{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("no error")
	}
	store, err := local.Open(cfg.CheckpointFile)
	if err != nil {
		t.Fatalf("the file is still open: %v", err)
	}
	store.Close()
}

// The programs take a daemon from Open: what each puts together for itself ignores a setting sooner or later.
func TestOpen_IsTheOnlyPlaceThatPutsADaemonTogether(t *testing.T) {
	parts := regexp.MustCompile(`\b(consumer\.New|s3sink\.New|metrics\.New)\(`)
	files := 0
	err := filepath.WalkDir("../cmd", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if found := parts.FindAll(text, -1); found != nil {
			t.Errorf("%s calls %s): use consumer.Open", path, bytes.Join(found, []byte("), ")))
		}
		return err
	})
	if err != nil || files < 20 {
		t.Errorf("%d files were read, %v", files, err)
	}
}
