package rows

import (
	"fmt"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// node is a column of the file, or a part of one.
type node struct {
	name   []byte
	quoted []byte
	def    int // definition level of a value that is not null
	rep    int // repetition level of a further element

	leaf     *leaf   // of single values
	children []*node // of a group
	key      *node   // of a map
	element  *node   // of a list or a map

	leaves []*leaf // below, in the file's order
}

// planner makes nodes of a file's schema.
type planner struct {
	table *table
	json  map[int]bool // leaf columns with JSON text
}

// node makes the node of a column. def and rep are the levels around it.
func (p *planner) node(c *parquet.Column, def, rep int) (n *node, err error) {
	if c.Repeated() {
		return nil, fmt.Errorf("it is repeated outside of a list or a map")
	}
	if c.Optional() {
		def++
	}
	n = &node{name: []byte(c.Name()), quoted: appendQuoted(nil, []byte(c.Name())), def: def, rep: rep}
	from := len(p.table.leaves)
	switch {
	case c.Leaf():
		n.leaf, err = p.leaf(c)
	case isList(c):
		n.rep = rep + 1
		n.element, err = p.node(c.Columns()[0].Columns()[0], def+1, n.rep)
	case isMap(c):
		n.rep = rep + 1
		pair := c.Columns()[0].Columns()
		if n.key, err = p.node(pair[0], def+1, n.rep); err == nil {
			n.element, err = p.node(pair[1], def+1, n.rep)
		}
		if err == nil && (n.key.leaf == nil || n.key.leaf.kind != String) {
			err = fmt.Errorf("its keys are not text")
		}
	case len(c.Columns()) == 0:
		err = fmt.Errorf("it has no columns")
	default:
		for _, child := range c.Columns() {
			var below *node
			if below, err = p.node(child, def, rep); err != nil {
				break
			}
			n.children = append(n.children, below)
		}
	}
	if err != nil {
		return nil, err
	}
	n.leaves = p.table.leaves[from:len(p.table.leaves):len(p.table.leaves)]
	return n, nil
}

func isList(c *parquet.Column) bool {
	logical := c.Type().LogicalType()
	if logical == nil {
		return false
	}
	_, ok := logical.Value.(*format.ListType)
	return ok && repeats(c, 1)
}

func isMap(c *parquet.Column) bool {
	logical := c.Type().LogicalType()
	if logical == nil {
		return false
	}
	_, ok := logical.Value.(*format.MapType)
	return ok && repeats(c, 2)
}

// repeats reports whether a column consists of a repeated group with n columns.
func repeats(c *parquet.Column, n int) bool {
	below := c.Columns()
	return len(below) == 1 && below[0].Repeated() && !below[0].Leaf() && len(below[0].Columns()) == n
}

// leaf makes the reader of a leaf column.
func (p *planner) leaf(c *parquet.Column) (*leaf, error) {
	kind := c.Type().Kind()
	l := &leaf{short: kind == parquet.Int32}
	var annotation format.LogicalTypeValue
	if logical := c.Type().LogicalType(); logical != nil {
		annotation = logical.Value
	}
	switch a := annotation.(type) {
	case *format.DecimalType:
		l.kind, l.scale = Decimal, int(a.Scale)
		if kind != parquet.Int32 && kind != parquet.Int64 && kind != parquet.FixedLenByteArray || l.scale < 0 || l.scale > 38 {
			return nil, fmt.Errorf("a decimal of scale %d in the type %s", l.scale, kind)
		}
	case *format.DateType:
		l.kind = Date
	case *format.TimestampType:
		l.kind = Instant
		switch a.Unit.Value.(type) {
		case *format.MilliSeconds:
			l.times = 1000
		case *format.MicroSeconds:
			l.times = 1
		default:
			return nil, fmt.Errorf("a timestamp in neither milliseconds nor microseconds")
		}
	default:
		switch kind {
		case parquet.Boolean:
			l.kind = Bool
		case parquet.Int32, parquet.Int64:
			l.kind = Integer
		case parquet.Float, parquet.Double:
			l.kind, l.float = Double, kind == parquet.Float
		case parquet.ByteArray:
			if l.kind = String; p.json[len(p.table.leaves)] {
				l.kind = JSON
			}
		default:
			return nil, fmt.Errorf("the type %s is not one that the daemon writes", kind)
		}
	}
	if l.kind == Date && kind != parquet.Int32 || l.kind == Instant && kind != parquet.Int64 {
		return nil, fmt.Errorf("a date or a timestamp in the type %s", kind)
	}
	p.table.leaves = append(p.table.leaves, l)
	return l, nil
}

// appendJSON appends the value of a column as JSON. ok is false, and nothing is appended, if it is null.
func (t *table) appendJSON(dst []byte, n *node) (_ []byte, ok bool, err error) {
	if n.leaf != nil {
		return t.appendScalar(dst, n.leaf)
	}
	first, err := n.leaves[0].peek()
	if err != nil {
		return dst, false, err
	}
	if first == nil {
		return dst, false, errShort
	}
	switch level := first.DefinitionLevel(); {
	case level < n.def:
		return dst, false, n.skip()
	case n.element == nil:
		return t.appendGroup(dst, n)
	case level == n.def && n.key != nil:
		return append(dst, "{}"...), true, n.skip()
	case level == n.def:
		return append(dst, "[]"...), true, n.skip()
	case n.key != nil:
		return t.appendMap(dst, n)
	}
	return t.appendList(dst, n)
}

// skip passes over the place that a value which is null or empty has in each column below.
func (n *node) skip() error {
	for _, l := range n.leaves {
		if _, err := l.take(); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) appendScalar(dst []byte, l *leaf) ([]byte, bool, error) {
	p, err := l.take()
	if err != nil || p.IsNull() {
		return dst, false, err
	}
	var v Value
	if err := t.value(l, p, &v); err != nil || v.Kind == Null {
		return dst, false, err
	}
	return v.AppendJSON(dst), true, nil
}

func (t *table) appendGroup(dst []byte, n *node) ([]byte, bool, error) {
	begin := len(dst)
	dst = append(dst, '{')
	for _, child := range n.children {
		at := len(dst)
		if at > begin+1 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, child.quoted...), ':')
		way := t.spilled.enter(child.name)
		var ok bool
		var err error
		if dst, ok, err = t.appendJSON(dst, child); err != nil {
			return dst, false, err
		}
		if t.spilled.leave(way); !ok {
			dst = dst[:at]
		}
	}
	for e := t.spilled.first(); e != nil; e = t.spilled.after(e) {
		if len(dst) > begin+1 {
			dst = append(dst, ',')
		}
		dst = append(append(appendQuoted(dst, e.name()), ':'), e.value...)
		e.used = true
	}
	return append(dst, '}'), true, nil
}

