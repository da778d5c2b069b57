package jsonscan

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendUnescaped appends the text of a valid JSON string, given without its quotes. Half a surrogate pair becomes U+FFFD,
// since UTF-8 cannot represent it. It appends no more bytes than the string has, so it may overwrite it: dst may end where
// text begins.
func AppendUnescaped(dst, text []byte) []byte {
	plain := 0 // the bytes since the last escape
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c != '\\':
			dst = append(dst, c)
			i++
			if plain++; plain == 8 { // then the next escape is likely to be far away
				next := bytes.IndexByte(text[i:], '\\')
				if next < 0 {
					return append(dst, text[i:]...)
				}
				dst = append(dst, text[i:i+next]...)
				i += next
			}
			continue
		case text[i+1] != 'u':
			dst = append(dst, shortEscapes[text[i+1]])
			i += 2
		default:
			r, rest := escapedRune(text[i+2:])
			dst = utf8.AppendRune(dst, r)
			i = len(text) - len(rest)
		}
		plain = 0
	}
	return dst
}

// HasLoneSurrogate reports whether a valid string has half a surrogate pair, which AppendUnescaped replaces with U+FFFD.
func HasLoneSurrogate(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		c := text[i+1]
		if text = text[i+2:]; c != 'u' {
			continue
		}
		spelled := codeUnit(text)
		var r rune
		if r, text = escapedRune(text); r == utf8.RuneError && spelled != utf8.RuneError {
			return true
		}
	}
}

// escapedRune reads the digits of an escape after its \u, and a second escape where the two are a surrogate pair.
func escapedRune(text []byte) (r rune, rest []byte) {
	r, rest = codeUnit(text), text[4:]
	if !utf16.IsSurrogate(r) {
		return r, rest
	}
	low := rune(-1)
	if len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
		low = codeUnit(rest[2:])
	}
	if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
		rest = rest[6:]
	}
	return r, rest
}

// codeUnit reads four hexadecimal digits.
func codeUnit(digits []byte) rune {
	return rune(hexDigits[digits[0]])<<12 | rune(hexDigits[digits[1]])<<8 | rune(hexDigits[digits[2]])<<4 | rune(hexDigits[digits[3]])
}
