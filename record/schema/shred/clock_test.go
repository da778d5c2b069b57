package shred

import (
	"testing"

	"aws-streaming-pipeline/record/schema"
)

func TestDateTime_IsThatOfRFC3339(t *testing.T) {
	const document = `,"properties":{"v":{"type":"string","format":"date-time"},"w":{"type":"string","format":"date-time","x-parquet":"timestamp-millis"}}}`
	strict, loose := mustParse(t, `{"x-coerce":false`+document), mustParse(t, `{"x-coerce":true`+document)
	for text, c := range map[string]struct{ strictLine, looseLine, strictColumn, looseColumn bool }{
		"2016-12-31T23:59:59Z":          {true, true, true, true},
		"2016-12-31t23:59:59.5z":        {true, true, true, true},
		"2016-12-31 23:59:59Z":          {false, true, false, true}, // as Hive and SQL write it
		"2016-12-31T23:59:59":           {false, true, false, true},
		"2016-12-31T23:59:60Z":          {true, true, false, false}, // a leap second, which no column can hold
		"2017-01-01T08:59:60.123+09:00": {true, true, false, false},
		"2016-12-31 23:59:60":           {false, true, false, false},
		"2024-02-29T23:59:60Z":          {true, true, false, false}, // the end of a month
		"2024-02-28T23:59:60Z":          {},
		"2016-12-31T23:58:60Z":          {},
		"2016-12-31T23:59:60+01:00":     {},
		"2016-12-31T23:59:61Z":          {},
		"2016-12-31_23:59:59Z":          {},
		"2016-12-31T23:59:59+0100":      {},
		"2016-12-31T23:59:59+01:00Z":    {},
	} {
		for _, name := range []string{"v", "w"} {
			data := `{"` + name + `":"` + text + `"}`
			for _, check := range []struct {
				what  string
				valid bool
				code  string
			}{
				{"strict line", c.strictLine, codeAsLine(NewChecker(strict).AppendJSONLine(nil, rec(data)))},
				{"loose line", c.looseLine, codeAsLine(NewChecker(loose).AppendJSONLine(nil, rec(data)))},
				{"strict column", c.strictColumn, codeInColumns(strict, data)},
				{"loose column", c.looseColumn, codeInColumns(loose, data)},
			} {
				if want := map[bool]string{true: "", false: schema.CodeParse}[check.valid]; check.code != want {
					t.Errorf("%s as %s: %q, want %q", data, check.what, check.code, want)
				}
			}
		}
	}
}

func codeInColumns(s *schema.Schema, data string) string {
	if fault := New(s, true).Append(rec(data)); fault != nil {
		return fault.Code
	}
	return ""
}
