package prefix

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/itchyny/gojq"
)

//go:embed builtins.jq
var builtinsText string

// builtin is a function of builtins.jq.
type builtin struct {
	definition *gojq.FuncDef
	needs      []string // those that it calls, in their order
	asks       bool     // whether it depends on the order of members
}

// builtins are the functions of builtins.jq, charged, by name and number of arguments.
var builtins = sync.OnceValue(func() map[string]builtin {
	parsed, err := gojq.Parse(builtinsText + ".")
	if err != nil {
		panic(err)
	}
	known := make(map[string]builtin)
	for _, definition := range parsed.FuncDefs {
		c := charger{known: known, asks: true}
		c.definition(definition)
		if c.err != nil {
			panic(fmt.Sprintf("%s: %v", definition.Name, c.err))
		}
		known[signature(definition.Name, len(definition.Args))] = builtin{definition, c.needs, c.asked}
	}
	return known
})

// own are our own functions, which charge themselves.
var own = []string{
	"_test/2", "_matches/2", "_splits/2", "_pieces/2", "_join_pieces/2", "_replace/3", "_names/0", "_members/0", "_tojson/0", "_tostring/0",
}

// ordered are the replacements of functions whose results depend on the order of members.
var ordered = map[string]string{"tojson/0": "_tojson", "tostring/0": "_tostring", "@json": "_tojson", "@text": "_tostring"}

// overMembers are functions that treat an object as the array of its members.
var overMembers = []string{"add/0", "flatten/0", "flatten/1", "join/1"}

// charged returns a query that has the results of source and spends the work it does, and the strings in the query. A charge
// is a function that returns its input, so that it may be part of a path. If ordered is set, the order of members in the
// results is known, too.
func charged(source string, ordered bool) (*gojq.Query, map[string]bool, error) {
	c, q, err := chargeWith(source, ordered, ordered)
	if err == nil && c.asked && !ordered {
		c, q, err = chargeWith(source, true, false)
	}
	if err != nil {
		return nil, nil, err
	}
	added := make(map[string]bool)
	var definitions []*gojq.FuncDef
	var add func(names []string)
	add = func(names []string) {
		for _, name := range names {
			if !added[name] {
				added[name] = true
				add(c.known[name].needs)
				definitions = append(definitions, c.known[name].definition)
			}
		}
	}
	add(c.needs)
	return &gojq.Query{FuncDefs: definitions, Term: parenthesized(q)}, c.written, nil
}

// chargeWith inserts charges into a query and, if it depends on the order of members, the calls that keep it. ordered is set
// if the order of the result's own members counts as well.
func chargeWith(source string, asks, ordered bool) (*charger, *gojq.Query, error) {
	q, err := gojq.Parse(source)
	if err != nil {
		return nil, nil, err
	}
	c := &charger{known: builtins(), written: make(map[string]bool), asks: asks}
	if t, ok := soleTerm(q); ok && t.Type == gojq.TermTypeObject && !ordered {
		c.result = t.Object
	}
	q = c.query(q)
	return c, q, c.err
}

// charger inserts charges into a query.
type charger struct {
	known   map[string]builtin
	asks    bool            // the query depends on the order of members
	asked   bool            // something that depends on it was found
	written map[string]bool // texts of the query
	scope   []string        // functions that the query defines, where the charger is
	needs   []string        // functions of known that are called
	names   int             // our own variables so far
	result  *gojq.Object    // the query, if it is an object: the order of its members does not matter
	err     error
}

func signature(name string, arguments int) string { return name + "/" + strconv.Itoa(arguments) }

func (c *charger) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// within runs f in a scope of its own.
func (c *charger) within(f func()) {
	depth := len(c.scope)
	f()
	c.scope = c.scope[:depth]
}

func (c *charger) definition(d *gojq.FuncDef) {
	switch name := signature(d.Name, len(d.Args)); name {
	case "empty/0", "path/1", "getpath/1": // the charger calls them
		c.fail("function %s must not be redefined", name)
	default:
		c.scope = append(c.scope, name)
	}
	c.within(func() {
		for _, arg := range d.Args {
			c.scope = append(c.scope, signature(trimDollar(arg), 0))
		}
		d.Body = c.query(d.Body)
	})
}

