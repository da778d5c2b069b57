package schema

import (
	"math/big"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"aws-streaming-pipeline/record"
)

// A panic in the validator costs the record that caused it, not the worker.
func TestValidate_SurvivesARecordThatUpsetsTheValidator(t *testing.T) {
	upset := &jsonschema.Schema{
		DraftVersion: 2020, Properties: map[string]*jsonschema.Schema{"secret": {DraftVersion: 2020, MultipleOf: new(big.Rat)}},
	}
	s := &Schema{full: &general{effort: 1, free: []*checker{{schema: upset, not: upset}}}}
	fault := s.Validate([]byte(`{"secret":12345}`))
	if fault == nil || fault.Code != record.CodeRecordPanicked || !strings.Contains(fault.Message, "math/big") {
		t.Fatalf("fault %v: want %s with the place", fault, record.CodeRecordPanicked)
	}
	if strings.Contains(fault.Message, "12345") {
		t.Errorf("the message shows the payload: %s", fault.Message)
	}
}

// Arithmetic of arbitrary precision takes seconds and gigabytes for numbers of a few bytes.
func TestValidate_ComputesWithNoHugeNumbers(t *testing.T) {
	s, err := Parse("numbers", []byte(`{"properties":{"n":{"type":"number","multipleOf":0.5},"o":{"oneOf":[{"minimum":1},{"type":"string"}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for data, code := range map[string]string{
		`{"n":1e300}`:                                    "",
		`{"n":1e401}`:                                    record.CodeJSONNumberTooLarge,
		`{"n":"1e-1000001"}`:                             record.CodeJSONNumberTooLarge, // a number after coercion
		`{"o":1e-1000001}`:                               record.CodeJSONNumberTooLarge,
		`{"x":{"y":[1e999999]}}`:                         record.CodeJSONNumberTooLarge,
		`{"o":` + strings.Repeat("9", 400) + `}`:         "",
		`{"o":` + strings.Repeat("9", 1_000_000) + `}`:   record.CodeJSONNumberTooLarge,
		`{"o":0.` + strings.Repeat("0", 1_000_000) + `}`: record.CodeJSONNumberTooLarge,
	} {
		fault := s.Validate([]byte(data))
		if got := codeOf(fault); got != code {
			t.Errorf("%.40s: fault %v, want %q", data, fault, code)
		}
	}
}

func codeOf(f *record.Fault) string {
	if f == nil {
		return ""
	}
	return f.Code
}
