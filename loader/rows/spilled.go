package rows

import (
	"bytes"
	"strconv"

	"aws-streaming-pipeline/record/jsonscan"
)

// spilled has what a row's _extra holds: members of the record that have no column, under their names, and parts of values that their
// columns do not hold, under JSON Pointers (RFC 6901; see package shred).
type spilled struct {
	members []extraMember
	parts   []part
	heads   map[string]int // the first part of each parent, if there are many
	way     []byte         // the pointer of the value under way, while there are parts
	text    []byte         // pointers

	nested map[string]bool // the columns with parts, as tokens of a pointer
}

// extraMember is a member of the record.
type extraMember struct{ name, quoted, value []byte }

// part is a part of a value.
type part struct {
	pointer []byte
	parent  []byte // the pointer of the object or list that it belongs to
	token   []byte // its own, escaped
	quoted  []byte // as it stands in _extra
	value   []byte
	used    bool
	index   int // its own
	next    int // of the next part of the same parent, if there are many
}

// fewParts is the number of parts up to which looking at each is cheaper than a hash.
const fewParts = 16

// known takes note of a column that may have parts.
func (s *spilled) known(name []byte) {
	if s.nested == nil {
		s.nested = map[string]bool{}
	}
	s.nested[string(appendToken(nil, name))] = true
}

func (s *spilled) reset() {
	s.members, s.parts, s.way, s.text = s.members[:0], s.parts[:0], s.way[:0], s.text[:0]
	clear(s.heads)
}

// read splits the object that _extra holds.
func (s *spilled) read(b []byte) error {
	i, p := 1, jsonscan.None
	if len(b) == 0 || b[0] != '{' {
		return torn("its column _extra holds no JSON object")
	}
	for more := true; more; {
		key := i
		end, escaped, value, problem := jsonscan.Key(b, key)
		if problem == jsonscan.None {
			i, problem = jsonscan.Value(b, value, 1)
		}
		if problem == jsonscan.None {
			s.add(b[key:end], escaped, b[value:i])
			more, i, problem = jsonscan.Separator(b, i, '}')
		}
		if p = problem; p != jsonscan.None {
			return torn("its column _extra holds invalid JSON")
		}
	}
	s.index()
	return nil
}

// add adds a member of _extra. A name that begins like a pointer may be that of a member, too: then no column with parts has the name of
// its first token. Where one has, and the value is there, nothing tells the two apart.
func (s *spilled) add(quoted []byte, escaped bool, value []byte) {
	name := quoted[1 : len(quoted)-1]
	if escaped {
		begin := len(s.text)
		s.text = jsonscan.AppendUnescaped(s.text, name)
		name = s.text[begin:]
	}
	if last := bytes.LastIndexByte(name, '/'); last > 0 && name[0] == '/' {
		first := 1 + bytes.IndexByte(name[1:], '/')
		if s.nested[string(name[1:first])] {
			s.parts = append(s.parts, part{pointer: name, parent: name[:last], token: name[last+1:], quoted: quoted, value: value, index: len(s.parts)})
			return
		}
	}
	s.members = append(s.members, extraMember{name, quoted, value})
}

// index chains the parts of each parent, in their order.
func (s *spilled) index() {
	if s.heads == nil {
		s.heads = map[string]int{}
	}
	for i := len(s.parts) - 1; i >= 0 && len(s.parts) > fewParts; i-- {
		p := &s.parts[i]
		p.next = len(s.parts)
		if head, ok := s.heads[string(p.parent)]; ok {
			p.next = head
		}
		s.heads[string(p.parent)] = i
	}
}

// first returns the first part of the value under way; nil if it has none.
func (s *spilled) first() *part {
	if len(s.parts) <= fewParts {
		return s.find(0)
	}
	if i, ok := s.heads[string(s.way)]; ok {
		return &s.parts[i]
	}
	return nil
}

// after returns the next part of the value under way.
func (s *spilled) after(p *part) *part {
	if len(s.parts) <= fewParts {
		return s.find(p.index + 1)
	}
	if p.next == len(s.parts) {
		return nil
	}
	return &s.parts[p.next]
}

// find returns the first part of the value under way from an index on.
func (s *spilled) find(from int) *part {
	for i := from; i < len(s.parts); i++ {
		if p := &s.parts[i]; string(p.parent) == string(s.way) {
			return p
		}
	}
	return nil
}

// enter steps into a member and returns where the pointer ended before.
func (s *spilled) enter(name []byte) (before int) {
	before = len(s.way)
	if len(s.parts) > 0 {
		s.way = appendToken(append(s.way, '/'), name)
	}
	return before
}

// enterElement steps into an element of a list.
func (s *spilled) enterElement(i int) (before int) {
	before = len(s.way)
	if len(s.parts) > 0 {
		s.way = strconv.AppendInt(append(s.way, '/'), int64(i), 10)
	}
	return before
}

// leave steps back, and returns the token of what is left. It is valid until the next step.
func (s *spilled) leave(before int) (token []byte) {
	if len(s.way) > before {
		token = s.way[before+1:]
	}
	s.way = s.way[:before]
	return token
}

// appendToken appends a name as a token of a pointer.
func appendToken(dst, name []byte) []byte {
	for _, c := range name {
		switch c {
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

// name returns the name that the part's token stands for.
func (p *part) name() []byte {
	if bytes.IndexByte(p.token, '~') < 0 {
		return p.token
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(p.token, []byte("~1"), []byte("/")), []byte("~0"), []byte("~"))
}

// readExtra reads the row's _extra.
func (t *table) readExtra() error {
	t.spilled.reset()
	if t.extra == nil {
		return nil
	}
	p, err := t.extra.take()
	if err != nil || p.IsNull() {
		return err
	}
	return t.spilled.read(p.ByteArray())
}

// addExtra makes members of _extra values, where they were asked for and have none, and else adds them to the rest. A part whose value
// is not there was none: a member has a name like a pointer.
func (t *table) addExtra(row *Row) error {
	for i := range t.spilled.parts {
		if p := &t.spilled.parts[i]; !p.used {
			t.spilled.members = append(t.spilled.members, extraMember{p.pointer, p.quoted, p.value})
		}
	}
	for i := range t.spilled.members {
		m := &t.spilled.members[i]
		place, ok := t.asked[string(m.name)]
		if !ok || row.Values[place].Kind != Null {
			t.beginMember(m.quoted)
			t.rest = append(t.rest, m.value...)
			continue
		}
		var p jsonscan.Problem
		if row.Values[place], _, t.scratch, p = Scan(m.value, 0, 1, t.scratch); p != jsonscan.None {
			return torn("its column _extra holds invalid JSON")
		}
	}
	return nil
}
