package record

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may be nested, the outermost object counted. RFC 8259, section 9, allows a
// bound; readers of our files have lower ones than this.
const MaxDepth = 1000

// problem is what the scanner found wrong. The scan functions return it with the offset where it was found: that of the
// offending byte, or the length of the input if that ended too early.
type problem uint8

const (
	fine problem = iota
	malformed
	truncated
	invalidUTF8
	tooDeep
)

// at makes the Fault of a problem. It names the place, and nothing of what stands there.
func (p problem) at(offset int) *Fault {
	switch p {
	case truncated:
		return fault(CodeJSONTruncated, fmt.Sprintf("the payload ends at byte %d, within a JSON value", offset))
	case invalidUTF8:
		return fault(CodeJSONInvalidUTF8, fmt.Sprintf("invalid UTF-8 in a string at byte %d", offset))
	case tooDeep:
		return fault(CodeJSONTooDeep, fmt.Sprintf("nested deeper than %d levels at byte %d", MaxDepth, offset))
	default:
		return fault(CodeJSONMalformed, fmt.Sprintf("invalid JSON at byte %d", offset))
	}
}

// here tells malformed from truncated: what is missing at i is missing because the input ends, or because something
// else stands there.
func here(b []byte, i int) (int, problem) {
	if i >= len(b) {
		return len(b), truncated
	}
	return i, malformed
}

// skipSpace returns the offset of the first byte at or after i that is not JSON white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue checks the JSON value that starts at i, without white space before it, and returns the offset behind it.
// depth is the number of objects and arrays around it.
func skipValue(b []byte, i, depth int) (int, problem) {
	if i >= len(b) {
		return len(b), truncated
	}
	switch c := b[i]; {
	case c == '"':
		return skipString(b, i+1)
	case c == '-' || c-'0' <= 9:
		return skipNumber(b, i)
	case c == '{':
		return skipObject(b, i, depth+1)
	case c == '[':
		return skipArray(b, i, depth+1)
	case c == 't':
		if len(b)-i >= 4 && string(b[i:i+4]) == "true" {
			return i + 4, fine
		}
		return brokenLiteral(b, i, "true")
	case c == 'f':
		if len(b)-i >= 5 && string(b[i:i+5]) == "false" {
			return i + 5, fine
		}
		return brokenLiteral(b, i, "false")
	case c == 'n':
		if len(b)-i >= 4 && string(b[i:i+4]) == "null" {
			return i + 4, fine
		}
		return brokenLiteral(b, i, "null")
	}
	return i, malformed
}

// skipObject checks the object whose brace stands at i.
func skipObject(b []byte, i, depth int) (int, problem) {
	if depth > MaxDepth {
		return i, tooDeep
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, fine
	}
	for {
		_, value, p := skipKey(b, i)
		if p != fine {
			return value, p
		}
		if i, p = skipValue(b, value, depth); p != fine {
			return i, p
		}
		i = skipSpace(b, i)
		if i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
			continue
		}
		if i < len(b) && b[i] == '}' {
			return i + 1, fine
		}
		return here(b, i)
	}
}

// skipArray checks the array whose bracket stands at i.
func skipArray(b []byte, i, depth int) (int, problem) {
	if depth > MaxDepth {
		return i, tooDeep
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1, fine
	}
	for {
		var p problem
		if i, p = skipValue(b, i, depth); p != fine {
			return i, p
		}
		i = skipSpace(b, i)
		if i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
			continue
		}
		if i < len(b) && b[i] == ']' {
			return i + 1, fine
		}
		return here(b, i)
	}
}

