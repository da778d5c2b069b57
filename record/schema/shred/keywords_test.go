package shred

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record/schema"
)

// keywordCase says which values a keyword takes and which it refuses. The values are those of a property with the schema, or
// whole records of the document.
type keywordCase struct {
	Keyword          string
	Schema, Document json.RawMessage
	Valid, Invalid   []json.RawMessage
	Unfit            []json.RawMessage // valid, but the property's column cannot hold them
	Python           string            // why Python's validator judges otherwise; empty where it agrees
}

const keywordCases = "testdata/keywords.json"

func readKeywordCases(t *testing.T) (cases []keywordCase) {
	t.Helper()
	data, err := os.ReadFile(keywordCases)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// document is the schema document of the case, with or without coercion.
func (c *keywordCase) document(coerce string) string {
	document := string(c.Document)
	if document == "" {
		document = `{"properties":{"v":` + string(c.Schema) + `}}`
	}
	return `{"x-coerce":` + coerce + `,` + document[1:]
}

func (c *keywordCase) record(value json.RawMessage) string {
	if c.Document != nil {
		return string(value)
	}
	return `{"v":` + string(value) + `}`
}

// Daemon and functions check JSON lines by a Checker, and Parquet by a Shredder. Both take what the schema takes.
func TestKeywords_TakeAndRefuseWhatTheyShould(t *testing.T) {
	for _, c := range readKeywordCases(t) {
		s := mustParse(t, c.document("false"))
		checker := NewChecker(s)
		judge := func(value json.RawMessage, valid bool, column string) {
			data := c.record(value)
			if _, err := checker.AppendJSONLine(nil, rec(data)); (err == nil) != valid {
				t.Errorf("%s: %s as a line: %v", c.document("false"), data, err)
			}
			code := ""
			fault := New(s, true).Append(rec(data))
			if fault != nil {
				code = fault.Code
			}
			if column == "any" && fault == nil || column != "any" && code != column {
				t.Errorf("%s: %s in columns: %v, want %q", c.document("false"), data, fault, column)
			}
		}
		for _, value := range c.Valid {
			judge(value, true, "")
		}
		for _, value := range c.Unfit {
			judge(value, true, schema.CodeParse)
		}
		for _, value := range c.Invalid {
			judge(value, false, "any")
		}
	}
}

// Coercion makes values fit that do not. It refuses none that fit.
func TestKeywords_WithCoercionTakeNoLess(t *testing.T) {
	for _, c := range readKeywordCases(t) {
		s := mustParse(t, c.document("true"))
		for _, value := range slices.Concat(c.Valid, c.Unfit) {
			if _, err := NewChecker(s).AppendJSONLine(nil, rec(c.record(value))); err != nil {
				t.Errorf("%s: %s: %v", c.document("true"), c.record(value), err)
			}
		}
	}
}

// The table above is ours; a validator that is not judges the same values, and says which keywords there are.
func TestKeywords_AreAllThereAndPythonAgrees(t *testing.T) {
	var answer struct {
		Verdicts []map[string][]bool
		Keywords []string
	}
	cmd := emulator.JSONSchema(t, "testdata/jsonschema_verdicts.py", keywordCases)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run Python's validator: %v\n%s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	cases := readKeywordCases(t)
	judged, covered := 0, map[string]int{}
	for i, c := range cases {
		disagrees := false
		for list, verdicts := range answer.Verdicts[i] {
			judged += len(verdicts)
			for k, valid := range verdicts {
				if valid != (list != "invalid") {
					disagrees = true
					if c.Python == "" {
						t.Errorf("%s: %s value %d: Python says valid: %v", c.document("false"), list, k, valid)
					}
				}
			}
		}
		if c.Python != "" && !disagrees {
			t.Errorf("%s: Python agrees, although %s", c.document("false"), c.Python)
		}
		if len(c.Valid)+len(c.Unfit) > 0 {
			covered[c.Keyword] |= 1
		}
		if len(c.Invalid) > 0 {
			covered[c.Keyword] |= 2
		}
	}
	for _, keyword := range answer.Keywords {
		if keyword == "$vocabulary" { // of metaschemas alone
			continue
		}
		if covered[keyword] != 3 {
			t.Errorf("%s lacks values that it takes, or that it refuses", keyword)
		}
		delete(covered, keyword)
	}
	if len(covered) > 0 {
		t.Errorf("there are no such keywords: %v", slices.Collect(maps.Keys(covered)))
	}
	t.Logf("%d values of %d keywords", judged, len(answer.Keywords))
}

var quoted = regexp.MustCompile("`[$a-zA-Z]+`")

// docs/schemas.md names the keywords, and says which cost a walk through the general validator.
func TestKeywords_AreThoseOfTheDocument(t *testing.T) {
	page, err := os.ReadFile("../../../docs/schemas.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		for _, keyword := range quoted.FindAllString(cells[1], -1) {
			table[strings.Trim(keyword, "`")] = strings.TrimSpace(cells[2])
		}
	}
	scanned := map[string]bool{}
	for _, c := range readKeywordCases(t) {
		full := mustParse(t, c.document("false")).NeedsFull()
		how := table[c.Keyword]
		switch {
		case how == "":
			t.Errorf("docs/schemas.md does not name %s", c.Keyword)
		case strings.HasPrefix(how, "by the general validator") && !full:
			t.Errorf("%s is checked by the scan", c.document("false"))
		case strings.HasPrefix(how, "by the scan"):
			scanned[c.Keyword] = scanned[c.Keyword] || !full
		}
	}
	for keyword, scanned := range scanned {
		if !scanned {
			t.Errorf("%s is never checked by the scan", keyword)
		}
	}
}
