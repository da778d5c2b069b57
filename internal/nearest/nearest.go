// Package nearest finds the name that somebody meant who mistyped one.
package nearest

import "strings"

// To returns the name that a word is most likely a misspelling of, or "" if none is near: at most a third of its letters are wrong,
// missing, superfluous or swapped with their neighbour, or the word is the beginning of one name only. Case does not count.
func To(word string, names []string) string {
	word = strings.ToLower(word)
	if len(word) < 2 {
		return ""
	}
	best, least, begun := "", max(1, min(3, len(word)/3))+1, []string(nil)
	for _, name := range names {
		lower := strings.ToLower(name)
		if d := distance(word, lower); d < least {
			best, least = name, d
		}
		if len(word) > 2 && strings.HasPrefix(lower, word) {
			begun = append(begun, name)
		}
	}
	if len(begun) == 1 {
		return begun[0]
	}
	return best
}

// distance is the number of letters to change, insert, remove, or swap with their neighbour that turns a into b (the optimal string
// alignment distance).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			changed := last[j]
			if a[i] != b[j] {
				changed++
			}
			row[j+1] = min(changed, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
