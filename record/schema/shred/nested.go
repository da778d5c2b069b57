package shred

import (
	"bytes"

	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/schema"
)

func (s *Shredder) group(n *Node, b []byte, i int, rep uint8) int {
	if b[i] != '{' {
		return s.mismatch(n, b, i, rep)
	}
	s.enter(n)
	i = s.members(n, b, i+1, rep)
	s.leave(n)
	return i
}

func (s *Shredder) list(n *Node, b []byte, i int, rep uint8) int {
	if b[i] != '[' {
		return s.mismatch(n, b, i, rep)
	}
	i = jsonscan.Space(b, i+1)
	if i < len(b) && b[i] == ']' {
		s.levels(n, rep, n.def)
		return s.counted(n, 0, i+1)
	}
	s.enter(n)
	s.path = append(s.path, step{})
	count := 0
	for more := true; more; count++ {
		s.path[len(s.path)-1].index = count
		if i >= len(b) {
			return s.malformed()
		}
		if i = s.value(n.Element, b, i, rep); i < 0 {
			return -1
		}
		if s.spare < 0 {
			return s.tooLarge()
		}
		var p jsonscan.Problem
		if more, i, p = jsonscan.Separator(b, i, ']'); p != jsonscan.None {
			return s.malformed()
		}
		rep = n.rep
	}
	s.path = s.path[:len(s.path)-1]
	s.leave(n)
	return s.counted(n, count, i)
}

// counted checks the number of a list's elements.
func (s *Shredder) counted(n *Node, count, end int) int {
	switch {
	case n.rules == nil:
	case count < n.rules.MinItems:
		s.noteViolation(n, "minItems")
	case count > n.rules.MaxItems:
		s.noteViolation(n, "maxItems")
	}
	return end
}

func (s *Shredder) mapping(n *Node, b []byte, i int, rep uint8) int {
	if b[i] != '{' {
		return s.mismatch(n, b, i, rep)
	}
	i = jsonscan.Space(b, i+1)
	if i < len(b) && b[i] == '}' {
		s.levels(n, rep, n.def)
		return i + 1
	}
	s.enter(n)
	s.path = append(s.path, step{name: "*"}) // the key itself is payload
	keys := keySet{column: n.Key.Column}
	for more := true; more; {
		if i = s.mapKey(n, &keys, b, i, rep); i < 0 {
			return -1
		}
		if i = s.value(n.Element, b, i, rep); i < 0 {
			return -1
		}
		if s.spare < 0 {
			return s.tooLarge()
		}
		var p jsonscan.Problem
		if more, i, p = jsonscan.Separator(b, i, '}'); p != jsonscan.None {
			return s.malformed()
		}
		rep = n.rep
	}
	s.path = s.path[:len(s.path)-1]
	s.leave(n)
	return i
}

// mapKey reads a key with its colon and returns where the value begins.
func (s *Shredder) mapKey(n *Node, keys *keySet, b []byte, i int, rep uint8) int {
	end, escaped, value, p := jsonscan.Key(b, i)
	if p != jsonscan.None || value >= len(b) {
		return s.malformed()
	}
	s.lastKey = b[i+1 : end-1]
	key := s.unescape(escaped, s.lastKey)
	if keys.has(key) {
		s.noteDuplicate()
	} else {
		n.Key.Column.text(key)
		keys.added()
	}
	if !s.checks {
		n.Key.Column.level(rep, n.Key.def)
	}
	return value
}

// keySet finds keys that a map has twice, which readers refuse. Few keys are compared with what the column has got;
// many go to a hash table.
type keySet struct {
	column *Column
	start  int
	count  int
	table  map[string]struct{}
}

const fewKeys = 16

func (k *keySet) has(key []byte) bool {
	if k.table != nil {
		_, ok := k.table[string(key)]
		return ok
	}
	found := false
	k.each(func(other []byte) { found = found || string(other) == string(key) })
	return found
}

// added takes note of the column's newest value.
func (k *keySet) added() {
	c := k.column
	if k.count == 0 {
		k.start = c.undo
	}
	k.count++
	switch {
	case k.table != nil:
		k.table[string(c.buf[c.undo+4:])] = struct{}{}
	case k.count > fewKeys:
		k.table = make(map[string]struct{}, 2*fewKeys)
		k.each(func(key []byte) { k.table[string(key)] = struct{}{} })
	}
}

