package registry

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
)

// unfit is the fault of data that their schema cannot have written.
func unfit(format string, args ...any) error {
	return faultOf(record.CodeRegistryPayloadUnfit, format, args...)
}

func faultOf(code, format string, args ...any) *record.Fault {
	return &record.Fault{Type: record.ProcessingFailed, Code: code, Message: fmt.Sprintf(format, args...)}
}

// checkSize returns an error if text exceeds its bound.
func checkSize(text []byte, limit int) error {
	if len(text) > limit {
		return faultOf(record.CodeRegistryTooLarge, "the data decode to more than the %d bytes of JSON left for this Kinesis record", limit)
	}
	return nil
}

// more makes room for the next value of a text that begins at base, if it is within its bound so far. The room doubles: the
// little by little of append would allocate several times as much in all.
func more(dst []byte, base, limit int) ([]byte, error) {
	if cap(dst)-len(dst) < 64 {
		dst = slices.Grow(dst, len(dst)+64)
	}
	return dst, checkSize(dst[base:], limit)
}

// checkDepth returns an error if an object or array is nested too deeply.
func checkDepth(depth int) error {
	if depth > jsonscan.MaxDepth {
		return faultOf(record.CodeJSONTooDeep, "the data are nested deeper than %d levels", jsonscan.MaxDepth)
	}
	return nil
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string (RFC 8259, section 7).
func appendString(dst, s []byte) ([]byte, error) {
	if !utf8.Valid(s) {
		return dst, faultOf(record.CodeJSONInvalidUTF8, "a string of %d bytes is not UTF-8", len(s))
	}
	dst = append(dst, '"')
	from := 0
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"'), nil
}

// quoted is a name of a schema as a JSON string.
func quoted(name string) []byte {
	text, err := appendString(nil, []byte(name))
	if err != nil {
		return appendBase64(nil, []byte(name)) // no parser lets such a name pass
	}
	return text
}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// appendFloat appends the shortest number that gives the same float of the given number of bits, in the manner of encoding/json.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits)
}

// Layouts of times, without the digits of the second.
const (
	dateLayout = "2006-01-02"
	timeLayout = "15:04:05"
)

// appendDate appends a time's date.
func appendDate(dst []byte, t time.Time) ([]byte, error) {
	if y := t.Year(); y < 0 || y > 9999 {
		return dst, unfit("a date is not of the years 0000 to 9999")
	}
	return t.AppendFormat(dst, dateLayout), nil
}

// appendTime appends the date and time of t in UTC, with so many digits of the second, as a string that ends with zone.
func appendTime(dst []byte, t time.Time, digits int, zone string) ([]byte, error) {
	t = t.UTC()
	dst, err := appendDate(append(dst, '"'), t)
	if err != nil {
		return dst, err
	}
	dst = t.AppendFormat(append(dst, 'T'), timeLayout)
	dst = appendFraction(dst, t.Nanosecond(), digits)
	dst = append(dst, zone...)
	return append(dst, '"'), nil
}

// appendFraction appends a point and so many digits of a fraction of a second.
func appendFraction(dst []byte, nanos, digits int) []byte {
	if digits == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := 100_000_000; digits > 0; unit /= 10 {
		dst = append(dst, byte('0'+nanos/unit%10))
		digits--
	}
	return dst
}

// appendClock appends a time of day.
func appendClock(dst []byte, sinceMidnight time.Duration, digits int) ([]byte, error) {
	if sinceMidnight < 0 || sinceMidnight >= 24*time.Hour {
		return dst, unfit("a time of day beyond 24 hours")
	}
	t := time.Unix(0, int64(sinceMidnight)).UTC()
	dst = t.AppendFormat(append(dst, '"'), timeLayout)
	dst = appendFraction(dst, t.Nanosecond(), digits)
	return append(dst, '"'), nil
}

// maxDecimalBytes hold a number of record.MaxNumberDigits: its cost grows with the square of its length.
const maxDecimalBytes = record.MaxNumberDigits * 10 / 25

// appendDecimal appends an unscaled number, big-endian and in two's complement, with its point in place.
func appendDecimal(dst, unscaled []byte, scale int) ([]byte, error) {
	if len(unscaled) > maxDecimalBytes {
		return dst, record.NumberTooLarge()
	}
	var digits []byte
	if len(unscaled) <= 8 {
		n := int64(0)
		if len(unscaled) > 0 && unscaled[0]&0x80 != 0 {
			n = -1
		}
		for _, b := range unscaled {
			n = n<<8 | int64(b)
		}
		digits = strconv.AppendInt(make([]byte, 0, 24), n, 10)
	} else {
		n := new(big.Int).SetBytes(unscaled)
		if unscaled[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
		}
		digits = n.Append(nil, 10)
	}
	if digits[0] == '-' {
		dst = append(dst, '-')
		digits = digits[1:]
	}
	whole := len(digits) - scale
	if whole <= 0 {
		dst = append(dst, '0')
	} else {
		dst = append(dst, digits[:whole]...)
		digits = digits[whole:]
	}
	if scale == 0 {
		return dst, nil
	}
	dst = append(dst, '.')
	for ; whole < 0; whole++ {
		dst = append(dst, '0')
	}
	return append(dst, digits...), nil
}

// appendUUID appends 16 bytes as a UUID (RFC 9562, section 4).
func appendUUID(dst, b []byte) []byte {
	dst = append(dst, '"')
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, '"')
}
