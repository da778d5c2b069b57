package compare

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
)

// Hash identifies the content of a record: the first 16 bytes of the SHA-256 of its canonical form. Nobody can make two
// records of one hash on purpose, and among 10¹² records the probability that two share one is below 10⁻¹⁴.
type Hash [16]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// arrivedName is the member that holds the arrival time where files are loaded into a database.
const arrivedName = "_arrived_at"

// Rules say which records are equal.
type Rules struct {
	// Columns compares what columns can hold: numbers by value, a member that is null like one that is absent, times with a
	// date as instants, and a text that reads as another JSON value like that value. Otherwise numbers are compared as they
	// are written, and null is a value.
	Columns bool
	// FoldNames ignores the case of members' names, which a Hive table does not keep.
	FoldNames bool
	// Ignore names members of records that are set aside, beside the pipeline's own.
	Ignore []string
}

// canonizer brings records into their canonical form: members are sorted by name, strings have no escapes but those that
// JSON requires, and there is no white space. It is for one goroutine and allocates nothing in the long run.
type canonizer struct {
	rules   Rules
	aside   []string // members of a record that do not count, in canonical form without quotes
	out     []byte
	members []member
	scratch []byte
	text    []byte // of a string with escapes
}

// member is a member of an object under way, with a comma after it, in canonizer.out.
type member struct{ start, value, end int }

func newCanonizer(r Rules) *canonizer {
	c := &canonizer{rules: r, aside: []string{record.EventIDName, arrivedName}}
	for _, name := range r.Ignore {
		c.aside = append(c.aside, string(appendEscaped(nil, []byte(name))))
	}
	return c
}

// hash returns the hash of a valid JSON object or array.
func (c *canonizer) hash(value []byte) Hash { return sum(c.form(value)) }

func sum(form []byte) Hash {
	h := sha256.Sum256(form)
	return Hash(h[:16])
}

// form returns the canonical form of a valid JSON object or array. It is valid until the next call.
func (c *canonizer) form(value []byte) []byte {
	c.out, c.members = c.out[:0], c.members[:0]
	c.value(value, jsonscan.Start(value), 0)
	return c.out
}

// value appends the value at i and returns the offset after it.
func (c *canonizer) value(b []byte, i, depth int) int {
	switch b[i] {
	case '{':
		return c.object(b, i, depth)
	case '[':
		return c.array(b, i, depth)
	case '"':
		end, escaped, _ := jsonscan.String(b, i+1)
		c.string(b[i+1:end-1], escaped, depth)
		return end
	}
	end, _ := jsonscan.Value(b, i, depth)
	if b[i] <= '9' && c.rules.Columns {
		c.out = appendNumber(c.out, b[i:end])
		return end
	}
	c.out = append(c.out, b[i:end]...)
	return end
}

func (c *canonizer) array(b []byte, i, depth int) int {
	c.out = append(c.out, '[')
	i = jsonscan.Space(b, i+1)
	if b[i] == ']' {
		c.out = append(c.out, ']')
		return i + 1
	}
	for more := true; more; {
		i = c.value(b, i, depth+1)
		c.out = append(c.out, ',')
		more, i, _ = jsonscan.Separator(b, i, ']')
	}
	c.out[len(c.out)-1] = ']'
	return i
}

func (c *canonizer) object(b []byte, i, depth int) int {
	c.out = append(c.out, '{')
	i = jsonscan.Space(b, i+1)
	if b[i] == '}' {
		c.out = append(c.out, '}')
		return i + 1
	}
	first := len(c.members)
	for more := true; more; {
		i = c.member(b, i, depth)
		more, i, _ = jsonscan.Separator(b, i, '}')
	}
	if len(c.members) == first {
		c.out = append(c.out, '}')
		return i
	}
	c.sort(c.members[first:])
	c.members = c.members[:first]
	c.out[len(c.out)-1] = '}'
	return i
}

// member appends the member whose name starts at i, unless it does not count, and returns the offset after it.
func (c *canonizer) member(b []byte, i, depth int) int {
	m := member{start: len(c.out)}
	end, escaped, value, _ := jsonscan.Key(b, i)
	c.out = append(c.out, '"')
	if name := b[i+1 : end-1]; escaped {
		c.out = appendText(c.out, name)
	} else {
		c.out = append(c.out, name...)
	}
	c.foldName(m.start + 1)
	own := depth == 0 && c.isAside(c.out[m.start+1:])
	c.out = append(c.out, '"', ':')
	m.value = len(c.out)
	if own || c.rules.Columns && b[value] == 'n' {
		c.out = c.out[:m.start]
		end, _ = jsonscan.Value(b, value, depth+1)
		return end
	}
	end = c.value(b, value, depth+1)
	c.out = append(c.out, ',')
	m.end = len(c.out)
	c.members = append(c.members, m)
	return end
}

func (c *canonizer) foldName(start int) {
	if c.rules.FoldNames {
		c.out = append(c.out[:start], bytes.ToLower(c.out[start:])...)
	}
}

