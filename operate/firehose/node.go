package firehose

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// node is a value of a description. Its methods accept nil, which is a value that is not there.
type node struct {
	at       string // its place in the text that it is from, such as ExtendedS3DestinationDescription.Prefix
	value    string // of a text, number or boolean
	members  map[string]*node
	elements []*node
	// expression is what a template has instead of a value that only the deployed stack has; empty for a value.
	expression string
	attributes bool // members are attributes of Terraform
	read       bool
}

// unresolved is an expression of a template whose value is not in the template.
type unresolved string

// newNode returns the node of a decoded JSON value, or nil for null, an empty text and an empty list: the API and its clients use
// them for members that are not set.
func newNode(v any, at string) *node {
	switch v := v.(type) {
	case nil:
		return nil
	case unresolved:
		return &node{at: at, expression: string(v)}
	case map[string]any:
		n := &node{at: at, members: make(map[string]*node)}
		for name, member := range v {
			if child := newNode(member, join(at, name)); child != nil {
				n.members[name] = child
			}
		}
		return n
	case []any:
		n := &node{at: at}
		for i, element := range v {
			if child := newNode(element, fmt.Sprintf("%s[%d]", at, i)); child != nil {
				n.elements = append(n.elements, child)
			}
		}
		if len(n.elements) == 0 {
			return nil
		}
		return n
	case json.Number:
		return &node{at: at, value: v.String()}
	}
	text := fmt.Sprint(v)
	if text == "" {
		return nil
	}
	return &node{at: at, value: text}
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// place returns the place that a member has, or would have.
func (n *node) place(name string) string {
	if n.attributes {
		name = attributeOf(name)
	}
	return join(n.at, name)
}

// get returns the member that a path of names leads to, or nil.
func (n *node) get(path ...string) *node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		n = n.members[name]
	}
	return n
}

// list returns the elements.
func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	return n.elements
}

// text returns the value, which counts as read. It is empty if there is none, or if it is an expression.
func (n *node) text() string {
	if n == nil {
		return ""
	}
	n.read = n.read || n.expression == ""
	return n.value
}

// is reports whether the value, which counts as read, is text.
func (n *node) is(text string) bool { return n != nil && n.text() == text }

// skip makes the value and all below it count as read.
func (n *node) skip() {
	if n == nil {
		return
	}
	n.read = true
	for _, child := range n.children() {
		child.skip()
	}
}

// children returns the members and elements, in an order that is always the same.
func (n *node) children() []*node {
	var all []*node
	for _, name := range slices.Sorted(maps.Keys(n.members)) {
		all = append(all, n.members[name])
	}
	return append(all, n.elements...)
}

// unread returns the values that nobody has read.
func (n *node) unread() []*node {
	if n == nil || n.read {
		return nil
	}
	children := n.children()
	if len(children) == 0 {
		if n.value == "" && n.expression == "" {
			return nil // an object without members
		}
		return []*node{n}
	}
	var all []*node
	for _, child := range children {
		all = append(all, child.unread()...)
	}
	return all
}
