package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

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

// String checks the string whose first character is at i, after the opening quote. It returns the offset after its closing
// quote, and whether it has escapes.
func String(b []byte, i int) (end int, escaped bool, p Problem) {
	// Most names and values end within the first word, and have nothing special before their end.
	if len(b)-i >= 8 {
		if m := special(binary.LittleEndian.Uint64(b[i:])); m == 0 {
			i += 8
		} else if i += bits.TrailingZeros64(m) >> 3; b[i] == '"' {
			return i + 1, false, None
		}
	}
next:
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped, None
		case c == '\\':
			escaped = true
			if i, p = Escape(b, i); p != None {
				return i, false, p
			}
			continue
		case c >= utf8.RuneSelf:
			var ok bool
			if i, ok = runes(b, i); !ok {
				return i, false, InvalidUTF8
			}
			continue
		case c < ' ':
			return i, false, Malformed
		}
		for run := i; len(b)-i >= 8; {
			if m := special(binary.LittleEndian.Uint64(b[i:])); m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				continue next
			}
			if i += 8; i-run == 56 {
				i = longRun(b, i)
			}
		}
		for i < len(b) && b[i] >= ' ' && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
			i++
		}
	}
	return len(b), false, Truncated
}

// longRun passes over plain text, as long as there is that much of it, and returns the offset after it.
func longRun(b []byte, i int) int {
	for len(b)-i >= 32 {
		w := b[i : i+32]
		if special(binary.LittleEndian.Uint64(w))|special(binary.LittleEndian.Uint64(w[8:]))|
			special(binary.LittleEndian.Uint64(w[16:]))|special(binary.LittleEndian.Uint64(w[24:])) != 0 {
			break
		}
		i += 32
	}
	return i
}

// runes checks the characters from i on that are not ASCII, with the spaces between them, and returns the offset after them.
func runes(b []byte, i int) (end int, ok bool) {
	for i < len(b) && (b[i] >= utf8.RuneSelf || b[i] == ' ') {
		// Most scripts are in two bytes, or in three whose first does not restrict the second.
		switch rest := b[i:]; {
		case rest[0] >= 0xc2 && rest[0] < 0xe0 && len(rest) > 1 && isContinuation(rest[1]):
			i += 2
		case rest[0] == ' ':
			i++
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

// Escape checks the escape whose backslash stands at i. Like RFC 8259's grammar it accepts surrogates that have no partner.
func Escape(b []byte, i int) (int, Problem) {
	if i+1 >= len(b) {
		return len(b), Truncated
	}
	switch c := b[i+1]; {
	case shortEscapes[c] != 0:
		return i + 2, None
	case c != 'u':
		return i + 1, Malformed
	}
	for k := i + 2; k < i+6; k++ {
		if k >= len(b) || hexDigits[b[k]] > 0xf {
			return here(b, k)
		}
	}
	return i + 6, None
}

// shortEscapes has what the escapes of one character stand for; 0 for what is none of them.
var shortEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hexDigits has the values of hexadecimal digits, and more than 15 for other bytes.
var hexDigits = func() (values [256]byte) {
	for c := range values {
		switch {
		case '0' <= c && c <= '9':
			values[c] = byte(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			values[c] = byte(c | 0x20 - 'a' + 10)
		default:
			values[c] = 0xff
		}
	}
	return values
}()
