package record_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file under testdata, which readers of our error objects rely on.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got  %swant %s", got, want)
	}
}

type errorLineCase struct {
	name    string
	record  record.Record
	fault   record.Fault
	attempt record.Attempt
}

func errorLineCases() []errorLineCase {
	ended := time.Date(2026, 3, 14, 15, 10, 0, 999e6, time.UTC)
	plain := record.Record{Shard: "shardId-000000000003", SequenceNumber: sequence, PartitionKey: "trip-1", Arrival: arrival, Data: []byte(`{"a":`)}
	part := plain
	part.Aggregated, part.SubSequence, part.ExplicitHashKey = true, 3, "42"
	part.Split, part.Part = true, 11
	odd := plain
	odd.PartitionKey = "quote \" backslash \\ tab \t line\nbreak \u2028 Straße"
	odd.Data = nil
	malformed := record.Fault{Type: record.ProcessingFailed, Code: record.CodeJSONTruncated, Message: "the payload ends at byte 5, within a JSON value"}
	refused := record.Fault{Type: record.PostgresFailed, Code: "Postgres.Refused", Message: "SQLSTATE 22003, column price: value is out of range for type integer"}
	unfit := record.Fault{Type: record.FormatConversionFailed, Code: "DataFormatConversion.MalformedData", Message: "column price: a string is not a DOUBLE"}
	untransformed := record.Fault{
		Type: record.ProcessingFailed, Code: "Lambda.FunctionError", Message: "The Lambda function was successfully invoked but it returned an error result.",
		Function: "arn:aws:lambda:eu-west-1:123456789012:function:mask", Attempts: 4,
	}
	table := &record.CatalogTable{DatabaseName: "trips", TableName: "taxi", Region: "eu-west-1", VersionID: "LATEST"}
	return []errorLineCase{
		{"processing-failed", plain, malformed, record.Attempt{Count: 1, Ended: ended}},
		{"processing-failed-part", part, malformed, record.Attempt{Count: 4, Ended: ended}},
		{"processing-failed-odd", odd, malformed, record.Attempt{Count: 1, Ended: ended}},
		{"processing-failed-lambda", plain, untransformed, record.Attempt{Count: 4, Ended: ended}},
		{"postgres-failed", part, refused, record.Attempt{Count: 1, Ended: ended}},
		{"format-conversion-failed", plain, unfit, record.Attempt{Count: 1, Ended: ended, Table: table}},
		{"format-conversion-failed-part", part, unfit, record.Attempt{Count: 1, Ended: ended}},
	}
}

func TestAppendErrorLine_KeepsItsShape(t *testing.T) {
	for _, c := range errorLineCases() {
		t.Run(c.name, func(t *testing.T) {
			line := record.AppendErrorLine([]byte("before\n"), &c.record, &c.fault, c.attempt)
			rest, ok := strings.CutPrefix(string(line), "before\n")
			if !ok {
				t.Fatal("dst was overwritten")
			}
			golden(t, c.name+".json", []byte(rest))
		})
	}
}

// The order of Firehose's own members, as its users' tools and its guide have them; ours may only follow.
func TestAppendErrorLine_BeginsWithFirehosesMembersInItsOrder(t *testing.T) {
	want := map[record.OutputType][]string{
		record.ProcessingFailed: {"rawData", "errorCode", "errorMessage", "attemptsMade", "arrivalTimestamp", "attemptEndingTimestamp"},
		record.PostgresFailed:   {"rawData", "errorCode", "errorMessage", "attemptsMade", "arrivalTimestamp", "attemptEndingTimestamp"},
		record.FormatConversionFailed: {"attemptsMade", "arrivalTimestamp", "lastErrorCode", "lastErrorMessage", "attemptEndingTimestamp",
			"rawData", "sequenceNumber", "subSequenceNumber", "dataCatalogTable"},
	}
	for _, c := range errorLineCases() {
		line := record.AppendErrorLine(nil, &c.record, &c.fault, c.attempt)
		names := memberNames(t, line)
		if order := want[c.fault.Type]; !reflect.DeepEqual(names[:len(order)], order) {
			t.Errorf("%s: members are %v", c.name, names)
		}
	}
}