func trimDollar(name string) string {
	if name[0] == '$' {
		return name[1:]
	}
	return name
}

func (c *charger) query(q *gojq.Query) *gojq.Query {
	if q == nil {
		return nil
	}
	if len(q.Imports) > 0 {
		c.fail("modules are not available")
	}
	definitions := q.FuncDefs
	q.FuncDefs = nil
	c.within(func() {
		for _, d := range definitions {
			c.definition(d)
		}
		switch {
		case q.Term != nil:
			q.Term = c.term(q.Term)
		case q.Op != 0:
			for _, p := range q.Patterns {
				c.pattern(p)
			}
			q = c.operation(q)
		}
	})
	q.FuncDefs = definitions
	return q
}

func (c *charger) pattern(p *gojq.Pattern) {
	for _, element := range p.Array {
		c.pattern(element)
	}
	for _, member := range p.Object {
		if member.KeyQuery != nil || member.KeyString != nil && member.KeyString.Queries != nil {
			c.fail("patterns with computed keys are not available")
		}
		if member.Val != nil {
			c.pattern(member.Val)
		}
	}
}

// operation charges an operator.
func (c *charger) operation(q *gojq.Query) *gojq.Query {
	switch q.Op {
	case gojq.OpAssign, gojq.OpModify:
		return c.update(q)
	case gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		x := c.variable()
		op := map[gojq.Operator]gojq.Operator{
			gojq.OpUpdateAdd: gojq.OpAdd, gojq.OpUpdateSub: gojq.OpSub, gojq.OpUpdateMul: gojq.OpMul,
			gojq.OpUpdateDiv: gojq.OpDiv, gojq.OpUpdateMod: gojq.OpMod, gojq.OpUpdateAlt: gojq.OpAlt,
		}[q.Op]
		update := &gojq.Query{Left: q.Left, Op: gojq.OpModify, Right: &gojq.Query{Left: identity(), Op: op, Right: call(x)}}
		return bind(c.query(q.Right), x, c.operation(update))
	}
	q.Left, q.Right = c.query(q.Left), c.query(q.Right)
	l, r := isConstant(q.Left), isConstant(q.Right)
	numbers := isNumber(q.Left) || isNumber(q.Right)
	switch q.Op {
	case gojq.OpAdd:
		switch {
		case numbers:
		case c.asks && !l && !r:
			return c.bound(q, "made")
		default:
			return pipe(q, charge("made"))
		}
	case gojq.OpSub:
		if !numbers {
			return c.bound(q, "subtract")
		}
	case gojq.OpMul:
		if !isNumber(q.Left) || !isNumber(q.Right) {
			return c.bound(q, "multiply")
		}
	case gojq.OpDiv:
		if !numbers {
			return c.bound(q, "divide")
		}
	case gojq.OpEq, gojq.OpNe, gojq.OpGt, gojq.OpLt, gojq.OpGe, gojq.OpLe:
		if !l && !r {
			q.Left, q.Right = pipe(q.Left, charge("all")), pipe(q.Right, charge("all"))
		}
	}
	return q
}

// bound charges an operator for the values of its operands.
func (c *charger) bound(q *gojq.Query, name string) *gojq.Query {
	op := q.Op
	return c.values([]*gojq.Query{q.Left, q.Right}, func(args []*gojq.Query) *gojq.Query {
		q := &gojq.Query{Left: args[0], Op: op, Right: args[1]}
		switch op {
		case gojq.OpAdd:
			q = pipe(q, charge(name))
		default:
			q = pipe(charge(name, args...), q)
		}
		if c.asks && (op == gojq.OpAdd || op == gojq.OpMul) {
			q = pipe(q, call("_changed", args...))
		}
		return q
	})
}

