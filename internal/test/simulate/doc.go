// Package simulate runs a fleet of workers in virtual time: the real consumer/lease.Keeper and the real checkpoint/dynamo.Store,
// over a table and a stream that count and throttle as DynamoDB and Kinesis do.
//
// What is simulated is what the keeper sees of its surroundings: the table, the listing of the stream, and readers that commit
// as the pipeline does. Reading and delivering records is not part of it. TestTable_CountsAsDynamoDBLocal compares the table's
// answers and units with those of AWS's emulator, call by call.
//
// make simulate runs the scenarios that docs/scale.md shows; a short one is part of make test.
package simulate
