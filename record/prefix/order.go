package prefix

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/itchyny/gojq"

	"aws-streaming-pipeline/record/jsonscan"
)

// The interpreter's objects have no order; jq's have that of the text. order keeps it separately: for objects of the payload
// and of fromjson it is read from the text, for {b:1,a:2} in a query it is noted when the object is made, and an object that
// results from a change or an addition keeps the order of its operands, with new names at the end.
type order map[uintptr][]string

func pointer(object map[string]any) uintptr { return reflect.ValueOf(object).Pointer() }

// maxChanges is the number of changes that are kept until their order is needed.
const maxChanges = 256

// change is a value that a query has made from others.
type change struct {
	of   []any
	made any
}

// names returns the names of an object's members in jq's order, or sorted if that is not known.
func (w *work) names(object map[string]any) []string {
	if len(object) > 1 {
		w.settle()
	}
	return w.known(object)
}

// settle determines the order of what the query has changed so far.
func (w *work) settle() {
	w.readOrder()
	for _, c := range w.changes {
		w.inherit(c.made, c.of)
	}
	w.changes = nil
}

func (w *work) known(object map[string]any) []string {
	if names, ok := w.order[pointer(object)]; ok {
		return names
	}
	return slices.Sorted(maps.Keys(object))
}

// inherit gives the objects in a value the order of those from which it was made. It costs several times as much as a copy,
// because the value stays in memory from now on.
func (w *work) inherit(made any, of []any) {
	if !w.spend(1+4*flat(made)) || slices.ContainsFunc(of, func(v any) bool { return isSame(made, v) }) {
		return
	}
	switch made := made.(type) {
	case []any:
		for i, element := range made {
			w.inherit(element, parts(of, i))
		}
	case map[string]any:
		if _, ok := w.order[pointer(made)]; ok {
			return
		}
		var names []string
		taken := make(map[string]bool)
		for _, v := range append(slices.Clip(of), made) {
			object, _ := v.(map[string]any)
			for _, name := range w.known(object) {
				if _, ok := made[name]; ok && !taken[name] {
					names, taken[name] = append(names, name), true
				}
			}
		}
		w.remember(made, names)
		for name, member := range made {
			w.inherit(member, parts(of, name))
		}
	}
}

// parts returns the elements at a key of the values.
func parts(of []any, key any) []any {
	list := make([]any, len(of))
	for i, v := range of {
		list[i] = element(v, key)
	}
	return list
}

// isSame reports whether a and b are the same object or array, or values without members.
func isSame(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && pointer(a) == pointer(b)
	case []any:
		b, ok := b.([]any)
		return ok && len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
	}
	return true
}

// changed notes that a value was made from others.
func (w *work) changed(made any, of ...any) {
	switch made.(type) {
	case map[string]any, []any:
		if w.changes = append(w.changes, change{of, made}); w.spend(4) && len(w.changes) >= maxChanges {
			w.settle()
		}
	}
}

// remember notes the order of an object that stays in memory, so that no other one takes its place.
func (w *work) remember(object map[string]any, names []string) {
	if w.order == nil {
		w.order = make(order)
	}
	w.order[pointer(object)] = names
	w.remembered = append(w.remembered, object)
}

// readOrder reads the order of the payload's objects, once and only if a query asks for it.
func (w *work) readOrder() {
	if w.orderRead || !w.spend(2*len(w.payload)) {
		return
	}
	w.orderRead = true
	w.parsed(w.root, bytes.TrimPrefix(w.payload, []byte(jsonscan.ByteOrderMark)))
}

// parsed notes the order of the objects in a value that was read from a text.
func (w *work) parsed(v any, text []byte) {
	if w.order == nil {
		w.order = make(order)
	}
	w.remembered = append(w.remembered, v)
	text = bytes.ToValidUTF8(text, []byte("\uFFFD")) // as encoding/json reads it
	w.order.note(v, text, jsonscan.Space(text, 0))
}

