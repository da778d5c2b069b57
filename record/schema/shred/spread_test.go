package shred

import (
	"fmt"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

// wide is a schema of a list of objects with many members.
func wide(t *testing.T, members int) *schema.Schema {
	var properties []string
	for i := range members {
		properties = append(properties, fmt.Sprintf(`"m%d":{"type":"number"}`, i))
	}
	return mustParse(t, `{"properties":{"id":{"type":"string"},"list":{"type":"array","items":{"type":"object","properties":{`+strings.Join(properties, ",")+`}}},
		"a_group_of_a_long_name":{"type":"object","properties":{"another_group_of_a_name_that_is_longer_yet":{"type":"object","properties":{"x":{}}}}}}}`)
}

func repeated(before, unit, after string, times int) string {
	return before + strings.Repeat(unit+",", times-1) + unit + after
}

func TestAppend_RefusesARecordOfManyTimesItsSizeInColumns(t *testing.T) {
	deep := `{"a_group_of_a_long_name":{"another_group_of_a_name_that_is_longer_yet":{`
	var unknown []string
	for i := range 5000 {
		unknown = append(unknown, fmt.Sprintf(`"%d":0`, i))
	}
	s, clean := New(wide(t, 300), true), New(wide(t, 300), true)
	for name, tt := range map[string]struct {
		data string
		code string
	}{
		"empty objects":           {repeated(`{"list":[`, `{}`, "]}", 5000), schema.CodeTooLarge},
		"a few empty objects":     {repeated(`{"list":[`, `{}`, "]}", 10), ""},
		"objects of some members": {repeated(`{"list":[`, `{"m1":12.5,"m200":17}`, "]}", 5000), ""},
		"unknown members":         {deep + strings.Join(unknown, ",") + "}}}", ""}, // 66 bytes of names for 8
		"no JSON":                 {repeated(`{"list":[`, `{}`, "]}x", 5000), record.CodeJSONTrailingData},
	} {
		fault := s.Append(rec(tt.data))
		if got := ""; fault != nil {
			got = fault.Code
			if got != tt.code {
				t.Errorf("%s: fault %v, want %q", name, fault, tt.code)
			}
		} else if tt.code != "" {
			t.Errorf("%s: taken", name)
		} else {
			mustAppend(t, clean, rec(tt.data))
		}
	}
	if a, b := dumpAll(s), dumpAll(clean); fmt.Sprint(a) != fmt.Sprint(b) {
		t.Error("a refused record has left a trace")
	}
}

// Events of many kinds in one list have few of the members that the schema has for all of them.
func TestAppend_TakesSparseLists(t *testing.T) {
	for members, elements := range map[int]int{200: 5000, 500: 150, 1000: 60} {
		s := New(wide(t, members), true)
		var list []string
		for i := range elements {
			list = append(list, fmt.Sprintf(`{"m%d":%d,"m%d":1}`, i*7%members, i%10, (i*7+1)%members))
		}
		mustAppend(t, s, rec(`{"list":[`+strings.Join(list, ",")+`]}`))
	}
}

// Lines take up no more for members that a record does not have.
func TestChecker_RefusesNoRecordForItsColumns(t *testing.T) {
	var properties []string
	for i := range 300 {
		properties = append(properties, fmt.Sprintf(`"m%d":{"type":"object","additionalProperties":{"type":"string"}}`, i))
	}
	s := mustParse(t, `{"properties":{"list":{"type":"array","items":{"type":"object","properties":{`+strings.Join(properties, ",")+`}}}}}`)
	c := NewChecker(s)
	for _, element := range []string{`{}`, `{"m7":{}}`, `{"m7":{"a":"b","c":"d"}}`} {
		if _, err := c.AppendJSONLine(nil, rec(repeated(`{"list":[`, element, `]}`, 5000))); err != nil {
			t.Errorf("%s: %v", element, err)
		}
	}
	if code := codeAsLine(c.AppendJSONLine(nil, rec(`{"list":[{"m7":{"a":"b"}},{"m7":{"a":"b","a":"b"}}]}`))); code != schema.CodeMalformed {
		t.Errorf("a key twice is %q", code)
	}
}

// Without a schema nothing is refused for its shape.
func TestAppend_KeepsALargeRecordInExtraWhereTheSchemaIsLenient(t *testing.T) {
	lenient := &schema.Schema{Fields: wide(t, 300).Fields, Extra: true, Lenient: true}
	s := New(lenient, true)
	data := repeated(`{"id":"a","list":[`, `{}`, "]}", 5000)
	mustAppend(t, s, rec(`{"id":"before"}`))
	mustAppend(t, s, rec(data))
	mustAppend(t, s, rec(`{"id":"after"}`))
	if s.Rows() != 3 || s.Columns()[0].Values() != 2 {
		t.Fatalf("%d rows, %d ids: want 3 and 2", s.Rows(), s.Columns()[0].Values())
	}
	if got := dump(s.extra); !strings.Contains(got, `\"id\":\"a\",\"list\":[{},{}`) {
		t.Errorf("_extra is %.200s", got)
	}
	if held := s.Size(); held > 4*len(data) {
		t.Errorf("the columns have %d bytes for a record of %d", held, len(data))
	}
	if f := s.Append(rec(data[:len(data)-1])); f == nil || s.Rows() != 3 {
		t.Errorf("malformed JSON: fault %v, %d rows", f, s.Rows())
	}
}

// MayBeTooLarge is true for every record that is too large, and false for those that people send.
func TestMayBeTooLarge_ErrsOnlyTowardsTrue(t *testing.T) {
	sound := map[bool]int{}
	for _, members := range []int{1, 5, 40, 300} {
		s := wide(t, members)
		spread := SpreadOf(s)
		for _, unit := range []string{`{}`, `{"m0":1}`, `{"m0":null,"u~/":2}`, `[]`, `null`, `{"m0":{"x":1}}`} {
			for n := 1; n < 10000; n = n*3/2 + 1 {
				for _, data := range []string{
					repeated(`{"list":[`, unit, "]}", n),
					repeated(`{"a_group_of_a_long_name":{"another_group_of_a_name_that_is_longer_yet":{`, `"~":`+unit, `}}}`, n),
				} {
					fault := New(s, true).Append(rec(data))
					tooLarge := fault != nil && fault.Code == schema.CodeTooLarge
					if tooLarge && !spread.MayBeTooLarge([]byte(data)) {
						t.Fatalf("%d times %s of %d members: too large, and said not to be", n, unit, members)
					}
					if !tooLarge {
						sound[spread.MayBeTooLarge([]byte(data))]++
					}
				}
			}
		}
	}
	if sound[false] < sound[true] {
		t.Errorf("of records that are not too large, %d may be and %d not", sound[true], sound[false])
	}
	if flat := SpreadOf(mustParse(t, `{"properties":{"a":{"type":"string"},"b":{"type":"number"}}}`)); flat.MayBeTooLarge([]byte(strings.Repeat("{", 1<<20))) {
		t.Error("a record may be too large for flat columns")
	}
}
