package record

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Bounds of a number that reaches code which computes with it. Validators and query interpreters use arithmetic of
// arbitrary precision: its cost grows with the digits and with the exponent, and 10 bytes can ask for gigabytes. A
// double has at most 17 significant digits and an exponent of 308, SQL decimals have 76 digits at most.
const (
	MaxNumberDigits   = 400 // of the whole number, leading and trailing zeros included
	maxNumberExponent = 400 // in either direction
)

// NumbersBounded tells whether all numbers of a decoded JSON value keep to MaxNumberDigits and maxNumberExponent. The
// value is what encoding/json makes with UseNumber.
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

// numberBounded tells whether one JSON number keeps to the bounds.
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

// NumberTooLarge is the fault of a record with a number beyond the bounds of NumbersBounded.
func NumberTooLarge() *Fault {
	return fault(CodeJSONNumberTooLarge, "a number has more than "+strconv.Itoa(MaxNumberDigits)+
		" digits, or an exponent beyond "+strconv.Itoa(maxNumberExponent))
}
