package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"aws-streaming-pipeline/record"
)

// Parse compiles a JSON Schema document. name is used in messages where the document has no title. An error is of type
// Problems and lists everything that is wrong with the document.
func Parse(name string, document []byte) (*Schema, error) {
	doc, err := readDocument(document)
	if err != nil {
		return nil, Problems{{Reason: "not JSON: " + err.Error()}}
	}
	root, ok := doc.(*object)
	if !ok {
		return nil, Problems{{Reason: "a schema of records is a JSON object"}}
	}
	p := &parser{root: root, rebased: hasID(root.values)}
	s := p.schema(name)
	full, err := compileFull(document)
	if err != nil {
		p.compileProblem(err)
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	if p.beyond {
		s.full = full
	}
	return s, nil
}

// parser turns the document into fields and gathers what is wrong with it.
type parser struct {
	root     *object
	problems Problems
	beyond   bool // a rule was met that only the general validator knows
	rebased  bool // a schema below the root has an $id, against which references are read
	refs     []string
}

func (p *parser) problem(pointer, format string, args ...any) {
	p.problems = append(p.problems, Problem{Pointer: pointer, Reason: fmt.Sprintf(format, args...)})
}

// compileProblem notes why the general validator does not take the document, each fault at its place.
func (p *parser) compileProblem(err error) {
	var broken *jsonschema.SchemaValidationError
	var faults *jsonschema.ValidationError
	if errors.As(err, &broken) && errors.As(broken.Err, &faults) {
		p.documentFaults(faults)
	} else {
		p.problem("", "%v", err)
	}
}

// documentFaults notes what a fault of the document comes down to. Of a member's name the validator does not know the place.
func (p *parser) documentFaults(fault *jsonschema.ValidationError) {
	for _, cause := range fault.Causes {
		p.documentFaults(cause)
	}
	if len(fault.Causes) > 0 {
		return
	}
	found := Problem{Reason: fault.DetailedOutput().Error.String()}
	if format, ok := fault.ErrorKind.(*kind.Format); ok {
		found.Reason = format.Err.Error()
	}
	for _, token := range fault.InstanceLocation {
		found.Pointer = at(found.Pointer, token)
	}
	if !slices.Contains(p.problems, found) {
		p.problems = append(p.problems, found)
	}
}

func (p *parser) schema(name string) *Schema {
	s := &Schema{Name: name, Coerce: true}
	if title, ok := p.text(p.root, "title", ""); ok && title != "" {
		s.Name = title
	}
	if t, ok := p.root.get("type"); ok && t != "object" {
		p.problem("/type", "records are objects")
	}
	if _, ok := p.root.get("properties"); !ok {
		p.problem("", "properties are missing: they are the columns")
		return s
	}
	root := &Field{Kind: Group}
	p.checkKeywords(p.root, root, "")
	p.group(p.root, root, "", 0)
	s.Fields, s.Closed = root.Fields, root.Closed
	s.Extra = !s.Closed || !closedBelow(s.Fields)
	if coerce, ok := p.boolean(p.root, "x-coerce", ""); ok {
		s.Coerce = coerce
	}
	if extra, ok := p.boolean(p.root, "x-extra", ""); ok {
		s.Extra = extra
	}
	s.IgnoreCase, _ = p.boolean(p.root, "x-ignore-case", "")
	if s.IgnoreCase && p.beyond {
		p.problem("/x-ignore-case", "only rules that are checked during the scan know members in another case: see docs/schemas.md")
	}
	p.dropReserved(s)
	return s
}

// dropReserved takes the pipeline's own columns out of the declared ones.
func (p *parser) dropReserved(s *Schema) {
	s.Fields = slices.DeleteFunc(s.Fields, func(f *Field) bool {
		switch {
		case strings.EqualFold(f.Name, ExtraColumn):
			p.problem(at("/properties", f.Name), "the column is the pipeline's own")
			return true
		case !strings.EqualFold(f.Name, EventIDColumn):
			return false
		}
		if f.Name != EventIDColumn || f.Kind != String || f.Required {
			p.problem(at("/properties", f.Name), "the pipeline writes this column itself: it can only be an optional string %q", EventIDColumn)
		}
		return true
	})
	if len(s.Fields) == 0 && len(p.problems) == 0 {
		p.problem("/properties", "there is no column")
	}
}

func closedBelow(fields []*Field) bool {
	for _, f := range fields {
		for f.Element != nil {
			f = f.Element
		}
		if f.Kind == Group && (!f.Closed || !closedBelow(f.Fields)) {
			return false
		}
	}
	return true
}

// group reads properties, required and additionalProperties.
func (p *parser) group(o *object, f *Field, pointer string, depth int) {
	properties, ok := p.object(o, "properties", pointer)
	if !ok {
		return
	}
	seen := map[string]string{}
	for _, name := range properties.keys {
		here := at(at(pointer, "properties"), name)
		if other, ok := seen[strings.ToLower(name)]; ok {
			p.problem(here, "differs from %q in case only: both would be one column in Athena", other)
		}
		seen[strings.ToLower(name)] = name
		if name == "" {
			p.problem(here, "a column has a name")
		}
		f.Fields = append(f.Fields, p.field(name, properties.values[name], here, depth+1))
	}
	for _, name := range p.texts(o, "required", pointer) {
		i := slices.IndexFunc(f.Fields, func(child *Field) bool { return child.Name == name })
		if i < 0 {
			p.beyond = true // a member without a column
			continue
		}
		f.Fields[i].Required = true
	}
	if additional, ok := o.get("additionalProperties"); ok {
		open, isBool := additional.(bool)
		f.Closed = isBool && !open && !o.has("patternProperties")
		p.beyond = p.beyond || !isBool
	}
}

// field reads one property's schema.
func (p *parser) field(name string, schema any, pointer string, depth int) *Field {
	f := &Field{Name: name, Kind: JSON, plain: JSON}
	if depth > maxDepth {
		p.problem(pointer, "nested more than %d levels deep", maxDepth)
		return f
	}
	o, ok := schema.(*object)
	if !ok {
		allowed, isBool := schema.(bool)
		if !isBool {
			p.problem(pointer, "a schema is an object or a boolean")
		}
		f.Nullable = allowed
		p.beyond = p.beyond || !allowed
		return f
	}
	f.Description, _ = p.text(o, "description", pointer)
	f.NullTexts = p.texts(o, "x-null-values", pointer)
	shape, leave := p.follow(o, pointer)
	defer leave()
	p.kind(shape, o, f, pointer)
	p.children(shape, f, pointer, depth)
	p.checkKeywords(o, f, pointer)
	return f
}

// follow returns the schema that a local $ref leads to, which gives the column its type. A recursive one gives none.
func (p *parser) follow(o *object, pointer string) (target *object, leave func()) {
	depth := len(p.refs)
	leave = func() { p.refs = p.refs[:depth] }
	for {
		ref, ok := p.text(o, "$ref", pointer)
		if !ok {
			return o, leave
		}
		p.beyond = true
		if p.rebased || slices.Contains(p.refs, ref) {
			return &object{values: map[string]any{}}, leave
		}
		p.refs = append(p.refs, ref)
		v, _ := p.root.resolve(ref)
		next, ok := v.(*object)
		if !ok {
			return &object{values: map[string]any{}}, leave // the general validator's compiler names broken ones
		}
		o = next
	}
}

var decimalType = regexp.MustCompile(`^decimal\((\d{1,2}),\s*(\d{1,2})\)$`)

// kind finds a field's type. shape has the schema's vocabulary, o the property's own extension keywords.
func (p *parser) kind(shape, o *object, f *Field, pointer string) {
	f.Type = p.jsonType(shape, f, pointer)
	f.Kind = p.defaultKind(shape, f.Type, pointer)
	byType := f.Kind
	if unit, ok := p.text(o, "x-timestamp-unit", pointer); ok {
		i := slices.Index(unitNames[1:], unit)
		if i < 0 {
			p.problem(at(pointer, "x-timestamp-unit"), "is s, ms or us")
		}
		f.Unit = Unit(i + 1)
	}
	if name, ok := p.text(o, "x-parquet", pointer); ok {
		p.chooseKind(f, name, at(pointer, "x-parquet"))
	}
	if f.Unit != NoUnit && f.Kind != TimestampMillis && f.Kind != TimestampMicros {
		p.problem(at(pointer, "x-timestamp-unit"), "only a timestamp column has a unit")
	}
	if f.NonFinite, _ = p.boolean(o, "x-non-finite", pointer); f.NonFinite && f.Kind != Float && f.Kind != Double {
		p.problem(at(pointer, "x-non-finite"), "only a float or double column has such values")
	}
	f.plain = plainKind(byType, f.Kind)
	p.beyond = p.beyond || !holdsOnly(f)
}

// plainKind is the kind of a field where there are no columns, as its type and format have it.
func plainKind(byType, chosen Kind) Kind {
	switch {
	case !byType.Scalar() && chosen != byType:
		return JSON // its parts have not been read
	case byType.time() && !chosen.time():
		return String // the format was set aside
	}
	return byType
}

// holdsOnly reports whether whatever fits the field's column is of its JSON type or was coerced from another one.
func holdsOnly(f *Field) bool {
	switch f.Kind {
	case String:
		return f.Type == "string"
	case Int32, Int64:
		return f.Type == "integer" || f.Type == "number"
	case Decimal:
		return f.Type == "number" || f.Type == "string" || f.Type == "" || f.Type == "integer" && f.Scale == 0
	case Float, Double:
		return f.Type == "number" || f.Type == "string" || f.Type == ""
	case Boolean:
		return f.Type == "boolean" || f.Type == "string" || f.Type == ""
	case Date, TimestampMillis, TimestampMicros:
		return f.Type != "boolean" && f.Type != "object" && f.Type != "array"
	}
	return true
}

func (p *parser) chooseKind(f *Field, name, pointer string) {
	if m := decimalType.FindStringSubmatch(name); m != nil {
		f.Kind = Decimal
		f.Precision, _ = strconv.Atoi(m[1]) // two digits at most
		f.Scale, _ = strconv.Atoi(m[2])
		if f.Precision < 1 || f.Precision > 38 || f.Scale > f.Precision {
			p.problem(pointer, "a decimal has 1 to 38 digits and no more behind the point than in all")
		}
		return
	}
	i := slices.Index(kindNames[:], name)
	switch chosen := Kind(i); {
	case i < 0 || chosen == Decimal || chosen == Group || chosen == List:
		p.problem(pointer, "unknown column type %q", name)
	case chosen == Map && (f.Kind != Map && f.Kind != JSON || f.Type != "object" && f.Type != ""):
		p.problem(pointer, "a map is of type object, and its values' schema stands in additionalProperties")
	default:
		f.Kind = chosen
	}
}

// jsonType returns the one JSON type of a field besides null, "" if there is none or more than one.
func (p *parser) jsonType(o *object, f *Field, pointer string) string {
	if !o.has("type") {
		f.Nullable = true
		return ""
	}
	var declared, names []string
	if name, ok := o.values["type"].(string); ok {
		declared = []string{name}
	} else {
		declared = p.texts(o, "type", pointer)
	}
	for _, name := range declared {
		if name == "null" {
			f.Nullable = true
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	switch {
	case len(names) == 1:
		return names[0]
	case slices.Equal(names, []string{"integer", "number"}):
		return "number"
	}
	p.beyond = true
	return ""
}

func (p *parser) defaultKind(o *object, jsonType, pointer string) Kind {
	switch jsonType {
	case "integer":
		return Int64
	case "number":
		return Double
	case "boolean":
		return Boolean
	case "string":
		switch format, _ := p.text(o, "format", pointer); format {
		case "date":
			return Date
		case "date-time":
			return TimestampMicros
		}
		return String
	case "object":
		if properties, ok := o.values["properties"].(*object); ok && len(properties.keys) > 0 {
			return Group
		}
		if _, ok := o.values["additionalProperties"].(*object); ok && !o.has("patternProperties") {
			return Map
		}
	case "array":
		if _, ok := o.values["items"].(*object); ok && !o.has("prefixItems") {
			return List
		}
	}
	return JSON
}

func (p *parser) children(o *object, f *Field, pointer string, depth int) {
	switch f.Kind {
	case Group:
		p.group(o, f, pointer, depth)
	case List:
		f.Element = p.field("element", o.values["items"], at(pointer, "items"), depth+1)
	case Map:
		values, ok := o.values["additionalProperties"]
		if !ok || o.has("patternProperties") {
			values = true
		}
		f.Element = p.field("value", values, at(pointer, "additionalProperties"), depth+1)
		if properties, ok := o.values["properties"].(*object); ok && len(properties.keys) > 0 {
			p.beyond = true
		}
		if _, ok := o.get("required"); ok {
			p.beyond = true
		}
	case JSON:
		// Whatever else is said about the value is beyond the fast path, which only copies it.
		p.beyond = p.beyond || slices.ContainsFunc(o.keys, func(keyword string) bool {
			return constrains(keyword) && (keyword != "type" || f.Type != "object" && f.Type != "array")
		})
	}
}

// annotations are the keywords that refuse nothing.
var annotations = []string{
	"$schema", "$id", "$comment", "$anchor", "$defs", "title", "description", "default", "examples", "deprecated",
	"readOnly", "writeOnly", "format", "contentEncoding", "contentMediaType", "contentSchema",
	"x-parquet", "x-timestamp-unit", "x-null-values", "x-non-finite", "x-coerce", "x-extra", "x-ignore-case",
}

func constrains(keyword string) bool {
	return !slices.Contains(annotations, keyword)
}

// checkKeywords reads the rules of a field; those that the fast path does not know mark the schema as beyond it.
func (p *parser) checkKeywords(o *object, f *Field, pointer string) {
	rules, any := newRules(), false
	for _, keyword := range o.keys {
		switch {
		case slices.Contains([]string{"type", "properties", "required", "additionalProperties", "items"}, keyword):
		case !constrains(keyword):
			p.checkExtension(keyword, pointer)
		case !o.has("$ref") && p.rule(rules, o, f, keyword, pointer): // beside a $ref, what counts depends on the draft
			any = true
		default:
			p.beyond = true
		}
	}
	if any {
		f.Rules = rules
	}
}

func (p *parser) checkExtension(keyword, pointer string) {
	rootOnly := keyword == "x-coerce" || keyword == "x-extra" || keyword == "x-ignore-case"
	if strings.HasPrefix(keyword, "x-") && rootOnly != (pointer == "") {
		p.problem(at(pointer, keyword), "has no meaning here")
	}
}

// rule reads one constraint and reports whether the fast path can check it.
func (p *parser) rule(r *Rules, o *object, f *Field, keyword, pointer string) bool {
	here := at(pointer, keyword)
	value := o.values[keyword]
	isText := f.Kind == String && f.Type == "string"
	isNumber := f.Type == "integer" || f.Type == "number"
	switch keyword {
	case "enum":
		return isText && r.setEnum(value, f.Nullable)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		number, ok := value.(json.Number)
		return ok && isNumber && r.setBound(f.Kind, keyword, string(number))
	case "minLength", "maxLength":
		return isText && setCount(value, keyword == "minLength", &r.MinLength, &r.MaxLength)
	case "minItems", "maxItems":
		return f.Kind == List && setCount(value, keyword == "minItems", &r.MinItems, &r.MaxItems)
	case "pattern":
		text, ok := value.(string)
		if !ok || !isText {
			return false
		}
		pattern, err := compilePattern(text)
		if err != nil {
			p.problem(here, "%v", err)
			return false
		}
		r.Pattern = pattern
		return true
	}
	return false
}

func (r *Rules) setEnum(value any, nullable bool) bool {
	list, ok := value.([]any)
	if !ok {
		return false
	}
	enum := make(map[string]struct{}, len(list))
	for _, v := range list {
		text, ok := v.(string)
		switch {
		case ok:
			enum[text] = struct{}{}
		case v == nil && nullable:
			r.EnumNull = true
		default:
			return false
		}
	}
	r.Enum = enum
	return true
}

func setCount(value any, lower bool, least, most *int) bool {
	number, ok := value.(json.Number)
	if !ok {
		return false
	}
	n, err := strconv.Atoi(string(number))
	if err != nil || n < 0 {
		return false
	}
	if lower {
		*least = n
	} else {
		*most = n
	}
	return true
}

// setBound tightens the range of a number column. Of two bounds in one direction the second is left to the general validator.
func (r *Rules) setBound(k Kind, keyword, literal string) bool {
	exclusive := strings.HasPrefix(keyword, "exclusive")
	lower := strings.HasSuffix(keyword, "inimum")
	if lower && r.Min.Literal != "" || !lower && r.Max.Literal != "" || !record.NumbersBounded(json.Number(literal)) {
		return false
	}
	exact, ok := new(big.Rat).SetString(literal)
	if !ok {
		return false
	}
	nearest, _ := exact.Float64()
	bound := Bound{Literal: literal, Nearest: nearest, Exclusive: exclusive}
	if lower {
		r.Min = bound
	} else {
		r.Max = bound
	}
	switch k {
	case Int32, Int64:
		return r.setIntBound(exact, exclusive, lower)
	case Double:
		return true
	}
	return false
}

// setIntBound rounds a bound inwards to the next integer that it allows.
func (r *Rules) setIntBound(bound *big.Rat, exclusive, lower bool) bool {
	floor := new(big.Int).Div(bound.Num(), bound.Denom()) // Euclidean: towards minus infinity, as denominators are positive
	whole := bound.IsInt()
	switch {
	case lower && (!whole || exclusive):
		floor.Add(floor, big.NewInt(1))
	case !lower && whole && exclusive:
		floor.Sub(floor, big.NewInt(1))
	}
	if !floor.IsInt64() {
		return false
	}
	if lower {
		r.IntMin = max(r.IntMin, floor.Int64())
	} else {
		r.IntMax = min(r.IntMax, floor.Int64())
	}
	return true
}

var errWrongType = errors.New("has the wrong type")

func (p *parser) text(o *object, key, pointer string) (string, bool) {
	return member[string](p, o, key, pointer)
}

func (p *parser) boolean(o *object, key, pointer string) (bool, bool) {
	return member[bool](p, o, key, pointer)
}

func (p *parser) object(o *object, key, pointer string) (*object, bool) {
	return member[*object](p, o, key, pointer)
}

func (p *parser) texts(o *object, key, pointer string) []string {
	list, _ := member[[]any](p, o, key, pointer)
	var texts []string
	for i, v := range list {
		text, ok := v.(string)
		if !ok {
			p.problem(at(at(pointer, key), i), "%v", errWrongType)
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// member returns a member of the wanted Go type, and notes a problem if it is of another.
func member[T any](p *parser, o *object, key, pointer string) (v T, ok bool) {
	value, found := o.get(key)
	if !found {
		return v, false
	}
	v, ok = value.(T)
	if !ok {
		p.problem(at(pointer, key), "%v", errWrongType)
	}
	return v, ok
}
