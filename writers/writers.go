// Package writers makes records durable: it encodes them into files and stages the files in S3, where they stay invisible
// until they are published.
//
// A Format turns records into blocks and blocks into a file. A File collects the records of one partition from all
// shards, encodes blocks in parallel, writes them in order and passes the bytes to an Upload as they come, so that memory
// use does not depend on the file's size. Uploads go to a Destination; a Sink is a Destination that is a bucket.
package writers

import (
	"context"
	"errors"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/table"
)

// Format is a file format with its compression. It is safe for concurrent use.
type Format interface {
	// Object returns how objects of this format are named and labelled.
	Object() Object
	// NewLayout begins a file.
	NewLayout() Layout
}

// TableFormat is a Format whose files can be loaded into tables.
type TableFormat interface {
	Format
	// For returns the format of files for one state of a table. Their layouts are Describers.
	For(v *table.View) (Format, error)
}

// Describer is a Layout of files that are loaded into a table.
type Describer interface {
	Layout
	// Describe returns the description of the file, after End. Its Partition is not set.
	Describe() table.Description
}

// Object says how the objects of a format are named and labelled.
type Object struct {
	Extension       string // with its dot, such as ".jsonl.gz"
	ContentType     string
	ContentEncoding string // empty for none
}

// Layout is the encoder of one file. NewBlock may be called at any time. Begin, Place and End are called in the order of
// the file's bytes, by one goroutine at a time.
type Layout interface {
	// NewBlock returns an empty block of this file.
	NewBlock() Block
	// Begin returns the bytes before the first block.
	Begin() []byte
	// Place takes the next block of the file and returns the bytes to write for it. They are valid until the next call of
	// Place.
	Place(e Encoded) ([]byte, error)
	// End returns the bytes after the last block.
	End() ([]byte, error)
}

// Keeping is a Layout that keeps memory of each block until the end of the file.
type Keeping interface {
	Layout
	// Kept returns the bytes that it keeps. It is called where Place is.
	Kept() int
}

// Block is a part of a file before compression: lines, or the column vectors of a row group. It is used by one goroutine
// at a time.
type Block interface {
	// Append adds a record, and copies what it keeps. A *record.Fault means that this record does not fit, and leaves the
	// block unchanged. There are no other errors.
	Append(r *record.Record) error
	// Rows returns the number of records.
	Rows() int
	// Size returns the size of the records in bytes, before encoding.
	Size() int
	// Held returns the memory of the block in bytes, including what it has reserved.
	Held() int
	// Full reports whether the block has reached the size at which it should be encoded.
	Full() bool
	// Encode turns the block into bytes; the block must not be used afterwards. It keeps one core busy for a while, and
	// runs in parallel with Encode of other blocks.
	Encode() (Encoded, error)
}

// Encoded is an encoded block, with the information that its Layout needs to place it.
type Encoded struct {
	Data []byte
	Rows int64
	Meta any // for the format
	// Release, if set, frees the memory of Data after it has been placed and written.
	Release func()
}

var (
	// ErrUploadGone means that an upload or its parts no longer exist: it was aborted, completed, or removed by the
	// bucket's lifecycle rule. If the batch is not yet committed, it can no longer be.
	ErrUploadGone = errors.New("the multipart upload no longer exists")
	// ErrForeignObject means that the file's key holds an object that the batch did not write. Keys contain the batch's
	// id, so somebody has put it there on purpose.
	ErrForeignObject = errors.New("the key of the file holds an object that the batch did not write")
	// ErrRefused means that the bucket refuses a request until somebody changes a permission, a key or a bucket.
	ErrRefused = errors.New("refused")
	// ErrReplaced means that an object is not the version that it was when it was read.
	ErrReplaced = errors.New("the object has been replaced since it was read")
)

// ObjectSpec describes the object that an upload creates.
type ObjectSpec struct {
	Bucket          string // empty for the sink's own
	Key             string
	ContentType     string
	ContentEncoding string
	// Metadata is stored with the object. The key "batch-id" distinguishes objects that a batch wrote from those of
	// others.
	Metadata map[string]string
}

