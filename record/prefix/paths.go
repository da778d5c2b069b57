package prefix

import (
	"bytes"
	"strings"

	"github.com/itchyny/gojq"

	"aws-streaming-pipeline/record/jsonscan"
)

// pathNode is a member of a payload that a query of paths reads: the members below it, and the keys that use its value.
// The root is the payload.
//
// Such queries need no interpreter. In doubt they leave the payload to it: if the values are not certain, or the record
// has no partition, the interpreter decides and words the fault.
type pathNode struct {
	names    []string
	children []*pathNode
	uses     []pathUse
}

// pathUse assigns a member's value to a key.
type pathUse struct {
	key       int    // place in the query's keys
	otherwise string // value if the member is null, false or missing; empty: none
}

// compilePaths returns the root for a query of the form {a:.x, b:.y.z, c, "d":(.w//"text")}, and nil for any other.
func compilePaths(q *gojq.Query, keys []string) *pathNode {
	members, ok := objectMembers(q)
	if !ok {
		return nil
	}
	type path struct {
		names     []string
		otherwise string
	}
	paths := make(map[string]path)
	root := &pathNode{}
	for _, m := range members {
		name, ok := memberName(m)
		if !ok {
			return nil
		}
		names, otherwise, ok := memberPath(m, name)
		if !ok || len(names) == 0 {
			return nil
		}
		paths[name] = path{names, otherwise} // the last member of a name wins
		root.node(names)                     // the paths of the others may still fail
	}
	for i, key := range keys {
		p, ok := paths[key]
		if !ok {
			return nil
		}
		n := root.node(p.names)
		n.uses = append(n.uses, pathUse{i, p.otherwise})
	}
	return root
}

// objectMembers returns the members of a query that is an object and nothing else.
func objectMembers(q *gojq.Query) ([]*gojq.ObjectKeyVal, bool) {
	t, ok := soleTerm(q)
	if !ok || t.Type != gojq.TermTypeObject || len(t.SuffixList) > 0 {
		return nil, false
	}
	return t.Object.KeyVals, true
}

// bare returns a query without the parentheses around it.
func bare(q *gojq.Query) *gojq.Query {
	for q.Term != nil && q.Term.Type == gojq.TermTypeQuery && len(q.Term.SuffixList) == 0 && !declares(q) {
		q = q.Term.Query
	}
	return q
}

// declares reports whether a query has more than its term or its operands.
func declares(q *gojq.Query) bool {
	return len(q.FuncDefs) > 0 || len(q.Imports) > 0 || q.Meta != nil || len(q.Patterns) > 0
}

// soleTerm returns the term that a query consists of.
func soleTerm(q *gojq.Query) (*gojq.Term, bool) {
	q = bare(q)
	return q.Term, q.Term != nil && !declares(q)
}

// operands returns the operands of an operator.
func operands(q *gojq.Query, op gojq.Operator) (left, right *gojq.Query, ok bool) {
	q = bare(q)
	return q.Left, q.Right, q.Right != nil && q.Op == op && !declares(q)
}

// memberName returns the name of a member of an object, if it is written down.
func memberName(m *gojq.ObjectKeyVal) (string, bool) {
	switch {
	case m.KeyString != nil && m.KeyString.Queries == nil:
		return m.KeyString.Str, true
	case m.Key != "" && !strings.HasPrefix(m.Key, "$"):
		return m.Key, true
	}
	return "", false
}

// memberPath returns the path of a member's value, and its default, the text after "//".
func memberPath(m *gojq.ObjectKeyVal, name string) (names []string, otherwise string, ok bool) {
	if m.Val == nil { // {a} is {a:.a}
		return []string{name}, "", true
	}
	if left, text, ok := alternative(m.Val); ok {
		names, ok = appendPath(nil, left)
		return names, text, ok
	}
	names, ok = appendPath(nil, m.Val)
	return names, "", ok
}

// alternative splits path//"text".
func alternative(q *gojq.Query) (path *gojq.Query, text string, ok bool) {
	path, otherwise, ok := operands(q, gojq.OpAlt)
	if !ok {
		return nil, "", false
	}
	text, ok = plainString(otherwise)
	return path, text, ok && text != ""
}

// plainString returns the text of a query that is a string without expressions in it.
func plainString(q *gojq.Query) (string, bool) {
	t, ok := soleTerm(q)
	if !ok || t.Type != gojq.TermTypeString || t.Str.Queries != nil || len(t.SuffixList) > 0 {
		return "", false
	}
	return t.Str.Str, true
}

// appendPath appends the names along a path: .a.b, .a["b"], .a|.b.
func appendPath(names []string, q *gojq.Query) ([]string, bool) {
	if left, right, ok := operands(q, gojq.OpPipe); ok {
		if names, ok = appendPath(names, left); !ok {
			return nil, false
		}
		return appendPath(names, right)
	}
	t, ok := soleTerm(q)
	if !ok {
		return nil, false
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
	case gojq.TermTypeIndex:
		if names, ok = appendIndex(names, t.Index); !ok {
			return nil, false
		}
	case gojq.TermTypeQuery: // (.a).b
		if names, ok = appendPath(names, t.Query); !ok {
			return nil, false
		}
	default:
		return nil, false
	}
	for _, s := range t.SuffixList {
		if s.Index == nil {
			return nil, false
		}
		if names, ok = appendIndex(names, s.Index); !ok {
			return nil, false
		}
	}
	return names, true
}

