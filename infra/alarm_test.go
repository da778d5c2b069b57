package infra_test

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// none is a period without data.
var none = math.NaN()

// planted are the values of metrics, by name and statistic, for a few periods, the latest last.
type planted map[string][]float64

// alarmCases say when alarms, identified by the end of their names, are raised, and when not. Each function has some
// alarms of the same kind.
var alarmCases = map[string]struct{ raised, quiet []planted }{
	"-errors": {
		raised: []planted{{"Errors Sum": {0, 1}}},
		quiet:  []planted{{"Errors Sum": {1, 0}}, {"Errors Sum": {none}}},
	},
	"-throttles": { // of functions
		raised: []planted{{"Throttles Sum": {0, 1}}},
		quiet:  []planted{{"Throttles Sum": {1, 0}}, {"Throttles Sum": {none}}},
	},
	"-iterator-age": {
		raised: []planted{{"IteratorAge Maximum": {600001, 600001}}},
		quiet:  []planted{{"IteratorAge Maximum": {600001, 1000}}, {"IteratorAge Maximum": {none, none}}},
	},
	"-retries": {
		raised: []planted{{"BatchesFailed Sum": {1, 1, 1}}},
		quiet:  []planted{{"BatchesFailed Sum": {1, 0, 1}}},
	},
	"-error-records": {
		raised: []planted{{"RecordsFailed Sum": {1}}},
		quiet:  []planted{{"RecordsFailed Sum": {0}}},
	},
	"-given-up": {
		raised: []planted{{"OnFailureDestinationDeliveredEventCount Sum": {1}}},
		quiet:  []planted{{"OnFailureDestinationDeliveredEventCount Sum": {0}}, {"DroppedEventCount Sum": {1}}},
	},
	"-dropped": {
		raised: []planted{{"DroppedEventCount Sum": {1}}},
		quiet:  []planted{{"DroppedEventCount Sum": {0}}, {"OnFailureDestinationDeliveredEventCount Sum": {1}}},
	},
	"-undelivered": {
		raised: []planted{{"DestinationDeliveryFailures Sum": {1}}},
		quiet:  []planted{{"DestinationDeliveryFailures Sum": {0}}, {"DestinationDeliveryFailures Sum": {none}}},
	},
	"-not-read": {
		raised: []planted{
			{"IncomingRecords Sum": {5, 5, 5}, "PolledEventCount Sum": {0, 0, 0}},
			{"IncomingRecords Sum": {5, 5, 5}}, // the mapping is disabled
			{"IncomingRecords Sum": {5, 5, 5}, "PolledEventCount Sum": {none, 0, none}},
		},
		quiet: []planted{
			{"IncomingRecords Sum": {5, 5, 5}, "PolledEventCount Sum": {0, 0, 5}},
			{"IncomingRecords Sum": {0, 0, 0}, "PolledEventCount Sum": {0, 0, 0}},
			{"PolledEventCount Sum": {0, 0, 0}}, // nobody writes
			{},
		},
	},
	"-stream-load": {
		raised: []planted{
			{"IncomingBytes Sum": {57e6}, "IncomingRecords Sum": {1}, "ShardsOpen Maximum": {1}},
			{"IncomingBytes Sum": {1, 1}, "IncomingRecords Sum": {0, 108000}, "ShardsOpen Maximum": {2, none}},
		},
		quiet: []planted{{"IncomingBytes Sum": {57e6}, "IncomingRecords Sum": {1}, "ShardsOpen Maximum": {2}}, {}},
	},
	"-stream-write-throttles": {
		raised: []planted{{"WriteProvisionedThroughputExceeded Sum": {1}}},
		quiet:  []planted{{"WriteProvisionedThroughputExceeded Sum": {0}}},
	},
	"-stream-read-lag": {
		raised: []planted{{"GetRecords.IteratorAgeMilliseconds Maximum": {300001, 300001, 300001}}},
		quiet:  []planted{{"GetRecords.IteratorAgeMilliseconds Maximum": {300001, 0, 300001}}},
	},
	"-stream-read-throttles": {
		raised: []planted{{"ReadProvisionedThroughputExceeded Average": {0.2, 0.2, 0.2}}},
		quiet:  []planted{{"ReadProvisionedThroughputExceeded Average": {0.2, 0.1, 0.2}}},
	},
	"}-firehose-freshness": {
		raised: []planted{{"DeliveryToS3.DataFreshness Maximum": {901, 901}}},
		quiet:  []planted{{"DeliveryToS3.DataFreshness Maximum": {901, 300}}},
	},
	"}-firehose-throttles": {
		raised: []planted{{"ThrottledRecords Sum": {1, 1, 1}}},
		quiet:  []planted{{"ThrottledRecords Sum": {1, 1, 0}}},
	},
	"-consumer-lag": {
		raised: []planted{{"consumer_shard_behind_latest_seconds Maximum": {120, 120, 120}}},
		quiet:  []planted{{"consumer_shard_behind_latest_seconds Maximum": {120, 119, 120}}},
	},
	"-consumer-idle": {
		raised: []planted{{"consumer_shard_behind_latest_seconds Maximum": {0, 0, 0, 0, 0, 0}, "CPUUtilization Average": {1, 1, 1, 1, 1, 1}}},
		quiet: []planted{
			{"consumer_shard_behind_latest_seconds Maximum": {0, 0, 0, 0, 0, 0}, "CPUUtilization Average": {1, 1, 1, 1, 1, 25}},
			{"consumer_shard_behind_latest_seconds Maximum": {0, 0, 0, 0, 0, 30}, "CPUUtilization Average": {1, 1, 1, 1, 1, 1}},
			{"CPUUtilization Average": {1, 1, 1, 1, 1, 1}},
		},
	},
	"-consumer-freshness": {
		raised: []planted{{"consumer_data_freshness_seconds Maximum": {901, 901}}, {}},
		quiet:  []planted{{"consumer_data_freshness_seconds Maximum": {901, 10}}},
	},
	"-consumer-outbox": {
		raised: []planted{{"consumer_outbox_oldest_seconds Maximum": {901, 901}}},
		quiet:  []planted{{"consumer_outbox_oldest_seconds Maximum": {901, 0}}, {}},
	},
	"-consumer-outbox-failed": {
		raised: []planted{{"consumer_outbox_failed_batches Maximum": {1, 1}}},
		quiet:  []planted{{"consumer_outbox_failed_batches Maximum": {1, 0}}, {}},
	},
	"-consumer-collector": {
		raised: []planted{
			{"consumer_data_freshness_seconds SampleCount": {0, 0, 0}, "CPUUtilization SampleCount": {5, 5, 5}},
			{"consumer_data_freshness_seconds SampleCount": {60, 60, 60}, "CPUUtilization SampleCount": {35, 35, 35}}, // one of seven
			{"CPUUtilization SampleCount": {5, 5, 5}},                                                                 // the only one
			{}, // no task runs
		},
		quiet: []planted{
			{"consumer_data_freshness_seconds SampleCount": {10, 10, 10}, "CPUUtilization SampleCount": {5, 5, 5}},
			{"consumer_data_freshness_seconds SampleCount": {4, 9, 10}, "CPUUtilization SampleCount": {5, 5, 5}}, // it was restarted
			{"consumer_data_freshness_seconds SampleCount": {none, none, 70}, "CPUUtilization SampleCount": {none, none, 35}},
		},
	},
	"-consumer-table": {
		raised: []planted{{"consumer_table_oldest_seconds Maximum": {901, 901}}},
		quiet:  []planted{{"consumer_table_oldest_seconds Maximum": {901, 10}}, {}},
	},
	"-consumer-table-refused": {
		raised: []planted{{"consumer_load_refused_rows_total Sum": {1}}},
		quiet:  []planted{{"consumer_load_refused_rows_total Sum": {1, 0}}, {}},
	},
	"-consumer-table-lost": {
		raised: []planted{{"consumer_load_lost_commits_total Sum": {2}}},
		quiet:  []planted{{"consumer_load_lost_commits_total Sum": {2, 0}}, {}},
	},
	"-consumer-retention": {
		raised: []planted{{"consumer_retention_used_ratio Maximum": {0.51}}},
		quiet:  []planted{{"consumer_retention_used_ratio Maximum": {0.5}}, {}},
	},
	"-consumer-free-leases": {
		raised: []planted{{"consumer_leases_free Minimum": {1, 1, 1}}},
		quiet:  []planted{{"consumer_leases_free Minimum": {1, 0, 1}}, {}},
	},
}

