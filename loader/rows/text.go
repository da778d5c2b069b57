package rows

import (
	"math"
	"strconv"
	"time"
)

// AppendText appends the value as text: a string as it is, and anything else as AppendJSON does, without quotes. Null has none.
func (v *Value) AppendText(dst []byte) []byte {
	switch v.Kind {
	case Null:
		return dst
	case Bool:
		return strconv.AppendBool(dst, v.Int != 0)
	case Integer:
		return strconv.AppendInt(dst, v.Int, 10)
	case Double:
		return appendDouble(dst, v.Float)
	case Date:
		return appendDate(dst, time.Unix(v.Int*86400, 0).UTC())
	case Instant:
		return appendInstant(dst, v.Int)
	}
	return append(dst, v.Text...)
}

// AppendJSON appends the value as JSON text. Dates and times are strings as RFC 3339 has them, and so are the numbers that JSON does
// not have: NaN, Infinity and -Infinity, as x-non-finite of SCHEMA names them.
func (v *Value) AppendJSON(dst []byte) []byte {
	switch v.Kind {
	case Null:
		return append(dst, "null"...)
	case String:
		return appendQuoted(dst, v.Text)
	case Double:
		if math.IsNaN(v.Float) || math.IsInf(v.Float, 0) {
			break
		}
		return v.AppendText(dst)
	case Date, Instant:
	default:
		return v.AppendText(dst)
	}
	return append(v.AppendText(append(dst, '"')), '"')
}

// appendDouble appends the shortest number that the double is nearest to, as JSON has numbers.
func appendDouble(dst []byte, v float64) []byte {
	switch magnitude := math.Abs(v); {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	case magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21): // where JavaScript begins to write exponents, too
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// appendDate appends a date, whose year has four digits or more.
func appendDate(dst []byte, t time.Time) []byte { return t.AppendFormat(dst, time.DateOnly) }

// appendInstant appends a time in UTC, in microseconds as far as there are any.
func appendInstant(dst []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(dst, "2006-01-02T15:04:05.999999Z")
}

// appendQuoted appends text as a JSON string.
func appendQuoted(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	plain := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[plain:i]...)
		plain = i + 1
		if c < ' ' {
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, '\\', c)
		}
	}
	return append(append(dst, text[plain:]...), '"')
}
