package record_test

import (
	"testing"

	"aws-streaming-pipeline/consumer/record"
)

func TestSkipValue_FindsTheEndOfOneValue(t *testing.T) {
	for _, c := range []struct {
		text string
		from int
		end  int
		ok   bool
	}{
		{`{"a":[1,"x"]} tail`, 0, 13, true},
		{`{"a":[1,"x"]}`, 5, 12, true},
		{`-1.5e3,`, 0, 6, true},
		{`"\u00e9"`, 0, 8, true},
		{`null`, 4, 4, false},
		{` 1`, 0, 0, false},
		{`{"a":}`, 0, 5, false},
		{`"open`, 0, 5, false},
	} {
		end, ok := record.SkipValue([]byte(c.text), c.from)
		if end != c.end || ok != c.ok {
			t.Errorf("SkipValue(%q, %d) = %d, %v: want %d, %v", c.text, c.from, end, ok, c.end, c.ok)
		}
	}
}

func TestSkipSpace_StopsAtTheFirstOtherByte(t *testing.T) {
	if got := record.SkipSpace([]byte(" \t\r\n x"), 0); got != 5 {
		t.Errorf("got %d", got)
	}
	if got := record.SkipSpace([]byte("  "), 1); got != 2 {
		t.Errorf("got %d at the end", got)
	}
}
