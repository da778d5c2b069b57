package schema

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// appendCanonical appends a text that two decoded JSON values share if they are equal as JSON Schema has it (draft
// 2020-12, core, section 4.2.2), and only then: numbers by their value, objects whatever the order of their members. The
// exponents of numbers are bounded (record.NumbersBounded).
func appendCanonical(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, 'n')
	case bool:
		return strconv.AppendBool(dst, v)
	case json.Number:
		return appendCanonicalNumber(dst, string(v))
	case string:
		return appendCounted(dst, '"', v)
	case []any:
		dst = binary.AppendUvarint(append(dst, '['), uint64(len(v)))
		for _, element := range v {
			dst = appendCanonical(dst, element)
		}
	case map[string]any:
		dst = binary.AppendUvarint(append(dst, '{'), uint64(len(v)))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			dst = appendCanonical(appendCounted(dst, '"', name), v[name])
		}
	}
	return dst
}

func appendCounted(dst []byte, kind byte, text string) []byte {
	dst = binary.AppendUvarint(append(dst, kind), uint64(len(text)))
	return append(dst, text...)
}

// appendCanonicalNumber writes a JSON number as its digits without zeros before or behind them, and a power of ten.
func appendCanonicalNumber(dst []byte, number string) []byte {
	number, negative := strings.CutPrefix(number, "-")
	exponent := 0
	if e := strings.IndexAny(number, "eE"); e >= 0 {
		exponent, _ = strconv.Atoi(number[e+1:]) // within its bounds
		number = number[:e]
	}
	whole, fraction, _ := strings.Cut(number, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	exponent += len(digits) - len(strings.TrimRight(digits, "0"))
	digits = strings.TrimRight(digits, "0")
	if digits == "" {
		return append(dst, '0', ';')
	}
	if negative {
		dst = append(dst, '-')
	}
	dst = append(append(dst, digits...), 'e')
	return append(strconv.AppendInt(dst, int64(exponent), 10), ';')
}
