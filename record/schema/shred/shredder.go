// Package shred splits JSON records into typed column vectors.
//
// It does so in a single pass that also checks the JSON (RFC 8259, UTF-8), checks the schema's rules and coerces values:
// nothing is decoded twice, and in the steady state nothing is allocated. Nested columns get the definition and repetition
// levels of the Parquet format. A record that is refused leaves no trace.
//
// Two members of one name make a record malformed, as they do for Athena's OpenX SerDe; so do more than jsonscan.MaxDepth
// levels of nesting. A surrogate escape without its partner becomes U+FFFD.
package shred

import (
	"bytes"
	"math"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/schema"
)

// Shredder collects records as columns. It is used by one goroutine at a time.
type Shredder struct {
	schema  *schema.Schema
	root    *Node
	all     []*Column // with those that are hidden
	columns []*Column // of the file
	hidden  []*Column // of fields whose values go to _extra; empty between records
	nested  []*Column // of columns, those that are not flat
	extra   *Column   // nil if the schema keeps none
	eventID *Column   // nil if there is none
	arrived *Column   // nil if there is none

	rows      int
	size      int // as of the last measure
	memory    int // as of the last measure
	grown     int // memory for text since then
	unsized   int // bytes of records since then
	unsizedIn int // records since then

	checks   bool              // makes lines instead of columns
	line     record.ObjectLine // of the record under way
	dates    Calendar
	instance uint64 // number of objects split
	path     []step
	depth    int    // objects and arrays around the value under way
	spare    int    // what the record may still add to the columns beside its own values; see spread
	bare     *Node  // a root without columns
	extras   []byte // the members of the record's _extra object, with a comma before each
	scratch  []byte // unescaped text
	number   []byte // a number from text
	fault    *record.Fault

	inexact int // of the record's numbers
	rounded int
	misfit  int // of the record's values
	misfits int

	lastKey []byte // of a map, as it stands in the record
}

// New returns an empty Shredder for the schema's columns, followed by _extra if the schema keeps it, by event_id if eventID is
// set, and by _arrived_at if the schema has it. If the columns are those of a table, the table says which of them there are.
func New(s *schema.Schema, eventID bool) *Shredder {
	shredder := &Shredder{schema: s, dates: Calendar{Loose: s.Coerce}}
	p := &plan{grown: &shredder.grown, folds: s.IgnoreCase}
	shredder.root = p.root(s)
	shredder.bare = &Node{Field: &schema.Field{Name: "schema", Kind: schema.Group}, kind: schema.Group}
	own := schema.Own{}
	if s.Own != nil {
		own = *s.Own
	}
	if s.Extra && s.Own == nil || own.Extra > 0 {
		n := p.node(&schema.Field{Name: schema.ExtraColumn, Kind: schema.JSON, ID: own.Extra}, []string{schema.ExtraColumn}, 1, 0)
		shredder.extra = n.Column
	}
	if eventID && (s.Own == nil || own.EventID > 0) {
		shredder.eventID = p.own(schema.EventIDColumn, schema.String, own.EventID)
	}
	if s.Arrival && s.Own == nil || own.ArrivedAt > 0 {
		shredder.arrived = p.own(schema.ArrivedAtColumn, schema.TimestampMicros, own.ArrivedAt)
	}
	shredder.use(p)
	return shredder
}

// use takes the columns.
func (s *Shredder) use(p *plan) {
	s.all = p.columns
	for _, c := range p.columns {
		switch {
		case c.hidden:
			s.hidden = append(s.hidden, c)
			continue
		case !c.Flat():
			s.nested = append(s.nested, c)
		}
		s.columns = append(s.columns, c)
	}
}

// Tree returns the columns' tree, as the schema of a file has it.
func (s *Shredder) Tree() []*Node {
	tree := append([]*Node(nil), s.root.Children...)
	for _, c := range []*Column{s.extra, s.eventID, s.arrived} {
		if c != nil {
			tree = append(tree, &Node{Field: c.Field, Column: c})
		}
	}
	return tree
}

// Columns returns the leaf columns in the order of Tree. They are the Shredder's own and change with it.
func (s *Shredder) Columns() []*Column { return s.columns }

// Rows is the number of records.
func (s *Shredder) Rows() int { return s.rows }

// Rounded returns the number of values that were rounded in Float or Double columns, so that the number in the record cannot
// be restored: see record.ParseFloat. A lenient schema has none.
func (s *Shredder) Rounded() int { return s.rounded }

