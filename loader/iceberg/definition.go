package iceberg

import (
	"cmp"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	icebergtable "github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/record/table"
)

// definitionOf returns the definition of a table as it is. Members of columns come from the previous definition of the same
// table. A column that it does not have is filled by the member of the name that the column had first, as the older schemas in the
// table's metadata show: so a definition that was lost can be made again.
func definitionOf(m icebergtable.Metadata, previous *table.Definition) *table.Definition {
	known := members{byID: make(map[int]string), paths: make(map[string]bool)}
	uuid := m.TableUUID().String()
	if previous != nil && previous.UUID == uuid {
		known.remember(previous.Columns, "")
		for _, path := range previous.Dropped {
			known.paths[path] = true
		}
	}
	schemas := slices.SortedFunc(slices.Values(m.Schemas()), func(a, b *iceberg.Schema) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range schemas {
		known.remember(known.columns(s.Fields()), "")
	}

	spec := m.PartitionSpec()
	d := &table.Definition{UUID: uuid, Schema: m.CurrentSchema().ID, Columns: known.columns(m.CurrentSchema().Fields()), Spec: specOf(&spec)}
	now := members{byID: make(map[int]string), paths: make(map[string]bool)}
	now.remember(d.Columns, "")
	for path := range known.paths {
		if !now.paths[path] {
			d.Dropped = append(d.Dropped, path)
		}
	}
	slices.Sort(d.Dropped)
	return d
}

func specOf(spec *iceberg.PartitionSpec) table.Spec {
	s := table.Spec{ID: spec.ID()}
	for _, f := range spec.Fields() {
		s.Fields = append(s.Fields, table.PartitionField{ID: f.FieldID, Name: f.Name, Source: f.SourceID(), Transform: f.Transform.String()})
	}
	return s
}

// members are those that have or had a column.
type members struct {
	byID  map[int]string
	paths map[string]bool // as Definition.Dropped names them
}

func (m *members) remember(columns []table.Column, path string) {
	for _, c := range columns {
		m.byID[c.ID] = c.Member
		below := path
		if c.Member != "" {
			below = pointerTo(path, c.Member)
			m.paths[pathTo(path, c.Member)] = true
		}
		m.inside(c, below)
	}
}

// inside remembers the members of the parts of a column.
func (m *members) inside(c table.Column, path string) {
	m.remember(c.Fields, path)
	if c.Element != nil {
		m.inside(*c.Element, path+"/*")
	}
}

// columns returns fields as columns. Of two beside each other, one member fills the older.
func (m *members) columns(fields []iceberg.NestedField) []table.Column {
	columns := make([]table.Column, len(fields))
	older := make([]int, len(fields))
	for i := range older {
		older[i] = i
	}
	slices.SortFunc(older, func(a, b int) int { return cmp.Compare(fields[a].ID, fields[b].ID) })
	taken := make(map[string]bool)
	for _, i := range older {
		c := m.column(fields[i])
		member, ok := m.byID[c.ID]
		if !ok {
			member = c.Name
		}
		if !taken[member] {
			c.Member = member
		}
		taken[member] = true
		columns[i] = c
	}
	return columns
}

// column returns a field as a column that no member fills.
func (m *members) column(f iceberg.NestedField) table.Column {
	c := table.Column{ID: f.ID, Name: f.Name, Required: f.Required}
	switch t := f.Type.(type) {
	case *iceberg.StructType:
		c.Type, c.Fields = "struct", m.columns(t.FieldList)
	case *iceberg.ListType:
		element := m.column(t.ElementField())
		c.Type, c.Element = "list", &element
	case *iceberg.MapType:
		key, value := m.column(t.KeyField()), m.column(t.ValueField())
		c.Type, c.Key, c.Element = "map", &key, &value
	default:
		c.Type = f.Type.String()
	}
	return c
}

// pathTo names a member as Definition.Dropped does: plainly at the top level, by its JSON Pointer below.
func pathTo(path, member string) string {
	if path == "" {
		return member
	}
	return pointerTo(path, member)
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func pointerTo(path, member string) string { return path + "/" + escapePointer.Replace(member) }
