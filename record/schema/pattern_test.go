package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
)

const patternCases = "testdata/patterns.json"

// patternCase says which texts an expression matches, or why it is refused.
type patternCase struct {
	Pattern         string
	Matches, Others []string
	Refused         string
	Node            string // why node reads it without the flag u
}

func readPatternCases(t *testing.T) (cases []patternCase) {
	t.Helper()
	data, err := os.ReadFile(patternCases)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestPattern_MeansWhatItMeansInECMAScript(t *testing.T) {
	for _, c := range readPatternCases(t) {
		expression, err := compilePattern(c.Pattern)
		if c.Refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.Refused) {
				t.Errorf("%s: got %v, want an error with %q", c.Pattern, err, c.Refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Pattern, err)
			continue
		}
		for _, text := range c.Matches {
			if !expression.MatchString(text) {
				t.Errorf("%s does not match %q", c.Pattern, text)
			}
		}
		for _, text := range c.Others {
			if expression.MatchString(text) {
				t.Errorf("%s matches %q", c.Pattern, text)
			}
		}
	}
}

// The table above is ours; an engine of ECMA-262 itself agrees with it.
func TestPattern_TableIsThatOfNode(t *testing.T) {
	cmd := emulator.Node(t, "testdata/patterns.cjs", patternCases)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run node: %v\n%s", err, stderr.Bytes())
	}
	var answer []struct{ Matches, Others []bool }
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for i, c := range readPatternCases(t) {
		for k, matched := range answer[i].Matches {
			compared++
			if !matched {
				t.Errorf("%s does not match %q in node", c.Pattern, c.Matches[k])
			}
		}
		for k, matched := range answer[i].Others {
			compared++
			if matched {
				t.Errorf("%s matches %q in node", c.Pattern, c.Others[k])
			}
		}
	}
	t.Logf("%d texts", compared)
}

// A document with such patterns is refused as a whole, with the place of each, whether the scan or the general validator would
// have used it.
func TestParse_RefusesPatternsByPlaceAndName(t *testing.T) {
	for document, want := range map[string]string{
		`{"properties":{"a":{"type":"string","pattern":"(?=a)"}}}`:   `at "/properties/a/pattern": pattern "(?=a)": a look-ahead is not supported`,
		`{"properties":{"a":{"pattern":"(a)\\1"}}}`:                  `at "/properties/a/pattern": pattern "(a)\\1": a back reference is not supported`,
		`{"properties":{"a b/c":{"oneOf":[{"pattern":"(?<!a)b"}]}}}`: `at "/properties/a b~1c/oneOf/0/pattern": pattern "(?<!a)b": a look-behind is not supported`,
		`{"properties":{"a":{}},"patternProperties":{"\\A":{}}}`:     `at "": pattern "\\A": \A is not an escape`,
	} {
		_, err := Parse("t", []byte(document))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "at \"") != 1 {
			t.Errorf("%s: got %v, want %s once", document, err, want)
		}
	}
}
