package shred

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"aws-streaming-pipeline/record/schema"
)

// Node is a schema.Field with its place among the columns: what a record is split by, and what a file's schema
// is written from.
type Node struct {
	Field *schema.Field
	// Children are the members of a group that have columns.
	Children []*Node
	// Key and Element are those of a map; Element is that of a list.
	Key, Element *Node
	// Column is that of a scalar; nil where values are only checked.
	Column *Column

	members  []*Node // of a group, with those whose values go to _extra
	kind     schema.Kind
	digits   int // of a decimal, as declared
	flat     bool
	element  bool // of a list or map: has no name of its own
	inList   bool // of a list: cannot be absent
	checked  bool // text that is not just copied
	rules    *schema.Rules
	enum     []string // the texts of rules.Enum, if they are few
	pattern  pattern  // rules.Pattern, if it is a simple one
	name     string
	quoted   string // the name as it usually stands in records, with its quotes and colon
	word     uint64 // the first eight bytes of quoted, those that it has
	mask     uint64 // the bits of word that count
	def      uint8  // definition level of a value that is not null
	rep      uint8  // repetition level of a further element of this list or map
	from, to int    // the leaf columns below
	byName   map[string]*Node
	first    *Node  // child that came first in the last record
	next     *Node  // sibling that came after this one in the last record
	instance uint64 // the object that this member was last seen in
}

// plan builds the tree of nodes and the list of columns.
type plan struct {
	columns []*Column
	grown   *int // of the Shredder
	folds   bool // members may have names in another case
	checks  bool // makes no columns but those of map keys, which are compared with one another
	hides   bool // makes hidden columns
}

// root makes the node of the whole record.
func (p *plan) root(s *schema.Schema) *Node {
	root := &Node{Field: &schema.Field{Name: "schema", Kind: schema.Group, Fields: s.Fields, Closed: s.Closed}, kind: schema.Group}
	p.group(root, s.Fields, nil, 0, 0)
	return root
}

// group adds a group's fields. def is the group's own definition level, rep the repetition level it stands at.
func (p *plan) group(n *Node, fields []*schema.Field, path []string, def, rep uint8) {
	for _, f := range fields {
		path := append(slices.Clip(path), f.Name)
		if f.Place != schema.InColumn && !p.checks {
			n.members = append(n.members, p.spilled(f, path, def+1, rep))
			continue
		}
		child := p.node(f, path, def+1, rep)
		n.members, n.Children = append(n.members, child), append(n.Children, child)
	}
	n.index(p.folds)
}

// spilled is the kind of nodes whose values go to _extra. Their Element holds the values to the field's rules.
const spilled schema.Kind = 0xFF

// spilled adds a field without a column in the file.
func (p *plan) spilled(f *schema.Field, path []string, def, rep uint8) *Node {
	value := *f
	value.Place = schema.InColumn
	defer func(hides bool) { p.hides = hides }(p.hides)
	p.hides = true
	n := &Node{Field: f, kind: spilled, name: f.Name, Element: p.node(&value, path, def, rep)}
	n.from, n.to = len(p.columns), len(p.columns)
	n.quote()
	return n
}

// node adds an optional field.
func (p *plan) node(f *schema.Field, path []string, def, rep uint8) *Node {
	declared := cmp.Or(f.Narrow, f)
	n := &Node{
		Field: f, kind: declared.Kind, digits: declared.Precision, rules: f.Rules, name: f.Name,
		def: def, rep: rep, from: len(p.columns), checked: f.Rules != nil || len(f.NullTexts) > 0,
	}
	n.quote()
	if f.Rules != nil {
		n.compileRules()
	}
	switch f.Kind {
	case schema.Group:
		p.group(n, f.Fields, path, def, rep)
	case schema.List:
		n.rep = rep + 1
		n.Element = p.node(f.Element, append(slices.Clip(path), "list", "element"), def+2, n.rep)
		n.Element.element, n.Element.inList = true, true
	case schema.Map:
		n.rep = rep + 1
		n.Key = p.leaf(&schema.Field{Name: "key", Kind: schema.String, ID: f.KeyID}, append(slices.Clip(path), "key_value", "key"), def+1, n.rep)
		n.Element = p.node(f.Element, append(slices.Clip(path), "key_value", "value"), def+2, n.rep)
		n.Element.element = true
	default:
		if !p.checks {
			p.column(n, path, def, rep)
		}
	}
	n.to = len(p.columns)
	return n
}

// fewTexts is the number of texts up to which looking at each is cheaper than a hash.
const fewTexts = 16

func (n *Node) compileRules() {
	if len(n.rules.Enum) <= fewTexts {
		n.enum = slices.Collect(maps.Keys(n.rules.Enum))
	}
	if n.rules.Pattern != nil {
		n.pattern = newPattern(n.rules.Pattern.String())
	}
}

// quote prepares the name for comparisons.
func (n *Node) quote() {
	n.quoted = string(appendQuoted(nil, []byte(n.name))) + ":"
	n.word, n.mask = wordOf(n.quoted)
}

// wordOf returns the first eight bytes of s as a little-endian word, and a mask of those that there are.
func wordOf(s string) (word, mask uint64) {
	for i := range min(len(s), 8) {
		word |= uint64(s[i]) << (8 * i)
		mask |= 0xFF << (8 * i)
	}
	return word, mask
}

// named reports whether the member at b[i] has the node's name in its usual form, with the colon.
func (n *Node) named(b []byte, i int) bool {
	if i+8 > len(b) {
		return len(b)-i >= len(n.quoted) && string(b[i:i+len(n.quoted)]) == n.quoted
	}
	if (binary.LittleEndian.Uint64(b[i:])^n.word)&n.mask != 0 {
		return false
	}
	return len(n.quoted) <= 8 || len(b)-i >= len(n.quoted) && string(b[i+8:i+len(n.quoted)]) == n.quoted[8:]
}

// leaf adds a scalar that has a value wherever its parent has one.
func (p *plan) leaf(f *schema.Field, path []string, def, rep uint8) *Node {
	n := &Node{Field: f, kind: f.Kind, name: f.Name, def: def, rep: rep, from: len(p.columns), to: len(p.columns) + 1}
	p.column(n, path, def, rep)
	return n
}

// own adds one of the pipeline's own columns, which every record fills.
func (p *plan) own(name string, kind schema.Kind, id int) *Column {
	return p.leaf(&schema.Field{Name: name, Kind: kind, Required: true, ID: id}, []string{name}, 0, 0).Column
}

func (p *plan) column(n *Node, path []string, def, rep uint8) {
	n.Column = &Column{Field: n.Field, Path: path, MaxDef: def, MaxRep: rep, grown: p.grown, hidden: p.hides}
	n.flat = n.Column.Flat()
	p.columns = append(p.columns, n.Column)
}

// index prepares a group for look-ups, and guesses that records have their members in the schema's order. With folds, names are also
// found in lower case: no two differ in case only.
func (n *Node) index(folds bool) {
	n.byName = make(map[string]*Node, len(n.members))
	var last *Node
	for _, child := range n.members {
		n.byName[child.name] = child
		if folds {
			n.byName[strings.ToLower(child.name)] = child
		}
		if last == nil {
			n.first = child
		} else {
			last.next = child
		}
		last = child
	}
}
