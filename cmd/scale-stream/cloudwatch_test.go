package main

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"

	"aws-streaming-pipeline/internal/scaling"
)

// cloudWatch answers GetMetricData in the protocol Smithy RPC v2 CBOR, which the SDK speaks with CloudWatch. It refuses
// queries that the service would not understand, and gives the answer in two pages.
type cloudWatch struct {
	mu      sync.Mutex
	minutes []scaling.Minute
}

// report sets the metrics: so many minutes before now in which the stream had so many shards' worth of bytes.
func (c *cloudWatch) report(minutes int, shards float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minutes = nil
	now := time.Now().Truncate(time.Minute)
	for i := minutes; i > 0; i-- {
		c.minutes = append(c.minutes, scaling.Minute{
			Start: now.Add(-time.Duration(i) * time.Minute), Bytes: shards * 60 * scaling.ShardBytesPerSecond, Records: shards * 60 * 200,
		})
	}
}

func (c *cloudWatch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/service/GraniteServiceVersion20100801/operation/GetMetricData" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	value, err := cbor.Decode(body)
	in, ok := value.(cbor.Map)
	if err != nil || !ok {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	results := cbor.List{}
	for _, q := range in["MetricDataQueries"].(cbor.List) {
		query := q.(cbor.Map)
		stat := query["MetricStat"].(cbor.Map)
		metric := stat["Metric"].(cbor.Map)
		dimension := metric["Dimensions"].(cbor.List)[0].(cbor.Map)
		if metric["Namespace"] != cbor.String("AWS/Kinesis") || dimension["Name"] != cbor.String("StreamName") || dimension["Value"] != cbor.String(streamName) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		results = append(results, c.result(query["Id"].(cbor.String), metric["MetricName"].(cbor.String), stat["Stat"].(cbor.String)))
	}
	out := cbor.Map{"MetricDataResults": results[1:]}
	if in["NextToken"] == nil {
		out = cbor.Map{"MetricDataResults": results[:1], "NextToken": cbor.String("more")}
	}
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	_, _ = w.Write(cbor.Encode(out))
}

// result is the series of one metric. Those that the stream does not have are empty, as the service gives them.
func (c *cloudWatch) result(id, name, statistic cbor.String) cbor.Map {
	times, values := cbor.List{}, cbor.List{}
	for _, m := range c.minutes {
		value := 0.0
		switch name + " " + statistic {
		case "IncomingBytes Sum":
			value = m.Bytes
		case "IncomingRecords Sum":
			value = m.Records
		case "WriteProvisionedThroughputExceeded Sum":
			value = m.Rejected
		default:
			continue
		}
		times = append(times, &cbor.Tag{ID: 1, Value: cbor.Float64(m.Start.Unix())})
		values = append(values, cbor.Float64(value))
	}
	return cbor.Map{"Id": id, "Label": name, "StatusCode": cbor.String("Complete"), "Timestamps": times, "Values": values}
}
