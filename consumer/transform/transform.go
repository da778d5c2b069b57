// Package transform changes records between decoding and routing.
//
// A transform decides what is delivered of a record, and nothing else: positions, ranges and commits belong to what was
// read. A transform therefore need not give the same answer twice. Records before the checkpoint are never transformed
// again, and what an earlier attempt made of records after it is in no visible file.
package transform

import (
	"context"

	"aws-streaming-pipeline/record"
)

// Stage transforms the records of a fetch. It is safe for concurrent use: all shards of a worker share it.
type Stage interface {
	// Apply returns what is to be delivered of the records that were read from a shard.
	//
	// The caller may rely on this:
	//   - The records made of an earlier record come before those made of a later one.
	//   - A record with a Fault is in the output as it is.
	//   - A record that the stage fails on is in the output as it came, with a Fault of type record.ProcessingFailed.
	//   - Records keep their sequence numbers, sub-sequence numbers, arrival times and keys, and no two of them have the
	//     same event id. A Kinesis record yields the same ids each time if its payload yields the same records; see Split.
	//   - The input is not changed: others may read it after Apply.
	//
	// Strings and data of the input share the memory of the response they came in, which lasts until the output was
	// appended to a batch. The output may use them; whatever else keeps them must copy them.
	//
	// A failure that is not the fault of a single record is retried within Apply, as long as that makes sense, and then
	// ends in a Fault of each record concerned. An error is returned only when ctx ends. Nothing of the fetch is
	// appended then: ctx ends with the lease, with the process, and when the shard is to be handed over, and whoever
	// reads the shard next begins at its checkpoint.
	Apply(ctx context.Context, shard string, in []record.Record) (Output, error)
}

// Output is what a stage has made of records.
type Output struct {
	Records []record.Record
	// Dropped is how many records of the input have no record in the output.
	Dropped int
	// Added is how many records there are beyond the first that was made of each record of the input.
	Added int
	// Bytes is the memory that the records hold in addition to that of the input. The caller accounts for it until they
	// are appended.
	Bytes int64
}

// Split numbers the records that a stage has made of one record, in their order, which begin as copies of it. Their event ids
// are unique and depend only on the record and on how many they are: a single record keeps the id, and several have "-n" after
// it.
func Split(made []record.Record) {
	if len(made) < 2 {
		return
	}
	for i := range made {
		made[i].Pieces, made[i].Piece = true, i
	}
}
