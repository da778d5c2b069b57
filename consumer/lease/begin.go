package lease

import (
	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
)

// beginnings computes where listed shards without a row begin. A child inherits from its parents, however the table
// came to its present state: by a first start, an import, a move, or a restored backup. Only a shard without a known
// parent begins at the application's initial position.
type beginnings struct {
	rows    map[string]checkpoint.Lease
	listed  map[string]shardmap.Shard
	initial checkpoint.Position
	found   map[string]checkpoint.Position
}

func newBeginnings(rows []checkpoint.Lease, listed []shardmap.Shard, initial checkpoint.Position) beginnings {
	b := beginnings{
		rows: make(map[string]checkpoint.Lease, len(rows)), listed: make(map[string]shardmap.Shard, len(listed)),
		initial: initial, found: make(map[string]checkpoint.Position),
	}
	for _, row := range rows {
		b.rows[row.Shard] = row
	}
	for _, s := range listed {
		b.listed[s.ID] = s
	}
	return b
}

// missing makes the rows of the shards that have none.
func (b *beginnings) missing(listed []shardmap.Shard) []checkpoint.Lease {
	var missing []checkpoint.Lease
	for _, s := range listed {
		if _, known := b.rows[s.ID]; known {
			continue
		}
		begin := b.of(s)
		missing = append(missing, checkpoint.Lease{Shard: s.ID, Parents: s.Parents, Checkpoint: begin, Begin: begin})
	}
	return missing
}

// of returns where a shard without a row begins: at the earliest position that its parents leave it.
func (b *beginnings) of(s shardmap.Shard) checkpoint.Position {
	if begin, ok := b.found[s.ID]; ok {
		return begin
	}
	var begin checkpoint.Position
	for _, id := range s.Parents {
		if row, ok := b.rows[id]; ok {
			begin = checkpoint.Earliest(begin, row.Heir())
		} else if parent, ok := b.listed[id]; ok {
			begin = checkpoint.Earliest(begin, b.of(parent))
		}
	}
	if begin == "" {
		begin = b.initial
	}
	b.found[s.ID] = begin
	return begin
}
