package metrics_test

import (
	"runtime"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/internal/metrics"
)

func TestTotal_AddsUpAllLabels(t *testing.T) {
	m := metrics.New(prometheus.NewRegistry())
	m.BytesRead.WithLabelValues("a").Add(3)
	m.BytesRead.WithLabelValues("b").Add(4)
	m.GetRecords.WithLabelValues("throttled").Add(2)
	m.GetRecords.WithLabelValues("ok").Add(5)
	m.RetentionUsed.Set(0.25)
	for name, c := range map[string]struct {
		of   prometheus.Collector
		want float64
	}{
		"a vector": {m.BytesRead, 7}, "one of a vector": {m.GetRecords.WithLabelValues("throttled"), 2},
		"a gauge": {m.RetentionUsed, 0.25}, "nothing": {m.RecordsRead, 0},
	} {
		if got := metrics.Total(c.of); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestResidentBytes_IsThatOfThisProcess(t *testing.T) {
	if got := metrics.ResidentBytes(); runtime.GOOS == "linux" && (got < 1<<20 || got > 1<<40) {
		t.Errorf("this process has %d bytes", got)
	}
}
