package shred

import (
	"regexp/syntax"
	"unicode/utf8"
)

// pattern is a regular expression of the simple kind that most schemas have: a whole text made of ASCII characters and
// classes of them, each so often, as ^[A-Z]{2}-[0-9]+$. It is matched byte by byte, at a tenth of regexp's cost.
type pattern []run

// run is a number of bytes of one set.
type run struct {
	set         [256]bool
	least, most int // most is -1 for any number
}

// newPattern returns nil for an expression that is not of this kind. Such a one is left to regexp.
func newPattern(expression string) pattern {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil || tree.Op != syntax.OpConcat {
		return nil
	}
	parts := tree.Sub
	if len(parts) < 3 || parts[0].Op != syntax.OpBeginText || parts[len(parts)-1].Op != syntax.OpEndText {
		return nil
	}
	var p pattern
	for _, part := range parts[1 : len(parts)-1] {
		runs := runsOf(part)
		if runs == nil {
			return nil
		}
		p = append(p, runs...)
	}
	for i := range p {
		if p[i].least != p[i].most && p.overlaps(i) {
			return nil
		}
	}
	return p
}

// overlaps reports whether a byte of a run of no fixed length may as well belong to what follows, so that matching it would
// have to try both.
func (p pattern) overlaps(i int) bool {
	for _, next := range p[i+1:] {
		for b := range next.set {
			if next.set[b] && p[i].set[b] {
				return true
			}
		}
		if next.least > 0 {
			return false
		}
	}
	return false
}

// runsOf returns nil for an expression that is not a run.
func runsOf(part *syntax.Regexp) []run {
	least, most := 1, 1
	switch part.Op {
	case syntax.OpPlus:
		most = -1
	case syntax.OpStar:
		least, most = 0, -1
	case syntax.OpQuest:
		least = 0
	case syntax.OpRepeat:
		least, most = part.Min, part.Max
	default:
		return fixedRuns(part)
	}
	runs := fixedRuns(part.Sub[0])
	if len(runs) != 1 {
		return nil
	}
	runs[0].least, runs[0].most = least, most
	return runs
}

func fixedRuns(part *syntax.Regexp) []run {
	switch part.Op {
	case syntax.OpLiteral:
		if part.Flags&syntax.FoldCase != 0 {
			return nil
		}
		var runs []run
		for _, r := range part.Rune {
			if r >= utf8.RuneSelf {
				return nil
			}
			one := run{least: 1, most: 1}
			one.set[r] = true
			runs = append(runs, one)
		}
		return runs
	case syntax.OpCharClass:
		one := run{least: 1, most: 1}
		for i := 0; i < len(part.Rune); i += 2 {
			if part.Rune[i+1] >= utf8.RuneSelf {
				return nil
			}
			for r := part.Rune[i]; r <= part.Rune[i+1]; r++ {
				one.set[r] = true
			}
		}
		return []run{one}
	}
	return nil
}

func (p pattern) match(text []byte) bool {
	at := 0
	for i := range p {
		r := &p[i]
		end := len(text)
		if r.most >= 0 {
			end = min(end, at+r.most)
		}
		start := at
		for at < end && r.set[text[at]] {
			at++
		}
		if at-start < r.least {
			return false
		}
	}
	return at == len(text)
}
