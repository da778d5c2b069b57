package lease

import (
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
)

// gate says which shards can be read.
type gate struct {
	rows   map[string]checkpoint.Lease
	shards *shardmap.Map
	stop   time.Time       // zero: none
	known  map[string]bool // answers of stopped by shard: merged shards share their ancestors
}

func newGate(rows []checkpoint.Lease, shards *shardmap.Map, stop time.Time) gate {
	g := gate{rows: make(map[string]checkpoint.Lease, len(rows)), shards: shards, stop: stop, known: make(map[string]bool)}
	for _, row := range rows {
		g.rows[row.Shard] = row
	}
	return g
}

// open reports whether the shard of an unfinished row can be read: it is part of the stream, and every parent is done.
func (g gate) open(row checkpoint.Lease) bool {
	if g.trimmed(row) {
		return false
	}
	if _, begun := row.Checkpoint.SequenceNumber(); begun {
		return true // it passed the gate when it was first acquired
	}
	return !slices.ContainsFunc(g.parents(row), func(parent string) bool { return !g.done(parent) })
}

// passed reports whether nothing is left to be read of a shard: it has ended, or stopped where it should.
func (g gate) passed(row checkpoint.Lease) bool {
	return row.Checkpoint == checkpoint.ShardEnd || g.stopped(row)
}

// stopped reports whether the rest of a shard arrived after the stop. Of a shard with a stopped parent that is all: it
// accepted its first record after the parent its last.
func (g gate) stopped(row checkpoint.Lease) bool {
	if g.stop.IsZero() {
		return false
	}
	stopped, known := g.known[row.Shard]
	if !known {
		stopped = row.Checkpoint != checkpoint.ShardEnd && row.Passed(g.stop) ||
			slices.ContainsFunc(g.parents(row), func(parent string) bool {
				p, ok := g.rows[parent]
				return ok && g.stopped(p)
			})
		g.known[row.Shard] = stopped
	}
	return stopped
}

// parents are those in the row, or in the listing for rows that were not written by this program.
func (g gate) parents(row checkpoint.Lease) []string {
	if len(row.Parents) > 0 {
		return row.Parents
	}
	s, _ := g.shards.Shard(row.Shard)
	return s.Parents
}

// done reports whether nothing more can come from a shard: its end is committed, or it has left the stream.
func (g gate) done(shard string) bool {
	if row, ok := g.rows[shard]; ok && row.Checkpoint == checkpoint.ShardEnd {
		return true
	}
	_, absent := g.shards.Absent(shard)
	return absent
}

// trimmed reports whether the shard left the stream before its end was committed: retention was shorter than the lag.
func (g gate) trimmed(row checkpoint.Lease) bool {
	if row.Checkpoint == checkpoint.ShardEnd {
		return false
	}
	_, absent := g.shards.Absent(row.Shard)
	return absent
}

// lostParents are parents whose end was never committed, but that a shard about to begin does not wait for.
func (g gate) lostParents(row checkpoint.Lease) []string {
	if _, begun := row.Checkpoint.SequenceNumber(); begun {
		return nil
	}
	var lost []string
	for _, parent := range g.parents(row) {
		if r, ok := g.rows[parent]; ok && g.trimmed(r) {
			lost = append(lost, parent)
		}
	}
	return lost
}
