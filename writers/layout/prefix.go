package layout

import (
	"slices"
	"strings"
)

// Fixed returns the part of a prefix before its first expression: all its keys begin with it.
func Fixed(prefix string) string {
	before, _, _ := strings.Cut(prefix, "!{")
	return before
}

// Apart reports whether no key can begin with both of two prefixes, by their fixed parts. Prefixes that begin with an expression
// are apart from others.
func Apart(a, b string) bool {
	a, b = Fixed(a), Fixed(b)
	return a == "" || b == "" || !strings.HasPrefix(a, b) && !strings.HasPrefix(b, a)
}

// Disjoint removes duplicates and prefixes that others cover.
func Disjoint(prefixes []string) []string {
	sorted := slices.Compact(slices.Sorted(slices.Values(prefixes)))
	var list []string
	for _, p := range sorted {
		if len(list) == 0 || !strings.HasPrefix(p, list[len(list)-1]) {
			list = append(list, p)
		}
	}
	return list
}
