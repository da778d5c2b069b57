package lambdatest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// Two batches in the documented format (AWS Lambda Developer Guide, "Using Lambda to process records from Amazon Kinesis Data
// Streams"). Trips has three trips. Mixed has the record of the documented example, which is plain text, a trip, a KPL
// aggregate of two trips, and a truncated trip.
var (
	//go:embed testdata/trips.json
	Trips []byte
	//go:embed testdata/mixed.json
	Mixed []byte
)

// Record is a record of an event.
type Record struct {
	Shard, Sequence, PartitionKey string
	Arrival                       time.Time
	Data                          []byte
}

type (
	eventRecord struct {
		Kinesis           kinesisRecord `json:"kinesis"`
		EventSource       string        `json:"eventSource"`
		EventVersion      string        `json:"eventVersion"`
		EventID           string        `json:"eventID"`
		EventName         string        `json:"eventName"`
		InvokeIdentityARN string        `json:"invokeIdentityArn"`
		AWSRegion         string        `json:"awsRegion"`
		EventSourceARN    string        `json:"eventSourceARN"`
	}
	kinesisRecord struct {
		KinesisSchemaVersion        string      `json:"kinesisSchemaVersion"`
		PartitionKey                string      `json:"partitionKey"`
		SequenceNumber              string      `json:"sequenceNumber"`
		Data                        []byte      `json:"data"`
		ApproximateArrivalTimestamp json.Number `json:"approximateArrivalTimestamp"`
	}
)

// Event returns the event that Lambda builds from records.
func Event(tb testing.TB, records []Record) []byte {
	tb.Helper()
	var event struct{ Records []eventRecord }
	for _, r := range records {
		event.Records = append(event.Records, eventRecord{
			Kinesis: kinesisRecord{
				KinesisSchemaVersion: "1.0", PartitionKey: r.PartitionKey, SequenceNumber: r.Sequence, Data: r.Data,
				ApproximateArrivalTimestamp: json.Number(fmt.Sprintf("%d.%03d", r.Arrival.Unix(), r.Arrival.UnixMilli()%1000)),
			},
			EventSource: "aws:kinesis", EventVersion: "1.0", EventID: r.Shard + ":" + r.Sequence, EventName: "aws:kinesis:record",
			InvokeIdentityARN: "arn:aws:iam::123456789012:role/lambda-role", AWSRegion: "us-east-1",
			EventSourceARN: "arn:aws:kinesis:us-east-1:123456789012:stream/lambda-stream",
		})
	}
	text, err := json.Marshal(event)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Batch returns count records, each a small JSON object with its number as the member n. Records for which poison, if not nil,
// returns true are truncated.
func Batch(count int, poison func(n int) bool) []Record {
	records := make([]Record, count)
	for n := range records {
		data := fmt.Appendf(nil, `{"TRIP_ID":"1372636858620%06d","CALL_TYPE":"C","TAXI_ID":%d,"POLYLINE":"[[-8.618643,41.141412],[-8.618499,41.141376]]","n":%d}`, n, 20000589+n%400, n)
		if poison != nil && poison(n) {
			data = data[:len(data)-1]
		}
		records[n] = Record{
			Shard: "shardId-000000000003", Sequence: fmt.Sprintf("4959033827149025660855969253836%025d", n),
			PartitionKey: fmt.Sprint(n), Arrival: time.UnixMilli(1545084650987 + int64(n)), Data: data,
		}
	}
	return records
}
