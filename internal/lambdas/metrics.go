package lambdas

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Unit is a unit of CloudWatch (Amazon CloudWatch API Reference, MetricDatum).
type Unit string

const (
	Count        Unit = "Count"
	Bytes        Unit = "Bytes"
	Milliseconds Unit = "Milliseconds"
)

// Metric is one value.
type Metric struct {
	Name  string
	Unit  Unit
	Value float64
}

// The names of the metrics. All are per invocation.
const (
	RecordsReceived  = "RecordsReceived"  // Kinesis records
	RecordsDelivered = "RecordsDelivered" // user records
	RecordsFailed    = "RecordsFailed"    // user records that went to the error prefix
	RecordsRetried   = "RecordsRetried"   // user records that were sent again within the invocation
	BytesDelivered   = "BytesDelivered"   // as written, so compressed where that is on
	BatchesFailed    = "BatchesFailed"    // batches that Lambda was asked to retry, whole or in part
	RecordAge        = "RecordAge"        // of the oldest record, from its arrival to the function's answer
	ShardsOpen       = "ShardsOpen"
	ShardsWanted     = "ShardsWanted"
)

// Metrics writes metrics in CloudWatch's embedded metric format (Amazon CloudWatch User Guide, "Specification: Embedded
// metric format"), from which CloudWatch Logs extracts them. Their dimension is the function's name.
type Metrics struct {
	w                   io.Writer
	namespace, function string
}

// The members of the specification's root, metadata, metric directive and metric definition.
type (
	emfMetadata struct {
		Timestamp         int64          `json:"Timestamp"` // milliseconds since 1970
		CloudWatchMetrics []emfDirective `json:"CloudWatchMetrics"`
	}
	emfDirective struct {
		Namespace  string      `json:"Namespace"`
		Dimensions [][]string  `json:"Dimensions"`
		Metrics    []emfMetric `json:"Metrics"`
	}
	emfMetric struct {
		Name string `json:"Name"`
		Unit Unit   `json:"Unit"`
	}
)

// Write writes one line with the values, at most 100, and with properties, which can be searched for in the logs but are
// not dimensions: a shard as a dimension would create a metric for every shard that ever existed.
func (m *Metrics) Write(now time.Time, values []Metric, properties map[string]string) error {
	directive := emfDirective{Namespace: m.namespace, Dimensions: [][]string{{"FunctionName"}}}
	line := map[string]any{"FunctionName": m.function}
	for name, value := range properties {
		line[name] = value
	}
	for _, v := range values {
		directive.Metrics = append(directive.Metrics, emfMetric{v.Name, v.Unit})
		line[v.Name] = v.Value
	}
	line["_aws"] = emfMetadata{Timestamp: now.UnixMilli(), CloudWatchMetrics: []emfDirective{directive}}
	text, err := json.Marshal(line)
	if err == nil {
		_, err = m.w.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
