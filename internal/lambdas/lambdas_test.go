package lambdas_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/test/lambdatest"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

func open(tb testing.TB, event []byte) *lambdas.Batch {
	tb.Helper()
	var e events.KinesisEvent
	if err := json.Unmarshal(event, &e); err != nil {
		tb.Fatal(err)
	}
	d, err := record.NewDecoder(record.DecoderOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	b, err := lambdas.OpenBatch(tb.Context(), e, d)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestOpenBatch_TellsWhereItsRecordsStand(t *testing.T) {
	b := open(t, lambdatest.Mixed)
	if b.Received != 4 || len(b.Records) != 5 || b.Shard != "shardId-000000000006" ||
		b.First != "49590338271490256608559692538361571095921575989136588898" || b.Last != "49590338271490256608559692540925702759324208523137515620" {
		t.Errorf("batch of %d and %d records, %s from %s to %s", b.Received, len(b.Records), b.Shard, b.First, b.Last)
	}
	// The event has the arrivals as fractions of seconds; none is a millisecond off.
	for i, want := range []int64{1545084650987, 1545084711166, 1545084711167, 1545084711167, 1545084711168} {
		if got := b.Records[i].Arrival; got.UnixMilli() != want || got.Nanosecond()%1e6 != 0 || got.Location() != time.UTC {
			t.Errorf("record %d arrived at %v, want %d ms", i, got, want)
		}
	}
}

// Names must never change: a new release that names a batch otherwise would write a retried batch twice.
func TestBatch_NameFollowsFromTheBatchAlone(t *testing.T) {
	const want = "2018_12_17_22_b0324f61-1f61-554c-bb4d-d14be694891a"
	if got := open(t, lambdatest.Trips).Name(); got != want {
		t.Errorf("name %s, want %s", got, want)
	}
	names := map[string]string{want: "as it is"}
	for what, change := range map[string][2]string{
		"another stream": {"stream/lambda-stream", "stream/other"},
		"another shard":  {"shardId-000000000006", "shardId-000000000007"},
		"another first":  {"989136588898", "989136588897"},
		"another last":   {"523137515619", "523137515621"},
		"another hour":   {"1545084650.987", "1545081050.987"},
	} {
		name := open(t, []byte(strings.ReplaceAll(string(lambdatest.Trips), change[0], change[1]))).Name()
		if other, ok := names[name]; ok {
			t.Errorf("%s: the name is the same as %s", what, other)
		}
		names[name] = what
	}
}

func TestEncode_TellsLinesFromWhatIsRejected(t *testing.T) {
	all, lines, rejected := open(t, lambdatest.Mixed).Encode(record.AppendJSONLine)
	var joined []byte
	for _, l := range lines {
		joined = append(joined, l.Text...)
	}
	if len(lines) != 3 || !bytes.Equal(all, joined) || bytes.Count(all, []byte("\n")) != 3 {
		t.Errorf("%d lines: %s", len(lines), all)
	}
	codes := lambdas.Codes(rejected)
	if len(codes) != 2 || codes[record.CodeJSONMalformed] != 1 || codes[record.CodeJSONTruncated] != 1 {
		t.Errorf("rejected %v", codes)
	}
}

// The form is that of the CloudWatch User Guide, "Specification: Embedded metric format".
func TestMetrics_AreWrittenInTheEmbeddedMetricFormat(t *testing.T) {
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "trips-write-to-s3")
	var out bytes.Buffer
	m := lambdas.Reporting{MetricsNamespace: "StreamingPipeline"}.Metrics(&out)
	err := m.Write(time.UnixMilli(1545084650987), []lambdas.Metric{
		{Name: lambdas.RecordsDelivered, Unit: lambdas.Count, Value: 3}, {Name: lambdas.RecordAge, Unit: lambdas.Milliseconds, Value: 1500},
	}, map[string]string{"shard": "shardId-000000000006"})
	if err != nil {
		t.Fatal(err)
	}
	var line struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
		FunctionName, Shard string
		RecordsDelivered    float64
		RecordAge           float64
	}
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	if err := d.Decode(&line); err != nil || out.Len() > 0 {
		t.Fatalf("%v, %d bytes after the line", err, out.Len())
	}
	directive := line.AWS.CloudWatchMetrics[0]
	if line.AWS.Timestamp != 1545084650987 || directive.Namespace != "StreamingPipeline" || len(directive.Dimensions) != 1 ||
		directive.Dimensions[0][0] != "FunctionName" || line.FunctionName != "trips-write-to-s3" || line.Shard != "shardId-000000000006" {
		t.Errorf("line %+v", line)
	}
	if len(directive.Metrics) != 2 || directive.Metrics[1].Name != "RecordAge" || directive.Metrics[1].Unit != "Milliseconds" || line.RecordsDelivered != 3 || line.RecordAge != 1500 {
		t.Errorf("metrics %+v", line)
	}
}

func TestWorkUntil_LeavesTimeForTheAnswer(t *testing.T) {
	now := time.Unix(1545084650, 0)
	for _, c := range []struct{ left, work time.Duration }{
		{time.Minute, 58 * time.Second},
		{8 * time.Second, 6 * time.Second},
		{2 * time.Second, 1500 * time.Millisecond},
	} {
		if got := lambdas.WorkUntil(now, now.Add(c.left)).Sub(now); got != c.work {
			t.Errorf("of %v it works %v, want %v", c.left, got, c.work)
		}
	}
}

// BenchmarkEncode opens a batch of 1,000 records and writes its lines: what a function computes.
func BenchmarkEncode(b *testing.B) {
	var e events.KinesisEvent
	if err := json.Unmarshal(lambdatest.Event(b, lambdatest.Batch(1000, nil)), &e); err != nil {
		b.Fatal(err)
	}
	d, err := record.NewDecoder(record.DecoderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	size := 0
	for b.Loop() {
		batch, err := lambdas.OpenBatch(b.Context(), e, d)
		if err != nil {
			b.Fatal(err)
		}
		if _, lines, _ := batch.Encode(record.AppendJSONLine); len(lines) != 1000 {
			b.Fatal("not all are lines")
		}
		size = batch.Bytes
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
}

// The functions judge records as the daemon does, by the same Checker.
func TestEncode_RefusesWhatTheSchemaDoesNotAllow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.json")
	if err := os.WriteFile(path, []byte(`{"properties":{"id":{"type":"integer","minimum":1}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	checker, err := lambdas.Validation{Schema: path}.Checker()
	if err != nil {
		t.Fatal(err)
	}
	for data, code := range map[string]string{
		`{"id":18446744073709551615}`: "", `{"id":1.0}`: "", `{"id":0}`: schema.CodeViolation, `{"id":1.5}`: schema.CodeParse,
		`{"id":1.5`: record.CodeJSONTruncated, `{"id":1,"id":2}`: schema.CodeMalformed,
	} {
		b := lambdas.Batch{Records: []record.Record{{SequenceNumber: "7", Data: []byte(data)}}}
		_, lines, rejected := b.Encode(checker.AppendJSONLine)
		got := ""
		if len(rejected) > 0 {
			got = rejected[0].Fault.Code
		}
		if got != code || len(lines)+len(rejected) != 1 {
			t.Errorf("%s: %d lines and %q, want %q", data, len(lines), got, code)
		}
	}
	if _, lines, rejected := (&lambdas.Batch{Records: []record.Record{{SequenceNumber: "7", Data: []byte(`{"id":0}`)}}}).Encode(record.AppendJSONLine); len(lines) != 1 || len(rejected) != 0 {
		t.Error("without a schema a record is refused")
	}
}
