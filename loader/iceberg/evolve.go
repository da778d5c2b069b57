package iceberg

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"

	"aws-streaming-pipeline/record/table"
)

// evolution is what wanted columns change in a schema.
type evolution struct {
	ids     *ids
	members map[int]string  // that fill columns, by the column's id
	dropped map[string]bool // members whose columns were dropped
	changed bool
}

func newEvolution(d *table.Definition, lastID int) *evolution {
	known := members{byID: make(map[int]string), paths: make(map[string]bool)}
	known.remember(d.Columns, "")
	e := &evolution{ids: &ids{lastID}, members: known.byID, dropped: make(map[string]bool)}
	for _, path := range d.Dropped {
		e.dropped[path] = true
	}
	return e
}

// schema returns the fields of the table with wanted columns, and those that it cannot have. One column never keeps others out:
// catalogs refuse a schema as a whole.
func (e *evolution) schema(fields []iceberg.NestedField, wanted []table.Column) (evolved []iceberg.NestedField, refused []table.Column) {
	for _, w := range wanted {
		last, changed := e.ids.last, e.changed
		next, no, _ := e.fields(fields, []table.Column{w}, "")
		if !namesDiffer(next) {
			e.ids.last, e.changed = last, changed
			next, no = fields, []table.Column{w}
		}
		fields, refused = next, append(refused, no...)
	}
	return fields, refused
}

// namesDiffer reports whether no two fields have the same full name, as catalogs and readers require: a.b is the name of a field
// in the struct a, and may be that of a column.
func namesDiffer(fields []iceberg.NestedField) bool {
	_, err := iceberg.IndexByName(iceberg.NewSchema(0, fields...))
	return err == nil
}

// fields returns the fields of the table, or of a struct, with wanted columns. Of a struct, list or map it adds the parts that it can.
// refused are the wanted columns that the table cannot have as a whole, and why says it for the first.
func (e *evolution) fields(fields []iceberg.NestedField, wanted []table.Column, path string) (evolved []iceberg.NestedField, refused []table.Column, why error) {
	fields = slices.Clone(fields)
	for _, w := range wanted {
		i := slices.IndexFunc(fields, func(f iceberg.NestedField) bool { return w.Member != "" && e.members[f.ID] == w.Member })
		var err error
		if i >= 0 {
			fields[i].Type, err = e.widened(fields[i].Type, w, pointerTo(path, w.Member))
		} else {
			fields, err = e.added(fields, w, path)
		}
		if err != nil {
			refused = append(refused, w)
			if why == nil {
				why = fmt.Errorf("column %s: %w", w.Name, err)
			}
		}
	}
	return fields, refused, why
}

func (e *evolution) added(fields []iceberg.NestedField, w table.Column, path string) ([]iceberg.NestedField, error) {
	if w.Name == "" || w.Member == "" {
		return fields, errors.New("want a name and a member")
	}
	if e.dropped[pathTo(path, w.Member)] {
		return fields, fmt.Errorf("the table's owner dropped the column of member %s", w.Member)
	}
	if i := slices.IndexFunc(fields, func(f iceberg.NestedField) bool { return strings.EqualFold(f.Name, w.Name) }); i >= 0 {
		return fields, fmt.Errorf("the table has a column %s, which another member fills", fields[i].Name)
	}
	before := e.ids.last
	f, err := e.ids.fieldOf(w)
	if err != nil {
		e.ids.last = before
		return fields, err
	}
	e.changed = true
	return append(fields, f), nil
}

// widened returns a type with what a wanted column has more than it.
func (e *evolution) widened(t iceberg.Type, w table.Column, path string) (iceberg.Type, error) {
	var err error
	switch t := t.(type) {
	case *iceberg.StructType:
		if w.Type != "struct" {
			break
		}
		fields, _, err := e.fields(t.FieldList, w.Fields, path)
		return &iceberg.StructType{FieldList: fields}, err
	case *iceberg.ListType:
		if w.Type != "list" || w.Element == nil {
			break
		}
		list := *t
		list.Element, err = e.widened(t.Element, *w.Element, path+"/*")
		return &list, err
	case *iceberg.MapType:
		if w.Type != "map" || w.Element == nil {
			break
		}
		m := *t
		m.ValueType, err = e.widened(t.ValueType, *w.Element, path+"/*")
		return &m, err
	default:
		return e.promoted(t, w)
	}
	return t, fmt.Errorf("is of type %s in the table, and cannot become one of type %s", t.Type(), w.Type)
}

// promoted returns the wider of two primitive types, if one can be made the other (Iceberg table specification, "Schema Evolution").
func (e *evolution) promoted(t iceberg.Type, w table.Column) (iceberg.Type, error) {
	want, err := primitive(w.Type)
	if err != nil {
		return t, err
	}
	switch {
	case t.Equals(want) || promotes(want, t):
		return t, nil
	case promotes(t, want):
		e.changed = true
		return want, nil
	}
	return t, fmt.Errorf("is of type %s in the table, and cannot become one of type %s", t, want)
}

func promotes(from, to iceberg.Type) bool {
	switch from := from.(type) {
	case iceberg.Int32Type:
		return to.Equals(iceberg.PrimitiveTypes.Int64)
	case iceberg.Float32Type:
		return to.Equals(iceberg.PrimitiveTypes.Float64)
	case iceberg.DecimalType:
		wider, ok := to.(iceberg.DecimalType)
		return ok && wider.Scale() == from.Scale() && wider.Precision() > from.Precision()
	}
	return false
}
