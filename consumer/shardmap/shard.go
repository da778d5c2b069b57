// Package shardmap knows the shards of a stream: it lists them, and remembers earlier listings, so that a single
// listing that omits a shard does not make it vanish.
package shardmap

import "time"

// Shard is one shard as ListShards shows it.
type Shard struct {
	ID string
	// Parents are the shards that this one was split (one) or merged (two, the adjacent one last) from. They are named
	// as long as the shard is listed, even after they themselves have left the stream.
	Parents []string
	// HashStart and HashEnd are the first and the last hash key of the shard, decimal.
	HashStart, HashEnd string
	// StartingSequence is below any sequence number of the shard's records.
	StartingSequence string
	// EndingSequence is empty while the shard is open.
	EndingSequence string
	// Closed means that the shard accepts no more records: it was split or merged.
	Closed bool
}

// Listing is a complete listing of a stream's shards.
type Listing struct {
	Shards []Shard
	// AsOf is the service's time when the listing began, or a little earlier: a shard that is not listed is younger, or has
	// left the stream. It is zero if the service did not say.
	AsOf time.Time
}

// Stream is what DescribeStreamSummary returns.
type Stream struct {
	Name string
	ARN  string // empty if the endpoint does not report one
	// Created is when the stream was created. A stream that was deleted and recreated is a different stream.
	Created time.Time
	// Retention is how long a record stays readable.
	Retention time.Duration
	// OpenShards is the number of shards that accept records.
	OpenShards int
	// ServerTime is the Date of the answer, in whole seconds: the service's own clock, which stamps the arrival of
	// records. It is zero if the answer had none.
	ServerTime time.Time
}
