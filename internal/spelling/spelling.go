// Package spelling finds the name that somebody meant.
package spelling

// Nearest returns the candidate that differs from a name by the fewest changes, at most by that many; empty if there is none.
// A change inserts, deletes or replaces a character, or swaps two neighbours.
func Nearest(name string, candidates []string, most int) (like string) {
	fewest := most + 1
	for _, c := range candidates {
		if d := distance(name, c); d < fewest {
			fewest, like = d, c
		}
	}
	return like
}

// distance is the optimal string alignment distance of two names.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
