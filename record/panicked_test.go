package record

import (
	"strings"
	"testing"
)

// A payload that the decoder cannot bear costs itself, not the shard that would be read again and again.
func TestDecoder_KeepsARecordThatUpsetsIt(t *testing.T) {
	var broken *Decoder // every use of its options panics
	before := []Record{{SequenceNumber: "1"}}
	got, err := broken.Append(t.Context(), before, Record{SequenceNumber: "2", Data: []byte("payload")})
	if err != nil || len(got) != 2 || got[0].SequenceNumber != "1" || got[1].SequenceNumber != "2" || string(got[1].Data) != "payload" {
		t.Fatalf("records %+v", got)
	}
	fault := got[1].Fault
	if fault == nil || fault.Code != CodeRecordPanicked || !strings.Contains(fault.Message, "nil pointer") ||
		!strings.Contains(fault.Message, "record.(*Decoder).Append") {
		t.Errorf("fault %v: want %s with what and where", fault, CodeRecordPanicked)
	}
}

func TestPanicked_DoesNotTellWhatALibrarySays(t *testing.T) {
	defer func() {
		fault := Panicked(recover())
		if strings.Contains(fault.Message, "payload") || !strings.Contains(fault.Message, "TestPanicked_DoesNotTell") {
			t.Errorf("message %q", fault.Message)
		}
	}()
	panic("the payload 12345 is odd")
}