// values passes the values of arguments to f, in the order in which the interpreter evaluates them: those of the last
// argument change the slowest.
func (c *charger) values(args []*gojq.Query, f func([]*gojq.Query) *gojq.Query) *gojq.Query {
	values := slices.Clone(args)
	names := make([]string, len(args))
	for i, arg := range args {
		if !isConstant(arg) && !isVariable(arg) {
			names[i] = c.variable()
			values[i] = call(names[i])
		}
	}
	q := f(values)
	for i, name := range names {
		if name != "" {
			q = bind(args[i], name, q)
		}
	}
	return q
}

// update charges l = r and l |= r.
func (c *charger) update(q *gojq.Query) *gojq.Query {
	path, simple := simplePath(q.Left)
	every := isEvery(q.Left)
	q.Right = c.query(q.Right)
	switch {
	case simple:
		return c.changed(pipe(charge("set", path), q))
	case every:
		return c.changed(pipe(charge("iterate"), q))
	}
	root := c.variable()
	q.Left = call("getpath", pipe(call("path", c.query(q.Left)), charge("touch", call(root))))
	return bind(identity(), root, c.changed(pipe(charge("untouch"), q)))
}

// changed notes that a query changes its input.
func (c *charger) changed(q *gojq.Query) *gojq.Query {
	if !c.asks {
		return q
	}
	before := c.variable()
	return bind(identity(), before, pipe(q, call("_changed", call(before))))
}

// simplePath returns the path .a.b as an array.
func simplePath(q *gojq.Query) (*gojq.Query, bool) {
	names, ok := appendPath(nil, q)
	if !ok || len(names) == 0 {
		return nil, false
	}
	return texts(names), true
}

// texts returns an array of strings.
func texts(names []string) *gojq.Query {
	var list *gojq.Query
	for _, name := range names {
		element := literal(name)
		if list != nil {
			element = &gojq.Query{Left: list, Op: gojq.OpComma, Right: element}
		}
		list = element
	}
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeArray, Array: &gojq.Array{Query: list}}}
}

// isEvery reports whether a query is the path .[].
func isEvery(q *gojq.Query) bool {
	return q.Term != nil && !declares(q) && q.Term.Type == gojq.TermTypeIdentity && len(q.Term.SuffixList) == 1 && q.Term.SuffixList[0].Iter
}

// term charges a term and what follows it.
func (c *charger) term(t *gojq.Term) *gojq.Term {
	suffixes := t.SuffixList
	t.SuffixList = nil
	if t.Type == gojq.TermTypeIndex { // as a suffix of "."
		suffixes = append([]*gojq.Suffix{{Index: t.Index}}, suffixes...)
		t = &gojq.Term{Type: gojq.TermTypeIdentity}
	} else {
		t = c.base(t)
	}
	for i := 0; i < len(suffixes); i++ {
		s := suffixes[i]
		optional := i+1 < len(suffixes) && suffixes[i+1].Optional
		switch {
		case s.Iter && optional:
			c.asked = true
			t = parenthesized(pipe(&gojq.Query{Term: with(t, "iterate")}, &gojq.Query{Term: suffixed(each(s), suffixes[i+1])}))
			i++
		case s.Iter:
			c.asked = true
			t = parenthesized(pipe(&gojq.Query{Term: with(t, "iterate")}, &gojq.Query{Term: each(s)}))
		case s.Optional && i > 0 && !suffixes[i-1].Optional:
			t = suffixed(t, s)
		case s.Optional:
			t = c.try(&gojq.Query{Term: t})
		case isName(s.Index) && optional:
			t = suffixed(with(t, "member"), s)
		case isName(s.Index):
			t = suffixed(t, s)
		case optional && i > 0: // the interpreter evaluates the value before the try, and takes the key from it
			t = parenthesized(pipe(&gojq.Query{Term: t}, &gojq.Query{Term: c.try(c.index(&gojq.Term{Type: gojq.TermTypeIdentity}, s.Index))}))
			i++
		case optional:
			t = c.try(c.index(t, s.Index))
			i++
		default:
			t = c.index(t, s.Index).Term
		}
	}
	return t
}

// each is .[] in jq's order.
func each(s *gojq.Suffix) *gojq.Term {
	member := &gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Start: call("_names")}}
	return parenthesized(&gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIf, If: &gojq.If{
		Cond: call("_is_object"), Then: &gojq.Query{Term: member}, Else: &gojq.Query{Term: suffixed(&gojq.Term{Type: gojq.TermTypeIdentity}, s)},
	}}})
}

