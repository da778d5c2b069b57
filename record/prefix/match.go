package prefix

import (
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// pattern is a regular expression of a query.
type pattern struct {
	*regexp.Regexp
	// after finds the first match after one character, which is context for ^ and \b. The match is the first group.
	after *regexp.Regexp
	// at matches one character and the expression directly after it.
	at *regexp.Regexp

	perCharacter int  // cost of each character that is read
	perMatch     int  // additional cost of a match
	near         bool // a match is found without reading more than a few characters after it
	mayBeEmpty   bool
}

// patternKey is an expression and its flags, without g.
type patternKey struct {
	text             string
	anyCase, newline bool
}

func newPattern(key patternKey) (*pattern, error) {
	text := key.text
	if key.anyCase {
		text = "(?i)" + text
	}
	if key.newline {
		text = "(?s)" + text
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression %q: %s", text, err)
	}
	p := &pattern{Regexp: re}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	parsed = parsed.Simplify()
	program, err := syntax.Compile(parsed)
	if err != nil {
		return nil, err
	}
	p.perCharacter = 2 + len(program.Inst)/16
	p.perMatch = 2 + re.NumSubexp()
	p.near, p.mayBeEmpty = isNear(parsed), mayBeEmpty(parsed)
	if p.after, err = regexp.Compile(`\A(?s:.)(?s:.*?)(` + text + `)`); err == nil {
		p.at, err = regexp.Compile(`\A(?s:.)(` + text + `)`)
	}
	return p, err
}

// isNear reports whether the only unbounded repetition of an expression is that of a character at its end: whatever is
// read for a match then belongs to it.
func isNear(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpCapture:
		return isNear(re.Sub[0])
	case syntax.OpStar, syntax.OpPlus:
		return isCharacter(re.Sub[0])
	case syntax.OpConcat:
		last := len(re.Sub) - 1
		for _, sub := range re.Sub[:last] {
			if !isFinite(sub) {
				return false
			}
		}
		return isNear(re.Sub[last])
	}
	return isFinite(re)
}

func isCharacter(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) == 1
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	}
	return false
}

func isFinite(re *syntax.Regexp) bool {
	if re.Op == syntax.OpStar || re.Op == syntax.OpPlus {
		return false
	}
	for _, sub := range re.Sub {
		if !isFinite(sub) {
			return false
		}
	}
	return true
}

func mayBeEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) == 0
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpNoMatch:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return mayBeEmpty(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !mayBeEmpty(sub) {
				return false
			}
		}
		return true
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if mayBeEmpty(sub) {
				return true
			}
		}
		return false
	}
	return true
}

// find returns the offsets of the first match and its groups, or those of every match if all is set, like gojq's: unlike
// in regexp, an empty match may directly follow a match. It spends what it reads: an expression such as a.*b|a reads to
// the end of the string for each of its matches.
func (p *pattern) find(w *work, s string, all bool) [][]int {
	switch {
	case !all:
		w.multiply(len(s), p.perCharacter)
		if w.left < 0 {
			return nil
		}
		if m := p.FindStringSubmatchIndex(s); m != nil {
			return [][]int{m}
		}
		return nil
	case p.near && !p.mayBeEmpty:
		w.multiply(len(s), p.perCharacter)
		if w.left < 0 {
			return nil
		}
		found := p.FindAllStringSubmatchIndex(s, w.left/p.perMatch+1)
		w.multiply(len(found), p.perMatch)
		return found
	}
	var found [][]int
	for pos, end := 0, -1; pos <= len(s); {
		m := p.next(w, s, pos)
		if m == nil || !w.spend(p.perMatch) {
			break
		}
		if m[0] != m[1] || m[0] != end {
			found = append(found, m)
		}
		if end = m[1]; end > pos {
			pos = end
		} else {
			_, width := utf8.DecodeRuneInString(s[pos:])
			pos += max(width, 1)
		}
		if m[0] == m[1] || !p.mayBeEmpty {
			continue
		}
		if m := p.shift(p.at, w, s, end); m != nil && m[1] == end {
			found = append(found, m)
		}
	}
	return found
}

