package record

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Bounds on numbers that reach code which computes with them. Validators and query interpreters use arbitrary-precision
// arithmetic: its cost grows with the digits and the exponent, and 10 bytes can request gigabytes. A double has at most
// 17 significant digits and an exponent of 308; SQL decimals have at most 76 digits.
const (
	MaxNumberDigits   = 400 // of the whole number, including leading and trailing zeros
	maxNumberExponent = 400 // in either direction
)

// NumbersBounded reports whether all numbers in a JSON value are within MaxNumberDigits and maxNumberExponent. The value
// is one that encoding/json has decoded with UseNumber.
func NumbersBounded(v any) bool {
	switch v := v.(type) {
	case json.Number:
		return numberBounded(string(v))
	case []any:
		for _, element := range v {
			if !NumbersBounded(element) {
				return false
			}
		}
	case map[string]any:
		for _, member := range v {
			if !NumbersBounded(member) {
				return false
			}
		}
	}
	return true
}

// numberBounded reports whether one JSON number is within the bounds.
func numberBounded(text string) bool {
	if len(text) <= 3 {
		return true // not even 1e999
	}
	digits, exponent := text, ""
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		digits, exponent = text[:e], text[e+1:]
	}
	if len(digits) > MaxNumberDigits {
		return false
	}
	if exponent == "" {
		return true
	}
	n, err := strconv.Atoi(exponent)
	return err == nil && -maxNumberExponent <= n && n <= maxNumberExponent
}

// NumberTooLarge returns the Fault of a record with a number beyond the bounds of NumbersBounded.
func NumberTooLarge() *Fault {
	return fault(CodeJSONNumberTooLarge, "a number has more than "+strconv.Itoa(MaxNumberDigits)+
		" digits, or an exponent beyond "+strconv.Itoa(maxNumberExponent))
}
