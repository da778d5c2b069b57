package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/descriptorpb"
)

// protoFile is a Protobuf schema: its messages in the order of their full names, by which payloads name them.
type protoFile []*protoMessage

// protoMessage is a type of messages.
type protoMessage struct {
	name     string // the full one
	fields   []protoField
	numbers  map[protowire.Number]int32 // of the fields
	always   []int32                    // fields without presence: they have a value although none was sent
	required []int32
	form     protoForm
}

// protoForm is how the messages of a well-known type are written, if not as objects.
type protoForm func(r *protoReader, dst []byte, m sentMessage) ([]byte, error)

type protoField struct {
	name     string
	key      []byte // the name as a JSON string, with a colon
	kind     descriptorpb.FieldDescriptorProto_Type
	wire     protowire.Type // of a value that is not packed
	repeated bool
	entries  bool // the field is a map, whose entries are its messages
	oneof    int32
	message  *protoMessage
	enum     map[int32][]byte // the values' names as JSON strings; null for NullValue
	zero     []byte           // the text of its zero value
}

// packable reports whether several values may be packed into one.
func (f *protoField) packable() bool { return f.repeated && f.wire != protowire.BytesType }

// noOneof is the oneof of a field that is in none.
const noOneof = -1

// wellKnown are the messages that a schema may import (google/protobuf/*.proto of the Protobuf sources). Those that have a
// form of their own in JSON are in forms.
const wellKnown = `syntax = "proto3";
package google.protobuf;
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message Duration { int64 seconds = 1; int32 nanos = 2; }
message FieldMask { repeated string paths = 1; }
message Any { string type_url = 1; bytes value = 2; }
message Empty {}
message Struct { map<string, Value> fields = 1; }
message Value {
  oneof kind {
    NullValue null_value = 1; double number_value = 2; string string_value = 3; bool bool_value = 4;
    Struct struct_value = 5; ListValue list_value = 6;
  }
}
message ListValue { repeated Value values = 1; }
enum NullValue { NULL_VALUE = 0; }
message DoubleValue { double value = 1; }
message FloatValue { float value = 1; }
message Int64Value { int64 value = 1; }
message UInt64Value { uint64 value = 1; }
message Int32Value { int32 value = 1; }
message UInt32Value { uint32 value = 1; }
message BoolValue { bool value = 1; }
message StringValue { string value = 1; }
message BytesValue { bytes value = 1; }
`

// imports are the files that have those messages.
var imports = []string{"any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"}

var wellKnownTypes = sync.OnceValues(func() (*protoCompiler, error) {
	file, err := parseProtoText(wellKnown)
	if err != nil {
		return nil, err
	}
	c := &protoCompiler{types: make(map[string]any)}
	if _, err := c.compile(file); err != nil {
		return nil, err
	}
	for name, form := range forms() {
		c.types["google.protobuf."+name].(*protoMessage).form = form
	}
	return c, nil
})

// parseProto reads a .proto file.
func parseProto(definition string) (protoFile, error) {
	file, err := parseProtoText(definition)
	if err != nil {
		return nil, err
	}
	known, err := wellKnownTypes()
	if err != nil {
		return nil, err
	}
	c := &protoCompiler{types: make(map[string]any), known: known}
	for _, path := range file.GetDependency() {
		name, ok := strings.CutPrefix(path, "google/protobuf/")
		name, isProto := strings.CutSuffix(name, ".proto")
		if !ok || !isProto || !slices.Contains(imports, name) {
			return nil, fmt.Errorf("import %q: want one of google/protobuf/{%s}.proto", path, strings.Join(imports, ","))
		}
	}
	return c.compile(file)
}

func parseProtoText(text string) (*descriptorpb.FileDescriptorProto, error) {
	h := reporter.NewHandler(nil)
	file, err := parser.Parse("schema.proto", strings.NewReader(text), h)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ResultFromAST(file, true, h)
	if err != nil {
		return nil, err
	}
	f := parsed.FileDescriptorProto()
	if f.GetSyntax() == "editions" {
		return nil, errors.New("editions are not supported: want proto2 or proto3")
	}
	return f, nil
}

// protoCompiler makes messages of a file's descriptors.
type protoCompiler struct {
	types  map[string]any // *protoMessage or map[int32][]byte, by full name
	known  *protoCompiler // the well-known types
	proto3 bool
	order  protoFile
}

