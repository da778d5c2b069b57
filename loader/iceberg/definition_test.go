package iceberg

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	icebergtable "github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/record/table"
)

func fieldsOf(t *testing.T, columns ...table.Column) []iceberg.NestedField {
	t.Helper()
	fields, err := (&ids{}).fieldsOf(columns)
	must(t, err)
	return fields
}

// metadataOf returns the metadata of a table whose schema was changed step by step.
func metadataOf(t *testing.T, fields []iceberg.NestedField, steps ...func([]iceberg.NestedField) []iceberg.NestedField) icebergtable.Metadata {
	t.Helper()
	m, err := icebergtable.NewMetadata(iceberg.NewSchema(0, fields...), iceberg.UnpartitionedSpec, icebergtable.UnsortedSortOrder, "s3://lake/trips", nil)
	must(t, err)
	for _, step := range steps {
		m = changed(t, m, step(m.CurrentSchema().Fields()))
	}
	return m
}

func changed(t *testing.T, m icebergtable.Metadata, fields []iceberg.NestedField) icebergtable.Metadata {
	t.Helper()
	m, err := icebergtable.UpdateTableMetadata(m, []icebergtable.Update{
		icebergtable.NewAddSchemaUpdate(iceberg.NewSchema(m.CurrentSchema().ID+1, fields...)), icebergtable.NewSetCurrentSchemaUpdate(lastAdded),
	}, "")
	must(t, err)
	return m
}

