// Package rows reads the rows of published data files, for destinations that copy records rather than add files: JSON Lines in any
// compression, and Parquet. It streams, so its memory does not grow with the file.
package rows

import "time"

// Row is a row of a file. It is valid until the next one is read.
type Row struct {
	// Number is that of the row in its file, from 0.
	Number int64
	// EventID is the value of event_id; empty if the file does not have it.
	EventID []byte
	// ArrivedAt is when Kinesis received the record; zero if the file does not have it.
	ArrivedAt time.Time
	// Values are those of the members asked for, in that order.
	Values []Value
	// Rest has the members that were not asked for, with those of _extra, as a JSON object; nil if there are none.
	Rest []byte
}

// Kind is the kind of a Value.
type Kind uint8

// The kinds of values.
const (
	Null    Kind = iota // null, or no such member
	Bool                // Int is 0 or 1
	Integer             // Int
	Double              // Float, of a Parquet column
	Number              // Text is a JSON number, as it was written
	Decimal             // Text is a decimal number, of a Parquet column
	String              // Text is its UTF-8 text, unescaped
	JSON                // Text is a JSON object or array, or the text of a Parquet column that holds JSON
	Date                // Int is in days since 1970
	Instant             // Int is in microseconds since 1970 UTC
)

// Value is a value of a record.
type Value struct {
	Kind  Kind
	Int   int64
	Float float64
	Text  []byte
}
