package shred

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"unicode/utf8"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/schema"
)

// value splits the value at b[i] and returns its end, or -1. i is within b.
func (s *Shredder) value(n *Node, b []byte, i int, rep uint8) int {
	switch n.kind {
	case schema.String:
		return s.string(n, b, i, rep)
	case schema.Int32, schema.Int64:
		return s.integer(n, b, i, rep)
	case schema.Double:
		return s.double(n, b, i, rep)
	case schema.Boolean:
		return s.boolean(n, b, i, rep)
	case schema.Date, schema.TimestampMillis, schema.TimestampMicros:
		return s.time(n, b, i, rep)
	case schema.Group:
		return s.group(n, b, i, rep)
	case schema.List:
		return s.list(n, b, i, rep)
	case schema.Map:
		return s.mapping(n, b, i, rep)
	case schema.Float:
		return s.float(n, b, i, rep)
	case schema.Decimal:
		return s.decimal(n, b, i, rep)
	case spilled:
		return s.spill(n, b, i, rep)
	}
	return s.json(n, b, i, rep)
}

// present notes that a scalar has got a value.
func (n *Node) present(rep uint8) {
	if !n.flat {
		n.Column.level(rep, n.def)
	}
}

func (n *Node) putInt(v int64, rep uint8) {
	if n.Column != nil {
		n.Column.Ints = append(n.Column.Ints, v)
		n.present(rep)
	}
}

func (n *Node) putDouble(v float64, rep uint8) {
	if n.Column != nil {
		n.Column.Doubles = append(n.Column.Doubles, v)
		n.present(rep)
	}
}

func (n *Node) putText(v []byte, rep uint8) {
	if n.Column != nil {
		n.Column.text(v)
		n.present(rep)
	}
}

func (s *Shredder) string(n *Node, b []byte, i int, rep uint8) int {
	if b[i] != '"' {
		return s.foreignText(n, b, i, rep)
	}
	end, escaped, p := jsonscan.String(b, i+1)
	if p != jsonscan.None {
		return s.malformed()
	}
	raw := b[i+1 : end-1]
	if n.checked {
		if escaped || len(n.Field.NullTexts) > 0 {
			return s.checkedText(n, s.unescape(escaped, raw), end, rep)
		}
		if rule := n.textRule(raw); rule != "" {
			s.noteViolation(n, rule)
		}
	}
	if n.Column == nil {
		return end
	}
	switch {
	case escaped && s.schema.Lenient && jsonscan.HasLoneSurrogate(raw):
		return s.unfit(n, b, i, rep)
	case escaped:
		n.Column.unescaped(raw)
	case len(raw) <= 16:
		n.Column.shortText(b, i+1, len(raw))
	default:
		n.Column.text(raw)
	}
	n.present(rep)
	return end
}

func (s *Shredder) unescape(escaped bool, raw []byte) []byte {
	if !escaped {
		return raw
	}
	s.scratch = jsonscan.AppendUnescaped(s.scratch[:0], raw)
	return s.scratch
}

// foreignText gives a string column the text of a value that is not a string.
func (s *Shredder) foreignText(n *Node, b []byte, i int, rep uint8) int {
	if s.schema.Lenient || !s.schema.Coerce && n.Field.Type == "string" || b[i] == 'n' {
		return s.mismatch(n, b, i, rep)
	}
	end, p := jsonscan.Value(b, i, s.depth)
	if p != jsonscan.None {
		return s.malformed()
	}
	return s.checkedText(n, b[i:end], end, rep)
}

func (s *Shredder) checkedText(n *Node, value []byte, end int, rep uint8) int {
	if isNullText(n, value) {
		return s.nullValue(n, end, rep)
	}
	if n.rules != nil {
		if rule := n.textRule(value); rule != "" {
			s.noteViolation(n, rule)
		}
	}
	n.putText(value, rep)
	return end
}

