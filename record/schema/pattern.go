package schema

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// compilePattern compiles a regular expression as ECMA-262 (2025, section 22.2) reads it with the flag u, which is what JSON
// Schema (2020-12 core, section 6.4) asks for. What the linear-time engine of Go cannot match is refused by its name: look-ahead
// and look-behind, back references, the modifiers m and s, repetitions above 1,000.
func compilePattern(expression string) (*regexp.Regexp, error) {
	t := translation{from: []rune(expression)}
	if err := t.run(); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", expression, err)
	}
	compiled, err := regexp.Compile(t.to.String())
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", expression, err)
	}
	return compiled, nil
}

// Sets of ECMA-262 that Go's syntax has under another meaning or not at all, as the inside of a class. \s is WhiteSpace and
// LineTerminator (sections 12.2 and 12.3): Go's has five characters.
const (
	spaces     = `\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
	notSpaces  = `\x{0}-\x{8}\x{e}-\x{1f}!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
	everything = `\x{0}-\x{10ffff}`
	// anyButLineEnd is what a dot stands for.
	anyButLineEnd = `[^\n\r\x{2028}\x{2029}]`
)

// translation writes an expression of ECMA-262 in the syntax of package regexp.
type translation struct {
	from []rune
	at   int
	to   strings.Builder
}

func (t *translation) run() error {
	for t.at < len(t.from) {
		if err := t.term(); err != nil {
			return fmt.Errorf("%w, before character %d", err, t.at+1)
		}
	}
	return nil
}

// term translates the term at the cursor and moves past it.
func (t *translation) term() error {
	switch c := t.next(); c {
	case '\\':
		return t.escapedTerm()
	case '[':
		return t.class()
	case '(':
		return t.group()
	case '.':
		t.to.WriteString(anyButLineEnd)
	case '{':
		t.brace()
	case '^', '$', '|', ')', '*', '+', '?':
		t.to.WriteRune(c)
	default:
		t.to.WriteString(itself(c))
	}
	return nil
}

// next returns the character at the cursor and moves on; 0 at the end.
func (t *translation) next() rune {
	if t.at == len(t.from) {
		return 0
	}
	t.at++
	return t.from[t.at-1]
}

// take moves behind a text if it stands at the cursor.
func (t *translation) take(text string) bool {
	if !strings.HasPrefix(string(t.from[t.at:min(len(t.from), t.at+len(text))]), text) {
		return false
	}
	t.at += len(text) // the texts are ASCII
	return true
}

// itself writes one character so that it stands for itself, also within a class.
func itself(c rune) string {
	if unicode.IsLetter(c) || unicode.IsDigit(c) {
		return string(c)
	}
	return fmt.Sprintf(`\x{%x}`, c)
}

var quantifier = regexp.MustCompile(`^\{[0-9]+(,[0-9]*)?\}`)

// brace translates a quantifier; a brace that begins none stands for itself.
func (t *translation) brace() {
	q := quantifier.FindString(string(t.from[t.at-1:]))
	if q == "" {
		t.to.WriteString(itself('{'))
		return
	}
	t.to.WriteString(q)
	t.at += len(q) - 1
}

// groupName is that of a named group, which ends at a bracket. Nothing can refer to it.
var groupName = regexp.MustCompile(`^[\pL\p{Nl}$_][\pL\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}$\x{200c}\x{200d}]*>`)

// group translates the beginning of a group, behind its parenthesis.
func (t *translation) group() error {
	switch {
	case !t.take("?"):
		t.to.WriteString("(?:")
		return nil
	case t.take(":"):
		t.to.WriteString("(?:")
		return nil
	case t.take("i:"):
		t.to.WriteString("(?i:")
		return nil
	case t.take("-i:"):
		t.to.WriteString("(?-i:")
		return nil
	case t.take("=") || t.take("!"):
		return unsupported("a look-ahead")
	case t.take("<=") || t.take("<!"):
		return unsupported("a look-behind")
	case t.take("<"):
		name := groupName.FindString(string(t.from[t.at:]))
		if name == "" {
			return fmt.Errorf("a group's name is not an identifier")
		}
		t.at += len([]rune(name))
		t.to.WriteString("(?:")
		return nil
	}
	return fmt.Errorf("(?%s is not a group of ECMA-262 that is supported: want (?:...), (?<name>...), (?i:...) or (?-i:...)", string(t.next()))
}

func unsupported(what string) error { return fmt.Errorf("%s is not supported", what) }

// class translates a class, behind its opening bracket.
func (t *translation) class() error {
	negated := t.take("^")
	var set strings.Builder
	for !t.take("]") {
		if t.at == len(t.from) {
			return fmt.Errorf("a class lacks its closing bracket")
		}
		if err := t.classItem(&set); err != nil {
			return err
		}
	}
	items := set.String()
	if items == "" { // [] is nothing, and [^] everything
		items, negated = everything, !negated
	}
	t.to.WriteByte('[')
	if negated {
		t.to.WriteByte('^')
	}
	t.to.WriteString(items)
	t.to.WriteByte(']')
	return nil
}

