// Package logkey lists the keys of structured log lines, so that one query finds a shard, a batch or a file in the
// logs of every part of the program.
package logkey

const (
	Application = "application"
	Attempt     = "attempt"
	Batch       = "batch"     // id of a batch
	Bucket      = "bucket"    // S3 bucket
	Bytes       = "bytes"     // encoded bytes, unless a line says otherwise
	Code        = "code"      // machine-readable reason
	Consumer    = "consumer"  // name of an enhanced fan-out consumer
	Count       = "count"     // number of things named by the message
	Error       = "error"     // text of an error
	Files       = "files"     // number of files
	Function    = "function"  // ARN of a Lambda function
	Key         = "key"       // S3 object key
	Kind        = "kind"      // of a batch in the outbox
	Owner       = "owner"     // worker that holds a lease
	Position    = "position"  // checkpoint value
	Reason      = "reason"    // why something happened
	Records     = "records"   // number of user records
	Schema      = "schema_id" // of a table
	Sequence    = "sequence_number"
	Shard       = "shard"
	Shards      = "shards"  // number of shards
	Spec        = "spec_id" // of a table's partition
	Status      = "status"  // as the service names it
	Stream      = "stream"
	Table       = "table"
	Took        = "took"   // duration
	UpTo        = "up_to"  // arrival time up to which the data is complete
	Worker      = "worker" // id of a worker process
)
