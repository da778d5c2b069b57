package record_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

// keptRecord is a record as Kinesis returns it.
func keptRecord(data string) record.Record {
	return record.Record{
		Shard: "shardId-000000000003", SequenceNumber: "49590338271490256608559692538361571095921575989136588898", PartitionKey: "key \"1\"",
		Arrival: time.UnixMilli(1407974400123).UTC(), Data: []byte(data),
	}
}

func TestAppendPayloads_TakesAggregatesApartAndNothingElse(t *testing.T) {
	of := func(data string) record.Record { return record.Record{PartitionKey: "k", Data: []byte(data)} }
	aggregate := func(users ...record.Record) string { return string(recordtest.AppendAggregate(nil, users)) }
	corrupt := string(sealed([]byte{0x1a, 0xff})) // the digest is right, the message is cut off
	gzip := string(gzipped(t, `{"a":1}`))
	for name, c := range map[string]struct{ payload, want string }{
		"text":                           {`{"a":1}`, `{"a":1}`},
		"nothing":                        {"", ""},
		"gzip":                           {gzip, gzip},
		"aggregate":                      {aggregate(of("1"), of(""), of("\n2")), "1\n2"},
		"gzip in an aggregate":           {aggregate(of(gzip), of("2")), gzip + "2"},
		"aggregate that cannot be read":  {corrupt, corrupt},
		"aggregate with a wrong digest":  {aggregate(of("1")) + "x", aggregate(of("1")) + "x"},
		"aggregate within an aggregate":  {aggregate(of(aggregate(of("1")))), aggregate(of("1"))},
		"several values in one payload":  {`{"a":1}{"a":2}`, `{"a":1}{"a":2}`},
		"bytes that are not text at all": {"\x00\xff\xfe", "\x00\xff\xfe"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := keptRecord(c.payload)
			if got := string(record.AppendPayloads([]byte("before"), &raw)); got != "before"+c.want {
				t.Errorf("got %q, want %q", got, "before"+c.want)
			}
		})
	}
}

func TestAppendBackupLine_HasTheseBytes(t *testing.T) {
	raw := keptRecord("\x00{\"a\":1}\xff")
	want := `{"rawData":"AHsiYSI6MX3/","arrivalTimestamp":1407974400123,"shardId":"shardId-000000000003",` +
		`"sequenceNumber":"49590338271490256608559692538361571095921575989136588898","partitionKey":"key \"1\""}` + "\n"
	if got := string(record.AppendBackupLine([]byte("before"), &raw)); got != "before"+want {
		t.Errorf("got\n%s\nwant\n%s", got, "before"+want)
	}
}

func TestParseBackupLine_ReadsWhatAppendBackupLineWrites(t *testing.T) {
	for _, data := range []string{"", "{}\n", "\x00\xff", string(recordtest.AppendAggregate(nil, []record.Record{{PartitionKey: "k", Data: []byte("1")}}))} {
		raw := keptRecord(data)
		line := record.AppendBackupLine(nil, &raw)
		if !json.Valid(line) || strings.Count(string(line), "\n") != 1 {
			t.Errorf("%q is not one line of JSON", line)
		}
		got, err := record.ParseBackupLine(line)
		if err != nil || !reflect.DeepEqual(got, raw) {
			t.Errorf("%q: got %+v, %v", data, got, err)
		}
	}
	for line, want := range map[string]string{
		"{": "unexpected end", `{"rawData":"?"}`: "illegal base64", `{"sequenceNumber":"1"}`: "no rawData", `{"rawData":""}`: "no sequenceNumber",
		`{"rawData":"","sequenceNumber":"1","errorCode":"Json.Empty"}`:     "error record",
		`{"rawData":"","sequenceNumber":"1","lastErrorCode":"Json.Empty"}`: "error record",
	} {
		if _, err := record.ParseBackupLine([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}

func TestFirstHashKey_LeadsToTheShardOfTheFirstUserRecord(t *testing.T) {
	users := func(key, hash string) string {
		return string(recordtest.AppendAggregate(nil, []record.Record{
			{PartitionKey: key, ExplicitHashKey: hash, Data: []byte("1")}, {PartitionKey: "other", Data: []byte("2")},
		}))
	}
	for name, c := range map[string]struct {
		payload, want string
	}{
		"no aggregate":              {"{}", ""},
		"by its partition key":      {users("k", ""), record.HashKeyOf("k").String()},
		"by its explicit hash key":  {users("k", "12"), "12"},
		"hash key that is not one":  {users("k", "twelve"), record.HashKeyOf("k").String()},
		"aggregate without records": {string(sealed(nil)), ""},
	} {
		raw := keptRecord(c.payload)
		if got, ok := raw.FirstHashKey(); got != c.want || ok != (c.want != "") {
			t.Errorf("%s: got %q, %t, want %q", name, got, ok, c.want)
		}
	}
}

// A backup is written after the record was decoded, from the same memory.
func TestDecoder_LeavesThePayloadAsItIs(t *testing.T) {
	log := string(gzipped(t, `{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","logEvents":[{"id":"1","timestamp":1,"message":"a\nb\u00e9"}]}`))
	payloads := []string{`{"a":"\u00e9"} {"a":2}`, log, string(gzipped(t, "1\n2\n")), "\x1f\x8b\x08", ""}
	var users []record.Record
	for _, p := range payloads {
		users = append(users, record.Record{PartitionKey: "k", Data: []byte(p)})
	}
	payloads = append(payloads, string(recordtest.AppendAggregate(nil, users)))
	for _, split := range []record.SplitMode{record.SplitNone, record.SplitJSON, record.SplitLines} {
		for _, events := range []record.LogEventMode{record.LogEventsNone, record.LogEventsMessage, record.LogEventsObject} {
			d, err := record.NewDecoder(record.DecoderOptions{Inflate: true, Split: split, LogEvents: events})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range payloads {
				raw := keptRecord(p)
				if _, err := d.Append(t.Context(), nil, raw); err != nil {
					t.Fatal(err)
				}
				if string(raw.Data) != p {
					t.Errorf("split %s, log events %s: %q became %q", split, events, p, raw.Data)
				}
			}
		}
	}
}
