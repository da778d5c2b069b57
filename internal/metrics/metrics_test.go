package metrics_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"aws-streaming-pipeline/internal/metrics"
)

func TestMetrics_KeepToThePrometheusConventions(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := metrics.New(metrics.ForApplication(registry, "trips"))
	m.BehindLatest.WithLabelValues("shard").Set(1)
	m.CheckOK.WithLabelValues("s3").Set(1)
	m.BatchSeconds.WithLabelValues("commit").Observe(1)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// An alert on an increase must see the first one.
func TestMetrics_BeginAtZeroAndNameTheApplication(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics.New(metrics.ForApplication(registry, "trips"))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]int)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			series[f.GetName()]++
			named := false
			for _, l := range m.GetLabel() {
				named = named || l.GetName() == "application" && l.GetValue() == "trips"
			}
			if !named {
				t.Errorf("%s does not name the application: %v", f.GetName(), m.GetLabel())
			}
			if v := m.GetCounter().GetValue(); v != 0 {
				t.Errorf("%s begins with %v", f.GetName(), v)
			}
		}
	}
	for name, want := range map[string]int{"consumer_records_total": 2, "consumer_batches_total": 3, "consumer_retention_gaps_total": 1} {
		if series[name] != want {
			t.Errorf("%s has %d series at the start, want %d", name, series[name], want)
		}
	}
}
