package shred

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
)

// A record that satisfies the schema is the same line with the schema as without, and JSON's faults are the same.
func TestChecker_WritesTheLineOfTheRecord(t *testing.T) {
	for _, s := range []string{`{"properties":{"a":{}}}`, `{"additionalProperties":false,"properties":{"a":{},"b":{},"o":{"type":"object","properties":{"event_id":{}}}}}`} {
		checker := NewChecker(mustParse(t, s))
		for _, data := range []string{
			`{}`, `{ }`, "{\n}", ` {"a":1} `, `{"a":1,"b":2}`, "\r\n{\"a\":\n[1,\r\n2]}\n", `{"event_id":1}`, `{"event_id":"x","a":2,"event_id":{"y":"}"}}`,
			`{"o":{"event_id":1},"a":"}"}`, `{"b":1,"event_id":null}`, `{"a":1,"event_id" : [1,{"event_id":2}] ,"b":{"event_id":3}}`,
			jsonscan.ByteOrderMark + ` {"a":1,"event_id":2}`, jsonscan.ByteOrderMark + `{}`,
			``, ` `, jsonscan.ByteOrderMark, `[]`, `7`, `{"a":1}}`, `{"a":1} {}`, `{"a":01}`, `{"a":`, `{"a":"\x"}`, "{\"a\":\"\xff\"}", `{"event_id":1,"event_id":}`,
			`{"a":` + strings.Repeat("[", 2000), jsonscan.ByteOrderMark + jsonscan.ByteOrderMark + `{}`,
		} {
			compareLines(t, checker, data)
		}
	}
	for _, s := range []string{`{"properties":{"a":{}}}`, `{"properties":{"a":{},"event_id":{"type":"string"}}}`} {
		with, err := mustParse(t, s).WithArrival()
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range []string{
			`{}`, `{"a":1}`, `{"_arrived_at":1}`, `{"_arrived_at":"x","a":{"_arrived_at":2},"event_id":3,"\u005farrived_at":{"b":"}"}}`, `{"_arrived_at":1`, `{"a":1,"_arrived_at" : [1] }`,
		} {
			want, wantErr := record.AppendArrivalLine(nil, rec(data))
			if got, err := NewChecker(with).AppendJSONLine(nil, rec(data)); !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
				t.Errorf("%s is %q, %v: want %q, %v", data, got, err, want, wantErr)
			}
		}
	}
	open := NewChecker(mustParse(t, `{"properties":{"a":{}}}`))
	for _, data := range []string{`{"event\u005fid":1}`, `{"\u0065\u0076\u0065\u006e\u0074\u005f\u0069\u0064":1,"a":2}`, `{"event_id\u0000":1}`, `{"a\n":1}`} {
		compareLines(t, open, data)
	}
}

func compareLines(t *testing.T, checker *Checker, data string) {
	t.Helper()
	want, wantErr := record.AppendJSONLine([]byte("before\n"), rec(data))
	got, err := checker.AppendJSONLine([]byte("before\n"), rec(data))
	if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Errorf("%.80q is %q, %v: want %q, %v", data, got, err, want, wantErr)
	}
}

func TestChecker_GivesAFaultThatARecordHas(t *testing.T) {
	r := rec(`{"a":1}`)
	r.Fault = &record.Fault{Type: record.ProcessingFailed, Code: "X"}
	var fault *record.Fault
	if line, err := NewChecker(mustParse(t, `{"properties":{"a":{}}}`)).AppendJSONLine(nil, r); len(line) > 0 || !errors.As(err, &fault) || fault != r.Fault {
		t.Errorf("%q, %v", line, err)
	}
}

func TestChecker_AllocatesNothing(t *testing.T) {
	scan := newScan(mustParse(t, `{"properties":{"a":{"type":"integer"}}}`).Plain())
	r, dst := rec(`{"a":1,"event_id":2,"c":"x\n"}`), make([]byte, 0, 1<<10)
	if n := testing.AllocsPerRun(1000, func() {
		if _, fault := scan.check(dst, r); fault != nil {
			t.Fatal(fault)
		}
	}); n > 0 {
		t.Errorf("%v allocations a record", n)
	}
}
