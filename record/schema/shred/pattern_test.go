package shred

import (
	"math/rand/v2"
	"regexp"
	"testing"
)

func TestPattern_AgreesWithRegexp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	letters := []string{"0", "7", "a", "b", "z", "A", "Z", "-", "_", ".", "u", "é", "\n", "\xff", "x1"}
	for _, expression := range []string{
		`^[0-9]+$`, `^u[0-9]{2}$`, `^[A-Z]{1,2}-[0-9]*$`, `^a?b?[-_]$`, `^\d\.\d+$`, `^a{2,}b$`, `^[a-z]*[A-Z]*[0-9]*$`, `^(?:a)b*$`, `^a*?b$`, `^a{0}$`,
	} {
		p, want := newPattern(expression), regexp.MustCompile(expression)
		if p == nil {
			t.Errorf("%s is not taken for simple", expression)
			continue
		}
		matched := 0
		for range 50_000 {
			text := ""
			for range r.IntN(7) {
				text += letters[r.IntN(len(letters))]
			}
			got := p.match([]byte(text))
			if got != want.MatchString(text) {
				t.Fatalf("%s on %q: %v", expression, text, got)
			}
			if got {
				matched++
			}
		}
		if matched == 0 {
			t.Errorf("%s matched nothing", expression)
		}
	}
}

// What depends on trying, on case, on places within the text or on characters beyond ASCII is regexp's.
func TestPattern_LeavesTheRestToRegexp(t *testing.T) {
	for _, expression := range []string{
		`[0-9]+`, `^[0-9]+`, `[0-9]+$`, `^[0-9]+[0-9]$`, `^[a-z]*b$`, `^a?[ab]c$`, `^(?i)abc$`, `^[^a]$`, `^é$`, `^.$`, `^a|b$`, `^(ab)+$`,
		`(?m)^a$`, `^a\b$`, `^$`, ``, `^[a-z]?[0-9]?[a-z]$`, `^[`,
	} {
		if newPattern(expression) != nil {
			t.Errorf("%s is taken for simple", expression)
		}
	}
}
