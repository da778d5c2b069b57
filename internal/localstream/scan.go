package localstream

import (
	"bytes"
	"encoding/json"
	"errors"
)

// scanner reads the JSON of the two put operations without reflection. It does not copy strings without escapes: it
// returns slices of the request body.
type scanner struct {
	text []byte
	at   int
}

var errMalformed = errors.New("malformed JSON")

// maxDepth limits the nesting of skipped values.
const maxDepth = 32

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// next skips white space and takes c if it comes next.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// null takes the word null if it comes next.
func (s *scanner) null() bool {
	s.space()
	if !bytes.HasPrefix(s.text[s.at:], []byte("null")) {
		return false
	}
	s.at += len("null")
	return true
}

// end reports whether nothing but white space is left.
func (s *scanner) end() bool {
	s.space()
	return s.at == len(s.text)
}

// object calls field for each member; field must take the value.
func (s *scanner) object(field func(name []byte) error) error {
	if !s.next('{') {
		return errMalformed
	}
	if s.next('}') {
		return nil
	}
	for {
		name, ok, err := s.string()
		if err != nil {
			return err
		}
		if !ok || !s.next(':') {
			return errMalformed
		}
		if err := field(name); err != nil {
			return err
		}
		if s.next('}') {
			return nil
		}
		if !s.next(',') {
			return errMalformed
		}
	}
}

// array calls element for each element; element must take the value.
func (s *scanner) array(element func() error) error {
	if !s.next('[') {
		return errMalformed
	}
	if s.next(']') {
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if s.next(']') {
			return nil
		}
		if !s.next(',') {
			return errMalformed
		}
	}
}

// string takes a string; ok is false for null, which the API reads as "not given".
func (s *scanner) string() (value []byte, ok bool, err error) {
	if s.null() {
		return nil, false, nil
	}
	if !s.next('"') {
		return nil, false, errMalformed
	}
	length := bytes.IndexByte(s.text[s.at:], '"')
	if length < 0 {
		return nil, false, errMalformed
	}
	value = s.text[s.at : s.at+length]
	if bytes.IndexByte(value, '\\') < 0 {
		s.at += length + 1
		return value, true, nil
	}
	return s.escapedString()
}

// escapedString takes the rest of a string that has escapes; the opening quote is taken.
func (s *scanner) escapedString() ([]byte, bool, error) {
	start := s.at - 1
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			var value string
			if err := json.Unmarshal(s.text[start:s.at], &value); err != nil {
				return nil, false, errMalformed
			}
			return []byte(value), true, nil
		}
		s.at++
	}
	return nil, false, errMalformed
}

// skip takes any value.
func (s *scanner) skip() error { return s.skipDepth(0) }

func (s *scanner) skipDepth(depth int) error {
	s.space()
	if s.at == len(s.text) || depth == maxDepth {
		return errMalformed
	}
	switch s.text[s.at] {
	case '"':
		_, _, err := s.string()
		return err
	case '{':
		return s.object(func([]byte) error { return s.skipDepth(depth + 1) })
	case '[':
		return s.array(func() error { return s.skipDepth(depth + 1) })
	}
	start := s.at
	for s.at < len(s.text) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(s.text[s.at])) {
		s.at++
	}
	if !json.Valid(s.text[start:s.at]) {
		return errMalformed
	}
	return nil
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends text as a JSON string. The text is valid UTF-8.
func appendQuoted(dst []byte, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