func (c *protoCompiler) compile(file *descriptorpb.FileDescriptorProto) (protoFile, error) {
	c.proto3 = file.GetSyntax() == "proto3"
	scope := file.GetPackage()
	for _, e := range file.GetEnumType() {
		c.declareEnum(e, scope)
	}
	for _, m := range file.GetMessageType() {
		c.declare(m, scope)
	}
	for _, m := range file.GetMessageType() {
		if err := c.fill(m, scope); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(c.order, func(a, b *protoMessage) int { return strings.Compare(a.name, b.name) })
	return c.order, nil
}

func within(scope, name string) string {
	if scope == "" {
		return name
	}
	return scope + "." + name
}

// declare makes the message and those in it known by their names.
func (c *protoCompiler) declare(m *descriptorpb.DescriptorProto, scope string) {
	name := within(scope, m.GetName())
	declared := &protoMessage{name: name, numbers: make(map[protowire.Number]int32)}
	c.types[name] = declared
	c.order = append(c.order, declared)
	for _, e := range m.GetEnumType() {
		c.declareEnum(e, name)
	}
	for _, nested := range m.GetNestedType() {
		c.declare(nested, name)
	}
}

func (c *protoCompiler) declareEnum(e *descriptorpb.EnumDescriptorProto, scope string) {
	values := make(map[int32][]byte)
	name := within(scope, e.GetName())
	for _, v := range e.GetValue() {
		if _, alias := values[v.GetNumber()]; !alias {
			values[v.GetNumber()] = quoted(v.GetName())
		}
	}
	if name == "google.protobuf.NullValue" {
		values[0] = []byte("null")
	}
	c.types[name] = values
}

// fill gives a message and those in it their fields.
func (c *protoCompiler) fill(d *descriptorpb.DescriptorProto, scope string) error {
	name := within(scope, d.GetName())
	m, ok := c.types[name].(*protoMessage)
	if !ok || len(m.fields) > 0 {
		return fmt.Errorf("type %q is defined twice", name)
	}
	maps := make(map[string]bool)
	for _, nested := range d.GetNestedType() {
		if nested.GetOptions().GetMapEntry() {
			maps[within(name, nested.GetName())] = true
		}
		if err := c.fill(nested, name); err != nil {
			return err
		}
	}
	for _, f := range d.GetField() {
		field, err := c.field(f, name)
		if err != nil {
			return fmt.Errorf("field %s of %s: %w", f.GetName(), name, err)
		}
		number, index := protowire.Number(f.GetNumber()), int32(len(m.fields))
		if _, taken := m.numbers[number]; taken {
			return fmt.Errorf("field %s of %s: the number %d is taken", f.GetName(), name, number)
		}
		m.numbers[number] = index
		if field.message != nil && maps[field.message.name] {
			field.entries, field.zero = true, []byte("{}")
		}
		m.fields = append(m.fields, field)
		switch {
		case f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REQUIRED:
			m.required = append(m.required, index)
		case field.repeated, c.proto3 && f.OneofIndex == nil && field.message == nil: // proto3's optional is a oneof
			m.always = append(m.always, index)
		}
	}
	return nil
}

func (c *protoCompiler) field(d *descriptorpb.FieldDescriptorProto, scope string) (protoField, error) {
	f := protoField{
		name: d.GetName(), key: append(quoted(d.GetName()), ':'), kind: d.GetType(), oneof: noOneof,
		repeated: d.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED,
	}
	if d.OneofIndex != nil && !d.GetProto3Optional() {
		f.oneof = d.GetOneofIndex()
	}
	if d.GetTypeName() != "" && f.kind != descriptorpb.FieldDescriptorProto_TYPE_GROUP {
		switch t := c.find(d.GetTypeName(), scope).(type) {
		case *protoMessage:
			f.kind, f.message = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, t
		case map[int32][]byte:
			f.kind, f.enum = descriptorpb.FieldDescriptorProto_TYPE_ENUM, t
		default:
			return f, fmt.Errorf("type %q is not defined", d.GetTypeName())
		}
	}
	zero := "0"
	switch f.kind {
	case descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, descriptorpb.FieldDescriptorProto_TYPE_FIXED64, descriptorpb.FieldDescriptorProto_TYPE_SFIXED64:
		f.wire = protowire.Fixed64Type
	case descriptorpb.FieldDescriptorProto_TYPE_FLOAT, descriptorpb.FieldDescriptorProto_TYPE_FIXED32, descriptorpb.FieldDescriptorProto_TYPE_SFIXED32:
		f.wire = protowire.Fixed32Type
	case descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_BYTES:
		f.wire, zero = protowire.BytesType, `""`
	case descriptorpb.FieldDescriptorProto_TYPE_MESSAGE:
		f.wire = protowire.BytesType
	case descriptorpb.FieldDescriptorProto_TYPE_GROUP:
		return f, errors.New("groups are not supported, nor are they by the AWS Glue Schema Registry")
	case descriptorpb.FieldDescriptorProto_TYPE_BOOL:
		f.wire, zero = protowire.VarintType, "false"
	case descriptorpb.FieldDescriptorProto_TYPE_ENUM:
		f.wire = protowire.VarintType
		if name, ok := f.enum[0]; ok {
			zero = string(name)
		}
	default:
		f.wire = protowire.VarintType
	}
	if f.repeated {
		zero = "[]"
	}
	f.zero = []byte(zero)
	return f, nil
}

// find resolves a name that stands in a scope: the innermost scope that has it counts.
func (c *protoCompiler) find(name, scope string) any {
	full, absolute := strings.CutPrefix(name, ".")
	for !absolute {
		if t, ok := c.types[within(scope, name)]; ok {
			return t
		}
		if scope == "" {
			break
		}
		scope = scope[:max(0, strings.LastIndexByte(scope, '.'))]
	}
	if t, ok := c.types[full]; ok {
		return t
	}
	if c.known != nil {
		// A schema of a package google.* may name them in short.
		for _, prefix := range []string{"", "google.", "google.protobuf."} {
			if t, ok := c.known.types[prefix+full]; ok {
				return t
			}
		}
	}
	return nil
}