// each visits the map's keys. They stand in one chunk, as a record never straddles two.
func (k *keySet) each(visit func(key []byte)) {
	if k.count == 0 {
		return
	}
	for rest := k.column.buf[k.start:]; len(rest) > 0; {
		n := 4 + int(le32(rest))
		visit(rest[4:n])
		rest = rest[n:]
	}
}

// mismatch deals with a value that is not of the JSON type that a field has: null, a text that means null, or one that
// does not fit.
func (s *Shredder) mismatch(n *Node, b []byte, i int, rep uint8) int {
	if b[i] == 'n' {
		end, ok := jsonscan.Literal(b, i, "null")
		if !ok {
			return s.malformed()
		}
		return s.nullValue(n, end, rep)
	}
	if b[i] != '"' || !s.takes(n, "string") {
		return s.unfit(n, b, i, rep)
	}
	end, escaped, p := jsonscan.String(b, i+1)
	if p != jsonscan.None {
		return s.malformed()
	}
	if !s.schema.Lenient && isNullText(n, s.unescape(escaped, b[i+1:end-1])) {
		return s.nullValue(n, end, rep)
	}
	return s.unfit(n, b, i, rep)
}

// nullValue deals with an explicit null.
func (s *Shredder) nullValue(n *Node, end int, rep uint8) int {
	if n.Field.Nullable && n.rules != nil && n.rules.Enum != nil && !n.rules.EnumNull {
		s.noteViolation(n, "enum")
	}
	if !n.Field.Nullable && !s.schema.Lenient {
		switch {
		case n.Field.Required:
			s.noteViolation(n, "required")
		case !s.schema.Coerce || n.inList:
			s.noteViolation(n, "type")
		}
	}
	s.null(n, rep)
	return end
}

// unfit deals with a value that its column cannot hold: the record is refused, or the value goes to _extra.
func (s *Shredder) unfit(n *Node, b []byte, i int, rep uint8) int {
	end, p := jsonscan.Value(b, i, s.depth)
	switch {
	case p != jsonscan.None:
		return s.malformed()
	case s.schema.Lenient:
		s.keepAt(n, b[i:end])
		s.null(n, rep)
		if s.schema.Own != nil {
			s.misfit++
		}
	default:
		s.noteUnfit(n)
	}
	return end
}

// spill holds a value to its field's rules and keeps it for _extra. It costs the record nothing of what it may add to the
// columns: whether a record is valid does not depend on a table.
func (s *Shredder) spill(n *Node, b []byte, i int, rep uint8) int {
	extras, inexact := len(s.extras), s.inexact
	end := s.value(n.Element, b, i, rep)
	if end < 0 {
		return -1
	}
	s.extras, s.inexact = s.extras[:extras], inexact // its parts are in the value, and what is kept is not rounded
	if b[i] == 'n' {
		return end
	}
	spare := s.spare
	s.keepAt(n, b[i:end])
	s.spare = spare
	if n.Field.Place == schema.Misfit {
		s.misfit++
	}
	return end
}

// undeclared deals with a member without a column, whose name, as written, is b[key:keyEnd].
func (s *Shredder) undeclared(g *Node, b []byte, key, keyEnd, i int) int {
	end, p := jsonscan.Value(b, i, s.depth)
	if p != jsonscan.None {
		return s.malformed()
	}
	name := b[key:keyEnd]
	if s.checks && g == s.root {
		if escaped := bytes.IndexByte(name, '\\') >= 0; s.line.Replaces(name, escaped) {
			s.line.Replace(name, escaped, i, end)
		}
	}
	if g.Field.Closed && !(g == s.root && string(name) == schema.EventIDColumn) {
		s.noteViolation(g, "additionalProperties")
	}
	// Without a schema a null says no more than a member that is not there.
	if s.extra != nil && s.schema.Extra && !(s.schema.Lenient && b[i] == 'n') {
		s.keep(name, b[i:end])
	}
	if s.spare < 0 {
		return s.tooLarge()
	}
	return end
}

// duplicate deals with a second member of one name, which begins at b[key].
func (s *Shredder) duplicate(g *Node, b []byte, key, i int) int {
	if !s.schema.Lenient {
		s.noteDuplicate()
	}
	end, _, _ := jsonscan.String(b, key)
	return s.undeclared(g, b, key, end-1, i)
}
