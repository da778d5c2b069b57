package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// nested is {"a":{"a":...{}}}.
func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "{}" + strings.Repeat("}", depth)
}

// bothSides is a tree of which two parts of the schema look at each child: 2^depth subschemas are applied to the
// innermost one.
const bothSides = `{"properties":{"tree":{"$ref":"#/$defs/tree"}},"$defs":{"tree":{"allOf":[
	{"properties":{"a":{"$ref":"#/$defs/tree"}}},{"properties":{"a":{"$ref":"#/$defs/tree"}}}]}}}`

func TestValidate_GivesUpWhereReferencesFanOutWithTheDepth(t *testing.T) {
	s := mustParse(t, bothSides)
	for depth, want := range map[int]string{1: "", 3: "", 6: "", 18: CodeTooExpensive, 900: CodeTooExpensive} {
		if got := codeOf(s.Validate([]byte(`{"tree":` + nested(depth) + `}`))); got != want {
			t.Errorf("depth %d: fault %q, want %q", depth, got, want)
		}
	}
	// The limit grows with the record, the work with its depth alone.
	wide := `{"tree":{"b":[` + strings.Repeat("0,", 100_000) + `0],"a":` + nested(5) + `}}`
	if f := s.Validate([]byte(wide)); f != nil {
		t.Errorf("a wide record: %v", f)
	}
}

// A record is given up only where references fan out: however large it is, and however often the schema looks at it.
func TestValidate_GivesUpNoRecordOfASchemaThatDoesNotFanOut(t *testing.T) {
	var branches, unions []string
	for i := range 60 {
		branches = append(branches, fmt.Sprintf(`{"properties":{"kind":{"const":"k%d"},"items":{"type":"array","items":{"type":"object","properties":{"x":{"multipleOf":1}}}}}}`, i))
		unions = append(unions, fmt.Sprintf(`{"required":["r%d"]}`, i))
	}
	schemas := map[string]string{
		"list":    `{"properties":{"next":{"$ref":"#"}},"minProperties":0}`,
		"dynamic": `{"$dynamicAnchor":"node","properties":{"next":{"$dynamicRef":"#node"},"items":{"items":{"$dynamicRef":"#node"}}}}`,
		"sixty":   `{"properties":{"kind":{"type":"string"}},"oneOf":[` + strings.Join(branches, ",") + `]}`,
		"names":   `{"properties":{"kind":{"type":"string"}},"patternProperties":{"^a":{"pattern":"a"},"a":{"minLength":1},"b|a":{}},"propertyNames":{"pattern":"."},"anyOf":[{},` + strings.Join(unions, ",") + `],"unevaluatedProperties":true}`,
		"unique":  `{"properties":{"items":{"type":"array","uniqueItems":true,"items":{"type":"object","properties":{"x":{"type":"array","uniqueItems":true,"items":{"uniqueItems":true}}}}}}}`,
	}
	elements := make([]string, 5000)
	for i := range elements {
		elements[i] = fmt.Sprintf(`{"x":[[%d,"é"],[%d.5]]}`, i, i)
	}
	records := map[string]string{
		"deep":       strings.Repeat(`{"next":`, 18) + "{}" + strings.Repeat("}", 18),
		"items":      `{"kind":"k1","items":[` + strings.Join(elements, ",") + `]}`,
		"many names": `{"kind":"k1"` + strings.Repeat(`,"a%":"`+strings.Repeat("a", 300)+`"`, 1) + `}`,
		"small":      `{"kind":"k59"}`,
	}
	for schemaName, document := range schemas {
		s := mustParse(t, `{"properties":{"any":{}},"allOf":[`+document+`]}`)
		for name, record := range records {
			if f := s.Validate([]byte(record)); codeOf(f) == CodeTooExpensive {
				t.Errorf("schema %s, record %s: %v", schemaName, name, f)
			}
		}
	}
}

func TestValidate_GivesUpNumbersThatAreManyTimesTheirTextsSize(t *testing.T) {
	s := mustParse(t, `{"properties":{"n":{"type":"array","items":{"type":"number","multipleOf":1e-400}}}}`)
	list := func(number string) []byte { return []byte(`{"n":[` + strings.Repeat(number+",", 2000) + `0]}`) }
	for number, want := range map[string]string{"1e-400": CodeTooExpensive, "1e400": CodeTooExpensive, "1.5": "", "6.02214076e23": "", "2.2250738585072014e-308": ""} {
		if got := codeOf(s.Validate(list(number))); got != want {
			t.Errorf("%s: fault %q, want %q", number, got, want)
		}
	}
	if f := s.Validate([]byte(`{"n":[1e-400,1e400]}`)); f != nil {
		t.Errorf("two of them: %v", f)
	}
}

