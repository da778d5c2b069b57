package lambdas

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"aws-streaming-pipeline/consumer/record"
	"aws-streaming-pipeline/consumer/record/schema"
	"aws-streaming-pipeline/consumer/record/schema/shred"
)

// A panic while a record is taken in costs that record: the others are lines, and what has panicked is not used again.
func TestEncode_MakesAPanicTheFaultOfItsRecord(t *testing.T) {
	batch := &Batch{First: "100"}
	for n := range 10 {
		batch.Records = append(batch.Records, record.Record{SequenceNumber: fmt.Sprint(100 + n), Data: []byte(`{"n":1}`)})
	}
	broken := 1 // shredders that panic when they are used
	v := &Validator{sync.Pool{New: func() any {
		if broken--; broken == 0 {
			return (*shred.Shredder)(nil)
		}
		return shred.New(&schema.Schema{Lenient: true}, false)
	}}}
	all, lines, rejected := batch.Encode(v)
	if len(lines) != 9 || strings.Count(string(all), "\n") != 9 || strings.Contains(string(all), batch.First) {
		t.Errorf("%d lines: %s", len(lines), all)
	}
	if len(rejected) != 1 || rejected[0].Fault.Code != record.CodeRecordPanicked || rejected[0].Record.SequenceNumber != batch.First {
		t.Errorf("rejected %+v", rejected)
	}
}