func isName(x *gojq.Index) bool { return x.Name != "" || x.Str != nil && x.Str.Queries == nil }

// index charges t[x].
func (c *charger) index(t *gojq.Term, x *gojq.Index) *gojq.Query {
	if x.IsSlice {
		x.Start, x.End = c.query(x.Start), c.query(x.End)
		return &gojq.Query{Term: suffixed(with(t, "slice"), &gojq.Suffix{Index: x})}
	}
	key := c.query(x.Start)
	if x.Str != nil {
		key = &gojq.Query{Term: c.interpolated(&gojq.Term{Type: gojq.TermTypeString, Str: x.Str})}
	}
	return parenthesize(c.values([]*gojq.Query{key}, func(args []*gojq.Query) *gojq.Query {
		return &gojq.Query{Term: suffixed(with(t, "index", args[0]), &gojq.Suffix{Index: &gojq.Index{Start: args[0]}})}
	}))
}

// try returns a term that has no results if the query fails.
func (c *charger) try(q *gojq.Query) *gojq.Term {
	return &gojq.Term{Type: gojq.TermTypeTry, Try: c.caught(&gojq.Try{Body: q})}
}

// caught charges the errors that a try catches.
func (c *charger) caught(t *gojq.Try) *gojq.Try {
	handler := t.Catch
	if handler == nil {
		handler = call("empty")
	}
	t.Catch = pipe(charge("caught"), handler)
	return t
}

// base charges a term without what follows it.
func (c *charger) base(t *gojq.Term) *gojq.Term {
	switch t.Type {
	case gojq.TermTypeRecurse:
		c.need("recurse/0")
	case gojq.TermTypeFunc:
		return c.call(t)
	case gojq.TermTypeObject:
		for _, m := range t.Object.KeyVals {
			if m.KeyString != nil {
				c.text(m.KeyString, "_tostring")
			}
			m.KeyQuery, m.Val = c.query(m.KeyQuery), c.query(m.Val)
		}
		if t.Object != c.result && c.asks {
			return written(t)
		}
	case gojq.TermTypeArray:
		t.Array.Query = c.query(t.Array.Query)
	case gojq.TermTypeUnary:
		t.Unary.Term = c.term(t.Unary.Term)
	case gojq.TermTypeFormat:
		return c.format(t)
	case gojq.TermTypeString:
		return c.interpolated(t)
	case gojq.TermTypeIf:
		c.branches(t.If)
	case gojq.TermTypeTry:
		t.Try.Body, t.Try.Catch = c.query(t.Try.Body), c.query(t.Try.Catch)
		t.Try = c.caught(t.Try)
	case gojq.TermTypeReduce:
		c.patterns(t.Reduce.Patterns)
		t.Reduce.Query, t.Reduce.Start, t.Reduce.Update = c.query(t.Reduce.Query), c.query(t.Reduce.Start), c.query(t.Reduce.Update)
	case gojq.TermTypeForeach:
		c.patterns(t.Foreach.Patterns)
		t.Foreach.Query, t.Foreach.Start = c.query(t.Foreach.Query), c.query(t.Foreach.Start)
		t.Foreach.Update, t.Foreach.Extract = c.query(t.Foreach.Update), c.query(t.Foreach.Extract)
	case gojq.TermTypeLabel:
		t.Label.Body = c.query(t.Label.Body)
	case gojq.TermTypeQuery:
		t.Query = c.query(t.Query)
	}
	return t
}

func (c *charger) patterns(patterns []*gojq.Pattern) {
	for _, p := range patterns {
		c.pattern(p)
	}
}

func (c *charger) branches(i *gojq.If) {
	i.Cond, i.Then, i.Else = c.query(i.Cond), c.query(i.Then), c.query(i.Else)
	for _, e := range i.Elif {
		e.Cond, e.Then = c.query(e.Cond), c.query(e.Then)
	}
}

