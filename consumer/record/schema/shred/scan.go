package shred

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"aws-streaming-pipeline/consumer/record/jsonscan"
)

// maxDepth bounds the nesting of a record, so that a hostile one cannot exhaust the stack.
const maxDepth = jsonscan.MaxDepth

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// text describes the inside of a JSON string as it stands in the record.
type text struct {
	end     int  // index of the closing quote, -1 if the string is malformed
	escaped bool // has escapes to undo
}

// special marks, in the highest bit of its byte, the first quote, backslash or control character among eight bytes, and
// is 0 if there is none. Above the first mark there may be false ones, from borrows.
func special(w uint64) uint64 {
	quote := w ^ '"'*ones
	slash := w ^ '\\'*ones
	return ((quote - ones) | (slash - ones) | (w - ' '*ones)) & ^w & highs
}

// scanString reads the string whose first byte after the quote is b[i]. It checks escapes, control characters and
// UTF-8 as RFC 8259 has them.
func scanString(b []byte, i int) text {
	start := i
	var high uint64
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		hit := special(w)
		if hit == 0 {
			high |= w
			i += 8
			continue
		}
		n := bits.TrailingZeros64(hit)
		high |= w & (1<<n - 1)
		i += n >> 3
		if b[i] == '"' && high&highs == 0 {
			return text{end: i}
		}
		return finishString(b, start, i)
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	if i == len(b) {
		return text{end: -1}
	}
	return finishString(b, start, i)
}

// finishString checks a string up to its first quote, backslash or control character at b[i], and reads on from there.
func finishString(b []byte, start, i int) text {
	switch {
	case b[i] != '"':
		return scanEscaped(b, start, i)
	case !utf8.Valid(b[start:i]):
		return text{end: -1}
	}
	return text{end: i}
}

// scanEscaped reads on from the first backslash or control character.
func scanEscaped(b []byte, start, i int) text {
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			if !utf8.Valid(b[start:i]) {
				return text{end: -1}
			}
			return text{end: i, escaped: true}
		case c < ' ':
			return text{end: -1}
		case c != '\\':
			i++
			continue
		}
		n := escapeLength(b[i:])
		if n == 0 {
			return text{end: -1}
		}
		i += n
	}
	return text{end: -1}
}

// escapeLength is the length of the escape at b[0], 0 if there is no such escape.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnescaped appends the text of a scanned string. A surrogate without its partner becomes U+FFFD, as in
// encoding/json: UTF-8 cannot say it.
func appendUnescaped(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		c := b[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		i += 2
		switch c := b[i-1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			var r rune
			r, i = unescapeRune(b, i)
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// hasLoneSurrogate tells that appendUnescaped would not give the text of a scanned string, but U+FFFD.
func hasLoneSurrogate(b []byte) bool {
	for i := 0; i < len(b); {
		switch {
		case b[i] != '\\':
			i++
		case b[i+1] != 'u':
			i += 2
		default:
			spelled, _ := hex4(b[i+2:])
			var r rune
			if r, i = unescapeRune(b, i+2); r == utf8.RuneError && spelled != utf8.RuneError {
				return true
			}
		}
	}
	return false
}

// unescapeRune reads the four digits at b[i], and the second half of a surrogate pair where there is one.
func unescapeRune(b []byte, i int) (rune, int) {
	const highSurrogate, lowSurrogate, afterSurrogates = 0xD800, 0xDC00, 0xE000
	r, _ := hex4(b[i:])
	i += 4
	if r < highSurrogate || r >= afterSurrogates {
		return r, i
	}
	if r < lowSurrogate && i+6 <= len(b) && b[i] == '\\' && b[i+1] == 'u' {
		if low, ok := hex4(b[i+2:]); ok && low >= lowSurrogate && low < afterSurrogates {
			return (r-highSurrogate)<<10 | (low - lowSurrogate) + 0x10000, i + 6
		}
	}
	return utf8.RuneError, i
}

// skipSpace returns the index of the next byte that is no white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// scanNumber returns the end of the JSON number at b[i], -1 if there is none.
func scanNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b) || !digit(b[i]):
		return -1
	case b[i] == '0':
		i++
	default:
		i = scanDigits(b, i)
	}
	if i < len(b) && b[i] == '.' {
		if i = scanDigits(b, i+1); !digit(b[i-1]) {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i = scanDigits(b, i); !digit(b[i-1]) {
			return -1
		}
	}
	return i
}

func scanDigits(b []byte, i int) int {
	for i < len(b) && digit(b[i]) {
		i++
	}
	return i
}

func digit(c byte) bool { return c-'0' <= 9 }

// scanLiteral returns the end of the literal at b[i], -1 if it is not there.
func scanLiteral(b []byte, i int, literal string) int {
	if len(b)-i < len(literal) || string(b[i:i+len(literal)]) != literal {
		return -1
	}
	return i + len(literal)
}

// skipValue checks the value at b[i] and returns its end, -1 if it is malformed or nested too deeply.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		t := scanString(b, i+1)
		if t.end < 0 {
			return -1
		}
		return t.end + 1
	case '{':
		return skipObject(b, i+1, depth+1)
	case '[':
		return skipArray(b, i+1, depth+1)
	case 't':
		return scanLiteral(b, i, "true")
	case 'f':
		return scanLiteral(b, i, "false")
	case 'n':
		return scanLiteral(b, i, "null")
	}
	return scanNumber(b, i)
}

func skipObject(b []byte, i, depth int) int {
	if depth > maxDepth {
		return -1
	}
	i = skipSpace(b, i)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return -1
		}
		key := scanString(b, i+1)
		if key.end < 0 {
			return -1
		}
		i = skipSpace(b, key.end+1)
		if i >= len(b) || b[i] != ':' {
			return -1
		}
		if i = skipValue(b, skipSpace(b, i+1), depth); i < 0 {
			return -1
		}
		more, next := separator(b, i, '}')
		if !more {
			return next
		}
		i = next
	}
}

func skipArray(b []byte, i, depth int) int {
	if depth > maxDepth {
		return -1
	}
	i = skipSpace(b, i)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = skipValue(b, i, depth); i < 0 {
			return -1
		}
		more, next := separator(b, i, ']')
		if !more {
			return next
		}
		i = next
	}
}

// separator reads what follows a member or an element: a comma, with the start of the next one, or the closing byte,
// with the index behind it. It returns -1 if it is neither.
func separator(b []byte, i int, closing byte) (more bool, next int) {
	if i < len(b) && b[i] <= ' ' {
		i = skipSpace(b, i)
	}
	if i >= len(b) {
		return false, -1
	}
	switch b[i] {
	case ',':
		i++
		if i < len(b) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
		return true, i
	case closing:
		return false, i + 1
	}
	return false, -1
}

// appendQuoted appends s, which is valid UTF-8, as a JSON string.
func appendQuoted(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
