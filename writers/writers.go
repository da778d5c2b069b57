// Package writers makes records durable: it encodes them into files and stages the files in S3, where they stay
// invisible until they are published.
//
// A Format turns records into blocks and blocks into a file. A File collects the records of one partition from all
// shards, encodes blocks side by side, lays them down in order and hands the bytes to an Upload as they come, so that
// what is held in memory does not depend on the file's size. A Destination is where uploads go; a Sink is one that is a bucket.
package writers

import (
	"context"
	"errors"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
)

// Format is a file format with its compression. It is safe for concurrent use.
type Format interface {
	// Object tells how objects of this format are named and labelled.
	Object() Object
	// NewLayout begins a file.
	NewLayout() Layout
}

// Object is what S3 and readers are told about a file.
type Object struct {
	Extension       string // with its dot, as ".jsonl.gz"
	ContentType     string
	ContentEncoding string // empty for none
}

// Layout is the encoder of one file. NewBlock may be called at any time; Begin, Place and End are called in the order
// of the file's bytes by one goroutine at a time.
type Layout interface {
	// NewBlock returns an empty block of this file.
	NewBlock() Block
	// Begin returns the bytes before the first block.
	Begin() []byte
	// Place takes the next block of the file and returns the bytes to write for it. They stay valid until Place is
	// called again.
	Place(e Encoded) ([]byte, error)
	// End returns the bytes after the last block.
	End() ([]byte, error)
}

// Block is a run of records of one file before compression: lines, or the column vectors of a row group. It is used
// by one goroutine at a time.
type Block interface {
	// Append adds a record, and copies what it keeps. A *record.Fault means that this record does not fit; the block
	// is then as it was before the call. There are no other errors.
	Append(r *record.Record) error
	// Rows is the number of records.
	Rows() int
	// Size is the number of bytes that the records take up, before encoding.
	Size() int
	// Held is the memory in bytes that the block has, Size and what lies idle.
	Held() int
	// Full tells that the block has reached the size at which it should be encoded.
	Full() bool
	// Encode turns the block into bytes; the block must not be used afterwards. It uses a whole core for a while, and
	// runs beside other blocks' Encode.
	Encode() (Encoded, error)
}

// Encoded is a block's bytes with what its Layout needs to know to place them.
type Encoded struct {
	Data []byte
	Rows int64
	Meta any // the format's own
	// Release, if set, gives the memory of Data back after it has been placed and written.
	Release func()
}

var (
	// ErrUploadGone means that an upload or its parts do not exist any more: it was aborted, the bucket's lifecycle rule
	// removed it, or it was completed. A batch that holds it and is not committed cannot be committed.
	ErrUploadGone = errors.New("the multipart upload does not exist any more")
	// ErrForeignObject means that an object of the file's key exists which the batch has not written. Keys carry the
	// batch's id, so somebody has put it there on purpose.
	ErrForeignObject = errors.New("an object that the batch has not written is in the place of its file")
	// ErrRefused means that the bucket refuses a request: somebody has to change a permission, a key or a bucket first.
	ErrRefused = errors.New("refused")
)

// ObjectSpec says what an upload is to become.
type ObjectSpec struct {
	Bucket          string // empty for the sink's own
	Key             string
	ContentType     string
	ContentEncoding string
	// Metadata is stored with the object. The key "batch-id" tells an object that a batch has written from somebody
	// else's.
	Metadata map[string]string
}

// MetadataBatchID is the metadata key that holds the id of the batch.
const MetadataBatchID = "batch-id"

// Destination takes the files of batches: it stages their bytes where nobody sees them, and publishes them after the commit.
// Its calls retry what is worth a retry: Begin, Abort and an Upload's until their context ends, Publish for a bounded time,
// since whoever calls it can come back later. Other errors come back at once. It is safe for concurrent use.
//
// What a destination has to know of a staged file, it puts into checkpoint.File.Staged. The file comes back from the outbox,
// maybe in another process and after an update, so a release has to read what earlier ones have put there.
type Destination interface {
	// Begin starts an upload. Nothing is visible until Publish.
	Begin(ctx context.Context, spec ObjectSpec) (Upload, error)
	// Publish makes a file visible and returns the tag of its content (ETag), which is not empty. It may be called any
	// number of times, by any worker: an upload that is already completed is recognised by its object, which must carry
	// batchID and the size of f, or by what is known of an object that was deleted; then the tag is empty.
	// ErrUploadGone means that neither the upload nor the object is there: the object was completed and then moved or
	// deleted by somebody, or the upload was removed before it was completed. ErrForeignObject: the object that is there
	// has another batch's id, none, or another size. ErrRefused: the destination refuses the request, and has done so for a
	// while.
	Publish(ctx context.Context, f checkpoint.File, batchID string) (etag string, err error)
	// Abort drops an upload that will never be published. It is no error if there is none.
	Abort(ctx context.Context, f checkpoint.File) error
	// Check tells whether the destination answers and may be written to, for readiness.
	Check(ctx context.Context) error
}

// Sink is a bucket for what is begun, and reaches the buckets of files that were begun under other settings. It is a
// destination of files, and keeps small objects beside them: manifests, and the lists of files that items of the outbox
// have no room for. Written and Put retry for a bounded time, as Publish does.
type Sink interface {
	Destination
	// Put writes a small object at once, replacing one of the same key.
	Put(ctx context.Context, spec ObjectSpec, body []byte) error
	// ReadList returns the content of a list's object and the id of the batch that has written it with Put, empty if none
	// has. It reads the bucket that l names. checkpoint.ErrNotFound means that there is no such object.
	ReadList(ctx context.Context, l checkpoint.FileList) (data []byte, batchID string, err error)
	// DeleteList removes a list's object from the bucket that l names. It is no error if there is none.
	DeleteList(ctx context.Context, l checkpoint.FileList) error
	// Written tells whether the batch has written an object of that key, or had before it was deleted, as far as the
	// bucket still knows.
	Written(ctx context.Context, bucket, key, batchID string) (bool, error)
}

// Upload is one file on its way to be staged.
type Upload interface {
	// Write appends bytes to the file and copies them. It sends them off when they are enough, and blocks while too many
	// wait. An error is final for the upload.
	Write(p []byte) (int, error)
	// Finish sends the rest and waits until every byte is durable. The answer's Rows, Partition, Error and Reason are
	// the caller's to fill in.
	Finish(ctx context.Context) (checkpoint.File, error)
	// Abandon stops all that is under way and frees what is held. The upload itself is dropped by Abort with the
	// file that Abandon returns.
	Abandon() checkpoint.File
}