// Misfits returns the number of values that went to _extra because a table's column cannot hold them. A record that went
// there as a whole does not count.
func (s *Shredder) Misfits() int { return s.misfits }

// Size is the number of bytes in the vectors. It depends on the records alone. Between measures, every 64 records, it is
// estimated.
func (s *Shredder) Size() int { return s.size + s.unsized }

// Memory is the number of bytes that the vectors take up with the room that they have for more.
func (s *Shredder) Memory() int { return max(s.memory+s.grown, s.Size()) + columnBytes*len(s.all) }

// columnBytes is about what a Column, its Node and its names take without values.
const columnBytes = 1 << 10

// Reset empties the vectors and keeps their memory but for that of long text.
func (s *Shredder) Reset() {
	for _, c := range s.all {
		c.reset()
	}
	s.rows, s.rounded, s.misfits = 0, 0, 0
	s.measure()
}

// HasExtra reports whether the last record appended had members for _extra.
func (s *Shredder) HasExtra() bool { return len(s.extras) > 0 }

// ExtraKeys visits the keys of the last record's _extra. They are valid during the visit.
func (s *Shredder) ExtraKeys(visit func(key []byte)) {
	if len(s.extras) == 0 {
		return
	}
	for i, more := 1, true; more; {
		end, escaped, value, _ := jsonscan.Key(s.extras, i) // no problem arises: the object was made here
		visit(s.unescape(escaped, s.extras[i+1:end-1]))
		end, _ = jsonscan.Value(s.extras, value, 1)
		more, i, _ = jsonscan.Separator(s.extras, end, '}')
	}
}

// Append adds a record. On a fault, the Shredder is unchanged; if the record already has a Fault, Append returns that one.
func (s *Shredder) Append(r *record.Record) *record.Fault {
	if r.Fault != nil {
		return r.Fault
	}
	if s.rows == math.MaxInt32 {
		return &record.Fault{Type: record.FormatConversionFailed, Code: schema.CodeParse, Message: "the block is full"}
	}
	if s.take(r, s.root) {
		s.endRecord(r)
		return nil
	}
	s.rollBack()
	if s.fault.Code == schema.CodeTooLarge && s.schema.Lenient && s.take(r, s.bare) {
		for _, child := range s.root.members {
			s.null(child, 0)
		}
		s.endRecord(r)
		return nil
	}
	return s.explain(r)
}

// take splits a record into the columns of a root.
func (s *Shredder) take(r *record.Record, root *Node) bool {
	for _, c := range s.nested {
		c.begin()
	}
	s.path, s.depth, s.extras, s.fault, s.inexact, s.misfit = s.path[:0], 1, s.extras[:0], nil, 0, 0
	s.spare = spread*len(r.Data) + someSpread + len(s.all)
	return s.record(r.Data, root)
}

// explain returns the fault of the record just refused. What is wrong with its JSON is told as for JSON lines.
func (s *Shredder) explain(r *record.Record) *record.Fault {
	if s.fault.Code != schema.CodeMalformed && s.fault.Code != schema.CodeTooLarge { // where the scan has stopped
		return s.fault
	}
	if fault := record.CheckJSON(r); fault != nil {
		return fault
	}
	return s.fault
}

func (s *Shredder) record(b []byte, root *Node) bool {
	i := jsonscan.Start(b)
	if i >= len(b) || b[i] != '{' {
		s.malformed()
		return false
	}
	if i = s.members(root, b, i+1, 0); i < 0 {
		return false
	}
	if jsonscan.Space(b, i) != len(b) {
		s.malformed()
		return false
	}
	if s.fault == nil {
		s.fault = s.schema.Validate(bytes.TrimPrefix(b, []byte(jsonscan.ByteOrderMark)))
	}
	return s.fault == nil
}

// endRecord fills the columns that are not the record's own.
func (s *Shredder) endRecord(r *record.Record) {
	if s.extra != nil {
		s.endExtra()
	}
	if s.eventID != nil {
		s.scratch = r.AppendEventID(s.scratch[:0])
		s.eventID.text(s.scratch)
	}
	if s.arrived != nil {
		s.arrived.Ints = append(s.arrived.Ints, r.Arrival.UnixMicro())
	}
	s.rows++
	if !s.schema.Lenient {
		s.rounded += s.inexact
	}
	s.misfits += s.misfit
	for _, c := range s.hidden {
		c.reset()
	}
	for _, c := range s.nested {
		c.endRecord()
	}
	s.unsized += len(r.Data)
	if s.unsizedIn++; s.unsizedIn >= 64 || s.unsized >= 256<<10 {
		s.measure()
	}
}

