package batch

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"aws-streaming-pipeline/checkpoint"
)

// value is that of a counter or a gauge.
func value(t *testing.T, c prometheus.Metric) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

// Operators see what is delivered, what is not and what waits by these numbers alone.
func TestMetrics_CountWhatIsDeliveredAndWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		m := p.parts.Metrics
		c := p.Open(w.acquire("shard-1", "a"))
		in := intake("x", 1, 5)
		in.Records[0].Data = []byte("not json")
		w.append(c, in)
		w.append(c, intake("y", 6, 7))
		p.Observe()
		want(t, "files that are open", value(t, m.OpenFiles), 3)
		want(t, "faults", value(t, m.Faults.WithLabelValues("Json.Malformed")), 1)
		want(t, "records delivered before they are visible", value(t, m.Records.WithLabelValues("delivered")), 0)

		time.Sleep(w.limits.Interval)
		synctest.Wait()
		p.Observe()
		var bytes int64
		for _, f := range p.Status().Published {
			bytes += f.Bytes
		}
		want(t, "files that are open after the commit", value(t, m.OpenFiles), 0)
		want(t, "records delivered", value(t, m.Records.WithLabelValues("delivered")), 6)
		want(t, "error records", value(t, m.Records.WithLabelValues("error")), 1)
		want(t, "data files", value(t, m.Files.WithLabelValues("data", "interval")), 2)
		want(t, "error files", value(t, m.Files.WithLabelValues("error", "interval")), 1)
		want(t, "bytes", value(t, m.BytesWritten), float64(bytes))
		want(t, "batches published", value(t, m.Batches.WithLabelValues("published")), 1)

		// A batch that its worker does not publish is another's to sweep; one whose lease was lost is dropped.
		w.bucket.plant(func(operation, _ string, _ bool) error {
			if operation == "publish" {
				return errPlanted
			}
			return nil
		})
		w.append(c, intake("x", 8, 9))
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		w.append(c, intake("x", 10, 11))
		w.acquire("shard-1", "b")
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		want(t, "batches dropped", value(t, m.Batches.WithLabelValues("dropped")), 1)
		stop()
		w.bucket.plant(nil)

		b, stop := w.worker("b")
		defer stop()
		w.sweep(b)
		want(t, "batches in the outbox", value(t, b.parts.Metrics.Outbox), 1)
		want(t, "batches swept", value(t, b.parts.Metrics.Batches.WithLabelValues("swept")), 1)
		want(t, "records delivered by the sweep", value(t, b.parts.Metrics.Records.WithLabelValues("delivered")), 2)
	})
}

func TestMetrics_TellTheOldestBatchOfTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		now := time.Now()
		p.Sweep(checkpoint.Snapshot{Batches: []checkpoint.Batch{
			{ID: "one", Worker: "w", Created: now.Add(-time.Minute)},
			{ID: "two", Worker: "w", Created: now.Add(-time.Hour)},
			{ID: "three", Worker: "w", Created: now.Add(-time.Second)},
		}}, func(checkpoint.Batch) bool { return false })
		want(t, "batches", value(t, p.parts.Metrics.Outbox), 3)
		want(t, "age of the oldest", value(t, p.parts.Metrics.OutboxAge), 3600)
	})
}
