package postgres

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
	// Required means that the column is NOT NULL. Generated means that the database alone gives it values.
	Required  bool
	Generated bool

	Fill   Fill
	Member string
}
