package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aws-streaming-pipeline/record/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s:\n%s", path, got)
	}
}

func mustParse(t *testing.T, document string) *schema.Schema {
	t.Helper()
	s, err := schema.Parse("test", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trips(t *testing.T) *schema.Schema {
	t.Helper()
	document, err := os.ReadFile("../../athena/schema/trips.json")
	if err != nil {
		t.Fatal(err)
	}
	return mustParse(t, string(document))
}

// describe writes a field as name:kind, with the fields below.
func describe(f *schema.Field) string {
	text := f.Name + ":" + f.Kind.String()
	if f.Kind == schema.Decimal {
		text += fmt.Sprintf("(%d,%d)", f.Precision, f.Scale)
	}
	if f.Element != nil {
		text += "<" + describe(f.Element) + ">"
	}
	if len(f.Fields) > 0 {
		text += "{" + describeAll(f.Fields) + "}"
	}
	return text
}

func describeAll(fields []*schema.Field) string {
	var texts []string
	for _, f := range fields {
		texts = append(texts, describe(f))
	}
	return strings.Join(texts, " ")
}

func TestParse_ColumnsFollowTheDocument(t *testing.T) {
	for properties, want := range map[string]string{
		`"z":{"type":"string"},"a":{"type":"integer"},"m":{"type":"number"}`:                                                                    "z:string a:int64 m:double",
		`"a":{"type":["null","boolean"]},"b":{"type":["integer","number"]}`:                                                                     "a:boolean b:double",
		`"a":{"type":"string","format":"date"},"b":{"type":"string","format":"date-time"},"c":{"type":"string","format":"email"}`:               "a:date b:timestamp-micros c:string",
		`"a":{},"b":true,"c":{"type":"object"},"d":{"type":"array"},"e":{"type":["string","integer"]}`:                                          "a:json b:json c:json d:json e:json",
		`"a":{"type":"object","properties":{"b":{"type":"array","items":{"type":"object","properties":{"c":{"type":"string"}}}}}}`:              "a:group{b:list<element:group{c:string}>}",
		`"a":{"type":"object","additionalProperties":{"type":"number"}}`:                                                                        "a:map<value:double>",
		`"a":{"type":"integer","x-parquet":"int32"},"b":{"type":"number","x-parquet":"decimal(10, 2)"},"c":{"type":"object","x-parquet":"map"}`: "a:int32 b:decimal(10,2) c:map<value:json>",
		`"a":{"type":"object","properties":{"b":{}},"x-parquet":"json"}`:                                                                        "a:json",
		`"a":{"$ref":"#/$defs/point"}`:                       "a:group{x:double}",
		`"a":{"$ref":"#/$defs/tree"}`:                        "a:group{next:json}",
		`"a":{"type":"string"},"event_id":{"type":"string"}`: "a:string",
	} {
		s, err := schema.Parse("t", []byte(`{"$defs":{"point":{"type":"object","properties":{"x":{"type":"number"}}},
			"tree":{"type":"object","properties":{"next":{"$ref":"#/$defs/tree"}}}},"properties":{`+properties+`}}`))
		if err != nil {
			t.Errorf("%s: %v", properties, err)
			continue
		}
		if got := describeAll(s.Fields); got != want {
			t.Errorf("%s: columns %s, want %s", properties, got, want)
		}
	}
}

func TestParse_NamesEveryProblemAtOnceWithItsPlace(t *testing.T) {
	_, err := schema.Parse("t", []byte(`{"type":"array","properties":{
		"a":{"type":"integer","x-parquet":"int96"},
		"b/c":{"type":"string","x-timestamp-unit":"s"},
		"d":{"type":"number","x-parquet":"decimal(39,2)"},
		"E":{"type":"string"},"e":{"type":"string"},
		"f":{"type":"array","items":{"type":"object","properties":{"g":{"type":"string","pattern":"("}}}},
		"h":7,"i":{"type":"integer","x-timestamp-unit":"h","x-parquet":"timestamp-millis"},
		"_extra":{"type":"string"},"event_id":{"type":"integer"},
		"j":{"type":"string","x-null-values":[1],"x-coerce":true}}}`))
	var problems schema.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"/type", "/properties/a/x-parquet", "/properties/b~1c/x-timestamp-unit", "/properties/d/x-parquet", "/properties/e",
		"/properties/f/items/properties/g/pattern", "/properties/h", "/properties/i/x-timestamp-unit", "/properties/_extra",
		"/properties/event_id", "/properties/j/x-null-values/0", "/properties/j/x-coerce",
	} {
		found := false
		for _, p := range problems {
			found = found || p.Pointer == want
		}
		if !found {
			t.Errorf("no problem at %s in: %v", want, err)
		}
	}
}

func TestParse_RefusesWhatIsNoSchema(t *testing.T) {
	for _, document := range []string{
		``, `[]`, `{`, `{}`, `{"properties":{}}`, `{"properties":7}`, `{"properties":{"a":{}}} {}`, `{"properties":{"a":{},"a":{}}}`,
		`{"properties":{"a":{"$ref":"#/$defs/missing"}}}`, `{"properties":{"a":{"$ref":"file:///etc/hostname"}}}`,
		`{"properties":{"a":{"type":"text"}}}`, `{"properties":{"a":{"minimum":"1"}}}`, `{"properties":{"event_id":{"type":"string"}}}`,
		`{"properties":{"a":` + strings.Repeat(`{"type":"array","items":`, 40) + `{}` + strings.Repeat(`}`, 40) + `}}`,
	} {
		if s, err := schema.Parse("t", []byte(document)); err == nil {
			t.Errorf("%.80s is taken: %s", document, describeAll(s.Fields))
		}
	}
}

func TestParse_KnowsWhichRulesTheFastPathHolds(t *testing.T) {
	for property, want := range map[string]bool{
		`{"type":"string","minLength":1,"maxLength":3,"pattern":"a","enum":["a"]}`: false,
		`{"type":"integer","minimum":1.5,"exclusiveMaximum":7}`:                    false,
		`{"type":"number","minimum":0.1}`:                                          false,
		`{"type":"array","minItems":1,"items":{"type":"string"}}`:                  false,
		`{"type":"object"}`: false,
		`{"title":"x","default":1,"format":"uuid","type":"string"}`:                        false,
		`{"type":"integer","multipleOf":2}`:                                                true,
		`{"type":"string","const":"a"}`:                                                    true,
		`{"type":"string","enum":["a",null]}`:                                              true,
		`{"type":["string","null"],"enum":["a",null]}`:                                     false,
		`{"type":["string","null"],"enum":["a"]}`:                                          false,
		`{"type":"array","uniqueItems":true,"items":{"type":"string"}}`:                    true,
		`{"type":["string","integer"]}`:                                                    true,
		`{"minimum":3}`:                                                                    true,
		`{"type":"integer","x-parquet":"string"}`:                                          true,
		`{"type":"string","format":"date-time","maxLength":20}`:                            true,
		`{"type":"object","properties":{"b":{"not":{}}}}`:                                  true,
		`{"type":"object","properties":{"b":{}},"additionalProperties":{"type":"string"}}`: true,
		`{"type":"integer","maximum":1e30}`:                                                true,
	} {
		if s := mustParse(t, `{"properties":{"a":`+property+`}}`); s.NeedsFull() != want {
			t.Errorf("%s: needs the general validator: %v, want %v", property, s.NeedsFull(), want)
		}
	}
}

func TestTrips_HaveTheColumnsOfTheCSVFile(t *testing.T) {
	s := trips(t)
	want := "TRIP_ID:string CALL_TYPE:string ORIGIN_CALL:int64 ORIGIN_STAND:int64 TAXI_ID:int64 TIMESTAMP:int64 DAY_TYPE:string MISSING_DATA:boolean POLYLINE:string"
	if got := describeAll(s.Fields); got != want {
		t.Errorf("columns are %s", got)
	}
	if s.NeedsFull() {
		t.Error("trips need the general validator, which is slow")
	}
}

func TestValidate_ReportsPlacesThatTheSchemaNames(t *testing.T) {
	s := mustParse(t, `{"properties":{"a":{"type":"object","properties":{"b":{"type":"integer","multipleOf":3}},
		"patternProperties":{"^x":{"type":"string"}}},"m":{"type":"object","additionalProperties":{"type":"integer","multipleOf":2}}}}`)
	for data, want := range map[string]string{
		`{"a":{"b":3},"m":{"k":4}}`: "", `{"a":{"b":4}}`: `"/a/b" breaks the rule multipleOf`, `{"m":{"secret":3}}`: `"/m/*" breaks the rule multipleOf`,
		`{"a":{"xsecret":3}}`: `"/a/*" breaks the rule type`,
	} {
		fault := s.Validate([]byte(data))
		if want == "" && fault != nil || want != "" && (fault == nil || !strings.Contains(fault.Message, want)) {
			t.Errorf("%s: got %v, want %s", data, fault, want)
		}
	}
}

func TestDDL_IsWhatAthenaTakes(t *testing.T) {
	nested := mustParse(t, `{"title":"orders","properties":{
		"Order Id":{"type":"integer","description":"the customer's number"},"date":{"type":"string","format":"date"},
		"total":{"type":"number","x-parquet":"decimal(12,2)"},"user":{"type":"object","properties":{"Name":{"type":"string"},"group":{"type":"string"}}},
		"tags":{"type":"array","items":{"type":"string"}},"attributes":{"type":"object","additionalProperties":{"type":"number"}},
		"raw":{},"at":{"type":"string","format":"date-time"}}}`)
	lower := mustParse(t, `{"title":"orders","properties":{
		"order_id":{"type":"integer","description":"the customer's number"},"date":{"type":"string","format":"date"},
		"total":{"type":"number","x-parquet":"decimal(12,2)"},"user":{"type":"object","properties":{"name":{"type":"string"}}},
		"tags":{"type":"array","items":{"type":"string"}},"at":{"type":"string","format":"date-time"}}}`)
	hours := []schema.Partition{
		{Name: "day", Projection: []schema.Property{{Key: "type", Value: "date"}, {Key: "range", Value: "2024/01/01,NOW"}, {Key: "format", Value: "yyyy/MM/dd"}}},
		{Name: "hour", Type: "int", Projection: []schema.Property{{Key: "type", Value: "integer"}, {Key: "range", Value: "0,23"}, {Key: "digits", Value: "2"}}},
	}
	for _, c := range []struct {
		golden string
		schema *schema.Schema
		table  schema.Table
	}{
		{"trips_parquet.sql", trips(t), schema.Table{Database: "taxi", Name: "trips", Location: "s3://bucket/trips/", Storage: schema.ParquetFiles}},
		{"trips_json.sql", trips(t), schema.Table{Name: "trips", Location: "s3://bucket/trips/", Storage: schema.JSONLines,
			Partitions: []schema.Partition{{Name: "dt", Projection: []schema.Property{{Key: "type", Value: "date"}, {Key: "range", Value: "2013-07-01,NOW"}, {Key: "format", Value: "yyyy-MM-dd"}}}}}},
		{"orders_parquet.sql", nested, schema.Table{Name: "orders", Location: "s3://bucket/orders/", Storage: schema.ParquetFiles,
			Partitions: hours, LocationTemplate: "s3://bucket/orders/${day}/${hour}/"}},
		{"orders_iceberg.sql", lower, schema.Table{Database: "lake", Name: "orders", Location: "s3://bucket/tables/orders/", Storage: schema.Iceberg,
			Transforms: []schema.Transform{{Name: "day", Column: "at"}, {Name: "bucket", Width: 16, Column: "order_id"}, {Name: "identity", Column: "date"}}}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			ddl, err := c.schema.DDL(c.table)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.golden, ddl)
		})
	}
}

