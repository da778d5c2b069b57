package iceberg

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/apache/iceberg-go"

	"aws-streaming-pipeline/record/table"
)

// primitives are the types without parameters.
var primitives = map[string]iceberg.Type{
	table.Boolean: iceberg.PrimitiveTypes.Bool, table.Int: iceberg.PrimitiveTypes.Int32, table.Long: iceberg.PrimitiveTypes.Int64,
	table.Float: iceberg.PrimitiveTypes.Float32, table.Double: iceberg.PrimitiveTypes.Float64,
	table.Date: iceberg.PrimitiveTypes.Date, table.Time: iceberg.PrimitiveTypes.Time,
	table.Timestamp: iceberg.PrimitiveTypes.Timestamp, table.TimestampTZ: iceberg.PrimitiveTypes.TimestampTz,
	table.String: iceberg.PrimitiveTypes.String, table.UUID: iceberg.PrimitiveTypes.UUID, table.Binary: iceberg.PrimitiveTypes.Binary,
}

func primitive(text string) (iceberg.Type, error) {
	t, err := table.ParseType(text)
	if err != nil {
		return nil, err
	}
	switch t.Name {
	case table.Decimal:
		return iceberg.DecimalTypeOf(t.Precision, t.Scale), nil
	case table.Fixed:
		return iceberg.FixedTypeOf(t.Length), nil
	}
	return primitives[t.Name], nil
}

// ids hands out field ids.
type ids struct{ last int }

func (i *ids) next() int {
	i.last++
	return i.last
}

// fieldOf returns a new field for a column, with new ids for all its parts, all of which but the keys of maps are optional.
func (i *ids) fieldOf(c table.Column) (iceberg.NestedField, error) {
	f := iceberg.NestedField{ID: i.next(), Name: c.Name}
	err := badName(c.Name)
	if err == nil {
		f.Type, err = i.typeOf(c)
	}
	return f, err
}

// maxName is the length of column names that AWS Glue takes (AWS Glue Web API Reference, Column).
const maxName = 255

// badName says why a column cannot have a name in every catalog; nil if it can.
func badName(name string) error {
	if len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("want a name of at most %d bytes without control characters", maxName)
	}
	return nil
}

func (i *ids) typeOf(c table.Column) (iceberg.Type, error) {
	switch {
	case c.Type == "struct" && len(c.Fields) > 0:
		fields, err := i.fieldsOf(c.Fields)
		return &iceberg.StructType{FieldList: fields}, err
	case c.Type == "list" && c.Element != nil:
		element, err := i.fieldOf(*c.Element)
		return &iceberg.ListType{ElementID: element.ID, Element: element.Type}, err
	case c.Type == "map" && c.Key != nil && c.Element != nil:
		key, err := i.fieldOf(*c.Key)
		if err != nil {
			return nil, err
		}
		value, err := i.fieldOf(*c.Element)
		return &iceberg.MapType{KeyID: key.ID, KeyType: key.Type, ValueID: value.ID, ValueType: value.Type}, err
	}
	return primitive(c.Type)
}

func (i *ids) fieldsOf(columns []table.Column) ([]iceberg.NestedField, error) {
	fields := make([]iceberg.NestedField, 0, len(columns))
	for _, c := range columns {
		f, err := i.fieldOf(c)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		fields = append(fields, f)
	}
	return fields, nil
}
