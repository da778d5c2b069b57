package shred

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/schema"
)

// step is one token on the way from a record's root to the value under way: a member's name, or an element's index.
type step struct {
	name  string
	index int
}

// enter steps into a group, list or map.
func (s *Shredder) enter(n *Node) {
	s.depth++
	if !n.element {
		s.path = append(s.path, step{name: n.name})
	}
}

func (s *Shredder) leave(n *Node) {
	s.depth--
	if !n.element {
		s.path = s.path[:len(s.path)-1]
	}
}

// appendPointer appends the JSON Pointer of the object or list under way.
func (s *Shredder) appendPointer(dst []byte) []byte {
	for _, at := range s.path {
		dst = append(dst, '/')
		if at.name == "" {
			dst = strconv.AppendInt(dst, int64(at.index), 10)
			continue
		}
		dst = appendToken(dst, at.name)
	}
	return dst
}

func appendToken[T string | []byte](dst []byte, name T) []byte {
	for i := range len(name) {
		switch c := name[i]; c {
		case '~':
			dst = append(dst, '~', '0')
		case '/':
			dst = append(dst, '~', '1')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// pointer is the JSON Pointer of a node under way.
func (s *Shredder) pointer(n *Node) string {
	dst := s.appendPointer(nil)
	if n != s.root && !n.element {
		dst = appendToken(append(dst, '/'), n.name)
	}
	return string(dst)
}

// keep notes a member for _extra. name is as it stands in the record.
func (s *Shredder) keep(name, value []byte) {
	s.extras = append(s.extras, ',')
	if len(s.path) == 0 {
		s.extras = append(append(append(s.extras, '"'), name...), '"', ':')
		s.extras = append(s.extras, value...)
		return
	}
	s.scratch = s.appendPointer(s.scratch[:0])
	s.scratch = append(s.scratch, '/')
	if bytes.IndexByte(name, '\\') >= 0 {
		s.number = jsonscan.AppendUnescaped(s.number[:0], name)
		name = s.number
	}
	s.scratch = appendToken(s.scratch, name)
	s.keepScratch(value)
}

// keepAt notes the value of a declared member for _extra.
func (s *Shredder) keepAt(n *Node, value []byte) {
	s.extras = append(s.extras, ',')
	s.scratch = s.scratch[:0]
	if len(s.path) > 0 {
		s.scratch = s.appendPointer(s.scratch)
		if !n.element {
			s.scratch = append(s.scratch, '/')
		}
	}
	switch {
	case n.element && !n.inList: // an inferred schema has no maps, and that of a table only maps of single values
		if bytes.IndexByte(s.lastKey, '\\') >= 0 {
			s.number = jsonscan.AppendUnescaped(s.number[:0], s.lastKey)
			s.lastKey = s.number
		}
		s.scratch = appendToken(s.scratch[:len(s.scratch)-len("*")], s.lastKey)
	case n.element:
	case len(s.path) == 0:
		s.scratch = append(s.scratch, n.name...)
	default:
		s.scratch = appendToken(s.scratch, n.name)
	}
	s.keepScratch(value)
}

func (s *Shredder) keepScratch(value []byte) {
	s.spare -= len(s.scratch)
	s.extras = append(appendQuoted(s.extras, s.scratch), ':')
	s.extras = append(s.extras, value...)
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

// endExtra writes the record's _extra.
func (s *Shredder) endExtra() {
	if len(s.extras) == 0 {
		s.extra.Nulls = append(s.extra.Nulls, uint32(s.rows))
		return
	}
	s.extras[0] = '{'
	s.extras = append(s.extras, '}')
	s.extra.text(s.extras)
}

// malformed refuses a record for its JSON. Append finds out what is wrong.
func (s *Shredder) malformed() int {
	s.fault = &record.Fault{
		Type: record.FormatConversionFailed, Code: schema.CodeMalformed,
		Message: "the record's JSON is malformed",
	}
	return -1
}

// tooLarge refuses a record that would add more to the columns than its size allows.
func (s *Shredder) tooLarge() int {
	s.fault = &record.Fault{
		Type: record.FormatConversionFailed, Code: schema.CodeTooLarge,
		Message: fmt.Sprintf("the record's columns, with places that have no value and names of unknown members, would take up more than %d times its size", spread),
	}
	return -1
}

// noteDuplicate refuses a record that has two members of one name. Other faults, except malformed JSON, are not reported. The
// record is read to its end, as for every fault that leaves it JSON: the verdict must not depend on what comes first.
func (s *Shredder) noteDuplicate() {
	if s.fault == nil || s.fault.Code != schema.CodeMalformed {
		s.fault = &record.Fault{
			Type: record.FormatConversionFailed, Code: schema.CodeMalformed,
			Message: fmt.Sprintf("an object has two members of one name at %q", s.appendPointer(nil)),
		}
	}
}

// noteUnfit refuses a record for a value that its field cannot hold.
func (s *Shredder) noteUnfit(n *Node) {
	if s.fault != nil {
		return
	}
	message := fmt.Sprintf("the value at %q does not fit its column of type %s", s.pointer(n), n.kind)
	if s.checks {
		message = fmt.Sprintf("the value at %q is not of the type %s", s.pointer(n), n.declaredType())
	}
	s.fault = &record.Fault{Type: record.FormatConversionFailed, Code: schema.CodeParse, Message: message}
}

// declaredType is the type or the format that the schema declares.
func (n *Node) declaredType() string {
	switch n.kind {
	case schema.Date:
		return "date"
	case schema.TimestampMicros:
		return "date-time"
	}
	return n.Field.Type
}

// noteViolation refuses a record for a rule that it breaks.
func (s *Shredder) noteViolation(n *Node, rule string) {
	if s.fault != nil {
		return
	}
	pointer := s.pointer(n)
	if rule == "additionalProperties" {
		pointer = string(s.appendPointer(nil)) // the group has been entered
	}
	s.fault = schema.Violation(pointer, rule)
}

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
