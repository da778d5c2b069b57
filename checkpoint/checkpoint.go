// Package checkpoint holds the positions up to which records are durable, and the one decision of the pipeline: the
// commit, which moves the positions of many shards and records the uploads that are to be made visible, all or nothing.
//
// A Store keeps four kinds of items: the application (which stream the table belongs to), one lease a shard, one
// heartbeat a worker, and the outbox (batches that are committed and not yet published, and tombstones of batches that
// can never be committed any more). Safety rests on the conditions of Commit and Bury alone; leases only decide who
// does the work.
package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"aws-streaming-pipeline/record"
)

// Position is a place in a shard as the lease table stores it: a decimal sequence number (the last record that is
// durable), one of the sentinels below, or a value made by AtTimestamp.
type Position string

const (
	// TrimHorizon stands before the oldest record that the stream still holds.
	TrimHorizon Position = "TRIM_HORIZON"
	// ShardEnd stands behind the last record of a closed shard. It is final.
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

// Validate tells whether p is one of the forms that a Position may have.
func (p Position) Validate() error {
	_, seq := p.SequenceNumber()
	_, ts := p.Timestamp()
	if seq || ts || p == TrimHorizon || p == ShardEnd {
		return nil
	}
	return fmt.Errorf("position %q is neither a sequence number nor TRIM_HORIZON, SHARD_END or AT_TIMESTAMP:<RFC 3339 time with milliseconds, UTC>", string(p))
}

// Identity names what a table belongs to. A table serves one application on one stream; a stream that was deleted and
// made again under its old name is another stream.
type Identity struct {
	Application   string
	Stream        string    // name of the stream
	StreamARN     string    // empty where the endpoint gives none
	StreamCreated time.Time // creation time, second precision
}

// Application is the table's own item.
type Application struct {
	Identity
	// Initial is where a shard without a checkpoint starts. It is fixed at the application's first start, so that
	// children of a later split lose nothing although the setting said LATEST.
	Initial Position
	// SchemaVersion is the layout of the items.
	SchemaVersion int
	// Importing is the table of another consumer whose import into this one has begun and not been finished. As long as
	// it is set, rows may be missing or at the wrong position, and no worker may use them.
	Importing string
}

// Lease is the row of one shard.
type Lease struct {
	Shard   string
	Parents []string // the parent, and after a merge the adjacent parent
	Owner   string   // id of the worker that holds it; empty if nobody does
	// Counter grows by one at each acquisition and each rewind. Together with Owner it fences: a commit names both.
	Counter int64
	// Checkpoint is the position up to which records are committed. Only Commit and Rewind change it.
	Checkpoint Position
	// Begin is where reading of the shard began, or where it was moved to since. Children without a row inherit it, see
	// Heir. Rows that an earlier release has made lack it.
	Begin Position
	// Arrival is the arrival time of the last record committed since Begin; zero before the first.
	Arrival time.Time
}

// Worker is the heartbeat item of one worker process.
type Worker struct {
	ID      string // unique for each start of a process
	Beat    int64  // moves as long as the worker lives; others watch it on their own clock
	Address string // where its status page is, for people
	Version string
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
}

// Contains tells whether a record of that sequence number can be one of the range's.
func (r *Range) Contains(sequence string) bool {
	if start, ok := r.Start.SequenceNumber(); ok && record.CompareSequence(sequence, start) <= 0 {
		return false
	}
	return r.Last != "" && record.CompareSequence(sequence, r.Last) <= 0
}

// Batch is the unit of commit, and the item of the outbox until its uploads are completed.
type Batch struct {
	ID      string    `json:"batch"`
	Worker  string    `json:"worker"`
	Created time.Time `json:"created"` // when the batch was sealed, for people and metrics
	Ranges  []Range   `json:"ranges"`
	Files   []File    `json:"files"`
	// List is where Files are kept if the item of the outbox does not hold them; nil if it does.
	List *FileList `json:"file_list,omitempty"`
	// Manifest is where the batch's manifest is to be written, decided when the batch was sealed: settings may change
	// before it is published. Batches of workers that did not know it have none.
	Manifest Place `json:"manifest,omitzero"`
	// Published are the files, by their index in Files and in order, that NotePublished was told of.
	Published []int `json:"published,omitempty"`
}

// Place is where an object lies.
type Place struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

func (p Place) String() string { return "s3://" + p.Bucket + "/" + p.Key }

// Snapshot is one reading of the whole table, not atomic across items.
type Snapshot struct {
	Application Application
	Leases      []Lease
	Workers     []Worker
	// Batches are those of the outbox: only ID, Worker and Created are set.
	Batches []Batch
	// Unknown are batches of the outbox of a kind that this release does not know.
	Unknown []UnknownBatch
	// Tombstones are the ids of buried batches.
	Tombstones []string
}

// UnknownBatch is a batch that a later release has committed, and for which it does more than this release knows of: for
// one, it loads the files into a table when they are published. To publish and forget it would lose that. It is left to the
// workers of the release that knows its kind, and the store refuses to forget it.
type UnknownBatch struct {
	ID      string
	Kind    string
	Worker  string    // empty if the item does not say
	Created time.Time // zero if the item does not say
}

// MaxRanges is the number of shards that one batch may hold: a DynamoDB transaction takes 100 items, one of which is
// the batch's own (AWS, "Amazon DynamoDB Transactions: How it works").
const MaxRanges = 99

// MaxBatchItem is the size in bytes that the encoded files of a batch may have in its item: some 300 files of one part,
// or 2,000 parts. A longer list goes to an object (FileList), so that a commit stays far below DynamoDB's limits, 400 KB an
// item and 1,000 write units a second and partition, of which a transaction takes two a kilobyte (Amazon DynamoDB
// Developer Guide, "Quotas" and "DynamoDB throughput capacity"), and so that those who scan the table pay little for it.
const MaxBatchItem = 48 << 10

var (
	// ErrConflict means that a row was not in the state that the call named: somebody else moved it, or this very
	// call was applied before and its answer was lost.
	ErrConflict = errors.New("the row is not in the state that was expected")
	// ErrNotFound means that there is no such item.
	ErrNotFound = errors.New("no such item")
	// ErrUnknownKind means that a later release has committed the batch and this one does not know what is to be done for it.
	ErrUnknownKind = errors.New("this release does not know the kind of the batch")
	// ErrForeignTable means that the table belongs to something else; the text says to what.
	ErrForeignTable = errors.New("the table belongs to something else")
)

// Store keeps the items. Every method is atomic, and safe for concurrent use. An error other than those named may mean
// that the call was applied, will still be applied, or never will be.
type Store interface {
	// Bind writes the application's item if there is none and returns the one that is in force. It fails with
	// ErrForeignTable if the table belongs to another application or stream.
	Bind(ctx context.Context, app Application) (Application, error)
	// Scan reads all items, each at least as new as the last write that had been answered before the call, or older by
	// the store's replication delay.
	Scan(ctx context.Context) (Snapshot, error)

	// Heartbeat writes the worker's item, making it if there is none.
	Heartbeat(ctx context.Context, w Worker) error
	// Leave removes a worker's item. It is no error if there is none.
	Leave(ctx context.Context, worker string) error

	// CreateLeases writes the rows of shards that have none; rows that exist stay as they are.
	CreateLeases(ctx context.Context, leases []Lease) error
	// Lease reads one row, consistently; ErrNotFound if there is none.
	Lease(ctx context.Context, shard string) (Lease, error)
	// Acquire gives the row to owner if Owner and Counter are still those of l, and raises Counter by one. It returns
	// the row after the write; ErrConflict if it was not as l says.
	Acquire(ctx context.Context, l Lease, owner string) (Lease, error)
	// Release clears the owner if Owner and Counter are still those of l; ErrConflict otherwise.
	Release(ctx context.Context, l Lease) error
	// Rewind makes the row l.Moved(to), if Owner, Counter and Checkpoint are still those of l. Whoever held the lease
	// cannot commit any more.
	Rewind(ctx context.Context, l Lease, to Position) (Lease, error)
	// DeleteLease removes the row of a shard that is at its end and no longer listed, if it is still as l says.
	DeleteLease(ctx context.Context, l Lease) error

	// Commit is the decision. In one atomic write it puts the batch into the outbox, provided that nothing is there
	// under its id, and moves each range's checkpoint from Start to End, provided that it is at Start and that the
	// lease is still held by LeaseOwner with LeaseCounter. ErrConflict: a condition failed. After any error, ErrConflict
	// included, the outcome is open until Bury has answered. ErrInvalidBatch: nothing was sent, and no repetition helps.
	//
	// With a List the item holds that in place of the files. Releases that do not know lists do not see such a batch: they
	// would publish it without its files.
	Commit(ctx context.Context, b Batch) error
	// Bury puts a tombstone under the batch's id if nothing is there, so that a commit that is still under way can
	// never win. It returns true if the batch turns out to be committed. It returns false if it is buried, and also if it
	// was committed, published and forgotten before the call; to abort its uploads and to start again from the stored
	// checkpoints is right in both cases.
	Bury(ctx context.Context, id, worker string) (committed bool, err error)
	// Batch reads one batch of the outbox as its item holds it, consistently; ErrNotFound if it is not there (published
	// and forgotten, or never committed), ErrUnknownKind if it is an UnknownBatch. The files of a batch with a List are not in
	// it: LoadBatch reads those, too.
	Batch(ctx context.Context, id string) (Batch, error)
	// NotePublished adds files, by their index in Files, to those that are known to have become visible: whoever reads a
	// file may move it away before the whole batch is published. ErrNotFound if the batch is not in the outbox, or of an
	// unknown kind.
	NotePublished(ctx context.Context, id string, files []int) error
	// Forget removes a batch or a tombstone from the outbox. It is no error if there is none. ErrUnknownKind: it is an
	// UnknownBatch, and stays.
	Forget(ctx context.Context, id string) error

	Close() error
}
