package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
)

// Total returns the sum of a collector's counters and gauges, over all labels.
func Total(c prometheus.Collector) (sum float64) {
	all := make(chan prometheus.Metric)
	go func() {
		c.Collect(all)
		close(all)
	}()
	for m := range all {
		var value dto.Metric
		if m.Write(&value) == nil { // collectors of this package do not fail
			sum += value.GetCounter().GetValue() + value.GetGauge().GetValue()
		}
	}
	return sum
}

var process = func() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}()

// ResidentBytes returns the memory of this process as process_resident_memory_bytes has it; 0 where that is not known.
func ResidentBytes() int64 {
	families, err := process.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() == "process_resident_memory_bytes" {
			return int64(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return 0
}
