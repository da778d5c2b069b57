package table

import (
	"slices"
	"strings"

	"aws-streaming-pipeline/record/schema"
)

// maxLearned bounds the top-level columns that one file proposes. Later files propose the others.
const maxLearned = 100

// Extras are the keys of _extra in records of a file, as far as WantedBy needs them.
type Extras map[string]bool

const (
	maxExtras   = 1000
	maxExtraKey = 1024
)

// Add adds a key, and keeps nothing of it. Pointers that differ in numbers alone count as one: those are mostly the indexes of
// a list. Keys beyond a bound are left out.
func (e Extras) Add(key []byte) {
	if len(key) > maxExtraKey {
		return
	}
	text := string(key)
	if strings.HasPrefix(text, "/") {
		tokens := strings.Split(text, "/")
		for i, token := range tokens {
			if token != "" && strings.Trim(token, "0123456789") == "" {
				tokens[i] = anyToken
			}
		}
		text = strings.Join(tokens, "/")
	}
	if len(e) < maxExtras {
		e[text] = true
	}
}

// anyToken stands for a number in a pointer.
const anyToken = "*"

// WantedBy returns the columns that an inferred schema has and the table lacks, or has with a narrower type, as far as their
// members are in the extras of a file. Members of more than one type get no column.
func (v *View) WantedBy(inferred *schema.Schema, extras Extras) []Column {
	m := &matcher{dropped: v.Dropped}
	fields := slices.DeleteFunc(typed(inferred.Fields), func(f *schema.Field) bool {
		return slices.ContainsFunc(ownColumns, func(c Column) bool { return strings.EqualFold(c.Name, f.Name) })
	})
	_, all := m.match(v.membersColumns(), fields, "") // what the table requires was checked by NewView
	wanted := pruned(all, tokensOf(extras))
	return wanted[:min(len(wanted), maxLearned)]
}

// typed returns the fields without those of more than one type.
func typed(fields []*schema.Field) (kept []*schema.Field) {
	for _, f := range fields {
		if f = typedField(f); f != nil {
			kept = append(kept, f)
		}
	}
	return kept
}

func typedField(f *schema.Field) *schema.Field {
	kept := *f
	switch f.Kind {
	case schema.JSON:
		return nil
	case schema.Group:
		if kept.Fields = typed(f.Fields); len(kept.Fields) == 0 {
			return nil
		}
	case schema.List:
		if kept.Element = typedField(f.Element); kept.Element == nil {
			return nil
		}
	}
	return &kept
}

// tokensOf splits keys of _extra: names of top-level members, or JSON Pointers.
func tokensOf(extras Extras) (all [][]string) {
	for key := range extras {
		all = append(all, []string{key})
		if pointer, ok := strings.CutPrefix(key, "/"); ok {
			tokens := strings.Split(pointer, "/")
			for i := range tokens {
				tokens[i] = unescapePointer.Replace(tokens[i])
			}
			all = append(all, tokens)
		}
	}
	return all
}

var unescapePointer = strings.NewReplacer("~1", "/", "~0", "~")

// pruned returns the columns that one of the keys leads to, or to which a key leads from above.
func pruned(columns []Column, keys [][]string) (kept []Column) {
	for _, c := range columns {
		if c, ok := c.pruned(below(keys, func(token string) bool { return token == c.Member || token == anyToken })); ok {
			kept = append(kept, c)
		}
	}
	return kept
}

// below returns what follows a token in the keys that begin with it.
func below(keys [][]string, is func(token string) bool) (rest [][]string) {
	for _, key := range keys {
		if len(key) > 0 && is(key[0]) {
			rest = append(rest, key[1:])
		}
	}
	return rest
}

// pruned returns the parts of a column that the keys lead to. keys begin below the column.
func (c Column) pruned(keys [][]string) (Column, bool) {
	switch {
	case slices.ContainsFunc(keys, func(key []string) bool { return len(key) == 0 }):
		return c, true
	case len(keys) == 0:
		return c, false
	case c.Type == "struct":
		c.Fields = pruned(c.Fields, keys)
		return c, len(c.Fields) > 0
	case c.Element != nil:
		element, ok := c.Element.pruned(below(keys, func(string) bool { return true }))
		c.Element = &element
		return c, ok
	}
	return c, false
}
