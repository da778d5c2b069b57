package jsonl_test

import (
	"bytes"
	"errors"
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/jsonl"
)

// Firehose joins records without a separator or, with AppendDelimiterToRecord, with a line feed after each (API
// reference, Processor). It adds nothing else and does not look at the content.
func TestAppendPayload_LeavesEveryByteAsItIs(t *testing.T) {
	payloads := []string{`{"a":1}`, "{\"a\":2}\n", "no JSON", "\x00\xff\xfe", " ", "\xef\xbb\xbf{}", "a\nb"}
	var joined, delimited []byte
	for _, p := range payloads {
		r := &record.Record{SequenceNumber: "49", Data: []byte(p)}
		var err error
		if joined, err = jsonl.AppendPayload(joined, r); err != nil {
			t.Errorf("%q: %v", p, err)
		}
		if delimited, err = jsonl.AppendPayloadLine(delimited, r); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	if want := "{\"a\":1}{\"a\":2}\nno JSON\x00\xff\xfe \xef\xbb\xbf{}a\nb"; string(joined) != want {
		t.Errorf("joined: %q, want %q", joined, want)
	}
	if want := "{\"a\":1}\n{\"a\":2}\n\nno JSON\n\x00\xff\xfe\n \n\xef\xbb\xbf{}\na\nb\n"; string(delimited) != want {
		t.Errorf("delimited: %q, want %q", delimited, want)
	}
}

func TestAppendPayload_RefusesWhatWouldLeaveNoTrace(t *testing.T) {
	line := []byte("before")
	fault := &record.Fault{Type: record.ProcessingFailed, Code: record.CodeGzipCorrupt}
	for name, test := range map[string]struct {
		add  jsonl.AppendFunc
		r    record.Record
		code string
	}{
		"no bytes":                   {jsonl.AppendPayload, record.Record{}, record.CodeJSONEmpty},
		"a fault":                    {jsonl.AppendPayload, record.Record{Data: []byte("x"), Fault: fault}, record.CodeGzipCorrupt},
		"a fault, with a delimiter":  {jsonl.AppendPayloadLine, record.Record{Data: []byte("x"), Fault: fault}, record.CodeGzipCorrupt},
		"no bytes, with a delimiter": {jsonl.AppendPayloadLine, record.Record{}, ""},
	} {
		got, err := test.add(line, &test.r)
		var is *record.Fault
		if errors.As(err, &is) != (test.code != "") || is != nil && is.Code != test.code {
			t.Errorf("%s: %v, want %q", name, err, test.code)
		}
		if err != nil && !bytes.Equal(got, line) {
			t.Errorf("%s: the line became %q", name, got)
		}
	}
}
