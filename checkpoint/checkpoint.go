// Package checkpoint stores the positions up to which records are durable, and makes the pipeline's one decision: the
// commit, which atomically moves the positions of many shards and records the uploads to be made visible.
//
// A Store keeps these kinds of items: the application (which stream the table belongs to), one lease per shard, one
// heartbeat per worker, who leads the workers and the leader's orders for each other one, the outbox (batches that are
// committed but not yet published, and tombstones of batches that can no longer be committed), tables to load, and the
// statement of up to when the data is complete. Safety rests only on the conditions of Commit and Bury; leases only decide
// who does the work.
package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"aws-streaming-pipeline/record"
)

// Position is a place in a shard as the lease table stores it: a decimal sequence number (the last durable record), one
// of the sentinels below, or a value made by AtTimestamp.
type Position string

const (
	// TrimHorizon is the position before the oldest record that the stream still holds.
	TrimHorizon Position = "TRIM_HORIZON"
	// ShardEnd is the position after the last record of a closed shard. It is final.
	ShardEnd Position = "SHARD_END"

	atTimestamp = "AT_TIMESTAMP:"
)

// AtTimestamp is the position before the first record that arrived at t or later (millisecond precision, UTC).
func AtTimestamp(t time.Time) Position {
	return Position(atTimestamp + t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// Timestamp returns the time of an AtTimestamp position.
func (p Position) Timestamp() (time.Time, bool) {
	s, ok := strings.CutPrefix(string(p), atTimestamp)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse("2006-01-02T15:04:05.000Z", s)
	return t, err == nil
}

// SequenceNumber returns the sequence number, if the position is one.
func (p Position) SequenceNumber() (string, bool) {
	if p == "" {
		return "", false
	}
	for i := range len(p) {
		if p[i] < '0' || p[i] > '9' {
			return "", false
		}
	}
	return string(p), true
}

// Validate checks that p has one of the forms that a Position may have.
func (p Position) Validate() error {
	_, seq := p.SequenceNumber()
	_, ts := p.Timestamp()
	if seq || ts || p == TrimHorizon || p == ShardEnd {
		return nil
	}
	return fmt.Errorf("position %q is neither a sequence number nor TRIM_HORIZON, SHARD_END or AT_TIMESTAMP:<RFC 3339 time with milliseconds, UTC>", string(p))
}

// Identity names what a table belongs to. A table serves one application on one stream; a stream that was deleted and
// recreated under the same name is another stream.
type Identity struct {
	Application   string
	Stream        string    // name of the stream
	StreamARN     string    // empty if the endpoint does not report one
	StreamCreated time.Time // creation time, second precision
}

// Application is the table's own item.
type Application struct {
	Identity
	// Initial is where a shard without a checkpoint starts. It is fixed at the application's first start, so that the
	// children of a later split lose nothing even if the setting was LATEST.
	Initial Position
	// SchemaVersion is the layout version of the items.
	SchemaVersion int
	// Importing names what is being imported into this table: the table of another consumer, or the manifests from which
	// positions are restored. While it is set, rows may be missing or at the wrong position, and no worker may use them.
	Importing string
}

// Lease is the row of one shard.
type Lease struct {
	Shard   string
	Parents []string // the parent, and after a merge the adjacent parent
	Owner   string   // id of the worker that holds it; empty if none does
	// Counter grows by one at each acquisition and each rewind. Together with Owner it is the fencing token: a commit
	// names both.
	Counter int64
	// Checkpoint is the position up to which records are committed. Only Commit and Rewind change it.
	Checkpoint Position
	// Begin is where reading of the shard began, or where it was last moved to. Children without a row inherit it, see
	// Heir. Rows written by earlier releases lack it.
	Begin Position
	// Arrival is the arrival time of the last record committed since Begin; zero before the first.
	Arrival time.Time
	// Stop is what is known of the shard since it was last read with an end; zero if it never was.
	Stop Stop `json:",omitzero"`
	// Load is the shard's traffic: bytes of Kinesis records per second of arrival, smoothed over some minutes, as of the
	// last commit. It is 0 if it is not known. Commits of earlier releases leave it as it is.
	Load int64 `json:",omitzero"`
}

// Stop says that no record of a shard after the position After arrived before Until. That is a fact about the shard: no
// commit and no rewind makes it wrong, and it counts wherever the checkpoint is After.
type Stop struct {
	Until time.Time
	After Position
}

// Worker is the heartbeat item of one worker process.
type Worker struct {
	ID      string // unique for each start of a process
	Beat    int64  // changes while the worker is alive; others time it by their own clocks
	Address string // of its status page, for people
	Version string

	// Complete is the arrival time before which every record of the leases that this worker holds is committed; zero if it
	// says nothing. It stays true whoever holds the leases later.
	Complete time.Time
	// Leases is the LeaseDigest of those leases.
	Leases uint64

	// Follows means that the worker obeys the orders of a leader. Workers of earlier releases do not: they scan and plan for themselves.
	Follows bool `json:",omitempty"`
	// MaxLeases is the maximum number of leases that the leader may give the worker; 0 means no bound.
	MaxLeases int `json:",omitempty"`
	// Fleet is what the leader says of all; nil in the heartbeats of others.
	Fleet *Fleet `json:",omitempty"`
}

// Range is what a batch holds of one shard: the records after Start up to and including End.
type Range struct {
	Shard        string    `json:"shard"`
	Start        Position  `json:"start"`
	End          Position  `json:"end"`
	LeaseOwner   string    `json:"lease_owner"`
	LeaseCounter int64     `json:"lease_counter"`
	Records      int64     `json:"records"`
	Last         string    `json:"last_sequence_number,omitempty"` // of the last record; differs from End at a shard's end
	FirstArrival time.Time `json:"first_arrival,omitzero"`
	LastArrival  time.Time `json:"last_arrival,omitzero"`
	// Load is what Lease.Load is after the commit; 0 leaves it as it is. It is not kept with the batch.
	Load int64 `json:"-"`
}

// Contains reports whether a record with that sequence number can belong to the range.
func (r *Range) Contains(sequence string) bool {
	if start, ok := r.Start.SequenceNumber(); ok && record.CompareSequence(sequence, start) <= 0 {
		return false
	}
	return r.Last != "" && record.CompareSequence(sequence, r.Last) <= 0
}

// Batch is the unit of commit, and the item in the outbox until its uploads are completed.
type Batch struct {
	ID      string    `json:"batch"`
	Worker  string    `json:"worker"`
	Created time.Time `json:"created"` // when the batch was sealed, for people and metrics
	Ranges  []Range   `json:"ranges"`
	Files   []File    `json:"files"`
	// List is where Files are kept if the outbox item does not hold them; nil if it does.
	List *FileList `json:"file_list,omitempty"`
	// Manifest is where the batch's manifest will be written. It is fixed when the batch is sealed, because settings
	// may change before it is published. Batches from workers that predate manifests have none.
	Manifest Place `json:"manifest,omitzero"`
	// Published holds the files passed to NotePublished, as sorted indexes into Files.
	Published []int `json:"published,omitempty"`
	// Tables are the names of the tables that the batch is to be loaded into after it is published, sorted. They are fixed
	// when the batch is sealed, because settings may change before it is loaded. See the interface Tables.
	Tables []string `json:"tables,omitempty"`
	// PublishedAt is when the batch was published, if it is still to be loaded; zero before.
	PublishedAt time.Time `json:"published_at,omitzero"`
	// Loaded are those of Tables whose ledgers name the batch.
	Loaded []string `json:"loaded,omitempty"`
}

// Place is the location of an object.
type Place struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

func (p Place) String() string { return "s3://" + p.Bucket + "/" + p.Key }

// Snapshot is one read of the whole table, not atomic across items.
type Snapshot struct {
	Application Application
	Leases      []Lease
	Workers     []Worker
	// Batches are those in the outbox that are not published yet: only ID, Worker, Created and Tables are set.
	Batches []Batch
	// Published are those in the outbox that are still to be loaded into tables: only ID, Worker, Created, Tables,
	// PublishedAt and Loaded are set.
	Published []Batch
	// Unknown are batches in the outbox of a kind that this release does not know.
	Unknown []UnknownBatch
	// Tombstones are the ids of buried batches.
	Tombstones []string
	// Complete is the statement of up to when the data is complete; zero if there is none.
	Complete Complete
	// Lead says who leads the fleet; zero if nobody ever did.
	Lead Lead
	// Ordered are the ids of the workers that have orders.
	Ordered []string
}

// UnknownBatch is a batch that a later release committed and for which it does more than this release can: for example,
// it loads the files into a table when they are published. Publishing and forgetting the batch would lose that. So it
// is left to workers of a release that knows its kind, and the store refuses to forget it.
type UnknownBatch struct {
	ID      string
	Kind    string
	Worker  string    // empty if the item does not say
	Created time.Time // zero if the item does not say
}

// MaxRanges is the maximum number of shards in one batch: a DynamoDB transaction takes 100 items, one of which is the
// batch's own (AWS, "Amazon DynamoDB Transactions: How it works").
const MaxRanges = 99

// MaxBatchItem is the maximum size in bytes of a batch's encoded files in its item: some 300 files of one part, or
// 2,000 parts. A longer list goes to an object (FileList). This keeps commits far below DynamoDB's limits of 400 KB per
// item and 1,000 write units per second and partition, of which a transaction takes two per kilobyte (Amazon DynamoDB
// Developer Guide, "Quotas" and "DynamoDB throughput capacity"), and keeps table scans cheap.
const MaxBatchItem = 48 << 10

var (
	// ErrConflict means that a row was not in the state that the call named: another worker changed it, or this same
	// call was applied earlier and its answer was lost.
	ErrConflict = errors.New("the row is not in the expected state")
	// ErrNotFound means that there is no such item.
	ErrNotFound = errors.New("no such item")
	// ErrUnknownKind means that a later release committed the batch and this one does not know what to do for it.
	ErrUnknownKind = errors.New("this release does not know the kind of the batch")
	// ErrNotLoaded means that the batch is still to be loaded into a table.
	ErrNotLoaded = errors.New("the batch is not loaded into all of its tables yet")
	// ErrForeignTable means that the table belongs to another application or program; the text says which.
	ErrForeignTable = errors.New("the table belongs to something else")
)

// Store keeps the items. Every method is atomic and safe for concurrent use. After an error other than those named, the
// call may have been applied, may still be applied, or may never be.
type Store interface {
	// Bind writes the application's item if there is none, and returns the one that is in force. It fails with
	// ErrForeignTable if the table belongs to another application or stream.
	Bind(ctx context.Context, app Application) (Application, error)
	// Scan reads all items. Each is at least as new as the last write that was answered before the call, minus the
	// store's replication delay.
	Scan(ctx context.Context) (Snapshot, error)
	// ScanConsistently is Scan without the replication delay, at twice the price.
	ScanConsistently(ctx context.Context) (Snapshot, error)

	// Heartbeat writes the worker's item, creating it if there is none.
	Heartbeat(ctx context.Context, w Worker) error
	// Leave removes a worker's item. It is not an error if there is none.
	Leave(ctx context.Context, worker string) error

	// CreateLeases writes the rows of shards that have none; existing rows stay as they are.
	CreateLeases(ctx context.Context, leases []Lease) error
	// Lease reads one row with strong consistency; ErrNotFound if there is none.
	Lease(ctx context.Context, shard string) (Lease, error)
	// Acquire makes owner the row's owner if Owner and Counter are still those of l, and raises Counter by one. It
	// returns the row after the write; ErrConflict if the row was not as l says.
	Acquire(ctx context.Context, l Lease, owner string) (Lease, error)
	// Release clears the owner if Owner and Counter are still those of l; ErrConflict otherwise.
	Release(ctx context.Context, l Lease) error
	// Stop makes Lease.Stop say that no record after l.Checkpoint arrived before until, if Owner, Counter and Checkpoint
	// are still those of l. It returns the row after the write; ErrConflict if the row was not as l says.
	Stop(ctx context.Context, l Lease, until time.Time) (Lease, error)
	// Rewind changes the row to l.Moved(to) if Owner, Counter and Checkpoint are still those of l. Whoever held the
	// lease can no longer commit. The same atomic write takes the statement of Completeness back.
	Rewind(ctx context.Context, l Lease, to Position) (Lease, error)
	// DeleteLease removes the row of a shard that is at its end and no longer listed, if the row is still as l says.
	DeleteLease(ctx context.Context, l Lease) error

	// Commit is the decision. In one atomic write it puts the batch into the outbox, provided that nothing is stored
	// under its id, and moves each range's checkpoint from Start to End, provided that it is at Start and that
	// LeaseOwner still holds the lease with LeaseCounter. ErrConflict means that a condition failed. After any error,
	// including ErrConflict, the outcome is open until Bury has answered. ErrInvalidBatch means that nothing was sent
	// and retrying does not help.
	//
	// If the batch has a List, the item holds it instead of the files. Releases that do not know lists do not see such
	// a batch: they would publish it without its files.
	Commit(ctx context.Context, b Batch) error
	// Bury stores a tombstone under the batch's id if nothing is there, so that a commit still in flight can never win.
	// It returns true if the batch turns out to be committed. It returns false if the batch is buried, and also if it
	// was committed, published and forgotten before the call; in both cases it is right to abort its uploads and to
	// start again from the stored checkpoints.
	Bury(ctx context.Context, id, worker string) (committed bool, err error)
	// Batch reads one batch of the outbox as its item holds it, with strong consistency; ErrNotFound if it is not there
	// (published and forgotten, or never committed), ErrUnknownKind if it is an UnknownBatch. It does not contain the
	// files of a batch with a List: LoadBatch reads those, too.
	Batch(ctx context.Context, id string) (Batch, error)
	// NotePublished adds files, by their index in Files, to those known to be visible: a reader may move such a file
	// away before the whole batch is published. ErrNotFound if the batch is not in the outbox, or is of an unknown
	// kind.
	NotePublished(ctx context.Context, id string, files []int) error
	// Forget removes a batch or a tombstone from the outbox. It is not an error if there is none. ErrUnknownKind: it is
	// an UnknownBatch, and stays. ErrNotLoaded: one of its Tables is not in Loaded, and it stays.
	Forget(ctx context.Context, id string) error

	Tables
	Completeness
	Coordination

	Close() error
}
