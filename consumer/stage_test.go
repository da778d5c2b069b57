package consumer

import (
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/writers/s3sink"
	"aws-streaming-pipeline/writers/writerstest"
)

// stage is a stream, a bucket and a store in this process, for any number of daemons.
type stage struct {
	t       *testing.T
	stream  *localstream.Server
	bucket  *localbucket.Server
	store   checkpoint.Store
	account aws.Config
	folder  string           // of the bucket
	schema  *schema.Schema   // of the daemons; nil for none
	schemas registry.Service // that payloads name; nil for none
	change  transform.Stage  // of the daemons; nil for none
	sink    Sink             // instead of the bucket; nil for the bucket
	wrap    func(Sink) Sink  // puts something before the bucket; nil for nothing
	// patience is the bucket's; 0 for the default
	patience time.Duration
	kinesis  func(Kinesis) Kinesis // wraps the stream's client; nil for none
	log      *slog.Logger          // of the daemons; nil for none
}

func newStage(t *testing.T, shards int, options localstream.Options) *stage {
	t.Helper()
	st := &stage{t: t, folder: t.TempDir(), store: local.OpenMemory()}
	var err error
	if st.stream, err = localstream.Start("127.0.0.1:0", options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.stream.Close() })
	if err := st.stream.CreateStream("stream", shards); err != nil {
		t.Fatal(err)
	}
	if st.bucket, err = localbucket.Start("127.0.0.1:0", st.folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.bucket.Close() })
	if err := st.bucket.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.store.Close() })
	st.account = aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Keep(nil),
	}
	return st
}

// daemon makes a daemon that does not run yet.
func (st *stage) daemon(adjust func(*Config)) *Daemon {
	st.t.Helper()
	cfg := Defaults()
	cfg.Stream, cfg.Bucket, cfg.HTTPAddress = "stream", "bucket", ""
	adjust(&cfg)
	collected := prometheus.NewRegistry()
	m := metrics.New(collected)
	held := budget.New(int64(cfg.MemoryBudget), m)
	log := st.log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	svc := Services{Store: healthyStore{st.store}, Budget: held, Metrics: m, Registry: collected, Log: log, Schema: st.schema, SchemaRegistry: st.schemas, Transform: st.change, Version: "test"}
	account := Account{Config: st.account, KinesisEndpoint: st.stream.URL(), S3Endpoint: st.bucket.URL()}
	to, err := cfg.sinkConfig(svc)
	if err != nil {
		st.t.Fatal(err)
	}
	to.Patience = st.patience
	bucket, err := s3sink.New(account.s3(true), to)
	if err != nil {
		st.t.Fatal(err)
	}
	svc.Sink, svc.Kinesis = bucket, account.kinesis()
	if st.sink != nil {
		svc.Sink = st.sink
	}
	if st.wrap != nil {
		svc.Sink = st.wrap(svc.Sink)
	}
	if st.kinesis != nil {
		svc.Kinesis = st.kinesis(svc.Kinesis)
	}
	d, err := New(cfg, svc)
	if err != nil {
		st.t.Fatal(err)
	}
	return d
}

// healthy is a sink that is always well.
type healthy struct{ *writerstest.Memory }

func (healthy) Health() error { return nil }

// healthyStore is a store that is always well.
type healthyStore struct{ checkpoint.Store }

func (healthyStore) Health() error { return nil }

// eventually waits for a condition, on a busy machine as well.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	const within = 2 * time.Minute
	for deadline := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}
