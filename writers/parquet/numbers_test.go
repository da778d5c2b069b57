package parquet

import (
	"strings"
	"testing"
)

func TestFormat_TellsOfRoundedNumbers(t *testing.T) {
	told := 0
	count := func(n int) { told += n }
	const ids = `{"d":100000000000000001,"f":0.1,"l":[1,9007199254740993]}`
	declared := mustParse(t, `{"properties":{"d":{"type":"number"},"f":{"type":"number"},"l":{"type":"array","items":{"type":"number"}}}}`)
	for _, c := range []struct {
		options Options
		want    int
	}{{Options{Schema: declared, Rounded: count}, 2}, {Options{Rounded: count}, 0}, {Options{Schema: declared}, 0}} {
		told = 0
		block := mustFormat(t, c.options).NewLayout().NewBlock()
		if err := block.Append(newRecord(0, ids)); err != nil {
			t.Fatal(err)
		}
		if _, err := block.Encode(); err != nil {
			t.Fatal(err)
		}
		if told != c.want {
			t.Errorf("with %+v told of %d numbers, want %d", c.options, told, c.want)
		}
	}
}

func TestNew_RefusesNamesThatReadersCut(t *testing.T) {
	for _, document := range []string{
		`{"properties":{"a\u0000b":{}}}`, `{"properties":{"g":{"type":"object","properties":{"a\u0000b":{}}}}}`,
		`{"properties":{"l":{"type":"array","items":{"type":"object","properties":{"a\u0000b":{}}}}}}`,
	} {
		if _, err := New(Options{Schema: mustParse(t, document)}); err == nil || !strings.Contains(err.Error(), `"a\x00b"`) {
			t.Errorf("%s: %v", document, err)
		}
	}
}
