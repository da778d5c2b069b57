package consumer

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/metrics"
)

// Metrics may be nil in every part: a daemon without them delivers all the same.
func TestDaemon_DeliversWithoutMetrics(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: []byte(`{"n":1}`)}); err != nil {
		t.Fatal(err)
	}
	cfg := Defaults()
	cfg.Stream, cfg.Bucket, cfg.HTTPAddress, cfg.CommitInterval, cfg.Failover = "stream", "bucket", "", time.Second, time.Second
	account := Account{Config: st.account, KinesisEndpoint: st.stream.URL(), S3Endpoint: st.bucket.URL()}
	svc := Services{
		Kinesis: account.kinesis(), Store: healthyStore{st.store}, Budget: budget.New(int64(cfg.MemoryBudget), nil),
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	}
	var err error
	if svc.Sink, err = cfg.openSink(account.s3(true), svc); err != nil {
		t.Fatal(err)
	}
	d, err := New(cfg, svc)
	if err != nil {
		t.Fatal(err)
	}
	stop := st.run(d)
	eventually(t, "the record is published", func() bool { return d.Status().Pipeline.Totals.Records == 1 })
	if load := metrics.Total(d.metrics.LoadHeld); load != 1 { // less than a byte per second, but known
		t.Errorf("the shards of the worker have a load of %v", load)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
