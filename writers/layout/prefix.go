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
