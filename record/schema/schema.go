// Package schema describes the records of a stream: which members they have, of which types, and which rules apply.
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
// A property can change that with the extension keywords
//
//	"x-parquet":         "int32", "int64", "float", "double", "boolean", "string", "decimal(p,s)", "date",
//	                     "timestamp-millis", "timestamp-micros", "json" or "map"
//	"x-timestamp-unit":  "s", "ms" or "us": numbers in a timestamp column count these since 1970
//	"x-null-values":     texts that mean null, such as ["NA"]
//	"x-non-finite":      true if the texts "NaN", "Infinity" and "-Infinity" are values of a float or double column
//
// and the document's root with
//
//	"x-coerce": false    values must have their declared JSON type
//	"x-extra":  false    members that are not declared are dropped, instead of kept in the column _extra
//	"x-ignore-case": true
//	                     a member may have the name of a property in another case, as Hive and Athena compare names; only
//	                     with rules that are checked during the scan
//
// # Coercion
//
// Records converted from CSV have only strings as values. Unless coercion is off, a value is converted to the type of its
// column as in Athena's OpenX JSON SerDe: "42" and "42.0" become the number 42, "true" in any case becomes a boolean, and in
// a string column, a number or boolean becomes its text, and an object or array its JSON text. In a column that is not a
// string, the empty string is null, and so are the x-null-values. A null counts as an absent member unless `type` lists
// null, so it satisfies every rule but `required`. In an array, where nothing can be absent, `type` must list it.
//
// With coercion, a date-time may also have the form of Hive and SQL, with a space instead of the T, or without a zone.
//
// Integers may be written with a fraction or an exponent (1.0, 1e3) where the value is whole, as JSON Schema has it.
//
// # Rules
//
// type, properties, required, additionalProperties (true or false), items, enum (of strings), minimum, maximum,
// exclusiveMinimum, exclusiveMaximum, minLength, maxLength, pattern, minItems, maxItems and the formats date and
// date-time are checked while a record is shredded, at almost no cost. All other keywords (oneOf, if, $ref, multipleOf,
// ...) are checked by a general validator on the record after coercion, which takes some 20 µs per record;
// Schema.NeedsFull reports whether it is needed. Other formats are annotations, as in the specification. Numbers are
// compared exactly, and patterns are those of ECMA-262. docs/schemas.md lists all keywords.
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
	// ExtraColumn is the column that keeps all members without a column, as one JSON object. A member below the top level
	// is stored under its JSON Pointer (RFC 6901).
	ExtraColumn = "_extra"
	// ArrivedAtColumn is the column of the time at which Kinesis received the record. Only files for tables have it; see
	// Schema.WithArrival.
	ArrivedAtColumn = "_arrived_at"
	// JSONColumnsKey is the key in the metadata of a Parquet file under which a JSON array has the numbers of the leaf columns that
	// hold JSON text: their type is the one of other text. Files have it only with _arrived_at.
	JSONColumnsKey = "aws-streaming-pipeline.json"
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

// String returns the kind's name in x-parquet.
func (k Kind) String() string { return kindNames[k] }

// Scalar reports whether a value of this kind fills exactly one column.
func (k Kind) Scalar() bool { return k < Group }

// time reports whether values of this kind are dates or times.
func (k Kind) time() bool { return k == Date || k == TimestampMillis || k == TimestampMicros }

// Text reports whether values of this kind are stored as text.
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
	// IgnoreCase fills a field from a member whose name differs in case only. A second such member is a duplicate.
	IgnoreCase bool
	// Lenient keeps a value that does not fit its column in _extra and leaves the column null, instead of refusing the
	// record. It is how inferred schemas work: no record is ever refused for its shape.
	Lenient bool
	// Arrival adds the column _arrived_at, or the member of that name; see WithArrival.
	Arrival bool
	// Own is set if the columns are those of a table; see table.NewView.
	Own *Own

	full *general
}

// Own are the ids of the pipeline's own columns in a table. 0 means that the table does not have the column, and so that
// files have none.
type Own struct{ EventID, ArrivedAt, Extra int }

// NeedsFull reports whether the document has rules beyond those of the fast path, so that every record must go through
// Validate.
func (s *Schema) NeedsFull() bool { return s.full != nil }

// Plain returns the schema for formats without columns: values have the types and formats of JSON Schema, whatever
// x-parquet says, and nothing is kept in _extra.
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

// WithArrival returns the schema for files that have the column or member _arrived_at. It fails if records have a property of
// that name, in any case: engines do not tell such columns apart.
func (s *Schema) WithArrival() (*Schema, error) {
	for _, f := range s.Fields {
		if strings.EqualFold(f.Name, ArrivedAtColumn) {
			return nil, fmt.Errorf("SCHEMA has the property %s: want another name, because the pipeline fills the column of that name", f.Name)
		}
	}
	with := *s
	with.Arrival = true
	return &with, nil
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
	// Nullable is set if type lists null or is missing. In other fields, a null counts as an absent member if coercion is
	// on.
	Nullable  bool
	NullTexts []string
	NonFinite bool   // of Float and Double: texts stand for NaN and infinities
	Rules     *Rules // nil for none

	Fields  []*Field // of Group
	Closed  bool     // of Group: refuses undeclared members
	Element *Field   // of List and Map

	// The following are set for columns of a table.

	ID     int    // of the column; 0 without a table
	KeyID  int    // of Map: the id of its keys
	Place  Place  // where the values go
	Local  bool   // of timestamps: the column has no time zone
	Narrow *Field // what the member is declared as, if the column is wider; nil if it is not
}

// Place is where the values of a field go. Wherever they go, they are held to the same rules.
type Place uint8

const (
	InColumn Place = iota
	InExtra        // the table has no column for them
	Misfit         // to _extra, because the table's column is of another type
)

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