// skipKey checks a member's name, which starts at i, and the colon. It returns the offset behind the name's closing
// quote and the offset of the value; the latter is the offset of the problem if there is one.
func skipKey(b []byte, i int) (end, value int, p problem) {
	if i >= len(b) || b[i] != '"' {
		value, p = here(b, i)
		return 0, value, p
	}
	end, p = skipString(b, i+1)
	if p != fine {
		return 0, end, p
	}
	i = end
	if i >= len(b) || b[i] != ':' {
		i = skipSpace(b, i)
		if i >= len(b) || b[i] != ':' {
			value, p = here(b, i)
			return 0, value, p
		}
	}
	return end, skipSpace(b, i+1), fine
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// special marks the bytes of a word that end a plain run within a string: the quote, the backslash, control characters
// and whatever is not ASCII. The lowest mark is exact; a borrow may set wrong ones above it.
func special(word uint64) uint64 {
	quote := word ^ '"'*everyByte
	backslash := word ^ '\\'*everyByte
	return ((quote - everyByte) | (backslash - everyByte) | (word - ' '*everyByte) | word) & highBits
}

// skipString checks the string whose first character is at i, and returns the offset behind its closing quote.
func skipString(b []byte, i int) (int, problem) {
	// Most names and values end within the first word, and have nothing special before their end.
	if len(b)-i >= 8 {
		if m := special(binary.LittleEndian.Uint64(b[i:])); m == 0 {
			i += 8
		} else if i += bits.TrailingZeros64(m) >> 3; b[i] == '"' {
			return i + 1, fine
		}
	}
	for {
		i = plainRun(b, i)
		if i >= len(b) {
			return len(b), truncated
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, fine
		case c == '\\':
			var p problem
			if i, p = skipEscape(b, i); p != fine {
				return i, p
			}
		case c < ' ':
			return i, malformed
		default:
			var ok bool
			if i, ok = skipRunes(b, i); !ok {
				return i, invalidUTF8
			}
		}
	}
}

// skipRunes checks the characters from i on that are not ASCII, and returns the offset behind them.
func skipRunes(b []byte, i int) (end int, ok bool) {
	for i < len(b) && b[i] >= utf8.RuneSelf {
		// Most scripts are in two bytes, or in three whose first does not restrict the second.
		switch rest := b[i:]; {
		case rest[0] >= 0xc2 && rest[0] < 0xe0 && len(rest) > 1 && isContinuation(rest[1]):
			i += 2
		case rest[0] > 0xe0 && rest[0] < 0xf0 && rest[0] != 0xed && len(rest) > 2 && isContinuation(rest[1]) && isContinuation(rest[2]):
			i += 3
		default:
			r, size := utf8.DecodeRune(rest)
			if r == utf8.RuneError && size == 1 {
				return i, false
			}
			i += size
		}
	}
	return i, true
}

func isContinuation(c byte) bool { return c&0xc0 == 0x80 }

// plainRun returns the offset of the first byte at or after i that special marks, or len(b). It reads eight bytes at a
// time, and four times that while it can.
func plainRun(b []byte, i int) int {
	for len(b)-i >= 32 {
		w := b[i : i+32]
		if special(binary.LittleEndian.Uint64(w))|special(binary.LittleEndian.Uint64(w[8:]))|
			special(binary.LittleEndian.Uint64(w[16:]))|special(binary.LittleEndian.Uint64(w[24:])) != 0 {
			break
		}
		i += 32
	}
	for len(b)-i >= 8 {
		if m := special(binary.LittleEndian.Uint64(b[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] >= ' ' && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// skipEscape checks the escape whose backslash stands at i. Like RFC 8259's grammar it accepts surrogates that have no
// partner.
func skipEscape(b []byte, i int) (int, problem) {
	if i+1 >= len(b) {
		return len(b), truncated
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, fine
	case 'u':
		for k := i + 2; k < i+6; k++ {
			if k >= len(b) || unhex(b[k]) > 0xf {
				return here(b, k)
			}
		}
		return i + 6, fine
	}
	return i + 1, malformed
}

// unhex returns the value of a hexadecimal digit, and more than 15 for any other byte.
func unhex(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// skipNumber checks the number that starts at i.
func skipNumber(b []byte, i int) (int, problem) {
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	case i < len(b) && b[i]-'1' <= 8:
		i = skipDigits(b, i+1)
	default:
		return here(b, i)
	}
	if i < len(b) && b[i] == '.' {
		end := skipDigits(b, i+1)
		if end == i+1 {
			return here(b, end)
		}
		i = end
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		end := skipDigits(b, i)
		if end == i {
			return here(b, end)
		}
		i = end
	}
	return i, fine
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// brokenLiteral finds where the text at i departs from the literal.
func brokenLiteral(b []byte, i int, literal string) (int, problem) {
	k := 0
	for i+k < len(b) && k < len(literal) && b[i+k] == literal[k] {
		k++
	}
	return here(b, i+k)
}