func TestAlarms_AreRaisedByWhatTheyAreFor(t *testing.T) {
	met := make(map[string]bool)
	for _, tpl := range loadAll(t) {
		for _, id := range tpl.ofKind("AWS::CloudWatch::Alarm") {
			p := tpl.resources[id].properties
			name := p["AlarmName"].(node)["Fn::Sub"].(string)
			end := ""
			for suffix := range alarmCases {
				if strings.HasSuffix(name, suffix) && len(suffix) > len(end) {
					end = suffix
				}
			}
			met[end] = true
			cases := alarmCases[end]
			if len(cases.raised) == 0 || len(cases.quiet) == 0 {
				t.Errorf("%s: nothing says when %s is raised, and when not", tpl.name, name)
			}
			for _, data := range cases.raised {
				if !raised(t, tpl, p, data) {
					t.Errorf("%s is not raised by %v", name, data)
				}
			}
			for _, data := range cases.quiet {
				if raised(t, tpl, p, data) {
					t.Errorf("%s is raised by %v", name, data)
				}
			}
		}
	}
	if len(met) != len(alarmCases) {
		t.Errorf("of %d kinds of alarms there are %d", len(alarmCases), len(met))
	}
}

// The metrics of event source mappings exist only if they are requested, and those of the daemon only if the collector
// knows their names.
func TestAlarms_LookAtMetricsThatAreMade(t *testing.T) {
	stream := load(t, "stream")
	for _, id := range stream.ofKind("AWS::Lambda::EventSourceMapping") {
		if groups := list(asNode(stream.resources[id].properties["MetricsConfig"])["Metrics"]); !slices.Contains(groups, any("EventCount")) {
			t.Errorf("%s makes the metrics %v", id, groups)
		}
	}
	consumer := load(t, "consumer-ecs")
	config := text(environment(container(t, consumer, "ConsumerTask", "collector"))["AOT_CONFIG_CONTENT"])
	seen := 0
	for _, id := range consumer.ofKind("AWS::CloudWatch::Alarm") {
		walk(consumer.resources[id].properties, "", func(_ string, v any) {
			n := asNode(v)
			if name, _ := n["MetricName"].(string); n["Namespace"] == "StreamingPipeline/Consumer" {
				if seen++; !strings.Contains(config, "- ^"+name+"$\n") {
					t.Errorf("%s looks at %s, which the collector leaves out", id, name)
				}
			}
		})
	}
	if seen < 8 {
		t.Errorf("looked at %d metrics", seen)
	}
}