func TestValidate_KnowsEqualElements(t *testing.T) {
	s := mustParse(t, `{"properties":{"u":{"type":"array","uniqueItems":true}}}`)
	for list, unique := range map[string]bool{
		`[]`: true, `[1]`: true, `[1,2]`: true, `[1,"1",true,null,[],{}]`: true, `[[],[[]]]`: true, `[[[],[]],[[[]]]]`: true, `["ab",["a","b"]]`: true,
		`[["a","b"],["ab"]]`: true, `[{"a":"b"},{"b":"a"}]`: true, `[0.1,0.10000000000000001]`: true, `[1e20,100000000000000000001]`: true, `[1,-1]`: true,
		`[1,1.0]`: false, `[100,1e2]`: false, `[0,-0.0e5]`: false, `[-5e-1,-0.50]`: false, `[{"a":1,"b":2},{"b":2.0,"a":1}]`: false, `["a","\u0061"]`: false,
		`[[[1]],[[1]]]`: false, `[null,null]`: false, `[true,true]`: false, `[12345678901234567890,12345678901234567890.0]`: false,
	} {
		f := s.Validate([]byte(`{"u":` + list + `}`))
		if (f == nil) != unique || !unique && !strings.Contains(f.Message, `"/u" breaks the rule uniqueItems`) {
			t.Errorf("%s: %v, want unique %v", list, f, unique)
		}
	}
}

func TestValidate_NamesNoRuleWhereThatTakesTooLong(t *testing.T) {
	s := mustParse(t, `{"properties":{"l":{"$ref":"#/$defs/l"}},"$defs":{"l":{"type":["array","null"],"items":{"$ref":"#/$defs/l"}}}}`)
	broken := func(depth, many int) string {
		return `{"l":` + strings.Repeat("[", depth) + strings.Repeat("0,", many) + "0" + strings.Repeat("]", depth) + `}`
	}
	if f := s.Validate([]byte(broken(3, 1000))); codeOf(f) != CodeViolation || !strings.Contains(f.Message, "breaks the rule type") {
		t.Errorf("a shallow record: %v", f)
	}
	if f := s.Validate([]byte(broken(900, 3))); codeOf(f) != CodeViolation {
		t.Errorf("a deep record: %v", f)
	}
}

// Formats other than those of columns are annotations in all drafts, regular expressions too.
func TestValidate_FormatsRefuseNothing(t *testing.T) {
	for _, draft := range []string{"http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"} {
		for _, format := range []string{"regex", "ipv4", "uuid", "uri", "email", "duration", "no-such-format"} {
			s := mustParse(t, fmt.Sprintf(`{"$schema":%q,"properties":{"a":{"anyOf":[{"format":%q}]}}}`, draft, format))
			if f := s.Validate([]byte(`{"a":"("}`)); f != nil {
				t.Errorf("%s, format %s: %v", draft, format, f)
			}
		}
	}
}

// The meter, the order of the two runs and uniqueItems of ours change no verdict of the validator's.
func FuzzValidate_AgreesWithTheValidatorAlone(f *testing.F) {
	documents := []string{
		bothSides,
		`{"properties":{"any":{}},"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":{"type":["string","array"],"items":{"uniqueItems":true}},"minProperties":1}`,
		`{"properties":{"a":{"oneOf":[{"type":"number"},{"minimum":5},{"type":"array","contains":{"const":1},"uniqueItems":true}]}},"unevaluatedProperties":{"type":"null"},"if":{"required":["b"]},"then":{"properties":{"b":{"not":{"type":"string"}}}},"else":{"maxProperties":3}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"minLength":2},"b":{"pattern":"^.?$"}},"dependencies":{"a":["c"]},"propertyNames":{"maxLength":3}}`,
	}
	for i, data := range []string{`{"tree":{"a":{"a":1}}}`, `{"x":1,"y":[1,1.0]}`, `{"a":[1,[],[[]]],"b":"s"}`, `{"a":"1.2.3.4","b":"("}`, `{"a":7,"d":null}`, `{"c":1,"a":"x","abcd":0}`} {
		f.Add(uint8(i), []byte(data))
	}
	f.Fuzz(func(t *testing.T, n uint8, data []byte) {
		document := documents[int(n)%len(documents)]
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var members map[string]any
		if d.Decode(&members) != nil || members == nil || len(data) > 1000 {
			return
		}
		fault := mustParse(t, document[:len(document)-1]+`,"x-coerce":false}`).Validate(data)
		if code := codeOf(fault); code != "" && code != CodeViolation {
			return
		}
		delete(members, EventIDColumn)
		if alone := plain(t, document).Validate(members); (alone == nil) != (fault == nil) {
			t.Fatalf("schema %d, %s: %v, the validator alone says %v", int(n)%len(documents), data, fault, alone)
		}
	})
}

func plain(t *testing.T, document string) *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(documentURL, doc); err != nil {
		t.Fatal(err)
	}
	return compiler.MustCompile(documentURL)
}

func mustParse(t *testing.T, document string) *Schema {
	t.Helper()
	s, err := Parse("test", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
