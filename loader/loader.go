// Package loader loads published batches into tables, exactly once.
//
// The rule is the same for every destination:
//
//  1. The table keeps a ledger of batch ids, changed in the same atomic write as the data.
//  2. A loader reads the table with its ledger first, then the outbox, consistently. It appends what the ledger does not
//     name, on condition that the table is still as it was read. After any error it reads both again.
//  3. A batch is marked loaded only when a ledger that was read names it. A ledger drops an id only after the batch was
//     marked.
//
// So any number of loaders may run for a table. They elect one for efficiency only.
package loader

import (
	"context"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record/table"
)

// Destination is a table that batches are loaded into.
type Destination interface {
	// Name is how batches name the table: its URI without secrets.
	Name() string
	// Load reads the table as it is now.
	Load(ctx context.Context) (State, error)
}

// State is a table as it was read. It does not change.
type State interface {
	// Ledger returns the ids of batches that the table's ledger names.
	Ledger() []string
	// Definition returns what writers of files need to know of the table; nil if they need nothing.
	Definition() *table.Definition
	// Append adds the files of the batches to the table and replaces the ledger, in one atomic write, provided that the
	// table is still in this state. After an error, whatever it is, the write may have been applied or may be applied
	// later: only Load tells.
	Append(ctx context.Context, a Addition) error
	// Evolve adds columns to the table and widens others, in an atomic write of its own, provided that the table is still in
	// this state. A column that the table cannot have is left out and reported in refused. It does nothing for columns that
	// are there.
	Evolve(ctx context.Context, wanted []table.Column) (refused []table.Column, err error)
}

// Addition is what one write adds to a table.
type Addition struct {
	// Batches are those to load, with their files.
	Batches []checkpoint.Batch
	// Keep are ids of earlier batches that stay in the ledger. The new ledger is Keep and the ids of Batches.
	Keep []string
}
