package table

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"aws-streaming-pipeline/record/schema"
)

// View is how records become files for one state of a table. It does not change.
type View struct {
	*Definition
	// Schema has the columns of the files. Its fields are those of the records, and say where their values go; see NewView.
	Schema *schema.Schema
	// Wanted are columns that SCHEMA has and the table lacks, or has with a narrower type. It is empty without SCHEMA.
	Wanted []Column
}

// NewView returns the view of a table for records of a schema, SCHEMA, or nil without one.
//
// A field whose column is of the field's type, or of a wider one as Iceberg promotes types, fills that column. Any other
// field is held to the same rules, but its values go to _extra: those of a member of a group or of a list of groups under its
// JSON Pointer, and a map as a whole. A group none of whose members has a column goes there as a whole. Widening a
// column, adding one and adding a member to a struct is what View.Wanted proposes.
//
// Without SCHEMA, the table's columns are the fields. A value that does not fit goes to _extra, and so do members without a
// column. Columns of types that JSON does not have, such as uuid or binary, and maps of anything but single values are not
// filled.
//
// The error names every column that the pipeline cannot fill as the table requires. Until the table is changed, the caller
// goes on with the view that it has.
func NewView(d *Definition, s *schema.Schema) (*View, error) {
	v := &View{Definition: d}
	m := &matcher{dropped: d.Dropped}
	var effective schema.Schema
	columns := d.membersColumns()
	if s == nil {
		effective = schema.Schema{Name: "table", Extra: true, Lenient: true}
		effective.Fields = m.ofColumns(columns, "")
	} else {
		effective = *s
		m.coerce = s.Coerce
		effective.Fields, v.Wanted = m.match(columns, s.Fields, "")
	}
	effective.Own = m.own(d)
	v.Wanted = append(v.Wanted, m.wanted...)
	if effective.Own.Extra == 0 && (effective.Extra || slices.ContainsFunc(effective.Fields, spills)) {
		m.fault("the table has no column %s for members without a column of their own: add it, of type string", schema.ExtraColumn)
	}
	if err := errors.Join(m.faults...); err != nil {
		return nil, err
	}
	v.Schema = &effective
	return v, nil
}

// ColumnsOf returns the columns of a new table for records of a schema, without ids. nil has the pipeline's own columns alone.
func ColumnsOf(s *schema.Schema) []Column {
	var columns []Column
	if s != nil {
		columns = columnsOf(s.Fields)
	}
	return append(columns, ownColumns...)
}

// ownColumns are the pipeline's own.
var ownColumns = []Column{
	{Name: schema.EventIDColumn, Member: schema.EventIDColumn, Type: String},
	{Name: schema.ArrivedAtColumn, Member: schema.ArrivedAtColumn, Type: TimestampTZ},
	{Name: schema.ExtraColumn, Member: schema.ExtraColumn, Type: String},
}

func isOwn(member string) bool {
	return slices.ContainsFunc(ownColumns, func(c Column) bool { return c.Member == member })
}

// membersColumns returns the top-level columns without the pipeline's own.
func (d *Definition) membersColumns() []Column {
	return slices.DeleteFunc(slices.Clone(d.Columns), func(c Column) bool { return isOwn(c.Member) })
}

// spills reports whether values of a field may go to _extra because of the table.
func spills(f *schema.Field) bool {
	return f.Place != schema.InColumn || slices.ContainsFunc(f.Fields, spills) || f.Element != nil && spills(f.Element)
}

// matcher compares fields with columns.
type matcher struct {
	dropped []string
	coerce  bool     // of SCHEMA
	wanted  []Column // of the pipeline's own columns
	faults  []error
}

func (m *matcher) fault(format string, args ...any) {
	m.faults = append(m.faults, fmt.Errorf(format, args...))
}

// own finds the pipeline's own columns.
func (m *matcher) own(d *Definition) *schema.Own {
	var ids schema.Own
	into := []*int{&ids.EventID, &ids.ArrivedAt, &ids.Extra}
	for i, want := range ownColumns {
		c := d.Find(want.Member)
		switch {
		case c == nil && !slices.Contains(d.Dropped, want.Member):
			m.wanted = append(m.wanted, want)
		case c == nil:
		case c.Type != want.Type:
			m.fault("column %s is of type %s: want %s", c.Name, c.Type, want.Type)
		case c.Required && want.Member == schema.ExtraColumn:
			m.fault("column %s is required: want an optional one, because most records leave it null", c.Name)
		default:
			*into[i] = c.ID
		}
	}
	return &ids
}

