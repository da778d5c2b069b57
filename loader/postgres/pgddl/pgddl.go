// Package pgddl writes the statements that create the loader's tables in PostgreSQL. It opens no connection.
package pgddl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"aws-streaming-pipeline/record/schema"
)

// The columns that the pipeline fills itself, besides those of package schema.
const (
	// RecordColumn has the whole record where there is no SCHEMA.
	RecordColumn = "record"
	// SequenceColumn orders the records of a table with a key: the sequence number, and behind the point ten digits each of the
	// sub-sequence number, the number of the part and that of the piece, as far as the event id has them.
	SequenceColumn = "_sequence"
)

// The loader's own tables, in the schema of the table that is loaded.
const (
	// Tables has one row for each table and application: what state the table is in.
	Tables = "pipeline_tables"
	// Ledger names the batches that are in a table.
	Ledger = "pipeline_ledger"
	// Refused has the rows of those batches that the database has refused.
	Refused = "pipeline_refused"
	// Complete says up to which arrival time a table is complete.
	Complete = "pipeline_complete"
)

// Quote quotes an identifier (PostgreSQL manual, "Identifiers and Key Words").
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Literal quotes a text. It must not have zero bytes, and standard_conforming_strings must be on, as it is by default.
func Literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// maxName is the length of a name in bytes. Longer ones are cut without an error (same section).
const maxName = 63

// systemColumns cannot be the names of others (PostgreSQL manual, "System Columns").
var systemColumns = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

// BadName says why a column cannot have a name; nil if it can.
func BadName(name string) error {
	switch {
	case name == "" || len(name) > maxName || strings.ContainsRune(name, 0):
		return fmt.Errorf("want a name of 1 to %d bytes without zero bytes", maxName)
	case slices.Contains(systemColumns, name):
		return fmt.Errorf("%s is a system column of every table: want another name", name)
	}
	return nil
}

// Column is a column of a table to create.
type Column struct{ Name, Type string }

// scalars are the types of single values.
var scalars = map[schema.Kind]string{
	schema.JSON: "jsonb", schema.String: "text", schema.Int32: "integer", schema.Int64: "bigint", schema.Float: "real",
	schema.Double: "double precision", schema.Boolean: "boolean", schema.Date: "date",
	schema.TimestampMillis: "timestamptz", schema.TimestampMicros: "timestamptz",
}

// TypeOf returns the type of the column for a field of SCHEMA: an array for a list of single values, and jsonb for what has parts of
// its own.
func TypeOf(f *schema.Field) string {
	switch f.Kind {
	case schema.Decimal:
		return fmt.Sprintf("numeric(%d,%d)", f.Precision, f.Scale)
	case schema.List:
		if f.Element.Kind.Scalar() && f.Element.Kind != schema.JSON {
			return TypeOf(f.Element) + "[]"
		}
	}
	if t, ok := scalars[f.Kind]; ok {
		return t
	}
	return "jsonb"
}

// Members returns the columns for the members of SCHEMA. A member whose name no column can have gets none: its values are in _extra.
func Members(s *schema.Schema) (columns []Column) {
	for _, f := range s.Fields {
		if BadName(f.Name) == nil {
			columns = append(columns, Column{Name: f.Name, Type: TypeOf(f)})
		}
	}
	return columns
}

// Own returns the columns that the pipeline fills itself.
func Own(s *schema.Schema, keyed bool) []Column {
	columns := []Column{{Name: schema.EventIDColumn, Type: "text"}, {Name: schema.ArrivedAtColumn, Type: "timestamptz"}}
	if keyed {
		columns = append(columns, Column{Name: SequenceColumn, Type: "numeric"})
	}
	if s == nil {
		return append(columns, Column{Name: RecordColumn, Type: "jsonb"})
	}
	return append(columns, Column{Name: schema.ExtraColumn, Type: "jsonb"})
}

// Table is a table to create.
type Table struct {
	Namespace, Name string
	// Schema is SCHEMA; nil without one.
	Schema *schema.Schema
	// Unique, Key and Daily are POSTGRES_UNIQUE, POSTGRES_KEY and POSTGRES_PARTITION=day.
	Unique bool
	Key    []string
	Daily  bool
}

// Relation is the quoted name of a table in the table's schema.
func (t Table) Relation(name string) string { return Quote(t.Namespace) + "." + Quote(name) }