// memberNames returns the names of an object's members in their order.
func memberNames(t *testing.T, object []byte) []string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(object)))
	var names []string
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch v := token.(type) {
		case json.Delim:
			if depth += map[json.Delim]int{'{': 1, '}': -1}[v]; depth == 0 {
				return names
			}
		case string:
			if depth == 1 {
				names = append(names, v)
				var value json.RawMessage
				if err := d.Decode(&value); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestParseErrorLine_GivesBackWhatWasWritten(t *testing.T) {
	for _, c := range errorLineCases() {
		t.Run(c.name, func(t *testing.T) {
			line := record.AppendErrorLine(nil, &c.record, &c.fault, c.attempt)
			got, err := record.ParseErrorLine(line)
			if err != nil {
				t.Fatal(err)
			}
			want := record.ErrorLine{Record: c.record, Attempt: c.attempt}
			want.Record.Fault = &c.fault
			if want.Record.Data == nil {
				want.Record.Data = []byte{}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestParseErrorLine_ReadsFirehosesOwnLines(t *testing.T) {
	got, err := record.ParseErrorLine([]byte(`{"attemptsMade":4,"arrivalTimestamp":1710428966535,"errorCode":"Lambda.FunctionError",` +
		`"errorMessage":"The Lambda function failed.","attemptEndingTimestamp":1710429000999,"rawData":"eyJhIjoxfQ==",` +
		`"lambdaArn":"arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Record.Fault.Type != record.ProcessingFailed || got.Record.Fault.Code != "Lambda.FunctionError" ||
		string(got.Record.Data) != `{"a":1}` || got.Attempt.Count != 4 ||
		got.Record.Fault.Function != "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST" || got.Record.Arrival.UnixMilli() != 1710428966535 {
		t.Errorf("got %+v", got)
	}
	got, err = record.ParseErrorLine([]byte(`{"attemptsMade":1,"arrivalTimestamp":1710428966535,"lastErrorCode":"DataFormatConversion.MalformedData",` +
		`"lastErrorMessage":"m","attemptEndingTimestamp":1710429000999,"rawData":"","sequenceNumber":"12","subSequenceNumber":null,` +
		`"dataCatalogTable":{"catalogId":null,"databaseName":"d","tableName":"t","region":"r","versionId":"LATEST","catalogArn":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Record.Fault.Type != record.FormatConversionFailed || got.Record.SequenceNumber != "12" || got.Record.Aggregated ||
		*got.Attempt.Table != (record.CatalogTable{DatabaseName: "d", TableName: "t", Region: "r", VersionID: "LATEST"}) {
		t.Errorf("got %+v", got)
	}
}

func TestParseErrorLine_RefusesWhatIsNoErrorLine(t *testing.T) {
	for _, line := range []string{
		``, `{`, `[]`, `{}`,
		`{"rawData":"","errorCode":"a"} x`,
		`{"errorCode":"a"}`,
		`{"rawData":null,"errorCode":"a"}`,
		`{"rawData":"?","errorCode":"a"}`,
		`{"rawData":""}`,
		`{"rawData":"","errorCode":"a","lastErrorCode":"b"}`,
		`{"rawData":"","errorCode":"a","subSequenceNumber":"1"}`,
	} {
		if got, err := record.ParseErrorLine([]byte(line)); err == nil {
			t.Errorf("%s was read as %+v", line, got)
		}
	}
}

// FuzzErrorLine writes records with any bytes in any text and reads them back.
func FuzzErrorLine(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "key", "", "message", 0, false)
	f.Add([]byte{0xff, 0}, "quote \" \\ \x00 \x1f \x7f \u2028 😀", "42", "line\nbreak", 7, true)
	f.Fuzz(func(t *testing.T, data []byte, partitionKey, hashKey, message string, number int, conversion bool) {
		r := record.Record{SequenceNumber: sequence, Arrival: arrival, PartitionKey: partitionKey, ExplicitHashKey: hashKey, Data: data,
			Aggregated: number > 0, SubSequence: max(number, 0), Split: number > 2, Part: max(number-2, 0)}
		fault := record.Fault{Type: record.ProcessingFailed, Code: "Some.Code", Message: message}
		if conversion {
			fault.Type = record.FormatConversionFailed
		}
		attempt := record.Attempt{Count: number, Ended: arrival.Add(time.Hour)}
		line := record.AppendErrorLine(nil, &r, &fault, attempt)
		if strings.Count(string(line), "\n") != 1 {
			t.Fatalf("not one line: %q", line)
		}
		got, err := record.ParseErrorLine(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, text := range []*string{&r.PartitionKey, &r.ExplicitHashKey, &fault.Message} {
			*text = string([]rune(*text)) // each byte that is not UTF-8 becomes U+FFFD
		}
		r.Fault, r.Data = &fault, append([]byte{}, data...)
		if want := (record.ErrorLine{Record: r, Attempt: attempt}); !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}

func BenchmarkAppendErrorLine(b *testing.B) {
	r := record.Record{SequenceNumber: sequence, PartitionKey: "trip-1", Arrival: arrival, Data: taxiRow(0)}
	fault := record.Fault{Type: record.ProcessingFailed, Code: record.CodeJSONTruncated, Message: "the payload ends at byte 5, within a JSON value"}
	dst := make([]byte, 0, 4<<10)
	b.SetBytes(int64(len(r.Data)))
	b.ReportAllocs()
	for b.Loop() {
		record.AppendErrorLine(dst, &r, &fault, record.Attempt{Count: 1, Ended: arrival})
	}
}
