package postgres

import (
	"fmt"
	"slices"

	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// define finds the members that fill the columns, and describes the table. Members of columns come from the previous definition of
// the same table, by the columns' numbers, so they outlive a renaming. A column that it does not have is filled by the member of its
// name.
func (s *state) define(previous *table.Definition) {
	known := make(map[int]string)
	had := make(map[string]bool)
	if previous != nil && previous.UUID == s.definition.UUID {
		for _, c := range previous.Columns {
			known[c.ID] = c.Member
			if c.Member != "" {
				had[c.Member] = true
			}
		}
		for _, member := range previous.Dropped {
			had[member] = true
		}
	}
	first := func(c *column) string {
		if member, ok := known[c.number]; ok {
			return member
		}
		return c.name
	}
	whole := s.d.Schema == nil && slices.ContainsFunc(s.columns, func(c column) bool { return first(&c) == pgddl.RecordColumn && c.typ.isJSON() })
	now := make(map[string]bool)
	for i := range s.columns { // by number: of two columns, one member fills the older
		c := &s.columns[i]
		member, ok := known[c.number]
		if !ok {
			member = s.d.memberOf(c, whole)
		}
		if member != "" && !now[member] && !c.generated && c.typ.supported() {
			c.member, now[member] = member, true
		}
		s.definition.Columns = append(s.definition.Columns, c.described())
	}
	for member := range had {
		if !now[member] {
			s.definition.Dropped = append(s.definition.Dropped, member)
		}
	}
	slices.Sort(s.definition.Dropped)
}

// whole reports whether a column has the whole record, and others have none of its members.
func (s *state) whole() bool {
	return s.d.Schema == nil && slices.ContainsFunc(s.columns, func(c column) bool { return c.member == pgddl.RecordColumn && c.typ.isJSON() })
}

func (t *columnType) isJSON() bool { return t.form == formJSON || t.form == formJSONB }

// memberOf returns the member that fills a column because of its name. A column with a default that SCHEMA does not name is the
// owner's, such as a serial number.
func (d *Table) memberOf(c *column, whole bool) string {
	switch c.name {
	case schema.EventIDColumn, schema.ArrivedAtColumn:
		return c.name
	case pgddl.SequenceColumn:
		if len(d.Key) > 0 {
			return c.name
		}
		return ""
	case pgddl.RecordColumn:
		if whole {
			return c.name
		}
	case schema.ExtraColumn:
		if !whole {
			return c.name
		}
	}
	declared := d.field(c.name) != nil
	if whole || c.given && !declared {
		return ""
	}
	return c.name
}

// field returns the field of SCHEMA for a member; nil if there is none.
func (d *Table) field(member string) *schema.Field {
	if d.Schema == nil {
		return nil
	}
	i := slices.IndexFunc(d.Schema.Fields, func(f *schema.Field) bool { return f.Name == member })
	if i < 0 {
		return nil
	}
	return d.Schema.Fields[i]
}

// described returns the column for the table's definition.
func (c *column) described() table.Column {
	d := table.Column{ID: c.number, Name: c.name, Member: c.member, Required: c.required}
	d.Type, d.Element = describe(c.typ, c.modifier, c.typeName)
	return d
}

// describe returns a type in the language of Iceberg, or as PostgreSQL writes it where that has none.
func describe(t *columnType, modifier int, name string) (text string, element *table.Column) {
	switch t.form {
	case formBool:
		return table.Boolean, nil
	case formInt2, formInt4:
		return table.Int, nil
	case formInt8:
		return table.Long, nil
	case formFloat4:
		return table.Float, nil
	case formFloat8:
		return table.Double, nil
	case formText, formName:
		return table.String, nil
	case formUUID:
		return table.UUID, nil
	case formDate:
		return table.Date, nil
	case formTimestamp:
		return table.Timestamp, nil
	case formTimestampTZ:
		return table.TimestampTZ, nil
	case formJSON, formJSONB:
		return jsonb, nil
	case formNumeric:
		if d, err := table.ParseType(decimal(modifier)); err == nil {
			return d.String(), nil
		}
	case formArray:
		e := &table.Column{Name: "element"}
		e.Type, e.Element = describe(t.element, modifier, t.element.name)
		return "list", e
	}
	return name, nil
}

// jsonb is the type of columns for what Iceberg has structs, maps and nested lists for.
const jsonb = "jsonb"

// decimal returns the type of a numeric by its modifier (src/backend/utils/adt/numeric.c, make_numeric_typmod).
func decimal(modifier int) string {
	if modifier < 4 {
		return "numeric"
	}
	return fmt.Sprintf("decimal(%d, %d)", (modifier-4)>>16&0xffff, (modifier-4)&0x7ff)
}