// match returns how the members of a group fill columns, and what the columns lack. path is the group's JSON Pointer.
func (m *matcher) match(columns []Column, fields []*schema.Field, path string) (effective []*schema.Field, wanted []Column) {
	for _, f := range fields {
		if path == "" && f.Name == schema.ArrivedAtColumn {
			m.fault("SCHEMA has the property %s: want another name, because the pipeline fills the column of that name", f.Name)
		}
		column := find(columns, f.Name)
		filled, want := m.field(column, f, pointerTo(path, f.Name))
		if want != nil && (column != nil || m.free(columns, f.Name, path)) {
			wanted = append(wanted, *want)
		}
		if column != nil && column.Required && (filled.Place != schema.InColumn || !f.Required || f.Nullable) {
			m.required(column, path)
		}
		effective = append(effective, filled)
	}
	for i := range columns {
		c := &columns[i]
		if c.Required && !slices.ContainsFunc(fields, func(f *schema.Field) bool { return f.Name == c.Member }) {
			m.required(c, path)
		}
	}
	return effective, wanted
}

// free reports whether a new column may have a name. Athena and Glue do not tell names apart by case.
func (m *matcher) free(columns []Column, name, path string) bool {
	dropped := name
	if path != "" {
		dropped = pointerTo(path, name)
	}
	return !slices.Contains(m.dropped, dropped) &&
		!slices.ContainsFunc(columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
}

func (m *matcher) required(c *Column, path string) {
	m.fault("column %q is required, but records may leave it null: want an optional column, or one of the type of a member that SCHEMA requires",
		pointerTo(path, c.Name))
}

// field returns how one field fills a column, which is nil if there is none, and what the column lacks.
func (m *matcher) field(c *Column, f *schema.Field, path string) (*schema.Field, *Column) {
	filled := *f
	switch {
	case c == nil:
		filled.Place = schema.InExtra
		return &filled, columnOf(f)
	case f.Kind == schema.Group && c.Type == "struct":
		return m.group(c, f, path)
	case f.Kind == schema.List && c.Type == "list" && c.Element != nil:
		return m.list(c, f, path)
	case f.Kind == schema.Map && c.Type == "map" && c.Element != nil && c.Key != nil && c.Key.Type == String:
		return m.mapping(c, f, path)
	}
	typ, err := ParseType(c.Type)
	if err != nil || !f.Kind.Scalar() {
		filled.Place = schema.Misfit
		return &filled, nil
	}
	if fits(f, typ) != nil {
		filled.Place = schema.Misfit
		if want := typeFor(f); promotes(typ, want) {
			return &filled, &Column{Name: f.Name, Member: f.Name, Type: want.String()}
		}
		return &filled, nil
	}
	return scalar(c, f, typ), nil
}

func (m *matcher) group(c *Column, f *schema.Field, path string) (*schema.Field, *Column) {
	filled := *f
	fields, wanted := m.match(c.Fields, f.Fields, path)
	if slices.ContainsFunc(fields, func(f *schema.Field) bool { return f.Place == schema.InColumn }) {
		filled.ID, filled.Fields = c.ID, fields
	} else {
		filled.Place = schema.InExtra // Parquet has no groups without columns
	}
	if len(wanted) == 0 {
		return &filled, nil
	}
	return &filled, &Column{Name: f.Name, Member: f.Name, Type: "struct", Fields: wanted}
}

func (m *matcher) list(c *Column, f *schema.Field, path string) (*schema.Field, *Column) {
	filled := *f
	element, wanted := m.field(c.Element, f.Element, path+"/*")
	if filled.Place = element.Place; element.Place == schema.InColumn {
		filled.ID, filled.Element = c.ID, element
		if c.Element.Required && f.Element.Nullable {
			m.required(c.Element, path)
		}
	}
	if wanted == nil {
		return &filled, nil
	}
	wanted.Name, wanted.Member = "element", ""
	return &filled, &Column{Name: f.Name, Member: f.Name, Type: "list", Element: wanted}
}

// mapping has no parts in _extra: the JSON Pointer to one would have the map's key, which may be long, once for each.
func (m *matcher) mapping(c *Column, f *schema.Field, path string) (*schema.Field, *Column) {
	filled := *f
	value, wanted := m.field(c.Element, f.Element, path+"/*")
	switch {
	case value.Place != schema.InColumn:
		filled.Place = value.Place
	case spills(value):
		filled.Place = schema.InExtra
	default:
		filled.ID, filled.KeyID, filled.Element = c.ID, c.Key.ID, value
		if c.Element.Required && (f.Element.Nullable || m.coerce) {
			m.required(c.Element, path)
		}
	}
	if wanted == nil {
		return &filled, nil
	}
	wanted.Name, wanted.Member = "value", ""
	return &filled, &Column{Name: f.Name, Member: f.Name, Type: "map", Key: mapKey(), Element: wanted}
}

// scalar returns how a field fills a column of single values that it fits.
func scalar(c *Column, f *schema.Field, typ Type) *schema.Field {
	filled := *f
	filled.ID, filled.Local = c.ID, typ.Name == Timestamp
	switch {
	case f.Kind == schema.TimestampMillis:
		filled.Kind = schema.TimestampMicros // the unit of tables; what is valid is the same
	case f.Kind == schema.Int32 && typ.Name == Long:
		filled.Kind, filled.Narrow = schema.Int64, f
	case f.Kind == schema.Float && typ.Name == Double:
		filled.Kind, filled.Narrow = schema.Double, f
	case f.Kind == schema.Decimal && typ.Precision > f.Precision:
		filled.Precision, filled.Narrow = typ.Precision, f
	}
	return &filled
}

// ofColumns returns the fields that fill columns without SCHEMA.
func (m *matcher) ofColumns(columns []Column, path string) (fields []*schema.Field) {
	for i := range columns {
		c := &columns[i]
		if c.Required {
			m.required(c, path)
		}
		if c.Member == "" {
			continue
		}
		if f := m.ofColumn(c, pointerTo(path, c.Member)); f != nil {
			f.Name = c.Member
			fields = append(fields, f)
		}
	}
	return fields
}

// ofColumn returns the field that fills one column; nil if none can.
func (m *matcher) ofColumn(c *Column, path string) *schema.Field {
	f := &schema.Field{ID: c.ID, Nullable: true}
	switch c.Type {
	case "struct":
		f.Kind, f.Fields = schema.Group, m.ofColumns(c.Fields, path)
		if len(f.Fields) == 0 {
			return nil
		}
		return f
	case "list":
		f.Kind = schema.List
		return m.around(f, c.Element, "element", path)
	case "map":
		if c.Key == nil || c.Key.Type != String || c.Element == nil || c.Element.Type == "struct" || c.Element.Type == "list" || c.Element.Type == "map" {
			return nil
		}
		f.Kind, f.KeyID = schema.Map, c.Key.ID
		return m.around(f, c.Element, "value", path)
	}
	typ, err := ParseType(c.Type)
	if err != nil {
		return nil
	}
	kind, ok := kinds[typ.Name]
	if !ok {
		return nil
	}
	f.Kind, f.Precision, f.Scale, f.Local = kind, typ.Precision, typ.Scale, typ.Name == Timestamp
	if kind == schema.Date || kind == schema.TimestampMicros {
		f.Type = "string" // the table says what its text means
	}
	return f
}

// around puts the field of a column's elements or values into the column's own; nil if it has none.
func (m *matcher) around(f *schema.Field, element *Column, name, path string) *schema.Field {
	if element == nil {
		return nil
	}
	if element.Required {
		m.required(element, path)
	}
	if f.Element = m.ofColumn(element, path+"/*"); f.Element == nil {
		return nil
	}
	f.Element.Name = name
	return f
}

// kinds are those of fields that fill columns of a type.
var kinds = map[string]schema.Kind{
	Boolean: schema.Boolean, Int: schema.Int32, Long: schema.Int64, Float: schema.Float, Double: schema.Double,
	Decimal: schema.Decimal, Date: schema.Date, Timestamp: schema.TimestampMicros, TimestampTZ: schema.TimestampMicros,
	String: schema.String,
}

// typeFor returns the type of a new column for a field with single values.
func typeFor(f *schema.Field) Type {
	switch f.Kind {
	case schema.Decimal:
		return Type{Name: Decimal, Precision: f.Precision, Scale: f.Scale}
	case schema.TimestampMillis, schema.TimestampMicros:
		return Type{Name: TimestampTZ}
	case schema.JSON:
		return Type{Name: String}
	}
	for name, kind := range kinds {
		if kind == f.Kind {
			return Type{Name: name}
		}
	}
	panic("table: no type for a field of kind " + f.Kind.String())
}

// promotes reports whether a column of a type can be made one of another (specification, "Schema Evolution").
func promotes(from, to Type) bool {
	switch {
	case from.Name == Int && to.Name == Long, from.Name == Float && to.Name == Double:
		return true
	}
	return from.Name == Decimal && to.Name == Decimal && from.Scale == to.Scale && from.Precision < to.Precision
}

// columnOf returns the column that a field wants, without ids; nil for a group without members.
func columnOf(f *schema.Field) *Column {
	c := &Column{Name: f.Name, Member: f.Name}
	switch f.Kind {
	case schema.Group:
		if c.Type, c.Fields = "struct", columnsOf(f.Fields); len(c.Fields) == 0 {
			return nil
		}
	case schema.List, schema.Map:
		if c.Element = columnOf(f.Element); c.Element == nil {
			return nil
		}
		c.Type, c.Element.Name, c.Element.Member = "list", "element", ""
		if f.Kind == schema.Map {
			c.Type, c.Element.Name, c.Key = "map", "value", mapKey()
		}
	default:
		c.Type = typeFor(f).String()
	}
	return c
}

func columnsOf(fields []*schema.Field) (columns []Column) {
	for _, f := range fields {
		if c := columnOf(f); c != nil {
			columns = append(columns, *c)
		}
	}
	return columns
}

func mapKey() *Column { return &Column{Name: "key", Type: String, Required: true} }

func find(columns []Column, member string) *Column {
	i := slices.IndexFunc(columns, func(c Column) bool { return c.Member == member })
	if i < 0 {
		return nil
	}
	return &columns[i]
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func pointerTo(path, name string) string { return path + "/" + escapePointer.Replace(name) }