// textRule returns the rule that a text breaks, "" for none. The node has rules.
func (n *Node) textRule(value []byte) string {
	r := n.rules
	if r.Enum != nil && !n.enumerates(value) {
		return "enum"
	}
	if r.MinLength > 0 || r.MaxLength < math.MaxInt {
		// A code point has at most four bytes, which settles most lengths without counting.
		if size := len(value); size < r.MinLength || size > r.MaxLength || size < 4*r.MinLength {
			size = utf8.RuneCount(value)
			if size < r.MinLength {
				return "minLength"
			}
			if size > r.MaxLength {
				return "maxLength"
			}
		}
	}
	switch {
	case r.Pattern == nil:
	case n.pattern != nil:
		if !n.pattern.match(value) {
			return "pattern"
		}
	case !r.Pattern.Match(value):
		return "pattern"
	}
	return ""
}

func (n *Node) enumerates(value []byte) bool {
	if n.enum == nil {
		_, ok := n.rules.Enum[string(value)]
		return ok
	}
	for _, text := range n.enum {
		if text == string(value) {
			return true
		}
	}
	return false
}

func isNullText(n *Node, value []byte) bool {
	if len(value) == 0 && !n.kind.Text() {
		return true
	}
	return slices.ContainsFunc(n.Field.NullTexts, func(null string) bool { return null == string(value) })
}

func (s *Shredder) json(n *Node, b []byte, i int, rep uint8) int {
	opening, typed := byte(0), true
	switch n.Field.Type {
	case "object":
		opening = '{'
	case "array":
		opening = '['
	default:
		typed = false
	}
	if b[i] == 'n' || typed && b[i] != opening {
		return s.mismatch(n, b, i, rep)
	}
	end, p := jsonscan.Value(b, i, s.depth)
	if p != jsonscan.None {
		return s.malformed()
	}
	n.putText(b[i:end], rep)
	return end
}

func (s *Shredder) integer(n *Node, b []byte, i int, rep uint8) int {
	v, end, ok := scanInt(b, i)
	if !ok {
		var number []byte
		if number, end = s.anyNumber(n, b, i); end <= 0 {
			return s.mismatch(n, b, i, rep)
		}
		if v, ok = exactInt(number, 0); !ok {
			if n.Column == nil && whole(number) {
				return s.hugeInteger(n, number, end)
			}
			return s.unfit(n, b, i, rep)
		}
	}
	if n.kind == schema.Int32 && int64(int32(v)) != v {
		return s.unfit(n, b, i, rep)
	}
	if r := n.rules; r != nil {
		if v < r.IntMin {
			s.noteViolation(n, "minimum")
		}
		if v > r.IntMax {
			s.noteViolation(n, "maximum")
		}
	}
	n.putInt(v, rep)
	return end
}

// hugeInteger checks an integer of more than 64 bits, which no column could hold.
func (s *Shredder) hugeInteger(n *Node, number []byte, end int) int {
	if n.rules != nil {
		v, _, _ := record.ParseFloat(number, 64) // an infinity if it is beyond the doubles
		if rule := numberRule(n.rules, v, number); rule != "" {
			s.noteViolation(n, rule)
		}
	}
	return end
}

func (s *Shredder) double(n *Node, b []byte, i int, rep uint8) int {
	v, end, exact, ok := ScanDouble(b, i)
	var number []byte // nil if it stands at b[i:end]
	if !ok {
		if number, end = s.anyNumber(n, b, i); end <= 0 {
			return s.notFinite(n, b, i, rep)
		}
		if v, _, exact, ok = ScanDouble(number, 0); !ok && n.Column != nil {
			return s.unfit(n, b, i, rep) // without a column an infinity stands for a number beyond the doubles
		}
	}
	if n.Column != nil && !s.rounds(exact) {
		return s.unfit(n, b, i, rep)
	}
	if r := n.rules; r != nil && (v <= r.Min.Nearest || v >= r.Max.Nearest) {
		if number == nil {
			number = b[i:end]
		}
		if rule := numberRule(r, v, number); rule != "" {
			s.noteViolation(n, rule)
		}
	}
	n.putDouble(v, rep)
	return end
}

