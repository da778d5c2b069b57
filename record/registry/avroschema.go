package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"aws-streaming-pipeline/record"
)

// avroType is a type of an Avro schema, with all names resolved.
type avroType struct {
	kind     string // a primitive type, or record, enum, array, map, fixed, union
	logical  string // a logical type that suits the kind; empty for none
	fields   []avroField
	symbols  [][]byte    // of an enum, as JSON strings
	items    *avroType   // of an array or a map
	branches []*avroType // of a union
	size     int         // of a fixed
	name     string      // the full one; empty if it has none

	precision, scale int // of a decimal
}

type avroField struct {
	name string
	key  []byte // the name as a JSON string, with a colon
	typ  *avroType
}

// parseAvro reads an Avro schema ("Schema Declaration" of the Avro Specification).
func parseAvro(definition string) (*avroType, error) {
	d := json.NewDecoder(strings.NewReader(definition))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if !bytes.ContainsAny([]byte(definition), `{["`) {
			v = strings.TrimSpace(definition) // the bare name of a primitive type
		} else {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
	} else if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON of the schema")
	}
	p := avroParser{named: make(map[string]*avroType)}
	return p.parse(v, "")
}

// avroParser knows the named types so far, by their full names.
type avroParser struct{ named map[string]*avroType }

var avroPrimitives = map[string]bool{
	"null": true, "boolean": true, "int": true, "long": true, "float": true, "double": true, "bytes": true, "string": true,
}

// parse reads a type that stands where names without a dot belong to the namespace.
func (p *avroParser) parse(v any, namespace string) (*avroType, error) {
	switch v := v.(type) {
	case string:
		return p.byName(v, namespace)
	case []any:
		t := &avroType{kind: "union"}
		for _, branch := range v {
			b, err := p.parse(branch, namespace)
			if err != nil {
				return nil, err
			}
			t.branches = append(t.branches, b)
		}
		return t, nil
	case map[string]any:
		return p.complex(v, namespace)
	}
	return nil, fmt.Errorf("a type is a %T: want a name, an object or an array", v)
}

// byName finds a type by its name.
func (p *avroParser) byName(name, namespace string) (*avroType, error) {
	if avroPrimitives[name] {
		return &avroType{kind: name}, nil
	}
	if t := p.named[fullName(name, namespace)]; t != nil {
		return t, nil
	}
	if t := p.named[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("type %q is not defined", name)
}

func fullName(name, namespace string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}

// complex reads a type that is written as an object.
func (p *avroParser) complex(o map[string]any, namespace string) (*avroType, error) {
	kind, ok := o["type"].(string)
	if !ok {
		return p.parse(o["type"], namespace) // a type in an object of its own
	}
	switch kind {
	case "record", "error", "enum", "fixed":
		return p.define(kind, o, namespace)
	case "array", "map":
		item := "items"
		if kind == "map" {
			item = "values"
		}
		items, err := p.parse(o[item], namespace)
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", item, kind, err)
		}
		return &avroType{kind: kind, items: items}, nil
	}
	t, err := p.byName(kind, namespace)
	if err == nil && avroPrimitives[kind] {
		err = t.setLogical(o)
	}
	return t, err
}

// define reads a type that has a name, by which it may be meant later, and inside itself.
func (p *avroParser) define(kind string, o map[string]any, namespace string) (*avroType, error) {
	name, _ := o["name"].(string)
	if name == "" {
		return nil, fmt.Errorf("a %s has no name", kind)
	}
	if own, ok := o["namespace"].(string); ok {
		namespace = own
	}
	name = fullName(name, namespace)
	namespace = ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		namespace = name[:dot]
	}
	if p.named[name] != nil {
		return nil, fmt.Errorf("type %q is defined twice", name)
	}
	t := &avroType{kind: kind, name: name}
	p.named[name] = t
	var err error
	switch kind {
	case "fixed":
		var size int64
		n, _ := o["size"].(json.Number)
		if size, err = n.Int64(); err != nil || size < 0 || size > 1<<31-1 {
			return nil, fmt.Errorf("fixed %q: size=%q: want the number of its bytes", name, n)
		}
		t.size = int(size)
		err = t.setLogical(o)
	case "enum":
		symbols, _ := o["symbols"].([]any)
		for _, s := range symbols {
			symbol, ok := s.(string)
			if !ok {
				return nil, fmt.Errorf("enum %q: a symbol is a %T: want a string", name, s)
			}
			t.symbols = append(t.symbols, quoted(symbol))
		}
	default:
		t.kind = "record"
		err = p.defineFields(t, o, namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", kind, name, err)
	}
	return t, nil
}

func (p *avroParser) defineFields(t *avroType, o map[string]any, namespace string) error {
	fields, ok := o["fields"].([]any)
	if !ok {
		return errors.New("no fields")
	}
	for _, f := range fields {
		field, _ := f.(map[string]any)
		name, _ := field["name"].(string)
		if name == "" {
			return errors.New("a field has no name")
		}
		typ, err := p.parse(field["type"], namespace)
		if err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		t.fields = append(t.fields, avroField{name: name, key: append(quoted(name), ':'), typ: typ})
	}
	return nil
}

// avroLogicals are the logical types with the kinds that they annotate ("Logical Types" of the Avro Specification).
var avroLogicals = map[string][]string{
	"decimal": {"bytes", "fixed"}, "uuid": {"string", "fixed"}, "date": {"int"}, "time-millis": {"int"}, "time-micros": {"long"},
	"timestamp-millis": {"long"}, "timestamp-micros": {"long"}, "timestamp-nanos": {"long"},
	"local-timestamp-millis": {"long"}, "local-timestamp-micros": {"long"}, "local-timestamp-nanos": {"long"},
	"duration": {"fixed"},
}

// setLogical takes the logical type over if it suits the kind; otherwise it is to be ignored.
func (t *avroType) setLogical(o map[string]any) error {
	logical, _ := o["logicalType"].(string)
	suits := false
	for _, kind := range avroLogicals[logical] {
		suits = suits || kind == t.kind
	}
	switch {
	case !suits, logical == "duration" && t.size != 12, logical == "uuid" && t.kind == "fixed" && t.size != 16:
		return nil
	case logical == "decimal":
		precision, scale := number(o["precision"]), number(o["scale"])
		if o["scale"] == nil {
			scale = 0
		}
		if precision < 1 || scale < 0 || scale > precision {
			return nil
		}
		if scale > record.MaxNumberDigits {
			return fmt.Errorf("a decimal has the scale %d: want at most %d", scale, record.MaxNumberDigits)
		}
		t.precision, t.scale = precision, scale
	}
	t.logical = logical
	return nil
}

// number is a whole number of a schema; -1 if there is none.
func number(v any) int {
	n, _ := v.(json.Number)
	i, err := n.Int64()
	if err != nil || i > 1<<31-1 {
		return -1
	}
	return int(i)
}
