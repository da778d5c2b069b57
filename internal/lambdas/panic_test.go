package lambdas

import (
	"fmt"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
)

// A panic while a record is taken in costs that record: the others are lines.
func TestEncode_MakesAPanicTheFaultOfItsRecord(t *testing.T) {
	batch := &Batch{First: "100"}
	for n := range 10 {
		batch.Records = append(batch.Records, record.Record{SequenceNumber: fmt.Sprint(100 + n), Data: []byte(`{"n":1}`)})
	}
	all, lines, rejected := batch.Encode(func(dst []byte, r *record.Record) ([]byte, error) {
		line, err := record.AppendJSONLine(dst, r)
		if r.SequenceNumber == batch.First {
			panic("planted")
		}
		return line, err
	})
	if len(lines) != 9 || strings.Count(string(all), "\n") != 9 || strings.Contains(string(all), batch.First) {
		t.Errorf("%d lines: %s", len(lines), all)
	}
	if len(rejected) != 1 || rejected[0].Fault.Code != record.CodeRecordPanicked || rejected[0].Record.SequenceNumber != batch.First {
		t.Errorf("rejected %+v", rejected)
	}
}