// rounds reports whether a column may have the floating-point number nearest to a number: where that is not exact, only if
// the schema has declared it.
func (s *Shredder) rounds(exact bool) bool {
	if exact {
		return true
	}
	s.inexact++
	return !s.schema.Lenient
}

// numberRule returns the bound that a number breaks, "" for none. v is the double nearest to it. Rounding keeps the order, so
// two numbers need a closer look only where their doubles are the same.
func numberRule(r *schema.Rules, v float64, number []byte) string {
	if m := &r.Min; v <= m.Nearest && m.Literal != "" {
		switch c := compareTo(m, v, number); {
		case c < 0 && !m.Exclusive:
			return "minimum"
		case c <= 0 && m.Exclusive:
			return "exclusiveMinimum"
		}
	}
	if m := &r.Max; v >= m.Nearest && m.Literal != "" {
		switch c := compareTo(m, v, number); {
		case c > 0 && !m.Exclusive:
			return "maximum"
		case c >= 0 && m.Exclusive:
			return "exclusiveMaximum"
		}
	}
	return ""
}

func compareTo(m *schema.Bound, v float64, number []byte) int {
	if v != m.Nearest {
		return cmp.Compare(v, m.Nearest)
	}
	return compareNumbers(number, m.Literal)
}

// notFinite takes the texts that stand for what is a floating-point number and no JSON number, if the schema says so. NaN is
// within no bounds.
func (s *Shredder) notFinite(n *Node, b []byte, i int, rep uint8) int {
	if b[i] != '"' || !n.Field.NonFinite || !s.takes(n, "string") {
		return s.mismatch(n, b, i, rep)
	}
	end, _, p := jsonscan.String(b, i+1)
	if p != jsonscan.None {
		return s.mismatch(n, b, i, rep)
	}
	var v float64
	switch string(b[i+1 : end-1]) {
	case "NaN":
		v = math.Float64frombits(0x7ff8 << 48) // that of all engines; Go's own has another bit
	case "Infinity":
		v = math.Inf(1)
	case "-Infinity":
		v = math.Inf(-1)
	default:
		return s.mismatch(n, b, i, rep)
	}
	if r := n.rules; r != nil && !(v >= r.Min.Nearest) {
		s.noteViolation(n, "minimum")
	} else if r != nil && !(v <= r.Max.Nearest) {
		s.noteViolation(n, "maximum")
	}
	n.putDouble(v, rep)
	return end
}

func (s *Shredder) float(n *Node, b []byte, i int, rep uint8) int {
	number, end := s.anyNumber(n, b, i)
	if end <= 0 {
		return s.notFinite(n, b, i, rep)
	}
	v, exact, ok := record.ParseFloat(number, 32)
	if !ok || !s.rounds(exact) {
		return s.unfit(n, b, i, rep)
	}
	n.putDouble(v, rep)
	return end
}

func (s *Shredder) decimal(n *Node, b []byte, i int, rep uint8) int {
	number, end := s.anyNumber(n, b, i)
	if end <= 0 {
		return s.mismatch(n, b, i, rep)
	}
	v, negative, ok := exactScaled(number, n.Field.Scale)
	if !ok || !v.fits(n.digits) {
		return s.unfit(n, b, i, rep)
	}
	if negative {
		v = v.negate()
	}
	if n.Column.WideDecimal() {
		n.Column.wide(v)
	} else {
		n.Column.Ints = append(n.Column.Ints, int64(v.low))
	}
	n.present(rep)
	return end
}

func (s *Shredder) boolean(n *Node, b []byte, i int, rep uint8) int {
	value, end, ok := byte(0), 0, false
	switch b[i] {
	case 't':
		value = 1
		end, ok = jsonscan.Literal(b, i, "true")
	case 'f':
		end, ok = jsonscan.Literal(b, i, "false")
	case '"':
		value, end, ok = s.booleanText(n, b, i)
	}
	if !ok {
		return s.mismatch(n, b, i, rep)
	}
	if n.Column != nil {
		n.Column.Bools = append(n.Column.Bools, value)
		n.present(rep)
	}
	return end
}

