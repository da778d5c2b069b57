package lambdatest

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/registrytest"
	"aws-streaming-pipeline/record"
)

// Framed is a batch of payloads framed by a schema registry.
type Framed struct {
	Registry *Service
	Batch    []Record
	// Settings are the settings with which a function decodes the batch.
	Settings []string

	want map[string]string // the JSON of the records, by sequence number
}

// unknown is a frame whose schema is in no registry.
const unknown = "\x03\x00no such version!{}"

// Frame makes a batch with the given number of Avro, Protobuf and JSON records each, followed by a record of a schema that is not in
// the registry.
func Frame(t *testing.T, each int) Framed {
	t.Helper()
	moto := emulator.Moto(t).URL
	ids := registrytest.Register(t, moto, "everything.avsc", "everything.proto", "trip.json")
	f := Framed{Registry: Serve(t, "glue", Forward(t, moto)), want: make(map[string]string)}
	f.Settings = []string{"SCHEMA_REGISTRY=glue", "AWS_ENDPOINT_URL_GLUE=" + f.Registry.URL}
	for _, r := range registrytest.Encode(t, 3, each, ids) {
		f.want[f.add(r.Payload)] = r.Want
	}
	f.add([]byte(unknown))
	return f
}

// add adds a record and returns its sequence number.
func (f *Framed) add(data []byte) string {
	n := len(f.Batch)
	sequence := fmt.Sprintf("4959033827149025660855969253836%025d", n)
	f.Batch = append(f.Batch, Record{
		Shard: "shardId-000000000003", Sequence: sequence, PartitionKey: fmt.Sprint(n), Arrival: time.UnixMilli(1545084650987 + int64(n)), Data: data,
	})
	return sequence
}

// StopAtUnknown makes the registry not answer when it is asked for the schema that it does not have.
func (f *Framed) StopAtUnknown(tb testing.TB) {
	var calls atomic.Int64
	f.Registry.Fail(func(operation string, w http.ResponseWriter) bool {
		return calls.Add(1) > schemas && Silent(tb)(operation, w)
	})
}

// schemas is the number of schemas of the records.
const schemas = 3

// Check fails the test unless the lines match what the batch's encoders were given, and the error lines hold the record without a
// schema.
func (f *Framed) Check(tb testing.TB, lines []string, errorLines string) {
	tb.Helper()
	seen := make(map[string]bool)
	for _, line := range lines {
		row := registrytest.Rows(tb, []byte(line))[0]
		id, _ := row["event_id"].(string)
		delete(row, "event_id")
		want, ok := f.want[id]
		if !ok || seen[id] || !registrytest.Same(row, registrytest.Rows(tb, []byte(want))[0]) {
			tb.Errorf("line %q, want %s", line, want)
		}
		seen[id] = true
	}
	if len(seen) != len(f.want) {
		tb.Errorf("%d records delivered, want %d", len(seen), len(f.want))
	}
	for line := range strings.Lines(errorLines) {
		e, err := record.ParseErrorLine([]byte(line))
		if err != nil || e.Record.Fault.Code != record.CodeRegistrySchemaUnknown || string(e.Record.Data) != unknown {
			tb.Errorf("error line %+v, %v", e, err)
		}
	}
	if strings.Count(errorLines, "\n") != 1 {
		tb.Errorf("error lines %q", errorLines)
	}
	if calls := f.Registry.Calls("GetSchemaVersion"); calls != schemas+1 {
		tb.Errorf("the registry was asked %d times, want once for each of %d schemas and the unknown one", calls, schemas)
	}
}