// raised reports whether an alarm is raised by planted values: by all of its evaluation periods (Amazon CloudWatch User Guide,
// "Using Amazon CloudWatch alarms"), of which those without data count as the alarm says.
func raised(t *testing.T, tpl template, p node, data planted) bool {
	t.Helper()
	periods := number(t, p["EvaluationPeriods"])
	threshold := p["Threshold"]
	if parameter, ok := asNode(threshold)["Ref"].(string); ok {
		threshold = tpl.parameters[parameter]["Default"]
	}
	limit, err := strconv.ParseFloat(text(threshold), 64)
	if err != nil {
		t.Fatal(err)
	}
	length := periods
	for _, values := range data {
		length = max(length, len(values))
	}
	m := metricMath{t: t, length: length, series: make(map[string][]float64)}
	values := m.planted(data, p["MetricName"], p["Statistic"])
	if p["Metrics"] != nil {
		values = nil
		for _, metric := range list(p["Metrics"]) {
			if stat := asNode(asNode(metric)["MetricStat"]); len(stat) > 0 {
				m.series[text(asNode(metric)["Id"])] = m.planted(data, asNode(stat["Metric"])["MetricName"], stat["Stat"])
			}
		}
		for _, metric := range list(p["Metrics"]) {
			if asNode(metric)["ReturnData"] == "true" {
				values = m.evaluate(text(asNode(metric)["Expression"]))
			}
		}
	}
	for _, v := range values[len(values)-periods:] {
		breaches := p["TreatMissingData"] == "breaching"
		if !math.IsNaN(v) {
			switch p["ComparisonOperator"] {
			case "GreaterThanThreshold":
				breaches = v > limit
			case "GreaterThanOrEqualToThreshold":
				breaches = v >= limit
			case "LessThanThreshold":
				breaches = v < limit
			default:
				t.Fatalf("the test does not know %v", p["ComparisonOperator"])
			}
		}
		if !breaches {
			return false
		}
	}
	return true
}

