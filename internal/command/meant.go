package command

import (
	"strings"

	"aws-streaming-pipeline/internal/spelling"
)

// Meant returns the name that somebody meant who typed a word: the only one that begins with it, or the one that differs from it by at
// most a third of its letters; "" if there is none. Case does not count.
func Meant(word string, names []string) string {
	word = strings.ToLower(word)
	if len(word) < 2 {
		return ""
	}
	as := make(map[string]string, len(names)) // as they are written, by the form in lower case
	var lower, begun []string
	for _, name := range names {
		l := strings.ToLower(name)
		as[l], lower = name, append(lower, l)
		if len(word) > 2 && strings.HasPrefix(l, word) {
			begun = append(begun, name)
		}
	}
	if len(begun) == 1 {
		return begun[0]
	}
	return as[spelling.Nearest(word, lower, max(1, min(3, len(word)/3)))]
}