func (s *Shredder) measure() {
	s.size, s.memory, s.grown, s.unsized, s.unsizedIn = 0, 0, 0, 0, 0
	for _, c := range s.all {
		s.size += c.size()
		s.memory += c.memory()
	}
}

func (s *Shredder) rollBack() {
	for _, c := range s.columns {
		if c.Flat() {
			c.rollBackFlat(uint32(s.rows))
		} else {
			c.rollBack()
		}
	}
	for _, c := range s.hidden {
		c.reset()
	}
	s.extras = s.extras[:0]
}

// members splits the object whose first byte after the brace is b[i], and returns the index after it, or -1.
func (s *Shredder) members(g *Node, b []byte, i int, rep uint8) int {
	s.instance++
	instance := s.instance
	seen := 0
	i = jsonscan.Space(b, i)
	if i < len(b) && b[i] == '}' {
		return s.absent(g, seen, instance, i+1, rep)
	}
	var last *Node
	guess := g.first
	for {
		key, keyEnd := i, 0
		child := guess
		if child != nil && child.named(b, i) {
			i += len(child.quoted)
		} else if child, keyEnd, i = s.key(g, guess, b, i); i < 0 {
			return s.malformed()
		}
		if i < len(b) && b[i] <= ' ' {
			i = jsonscan.Space(b, i)
		}
		switch {
		case i >= len(b):
			return s.malformed()
		case child == nil:
			i = s.undeclared(g, b, key+1, keyEnd, i)
		case child.instance == instance:
			i = s.duplicate(g, b, key+1, i)
		default:
			child.instance = instance
			seen++
			if last == nil {
				g.first = child
			} else {
				last.next = child
			}
			last, guess = child, child.next
			i = s.value(child, b, i, rep)
		}
		if i < 0 {
			return -1
		}
		if i+1 < len(b) && b[i] == ',' && b[i+1] == '"' {
			i++
			continue
		}
		more, next, p := jsonscan.Separator(b, i, '}')
		if p != jsonscan.None {
			return s.malformed()
		}
		i = next
		if !more {
			return s.absent(g, seen, instance, i, rep)
		}
	}
}

// key reads a member's name that is not the one expected. It returns its node, nil if it is not declared, where the name
// ends, and an index behind its colon, or -1.
func (s *Shredder) key(g, guess *Node, b []byte, i int) (child *Node, keyEnd, end int) {
	// Most often one optional member is missing.
	if guess != nil && guess.next != nil && guess.next.named(b, i) {
		return guess.next, 0, i + len(guess.next.quoted)
	}
	nameEnd, escaped, value, p := jsonscan.Key(b, i)
	if p != jsonscan.None {
		return nil, 0, -1
	}
	name := b[i+1 : nameEnd-1]
	if escaped {
		s.scratch = jsonscan.AppendUnescaped(s.scratch[:0], name)
		name = s.scratch
	}
	child = g.byName[string(name)]
	if child == nil && s.schema.IgnoreCase {
		child = g.byName[string(bytes.ToLower(name))]
	}
	return child, nameEnd - 1, value
}

// absent ends an object: members that it lacks become nulls. It returns end, or -1.
func (s *Shredder) absent(g *Node, seen int, instance uint64, end int, rep uint8) int {
	if seen == len(g.members) {
		return end
	}
	for _, child := range g.members {
		if child.instance == instance {
			continue
		}
		if child.Field.Required {
			s.noteViolation(child, "required")
		}
		s.null(child, rep)
	}
	if s.spare < 0 {
		return s.tooLarge()
	}
	return end
}

// null writes that a node has no value.
func (s *Shredder) null(n *Node, rep uint8) {
	if n.flat {
		n.Column.Nulls = append(n.Column.Nulls, uint32(s.rows))
		return
	}
	s.levels(n, rep, n.def-1)
}

// levels writes to all columns below a node that they end at a definition level. Where values are only checked, the columns
// are those of maps' keys, and nobody reads their levels.
func (s *Shredder) levels(n *Node, rep, def uint8) {
	if s.checks {
		return
	}
	s.spare -= n.to - n.from
	for _, c := range s.all[n.from:n.to] {
		c.level(rep, def)
	}
}
