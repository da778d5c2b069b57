package producer

import (
	"encoding/binary"
	"unicode/utf8"
)

// object writes rows as JSON objects (RFC 8259) whose values are all strings.
type object struct {
	// lead[i] precedes the i-th value: the end of the value before it, and the key.
	lead [][]byte
}

func newObject(columns []string) object {
	o := object{lead: make([][]byte, len(columns))}
	for i, name := range columns {
		lead := []byte(`","`)
		if i == 0 {
			lead = []byte(`{"`)
		}
		lead = appendEscaped(lead, []byte(name))
		o.lead[i] = append(lead, `":"`...)
	}
	return o
}

// append adds the object of a row that has one cell for each column.
func (o object) append(dst []byte, cells [][]byte) []byte {
	if len(o.lead) == 0 {
		return append(dst, "{}"...)
	}
	for i, lead := range o.lead {
		dst = append(dst, lead...)
		dst = appendEscaped(dst, cells[i])
	}
	return append(dst, `"}`...)
}

// plain tells the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for b := ' '; b < utf8.RuneSelf; b++ {
		t[b] = b != '"' && b != '\\'
	}
	return t
}()

// allPlain reports whether each of the eight bytes of w is plain. It may return false although they are.
func allPlain(w uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	control := w - ' '*ones // a byte below the blank borrows into its top bit
	quote := (w ^ '"'*ones) - ones
	backslash := (w ^ '\\'*ones) - ones
	return (w|control|quote|backslash)&tops == 0
}

const hexDigits = "0123456789abcdef"

// appendEscaped adds s as the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD, as encoding/json has
// it.
func appendEscaped(dst, s []byte) []byte {
	start := 0
	for i := 0; i < len(s); {
		for i+8 <= len(s) && allPlain(binary.LittleEndian.Uint64(s[i:])) {
			i += 8
		}
		if i == len(s) {
			break
		}
		b := s[i]
		if plain[b] {
			i++
			continue
		}
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = utf8.AppendRune(dst, utf8.RuneError)
				start = i + size
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[b>>4], hexDigits[b&0xf])
		}
		i++
		start = i
	}
	return append(dst, s[start:]...)
}
