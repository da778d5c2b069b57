package shred

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/schema"
)

func mustParse(tb testing.TB, document string) *schema.Schema {
	tb.Helper()
	s, err := schema.Parse("test", []byte(document))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func rec(data string) *record.Record { return &record.Record{SequenceNumber: "1", Data: []byte(data)} }

// dump writes all that a column holds.
func dump(c *Column) string {
	var texts []string
	for _, chunk := range new(Text).Chunks(c) {
		for rest := chunk.Data[Headroom:]; len(rest) > 0; {
			n := 16
			if !c.WideDecimal() {
				n = 4 + int(binary.LittleEndian.Uint32(rest))
			}
			texts = append(texts, string(rest[:n]))
			rest = rest[n:]
		}
		texts = append(texts, fmt.Sprint("chunk", chunk.FirstLevel, chunk.FirstValue))
	}
	return fmt.Sprintf("%v %q %v %v %v nulls %v defs %v reps %v values %d", c.Path, texts, c.Ints, c.Doubles, c.Bools, c.Nulls, c.Defs, c.Reps, c.Values())
}

func dumpAll(s *Shredder) (lines []string) {
	for _, c := range s.Columns() {
		lines = append(lines, dump(c))
	}
	return lines
}

// only returns the single value of a one-column schema as text, "null" for none.
func only(s *Shredder) string {
	c := s.Columns()[0]
	switch {
	case c.Values() == 0:
		return "null"
	case c.WideDecimal():
		return fmt.Sprintf("%x", new(Text).Chunks(c)[0].Data[Headroom:])
	case c.Bytes():
		return string(new(Text).Chunks(c)[0].Data[Headroom+4:])
	case len(c.Ints) > 0:
		return strconv.FormatInt(c.Ints[0], 10)
	case len(c.Doubles) > 0:
		return strconv.FormatFloat(c.Doubles[0], 'g', -1, 64)
	}
	return strconv.Itoa(int(c.Bools[0]))
}

func TestValue_BecomesWhatItsColumnHolds(t *testing.T) {
	const refused, violated = "refused", "violated"
	for property, cases := range map[string]map[string]string{
		`{"type":"string"}`: {
			`"a"`: "a", `""`: "", `12.50`: "12.50", `true`: "true", `[1, 2]`: "[1, 2]", `{"a":1}`: `{"a":1}`, `null`: "null",
			`"\u00e9\ud83d\ude00\/\b\f\n\r\t\"\\"`: "é😀/\b\f\n\r\t\"\\", `"\ud800"`: "\ufffd", `"\ude00\ud83dx"`: "\ufffd\ufffdx",
			`"exactly sixteen."`: "exactly sixteen.", `"seventeen letters"`: "seventeen letters",
		},
		`{"type":"string","x-null-values":["NA","-"]}`: {`"NA"`: "null", `"-"`: "null", `"NAN"`: "NAN", `""`: "", `"\u004eA"`: "null"},
		`{"type":"integer"}`: {
			`0`: "0", `-0`: "0", `42`: "42", `-42`: "-42", `"20000542"`: "20000542", `"+7"`: "7", `"007"`: "7", `"-007"`: "-7",
			`1.0`: "1", `1e3`: "1000", `1.5e1`: "15", `100e-2`: "1", `0e99999999999`: "0", `0.000`: "0", `"4.0"`: "4",
			`9223372036854775807`: "9223372036854775807", `-9223372036854775808`: "-9223372036854775808",
			`9223372036854775808`: refused, `-9223372036854775809`: refused, `1e19`: refused, `1e999999999`: refused, `1.5`: refused,
			`1e-1`: refused, `"1.5"`: refused, `""`: "null", `null`: "null", `"NA"`: refused, `" 1"`: refused, `"1 "`: refused, `"+-1"`: refused,
			`"0x10"`: refused, `true`: refused, `[]`: refused, `{}`: refused, `123456789012345678`: "123456789012345678",
			`1234567890123456789`: "1234567890123456789", `100000000000000000000e-2`: "1000000000000000000",
		},
		`{"type":"integer","x-null-values":["NA"]}`: {`"NA"`: "null", `"na"`: refused},
		`{"type":"integer","x-parquet":"int32"}`: {
			`2147483647`: "2147483647", `-2147483648`: "-2147483648", `2147483648`: refused, `-2147483649`: refused,
		},
		`{"type":"number"}`: {
			`1`: "1", `-0.0`: "-0", `0.1`: "0.1", `1e308`: "1e+308", `1e309`: refused, `5e-324`: "5e-324", `"3.25"`: "3.25", `"abc"`: refused,
			`123456789.123456789`: "1.2345678912345679e+08", `9007199254740993`: "9.007199254740992e+15", `false`: refused, `""`: "null",
			`0.30000000000000004`: "0.30000000000000004", `"1e2"`: "100", `"NaN"`: refused, `"Infinity"`: refused,
		},
		`{"type":"number","x-non-finite":true}`: {
			`"NaN"`: "NaN", `"Infinity"`: "+Inf", `"-Infinity"`: "-Inf", `"nan"`: refused, `"+Infinity"`: refused, `"Inf"`: refused, `"NaN "`: refused,
			`""`: "null", `"1.5"`: "1.5", `1e309`: refused, `["NaN"]`: refused,
		},
		`{"type":"number","x-non-finite":true,"minimum":1}`:         {`"NaN"`: violated, `"Infinity"`: "+Inf", `"-Infinity"`: violated},
		`{"type":"number","x-non-finite":true,"maximum":1}`:         {`"NaN"`: violated, `"Infinity"`: violated, `"-Infinity"`: "-Inf"},
		`{"type":"number","x-parquet":"float","x-non-finite":true}`: {`"NaN"`: "NaN", `"-Infinity"`: "-Inf", `"x"`: refused, `1.5`: "1.5"},
		`{"type":"number","x-parquet":"float"}`:                     {`0.1`: "0.10000000149011612", `1e39`: refused, `"2.5"`: "2.5"},
		`{"type":"boolean"}`: {
			`true`: "1", `false`: "0", `"TRUE"`: "1", `"False"`: "0", `1`: refused, `"yes"`: refused, `""`: "null", `null`: "null",
		},
		`{"type":"number","x-parquet":"decimal(5,2)"}`: {
			`1`: "100", `999.99`: "99999", `1000`: refused, `1.005`: refused, `1.500`: "150", `-1.5`: "-150", `"2.5"`: "250", `1e-2`: "1",
			`1e2`: "10000", `0`: "0",
		},
		`{"type":"number","x-parquet":"decimal(38,0)"}`: {
			`99999999999999999999999999999999999999`: "4b3b4ca85a86c47a098a223fffffffff",
			`-1`:                                     "ffffffffffffffffffffffffffffffff",
			`100000000000000000000000000000000000000`: refused, `1e37`: "0785ee10d5da46d900f436a000000000",
		},
		`{"type":"string","format":"date"}`: {
			`"1970-01-01"`: "0", `"1969-12-31"`: "-1", `"2000-02-29"`: "11016", `"1900-02-29"`: refused, `"2024-13-01"`: refused,
			`"2024-1-1"`: refused, `5`: refused, `""`: "null", `"0001-01-01"`: "-719162", `"9999-12-31"`: "2932896",
		},
		`{"type":"string","format":"date-time"}`: {
			`"1970-01-01T00:00:00Z"`: "0", `"1970-01-01T00:00:01.5Z"`: "1500000", `"1970-01-01T00:00:00.123456789Z"`: "123456",
			`"1970-01-01 00:00:00"`: "0", `"1970-01-01T01:00:00+01:00"`: "0", `"1969-12-31T23:59:59.999999Z"`: "-1",
			`"1970-01-01T24:00:00Z"`: refused, `"1970-01-01T00:60:00Z"`: refused, `"1970-01-01T00:00:00.Z"`: refused,
			`"1970-01-01T00:00:00+1:00"`: refused, `"1970-01-01"`: refused, `0`: refused, `"0"`: refused, `"1970-01-01t00:00:00z"`: "0",
		},
		`{"type":"string","x-parquet":"timestamp-millis"}`: {
			`"1969-12-31T23:59:59.999999Z"`: "-1", `"1970-01-01T00:00:00.0019Z"`: "1",
		},
		`{"type":"integer","x-parquet":"timestamp-micros","x-timestamp-unit":"s"}`: {
			`1372636858`: "1372636858000000", `"1372636858"`: "1372636858000000", `2.0`: "2000000", `1.5`: refused, `1e13`: refused, `0.0000001`: refused,
			`"1970-01-01T00:00:01Z"`: "1000000",
		},
		`{"type":"number","x-parquet":"timestamp-micros","x-timestamp-unit":"s"}`: {
			`1.5`: "1500000", `"0.25"`: "250000", `0.0000001`: refused, `"1970-01-01T00:00:01Z"`: "1000000",
		},
		`{"type":"integer","x-parquet":"timestamp-millis","x-timestamp-unit":"ms"}`: {`1372636858123`: "1372636858123", `-1`: "-1"},
		`{}`:                {`[1, {"a":null}]`: `[1, {"a":null}]`, `"x"`: `"x"`, `1.0`: "1.0", `null`: "null"},
		`{"type":"object"}`: {`{"a":[]}`: `{"a":[]}`, `[]`: refused, `"x"`: refused, `null`: "null"},
	} {
		s := mustParse(t, `{"x-extra":false,"properties":{"v":`+property+`}}`)
		for value, want := range cases {
			for _, data := range []string{`{"v":` + value + `}`, " {\n\"v\" :\t" + value + " } \r\n", `{"\u0076":` + value + `}`} {
				shredder := New(s, false)
				fault := shredder.Append(rec(data))
				switch {
				case fault != nil && want == violated && fault.Code == schema.CodeViolation:
				case fault != nil && want != refused:
					t.Errorf("%s: %s: %v", property, data, fault)
				case fault != nil && (fault.Code != schema.CodeParse || fault.Type != record.FormatConversionFailed || !strings.Contains(fault.Message, `"/v"`)):
					t.Errorf("%s: %s: fault %+v", property, data, fault)
				case fault == nil && want == refused:
					t.Errorf("%s: %s is taken as %s", property, data, only(shredder))
				case fault == nil && only(shredder) != want:
					t.Errorf("%s: %s is taken as %q, want %q", property, data, only(shredder), want)
				}
			}
		}
	}
}

func TestWithoutCoercion_ValuesHaveTheirDeclaredType(t *testing.T) {
	for property, cases := range map[string]map[string]bool{
		`{"type":"string"}`:                                      {`"a"`: true, `1`: false, `true`: false, `null`: false},
		`{"type":["string","null"]}`:                             {`null`: true},
		`{"type":"integer"}`:                                     {`1`: true, `1.0`: true, `"1"`: false, `""`: false},
		`{"type":"number"}`:                                      {`1`: true, `"1"`: false},
		`{"type":"boolean"}`:                                     {`true`: true, `"true"`: false},
		`{"type":"string","x-parquet":"decimal(9,1)"}`:           {`"1.5"`: true, `1.5`: false},
		`{"type":"array","items":{"type":"integer"}}`:            {`[1]`: true, `["1"]`: false, `""`: false},
		`{"type":"object","properties":{"a":{"type":"string"}}}`: {`{"a":"b"}`: true, `{"a":1}`: false, `""`: false},
	} {
		s := mustParse(t, `{"x-coerce":false,"properties":{"v":`+property+`}}`)
		for value, want := range cases {
			if fault := New(s, false).Append(rec(`{"v":` + value + `}`)); (fault == nil) != want {
				t.Errorf("%s: %s: %v", property, value, fault)
			}
		}
	}
}

func TestRules_AreCheckedAfterCoercion(t *testing.T) {
	const document = `{"required":["id"],"additionalProperties":false,"properties":{
		"id":{"type":"integer","minimum":1,"exclusiveMaximum":100},
		"ratio":{"type":"number","exclusiveMinimum":0,"maximum":1.5},
		"kind":{"type":"string","enum":["a","b é"]},
		"name":{"type":["string","null"],"minLength":2,"maxLength":4,"pattern":"^[a-zé]+$"},
		"tags":{"type":"array","minItems":1,"maxItems":2,"items":{"type":"string","minLength":1}},
		"user":{"type":"object","required":["age"],"additionalProperties":false,"properties":{"age":{"type":"integer","maximum":150}}}}}`
	s := mustParse(t, document)
	if s.NeedsFull() {
		t.Fatal("the fast path does not know all rules")
	}
	for data, want := range map[string]string{
		`{"id":1}`: "", `{"id":"99"}`: "", `{"id":0}`: `"/id" breaks the rule minimum`, `{"id":"100"}`: `"/id" breaks the rule maximum`,
		`{}`: `"/id" breaks the rule required`, `{"id":null}`: `"/id" breaks the rule required`, `{"id":""}`: `"/id" breaks the rule required`,
		`{"id":1,"ratio":0}`: "exclusiveMinimum", `{"id":1,"ratio":1.5}`: "", `{"id":1,"ratio":1.6}`: "maximum", `{"id":1,"ratio":-1}`: "inimum",
		`{"id":1,"kind":"a"}`: "", `{"id":1,"kind":"b \u00e9"}`: "", `{"id":1,"kind":"c"}`: `"/kind" breaks the rule enum`,
		`{"id":1,"name":"é"}`: "minLength", `{"id":1,"name":"éé"}`: "", `{"id":1,"name":"ééééé"}`: "maxLength", `{"id":1,"name":"abcd"}`: "",
		`{"id":1,"name":"abcde"}`: "maxLength", `{"id":1,"name":"AB"}`: "pattern", `{"id":1,"name":null}`: "",
		`{"id":1,"tags":[]}`: `"/tags" breaks the rule minItems`, `{"id":1,"tags":["a","b","c"]}`: `"/tags" breaks the rule maxItems`,
		`{"id":1,"tags":["a",""]}`: `"/tags/1" breaks the rule minLength`, `{"id":1,"tags":null}`: "",
		`{"id":1,"user":{}}`: `"/user/age" breaks the rule required`, `{"id":1,"user":{"age":151}}`: `"/user/age" breaks the rule maximum`,
		`{"id":1,"user":{"age":1,"secret":2}}`: `"/user" breaks the rule additionalProperties`,
		`{"id":1,"secret":2}`:                  `"" breaks the rule additionalProperties`, `{"id":1,"event_id":"theirs"}`: "",
	} {
		fault := New(s, true).Append(rec(data))
		switch {
		case want == "" && fault != nil:
			t.Errorf("%s: %v", data, fault)
		case want != "" && (fault == nil || fault.Code != schema.CodeViolation || !strings.Contains(fault.Message, want)):
			t.Errorf("%s: got %v, want %s", data, fault, want)
		case fault != nil && strings.Contains(fault.Message, "secret"):
			t.Errorf("%s: the message shows what the record says: %v", data, fault)
		}
	}
}

func TestRulesBeyondTheScan_AreCheckedByTheGeneralValidator(t *testing.T) {
	const document = `{"$defs":{"code":{"type":"integer","multipleOf":5}},
		"properties":{"n":{"$ref":"#/$defs/code"},"m":{"type":"integer"},"secret":{"type":"string","format":"email"}},
		"anyOf":[{"required":["n"]},{"required":["m"]}],
		"if":{"required":["m"]},"then":{"properties":{"m":{"exclusiveMinimum":2}}}}`
	s := mustParse(t, document)
	if !s.NeedsFull() {
		t.Fatal("the schema has rules that the fast path does not know")
	}
	for data, want := range map[string]string{
		`{"n":10}`: "", `{"n":"10"}`: "", `{"n":11}`: `"/n" breaks the rule multipleOf`, `{"n":"12"}`: `multipleOf`,
		`{"m":3}`: "", `{"m":2}`: `"/m" breaks the rule exclusiveMinimum`, `{}`: "required", `{"n":""}`: "required",
	} {
		fault := New(s, true).Append(rec(data))
		if want == "" && fault != nil || want != "" && (fault == nil || !strings.Contains(fault.Message, want)) {
			t.Errorf("%s: got %v, want %q", data, fault, want)
		}
	}
}

// The fast path and the general validator read the same document, so they must refuse the same records.
func TestFastPath_AgreesWithTheGeneralValidator(t *testing.T) {
	values := []string{
		`"Infinity"`, `"-Infinity"`, `null`, `true`, `0`, `1`, `-1`, `2.5`, `1e2`, `7.0`, `99999999999`, `"a"`, `""`, `"ab"`, `"éé"`, `"2024-01-31"`, `"12"`, `"true"`,
		`[]`, `["a"]`, `["a","b","c"]`, `[1]`, `[null]`, `{}`, `{"x":1}`, `{"x":"a","y":2}`, `{"x":{"z":1}}`, `{"x":null}`, `[""]`,
	}
	compared := 0
	for _, property := range []string{
		`{"type":"string"}`, `{"type":["string","null"],"minLength":1}`, `{"type":"string","maxLength":1}`, `{"type":"string","pattern":"^a"}`,
		`{"type":"string","enum":["a","12"]}`, `{"type":"integer"}`, `{"type":"integer","minimum":1,"maximum":12}`,
		`{"type":"integer","exclusiveMinimum":0.5,"exclusiveMaximum":7}`, `{"type":["null","number"],"exclusiveMinimum":0,"maximum":2.5}`,
		`{"type":"number","minimum":-1,"exclusiveMaximum":100}`, `{"type":"number","x-non-finite":true}`, `{"type":"number","x-non-finite":true,"maximum":7}`,
		`{"type":"number","x-non-finite":true,"exclusiveMinimum":0}`, `{"type":"boolean"}`, `{"type":"array","items":{"type":"string"},"maxItems":2}`,
		`{"type":"array","minItems":1,"items":{"type":["string","null"]}}`, `{"type":"array"}`, `{"type":"object"}`, `{}`,
		`{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false}`,
		`{"type":["object","null"],"properties":{"x":{"type":"string"},"y":{"type":"integer","minimum":2}}}`,
		`{"type":"object","additionalProperties":{"type":"integer"}}`,
		`{"type":"object","additionalProperties":{"type":["integer","null"]}}`,
	} {
		for _, root := range []string{`"x-coerce":true`, `"x-coerce":false`, `"required":["v"]`, `"required":["v"],"additionalProperties":false`} {
			fast := mustParse(t, `{`+root+`,"properties":{"v":`+property+`}}`)
			full := mustParse(t, `{`+root+`,"maxProperties":9,"properties":{"v":`+property+`}}`)
			if fast.NeedsFull() || !full.NeedsFull() {
				t.Fatalf("%s: the fast path was not alone", property)
			}
			for _, data := range append([]string{`{}`, `{"w":1}`}, values...) {
				if data[0] != '{' || data == `{}` || strings.HasPrefix(data, `{"x`) {
					data = `{"v":` + data + `}`
				}
				got, want := New(fast, true).Append(rec(data)), full.Validate([]byte(data))
				if (got == nil) != (want == nil) {
					t.Errorf("%s with %s: %s: fast path: %v, general validator: %v", property, root, data, got, want)
				}
				compared++
			}
		}
	}
	t.Logf("compared %d records", compared)
}

func TestExtra_IsDroppedWhereTheSchemaSaysSo(t *testing.T) {
	shredder := New(mustParse(t, `{"x-extra":false,"properties":{"a":{"type":"integer"}}}`), false)
	if fault := shredder.Append(rec(`{"b":[1],"a":1}`)); fault != nil || len(shredder.Columns()) != 1 || shredder.HasExtra() {
		t.Errorf("fault %v, %d columns", fault, len(shredder.Columns()))
	}
}

func TestExtra_KeepsWhatIsNotDeclared(t *testing.T) {
	s := mustParse(t, `{"properties":{"a":{"type":"integer"},"g":{"type":"object","properties":{"b":{"type":"string"}}},
		"l":{"type":"array","items":{"type":"object","properties":{"c":{"type":"string"}}}}}}`)
	shredder := New(s, true)
	for data, want := range map[string]string{
		`{"a":1}`: "null", `{}`: "null",
		`{"x" : [1, 2],"a":1,"\u0079":null}`:                 `{"x":[1, 2],"\u0079":null}`,
		`{"g":{"x":1,"b":"","y/~\n\"":2},"l":[{},{"d":{}}]}`: `{"/g/x":1,"/g/y~1~0\u000a\"":2,"/l/1/d":{}}`,
		`{"event_id":"theirs"}`:                              `{"event_id":"theirs"}`,
	} {
		shredder.Reset()
		if fault := shredder.Append(rec(data)); fault != nil {
			t.Fatalf("%s: %v", data, fault)
		}
		if got := only(&Shredder{columns: []*Column{shredder.extra}}); got != want {
			t.Errorf("%s: _extra is %s, want %s", data, got, want)
		}
		if want != "null" && !json.Valid([]byte(want)) {
			t.Errorf("%s is not JSON", want)
		}
	}
}

func TestAppend_TellsWhatIsWrongWithTheJSON(t *testing.T) {
	shredder := New(mustParse(t, `{"properties":{"a":{"type":"integer"}}}`), true)
	for data, code := range map[string]string{
		``: record.CodeJSONEmpty, `[1]`: record.CodeJSONNotAnObject, `{"a":1`: record.CodeJSONTruncated, `{"a":1}x`: record.CodeJSONTrailingData,
		`{"a":1,}`: record.CodeJSONMalformed, `{"a":01}`: record.CodeJSONMalformed, "{\"b\":\"\xff\"}": record.CodeJSONInvalidUTF8,
		`{"a":1,"a":2}`: schema.CodeMalformed, `{"b":` + strings.Repeat("[", 2000): record.CodeJSONTooDeep, "\xef\xbb\xbf{\"a\":1}": "",
	} {
		fault := shredder.Append(rec(data))
		if got := ""; fault != nil && fault.Code != code || fault == nil && got != code {
			t.Errorf("%.40s: got %v, want %s", data, fault, code)
		}
	}
	given := &record.Fault{Code: "Gzip.Corrupt"}
	if fault := shredder.Append(&record.Record{Fault: given}); fault != given {
		t.Errorf("a record's own fault became %v", fault)
	}
}

func TestDepth_IsThatOfJSONLines(t *testing.T) {
	for _, s := range []*schema.Schema{
		{Lenient: true},
		mustParse(t, `{"properties":{"l":{"type":"array","items":{"type":"array","items":{}}},"g":{"type":"object","properties":{"h":{}}}}}`),
	} {
		for _, levels := range []int{jsonscan.MaxDepth - 1, jsonscan.MaxDepth} {
			for _, name := range []string{"l", "other"} {
				r := rec(`{"` + name + `":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + `}`)
				_, want := record.AppendJSONLine(nil, r)
				if fault := New(s, true).Append(r); (fault == nil) != (want == nil) {
					t.Errorf("%s of %d levels: %v, as a JSON line: %v", name, levels, fault, want)
				}
			}
			r := rec(`{"g":{"h":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}}`)
			_, want := record.AppendJSONLine(nil, r)
			if fault := New(s, true).Append(r); (fault == nil) != (want == nil) {
				t.Errorf("group of %d levels: %v, as a JSON line: %v", levels, fault, want)
			}
		}
	}
}

func TestMembers_MayComeInAnyOrder(t *testing.T) {
	s := mustParse(t, `{"properties":{"alpha":{"type":"integer"},"b":{"type":"integer"},"a name longer than eight":{"type":"integer"},"d":{"type":"integer"}}}`)
	shredder := New(s, true)
	for i, data := range []string{
		`{"alpha":0,"b":0,"a name longer than eight":0,"d":0}`, `{"d":1,"a name longer than eight":1,"b":1,"alpha":1}`,
		`{"b":2}`, `{"alpha":3,"d":3}`, `{"unknown":9,"d":4,"alpha":4}`, `{ "alpha" : 5 , "b" : 5 , "d" : 5 }`, `{"a name longer than eighu":7,"alpha":6}`,
	} {
		if fault := shredder.Append(rec(data)); fault != nil {
			t.Fatal(fault)
		}
		var want map[string]int64
		if err := json.Unmarshal([]byte(data), &want); err != nil {
			t.Fatal(err)
		}
		for _, c := range shredder.Columns()[:4] {
			v, there := want[c.Field.Name]
			isNull := len(c.Nulls) > 0 && c.Nulls[len(c.Nulls)-1] == uint32(i)
			if there == isNull || there && c.Ints[len(c.Ints)-1] != v {
				t.Errorf("%s: column %s is %v with nulls %v", data, c.Field.Name, c.Ints, c.Nulls)
			}
		}
	}
}

// With x-ignore-case a member fills the column of its name in any case, at every level. Two that differ in case only are duplicates. Keys
// of a map stay as they are.
func TestNames_MayDifferInCaseWhereTheSchemaSaysSo(t *testing.T) {
	const document = `{"type":"object",%s"properties":{"userid":{"type":"integer"},"größe":{"type":"integer"},
		"at":{"type":"object","properties":{"cityName":{"type":"string"}}},"tags":{"type":"object","additionalProperties":{"type":"integer"}}}}`
	const data = `{"userId":7,"GR\u00d6ßE":2,"AT":{"CITYNAME":"Bern"},"Tags":{"A":1,"a":2}}`
	for ignores, want := range map[string]string{
		`"x-ignore-case":true,`: `[7] [2] ["\x04\x00\x00\x00Bern" "chunk0 0"] ["\x01\x00\x00\x00A" "\x01\x00\x00\x00a" "chunk0 0"] [1 2] ""`,
		"":                      `[] [] [] [] [] "userId"`,
	} {
		s := mustParse(t, fmt.Sprintf(document, ignores))
		shredder := New(s, false)
		mustAppend(t, shredder, rec(data))
		got := ""
		for _, c := range shredder.Columns()[:5] {
			_, texts, _ := strings.Cut(dump(c), "] ")
			if texts, _, _ = strings.Cut(texts, "] "); c.Bytes() {
				got += texts + "] "
			} else {
				got += fmt.Sprint(c.Ints) + " "
			}
		}
		extra := ""
		shredder.ExtraKeys(func(key []byte) { extra = cmp.Or(extra, string(key)) })
		if got += strconv.Quote(extra); got != want {
			t.Errorf("x-ignore-case %q: the columns and the first key of _extra are %s, want %s", ignores, got, want)
		}
		line, err := NewChecker(s).AppendJSONLine(nil, rec(`{"USERID":"x"}`))
		if (err == nil) != (ignores == "") {
			t.Errorf("x-ignore-case %q: a value of another type gives %s, %v", ignores, line, err)
		}
		if fault := shredder.Append(rec(`{"userId":1,"userid":2}`)); (fault == nil) != (ignores == "") || fault != nil && !duplicateKey(fault) {
			t.Errorf("x-ignore-case %q: two members that differ in case give %v", ignores, fault)
		}
	}
	if _, err := schema.Parse("", []byte(`{"type":"object","x-ignore-case":true,"properties":{"a":{"type":"integer","multipleOf":2}}}`)); err == nil {
		t.Error("a rule of the general validator would not find members in another case, and the document is accepted")
	}
}

func TestLevels_AreThoseOfTheParquetFormat(t *testing.T) {
	s := mustParse(t, `{"x-extra":false,"properties":{"l":{"type":"array","items":{"type":["array","null"],"items":{"type":["integer","null"]}}},
		"m":{"type":"object","additionalProperties":{"type":"integer"}}}}`)
	shredder := New(s, false)
	for _, data := range []string{`{"l":[[1,2],[],null,[3,null]],"m":{"a":1,"b":null}}`, `{"l":[]}`, `{"l":null,"m":{}}`} {
		if fault := shredder.Append(rec(data)); fault != nil {
			t.Fatal(fault)
		}
	}
	l, key, value := shredder.Columns()[0], shredder.Columns()[1], shredder.Columns()[2]
	for _, c := range []struct {
		column     *Column
		defs, reps []uint8
	}{
		{l, []uint8{5, 5, 3, 2, 5, 4, 1, 0}, []uint8{0, 2, 1, 1, 1, 2, 0, 0}},
		{key, []uint8{2, 2, 0, 1}, []uint8{0, 1, 0, 0}},
		{value, []uint8{3, 2, 0, 1}, []uint8{0, 1, 0, 0}},
	} {
		if !reflect.DeepEqual(c.column.Defs, c.defs) || !reflect.DeepEqual(c.column.Reps, c.reps) {
			t.Errorf("%v: levels %v %v, want %v %v", c.column.Path, c.column.Defs, c.column.Reps, c.defs, c.reps)
		}
	}
	if got := strings.Join(l.Path, "."); got != "l.list.element.list.element" {
		t.Errorf("path %s", got)
	}
}

func TestAppend_AllocatesNothingOnceWarm(t *testing.T) {
	s := mustParse(t, fuzzDocument)
	shredder := New(s, true)
	r := rec(fuzzSeeds[0])
	warm := func() {
		shredder.Reset()
		for range 2000 {
			if fault := shredder.Append(r); fault != nil {
				t.Fatal(fault)
			}
		}
	}
	warm()
	warm()
	// Pieces of memory come from a pool, of which the race detector loses some on purpose.
	if n := testing.AllocsPerRun(5, warm); n > 10 {
		t.Errorf("%v allocations for 2000 records", n)
	}
}

func TestCalendar_AgreesWithTheStandardLibrary(t *testing.T) {
	for day := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 10000; day = day.AddDate(0, 0, 13) {
		if got, ok := parseDate([]byte(day.Format(time.DateOnly))); !ok || got != day.Unix()/86400 {
			t.Fatalf("%s: got day %d %v", day.Format(time.DateOnly), got, ok)
		}
	}
}

const fuzzDocument = `{"properties":{"s":{"type":"string"},"i":{"type":"integer"},"d":{"type":"number"},"b":{"type":"boolean"},
	"t":{"type":"string","format":"date-time"},"w":{"type":"number","x-parquet":"decimal(30,5)"},
	"g":{"type":"object","properties":{"x":{"type":"string"},"y":{"type":"array","items":{"type":"string"}}}},
	"l":{"type":"array","items":{"type":"object","properties":{"k":{"type":"integer"},"m":{"type":"object","additionalProperties":{"type":"string"}}}}}}}`

var fuzzSeeds = []string{
	`{"s":"text with some length","i":1234,"d":1.5,"b":true,"t":"2024-05-06T07:08:09.123Z","w":12.5,"g":{"x":"y","y":["1","2"]},"l":[{"k":1,"m":{"a":"b"}},{}],"new":[1,{"a":null}]}`,
	`{"s":"\ud83d\ude00é","i":"7","l":[]}`, `{"s":1,"s":2}`, `{"g":{"y":[null]},"w":1e400}`, `{"a":[[[[[]]]]]}`, `{}`, ` {"i" : 1.0 } `,
	"{\"s\":\"\x80\"}", `{"l":[{"m":{"a":"1","a":"2"}}]}`, `{"t":"2024-02-30T00:00:00Z"}`, `{"i":9223372036854775808}`, `{"d":-}`, `{"b":tru}`,
}

// FuzzAppend holds two things: the JSON that is taken is that of encoding/json in UTF-8, and a record that is refused
// leaves no trace.
func FuzzAppend(f *testing.F) {
	for _, seed := range fuzzSeeds {
		f.Add([]byte(seed))
	}
	typed, err := schema.Parse("fuzz", []byte(fuzzDocument))
	if err != nil {
		f.Fatal(err)
	}
	lenient := &schema.Schema{Fields: typed.Fields, Extra: true, Lenient: true}
	f.Fuzz(func(t *testing.T, data []byte) {
		bare := bytes.TrimPrefix(data, []byte(jsonscan.ByteOrderMark))
		valid := json.Valid(bare) && utf8.Valid(bare) && bytes.TrimLeft(bare, " \t\r\n")[0] == '{'
		r := &record.Record{SequenceNumber: "7", Data: data}
		if deep := bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > 900; !deep {
			for _, s := range []*schema.Schema{{Lenient: true}, lenient} {
				if fault := New(s, true).Append(r); (fault == nil) != valid && !duplicateKey(fault) {
					t.Fatalf("valid JSON object: %v, but: %v", valid, fault)
				}
			}
		}
		with, without := New(typed, true), New(typed, true)
		before, after := rec(fuzzSeeds[0]), rec(fuzzSeeds[1])
		mustAppend(t, with, before)
		mustAppend(t, without, before)
		fault := with.Append(r)
		if fault == nil {
			if !valid {
				t.Fatal("invalid JSON is taken")
			}
			checkTaken(t, with, bare)
			return
		}
		mustAppend(t, with, after)
		mustAppend(t, without, after)
		if a, b := dumpAll(with), dumpAll(without); !reflect.DeepEqual(a, b) {
			t.Fatalf("refused with %v, but the columns differ:\n%v\n%v", fault, a, b)
		}
	})
}

// duplicateKey reports the one thing that a lenient schema refuses beyond JSON: a map key that is there twice.
func duplicateKey(fault *record.Fault) bool {
	return fault != nil && fault.Code == schema.CodeMalformed
}

func mustAppend(t *testing.T, s *Shredder, r *record.Record) {
	t.Helper()
	if fault := s.Append(r); fault != nil {
		t.Fatal(fault)
	}
}

// checkTaken compares the columns at the top level with what encoding/json makes of the record.
func checkTaken(t *testing.T, s *Shredder, data []byte) {
	t.Helper()
	var want map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Columns()[:3] {
		if c.Levels() != 2 {
			t.Fatalf("column %v has %d levels for 2 records", c.Path, c.Levels())
		}
		switch v := want[c.Field.Name].(type) {
		case nil:
			if len(c.Nulls) != 1 {
				t.Fatalf("column %v has a value for null", c.Path)
			}
		case string:
			if text := dump(c); c.Field.Kind == schema.String && !strings.Contains(text, fmt.Sprintf("%q", prefixed(v))) {
				t.Fatalf("column %v: %s does not have %q", c.Path, text, v)
			}
		case json.Number:
			if exact, err := strconv.ParseInt(string(v), 10, 64); err == nil && c.Field.Kind == schema.Int64 && c.Ints[1] != exact {
				t.Fatalf("column %v: %d, want %s", c.Path, c.Ints[1], v)
			}
			if exact, err := strconv.ParseFloat(string(v), 64); err == nil && c.Field.Kind == schema.Double &&
				math.Float64bits(c.Doubles[1]) != math.Float64bits(exact) {
				t.Fatalf("column %v: %v, want %s", c.Path, c.Doubles[1], v)
			}
		}
	}
}

func prefixed(s string) string {
	return string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}
