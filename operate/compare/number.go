package compare

import (
	"bytes"
	"strconv"
	"time"
)

// doubleDigits is the number of decimal digits that every double returns (DBL_DIG of IEEE 754's binary64).
const doubleDigits = 15

// appendNumber appends the canonical form of a valid JSON number by its value: its digits without zeros at either end, and
// an exponent unless that is zero. Numbers of the same value have the same form, whatever their size.
//
// A fraction of more digits than a double has is taken for the double nearest to it, as a column holds it: otherwise
// 0.10000000000000001, which C prints for 0.1, would differ from the column's 0.1. Integers are exact.
func appendNumber(dst, number []byte) []byte {
	var room [40]byte // most numbers fit
	d, ok := parseDecimal(number, room[:0])
	if !ok {
		return append(dst, number...)
	}
	if len(d.digits) > doubleDigits && d.exponent < 0 {
		if f, err := strconv.ParseFloat(string(number), 64); err == nil {
			d, _ = parseDecimal(strconv.AppendFloat(nil, f, 'e', -1, 64), room[:0])
		}
	}
	if d.negative && len(d.digits) > 0 {
		dst = append(dst, '-')
	}
	if len(d.digits) == 0 {
		return append(dst, '0')
	}
	dst = append(dst, d.digits...)
	if d.exponent != 0 {
		dst = strconv.AppendInt(append(dst, 'e'), d.exponent, 10)
	}
	return dst
}

// decimal is digits times ten to the power of exponent. Zero has no digits.
type decimal struct {
	negative bool
	digits   []byte // neither the first nor the last is zero
	exponent int64
}

// parseDecimal parses a JSON number, with room for its digits. It returns false for an exponent beyond 10¹⁷.
func parseDecimal(number, room []byte) (d decimal, ok bool) {
	number, d.negative = bytes.CutPrefix(number, []byte("-"))
	if i := bytes.IndexAny(number, "eE"); i >= 0 {
		e, err := strconv.ParseInt(string(number[i+1:]), 10, 64)
		if err != nil || e > 1e17 || e < -1e17 {
			return d, false
		}
		d.exponent, number = e, number[:i]
	}
	whole, fraction, _ := bytes.Cut(number, []byte("."))
	d.exponent -= int64(len(fraction))
	d.digits = append(append(room, whole...), fraction...)
	all := len(d.digits)
	d.digits = bytes.TrimRight(d.digits, "0")
	d.exponent += int64(all - len(d.digits))
	d.digits = bytes.TrimLeft(d.digits, "0")
	return d, true
}

// instantForm is RFC 3339 in UTC, with as many digits of the second as there are.
const instantForm = "2006-01-02T15:04:05.999999999Z"

// appendInstant appends the canonical form of a time with a date (RFC 3339, with a space instead of the T, or without a zone,
// which is UTC, as the daemon reads it) as a string. It returns false for any other text.
func appendInstant(dst, text []byte) ([]byte, bool) {
	const shape = "2006-01-02T15:04:05"
	if len(text) < len(shape) || len(text) > len(shape)+20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' && text[10] != ' ' {
		return dst, false
	}
	layout := []byte(shape)
	layout[10] = text[10]
	zone := ""
	if last := text[len(text)-1]; last == 'Z' || len(text) > len(shape) && (text[len(text)-6] == '+' || text[len(text)-6] == '-') {
		zone = "Z07:00"
	}
	t, err := time.Parse(string(layout)+zone, string(text))
	if err != nil {
		return dst, false
	}
	return t.UTC().AppendFormat(dst, `"`+instantForm+`"`), true
}
