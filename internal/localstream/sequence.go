package localstream

// A sequence number has the size and the first digits of those of Kinesis: 56 decimal digits that begin with 49. From the
// most significant bit:
//
//	bit 185       always set, so that the number of digits never changes
//	bits 148-183  second in which the shard was created
//	bits 84-147   ordinal: a count over all records of the server
//	bits 4-35     index of the shard
//	bits 0-3      version, always 2
//
// The ordinal always grows and never repeats, so numbers are unique in a stream, are ordered by arrival within a shard,
// and a child's numbers are above those of its parents.
const (
	sequenceVersion = 2
	maxShardIndex   = 1<<32 - 1
)

// shardStamp is the part of a sequence number that identifies its shard.
type shardStamp struct {
	second uint64
	index  uint32
}

func (s shardStamp) sequence(ordinal uint64) wide {
	return wide{
		1<<(185-128) | s.second<<(148-128) | ordinal>>44,
		ordinal << 20,
		uint64(s.index)<<4 | sequenceVersion,
	}
}

// splitSequence splits a sequence number. It fails for numbers that no shard of this package issues.
func splitSequence(n wide) (shardStamp, uint64, bool) {
	stamp := shardStamp{second: n[0] >> 20 & (1<<36 - 1), index: uint32(n[2] >> 4)}
	ordinal := n[0]&(1<<20-1)<<44 | n[1]>>20
	return stamp, ordinal, stamp.sequence(ordinal) == n
}