// MetadataBatchID is the metadata key that holds the id of the batch.
const MetadataBatchID = "batch-id"

// Destination stores the files of batches: it stages their bytes invisibly, and publishes them after the commit. Its
// calls retry errors that may pass: Begin, Abort and the calls of an Upload until their context ends, Publish for a
// bounded time, since its caller can try again later. Other errors are returned at once. It is safe for concurrent use.
//
// A destination keeps what it needs to know of a staged file in checkpoint.File.Staged. The file returns from the outbox,
// possibly in another process and after an update, so a release must read what earlier ones have written there.
type Destination interface {
	// Begin starts an upload. Nothing is visible until Publish.
	Begin(ctx context.Context, spec ObjectSpec) (Upload, error)
	// Publish makes a file visible and returns the tag of its content (ETag), which is not empty. It may be called any
	// number of times, by any worker. An upload that is already completed is recognised by its object, which must have
	// batchID and the size of f; if the object is known to have been deleted, the tag is empty. ErrUploadGone means that
	// neither the upload nor the object exists: the object was completed and then moved or deleted, or the upload was
	// removed before it was completed. ErrForeignObject means that the object has another batch's id, none, or another
	// size. ErrRefused means that the destination has been refusing the request for a while.
	Publish(ctx context.Context, f checkpoint.File, batchID string) (etag string, err error)
	// Abort drops an upload that will never be published. It succeeds if there is none.
	Abort(ctx context.Context, f checkpoint.File) error
	// Check returns an error unless the destination answers and is writable. Readiness depends on it.
	Check(ctx context.Context) error
}

// Sink is a bucket for new files, and reaches the buckets of files that were begun under other settings. It is a
// destination of files, and also stores small objects: manifests, and file lists that do not fit in an item of the
// outbox. Written and Put retry for a bounded time, like Publish.
type Sink interface {
	Destination
	// Put writes a small object at once, and replaces any object with the same key.
	Put(ctx context.Context, spec ObjectSpec, body []byte) error
	// ReadList returns the content of a list's object and the id of the batch that wrote it with Put, or an empty id. It
	// reads the bucket that l names. checkpoint.ErrNotFound means that the object does not exist.
	ReadList(ctx context.Context, l checkpoint.FileList) (data []byte, batchID string, err error)
	// DeleteList removes a list's object from the bucket that l names. It succeeds if there is none.
	DeleteList(ctx context.Context, l checkpoint.FileList) error
	// Written reports whether the batch has written an object with that key, even if it has been deleted since, as far as
	// the bucket knows.
	Written(ctx context.Context, bucket, key, batchID string) (bool, error)
}

// Versions is a bucket that replaces an object only as it was read: a document that several workers write. Its calls retry
// for a bounded time.
type Versions interface {
	// ReadVersion returns the content of an object in the bucket, and its version, which is empty if there is no
	// object. An object of more than limit bytes is an error.
	ReadVersion(ctx context.Context, key string, limit int64) (body []byte, version string, err error)
	// PutVersion writes an object, provided that it still has the version that was read, and returns the new one. ErrReplaced means that it has
	// another: somebody else has written it, or this same call was applied earlier and its answer was lost.
	PutVersion(ctx context.Context, spec ObjectSpec, body []byte, version string) (written string, err error)
}

// Upload is a file that is being staged.
type Upload interface {
	// Write appends a copy of the bytes to the file. It sends them when there are enough, and blocks while too many wait.
	// An error is final for the upload.
	Write(p []byte) (int, error)
	// Finish sends the rest and waits until every byte is durable. The caller fills in Rows, Partition, Error and Reason
	// of the result.
	Finish(ctx context.Context) (checkpoint.File, error)
	// Abandon stops all work and releases memory. To drop the upload itself, pass the returned file to Abort.
	Abandon() checkpoint.File
}
