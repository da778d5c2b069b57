package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aws-streaming-pipeline/record"
)

const (
	// maxInferredColumns bounds the leaf columns of an inferred schema; members beyond it have no column.
	maxInferredColumns = 1000
	// maxInferredMembers is the number of members above which an object is taken for a map whose keys are data.
	maxInferredMembers = 200
	// maxPrecision is the number of digits of the widest decimal column.
	maxPrecision = 38
	// maxObserved bounds the members and elements that an Inferrer remembers, at all depths. It lives as long as the
	// process, and each record could bring thousands of new ones.
	maxObserved = 20 * maxInferredColumns
	// maxInferredName is the length of a name, in bytes, above which a member has no column: the name is written into
	// each file, and before each member below it in _extra.
	maxInferredName = 255
)

// Infer proposes a JSON Schema document for records like the samples. It lists the members in the order in which they
// were first seen, with the narrowest types that fit all values; strings that all are dates, times or numbers become
// such columns. A person should read it before it is used: it knows only the samples.
func Infer(name string, samples [][]byte) ([]byte, error) {
	inferrer := NewInferrer()
	for i, sample := range samples {
		if err := inferrer.Add(sample); err != nil {
			return nil, fmt.Errorf("infer schema from sample %d: %w", i, err)
		}
	}
	if len(inferrer.root.members.keys) == 0 {
		return nil, fmt.Errorf("infer schema from %d samples: there is no member", len(samples))
	}
	var b bytes.Buffer
	head := `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":` + quote(name) + `,`
	b.WriteString(head)
	inferrer.root.writeBody(&b, "object")
	b.WriteString("}")
	var indented bytes.Buffer
	if err := json.Indent(&indented, b.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("infer schema: %w", err)
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

// Inferrer learns columns from records. Its answers only ever grow: a column that Schema has once named keeps its type.
type Inferrer struct {
	root     *observed
	columns  int
	observed int // how many
}

// NewInferrer returns an Inferrer that has seen no records.
func NewInferrer() *Inferrer {
	return &Inferrer{root: newObserved()}
}

// Add learns from a record. It returns an error if the record is not a JSON object.
func (i *Inferrer) Add(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return fmt.Errorf("not a JSON object")
	}
	return i.addMembers(i.root, d)
}

// Schema returns a lenient schema with a column for every member seen, and settles the types of new ones. Members that
// were always null have none, nor have those whose names differ from another's in case only, are empty or hold a NUL.
//
// Integers that do not fit 64 bits give a decimal of 38 digits. Numbers with fractions or exponents give a double if a
// double restores each of them (record.ParseFloat), else the numbers' own text.
func (i *Inferrer) Schema() *Schema {
	return &Schema{Name: "inferred", Fields: i.fields(i.root, 0), Extra: true, Lenient: true}
}

func (i *Inferrer) fields(o *observed, depth int) []*Field {
	var fields []*Field
	taken := map[string]bool{}
	if depth == 0 {
		taken[EventIDColumn], taken[ExtraColumn] = true, true
	}
	for _, name := range o.members.keys {
		member := o.members.values[name]
		if !columnName(name) || taken[strings.ToLower(name)] {
			continue
		}
		f := i.field(name, member, depth+1)
		if f == nil {
			continue
		}
		taken[strings.ToLower(name)] = true
		fields = append(fields, f)
	}
	return fields
}

// columnName reports whether a column may have a name. DuckDB, for one, cuts a name at a NUL.
func columnName(name string) bool { return name != "" && !strings.Contains(name, "\x00") }

// field returns nil for a member that gets no column.
func (i *Inferrer) field(name string, o *observed, depth int) *Field {
	if !o.settled {
		if !o.any() || i.columns >= maxInferredColumns {
			return nil
		}
		o.settle(depth)
		if o.kind.Scalar() {
			i.columns++
		}
	}
	f := &Field{Name: name, Kind: o.kind}
	switch o.kind {
	case Decimal:
		f.Precision = maxPrecision
	case Group:
		if f.Fields = i.fields(o, depth); len(f.Fields) == 0 {
			o.settled = false
			return nil
		}
	case List:
		if f.Element = i.field("element", o.element, depth+1); f.Element == nil {
			o.settled = false
			return nil
		}
	}
	return f
}

// observed is what has been seen of one member.
type observed struct {
	nulls, booleans, strings, objects, arrays int
	integers, wholes, numbers                 int // of 64 bits; of up to 38 digits; all others
	inexact                                   int // numbers of any kind that no double restores
	dates, times, integerTexts                int // of the strings

	members members
	element *observed

	settled bool
	kind    Kind
}

// members are an object's members in the order in which they were first seen.
type members struct {
	keys   []string
	values map[string]*observed
}

func newObserved() *observed {
	return &observed{members: members{values: map[string]*observed{}}}
}

func (o *observed) any() bool {
	return o.booleans+o.integers+o.wholes+o.numbers+o.strings+o.objects+o.arrays > 0
}

// addMembers reads an object behind its brace.
func (i *Inferrer) addMembers(o *observed, d *json.Decoder) error {
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		member := i.member(o, token.(string)) // the decoder allows nothing else here
		if member == nil {
			var unread json.RawMessage
			err = d.Decode(&unread)
		} else {
			err = i.add(member, d)
		}
		if err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// member returns what has been seen of a member, nil if nothing is remembered of it.
func (i *Inferrer) member(o *observed, name string) *observed {
	if member := o.members.values[name]; member != nil {
		return member
	}
	if len(o.members.keys) > maxInferredColumns || i.observed >= maxObserved || len(name) > maxInferredName {
		return nil
	}
	i.observed++
	member := newObserved()
	o.members.keys = append(o.members.keys, name)
	o.members.values[name] = member
	return member
}

func (i *Inferrer) add(o *observed, d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case nil:
		o.nulls++
	case bool:
		o.booleans++
	case json.Number:
		o.addNumber(string(v))
	case string:
		o.addString(v)
	case json.Delim:
		if v == '{' {
			o.objects++
			return i.addMembers(o, d)
		}
		return i.addElements(o, d)
	}
	return nil
}

func (i *Inferrer) addElements(o *observed, d *json.Decoder) error {
	o.arrays++
	if o.element == nil {
		i.observed++
		o.element = newObserved()
	}
	for d.More() {
		if err := i.add(o.element, d); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func (o *observed) addNumber(number string) {
	if _, exact, ok := record.ParseFloat([]byte(number), 64); !ok || !exact {
		o.inexact++
	}
	_, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err == nil:
		o.integers++
	case !strings.ContainsAny(number, ".eE") && len(strings.TrimPrefix(number, "-")) <= maxPrecision:
		o.wholes++
	default:
		o.numbers++
	}
}

func (o *observed) addString(s string) {
	o.strings++
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		o.dates++
	}
	if _, err := time.Parse(time.RFC3339, s); err == nil {
		o.times++
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s {
		o.integerTexts++
	}
}

// settle decides the kind for good. Strings stay strings: the next one need not be a date.
func (o *observed) settle(depth int) {
	o.settled = true
	o.kind = o.shape()
	if depth >= maxDepth/3 && !o.kind.Scalar() { // a list of groups is three levels deep
		o.kind = JSON
	}
}

// shape is the narrowest kind that holds everything seen, JSON if no other does.
func (o *observed) shape() Kind {
	kinds := 0
	kind := JSON
	for k, n := range map[Kind]int{
		Boolean: o.booleans, o.numeric(): o.integers + o.wholes + o.numbers, String: o.strings, Group: o.objects, List: o.arrays,
	} {
		if n > 0 {
			kinds++
			kind = k
		}
	}
	switch {
	case kinds != 1 || len(o.members.keys) > maxInferredMembers:
		return JSON
	case kind == Group && len(o.members.keys) == 0:
		return JSON
	}
	return kind
}

// numeric is the narrowest kind that holds all numbers seen, and restores each.
func (o *observed) numeric() Kind {
	switch {
	case o.wholes+o.numbers == 0:
		return Int64
	case o.numbers == 0:
		return Decimal // of all the digits there are: those of the next number are unknown
	case o.inexact == 0:
		return Double
	}
	return JSON
}

// write writes the schema of a member.
func (o *observed) write(b *bytes.Buffer) {
	b.WriteByte('{')
	switch o.shape() {
	case Boolean:
		o.writeBody(b, "boolean")
	case Int64:
		o.writeBody(b, "integer")
	case Decimal:
		o.writeBody(b, "integer")
		fmt.Fprintf(b, `,"x-parquet":"decimal(%d,0)"`, maxPrecision)
	case Double:
		o.writeBody(b, "number")
	case String:
		o.writeString(b)
	case Group:
		o.writeBody(b, "object")
	case List:
		o.writeBody(b, "array")
	case JSON:
		if o.inexact > 0 {
			b.WriteString(`"$comment":"has numbers that a double cannot hold","x-parquet":"json"`)
		}
	}
	b.WriteByte('}')
}

func (o *observed) writeString(b *bytes.Buffer) {
	switch o.strings {
	case o.dates:
		o.writeBody(b, "string")
		b.WriteString(`,"format":"date"`)
	case o.times:
		o.writeBody(b, "string")
		b.WriteString(`,"format":"date-time"`)
	case o.integerTexts:
		o.writeBody(b, "integer")
	default:
		o.writeBody(b, "string")
	}
}

func (o *observed) writeBody(b *bytes.Buffer, jsonType string) {
	name := quote(jsonType)
	if o.nulls > 0 {
		name = "[" + name + `,"null"]`
	}
	b.WriteString(`"type":` + name)
	switch {
	case jsonType == "object":
		b.WriteString(`,"properties":{`)
		comma := ""
		for _, name := range o.members.keys {
			if !columnName(name) {
				continue
			}
			b.WriteString(comma + quote(name) + ":")
			o.members.values[name].write(b)
			comma = ","
		}
		b.WriteByte('}')
	case jsonType == "array" && o.element.any():
		b.WriteString(`,"items":`)
		o.element.write(b)
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // strings always marshal
		return `""`
	}
	return string(b)
}
