// Package schema says what the records of a stream look like: which members they have, of which types, and which rules
// hold for them.
//
// One JSON Schema document (draft 2020-12) is the source of everything that depends on it: the validation of records,
// the columns of Parquet files, the coercions between a record's text and a column, and the Athena table. Parse reads
// such a document, Infer proposes one from samples, DDL prints the table. Package shred applies a Schema to records.
//
// # Columns
//
// The top-level properties are the columns, in the document's order. Types come from `type` and `format`:
//
//	string                          string
//	string, format date             date
//	string, format date-time        timestamp-micros
//	integer                         int64
//	number                          double
//	boolean                         boolean
//	object with properties          a group of columns
//	object with typed
//	additionalProperties only       map of string to that type
//	array with items                list
//	anything else                   json: the value's JSON text in a string column
//
// Where that is not what is wanted, a property says so with the extension keywords
//
//	"x-parquet":         "int32", "int64", "float", "double", "boolean", "string", "decimal(p,s)", "date",
//	                     "timestamp-millis", "timestamp-micros", "json" or "map"
//	"x-timestamp-unit":  "s", "ms" or "us": numbers in a timestamp column count these since 1970
//	"x-null-values":     texts that mean null, as ["NA"]
//	"x-non-finite":      true if the texts "NaN", "Infinity" and "-Infinity" are values of a float or double column
//
// and the document's root with
//
//	"x-coerce": false    values must have their declared JSON type
//	"x-extra":  false    members that are not declared are dropped, instead of kept in the column _extra
//
// # Coercion
//
// Records that were CSV once carry all their values as strings. Unless it is switched off, a value becomes what its
// column holds as Athena's OpenX JSON SerDe does it: "42" and "42.0" are the number 42, "true" in any case is a
// boolean, a number or a boolean in a string column is its own text, an object or array there its JSON text. The empty
// string in a column that is not a string is null, and so are the x-null-values. A null counts as an absent member
// unless `type` lists null; so it satisfies every rule but `required`. In an array, where nothing can be absent, `type`
// must list it.
//
// A date-time may then also be written as Hive and SQL write it, with a space for the T or without a zone.
//
// Integers may be written with a fraction or an exponent (1.0, 1e3) where the value is whole, as JSON Schema has it.
//
// # Rules
//
// type, properties, required, additionalProperties (true or false), items, enum (of strings), minimum, maximum,
// exclusiveMinimum, exclusiveMaximum, minLength, maxLength, pattern, minItems, maxItems and the formats date and
// date-time are checked while a record is taken apart, at next to no cost. All other vocabulary (oneOf, if, $ref,
// multipleOf, ...) is checked by a general validator over the record after coercion, which costs some 20 µs a record;
// Schema.NeedsFull tells. Other formats are annotations, as the specification has it. Numbers are compared exactly, and
// patterns are those of ECMA-262. docs/schemas.md has the list of all keywords.
package schema

import (
	"fmt"
	"math"
	"regexp"
	"strings"
)

const (
	// EventIDColumn is the column of the pipeline's own id of a record. It is the last one.
	EventIDColumn = "event_id"
	// ExtraColumn is the column that keeps, as one JSON object, what has no column of its own. A member below the top
	// level stands there under its JSON Pointer (RFC 6901).
	ExtraColumn = "_extra"
	// maxDepth is the number of levels that columns may be nested. It keeps Parquet's levels within a byte.
	maxDepth = 32
)

// Kind is the type of a column or of a part of one.
type Kind uint8

const (
	JSON Kind = iota // the value's JSON text, whatever it is
	String
	Int32
	Int64
	Float
	Double
	Boolean
	Decimal         // Precision digits, Scale of them behind the point
	Date            // days since 1970-01-01
	TimestampMillis // milliseconds since 1970-01-01 UTC
	TimestampMicros // microseconds since 1970-01-01 UTC
	Group
	List
	Map // of string to Element
)

var kindNames = [...]string{
	JSON: "json", String: "string", Int32: "int32", Int64: "int64", Float: "float", Double: "double", Boolean: "boolean",
	Decimal: "decimal", Date: "date", TimestampMillis: "timestamp-millis", TimestampMicros: "timestamp-micros",
	Group: "group", List: "list", Map: "map",
}

// String returns the name that x-parquet knows the kind by.
func (k Kind) String() string { return kindNames[k] }

// Scalar tells that a value of this kind fills exactly one column.
func (k Kind) Scalar() bool { return k < Group }