func appendIndex(names []string, x *gojq.Index) ([]string, bool) {
	switch name := x.Str; {
	case x.Name != "":
		return append(names, x.Name), true
	case name != nil && name.Queries == nil:
		return append(names, name.Str), true
	case name == nil && !x.IsSlice && x.Start != nil: // .["a"]
		if text, ok := plainString(x.Start); ok {
			return append(names, text), true
		}
	}
	return nil, false
}

// node returns the node at the end of a path, and creates it if it is missing.
func (n *pathNode) node(names []string) *pathNode {
	for _, name := range names {
		next := n.child([]byte(name))
		if next == nil {
			next = &pathNode{}
			n.names, n.children = append(n.names, name), append(n.children, next)
		}
		n = next
	}
	return n
}

func (n *pathNode) child(name []byte) *pathNode {
	for i, own := range n.names {
		if own == string(name) {
			return n.children[i]
		}
	}
	return nil
}

// values extracts the values of the keys from a payload. It uses room if its capacity suffices. It returns false if the
// interpreter has to find them.
func (n *pathNode) values(payload []byte, room []value, keys int) ([]value, bool) {
	values := room[:0]
	for range keys {
		values = append(values, value{})
	}
	w := pathWalk{payload: payload, values: values}
	start := jsonscan.Start(payload)
	if start >= len(payload) || payload[start] != '{' {
		return nil, false
	}
	w.clear(n)
	end, ok := w.object(n, start)
	if !ok || jsonscan.Space(payload, end) != len(payload) {
		return nil, false
	}
	for _, v := range values {
		if v.isEmpty() {
			return nil, false
		}
	}
	return values, true
}

// pathWalk walks a payload.
type pathWalk struct {
	payload []byte
	values  []value // of the keys
}

// clear resets the values of the node and of all nodes below it, as if the members were missing.
func (w *pathWalk) clear(n *pathNode) {
	for _, u := range n.uses {
		w.values[u.key] = value{text: u.otherwise}
	}
	for _, child := range n.children {
		w.clear(child)
	}
}

// object walks the object whose brace is at i, and returns the offset after it.
func (w *pathWalk) object(n *pathNode, i int) (end int, ok bool) {
	i = jsonscan.Space(w.payload, i+1)
	if i < len(w.payload) && w.payload[i] == '}' {
		return i + 1, true
	}
	for {
		nameEnd, escaped, value, p := jsonscan.Key(w.payload, i)
		if p != jsonscan.None || escaped { // a name with escapes is for the interpreter
			return 0, false
		}
		if i, ok = w.member(n.child(w.payload[i+1:nameEnd-1]), value); !ok {
			return 0, false
		}
		more, next, p := jsonscan.Separator(w.payload, i, '}')
		if p != jsonscan.None || !more {
			return next, p == jsonscan.None
		}
		i = next
	}
}

// member extracts what the query uses of the value at i, if n is not nil, and returns the offset after the value.
func (w *pathWalk) member(n *pathNode, i int) (end int, ok bool) {
	if n == nil {
		return w.skip(i)
	}
	w.clear(n) // of members of one name the last one counts
	if i < len(w.payload) && w.payload[i] == '{' && len(n.uses) == 0 {
		return w.object(n, i)
	}
	end, ok = w.skip(i)
	if !ok {
		return 0, false
	}
	if len(n.children) > 0 && w.payload[i] != 'n' {
		return 0, false // what is neither an object nor null has no members
	}
	for _, u := range n.uses {
		if !w.take(u, i, end) {
			return 0, false
		}
	}
	return end, true
}

// skip checks the value at i, and returns the offset after it.
func (w *pathWalk) skip(i int) (end int, ok bool) {
	end, p := jsonscan.Value(w.payload, i, 0)
	return end, p == jsonscan.None
}

// take assigns the value between two offsets to a key. Objects and arrays cannot be keys.
func (w *pathWalk) take(u pathUse, from, to int) bool {
	v := &w.values[u.key]
	switch w.payload[from] {
	case '{', '[':
		return false
	case 'n': // null
	case 'f':
		if u.otherwise == "" {
			*v = value{from: from, to: to}
		}
	case '"':
		if bytes.IndexByte(w.payload[from:to], '\\') < 0 {
			*v = value{from: from + 1, to: to - 1}
			return true
		}
		*v = value{text: unescape(w.payload[from:to])}
	default:
		*v = value{from: from, to: to}
	}
	return true
}

// unescape reads a JSON string that has been checked.
func unescape(quoted []byte) string {
	return string(jsonscan.AppendUnescaped(nil, quoted[1:len(quoted)-1]))
}