func (c *canonizer) isAside(name []byte) bool {
	for _, own := range c.aside {
		if string(name) == own {
			return true
		}
	}
	return false
}

// sort puts the last members of out in order. Members of the same name keep theirs.
func (c *canonizer) sort(members []member) {
	byName := func(a, b member) int {
		return cmp.Or(bytes.Compare(c.out[a.start+1:a.value-2], c.out[b.start+1:b.value-2]), cmp.Compare(a.start, b.start))
	}
	if slices.IsSortedFunc(members, byName) {
		return
	}
	start := members[0].start
	slices.SortFunc(members, byName)
	c.scratch = append(c.scratch[:0], c.out[start:]...)
	c.out = c.out[:start]
	for _, m := range members {
		c.out = append(c.out, c.scratch[m.start-start:m.end-start]...)
	}
}

// string appends a string, given without its quotes.
func (c *canonizer) string(text []byte, escaped bool, depth int) {
	if c.rules.Columns && c.column(text, escaped, depth) {
		return
	}
	c.out = append(c.out, '"')
	if escaped {
		c.out = appendText(c.out, text)
	} else {
		c.out = append(c.out, text...)
	}
	c.out = append(c.out, '"')
}

// column appends a string that stands for a value which a column may hold in another way: an instant, or any JSON value but
// null. It returns false if it does not.
func (c *canonizer) column(text []byte, escaped bool, depth int) bool {
	if escaped {
		c.text = jsonscan.AppendUnescaped(c.text[:0], text)
		text = c.text
	}
	if len(text) == 0 {
		return false
	}
	switch first := text[0]; {
	case isDigit(first):
		var ok bool
		if c.out, ok = appendInstant(c.out, text); ok {
			return true
		}
	case first == '{' || first == '[' || first == '"':
		if escaped {
			text = bytes.Clone(text) // it may hold such a text itself
		}
	case first != '-' && first != 't' && first != 'f':
		return false
	}
	if end, p := jsonscan.Value(text, 0, depth); p != jsonscan.None || end != len(text) {
		return false
	}
	c.value(text, 0, depth+1)
	return true
}

// appendText appends the canonical form of a valid string, given without its quotes.
func appendText(dst, text []byte) []byte {
	for {
		plain := bytes.IndexByte(text, '\\')
		if plain < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:plain]...)
		text = text[plain:]
		switch text[1] {
		case '/':
			dst, text = append(dst, '/'), text[2:]
		case 'u':
			var r rune
			r, text = escapedRune(text)
			dst = appendRune(dst, r)
		default:
			dst, text = append(dst, text[:2]...), text[2:]
		}
	}
}

// appendEscaped appends valid UTF-8 as it stands between quotes.
func appendEscaped(dst, text []byte) []byte {
	plain := 0
	for i, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			dst = appendRune(append(dst, text[plain:i]...), rune(c))
			plain = i + 1
		}
	}
	return append(dst, text[plain:]...)
}

// appendRune appends a character with the shortest escape, if it needs one (RFC 8259, section 7). Half a surrogate pair,
// which UTF-8 does not have, is appended in the three bytes that UTF-8 would give it, so that it equals nothing else.
func appendRune(dst []byte, r rune) []byte {
	const hexDigits = "0123456789abcdef"
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case utf16.IsSurrogate(r):
		return append(dst, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0xbf, 0x80|byte(r)&0xbf)
	case r >= ' ':
		return utf8.AppendRune(dst, r)
	}
	if i := bytes.IndexByte([]byte("\b\f\n\r\t"), byte(r)); i >= 0 {
		return append(dst, '\\', "bfnrt"[i])
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
}

// escapedRune reads an escape with \u, and the one after it where the two are a surrogate pair.
func escapedRune(text []byte) (r rune, rest []byte) {
	r, rest = codeUnit(text), text[6:]
	if !utf16.IsSurrogate(r) || len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return r, rest
	}
	if pair := utf16.DecodeRune(r, codeUnit(rest)); pair != utf8.RuneError {
		return pair, rest[6:]
	}
	return r, rest
}

func codeUnit(escape []byte) rune {
	var b [2]byte
	_, _ = hex.Decode(b[:], escape[2:6]) // the string is valid
	return rune(b[0])<<8 | rune(b[1])
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// memberOf returns the value of a member of a valid JSON object, or nil.
func memberOf(object []byte, name string) (value []byte) {
	i := jsonscan.Start(object)
	if object[i] != '{' {
		return nil
	}
	i = jsonscan.Space(object, i+1)
	for more := object[i] != '}'; more; {
		end, _, at, _ := jsonscan.Key(object, i)
		spelled := object[i+1 : end-1]
		end, _ = jsonscan.Value(object, at, 1)
		if string(jsonscan.AppendUnescaped(nil, spelled)) == name {
			value = object[at:end]
		}
		more, i, _ = jsonscan.Separator(object, end, '}')
	}
	return value
}
