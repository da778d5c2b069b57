// Package lambdas is what the Lambda functions share: opening a batch of Kinesis records, naming what is written of it,
// the error prefix, metrics, settings and permissions.
//
// A function's decoder, event ids, faults, key prefixes and error lines are the daemon's, from record and its
// prefix package.
//
// # Delivery
//
// Lambda delivers a batch at least once. It retries one that failed, and one whose answer it did not see. Names of
// objects follow from the batch alone: from the stream, the shard, and the sequence numbers of its first and last record.
// So a retry of the same batch replaces what it wrote before. A batch that Lambda cuts differently, because it was
// bisected or because a function answered that it failed from some record on, gets other names.
//
// A function answers with batchItemFailures (AWS Lambda Developer Guide, "Configuring partial batch response with
// Kinesis Data Streams and Lambda") instead of failing, so that Lambda retries from the first record that is not
// delivered, and does not bisect what would fail as a whole. The event source mapping must have ReportBatchItemFailures,
// or Lambda treats the answer as a success. Since such an invocation is not an error to Lambda, the metric BatchesFailed
// counts them.
//
// Records that can never be delivered go to the error prefix and do not block a shard. A panic while a record is decoded
// becomes a fault of that record; any other panic is handled like a service failure, from the first record that is not
// delivered.
package lambdas