// written notes the order of the members of an object whose names are constant.
func written(t *gojq.Term) *gojq.Term {
	var names []string
	for _, m := range t.Object.KeyVals {
		name, ok := memberName(m)
		if m.Val == nil && strings.HasPrefix(m.Key, "$") { // {$a} is {a:$a}
			name, ok = m.Key[1:], true
		}
		switch {
		case !ok:
			return t
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	if len(names) < 2 {
		return t
	}
	return call("_wrote", texts(names), &gojq.Query{Term: t}).Term
}

// format charges @name and @name "...".
func (c *charger) format(t *gojq.Term) *gojq.Term {
	c.asked = true
	before, replaced := ordered[t.Format]
	switch t.Format {
	case "@csv", "@tsv", "@sh": // have no objects
	default:
		if !replaced {
			before = "_tostring"
		}
	}
	if t.Str == nil {
		q := &gojq.Query{Term: t}
		if replaced {
			return call(before).Term
		}
		if before != "" {
			q = pipe(call(before), q)
		}
		return parenthesized(pipe(charge("format/1"), q))
	}
	if replaced { // its parts become strings
		t = &gojq.Term{Type: gojq.TermTypeString, Str: t.Str}
	}
	return c.interpolatedWith(t, before)
}

// interpolated charges a string with \(...).
func (c *charger) interpolated(t *gojq.Term) *gojq.Term { return c.interpolatedWith(t, "_tostring") }

// interpolatedWith is interpolated with a function that is applied to each part.
func (c *charger) interpolatedWith(t *gojq.Term, function string) *gojq.Term {
	c.text(t.Str, function)
	if t.Str.Queries == nil {
		return t
	}
	c.asked = true
	return parenthesized(pipe(&gojq.Query{Term: t}, charge("made")))
}

func (c *charger) text(s *gojq.String, function string) {
	if c.written != nil {
		c.written[s.Str] = true
	}
	for _, part := range s.Queries {
		if part.Term.Str == nil {
			part.Term = parenthesized(pipe(c.query(&gojq.Query{Term: part.Term}), charge("format/1")))
			if function != "" {
				part.Term = parenthesized(pipe(&gojq.Query{Term: part.Term}, call(function)))
			}
		}
	}
}

// textual are the functions with a simpler form for a second argument that is a string.
var textual = map[string]string{"sub": "_sub_text", "gsub": "_gsub_text"}

// call charges a call of a function.
func (c *charger) call(t *gojq.Term) *gojq.Term {
	f := t.Func
	if f.Name[0] == '$' || f.Name == "env" && len(f.Args) == 0 {
		return t
	}
	name := signature(f.Name, len(f.Args))
	for i, arg := range f.Args {
		f.Args[i] = c.query(arg)
	}
	if slices.Contains(c.scope, name) {
		return t
	}
	if simpler, ok := textual[f.Name]; ok && len(f.Args) >= 2 && isText(f.Args[1]) {
		f.Name = simpler
		name = signature(simpler, len(f.Args))
	}
	if _, ok := c.known[name]; ok {
		c.need(name)
		return t
	}
	if slices.Contains(own, name) {
		c.asked = c.asked || name == "_names/0"
		return t
	}
	if replacement, ok := ordered[name]; ok {
		c.asked = true
		return call(replacement).Term
	}
	n, ok := natives[name]
	if !ok {
		c.fail("function %s is not available", name)
		return t
	}
	return c.native(t, name, n)
}

func (c *charger) native(t *gojq.Term, name string, n native) *gojq.Term {
	f := t.Func
	q := &gojq.Query{Term: t}
	if n.charge != nil && !(n.constant && !slices.ContainsFunc(f.Args, func(arg *gojq.Query) bool { return !isConstant(arg) })) {
		q = c.values(f.Args, func(args []*gojq.Query) *gojq.Query {
			return pipe(charge(name, args...), call(f.Name, args...))
		})
	}
	if n.made != "" {
		q = pipe(q, charge(n.made))
	}
	switch {
	case name == "add/0" && c.asks:
		of := c.variable()
		q = pipe(call("_members"), bind(identity(), of, pipe(q, call("_added", call(of)))))
	case name == "fromjson/0" && c.asks:
		text := c.variable()
		q = bind(identity(), text, pipe(q, call("_parsed", call(text))))
	case slices.Contains(overMembers, name):
		c.asked = true
		q = pipe(call("_members"), q)
	case name == "setpath/2" || name == "delpaths/1":
		q = c.changed(q)
	}
	if q.Term == t {
		return t
	}
	return parenthesized(q)
}

func (c *charger) need(name string) {
	c.asked = c.asked || c.known[name].asks
	if !slices.Contains(c.scope, name) && !slices.Contains(c.needs, name) {
		c.needs = append(c.needs, name)
	}
}

// variable returns a name that no query can have.
func (c *charger) variable() string {
	c.names++
	return "$ " + strconv.Itoa(c.names)
}

// chargeOptions returns the charges as functions.
func chargeOptions(w *work) []gojq.CompilerOption {
	var options []gojq.CompilerOption
	add := func(name string, f func(*work, any, []any)) {
		options = append(options, gojq.WithFunction(chargeName(name), 0, 2, func(v any, args []any) any {
			if f(w, v, args); w.left < 0 {
				return errTooExpensive
			}
			return v
		}))
	}
	for name, f := range charges {
		add(name, f)
	}
	for name, n := range natives {
		if n.charge != nil {
			add(name, n.charge)
		}
	}
	return options
}

func chargeName(name string) string { return "charge " + name }

func charge(name string, args ...*gojq.Query) *gojq.Query { return call(chargeName(name), args...) }

func call(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

func pipe(l, r *gojq.Query) *gojq.Query { return &gojq.Query{Left: l, Op: gojq.OpPipe, Right: r} }

func bind(q *gojq.Query, variable string, body *gojq.Query) *gojq.Query {
	return &gojq.Query{Left: q, Patterns: []*gojq.Pattern{{Name: variable}}, Op: gojq.OpPipe, Right: body}
}

func identity() *gojq.Query { return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}} }

func literal(text string) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeString, Str: &gojq.String{Str: text}}}
}

