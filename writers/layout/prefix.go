package layout

import (
	"slices"
	"strings"
)

// Fixed is the beginning of a prefix that has no expressions: all its keys begin with it.
func Fixed(prefix string) string {
	before, _, _ := strings.Cut(prefix, "!{")
	return before
}

// Disjoint drops prefixes that lie under others, and doubles.
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