// note walks a value and the text it was read from, starting at offset i, and returns the offset after it.
func (o order) note(v any, text []byte, i int) int {
	object, isObject := v.(map[string]any)
	array, isArray := v.([]any)
	if i >= len(text) || !(isObject && text[i] == '{' || isArray && text[i] == '[') {
		end, p := jsonscan.Value(text, i, 0)
		if p != jsonscan.None {
			return len(text)
		}
		return end
	}
	var names []string
	var seen map[string]bool
	if isObject {
		names, seen = make([]string, 0, len(object)), make(map[string]bool, len(object))
	}
	for n := 0; ; n++ {
		if i = jsonscan.Space(text, i+1); i >= len(text) || text[i] == '}' || text[i] == ']' {
			break
		}
		var part any
		if isObject {
			end, _, value, p := jsonscan.Key(text, i)
			if p != jsonscan.None {
				break
			}
			name := unescape(text[i:end])
			// Of members with the same name the last one counts, in the place of the first. It is walked with the text of
			// each of them, its own being the last.
			member, known := object[name]
			if part = member; known && !seen[name] {
				names, seen[name] = append(names, name), true
			}
			i = value
		} else if n < len(array) {
			part = array[n]
		}
		if i = jsonscan.Space(text, o.note(part, text, i)); i >= len(text) || text[i] != ',' {
			break
		}
	}
	if isObject && len(names) == len(object) {
		o[pointer(object)] = names
	}
	return i + 1
}

// wrote notes the order of an object with constant names in the query. Computed names, such as in {(.k):1}, are not in it.
func (w *work) wrote(object map[string]any, names []any) {
	if len(object) != len(names) || !w.spend(2+len(names)) {
		return
	}
	list := make([]string, len(names))
	for i, name := range names {
		list[i], _ = name.(string)
		if _, ok := object[list[i]]; !ok {
			return
		}
	}
	w.remember(object, list)
}

// appendJSON writes a value as jq does.
func (w *work) appendJSON(b *strings.Builder, v any) {
	switch v := v.(type) {
	case []any:
		b.WriteByte('[')
		for i, element := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			w.appendJSON(b, element)
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, name := range w.names(v) {
			if i > 0 {
				b.WriteByte(',')
			}
			w.appendJSON(b, name)
			b.WriteByte(':')
			w.appendJSON(b, v[name])
		}
		b.WriteByte('}')
	default:
		text, _ := gojq.Marshal(v) // it has no errors
		b.Write(text)
	}
}

// json is tojson.
func (w *work) json(v any) any {
	if w.made(w.measure(v)); w.left < 0 {
		return errTooExpensive
	}
	var b strings.Builder
	w.appendJSON(&b, v)
	if w.left < 0 {
		return errTooExpensive
	}
	return b.String()
}

// orderOptions returns the functions that depend on the order of members.
func orderOptions(w *work) []gojq.CompilerOption {
	return []gojq.CompilerOption{
		gojq.WithFunction("_is_object", 0, 0, func(v any, _ []any) any { _, ok := v.(map[string]any); return ok }),
		gojq.WithIterFunction("_names", 0, 0, func(v any, _ []any) gojq.Iter {
			object, _ := v.(map[string]any)
			return gojq.NewIter(w.names(object)...)
		}),
		gojq.WithFunction("_tojson", 0, 0, func(v any, _ []any) any { return w.json(v) }),
		gojq.WithFunction("_tostring", 0, 0, func(v any, _ []any) any {
			if _, ok := v.(string); ok {
				return v
			}
			return w.json(v)
		}),
		gojq.WithFunction("_members", 0, 0, func(v any, _ []any) any {
			object, ok := v.(map[string]any)
			if !ok || !w.spend(len(object)) {
				return v
			}
			members := make([]any, 0, len(object))
			for _, name := range w.names(object) {
				members = append(members, object[name])
			}
			return members
		}),
		gojq.WithFunction("_changed", 1, 2, func(v any, args []any) any {
			w.changed(v, slices.Clone(args)...)
			return v
		}),
		gojq.WithFunction("_parsed", 1, 1, func(v any, args []any) any {
			if text, ok := args[0].(string); ok && w.spend(2*len(text)) {
				w.parsed(v, []byte(text))
			}
			return v
		}),
		gojq.WithFunction("_added", 1, 1, func(v any, args []any) any {
			if of, ok := args[0].([]any); ok {
				w.changed(v, of...)
			}
			return v
		}),
		gojq.WithFunction("_wrote", 2, 2, func(_ any, args []any) any {
			if object, ok := args[1].(map[string]any); ok {
				w.wrote(object, args[0].([]any))
			}
			return args[1]
		}),
	}
}