// Columns returns the columns of the table. A member whose name is that of a column that the pipeline fills itself gets none.
func (t Table) Columns() (columns []Column) {
	own := Own(t.Schema, len(t.Key) > 0)
	if t.Schema != nil {
		columns = slices.DeleteFunc(Members(t.Schema), func(c Column) bool {
			return slices.ContainsFunc(own, func(o Column) bool { return o.Name == c.Name })
		})
	}
	return append(columns, own...)
}

// Create returns the statements that create the table, with its default partition. They do nothing to one that exists.
func (t Table) Create() ([]string, error) {
	columns := t.Columns()
	for _, name := range t.Key {
		if !slices.ContainsFunc(columns, func(c Column) bool { return c.Name == name }) {
			return nil, fmt.Errorf("POSTGRES_KEY names the column %s: want columns of SCHEMA", name)
		}
	}
	if t.Daily && len(t.Key) > 0 {
		return nil, errors.New("POSTGRES_PARTITION=day: want none with POSTGRES_KEY")
	}
	var lines []string
	for _, c := range columns {
		lines = append(lines, Quote(c.Name)+" "+c.Type)
	}
	if len(t.Key) > 0 {
		lines = append(lines, "PRIMARY KEY ("+list(t.Key)+")")
	}
	create := "CREATE TABLE IF NOT EXISTS " + t.Relation(t.Name) + " (\n\t" + strings.Join(lines, ",\n\t") + "\n)"
	if !t.Daily {
		return append([]string{create}, t.unique()...), nil
	}
	create += " PARTITION BY RANGE (" + Quote(schema.ArrivedAtColumn) + ")"
	rest := "CREATE TABLE IF NOT EXISTS " + t.Relation(t.Partition("default")) + " PARTITION OF " + t.Relation(t.Name) + " DEFAULT"
	return append([]string{create, rest}, t.unique()...), nil
}

// unique returns the statement for POSTGRES_UNIQUE. In a partitioned table the columns of the partitions have to be part of the index
// (PostgreSQL manual, "Table Partitioning", Limitations); the ids of two records that arrived at different times differ anyway.
func (t Table) unique() []string {
	if !t.Unique {
		return nil
	}
	columns := []string{schema.EventIDColumn}
	if t.Daily {
		columns = append(columns, schema.ArrivedAtColumn)
	}
	return []string{"CREATE UNIQUE INDEX IF NOT EXISTS " + Quote(shortened(t.Name, "event_id_key")) + " ON " + t.Relation(t.Name) + " (" + list(columns) + ")"}
}

// LedgerTables returns the statements that create the loader's own tables. A regclass is the table itself and not its name, but is
// dumped and restored by the name. pipeline_refused has no unique index, so no loader waits for another one's rows in it.
func (t Table) LedgerTables() []string {
	return []string{
		"CREATE TABLE IF NOT EXISTS " + t.Relation(Tables) + ` (
	application text NOT NULL,
	relation regclass NOT NULL,
	uuid uuid NOT NULL,
	state uuid NOT NULL,
	commits bigint NOT NULL,
	PRIMARY KEY (application, relation)
)`,
		"CREATE TABLE IF NOT EXISTS " + t.Relation(Ledger) + ` (
	application text NOT NULL,
	relation regclass NOT NULL,
	batch text NOT NULL,
	loaded_at timestamptz NOT NULL,
	rows bigint NOT NULL,
	refused bigint NOT NULL,
	PRIMARY KEY (application, relation, batch)
)`,
		"CREATE TABLE IF NOT EXISTS " + t.Relation(Refused) + ` (
	application text NOT NULL,
	relation regclass NOT NULL,
	batch text NOT NULL,
	file text NOT NULL,
	number bigint NOT NULL,
	event_id text NOT NULL,
	arrived_at timestamptz NOT NULL,
	sqlstate text NOT NULL,
	line bytea NOT NULL
)`,
		"CREATE INDEX IF NOT EXISTS " + Quote(Refused+"_batch") + " ON " + t.Relation(Refused) + " (application, relation, batch)",
		t.CompleteTable(),
	}
}

// CompleteTable returns the statement of LedgerTables that databases of earlier releases lack.
func (t Table) CompleteTable() string {
	return "CREATE TABLE IF NOT EXISTS " + t.Relation(Complete) + ` (
	application text NOT NULL,
	relation regclass NOT NULL,
	complete_up_to timestamptz NOT NULL,
	PRIMARY KEY (application, relation)
)`
}

func list(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = Quote(n)
	}
	return strings.Join(quoted, ", ")
}
