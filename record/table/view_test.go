package table

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

// withIDs gives columns ids from next on.
func withIDs(columns []Column, next *int) []Column {
	for i := range columns {
		c := &columns[i]
		c.ID = *next
		*next++
		withIDs(c.Fields, next)
		for _, part := range []*Column{c.Key, c.Element} {
			if part != nil {
				part.ID = *next
				*next++
				withIDs(part.Fields, next)
			}
		}
	}
	return columns
}

func definitionOf(s *schema.Schema) *Definition {
	next := 1
	return &Definition{UUID: "u", Columns: withIDs(ColumnsOf(s), &next)}
}

func mustView(t *testing.T, d *Definition, s *schema.Schema) *View {
	t.Helper()
	v, err := NewView(d, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const nested = `{"properties":{"i":{"type":"integer","x-parquet":"int32"},"l":{"type":"integer"},"f":{"type":"number","x-parquet":"float"},
	"p":{"x-parquet":"decimal(20,2)"},"s":{"type":"string"},"ms":{"type":"string","format":"date-time","x-parquet":"timestamp-millis"},
	"g":{"type":"object","properties":{"a":{"type":"integer"},"h":{"type":"object","properties":{"b":{"type":"string"}}}}},
	"list":{"type":"array","items":{"type":"object","properties":{"c":{"type":"integer"},"d":{"type":"number"}}}},
	"map":{"type":"object","additionalProperties":{"type":"object","properties":{"e":{"type":"integer"},"f":{"type":"string"}}}}}}`

func TestNewView_FillsAllColumnsOfATableMadeForIt(t *testing.T) {
	s := mustSchema(nested)
	v := mustView(t, definitionOf(s), s)
	if len(v.Wanted) > 0 || slices.ContainsFunc(v.Schema.Fields, spills) {
		t.Errorf("wanted are %+v", v.Wanted)
	}
	if *v.Schema.Own != (schema.Own{EventID: 20, ArrivedAt: 21, Extra: 22}) {
		t.Errorf("own columns are %+v", *v.Schema.Own)
	}
	if s.Own != nil || s.Fields[0].ID != 0 {
		t.Error("the schema itself was changed")
	}
}

func TestNewView_WantsWhatTheTableLacks(t *testing.T) {
	s := mustSchema(nested)
	long, double := Column{Name: "c", Member: "c", Type: Long}, Column{Name: "d", Member: "d", Type: Double}
	for name, c := range map[string]struct {
		change func(*Definition)
		want   string // as JSON without ids; empty for nothing
		places map[string]schema.Place
	}{
		"a column is missing": {
			func(d *Definition) { d.Columns = d.Columns[1:] }, `[{"name":"i","member":"i","type":"int"}]`, map[string]schema.Place{"i": schema.InExtra}},
		"a column was dropped": {
			func(d *Definition) { d.Columns, d.Dropped = d.Columns[1:], []string{"i"} }, "", map[string]schema.Place{"i": schema.InExtra}},
		"a column was renamed": {func(d *Definition) { d.Find("i").Name = "other" }, "", nil},
		"another column has the name": {
			func(d *Definition) { *d.Find("i") = Column{ID: 50, Name: "I", Type: String} }, "", map[string]schema.Place{"i": schema.InExtra}},
		"an integer is narrower": {
			func(d *Definition) { d.Find("l").Type = Int }, `[{"name":"l","member":"l","type":"long"}]`, map[string]schema.Place{"l": schema.Misfit}},
		"a decimal is narrower": {
			func(d *Definition) { d.Find("p").Type = "decimal(9,2)" }, `[{"name":"p","member":"p","type":"decimal(20, 2)"}]`, map[string]schema.Place{"p": schema.Misfit}},
		"a decimal has another scale": {func(d *Definition) { d.Find("p").Type = "decimal(38,3)" }, "", map[string]schema.Place{"p": schema.Misfit}},
		"columns are wider": {
			func(d *Definition) {
				d.Find("i").Type, d.Find("f").Type, d.Find("p").Type = Long, Double, "decimal(38, 2)"
			}, "", nil},
		"a timestamp without zone": {func(d *Definition) { d.Find("ms").Type = Timestamp }, "", nil},
		"another type":             {func(d *Definition) { d.Find("s").Type = UUID }, "", map[string]schema.Place{"s": schema.Misfit}},
		"a struct is a list": {
			func(d *Definition) { d.Find("g").Type = "list" }, "", map[string]schema.Place{"g": schema.Misfit}},
		"a member of a struct is missing": {
			func(d *Definition) { d.Find("g").Fields = d.Find("g").Fields[1:] },
			`[{"name":"g","member":"g","type":"struct","fields":[{"name":"a","member":"a","type":"long"}]}]`, nil},
		"a member of a struct was dropped": {
			func(d *Definition) { d.Find("g").Fields, d.Dropped = d.Find("g").Fields[1:], []string{"/g/a"} }, "", nil},
		"all members of a struct are missing": {
			func(d *Definition) { d.Find("g").Fields[1].Fields, d.Find("g").Fields = nil, d.Find("g").Fields[1:] },
			`[{"name":"g","member":"g","type":"struct","fields":[{"name":"a","member":"a","type":"long"},` +
				`{"name":"h","member":"h","type":"struct","fields":[{"name":"b","member":"b","type":"string"}]}]}]`,
			map[string]schema.Place{"g": schema.InExtra}},
		"a member of a list is missing": {
			func(d *Definition) { d.Find("list").Element.Fields = d.Find("list").Element.Fields[:1] },
			fmt.Sprintf(`[{"name":"list","member":"list","type":"list","element":{"name":"element","type":"struct","fields":[%s]}}]`, withoutID(double)), nil},
		"a member of a list is narrower": {
			func(d *Definition) { d.Find("list").Element.Fields[0].Type = Int },
			fmt.Sprintf(`[{"name":"list","member":"list","type":"list","element":{"name":"element","type":"struct","fields":[%s]}}]`, withoutID(long)), nil},
		"a member of a map is missing": {
			func(d *Definition) { d.Find("map").Element.Fields = d.Find("map").Element.Fields[1:] },
			`[{"name":"map","member":"map","type":"map","key":{"name":"key","type":"string","required":true},` +
				`"element":{"name":"value","type":"struct","fields":[{"name":"e","member":"e","type":"long"}]}}]`,
			map[string]schema.Place{"map": schema.InExtra}},
		"own columns are missing": {
			func(d *Definition) { d.Columns = slices.Delete(d.Columns, len(d.Columns)-3, len(d.Columns)-1) },
			`[{"name":"event_id","member":"event_id","type":"string"},{"name":"_arrived_at","member":"_arrived_at","type":"timestamptz"}]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := definitionOf(s)
			c.change(d)
			v := mustView(t, d, s)
			if got := withoutIDs(v.Wanted); got != c.want {
				t.Errorf("wanted are\n%s, want\n%s", got, c.want)
			}
			for _, f := range v.Schema.Fields {
				if f.Place != c.places[f.Name] {
					t.Errorf("%s has the place %d, want %d", f.Name, f.Place, c.places[f.Name])
				}
			}
		})
	}
}

func withoutIDs(columns []Column) string {
	if len(columns) == 0 {
		return ""
	}
	text, _ := json.Marshal(columns)
	return strings.ReplaceAll(string(text), `"id":0,`, "")
}

func withoutID(c Column) string { return strings.Trim(withoutIDs([]Column{c}), "[]") }

func TestNewView_NamesColumnsThatItCannotFill(t *testing.T) {
	s := mustSchema(`{"additionalProperties":false,"required":["sure"],"properties":{"sure":{"type":"integer"},"nullable":{"type":["integer","null"]},
		"maybe":{"type":"integer"},"l":{"type":"array","items":{"type":["string","null"]}},"m":{"type":"object","additionalProperties":{"type":"integer"}}}}`)
	for name, c := range map[string]struct {
		schema *schema.Schema
		change func(*Definition)
		want   string // empty for no error
	}{
		"required by both": {s, func(d *Definition) { d.Find("sure").Required = true }, ""},
		"required by one":  {s, func(d *Definition) { d.Find("maybe").Required = true }, `column "/maybe" is required`},
		"of another type":  {s, func(d *Definition) { d.Find("sure").Required, d.Find("sure").Type = true, Date }, `column "/sure" is required`},
		"without a member": {s, func(d *Definition) {
			d.Columns = append(d.Columns, Column{ID: 90, Name: "x", Type: String, Required: true})
		}, `column "/x" is required`},
		"elements":        {s, func(d *Definition) { d.Find("l").Element.Required = true }, `column "/l/element" is required`},
		"values of a map": {s, func(d *Definition) { d.Find("m").Element.Required = true }, `column "/m/value" is required`},
		"without SCHEMA": {nil, func(d *Definition) {
			d.Columns = append(d.Columns, Column{ID: 90, Name: "x", Member: "x", Type: Long, Required: true})
		}, `column "/x" is required`},
		"no _extra":             {nil, func(d *Definition) { d.Columns = d.Columns[:len(d.Columns)-1] }, "the table has no column _extra"},
		"no _extra needed":      {s, func(d *Definition) { d.Columns = d.Columns[:len(d.Columns)-1] }, ""},
		"_extra is required":    {s, func(d *Definition) { d.Find("_extra").Required = true }, "column _extra is required"},
		"event_id of a long":    {s, func(d *Definition) { d.Find("event_id").Type = Long }, "column event_id is of type long: want string"},
		"the arrival's name":    {mustSchema(`{"properties":{"_arrived_at":{}}}`), func(*Definition) {}, "SCHEMA has the property _arrived_at"},
		"spills, and no _extra": {s, func(d *Definition) { d.Columns = d.Columns[1 : len(d.Columns)-1] }, "the table has no column _extra"},
	} {
		t.Run(name, func(t *testing.T) {
			d := definitionOf(s)
			c.change(d)
			if _, err := NewView(d, c.schema); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Tables that lack columns, or have others, must not change which records are valid. What a table's columns hold is what they
// would hold without a table, and all other values are in _extra as they were written.
func TestView_ChangesNoVerdictAndLosesNoValue(t *testing.T) {
	rules := `{"required":["must"],"properties":{"must":{"type":"integer","minimum":3},"i":{"type":"integer","x-parquet":"int32"},"l":{"type":"integer"},
		"d":{"type":"number"},"p":{"x-parquet":"decimal(6,2)"},"w":{"x-parquet":"decimal(20,2)"},"s":{"type":"string","pattern":"^[a-z]*$","x-null-values":["NA"]},
		"at":{"type":"string","format":"date-time"},"g":{"type":"object","required":["a"],"properties":{"a":{"type":"integer"},"b":{"type":"string","maxLength":3}}},
		"list":{"type":"array","maxItems":3,"items":{"type":"object","properties":{"c":{"type":"integer"},"d":{"type":"boolean"}}}},
		"map":{"type":"object","additionalProperties":{"type":"integer"}}}}`
	random := rand.New(rand.NewPCG(3, 5))
	values := []string{
		`1`, `-7`, `3000000000`, `1e30`, `1.25`, `0.1`, `12345.678`, `"x"`, `"NA"`, `""`, `"X"`, `null`, `true`, `"5"`, `{}`, `[]`, `[{"c":1,"d":true}]`,
		`{"a":1}`, `{"a":1,"b":"x"}`, `{"a":"1","b":"long","z":1}`, `{"b":"x"}`, `[{"c":1},{"d":false,"y":2},{}]`, `[{"c":"x"}]`, `[1]`,
		`{"k":1,"k2":"2"}`, `{"k":1,"k":2}`, `{"k":"x"}`, `"2024-01-01T00:00:00.123456Z"`, `"2024-01-01 00:00:00"`, `"\ud800"`,
	}
	names := []string{"must", "i", "l", "d", "p", "w", "s", "at", "g", "list", "map", "undeclared"}
	for _, options := range []string{"", `"x-coerce":false,`, `"x-extra":false,`, `"additionalProperties":false,`, `"allOf":[{"properties":{"l":{"maximum":100}}}],`} {
		s := mustSchema("{" + options + rules[1:])
		taken, refused, kept := 0, 0, 0
		for range 60 {
			v := mustView(t, someTable(random, s), s)
			plain, viewed := shred.New(s, true), shred.New(v.Schema, true)
			for range 60 {
				var members []string
				for _, name := range names {
					if name == "must" || random.IntN(5) == 0 {
						members = append(members, fmt.Sprintf("%q:%s", name, values[random.IntN(len(values))]))
					}
				}
				if random.IntN(4) > 0 {
					members[0] = `"must":3`
				}
				r := trip("{" + strings.Join(members, ",") + "}")
				plain.Reset()
				viewed.Reset()
				want, got := plain.Append(r), viewed.Append(r)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: with a table %v, without %v", r.Data, got, want)
				}
				if want != nil {
					refused++
					continue
				}
				taken++
				kept += compareColumns(t, string(r.Data), plain, viewed, v)
			}
		}
		t.Logf("%s: %d records, %d refused, %d values in _extra because of tables", options, taken, refused, kept)
		if taken < 100 || refused < 100 || kept < 100 {
			t.Errorf("%s: that proves little", options)
		}
	}
}

// someTable is a table that lacks some columns of a schema and has others wider, narrower or of other types.
func someTable(random *rand.Rand, s *schema.Schema) *Definition {
	d := definitionOf(s)
	d.Columns = slices.DeleteFunc(d.Columns, func(c Column) bool { return !isOwn(c.Member) && random.IntN(4) == 0 })
	for i := range d.Columns {
		c := &d.Columns[i]
		if isOwn(c.Member) || random.IntN(2) == 0 {
			continue
		}
		switch c.Type {
		case "struct":
			c.Fields = slices.DeleteFunc(c.Fields, func(Column) bool { return random.IntN(2) == 0 })
		case "list":
			c.Element.Fields = slices.DeleteFunc(c.Element.Fields, func(Column) bool { return random.IntN(2) == 0 })
		case "map":
			c.Element.Type = []string{Int, String}[random.IntN(2)]
		default:
			c.Type = []string{Int, Long, Double, "decimal(12, 2)", "decimal(30, 2)", String, Timestamp, Date, Binary}[random.IntN(9)]
		}
	}
	return d
}

// compareColumns compares the columns of one record with and without a table, and returns how many of its members are in _extra
// because of the table.
func compareColumns(t *testing.T, data string, plain, viewed *shred.Shredder, v *View) (kept int) {
	t.Helper()
	without := map[string]*shred.Column{}
	for _, c := range plain.Columns() {
		without[strings.Join(c.Path, ".")] = c
	}
	for _, c := range viewed.Columns() {
		path := strings.Join(c.Path, ".")
		other := without[path]
		if path == schema.ExtraColumn || path == schema.ArrivedAtColumn {
			continue
		}
		if !slices.Equal(c.Defs, other.Defs) || !slices.Equal(c.Reps, other.Reps) || !slices.Equal(c.Nulls, other.Nulls) || contents(c) != contents(other) {
			t.Fatalf("%s: column %s has %s, want %s", data, path, contents(c), contents(other))
		}
	}
	var record, extra map[string]json.RawMessage
	if err := json.Unmarshal([]byte(data), &record); err != nil {
		t.Fatal(err)
	}
	if columns := viewed.Columns(); v.Schema.Own.Extra > 0 {
		c := columns[slices.IndexFunc(columns, func(c *shred.Column) bool { return c.Path[0] == schema.ExtraColumn })]
		if c.Values() > 0 {
			if err := json.Unmarshal(new(shred.Text).Chunks(c)[0].Data[shred.Headroom+4:], &extra); err != nil {
				t.Fatalf("%s: _extra: %v", data, err)
			}
		}
	}
	for _, f := range v.Schema.Fields {
		kept += checkExtra(t, data, f, "", f.Name, record[f.Name], extra)
	}
	return kept
}

// checkExtra checks that the values of fields without a column are in _extra.
func checkExtra(t *testing.T, data string, f *schema.Field, pointer, key string, value json.RawMessage, extra map[string]json.RawMessage) (kept int) {
	if len(value) == 0 || string(value) == "null" {
		return 0
	}
	if f.Place != schema.InColumn {
		if string(extra[key]) != string(value) {
			t.Fatalf("%s: _extra has %s at %s, want %s", data, extra[key], key, value)
		}
		return 1
	}
	pointer += "/" + f.Name
	var members map[string]json.RawMessage
	var elements []json.RawMessage
	switch {
	case f.Kind == schema.Group && json.Unmarshal(value, &members) == nil:
		for _, child := range f.Fields {
			kept += checkExtra(t, data, child, pointer, pointer+"/"+child.Name, members[child.Name], extra)
		}
	case f.Kind == schema.List && json.Unmarshal(value, &elements) == nil:
		for i, element := range elements {
			here := fmt.Sprintf("%s/%d", pointer, i)
			if json.Unmarshal(element, &members) == nil {
				for _, child := range f.Element.Fields {
					kept += checkExtra(t, data, child, here, here+"/"+child.Name, members[child.Name], extra)
				}
			}
			members = nil
		}
	}
	return kept
}

// contents are the values of a column, decimals of any width alike.
func contents(c *shred.Column) string {
	if c.Field.Kind != schema.Decimal {
		var text [][]byte
		for _, chunk := range new(shred.Text).Chunks(c) {
			text = append(text, chunk.Data[min(len(chunk.Data), shred.Headroom):])
		}
		return fmt.Sprint(c.Ints, c.Doubles, c.Bools, text)
	}
	var numbers []string
	for _, chunk := range new(shred.Text).Chunks(c) {
		for rest := chunk.Data[shred.Headroom:]; len(rest) > 0; rest = rest[16:] {
			numbers = append(numbers, readBig(rest[:16]).String())
		}
	}
	for _, n := range c.Ints {
		numbers = append(numbers, readBig(binary.BigEndian.AppendUint64(nil, uint64(n))).String())
	}
	return fmt.Sprint(numbers)
}

// The partitioner sees what files see: a member whose values go to _extra is null in a tuple.
func TestView_IsWhatAPartitionerNeeds(t *testing.T) {
	s := mustSchema(nested)
	d := definitionOf(s)
	d.Find("i").Type, d.Find("l").Type = Long, Int
	d.Spec.Fields = []PartitionField{{1000, "i", d.Find("i").ID, Identity}, {1001, "l", d.Find("l").ID, Identity}, {1002, "ms", d.Find("ms").ID, "hour"}}
	v := mustView(t, d, s)
	p, err := NewPartitioner(v)
	if err != nil {
		t.Fatal(err)
	}
	tuple, fault := p.Tuple(trip(`{"i":1,"l":2,"ms":"1970-01-01T02:00:00Z"}`))
	if fault != nil {
		t.Fatal(fault)
	}
	got := p.Values(tuple)
	if want := [][]byte{appendLong(nil, 1), nil, appendInt(nil, 2)}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
