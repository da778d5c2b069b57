package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aws-streaming-pipeline/record"
)

// Codes of faults. Those of the format conversion are Firehose's (Amazon Data Firehose Developer Guide, "Data format
// conversion errors").
const (
	CodeMalformed = "DataFormatConversion.MalformedData" // JSON that columns cannot be made of: a name twice, too deep
	CodeParse     = "DataFormatConversion.ParseError"    // a value that its column cannot hold
	CodeTooLarge  = "DataFormatConversion.TooLarge"      // columns of many times the record's size
	CodeViolation = "Schema.Violation"                   // a rule of the schema
	// CodeTooExpensive is that of a record that takes the general validator many times the work of its size.
	CodeTooExpensive = "Schema.TooExpensive"
)

// Violation is the fault of a record that breaks a rule at a place, a JSON Pointer.
func Violation(pointer, rule string) *record.Fault {
	return &record.Fault{
		Type: record.ProcessingFailed, Code: CodeViolation,
		Message: fmt.Sprintf("the value at %q breaks the rule %s", pointer, rule),
	}
}

// Validate checks the whole document against a record, after coercion. It is for schemas where NeedsFull holds and for
// records that are JSON objects already; it takes tens of microseconds. A record on which the validator panics has the
// fault record.CodeRecordPanicked, and one that would take it many times the work of its size CodeTooExpensive.
func (s *Schema) Validate(data []byte) *record.Fault {
	if s.full == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var members map[string]any
	if err := d.Decode(&members); err != nil || members == nil {
		return &record.Fault{Type: record.FormatConversionFailed, Code: CodeMalformed, Message: "the record is not a JSON object"}
	}
	if s.Coerce {
		coerceMembers(s.Fields, members)
	}
	delete(members, EventIDColumn)
	if !record.NumbersBounded(members) { // after the coercion, which makes numbers of texts
		return record.NumberTooLarge()
	}
	v, err := s.full.validate(members, len(data))
	var panicked *record.Fault
	switch {
	case errors.As(err, &panicked):
		return panicked
	case errors.Is(err, errTooExpensive):
		return &record.Fault{
			Type: record.ProcessingFailed, Code: CodeTooExpensive,
			Message: "checking the record takes many times what records of its size take: the schema's references fan out with its depth, or its numbers have large exponents",
		}
	case err != nil:
		return Violation("", "of a valid instance")
	case v.valid:
		return nil
	case v.rule == "":
		return &record.Fault{Type: record.ProcessingFailed, Code: CodeViolation, Message: "the record breaks a rule of the schema, and to name it would take too long"}
	}
	return Violation(s.declaredPointer(v.location), v.rule)
}

// declaredPointer writes a place as far as the schema names it; what the record itself names becomes a star, as it is
// payload.
func (s *Schema) declaredPointer(tokens []string) string {
	var b strings.Builder
	fields, element := s.Fields, (*Field)(nil)
	for _, token := range tokens {
		var next *Field
		switch i := slices.IndexFunc(fields, func(f *Field) bool { return f.Name == token }); {
		case i >= 0:
			next = fields[i]
		case element != nil:
			next = element
			if _, err := strconv.Atoi(token); err != nil {
				token = "*"
			}
		default:
			token = "*"
		}
		b.WriteByte('/')
		b.WriteString(escapePointer.Replace(token))
		fields, element = nil, nil
		if next != nil {
			fields, element = next.Fields, next.Element
		}
	}
	return b.String()
}

// coerceMembers brings the members of a decoded object to the JSON types that their fields declare. What cannot be
// brought there stays as it is; the validator then refuses it.
func coerceMembers(fields []*Field, members map[string]any) {
	for _, f := range fields {
		v, ok := members[f.Name]
		if !ok {
			continue
		}
		v = coerceValue(f, v)
		if v == nil && !f.Nullable {
			delete(members, f.Name)
			continue
		}
		members[f.Name] = v
	}
}

func coerceValue(f *Field, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if f.Kind == Group {
			coerceMembers(f.Fields, v)
		}
		if f.Kind == Map {
			for key, value := range v {
				if v[key] = coerceValue(f.Element, value); v[key] == nil && !f.Element.Nullable {
					delete(v, key)
				}
			}
		}
		return stringify(f, v)
	case []any:
		if f.Kind == List {
			for i := range v {
				v[i] = coerceValue(f.Element, v[i])
			}
		}
		return stringify(f, v)
	case string:
		return coerceText(f, v)
	case nil:
		return nil
	}
	return stringify(f, v)
}

// nonFinite are numbers that stand for values which are none in JSON. The scan has held them to their bounds.
var nonFinite = map[string]json.Number{"NaN": "0", "Infinity": "1e400", "-Infinity": "-1e400"}

func coerceText(f *Field, text string) any {
	if slices.Contains(f.NullTexts, text) || text == "" && !f.Kind.Text() {
		return nil
	}
	if number, ok := nonFinite[text]; ok && f.NonFinite {
		return number
	}
	switch f.Type {
	case "integer", "number":
		if number, ok := parseNumberText(text); ok {
			return json.Number(number)
		}
	case "boolean":
		switch {
		case strings.EqualFold(text, "true"):
			return true
		case strings.EqualFold(text, "false"):
			return false
		}
	}
	return text
}

// stringify converts a value that is not a string to text if a string is declared.
func stringify(f *Field, v any) any {
	if f.Type != "string" {
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	return string(text)
}

// parseNumberText turns a number as CSV files write it, with a plus sign or leading zeros, into a JSON number.
func parseNumberText(text string) (string, bool) {
	sign := ""
	rest := text
	if strings.HasPrefix(rest, "-") {
		sign, rest = "-", rest[1:]
	} else {
		rest = strings.TrimPrefix(rest, "+")
	}
	if rest == "" || rest[0] < '0' || rest[0] > '9' {
		return "", false
	}
	for len(rest) > 1 && rest[0] == '0' && rest[1] >= '0' && rest[1] <= '9' {
		rest = rest[1:]
	}
	number := sign + rest
	return number, json.Valid([]byte(number))
}