func (t *table) appendList(dst []byte, n *node) ([]byte, bool, error) {
	dst = append(dst, '[')
	missing := t.spilled.first()
	for i := 0; ; i++ {
		way := t.spilled.enterElement(i)
		var ok bool
		var err error
		if dst, ok, err = t.appendJSON(dst, n.element); err != nil {
			return dst, false, err
		}
		t.spilled.leave(way)
		switch {
		case ok:
		case missing != nil && string(missing.token) == strconv.Itoa(i):
			dst = append(dst, missing.value...)
			missing.used = true
			missing = t.spilled.after(missing)
		default:
			dst = append(dst, "null"...)
		}
		if more, err := n.continues(); err != nil || !more {
			return append(dst, ']'), true, err
		}
		dst = append(dst, ',')
	}
}

func (t *table) appendMap(dst []byte, n *node) ([]byte, bool, error) {
	dst = append(dst, '{')
	missing := t.spilled.first()
	for {
		key, err := n.key.leaf.take()
		if err != nil {
			return dst, false, err
		}
		dst = append(appendQuoted(dst, key.ByteArray()), ':')
		way := t.spilled.enter(key.ByteArray())
		var ok bool
		if dst, ok, err = t.appendJSON(dst, n.element); err != nil {
			return dst, false, err
		}
		here := t.spilled.leave(way)
		switch {
		case ok:
		case missing != nil && string(missing.token) == string(here):
			dst = append(dst, missing.value...)
			missing.used = true
			missing = t.spilled.after(missing)
		default:
			dst = append(dst, "null"...)
		}
		if more, err := n.continues(); err != nil || !more {
			return append(dst, '}'), true, err
		}
		dst = append(dst, ',')
	}
}

// continues reports whether a list or a map has a further element.
func (n *node) continues() (bool, error) {
	next, err := n.leaves[0].peek()
	return next != nil && next.RepetitionLevel() == n.rep, err
}
