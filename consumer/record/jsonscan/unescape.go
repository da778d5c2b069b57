package jsonscan

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendUnescaped appends what a valid JSON string says, given without its quotes. Half a surrogate pair becomes U+FFFD:
// UTF-8 cannot say it. It appends no more bytes than the string has, and so may write over it: dst may end where text begins.
func AppendUnescaped(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		c := text[i+1]
		text = text[i+2:]
		switch c {
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
			r := codeUnit(text)
			text = text[4:]
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(text) >= 6 && text[0] == '\\' && text[1] == 'u' {
					low = codeUnit(text[2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					text = text[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
}

// codeUnit reads four hexadecimal digits.
func codeUnit(digits []byte) rune {
	return rune(Unhex(digits[0]))<<12 | rune(Unhex(digits[1]))<<8 | rune(Unhex(digits[2]))<<4 | rune(Unhex(digits[3]))
}