// next returns the first match at or after an offset.
func (p *pattern) next(w *work, s string, pos int) []int {
	if pos == 0 {
		return p.FindReaderSubmatchIndex(&characterReader{s: s, w: w, cost: p.perCharacter})
	}
	return p.shift(p.after, w, s, pos)
}

// shift applies an expression whose first group counts to the string from the character before an offset on.
func (p *pattern) shift(re *regexp.Regexp, w *work, s string, pos int) []int {
	_, width := utf8.DecodeLastRuneInString(s[:pos])
	start := pos - width
	m := re.FindReaderSubmatchIndex(&characterReader{s: s[start:], w: w, cost: p.perCharacter})
	if m == nil {
		return nil
	}
	m = m[2:]
	for i := range m {
		if m[i] >= 0 {
			m[i] += start
		}
	}
	return m
}

// characterReader spends what is read.
type characterReader struct {
	s    string
	w    *work
	cost int
}

func (r *characterReader) ReadRune() (rune, int, error) {
	if len(r.s) == 0 || !r.w.spend(r.cost) {
		return 0, 0, io.EOF
	}
	c, width := utf8.DecodeRuneInString(r.s)
	r.s = r.s[width:]
	return c, width, nil
}

// patterns are the regular expressions of a query.
type patterns struct {
	// written are the strings in the query: only their patterns are kept, since payloads could bring any number of them.
	written map[string]bool
	kept    map[patternKey]*pattern
}

// of returns the pattern that a call names, and the string it is applied to.
func (p *patterns) of(w *work, v, re, flags any) (*pattern, string, bool, error) {
	s, isText := v.(string)
	text, isPattern := re.(string)
	letters, isFlags := flags.(string)
	if !isText || !isPattern || !isFlags && flags != nil {
		return nil, "", false, fmt.Errorf("cannot match %s by %s with flags %s", gojq.TypeOf(v), gojq.TypeOf(re), gojq.TypeOf(flags))
	}
	all := strings.Contains(letters, "g")
	key := patternKey{text, strings.Contains(letters, "i"), strings.Contains(letters, "m")}
	if strings.Trim(letters, "gim") != "" {
		return nil, "", false, fmt.Errorf("unsupported regular expression flag: %q", letters)
	}
	if made := p.kept[key]; made != nil {
		return made, s, all, nil
	}
	if !p.written[text] && !w.multiply(50+len(text), 200) {
		return nil, "", false, errTooExpensive
	}
	made, err := newPattern(key)
	if err != nil {
		return nil, "", false, err
	}
	if p.written[text] {
		p.kept[key] = made
	}
	return made, s, all, nil
}

// options returns the functions in Go that replace the interpreter's.
func (p *patterns) options(w *work) []gojq.CompilerOption {
	find := func(v, re, flags any) (string, [][]int, *pattern, error) {
		made, s, all, err := p.of(w, v, re, flags)
		if err != nil {
			return "", nil, nil, err
		}
		found := made.find(w, s, all)
		return s, found, made, w.Err()
	}
	return []gojq.CompilerOption{
		gojq.WithFunction("_test", 2, 2, func(v any, args []any) any {
			made, s, _, err := p.of(w, v, args[0], args[1])
			if err != nil {
				return err
			}
			if !w.multiply(len(s), made.perCharacter) {
				return errTooExpensive
			}
			return made.MatchString(s)
		}),
		gojq.WithFunction("_matches", 2, 2, func(v any, args []any) any {
			s, found, made, err := find(v, args[0], args[1])
			if err != nil {
				return err
			}
			if !w.multiply(len(found), 10*(1+made.NumSubexp())) {
				return errTooExpensive
			}
			return matches(s, found, made.SubexpNames())
		}),
		gojq.WithFunction("_splits", 2, 2, func(v any, args []any) any {
			s, found, _, err := find(v, args[0], args[1])
			if err != nil {
				return err
			}
			return splits(s, found)
		}),
		gojq.WithFunction("_pieces", 2, 2, func(v any, args []any) any {
			s, found, made, err := find(v, args[0], args[1])
			if err != nil {
				return err
			}
			if !w.multiply(len(found), 5*(1+made.NumSubexp())) {
				return errTooExpensive
			}
			return pieces(s, found, made.SubexpNames())
		}),
		gojq.WithFunction("_join_pieces", 2, 2, func(v any, args []any) any {
			return joinPieces(w, v, args[0].([]any), args[1].(string))
		}),
		gojq.WithFunction("_replace", 3, 3, func(v any, args []any) any {
			s, found, _, err := find(v, args[0], args[2])
			if err != nil {
				return err
			}
			return replace(w, s, found, args[1].(string))
		}),
	}
}

