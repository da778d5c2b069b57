package table

import (
	"fmt"
	"regexp"
	"strconv"
)

// Type is a primitive type of the specification. Types are compared with ==.
type Type struct {
	Name string // such as long or decimal, without parameters

	Precision, Scale int // of a decimal
	Length           int // of a fixed
}

// The names of primitive types.
const (
	Boolean     = "boolean"
	Int         = "int"
	Long        = "long"
	Float       = "float"
	Double      = "double"
	Decimal     = "decimal"
	Date        = "date"        // days since 1970
	Time        = "time"        // microseconds since midnight
	Timestamp   = "timestamp"   // microseconds since 1970, without a time zone
	TimestampTZ = "timestamptz" // microseconds since 1970 UTC
	String      = "string"
	UUID        = "uuid"
	Fixed       = "fixed"
	Binary      = "binary"
)

var (
	plainTypes = map[string]bool{
		Boolean: true, Int: true, Long: true, Float: true, Double: true, Date: true, Time: true, Timestamp: true,
		TimestampTZ: true, String: true, UUID: true, Binary: true,
	}
	// Writers differ in the space (specification, appendix C).
	decimalType = regexp.MustCompile(`^decimal\( *([0-9]{1,2}) *, *([0-9]{1,2}) *\)$`)
	fixedType   = regexp.MustCompile(`^fixed\[ *([0-9]{1,9}) *\]$`)
)

// ParseType parses a primitive type as the specification writes it, such as long, decimal(9, 2) or fixed[16].
func ParseType(text string) (Type, error) {
	if plainTypes[text] {
		return Type{Name: text}, nil
	}
	if m := decimalType.FindStringSubmatch(text); m != nil {
		t := Type{Name: Decimal, Precision: number(m[1]), Scale: number(m[2])}
		if t.Precision < 1 || t.Precision > 38 || t.Scale > t.Precision {
			return Type{}, fmt.Errorf("type %q: want a precision of 1 to 38 and a scale of at most the precision", text)
		}
		return t, nil
	}
	if m := fixedType.FindStringSubmatch(text); m != nil && number(m[1]) > 0 {
		return Type{Name: Fixed, Length: number(m[1])}, nil
	}
	return Type{}, fmt.Errorf("type %q: want a primitive type of Iceberg's format version 2, such as long, timestamptz or decimal(9, 2)", text)
}

// number parses digits that a pattern has bounded.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		panic("table: not a number: " + digits)
	}
	return n
}

// String returns the type as the specification writes it.
func (t Type) String() string {
	switch t.Name {
	case Decimal:
		return fmt.Sprintf("decimal(%d, %d)", t.Precision, t.Scale)
	case Fixed:
		return fmt.Sprintf("fixed[%d]", t.Length)
	}
	return t.Name
}
