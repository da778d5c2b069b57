// Package table describes a table of columns with ids, such as one of Apache Iceberg, to the daemon that writes files for
// it, and the files to the loader that adds them to the table. It knows no catalog: the loader, which talks to the
// catalog, writes a Definition where the daemon reads it.
//
// Ids, types, transforms and the encoding of single values are those of the Iceberg table specification, version 2
// (https://iceberg.apache.org/spec/).
package table

import "aws-streaming-pipeline/record/schema"

// ArrivedAtColumn is the column of the time at which Kinesis received the record. Tables are partitioned by it unless
// they say otherwise.
const ArrivedAtColumn = schema.ArrivedAtColumn

// Definition is what a writer of files needs to know of a table. It describes one state of the table: whoever adds files
// must still accept those that were written for an earlier one.
type Definition struct {
	// UUID is the table's own. A table that was dropped and created again is another table.
	UUID string `json:"uuid"`
	// Schema is the id of the table's current schema.
	Schema int `json:"schema_id"`
	// Columns are the top-level columns of the current schema, in the order of the table.
	Columns []Column `json:"columns"`
	// Spec says how the table is partitioned now.
	Spec Spec `json:"spec"`
	// Dropped are members of records that had a column until the table's owner dropped it. They get no new one. A member
	// below the top level is named by its JSON Pointer, with * for an element of a list or a value of a map.
	Dropped []string `json:"dropped,omitempty"`
	// Commits is the number of commits of loaders to the table, where it counts them itself. A smaller number than before means
	// that the table was put back, as when a standby without the last commits is promoted.
	Commits int64 `json:"commits,omitempty"`
}

// Column is a column of a table, or a part of one.
type Column struct {
	// ID is the field id. It never changes, and is never used for another column.
	ID int `json:"id"`
	// Name is the name in the table, which its owner may change.
	Name string `json:"name"`
	// Member is the member of the records that fills the column, or the name of one of the pipeline's own columns. It is
	// empty for columns that nothing in the records fills.
	Member string `json:"member,omitempty"`
	// Type is a primitive type as the specification writes it, such as long or decimal(9, 2), or struct, list or map.
	Type string `json:"type"`
	// Required means that the column cannot be null.
	Required bool `json:"required,omitempty"`

	Fields  []Column `json:"fields,omitempty"`  // of a struct
	Key     *Column  `json:"key,omitempty"`     // of a map
	Element *Column  `json:"element,omitempty"` // of a list, or the value of a map
}

// Spec is a partition spec. Without fields the table is not partitioned.
type Spec struct {
	ID     int              `json:"id"`
	Fields []PartitionField `json:"fields,omitempty"`
}

// PartitionField is one value of a partition tuple.
type PartitionField struct {
	ID   int    `json:"id"`   // of the partition field, from 1000
	Name string `json:"name"` // such as _arrived_at_hour
	// Source is the id of the column that it is computed from, which is a primitive column, maybe inside a struct.
	Source int `json:"source"`
	// Transform is identity, year, month, day, hour, bucket[N], truncate[W] or void.
	Transform string `json:"transform"`
}

// Find returns the top-level column that a member fills, or nil.
func (d *Definition) Find(member string) *Column { return find(d.Columns, member) }