// describe lists columns as name=member:type.
func describe(columns []table.Column) string {
	var parts []string
	for _, c := range columns {
		text := fmt.Sprintf("%s=%s:%s", c.Name, c.Member, c.Type)
		if c.Type == "struct" {
			text += "(" + describe(c.Fields) + ")"
		}
		if c.Element != nil {
			text += "<" + describe([]table.Column{*c.Element}) + ">"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

// A column keeps its member when its owner renames it, a dropped one is remembered, and a definition that was lost is made again
// from the table.
func TestDefinition_FollowsColumnsByTheirIDs(t *testing.T) {
	fields := fieldsOf(t,
		table.Column{Name: "fare", Type: "double"}, table.Column{Name: "gone", Type: "string"},
		table.Column{Name: "at", Type: "struct", Fields: []table.Column{{Name: "lat", Type: "double"}, {Name: "lon", Type: "double"}}},
		table.Column{Name: "stops", Type: "list", Element: &table.Column{Name: "element", Type: "struct", Fields: []table.Column{{Name: "a/b", Type: "long"}, {Name: "c", Type: "long"}}}})
	rename := func(fields []iceberg.NestedField) []iceberg.NestedField {
		fields[0].Name = "price"
		fields[2].Name = "place"
		return append(fields[:1], fields[2:]...)
	}
	inside := func(fields []iceberg.NestedField) []iceberg.NestedField {
		place := fields[1].Type.(*iceberg.StructType)
		fields[1].Type = &iceberg.StructType{FieldList: place.FieldList[:1]}
		stops := fields[2].Type.(*iceberg.ListType)
		stop := stops.Element.(*iceberg.StructType)
		fields[2].Type = &iceberg.ListType{ElementID: stops.ElementID, Element: &iceberg.StructType{FieldList: stop.FieldList[1:]}}
		// Another column gets the name that the first one had: the member stays with the older.
		return append(fields, iceberg.NestedField{ID: 100, Name: "fare", Type: iceberg.PrimitiveTypes.Float64})
	}
	m := metadataOf(t, fields, rename, inside)
	const columns = "price=fare:double place=at:struct(lat=lat:double) stops=stops:list<element=:struct(c=c:long)> fare=:double"
	const dropped = "[/at/lon /stops/*/a~1b gone]"
	lost := definitionOf(m, nil)
	if got := describe(lost.Columns); got != columns {
		t.Errorf("the columns are %s, want %s", got, columns)
	}
	if got := fmt.Sprint(lost.Dropped); got != dropped {
		t.Errorf("dropped are %s, want %s", got, dropped)
	}
	// With the definitions of the steps before it is the same, though the table's metadata forgets old schemas.
	d := definitionOf(metadataOf(t, fields), nil)
	d.UUID = m.TableUUID().String()
	d = definitionOf(metadataOf(t, fields, rename), withUUID(d, metadataOf(t, fields, rename)))
	d = definitionOf(m, withUUID(d, m))
	if !reflect.DeepEqual(d, lost) {
		t.Errorf("step by step it is\n%+v, want\n%+v", d, lost)
	}
	// A previous definition of another table says nothing.
	other := *lost
	other.UUID, other.Dropped = "another", []string{"x"}
	if d := definitionOf(m, &other); !reflect.DeepEqual(d, lost) {
		t.Errorf("after another table it is\n%+v, want\n%+v", d, lost)
	}
}

func withUUID(d *table.Definition, m icebergtable.Metadata) *table.Definition {
	c := *d
	c.UUID = m.TableUUID().String()
	return &c
}

func TestEvolution_AddsAndWidens(t *testing.T) {
	long, decimal := table.Column{Name: "n", Member: "n", Type: "long"}, table.Column{Name: "d", Member: "d", Type: "decimal(12, 2)"}
	within := func(c table.Column) table.Column {
		return table.Column{Name: "at", Member: "at", Type: "struct", Fields: []table.Column{c}}
	}
	stops := func(c table.Column) table.Column {
		return table.Column{Name: "stops", Member: "stops", Type: "list", Element: &c}
	}
	fresh := table.Column{Name: "fresh", Member: "fresh", Type: "string"}
	fields := fieldsOf(t, table.Column{Name: "n", Type: "int"}, table.Column{Name: "f", Type: "float"}, table.Column{Name: "d", Type: "decimal(9, 2)"},
		within(table.Column{Name: "n", Type: "int"}), stops(table.Column{Name: "element", Type: "int"}),
		table.Column{Name: "m", Type: "map", Key: &table.Column{Name: "key", Type: "string"}, Element: &table.Column{Name: "value", Type: "float"}}, table.Column{Name: "gone", Type: "int"})
	m := metadataOf(t, fields, func(fields []iceberg.NestedField) []iceberg.NestedField { return fields[:len(fields)-1] })
	d := definitionOf(m, nil)
	for name, c := range map[string]struct {
		wanted  table.Column
		columns string // of those that changed
		refused bool
	}{
		"a new column":                {fresh, "fresh=fresh:string", false},
		"int to long":                 {long, "n=n:long", false},
		"float to double":             {table.Column{Name: "f", Member: "f", Type: "double"}, "f=f:double", false},
		"a decimal":                   {decimal, "d=d:decimal(12, 2)", false},
		"another scale":               {table.Column{Name: "d", Member: "d", Type: "decimal(12, 3)"}, "", true},
		"narrower":                    {table.Column{Name: "d", Member: "d", Type: "decimal(8, 2)"}, "", false},
		"int to string":               {table.Column{Name: "n", Member: "n", Type: "string"}, "", true},
		"inside a struct":             {within(fresh), "at=at:struct(n=n:int fresh=fresh:string)", false},
		"wider inside a struct":       {within(long), "at=at:struct(n=n:long)", false},
		"wider inside a list":         {stops(table.Column{Name: "element", Type: "long"}), "stops=stops:list<element=:long>", false},
		"a list of something else":    {stops(table.Column{Name: "element", Type: "string"}), "", true},
		"wider inside a map":          {table.Column{Name: "m", Member: "m", Type: "map", Key: &table.Column{Name: "key", Type: "string"}, Element: &table.Column{Name: "value", Type: "double"}}, "m=m:map<value=:double>", false},
		"a struct for a value":        {table.Column{Name: "n", Member: "n", Type: "struct", Fields: []table.Column{fresh}}, "", true},
		"a value for a struct":        {table.Column{Name: "at", Member: "at", Type: "long"}, "", true},
		"dropped by the owner":        {table.Column{Name: "gone", Member: "gone", Type: "int"}, "", true},
		"a name that differs by case": {table.Column{Name: "N", Member: "N", Type: "long"}, "", true},
		"a type that is none":         {table.Column{Name: "v", Member: "v", Type: "variant"}, "", true},
		"a name of two lines":         {table.Column{Name: "a\nb", Member: "a\nb", Type: "long"}, "", true},
		"a name that is too long":     {table.Column{Name: strings.Repeat("x", 256), Member: strings.Repeat("x", 256), Type: "long"}, "", true},
		"a long name":                 {table.Column{Name: strings.Repeat("x", 255), Member: strings.Repeat("x", 255), Type: "long"}, strings.Repeat("x", 255) + "=" + strings.Repeat("x", 255) + ":long", false},
		"a name inside that has none": {within(table.Column{Name: "s", Member: "s", Type: "struct", Fields: []table.Column{{Name: "\t", Member: "\t", Type: "long"}}}), "", true},
		"the name of one in a struct": {table.Column{Name: "at.n", Member: "at.n", Type: "long"}, "", true},
		"a name with a dot":           {table.Column{Name: "at.x", Member: "at.x", Type: "long"}, "at.x=at.x:long", false},
		"an empty struct":             {table.Column{Name: "v", Member: "v", Type: "struct"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEvolution(d, m.LastColumnID())
			evolved, refused := e.schema(m.CurrentSchema().Fields(), []table.Column{c.wanted})
			if (len(refused) > 0) != c.refused || e.changed != (c.columns != "") {
				t.Errorf("refused %v, changed %t", refused, e.changed)
			}
			after := definitionOf(changed(t, m, evolved), d)
			got := ""
			for i, column := range after.Columns {
				if i >= len(d.Columns) || !reflect.DeepEqual(column, d.Columns[i]) {
					got = describe([]table.Column{column})
				}
			}
			if got != c.columns {
				t.Errorf("it becomes %q, want %q", got, c.columns)
			}
			again := newEvolution(after, 1000)
			if _, refused := again.schema(evolved, []table.Column{c.wanted}); again.changed || (len(refused) > 0) != c.refused {
				t.Error("it is not idempotent")
			}
		})
	}
}

// One column that the table cannot have keeps no other out: catalogs refuse a schema as a whole.
func TestEvolution_LeavesOutOneColumn(t *testing.T) {
	r := newOpenTable(t, "s3://lake/tables/trips", func(*http.Request) bool { return false })
	l, err := r.load(t.Context())
	must(t, err)
	bad := table.Column{Name: "at.n", Member: "at.n", Type: "long"}
	wanted := []table.Column{
		{Name: "at", Member: "at", Type: "struct", Fields: []table.Column{{Name: "n", Member: "n", Type: "long"}}}, bad,
		{Name: "last", Member: "last", Type: "long"},
	}
	changed, refused, err := l.Evolve(t.Context(), wanted)
	if !changed || err != nil || !reflect.DeepEqual(refused, []table.Column{bad}) {
		t.Errorf("changed %t, refused %v, %v", changed, refused, err)
	}
	l, err = r.load(t.Context())
	must(t, err)
	if _, err := iceberg.IndexByName(l.table.Schema()); err != nil || len(l.definition.Columns) != 5 {
		t.Errorf("%d columns, %v", len(l.definition.Columns), err)
	}
}
