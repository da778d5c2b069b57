package record_test

import (
	"errors"
	"testing"

	"aws-streaming-pipeline/record"
)

func TestRecord_EventIDNamesAggregateAndPart(t *testing.T) {
	for want, r := range map[string]record.Record{
		"12":     {SequenceNumber: "12", SubSequence: 3, Part: 4},
		"12-3":   {SequenceNumber: "12", SubSequence: 3, Part: 4, Aggregated: true},
		"12-4":   {SequenceNumber: "12", SubSequence: 3, Part: 4, Split: true},
		"12-3-4": {SequenceNumber: "12", SubSequence: 3, Part: 4, Aggregated: true, Split: true},
	} {
		if got := r.EventID(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestCompareSequence_ComparesNumbersAndNotStrings(t *testing.T) {
	ordered := []string{"", "0", "9", "10", "99", "100", sequence, "9" + sequence[1:], "1" + sequence}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := record.CompareSequence(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q and %q: %d", a, b, got)
			}
		}
	}
}

func TestFault_IsAnErrorWithCodeAndMessage(t *testing.T) {
	var err error = &record.Fault{Type: record.ProcessingFailed, Code: record.CodeJSONEmpty, Message: "nothing there"}
	if err.Error() != "Json.Empty: nothing there" {
		t.Errorf("got %q", err)
	}
	if fault, ok := errors.AsType[*record.Fault](err); !ok || fault.Type != record.ProcessingFailed {
		t.Errorf("got %v", fault)
	}
}