func (s *Shredder) booleanText(n *Node, b []byte, i int) (value byte, end int, ok bool) {
	end, _, p := jsonscan.String(b, i+1)
	if p != jsonscan.None || !s.takes(n, "string") {
		return 0, 0, false
	}
	switch text := b[i+1 : end-1]; {
	case bytes.EqualFold(text, []byte("true")):
		return 1, end, true
	case bytes.EqualFold(text, []byte("false")):
		return 0, end, true
	}
	return 0, 0, false
}

func (s *Shredder) time(n *Node, b []byte, i int, rep uint8) int {
	v, end, ok := int64(0), 0, false
	if b[i] == '"' && s.takes(n, "string") {
		var p jsonscan.Problem
		if end, _, p = jsonscan.String(b, i+1); p != jsonscan.None {
			return s.malformed()
		}
		text := b[i+1 : end-1]
		v, ok = s.dates.parse(n.kind, text)
		if !ok && n.Column == nil && n.kind != schema.Date && s.dates.leapSecond(text) {
			return end // a column counts the seconds of days that have 86,400
		}
	}
	if !ok {
		var number []byte
		if number, end = s.anyNumber(n, b, i); end <= 0 {
			return s.mismatch(n, b, i, rep)
		}
		if v, ok = instant(number, n.Field.Unit); !ok || n.Field.Type == "integer" && !whole(number) {
			return s.unfit(n, b, i, rep)
		}
	}
	if n.kind == schema.TimestampMillis {
		v = floorDiv(v, 1000)
	}
	n.putInt(v, rep)
	return end
}

// instant turns a number of units since 1970 into microseconds.
func instant(number []byte, unit schema.Unit) (micros int64, ok bool) {
	switch unit {
	case schema.Seconds:
		return exactInt(number, 6)
	case schema.Millis:
		return exactInt(number, 3)
	case schema.Micros:
		return exactInt(number, 0)
	}
	return 0, false
}

// takes reports whether a value of a JSON type may stand for a field. Nobody has said of an inferred column that its texts
// mean anything else, but a table says so of its dates and timestamps.
func (s *Shredder) takes(n *Node, jsonType string) bool {
	if s.schema.Lenient {
		return jsonType != "string" || n.Field.Type == "string"
	}
	declared := n.Field.Type
	return s.schema.Coerce || declared == "" || declared == jsonType || declared == "integer" && jsonType == "number"
}

// anyNumber returns the JSON number that the value at b[i] is, or has as its text, and the value's end. end is not
// positive if there is none. The number is valid until the next call.
func (s *Shredder) anyNumber(n *Node, b []byte, i int) (number []byte, end int) {
	if b[i] != '"' {
		end, p := jsonscan.Number(b, i)
		if p != jsonscan.None || !s.takes(n, "number") {
			return nil, -1
		}
		return b[i:end], end
	}
	end, escaped, p := jsonscan.String(b, i+1)
	if p != jsonscan.None || escaped || !s.takes(n, "string") {
		return nil, -1
	}
	var ok bool
	if s.number, ok = AppendNumber(s.number[:0], b[i+1:end-1]); !ok {
		return nil, -1
	}
	return s.number, end
}

// AppendNumber appends the JSON number that a text stands for, as CSV files write it, with a plus sign or leading zeros. ok is false
// if it stands for none.
func AppendNumber(dst, text []byte) (number []byte, ok bool) {
	begin := len(dst)
	switch {
	case len(text) == 0:
		return dst, false
	case text[0] == '-':
		dst = append(dst, '-')
		text = text[1:]
	case text[0] == '+':
		text = text[1:]
	}
	for len(text) > 1 && text[0] == '0' && digit(text[1]) {
		text = text[1:]
	}
	if len(text) == 0 || !digit(text[0]) {
		return dst[:begin], false
	}
	dst = append(dst, text...)
	if end, p := jsonscan.Number(dst, begin); p != jsonscan.None || end != len(dst) {
		return dst[:begin], false
	}
	return dst, true
}
