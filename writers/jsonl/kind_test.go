package jsonl

import (
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/writers"
)

// An integer of more than 64 bits needs a column of Parquet to be refused.
func TestLines_HoldToTheSchemaAndNotToColumns(t *testing.T) {
	s, err := schema.Parse("t", []byte(`{"properties":{"id":{"type":"integer","minimum":1},"price":{"type":"number","x-parquet":"decimal(5,2)"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for data, valid := range map[string]bool{
		`{"id":18446744073709551615,"price":1000.125}`: true, `{"id":1e30}`: true, `{"id":1.0}`: true, `{"id":1.5}`: false, `{"id":-1e30}`: false, `{"id":"x"`: false,
	} {
		appendLine, err := lines(writers.Options{Schema: s})
		if err != nil {
			t.Fatal(err)
		}
		line, err := appendLine(nil, &record.Record{SequenceNumber: "7", Data: []byte(data)})
		if (err == nil) != valid {
			t.Errorf("%s: %v", data, err)
		}
		if want := data[:len(data)-1] + `,"event_id":"7"}` + "\n"; valid && string(line) != want {
			t.Errorf("%s became %s", data, line)
		}
	}
}