// classItem translates a character, a range or a set within a class.
func (t *translation) classItem(to *strings.Builder) error {
	first, set, err := t.classAtom()
	if err != nil {
		return err
	}
	if set != "" {
		to.WriteString(set)
		return nil
	}
	to.WriteString(itself(first))
	if t.at+1 >= len(t.from) || t.from[t.at] != '-' || t.from[t.at+1] == ']' {
		return nil
	}
	t.at++
	last, set, err := t.classAtom()
	switch {
	case err != nil:
		return err
	case set != "":
		return fmt.Errorf("a range of a class ends with a set")
	case last < first:
		return fmt.Errorf("a range of a class is out of order")
	}
	to.WriteString("-" + itself(last))
	return nil
}

// classAtom reads a character or a set.
func (t *translation) classAtom() (c rune, set string, err error) {
	if c = t.next(); c != '\\' {
		return c, "", nil
	}
	if t.take("b") {
		return '\b', "", nil
	}
	return t.escape()
}

func (t *translation) escapedTerm() error {
	for _, boundary := range []string{"b", "B"} { // both are of ASCII in either language
		if t.take(boundary) {
			t.to.WriteString(`\` + boundary)
			return nil
		}
	}
	c, set, err := t.escape()
	switch {
	case err != nil:
		return err
	case set != "":
		t.to.WriteString("[" + set + "]")
	default:
		t.to.WriteString(itself(c))
	}
	return nil
}

// controls are the escapes of ECMA-262's ControlEscape.
var controls = map[rune]rune{'t': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r'}

// escape reads an escape, behind its backslash, that stands for one character or for a set.
func (t *translation) escape() (c rune, set string, err error) {
	if t.at == len(t.from) {
		return 0, "", fmt.Errorf("nothing follows a backslash")
	}
	switch c = t.next(); c {
	case 'd', 'D', 'w', 'W': // of ASCII in either language
		return 0, `\` + string(c), nil
	case 's':
		return 0, spaces, nil
	case 'S':
		return 0, notSpaces, nil
	case 'p', 'P':
		set, err = t.property(c)
		return 0, set, err
	case 't', 'n', 'v', 'f', 'r':
		return controls[c], "", nil
	case 'c':
		if c = t.next(); c > unicode.MaxASCII || !unicode.IsLetter(c) {
			return 0, "", fmt.Errorf(`\c has no letter behind it`)
		}
		return c & 31, "", nil
	case 'x':
		c, err = t.hex(2)
		return c, "", err
	case 'u':
		c, err = t.unicode()
		return c, "", err
	case '0':
		if t.at < len(t.from) && unicode.IsDigit(t.from[t.at]) {
			return 0, "", fmt.Errorf("an octal escape is not of ECMA-262")
		}
		return 0, "", nil
	case 'k', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return 0, "", unsupported("a back reference")
	}
	if c <= unicode.MaxASCII && unicode.IsLetter(c) {
		return 0, "", fmt.Errorf(`\%c is not an escape of ECMA-262`, c)
	}
	return c, "", nil
}

// property reads a Unicode property, \p{name} or \p{kind=name}.
func (t *translation) property(p rune) (set string, err error) {
	rest := string(t.from[t.at:])
	end := strings.IndexByte(rest, '}')
	if !strings.HasPrefix(rest, "{") || end < 0 {
		return "", fmt.Errorf(`\%c has no {name} behind it`, p)
	}
	t.at += len([]rune(rest[:end+1]))
	name := rest[1:end]
	if kind, value, ok := strings.Cut(name, "="); ok {
		switch kind {
		case "General_Category", "gc", "Script", "sc":
			name = value
		default:
			return "", unsupported(fmt.Sprintf(`\%c{%s}`, p, name))
		}
	}
	set = fmt.Sprintf(`\%c{%s}`, p, name)
	if _, err := regexp.Compile(set); err != nil || strings.HasPrefix(name, "^") {
		return "", unsupported(set)
	}
	return set, nil
}

// unicode reads the digits of \u: four, a pair of four for a character outside the basic plane, or any number in braces.
func (t *translation) unicode() (rune, error) {
	if t.take("{") {
		rest := string(t.from[t.at:])
		end := strings.IndexByte(rest, '}')
		c, err := strconv.ParseUint(rest[:max(end, 0)], 16, 32)
		if err != nil || c > unicode.MaxRune || utf16.IsSurrogate(rune(c)) {
			return 0, fmt.Errorf(`\u{...} is not the number of a character`)
		}
		t.at += end + 1
		return rune(c), nil
	}
	c, err := t.hex(4)
	if err != nil || !utf16.IsSurrogate(c) {
		return c, err
	}
	if t.take(`\u`) {
		low, err := t.hex(4)
		if pair := utf16.DecodeRune(c, low); err == nil && pair != unicode.ReplacementChar {
			return pair, nil
		}
	}
	return 0, fmt.Errorf("half a surrogate pair cannot stand in a text of UTF-8")
}

// hex reads a number with the given number of digits.
func (t *translation) hex(digits int) (rune, error) {
	text := string(t.from[t.at:min(len(t.from), t.at+digits)])
	c, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != digits {
		return 0, fmt.Errorf("an escape lacks its %d hexadecimal digits", digits)
	}
	t.at += digits
	return rune(c), nil
}