// metricMath evaluates the part of CloudWatch's metric math that the alarms use (Amazon CloudWatch User Guide, "Using
// math expressions with CloudWatch metrics"). Where a series has no value, an operation on it has none; only a function
// of several series skips it.
type metricMath struct {
	t      *testing.T
	length int
	series map[string][]float64
	rest   []string
}

// planted returns the values of a metric, with none for periods before the first.
func (m *metricMath) planted(data planted, name, stat any) []float64 {
	values := data[text(name)+" "+text(stat)]
	return append(slices.Repeat([]float64{none}, m.length-len(values)), values...)
}

func (m *metricMath) evaluate(expression string) []float64 {
	spaced := expression
	for _, sign := range []string{"(", ")", "[", "]", ",", "*", "/", ">", "<"} {
		spaced = strings.ReplaceAll(spaced, sign, " "+sign+" ")
	}
	m.rest = strings.Fields(spaced)
	v := m.both()
	if len(m.rest) > 0 {
		m.t.Fatalf("the test does not understand %q from %v on", expression, m.rest)
	}
	return v
}

func (m *metricMath) next(words ...string) string {
	if len(m.rest) > 0 && (len(words) == 0 || slices.Contains(words, m.rest[0])) {
		word := m.rest[0]
		m.rest = m.rest[1:]
		return word
	}
	return ""
}

// both is a comparison, or several that AND joins.
func (m *metricMath) both() []float64 {
	v := m.compared()
	for m.next("AND") != "" {
		v = m.each(v, m.compared(), func(a, b float64) float64 { return truth(a != 0 && b != 0) })
	}
	return v
}

func (m *metricMath) compared() []float64 {
	v := m.product()
	switch m.next("<", ">") {
	case "<":
		v = m.each(v, m.product(), func(a, b float64) float64 { return truth(a < b) })
	case ">":
		v = m.each(v, m.product(), func(a, b float64) float64 { return truth(a > b) })
	}
	return v
}

func (m *metricMath) product() []float64 {
	v := m.operand()
	for {
		switch m.next("*", "/") {
		case "*":
			v = m.each(v, m.operand(), func(a, b float64) float64 { return a * b })
		case "/":
			v = m.each(v, m.operand(), func(a, b float64) float64 { return a / b })
		default:
			return v
		}
	}
}

func (m *metricMath) operand() []float64 {
	word := m.next()
	if n, err := strconv.ParseFloat(word, 64); err == nil {
		return slices.Repeat([]float64{n}, m.length)
	}
	switch word {
	case "MAX":
		m.expect("(", "[")
		v := m.both()
		for m.next(",") != "" {
			v = larger(v, m.both())
		}
		m.expect("]", ")")
		return v
	case "FILL":
		m.expect("(")
		v := slices.Clone(m.both())
		m.expect(",", "REPEAT", ")")
		for i := 1; i < len(v); i++ {
			if math.IsNaN(v[i]) {
				v[i] = v[i-1]
			}
		}
		return v
	case "IF":
		m.expect("(")
		condition := m.both()
		m.expect(",")
		yes := m.both()
		m.expect(",")
		no := m.both()
		m.expect(")")
		v := m.each(condition, yes, func(c, y float64) float64 { return y })
		for i := range v {
			if condition[i] == 0 {
				v[i] = no[i]
			}
		}
		return v
	}
	v, known := m.series[word]
	if !known {
		m.t.Fatalf("there is no metric %q", word)
	}
	return v
}

func (m *metricMath) expect(words ...string) {
	for _, word := range words {
		if m.next(word) == "" {
			m.t.Fatalf("want %q before %v", word, m.rest)
		}
	}
}

// each combines two series where both have values.
func (m *metricMath) each(a, b []float64, f func(a, b float64) float64) []float64 {
	v := make([]float64, m.length)
	for i := range v {
		if v[i] = none; !math.IsNaN(a[i]) && !math.IsNaN(b[i]) {
			v[i] = f(a[i], b[i])
		}
	}
	return v
}

func larger(a, b []float64) []float64 {
	v := slices.Clone(a)
	for i := range v {
		if math.IsNaN(v[i]) || b[i] > v[i] {
			v[i] = b[i]
		}
	}
	return v
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
