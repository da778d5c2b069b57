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
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record/table"
)

// Errors of State.Append and State.Evolve that metrics and logs tell apart. What the loader does next is the same after
// every error, named here or not: it loads the table again.
var (
	// ErrConflict means that the table was no longer in the state that was read: another writer changed it, or this same
	// write was applied earlier and its answer was lost.
	ErrConflict = errors.New("the table has changed since it was read")
	// ErrUnanswered means that the write was sent and no answer says whether it was applied.
	ErrUnanswered = errors.New("no answer says whether the write was applied")
)

// Destination is a table that batches are loaded into. It does not retry a write.
type Destination interface {
	// Name is how batches name the table: its URI without secrets.
	Name() string
	// Load reads the table as it is now. previous is the Definition that some loader read last, or nil. From it the new one
	// takes what the table itself does not say: the member that fills a column, which belongs to the column's id and so
	// outlives a renaming, and the members whose columns were dropped. previous may be of a table with another UUID.
	// An error names the table.
	Load(ctx context.Context, previous *table.Definition) (State, error)
}

// State is a table as it was read. It does not change. Two states are the same only if the same commits led to them: a number of
// commits does not tell that where a table can lose its last ones and get others.
type State interface {
	// Ledger returns the ids of batches that the table's ledger names.
	Ledger() []string
	// Definition returns what the store keeps of the table: for its writers, where they write files for a table, and for the
	// next Load. nil if there is nothing to keep.
	Definition() *table.Definition
	// Check returns the columns that a published data file would fill if the table had them, or an error that says why the
	// table cannot take the file, such as a partition spec that it does not have. A *Problem says of which kind the reason is;
	// any other error counts as Unfit. Describe helps with files that have a description.
	Check(f *checkpoint.File) (wanted []table.Column, err error)
	// Append adds the files of the batches to the table and replaces the ledger, in one atomic write, provided that the
	// table is still in this state. After an error, whatever it is, the write may have been applied or may be applied
	// later: only Load tells. A *Problem with a Batch means that nothing was written because of that batch, such as for the
	// loss of one of its files: the others are written without it.
	Append(ctx context.Context, a Addition) error
	// Evolve adds columns to the table and widens others, in an atomic write of its own, provided that the table is still in
	// this state. A column that the table cannot have is left out and reported in refused. It does nothing for columns that
	// are there. If it has changed the table, this state is no longer the table's.
	Evolve(ctx context.Context, wanted []table.Column) (changed bool, refused []table.Column, err error)
}

// Settler is implemented by a State that has something to do for a batch after its commit, before the batch is marked as
// loaded.
type Settler interface {
	// Settle does it for batches that the state's ledger names, and returns the ids of those that may be marked now. The others
	// stay in the outbox and in the ledger, and Settle is called for them again, by any loader. So what it does must be the same
	// when it is done twice. Settle asks the table as it is now, which may have lost commits since the state was read.
	Settle(ctx context.Context, ids []string) (settled []string, err error)
}

// Refuser is implemented by a State of a table that may refuse rows, as a database does whose columns cannot hold a value.
type Refuser interface {
	// Refused returns how many rows of a batch were refused, so that they are not in the table. The state's ledger names the batch.
	Refused(batch string) int64
}

// Stater is implemented by a State of a table that shows its readers up to when it is complete. A write shows that anyway, if its
// Addition says so.
type Stater interface {
	// CompleteUpTo is what the table shows; zero if nothing.
	CompleteUpTo() time.Time
	// StateComplete shows a time without adding anything, in an atomic write, provided that nothing was added since the state was
	// read. A request that arrives late may set it back to an earlier time.
	StateComplete(ctx context.Context, upTo time.Time) error
}

// Bounded is implemented by a Destination that bounds the files of one write.
type Bounded interface {
	// MaxBytes is the size of the files of one write. A batch that exceeds it by itself is written alone.
	MaxBytes() int64
}

// Caretaker is implemented by a Destination that needs care from time to time, beside loading.
type Caretaker interface {
	// Care does what is due. Its writes are conditional on the table being as it was read, and its errors stop nothing.
	Care(ctx context.Context) error
}

// Addition is what one write adds to a table.
type Addition struct {
	// Batches are those to load. Their Files are the data files alone, each of which Check has passed.
	Batches []checkpoint.Batch
	// Keep are ids of earlier batches that stay in the ledger. The new ledger is Keep and the ids of Batches.
	Keep []string
	// CompleteUpTo is the arrival time up to which the table is complete with the batches; zero if that is not known. It is
	// for readers of the table, and need not be kept.
	CompleteUpTo time.Time
	// Progress is to be called whenever a write that takes long has got on. A write that does not get on for some minutes is
	// ended. May be nil.
	Progress func()
}

// Sized is implemented by a State that knows what its table's metadata costs.
type Sized interface {
	Size() Size
}

// Size is what a table's metadata costs.
type Size struct {
	Snapshots     int
	MetadataBytes int64 // of the file that describes the table, as read by each Load
}
