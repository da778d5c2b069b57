// Package shardmap knows the shards of a stream: it lists them, and remembers what earlier listings showed, so that
// one listing that leaves a shard out does not make the shard vanish.
package shardmap

import "time"

// Shard is one shard as ListShards shows it.
type Shard struct {
	ID string
	// Parents are the shards that this one came from by a split (one) or a merge (two, the adjacent one last). They
	// are named as long as the shard is listed, even after they themselves have left the stream.
	Parents []string
	// HashStart and HashEnd are the first and the last hash key of the shard, decimal.
	HashStart, HashEnd string
	// StartingSequence is below any sequence number of the shard's records.
	StartingSequence string
	// EndingSequence is empty as long as the shard is open.
	EndingSequence string
	// Closed tells that the shard takes no more records: it was split or merged.
	Closed bool
}

// Stream is what DescribeStreamSummary tells.
type Stream struct {
	Name string
	ARN  string // empty where the endpoint gives none
	// Created is when the stream was made. A stream that was deleted and made again is another stream.
	Created time.Time
	// Retention is how long a record stays readable.
	Retention time.Duration
	// OpenShards is the number of shards that take records.
	OpenShards int
	// ServerTime is the Date of the answer, in whole seconds: the service's own clock, which stamps the arrival of
	// records. It is zero if the answer had none.
	ServerTime time.Time
}
