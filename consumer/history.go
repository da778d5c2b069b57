package consumer

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/internal/metrics"
)

const (
	// sampleEvery is the time between two samples of the status page's graphs, and samples is how many of them are kept: those
	// of ten minutes and the one before.
	sampleEvery = 5 * time.Second
	samples     = int(10*time.Minute/sampleEvery) + 1
)

// Counts are what this worker has read and written since its start, as /metrics shows it.
type Counts struct {
	RecordsRead    int64 `json:"records_read"` // Kinesis records, aggregates counted once
	BytesRead      int64 `json:"bytes_read"`
	BytesWritten   int64 `json:"bytes_written"`
	Reads          int64 `json:"reads"` // GetRecords calls and fan-out subscriptions
	ThrottledReads int64 `json:"throttled_reads"`
}

// Sample is the state of the counts at a time, and the lag then.
type Sample struct {
	At time.Time `json:"at"`
	Counts
	LagSeconds float64 `json:"lag_seconds"` // of the worst shard that this worker reads
}

// history keeps the samples of the last ten minutes. It is safe for concurrent use.
type history struct {
	mu   sync.Mutex
	kept []Sample // oldest first
}

// take takes a sample, unless the newest is less than sampleEvery old.
func (h *history) take(sample func() Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.kept); n > 0 && time.Since(h.kept[n-1].At) < sampleEvery {
		return
	}
	if len(h.kept) == samples {
		h.kept = slices.Delete(h.kept, 0, 1)
	}
	h.kept = append(h.kept, sample())
}

func (h *history) samples() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.kept)
}

// sample returns the sample of now.
func (d *Daemon) sample() Sample {
	return Sample{At: time.Now(), Counts: d.counts(), LagSeconds: d.lag().Seconds()}
}

func (d *Daemon) counts() Counts {
	m := d.metrics
	total := func(of ...prometheus.Collector) (sum int64) {
		for _, c := range of {
			sum += int64(metrics.Total(c))
		}
		return sum
	}
	return Counts{
		RecordsRead: total(m.RecordsRead), BytesRead: total(m.BytesRead), BytesWritten: total(m.BytesWritten),
		Reads:          total(m.GetRecords, m.Subscriptions),
		ThrottledReads: total(m.GetRecords.WithLabelValues("throttled"), m.Subscriptions.WithLabelValues("throttled")),
	}
}

// lag returns how far the worst shard that this worker reads is behind its tip.
func (d *Daemon) lag() (worst time.Duration) {
	for _, behind := range d.shards.behind() {
		worst = max(worst, behind)
	}
	return worst
}