func parenthesized(q *gojq.Query) *gojq.Term { return &gojq.Term{Type: gojq.TermTypeQuery, Query: q} }

// parenthesize turns a query into a term.
func parenthesize(q *gojq.Query) *gojq.Query {
	if q.Term != nil && len(q.FuncDefs) == 0 {
		return q
	}
	return &gojq.Query{Term: parenthesized(q)}
}

// with charges the value of a term.
func with(t *gojq.Term, name string, args ...*gojq.Query) *gojq.Term {
	if t.Type == gojq.TermTypeIdentity && len(t.SuffixList) == 0 {
		return parenthesized(charge(name, args...))
	}
	return parenthesized(pipe(&gojq.Query{Term: t}, charge(name, args...)))
}

// suffixed returns t with one more suffix.
func suffixed(t *gojq.Term, s *gojq.Suffix) *gojq.Term {
	made := *t
	made.SuffixList = append(slices.Clip(t.SuffixList), s)
	return &made
}

func isVariable(q *gojq.Query) bool {
	t, ok := soleTerm(q)
	return ok && t.Type == gojq.TermTypeFunc && t.Func.Name[0] == '$' && len(t.SuffixList) == 0
}

func isText(q *gojq.Query) bool {
	_, ok := plainString(q)
	return ok
}

func isNumber(q *gojq.Query) bool {
	t, ok := soleTerm(q)
	if !ok || len(t.SuffixList) > 0 {
		return false
	}
	if t.Type == gojq.TermTypeUnary {
		t = t.Unary.Term
	}
	return t.Type == gojq.TermTypeNumber && len(t.SuffixList) == 0
}

// isConstant reports whether a query is a literal: a number, a string, null, true or false.
func isConstant(q *gojq.Query) bool {
	if isNumber(q) || isText(q) {
		return true
	}
	t, ok := soleTerm(q)
	return ok && len(t.SuffixList) == 0 && (t.Type == gojq.TermTypeNull || t.Type == gojq.TermTypeTrue || t.Type == gojq.TermTypeFalse)
}
