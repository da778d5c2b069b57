package emf

import (
	"maps"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// counts are the values of counters and histograms, by metric and labels.
type counts map[string]map[string]float64

// samples are the values of a registry, and how counts have grown.
type samples struct {
	families map[string]*dto.MetricFamily
	before   counts
	now      counts
}

func newSamples(families []*dto.MetricFamily, before counts) *samples {
	s := &samples{families: make(map[string]*dto.MetricFamily, len(families)), before: before, now: make(counts)}
	for _, f := range families {
		s.families[f.GetName()] = f
		if t := f.GetType(); t != dto.MetricType_COUNTER && t != dto.MetricType_HISTOGRAM {
			continue
		}
		series := make(map[string]float64, len(f.GetMetric()))
		for _, m := range f.GetMetric() {
			series[key(m)] = count(m)
		}
		s.now[f.GetName()] = series
	}
	return s
}

// count is the value of a counter, or the sum of a histogram.
func count(m *dto.Metric) float64 {
	if h := m.GetHistogram(); h != nil {
		return h.GetSampleSum()
	}
	return m.GetCounter().GetValue()
}

func labels(m *dto.Metric) map[string]string {
	all := make(map[string]string, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		all[l.GetName()] = l.GetValue()
	}
	return all
}

// key is the labels as one text.
func key(m *dto.Metric) (text string) {
	all := labels(m)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text += name + "\x00" + all[name] + "\x00"
	}
	return text
}

// grown returns by how much the series of a metric have grown whose label is allowed.
func (s *samples) grown(name, label string, keep func(string) bool) float64 {
	return s.grownOf(name, func(labels map[string]string) bool { return keep == nil || keep(labels[label]) })
}

func (s *samples) grownOf(name string, keep func(labels map[string]string) bool) (sum float64) {
	for _, m := range s.families[name].GetMetric() {
		if keep(labels(m)) {
			sum += count(m) - s.before[name][key(m)]
		}
	}
	return sum
}

// success returns the share of the result ok in how much a count has grown; ok is false if it has not.
func (s *samples) success(name string, keep func(labels map[string]string) bool) (share float64, ok bool) {
	all := s.grownOf(name, keep)
	worked := s.grownOf(name, func(labels map[string]string) bool { return keep(labels) && labels["result"] == "ok" })
	return worked / all, all > 0
}

// greatest returns the largest value of a gauge's series.
func (s *samples) greatest(name string) (value float64, ok bool) {
	for _, m := range s.families[name].GetMetric() {
		if v := m.GetGauge().GetValue(); !ok || v > value {
			value, ok = v, true
		}
	}
	return value, ok
}
