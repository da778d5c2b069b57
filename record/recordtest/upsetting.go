// Package recordtest provides payloads for tests: some that once stopped a worker or kept one busy for seconds, and KPL
// aggregates.
package recordtest

import (
	"strings"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

// Schema has rules that only the general validator checks. It computes with numbers of any size.
const Schema = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"properties": {"n": {"type": "integer"}, "price": {"type": "number", "multipleOf": 0.01}},
	"required": ["n"]
}`

// Payload is a payload that is refused with Schema.
type Payload struct {
	Name string
	Data []byte
	// The codes of its error record: as a line of JSON, and as columns. A column refuses a number that it cannot hold
	// before anything computes with it.
	Line, Columns string
}

// Upsetting returns the payloads that used to cause trouble.
func Upsetting() []Payload {
	return []Payload{
		{"an exponent that math/big refuses", []byte(`{"n":1,"price":1e-1000001}`), record.CodeJSONNumberTooLarge, schema.CodeParse},
		{"a number of a million digits", []byte(`{"n":1,"price":` + strings.Repeat("7", 1_000_000) + `}`), record.CodeJSONNumberTooLarge, schema.CodeParse},
		{"a fraction of a million digits", []byte(`{"n":1,"price":0.` + strings.Repeat("7", 1_000_000) + `}`), record.CodeJSONNumberTooLarge, record.CodeJSONNumberTooLarge},
		{"many huge numbers", []byte(`{"n":1,"x":[1` + strings.Repeat(",1e999999", 100) + `]}`), record.CodeJSONNumberTooLarge, record.CodeJSONNumberTooLarge},
		{"arrays nested a hundred thousand deep", []byte(`{"n":1,"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`), record.CodeJSONTooDeep, record.CodeJSONTooDeep},
	}
}
