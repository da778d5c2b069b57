package postgres

import "aws-streaming-pipeline/loader/rows"

// Fill is what fills a column.
type Fill uint8

// What fills columns.
const (
	Nothing  Fill = iota // the column keeps its default
	Member               // a member of the record, Column.Member
	EventID              // event_id
	Arrival              // _arrived_at: when Kinesis received the record
	Rest                 // _extra or record: the members that fill no other column
	Sequence             // _sequence: the order of the records, see Sequenced
)

// Column is a column of the table.
type Column struct {
	// Number is the attribute's number, which never changes and is never used for another column (PostgreSQL manual,
	// "pg_attribute").
	Number int
	Name   string
	// Type is the type as PostgreSQL writes it, such as numeric(9,2), timestamp with time zone, text[] or the name of a domain.
	Type string
	// OID, Modifier and Class are those of the type; of a domain, those of the type that it is made of. Class is pg_type.typtype:
	// b for a base type, e for an enum. Element is the type of an array's elements, and otherwise 0.
	OID      uint32
	Modifier int32
	Class    byte
	Element  uint32
	// Required means that the column is NOT NULL. Generated means that the database alone gives it values.
	Required  bool
	Generated bool

	Fill   Fill
	Member string
}

// encoder writes rows as tuples of COPY in the binary format.
type encoder interface {
	// members are those that a reader of files has to be asked for. The Values of rows are in their order.
	members() []string
	// columns are those that it fills, in the order of the tuples' values.
	columns() []Column
	// append appends the tuple of a row. A value that the database would refuse is a *refusal; nothing was appended then.
	append(dst []byte, row *rows.Row) ([]byte, error)
}

// refusal says why a row cannot be in the table. It is an error of the row, and never repeats a value.
type refusal struct {
	SQLState string // by PostgreSQL manual, appendix A
	Message  string
	Column   string // name of the column, if it is known
}

func (r *refusal) Error() string { return "SQLSTATE " + r.SQLState + ": " + r.Message }
