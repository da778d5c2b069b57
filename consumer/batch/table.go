package batch

import (
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
)

// Table is the table that data files are loaded into, in one state of its definition. Files that were begun in one state are
// finished in it, and records that are routed in another begin files of their own.
type Table struct {
	// Format writes files for the table in that state.
	Format writers.Format
	// Partitioner computes the tuples of records. A file holds records of one tuple.
	Partitioner *table.Partitioner
	// Columns is the number of leaf columns, by which the description of a file is estimated.
	Columns int
}

// describedColumn is the size in bytes of the description of one column of a file: its id, counts and bounds.
const describedColumn = 100

// described is the size in bytes that the description of a file is taken to have until it is known.
func (t *Table) described(tuple string) int64 {
	if t == nil {
		return 0
	}
	return int64(200 + 2*len(tuple) + describedColumn*t.Columns)
}