func TestDDL_NamesEveryFaultOfTheTable(t *testing.T) {
	_, err := trips(t).DDL(schema.Table{Location: "bucket", Storage: "orc", LocationTemplate: "x", Partitions: []schema.Partition{{Name: "taxi_id"}}})
	for _, want := range []string{"no name", `"bucket"`, `"orc"`, `"taxi_id"`, "template"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// Athena names columns in lower case, and the daemon fills a column from the member of the same name.
func TestDDL_RefusesIcebergTablesThatRecordsWouldNotFill(t *testing.T) {
	s := mustParse(t, `{"properties":{"TRIP_ID":{"type":"string"},"list":{"type":"array","items":{"type":"object","properties":{"Inner":{"type":"string"}}}}}}`)
	_, err := s.DDL(schema.Table{Name: "trips", Location: "s3://bucket/trips/", Storage: schema.Iceberg,
		Partitions: []schema.Partition{{Name: "dt"}}, Transforms: []schema.Transform{{Name: "day", Column: "_arrived_at"}}})
	for _, want := range []string{`"TRIP_ID"`, `"list.Inner"`, `"_arrived_at"`, "transforms instead of partition columns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestInfer_ProposesASchemaThatTakesTheSamples(t *testing.T) {
	samples := []string{
		`{"id":1,"code":"17","at":"2024-01-01T00:00:00Z","day":"2024-01-01","note":"2024-01-01","user":{"name":"a","age":null},"tags":["x"],"mix":1,"empty":[],"price":1}`,
		`{"id":2,"code":"18","at":"2024-01-02T00:00:00+02:00","day":"2024-01-02","note":"none","user":{"name":null,"geo":{"lat":1.5}},"tags":[],"mix":"a","price":1.5,"none":null}`,
	}
	document, err := schema.Infer("orders", [][]byte{[]byte(samples[0]), []byte(samples[1])})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "inferred.json", string(document))
	s := mustParse(t, string(document))
	want := "id:int64 code:int64 at:timestamp-micros day:date note:string user:group{name:string age:json geo:group{lat:double}} tags:list<element:string> mix:json empty:json price:double none:json"
	if got := describeAll(s.Fields); got != want {
		t.Errorf("columns are %s", got)
	}
	for _, bad := range [][]byte{[]byte(`[]`), []byte(`{"a":}`), []byte(``)} {
		if _, err := schema.Infer("bad", [][]byte{bad}); err == nil {
			t.Errorf("a schema was inferred from %s", bad)
		}
	}
	if _, err := schema.Infer("nothing", nil); err == nil {
		t.Error("a schema was inferred from nothing")
	}
}

func TestInferrer_NumbersGetAColumnThatGivesThemBack(t *testing.T) {
	const decimal = `{"type":"integer","x-parquet":"decimal(38,0)"}`
	const text = `{"$comment":"has numbers that a double cannot hold","x-parquet":"json"}`
	for numbers, want := range map[string]struct{ column, property string }{
		"1 -9223372036854775808":                          {"v:int64", `{"type":"integer"}`},
		"1 1.5 1e23 0.30000000000000004 9007199254740992": {"v:double", `{"type":"number"}`},
		"18446744073709551615":                            {"v:decimal(38,0)", decimal},
		"1 18446744073709551616":                          {"v:decimal(38,0)", decimal},
		"100000000000000001 1.5":                          {"v:json", text},
		"0.5 1e-400":                                      {"v:json", text},
		"1.5 18446744073709551615":                        {"v:json", text},
		"123456789012345678901234567890123456789":         {"v:json", text},
		"3.14159265358979323846":                          {"v:json", text},
	} {
		var samples [][]byte
		i := schema.NewInferrer()
		for _, number := range strings.Fields(numbers) {
			sample := []byte(`{"v":` + number + `}`)
			samples = append(samples, sample)
			if err := i.Add(sample); err != nil {
				t.Fatal(err)
			}
		}
		if got := describeAll(i.Schema().Fields); got != want.column {
			t.Errorf("%s: the column is %s, want %s", numbers, got, want.column)
		}
		document, err := schema.Infer("t", samples)
		if err != nil {
			t.Fatal(err)
		}
		var properties struct{ Properties struct{ V json.RawMessage } }
		if err := json.Unmarshal(document, &properties); err != nil {
			t.Fatal(err)
		}
		var property bytes.Buffer
		if err := json.Compact(&property, properties.Properties.V); err != nil {
			t.Fatal(err)
		}
		if property.String() != want.property {
			t.Errorf("%s: the proposal is %s, want %s", numbers, &property, want.property)
		}
		if s := mustParse(t, string(document)); describeAll(s.Fields) != want.column || s.NeedsFull() {
			t.Errorf("%s: the proposed column is %s, needs the general validator: %v", numbers, describeAll(s.Fields), s.NeedsFull())
		}
	}
}

func TestInferrer_NamesWithNULGetNoColumn(t *testing.T) {
	sample := []byte(`{"a":1,"a\u0000b":2,"g":{"\u0000":3,"c":4}}`)
	i := schema.NewInferrer()
	if err := i.Add(sample); err != nil {
		t.Fatal(err)
	}
	const want = "a:int64 g:group{c:int64}"
	if got := describeAll(i.Schema().Fields); got != want {
		t.Errorf("columns are %s, want %s", got, want)
	}
	document, err := schema.Infer("t", [][]byte{sample})
	if err != nil {
		t.Fatal(err)
	}
	if got := describeAll(mustParse(t, string(document)).Fields); got != want {
		t.Errorf("proposed columns are %s, want %s", got, want)
	}
}

func TestInferrer_ColumnsKeepTheirTypes(t *testing.T) {
	i := schema.NewInferrer()
	add := func(data string) string {
		t.Helper()
		if err := i.Add([]byte(data)); err != nil {
			t.Fatal(err)
		}
		return describeAll(i.Schema().Fields)
	}
	for _, step := range []struct{ data, want string }{
		{`{"a":1,"n":null,"l":[],"o":{}}`, "a:int64 o:json"},
		{`{"a":1.5,"A":2,"n":"x","l":[1],"o":{"p":1},"event_id":"x","":1}`, "a:int64 n:string l:list<element:int64> o:json"},
		{`{"a":"text","n":7,"l":["x"],"q":{"r":null}}`, "a:int64 n:string l:list<element:int64> o:json"},
		{`{"q":{"r":true}}`, "a:int64 n:string l:list<element:int64> o:json q:group{r:boolean}"},
	} {
		if got := add(step.data); got != step.want {
			t.Errorf("after %s columns are %s, want %s", step.data, got, step.want)
		}
	}
}

func TestInferrer_BoundsItsColumns(t *testing.T) {
	i := schema.NewInferrer()
	for n := range 3000 {
		if err := i.Add(fmt.Appendf(nil, `{"key%d":1,"map":{"key%d":1}}`, n, n)); err != nil {
			t.Fatal(err)
		}
	}
	fields := i.Schema().Fields
	if len(fields) > 1000 {
		t.Errorf("%d columns", len(fields))
	}
	for _, f := range fields {
		if f.Name == "map" && f.Kind != schema.JSON {
			t.Errorf("an object of 3000 keys is a %v", f.Kind)
		}
	}
}
