package shred

import (
	"errors"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

// verdict is the code of a record in columns and as a line, which has to be the same.
func verdict(t *testing.T, s *schema.Schema, data string) string {
	t.Helper()
	columns := ""
	if fault := New(s, true).Append(rec(data)); fault != nil {
		columns = fault.Code
	}
	if line := codeAsLine(NewChecker(s).AppendJSONLine(nil, rec(data))); line != columns {
		t.Errorf("%.80q is %q in columns and %q as a line", data, columns, line)
	}
	return columns
}

func codeAsLine(_ []byte, err error) string {
	var fault *record.Fault
	if errors.As(err, &fault) {
		return fault.Code
	}
	return ""
}

// The verdict on a record does not depend on where a scan could have stopped: that it is not JSON comes first, then a name that
// is there twice, then what the schema does not allow.
func TestFault_IsTheWorstOfTheRecord(t *testing.T) {
	s := mustParse(t, `{"additionalProperties":false,"required":["a"],"properties":{"a":{"type":"integer","minimum":0},
		"b":{"type":"string","maxLength":1},"d":{"type":"string","format":"date"},"t":{"type":"boolean"},"j":{"type":"object"},
		"l":{"type":"array","maxItems":2,"items":{"type":"number"}},"m":{"type":"object","additionalProperties":{"type":"integer"}},
		"g":{"type":"object","additionalProperties":false,"required":["x"],"properties":{"x":{"type":"integer"},"y":{}}}}}`)
	twice := []string{`"a":1,"a":2`, `"g":{"x":1,"x":2}`, `"m":{"k":1,"k":2}`}
	faults := append([]string{
		`"a":"x"`, `"a":1.5`, `"a":-1`, `"a":true`, `"a":null`, `"b":"long"`, `"b":[1,2]`, `"d":"today"`, `"t":"maybe"`, `"t":7`, `"j":[]`, `"l":[1,2,3]`,
		`"l":["x",{}]`, `"l":{"x":1}`, `"m":{"k":"x"}`, `"m":[1]`, `"g":{}`, `"g":{"x":1,"z":2}`, `"g":{"x":{"y":[]}}`, `"z":1`,
	}, twice...)
	for _, fault := range faults {
		if verdict(t, s, `{`+fault+`}`) == "" {
			t.Errorf("{%s} is taken", fault)
		}
		for broken, code := range map[string]string{
			`,"y":01}`: record.CodeJSONMalformed, `,"y":"\x"}`: record.CodeJSONMalformed, `,}`: record.CodeJSONMalformed, ``: record.CodeJSONTruncated,
			`,"y":"`: record.CodeJSONTruncated, `} {`: record.CodeJSONTrailingData, ",\"y\":\"\xff\"}": record.CodeJSONInvalidUTF8,
			`,"y":` + strings.Repeat("[", 2000): record.CodeJSONTooDeep,
		} {
			if got := verdict(t, s, `{`+fault+broken); got != code {
				t.Errorf("{%s%.20s is %q, want %q", fault, broken, got, code)
			}
		}
		for _, double := range twice {
			for _, data := range []string{`{` + fault + `,` + double + `}`, `{` + double + `,` + fault + `}`} {
				if got := verdict(t, s, data); got != schema.CodeMalformed {
					t.Errorf("%s is %q, want %q", data, got, schema.CodeMalformed)
				}
			}
		}
	}
}

// A record that is refused leaves no trace, however much of it was read.
func TestFault_LeavesTheColumnsAsTheyWere(t *testing.T) {
	s := mustParse(t, `{"properties":{"a":{"type":"integer"},"b":{"type":"string"},"l":{"type":"array","items":{"type":"string","maxLength":3}},
		"m":{"type":"object","additionalProperties":{"type":"integer"}},"c":{"type":"string"}}}`)
	const good = `{"a":1,"b":"x","l":["y",null,"z"],"m":{"k":1},"c":"w","more":2}`
	want, got := New(s, true), New(s, true)
	for _, bad := range []string{
		`{"a":"x","b":"seen","l":["yyyy","z"],"m":{"k":1,"k":2,"o":"x"},"c":"seen","extra":1}`, `{"b":1,"b":2,"c":{},"l":[1,[],"long"]}`,
		`{"m":{"k":"x"},"l":["long","a"],"a":2`,
	} {
		for _, shredder := range []*Shredder{want, got} {
			if fault := shredder.Append(rec(strings.Replace(good, ",null", "", 1))); fault != nil {
				t.Fatal(fault)
			}
		}
		if got.Append(rec(bad)) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if w, g := strings.Join(dumpAll(want), "\n"), strings.Join(dumpAll(got), "\n"); w != g {
		t.Errorf("columns after refused records:\n%s\nwant:\n%s", g, w)
	}
}