// matches returns the objects that match yields. Their offsets and lengths are in characters, which are counted once.
func matches(s string, found [][]int, names []string) []any {
	objects := make([]any, len(found))
	counter := characterCounter{s: s}
	for i, m := range found {
		offset := counter.at(m[0])
		inside := characterCounter{s: s, offset: m[0], characters: offset}
		captures := make([]any, len(m)/2-1)
		for j := range captures {
			captures[j] = capture(s, m[2*j+2], m[2*j+3], names[j+1], inside)
		}
		objects[i] = map[string]any{
			"offset": offset, "length": counter.at(m[1]) - offset, "string": s[m[0]:m[1]], "captures": captures,
		}
	}
	return objects
}

func capture(s string, from, to int, name string, counter characterCounter) any {
	object := map[string]any{"name": nil, "offset": -1, "length": 0, "string": nil}
	if name != "" {
		object["name"] = name
	}
	if from >= 0 {
		offset := counter.at(from)
		object["offset"], object["length"], object["string"] = offset, counter.at(to)-offset, s[from:to]
	}
	return object
}

// characterCounter converts ascending offsets in bytes to offsets in characters.
type characterCounter struct {
	s                  string
	offset, characters int
}

func (c *characterCounter) at(offset int) int {
	c.characters += utf8.RuneCountInString(c.s[c.offset:offset])
	c.offset = offset
	return c.characters
}

// splits returns the parts of a string between matches.
func splits(s string, found [][]int) []any {
	parts := make([]any, 0, len(found)+1)
	next := 0
	for _, m := range found {
		parts = append(parts, s[next:m[0]])
		next = m[1]
	}
	return append(parts, s[next:])
}

// pieces returns the text before each match with its named groups, and the rest of the string.
func pieces(s string, found [][]int, names []string) []any {
	list := make([]any, len(found))
	next := 0
	for i, m := range found {
		groups := make(map[string]any)
		for j, name := range names {
			switch {
			case name == "":
			case m[2*j] < 0:
				groups[name] = nil
			default:
				groups[name] = s[m[2*j]:m[2*j+1]]
			}
		}
		list[i] = []any{s[next:m[0]], groups}
		next = m[1]
	}
	return []any{list, s[next:]}
}

// joinPieces assembles the results of sub: there are as many as the replacement yields for a match. Each piece is the text
// before a match, and the replacements.
func joinPieces(w *work, input any, pieces []any, rest string) any {
	var results []*strings.Builder
	for _, piece := range pieces {
		piece := piece.([]any)
		for i, replacement := range piece[1:] {
			if i == len(results) {
				results = append(results, &strings.Builder{})
			}
			text, ok := replacement.(string)
			if !ok && replacement != nil {
				return fmt.Errorf("cannot add: string and %s", gojq.TypeOf(replacement))
			}
			before := piece[0].(string)
			if !w.spend(1 + (len(before)+len(text))/8) {
				return errTooExpensive
			}
			results[i].WriteString(before)
			results[i].WriteString(text)
		}
	}
	if len(results) == 0 {
		return []any{input}
	}
	texts := make([]any, len(results))
	for i, b := range results {
		if !w.spend(len(rest) / 8) {
			return errTooExpensive
		}
		b.WriteString(rest)
		w.made(b.Len() / 8)
		texts[i] = b.String()
	}
	return texts
}

// replace is sub with a single string as replacement.
func replace(w *work, s string, found [][]int, text string) any {
	if !w.multiply(len(found), len(text)/8) || !w.spend(len(s)/8) {
		return errTooExpensive
	}
	var b strings.Builder
	next := 0
	for _, m := range found {
		b.WriteString(s[next:m[0]])
		b.WriteString(text)
		next = m[1]
	}
	b.WriteString(s[next:])
	w.made(b.Len() / 8)
	return b.String()
}
