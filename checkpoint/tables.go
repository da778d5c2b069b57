package checkpoint

import (
	"context"
	"encoding/json"
	"time"
)

// Tables are the steps of a batch that is to be loaded into tables after it is published:
//
//	committed -> published (MarkPublished) -> loaded into each table (MarkLoaded) -> forgotten (Forget)
//
// Such a batch names its tables in Batch.Tables. It is of a kind of its own, so that workers of earlier releases leave
// it alone.
type Tables interface {
	// Outbox reads the batches of the outbox with strong consistency: what a call that was answered before has marked or
	// forgotten is seen as such. ID, Worker, Created, Tables, PublishedAt and Loaded are set.
	Outbox(ctx context.Context) ([]Batch, []UnknownBatch, error)
	// MarkPublished notes that all files of the batch are visible and its manifest is written. The first time counts.
	// ErrNotFound if the batch is not in the outbox: a late call must not bring a forgotten batch back.
	MarkPublished(ctx context.Context, id string, at time.Time) error
	// MarkLoaded notes that the table's own ledger, as read from the table, names the batch. ErrNotFound if no batch with
	// that table is in the outbox.
	MarkLoaded(ctx context.Context, id, table string) error

	// Table reads the item of a table with strong consistency; ErrNotFound if there is none.
	Table(ctx context.Context, name string) (Table, error)
	// PutTable writes the item of a table with Version t.Version+1, provided that the one in the store has t.Version, or
	// that there is none and t.Version is 0. It returns the item as written; ErrConflict if the condition failed.
	PutTable(ctx context.Context, t Table) (Table, error)
}

// Table is the item of a table that batches are loaded into. Its loaders write it, and workers read it.
type Table struct {
	// Name is how batches name the table: its URI without secrets.
	Name string
	// Version grows by one with each write.
	Version int64
	// Loader is the id of the loader that is loading now; empty if none is. A loader is there for efficiency: safety rests on
	// the table's own ledger.
	Loader string
	// Definition is a table.Definition as JSON; empty until the table was first read.
	Definition json.RawMessage `json:",omitempty"`
}
