package consumer

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/metrics"
)

// A daemon that is stopped has reported each record, once, under its application's name. Its log goes elsewhere.
func TestDaemon_ReportsToCloudWatch(t *testing.T) {
	const records = 25
	for _, namespace := range []string{"Files", ""} {
		st := newStage(t, 2, localstream.Options{})
		for n := range records {
			if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: fmt.Sprint(n), Data: []byte(`{"n":1}`)}); err != nil {
				t.Fatal(err)
			}
		}
		cfg := Defaults()
		cfg.Stream, cfg.Bucket, cfg.HTTPAddress, cfg.Application, cfg.CommitInterval, cfg.Failover = "stream", "bucket", "", "trips", time.Second, time.Second
		cfg.CloudWatch = namespace
		account := Account{Config: st.account, KinesisEndpoint: st.stream.URL(), S3Endpoint: st.bucket.URL()}
		collected := prometheus.NewRegistry()
		m := metrics.New(collected)
		var out, log safeBuffer
		svc := Services{
			Kinesis: account.kinesis(), Store: healthyStore{st.store}, Budget: budget.New(int64(cfg.MemoryBudget), nil), Metrics: m,
			Registry: collected, Log: slog.New(slog.NewJSONHandler(&log, nil)), Output: &out,
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
		eventually(t, "the records are published", func() bool { return d.Status().Pipeline.Totals.Records == records })
		if err := stop(); err != nil {
			t.Error(err)
		}
		if namespace == "" {
			if out.String() != "" {
				t.Errorf("without a namespace it writes %s", out.String())
			}
			continue
		}
		var read, delivered float64
		for line := range strings.Lines(out.String()) {
			var e struct {
				DeliveryStreamName, Worker string
				Read                       float64 `json:"DataReadFromKinesisStream.Records"`
				Delivered                  float64 `json:"DeliveryToS3.Records"`
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.DeliveryStreamName != "trips" || e.Worker != d.worker {
				t.Errorf("%v, %s", err, line)
			}
			read, delivered = read+e.Read, delivered+e.Delivered
		}
		if read != records || delivered != records {
			t.Errorf("%v records read and %v delivered, want %d\n%s", read, delivered, records, out.String())
		}
		for line := range strings.Lines(log.String()) {
			if !json.Valid([]byte(line)) || strings.Contains(line, "_aws") {
				t.Errorf("the log has %s", line)
			}
		}
	}
}
