package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/registrytest"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/schema"
)

// columns are the columns of a document, one a line.
func columns(t *testing.T, d registry.Definition, message string) string {
	t.Helper()
	document, err := d.JSONSchema(message)
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Parse("test", document)
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	if s.NeedsFull() {
		t.Errorf("the document has rules that need the general validator:\n%s", document)
	}
	var b strings.Builder
	for _, f := range s.Fields {
		fmt.Fprintln(&b, column(f))
	}
	return b.String()
}

func column(f *schema.Field) string {
	text := f.Name + " " + f.Kind.String()
	if f.Kind == schema.Decimal {
		text += fmt.Sprintf("(%d,%d)", f.Precision, f.Scale)
	}
	if f.Nullable && f.Kind != schema.JSON {
		text += "?"
	}
	if f.Element != nil {
		text += "[" + column(f.Element) + "]"
	}
	var members []string
	for _, m := range f.Fields {
		members = append(members, column(m))
	}
	if len(members) > 0 {
		text += "{" + strings.Join(members, ", ") + "}"
	}
	return text
}

func TestJSONSchema_HasAColumnForEachField(t *testing.T) {
	const avro, proto = "AVRO", "PROTOBUF"
	inner := `{suit string, digest string?, deep map[value list[element json]]}`
	message := `{n int64, doubles list[element double], inner json, leaf group{suit string, zebra group{stripes string}}}`
	zebra := `zebra group{stripes string}`
	for name, test := range map[string]struct{ format, definition, message, want string }{
		"everything of Avro": {avro, registrytest.Definition(t, "everything.avsc"), "", `nothing json
flag boolean
small int64
large int64
single double
double double
raw string
text string
suit string
digest string
numbers list[element int64]
counts map[value int64]
optional string?
choice json
inner group` + inner + `
again list[element group` + inner + `]
price decimal(38,9)
amount decimal(16,2)
whole decimal(30,0)
id string
day date
clock_millis string
clock_micros string
at_millis timestamp-micros
at_micros timestamp-micros
local_millis string
local_micros string
span string
odd int64
`},
		"everything of Protobuf": {proto, registrytest.Definition(t, "everything.proto"), "", `camelCase_name string
flag boolean
i32 int64
i64 int64
u32 int64
u64 decimal(20,0)
s32 int64
s64 int64
f32 int64
f64 decimal(20,0)
sf32 int64
sf64 int64
single double
double double
text string
raw string
suit string
inner group` + message + `
packed list[element int64]
loose list[element int64]
texts list[element string]
suits list[element string]
inners list[element group` + message + `]
by_text map[value int64]
by_number map[value group` + message + `]
by_flag map[value string]
number int64
word string
thing group` + message + `
maybe int64
perhaps string
at string
took string
object json
value json
list json
boxed int64
boxed_text string
boxed_flag boolean
empty json
times list[element string]
high_number double
`},
		"another message": {proto, registrytest.Definition(t, "everything.proto"), "lake.test.Everything.Inner.Leaf", "suit string\n" + zebra + "\n"},
		"proto2":          {proto, registrytest.Definition(t, "older.proto"), "", "id int64\ntext string\nlevel string\npacked list[element int64]\nloose list[element int64]\nflag boolean\n"},
		"unions": {avro, `{"type":"record","name":"R","fields":[{"name":"a","type":["null"]},{"name":"b","type":["int","long","null"]},
			{"name":"c","type":["float","string"]},{"name":"d","type":[{"type":"array","items":["null","bytes"]},"null"]}]}`, "",
			"a json\nb int64?\nc json\nd list?[element string?]\n"},
		"wide and fine": {avro, `{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":39}},
			{"name":"b","type":{"type":"long","logicalType":"timestamp-nanos"}},{"name":"c","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}}]}`, "",
			"a json\nb string\nc string\n"},
		"names that are taken": {avro, `{"type":"record","name":"R","fields":[{"name":"Event_Id","type":"int"},{"name":"_extra","type":"int"},{"name":"a","type":"int"},
			{"name":"A","type":"string"},{"name":"e","type":{"type":"record","name":"E","fields":[{"name":"event_id","type":"long"}]}}]}`, "",
			"a int64\ne group{event_id int64}\n"},
		"a message with a map of itself": {proto, `syntax="proto3"; message T { int32 n = 1; map<string, T> m = 2; }`, "",
			"n int64\nm map[value json]\n"},
		"a record of itself": {avro, `{"type":"record","name":"T","fields":[{"name":"n","type":"int"},{"name":"t","type":["null","T"]},{"name":"no","type":{"type":"record","name":"E","fields":[]}}]}`, "",
			"n int64\nt json\nno json\n"},
	} {
		if got := columns(t, registry.Definition{Format: test.format, Text: test.definition}, test.message); got != test.want {
			t.Errorf("%s: columns\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestJSONSchema_TellsWhatGivesNoColumns(t *testing.T) {
	const two = `syntax="proto3"; package p; message A { int32 n = 1; } message B { int32 n = 1; }`
	for name, test := range map[string]struct{ format, definition, message, want string }{
		"no record":          {"AVRO", `"long"`, "", "of the type long: want a record"},
		"no field":           {"AVRO", `{"type":"record","name":"R","fields":[]}`, "", "R has no field"},
		"damaged Avro":       {"AVRO", `{"type":`, "", "not JSON"},
		"two messages":       {"PROTOBUF", two, "", "want the name of one (p.A, p.B)"},
		"messages in a ring": {"PROTOBUF", `syntax="proto3"; message A { B b = 1; } message B { A a = 1; }`, "", "want the name of one (A, B)"},
		"an unknown message": {"PROTOBUF", two, "C", `message "C": want one of the schema's, such as p.A, p.B`},
		"a message of Avro":  {"AVRO", `"long"`, "C", `message "C": only a Protobuf schema has messages`},
		"another format":     {"THRIFT", `struct S {}`, "", "want AVRO, JSON or PROTOBUF"},
	} {
		if document, err := (registry.Definition{Format: test.format, Text: test.definition}).JSONSchema(test.message); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %s, %v; want %s", name, document, err, test.want)
		}
	}
}

// Types that are used again and again unfold into a bounded number of columns; what has none is JSON text.
func TestJSONSchema_BoundsItsColumns(t *testing.T) {
	types := `{"type":"record","name":"R0","fields":[{"name":"n","type":"int"}]}`
	for i := 1; i <= 9; i++ {
		fields := `{"name":"f0","type":` + types + `}`
		for j := 1; j < 8; j++ {
			fields += fmt.Sprintf(`,{"name":"f%d","type":"R%d"}`, j, i-1)
		}
		types = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[%s]}`, i, fields)
	}
	if got := columns(t, registry.Definition{Format: "AVRO", Text: types}, ""); strings.Count(got, " int64")+strings.Count(got, " json") > 1200 {
		t.Errorf("%d bytes of columns", len(got))
	}
}
