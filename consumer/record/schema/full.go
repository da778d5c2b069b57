package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"aws-streaming-pipeline/consumer/record"
)

// Codes of faults. Those of the format conversion are Firehose's (Amazon Data Firehose Developer Guide, "Data format
// conversion errors").
const (
	CodeMalformed = "DataFormatConversion.MalformedData" // JSON that columns cannot be made of: a name twice, too deep
	CodeParse     = "DataFormatConversion.ParseError"    // a value that its column cannot hold
	CodeViolation = "Schema.Violation"                   // a rule of the schema
)

// Violation is the fault of a record that breaks a rule at a place, a JSON Pointer.
func Violation(pointer, rule string) *record.Fault {
	return &record.Fault{
		Type: record.ProcessingFailed, Code: CodeViolation,
		Message: fmt.Sprintf("the value at %q breaks the rule %s", pointer, rule),
	}
}

const documentURL = "record:schema"

// compileFull compiles the document for the general validator. A schema is self-contained: nothing is loaded.
func compileFull(document []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	compiler.UseRegexpEngine(func(expression string) (jsonschema.Regexp, error) { return compilePattern(expression) })
	for _, name := range annotatedFormats {
		compiler.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(any) error { return nil }})
	}
	if err := compiler.AddResource(documentURL, doc); err != nil {
		return nil, err
	}
	return compiler.Compile(documentURL)
}

// annotatedFormats are the formats that the validator would check in documents of the drafts before 2019-09. Whatever the draft,
// only those of columns are checked.
var annotatedFormats = []string{
	"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "iri", "iri-reference", "json-pointer", "period",
	"relative-json-pointer", "semver", "time", "uri", "uri-reference", "uri-template", "uuid",
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to %q: a schema may only refer to itself", url)
}

// Validate checks the whole document against a record, after coercion. It is for schemas where NeedsFull holds and for
// records that are JSON objects already; it takes tens of microseconds. A record on which the validator panics has the
// fault record.CodeRecordPanicked.
func (s *Schema) Validate(data []byte) (fault *record.Fault) {
	if s.full == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			fault = record.Panicked(v)
		}
	}()
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
	err := s.full.Validate(members)
	if err == nil {
		return nil
	}
	var violation *jsonschema.ValidationError
	if !errors.As(err, &violation) {
		return Violation("", "of a valid instance")
	}
	for len(violation.Causes) > 0 {
		violation = violation.Causes[0]
	}
	rule := strings.Join(violation.ErrorKind.KeywordPath(), "/")
	if rule == "" {
		rule = "false schema"
	}
	return Violation(s.declaredPointer(violation.InstanceLocation), rule)
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

func coerceText(f *Field, text string) any {
	if slices.Contains(f.NullTexts, text) || text == "" && !f.Kind.Text() {
		return nil
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

// stringify gives a value that is no string its text where a string is declared.
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
