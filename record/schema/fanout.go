package schema

import (
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// effortOf is how many subschemas may be applied to each value of a record: twice as many as the schema applies to any
// one value if references are followed round once, and one more for each uniqueItems. No record comes to that unless
// the schema's references fan out at each round, as those of a tree with two branches do that both look at the same child.
func effortOf(s *jsonschema.Schema) int {
	unique := 0
	eachSchema(s, func(s *jsonschema.Schema) {
		for _, extension := range s.Extensions {
			if _, ok := extension.(uniqueItems); ok {
				unique++
			}
		}
	})
	f := fanOut{below: map[*jsonschema.Schema][]int{}, open: map[*jsonschema.Schema]bool{}}
	return 2*slices.Max(f.counts(s)) + unique
}

// fanOut counts the subschemas that are applied to one value.
type fanOut struct {
	below map[*jsonschema.Schema][]int // what counts has found
	open  map[*jsonschema.Schema]bool  // schemas around the one under way
}

// mostFanOut ends the counting where a document unfolds into more than anyone has written.
const mostFanOut = 1 << 20

// counts returns how many subschemas are applied to a value and, at most, to each value at each depth below it.
func (f *fanOut) counts(s *jsonschema.Schema) []int {
	if known, ok := f.below[s]; ok {
		return known
	}
	if f.open[s] {
		return []int{f.atOnce(s, map[*jsonschema.Schema]bool{})}
	}
	f.open[s] = true
	defer delete(f.open, s)
	var child []int
	for _, sub := range alternatives(s) {
		child = combine(child, f.counts(sub), func(a, b int) int { return max(a, b) })
	}
	for _, sub := range everyChild(s) {
		child = combine(child, f.counts(sub), add)
	}
	sum := append([]int{1}, child...)
	for _, sub := range sameValue(s) {
		sum = combine(sum, f.counts(sub), add)
	}
	f.below[s] = sum
	return sum
}

// atOnce counts the subschemas that are applied to the value itself.
func (f *fanOut) atOnce(s *jsonschema.Schema, open map[*jsonschema.Schema]bool) int {
	if open[s] {
		return 1
	}
	open[s] = true
	defer delete(open, s)
	sum := 1
	for _, sub := range sameValue(s) {
		sum = add(sum, f.atOnce(sub, open))
	}
	return sum
}

func add(a, b int) int { return min(a+b, mostFanOut) }

func combine(a, b []int, of func(a, b int) int) []int {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i := range b {
		out[i] = of(a[i], b[i])
	}
	return out
}

// eachSchema visits a schema and all that it leads to, each once.
func eachSchema(s *jsonschema.Schema, visit func(*jsonschema.Schema)) {
	seen := map[*jsonschema.Schema]bool{}
	var walk func(*jsonschema.Schema)
	walk = func(s *jsonschema.Schema) {
		if seen[s] {
			return
		}
		seen[s] = true
		visit(s)
		for _, sub := range slices.Concat(sameValue(s), alternatives(s), everyChild(s)) {
			walk(sub)
		}
	}
	walk(s)
}

// sameValue are the subschemas that are applied to the value itself.
func sameValue(s *jsonschema.Schema) []*jsonschema.Schema {
	all := slices.Concat([]*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else}, s.AllOf, s.AnyOf, s.OneOf)
	if s.DynamicRef != nil {
		all = append(all, s.DynamicRef.Ref)
	}
	all = slices.AppendSeq(all, maps.Values(s.DependentSchemas))
	for _, dependency := range s.Dependencies {
		all = append(all, schemasIn(dependency)...)
	}
	return present(all)
}

// alternatives are those of which one at most is applied to a member or an element.
func alternatives(s *jsonschema.Schema) []*jsonschema.Schema {
	return present(slices.Concat(slices.Collect(maps.Values(s.Properties)), s.PrefixItems, schemasIn(s.Items)))
}

// everyChild are those that each may be applied to a member, an element or a name.
func everyChild(s *jsonschema.Schema) []*jsonschema.Schema {
	return present(slices.Concat(slices.Collect(maps.Values(s.PatternProperties)),
		schemasIn(s.AdditionalProperties), schemasIn(s.AdditionalItems), []*jsonschema.Schema{
			s.UnevaluatedProperties, s.PropertyNames, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
		}))
}

// schemasIn are those that a keyword of several forms has.
func schemasIn(keyword any) []*jsonschema.Schema {
	switch v := keyword.(type) {
	case *jsonschema.Schema:
		return []*jsonschema.Schema{v}
	case []*jsonschema.Schema:
		return v
	}
	return nil
}

func present(all []*jsonschema.Schema) []*jsonschema.Schema {
	return slices.DeleteFunc(all, func(s *jsonschema.Schema) bool { return s == nil })
}
