package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/descriptorpb"

	"aws-streaming-pipeline/record/schema"
)

const (
	// maxColumns is the number of columns above which records, maps and arrays are kept as JSON text: types that are used again
	// and again may unfold into any number.
	maxColumns = 1000
	// maxColumnDepth is the number of objects and arrays within one another that have columns. Below it stands JSON text.
	maxColumnDepth = 10
	// maxColumnDigits are those of the widest decimal column.
	maxColumnDigits = 38
)

// JSONSchema returns a JSON Schema document for what Open makes of the definition's data, with the columns that hold each
// value exactly. Of a Protobuf file, message is the full name of the message type that the records are; it may be empty if
// there is one that no other has as a field.
//
// The document describes columns and refuses nothing: the serializer has checked the data, and other versions of the schema may
// be in the stream. So integers are of 64 bits and fractions are doubles, nothing is required, and an enum is any text. A field
// that other versions add has no column, and is kept in _extra.
//
// Of a JSON Schema the document is the definition itself.
func (d Definition) JSONSchema(message string) ([]byte, error) {
	if message != "" && d.Format != formatProtobuf {
		return nil, fmt.Errorf("message %q: only a Protobuf schema has messages, and the schema's format is %s", message, d.Format)
	}
	var c columns
	title, body := "", ""
	switch d.Format {
	case formatJSON:
		return []byte(d.Text), nil
	case formatAvro:
		t, err := parseAvro(d.Text)
		if err != nil {
			return nil, err
		}
		if t.kind != "record" {
			return nil, fmt.Errorf("the schema is of the type %s: want a record, whose fields are the columns", t.kind)
		}
		title, body = t.name, c.record(t, false)
	case formatProtobuf:
		file, err := parseProto(d.Text)
		if err != nil {
			return nil, err
		}
		m, err := file.root(message)
		if err != nil {
			return nil, err
		}
		title, body = m.name, c.message(m)
	default:
		return nil, fmt.Errorf("data format %q: want AVRO, JSON or PROTOBUF", d.Format)
	}
	if body == anything || c.count == 0 {
		return nil, fmt.Errorf("%s has no field that could be a column", title)
	}
	document := `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":` + string(quoted(title)) + "," + body[1:]
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(document), "", "  "); err != nil {
		return nil, err
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

// columns writes JSON Schemas of types, and knows how many columns they have so far and in which types it is.
type columns struct {
	count int
	open  []any // the objects and arrays around the one under way
}

// anything is the schema of a value that is kept as JSON text.
const anything = "{}"

func (c *columns) text() string {
	c.count++
	return anything
}

// scalar is the schema of a value of a JSON type, with more keywords, each after a comma.
func (c *columns) scalar(jsonType string, nullable bool, more string) string {
	c.count++
	return "{" + typed(jsonType, nullable) + more + "}"
}

func typed(jsonType string, nullable bool) string {
	if nullable {
		return `"type":["` + jsonType + `","null"]`
	}
	return `"type":"` + jsonType + `"`
}

// nested is the schema of an object or array of a type, whose keyword has the schemas that inner writes. It is JSON text where they
// would go on for long, or for ever.
func (c *columns) nested(of any, jsonType string, nullable bool, keyword string, inner func() string) string {
	if c.count >= maxColumns || len(c.open) >= maxColumnDepth || slices.Contains(c.open, of) {
		return c.text()
	}
	c.open = append(c.open, of)
	defer func() { c.open = c.open[:len(c.open)-1] }()
	return "{" + typed(jsonType, nullable) + `,"` + keyword + `":` + inner() + "}"
}

// object is the schema of an object with members. One has no column whose name is the pipeline's own, or differs from that of
// another in case only.
func (c *columns) object(of any, nullable bool, names []string, member func(i int) string) string {
	if len(names) == 0 {
		return c.text()
	}
	return c.nested(of, "object", nullable, "properties", func() string {
		taken := map[string]bool{}
		if len(c.open) == 1 {
			taken[schema.EventIDColumn], taken[schema.ExtraColumn] = true, true
		}
		var properties []string
		for i, name := range names {
			if folded := strings.ToLower(name); !taken[folded] {
				taken[folded] = true
				properties = append(properties, string(quoted(name))+":"+member(i))
			}
		}
		return "{" + strings.Join(properties, ",") + "}"
	})
}

// Keywords of strings and numbers. A date-time has a column of microseconds unless its text has more digits, or no zone.
const (
	asDate     = `,"format":"date"`
	asTime     = `,"format":"date-time"`
	asTimeText = asTime + `,"x-parquet":"string"`
	asUUID     = `,"format":"uuid"`
	asDuration = `,"format":"duration"`
	asBase64   = `,"contentEncoding":"base64"`
	nonFinite  = `,"x-non-finite":true`
)

func asDecimal(precision, scale int) string {
	return fmt.Sprintf(`,"x-parquet":"decimal(%d,%d)"`, precision, scale)
}

// record is the schema of a record of Avro.
func (c *columns) record(t *avroType, nullable bool) string {
	names := make([]string, len(t.fields))
	for i, f := range t.fields {
		names[i] = f.name
	}
	return c.object(t, nullable, names, func(i int) string { return c.avro(t.fields[i].typ, false) })
}

// avro is the schema of a value of a type of Avro.
func (c *columns) avro(t *avroType, nullable bool) string {
	switch t.kind {
	case "boolean":
		return c.scalar("boolean", nullable, "")
	case "int", "long":
		switch t.logical {
		case "":
			return c.scalar("integer", nullable, "")
		case "date":
			return c.scalar("string", nullable, asDate)
		case "timestamp-millis", "timestamp-micros":
			return c.scalar("string", nullable, asTime)
		case "timestamp-nanos":
			return c.scalar("string", nullable, asTimeText)
		}
		return c.scalar("string", nullable, "") // a time of day, or a local timestamp
	case "float", "double":
		return c.scalar("number", nullable, nonFinite)
	case "bytes", "fixed":
		return c.avroBytes(t, nullable)
	case "string":
		if t.logical == "uuid" {
			return c.scalar("string", nullable, asUUID)
		}
		return c.scalar("string", nullable, "")
	case "enum":
		return c.scalar("string", nullable, "")
	case "array":
		return c.nested(t, "array", nullable, "items", func() string { return c.avro(t.items, false) })
	case "map":
		return c.nested(t, "object", nullable, "additionalProperties", func() string { return c.avro(t.items, false) })
	case "record":
		return c.record(t, nullable)
	case "union":
		return c.union(t)
	}
	return c.text() // null
}

func (c *columns) avroBytes(t *avroType, nullable bool) string {
	switch {
	case t.logical == "decimal" && t.precision > maxColumnDigits:
		return c.text()
	case t.logical == "decimal":
		return c.scalar("number", nullable, asDecimal(t.precision, t.scale))
	case t.logical == "uuid":
		return c.scalar("string", nullable, asUUID)
	case t.logical == "duration":
		return c.scalar("string", nullable, asDuration)
	}
	return c.scalar("string", nullable, asBase64)
}

// union is the schema of its branch, or of its branches if they have the same one.
func (c *columns) union(t *avroType) string {
	isNull := func(b *avroType) bool { return b.kind == "null" }
	nullable := slices.ContainsFunc(t.branches, isNull)
	var schemas []string
	for _, branch := range t.branches {
		if !isNull(branch) {
			schemas = append(schemas, c.avro(branch, nullable))
		}
	}
	if len(slices.Compact(schemas)) != 1 {
		return c.text()
	}
	return schemas[0]
}

// root is the message type that has a name, or else the only one that no other has as a field.
func (f protoFile) root(name string) (*protoMessage, error) {
	var roots []*protoMessage
	var names []string
	for _, m := range f {
		if m.name == name {
			return m, nil
		}
		if !f.uses(m) {
			roots = append(roots, m)
			names = append(names, m.name)
		}
	}
	if len(names) == 0 { // they hold one another
		for _, m := range f {
			names = append(names, m.name)
		}
	}
	switch {
	case name != "":
		return nil, fmt.Errorf("message %q: want one of the schema's, such as %s", name, strings.Join(names, ", "))
	case len(roots) != 1:
		return nil, fmt.Errorf("the schema has %d messages that are not a field of another: want the name of one (%s)", len(roots), strings.Join(names, ", "))
	}
	return roots[0], nil
}

// uses reports whether a message type is a field of another one that is not nested in it, as the entries of its maps are.
func (f protoFile) uses(m *protoMessage) bool {
	for _, other := range f {
		within := strings.HasPrefix(other.name, m.name+".")
		if other != m && !within && slices.ContainsFunc(other.fields, func(f protoField) bool { return f.message == m }) {
			return true
		}
	}
	return false
}

// message is the schema of a message of Protobuf.
func (c *columns) message(m *protoMessage) string {
	switch strings.TrimPrefix(m.name, "google.protobuf.") {
	case "Timestamp":
		return c.scalar("string", false, asTimeText)
	case "Duration", "FieldMask":
		return c.scalar("string", false, "")
	case "Struct", "ListValue", "Value":
		return c.text()
	}
	if m.form != nil {
		return c.proto(&m.fields[0]) // a wrapper
	}
	names := make([]string, len(m.fields))
	for i, f := range m.fields {
		names[i] = f.name
	}
	return c.object(m, false, names, func(i int) string { return c.field(&m.fields[i]) })
}

// field is the schema of a field of Protobuf.
func (c *columns) field(f *protoField) string {
	switch {
	case f.entries:
		values := &f.message.fields[f.message.numbers[2]]
		return c.nested(f, "object", false, "additionalProperties", func() string { return c.proto(values) })
	case f.repeated:
		return c.nested(f, "array", false, "items", func() string { return c.proto(f) })
	}
	return c.proto(f)
}

// proto is the schema of one value of a field.
func (c *columns) proto(f *protoField) string {
	switch f.kind {
	case descriptorpb.FieldDescriptorProto_TYPE_MESSAGE:
		return c.message(f.message)
	case descriptorpb.FieldDescriptorProto_TYPE_STRING:
		return c.scalar("string", false, "")
	case descriptorpb.FieldDescriptorProto_TYPE_BYTES:
		return c.scalar("string", false, asBase64)
	case descriptorpb.FieldDescriptorProto_TYPE_BOOL:
		return c.scalar("boolean", false, "")
	case descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, descriptorpb.FieldDescriptorProto_TYPE_FLOAT:
		return c.scalar("number", false, nonFinite)
	case descriptorpb.FieldDescriptorProto_TYPE_UINT64, descriptorpb.FieldDescriptorProto_TYPE_FIXED64:
		return c.scalar("integer", false, asDecimal(20, 0))
	case descriptorpb.FieldDescriptorProto_TYPE_ENUM:
		if string(f.enum[0]) == "null" {
			return c.text() // a NullValue
		}
		return c.scalar("string", false, "")
	}
	return c.scalar("integer", false, "")
}