// time tells that values of this kind are dates or times.
func (k Kind) time() bool { return k == Date || k == TimestampMillis || k == TimestampMicros }

// Text tells that values of this kind are kept as text.
func (k Kind) Text() bool { return k == String || k == JSON }

// Schema is a compiled JSON Schema. It does not change after Parse and is safe for concurrent use.
type Schema struct {
	// Name is the document's title, or the name it was parsed under.
	Name string
	// Fields are the columns in declared order, without event_id and _extra.
	Fields []*Field
	// Closed refuses members that are not declared.
	Closed bool
	// Extra keeps members that are not declared in the column _extra; otherwise they are dropped.
	Extra bool
	// Coerce turns values into their column's type where that loses nothing.
	Coerce bool
	// Lenient keeps a value that does not fit its column in _extra and leaves the column null, instead of refusing the
	// record. It is how inferred schemas work: no record is ever refused for its shape.
	Lenient bool

	full *general
}

// NeedsFull tells that the document has rules beyond those of the fast path, so that Validate must see every record.
func (s *Schema) NeedsFull() bool { return s.full != nil }

// Plain returns the schema as it is for formats that have no columns: values have the types and formats of JSON Schema,
// whatever x-parquet makes of them in a column, and nothing is kept in _extra.
func (s *Schema) Plain() *Schema {
	plain := *s
	plain.Extra = false
	plain.Fields = plainFields(s.Fields)
	return &plain
}

func plainFields(fields []*Field) []*Field {
	plain := make([]*Field, len(fields))
	for i, f := range fields {
		plain[i] = f.asPlain()
	}
	return plain
}

func (f *Field) asPlain() *Field {
	plain := *f
	plain.Kind, plain.Unit = f.plain, NoUnit
	plain.Fields = plainFields(f.Fields)
	if f.Element != nil {
		plain.Element = f.Element.asPlain()
	}
	return &plain
}

// Unit is what a number in a timestamp column counts.
type Unit uint8

const (
	NoUnit Unit = iota // numbers are refused
	Seconds
	Millis
	Micros
)

var unitNames = [...]string{Seconds: "s", Millis: "ms", Micros: "us"}

// Field is a declared property, the element of a list, or the value of a map.
type Field struct {
	Name        string
	Description string
	// Type is the one JSON type that type lists besides null, empty if there is none or more than one.
	Type             string
	Kind             Kind
	plain            Kind // Kind where there are no columns
	Precision, Scale int  // of Decimal
	Unit             Unit
	Required         bool
	// Nullable tells that type lists null, or is not there. Other fields take a null for an absent member, if coercion
	// is on.
	Nullable  bool
	NullTexts []string
	NonFinite bool   // of Float and Double: texts stand for NaN and infinities
	Rules     *Rules // nil for none

	Fields  []*Field // of Group
	Closed  bool     // of Group: refuses undeclared members
	Element *Field   // of List and Map
}

// Rules are the constraints of a Field that the fast path checks. newRules returns one that allows everything.
type Rules struct {
	Enum                 map[string]struct{} // nil for any
	EnumNull             bool                // Enum has null, too
	IntMin, IntMax       int64               // what Min and Max leave of the integers of 64 bits, inclusive
	MinLength, MaxLength int                 // in code points
	Pattern              *regexp.Regexp
	MinItems, MaxItems   int
	Min, Max             Bound
}

// Bound is the least or the greatest number that is allowed.
type Bound struct {
	Literal   string  // as the document has it; empty for no bound
	Nearest   float64 // the double next to it, which may be an infinity
	Exclusive bool    // the bound itself is refused
}

// newRules returns rules that allow everything.
func newRules() *Rules {
	return &Rules{
		Min: Bound{Nearest: math.Inf(-1)}, Max: Bound{Nearest: math.Inf(1)},
		IntMin: math.MinInt64, IntMax: math.MaxInt64,
		MaxLength: math.MaxInt, MaxItems: math.MaxInt,
	}
}

// Problem is one fault of a schema document.
type Problem struct {
	Pointer string // JSON Pointer into the document, "" for its root
	Reason  string
}

// Problems are all faults of a schema document. It is the error of Parse.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, 0, len(p))
	for _, problem := range p {
		lines = append(lines, fmt.Sprintf("at %q: %s", problem.Pointer, problem.Reason))
	}
	return strings.Join(lines, "; ")
}
