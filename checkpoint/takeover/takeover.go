// Package takeover works out where an application begins that replaces another consumer of the same stream, given that
// consumer's lease table and a complete listing of the stream. It does no I/O.
//
// The application delivers what the other consumer would have delivered from there on: it leaves no record out, and
// delivers none twice except those that the other delivered after its last checkpoint.
//
// # The Kinesis Client Library for Java, versions 1 to 3
//
// The library creates leases in three cases. At its first start: for the shards that are open at its initial position
// (version 1 and early 2: for all listed shards), at LATEST, TRIM_HORIZON or AT_TIMESTAMP; the table does not hold the
// time. At the end of a shard: for its children, at TRIM_HORIZON (early versions: when it first lists them, at
// AT_TIMESTAMP if that is the initial position). And for a hash range that no lease covers: at the initial position
// (HierarchicalShardSyncer, ShutdownTask). It reads a shard only once its parents' leases are at SHARD_END or gone
// (BlockOnParentShardTask). The lease of a finished shard is deleted once all its children have leases past
// TRIM_HORIZON and its own parents' leases are deleted (LeaseCleanupManager), while the stream lists the shard until
// its retention period is over. So:
//
//	the lease is at                             | the shard begins at
//	a sequence number, TRIM_HORIZON, SHARD_END  | the same position, whether the stream lists the shard or not
//	LATEST, AT_TIMESTAMP                        | TRIM_HORIZON if an ancestor's lease is at a sequence number:
//	                                            | the shard is then younger than a delivered record.
//	                                            | Otherwise the application's initial position
//
//	no lease, and the stream lists the shard    |
//	a descendant has a lease                    | SHARD_END: it was finished and its lease deleted, or it had ended
//	                                            | before a first start at LATEST or AT_TIMESTAMP
//	an ancestor has one, and no descendant      | TRIM_HORIZON: its lease would have been created at its parent's end
//	neither                                     | the application's initial position, as for a hash range that no lease
//	                                            | covers: nothing says that the other consumer was to read it.
//	                                            | But TRIM_HORIZON if the stream has dropped the shard's parents and
//	                                            | also unfinished shards: it may descend from them
//
// A checkpoint is at a user record. The lease does not say what is left of an aggregate after it, so whoever reads the
// table examines the record.
//
// A child of a merge has a lease as soon as one of its parents has ended; the other parent's own lease then says where
// that parent is. An unfinished lease of a shard that the stream no longer lists means that records are already lost:
// it is taken over as it is, so that the operator sees it, and the shard's children begin at TRIM_HORIZON.
//
// # vmware-go-kcl
//
// It creates a row for each listed shard when it first acquires the lease, and none before; it deletes only rows of
// shards that are no longer listed. It begins to read a child whose parent has no row, and begins every shard,
// including children, at its initial position (Worker.eventLoop, commonShardConsumer). A row without a checkpoint
// belongs to a shard that has begun or is waiting, so:
//
//	the row has a checkpoint                    | the same position
//	it has none, or there is no row             |
//	an ancestor has a row                       | TRIM_HORIZON: with LATEST as its initial position, vmware-go-kcl itself
//	                                            | would skip what arrived before it first reads the shard
//	none has                                    | the application's initial position, also for parents of other shards
package takeover

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"aws-streaming-pipeline/checkpoint"
)

// Checkpoints that are not positions, as both libraries write them.
const (
	Latest      = "LATEST"
	AtTimestamp = "AT_TIMESTAMP"
)

// Row is a lease of another consumer.
type Row struct {
	Shard   string
	Parents []string
	// Checkpoint is a checkpoint.Position, Latest, AtTimestamp, or empty if there is none. A time is the arrival time
	// of a record that was partly delivered.
	Checkpoint string
}

// Table is the lease table that another consumer left.
type Table struct {
	Rows []Row
	// KeepsFinished means that rows stay as long as the stream lists their shard, as vmware-go-kcl's do: a listed shard
	// without a row was not read. Otherwise the rows of finished shards are deleted once their children are under way.
	KeepsFinished bool
}

// Plan describes the leases with which the application begins.
type Plan struct {
	// Leases has a lease for each row and each listed shard, ordered by shard.
	Leases []checkpoint.Lease
	// Taken is the number of rows taken over. Of the shards without a row, Finished have nothing left to read,
	// Following begin at their oldest record, and Unrelated at the initial position.
	Taken, Finished, Following, Unrelated int
	// Lost are shards that are neither finished nor still listed.
	Lost []string
}

// Plan computes the leases from a complete listing of the stream: the parents of each listed shard.
func (t Table) Plan(listed map[string][]string, initial checkpoint.Position) (Plan, error) {
	if len(listed) == 0 {
		return Plan{}, errors.New("the listing of the stream has no shards")
	}
	f := family{parents: make(map[string][]string, len(listed)+len(t.Rows)), rows: make(map[string]Row, len(t.Rows))}
	maps.Copy(f.parents, listed)
	for _, r := range t.Rows {
		f.rows[r.Shard] = r
		if _, ok := listed[r.Shard]; !ok {
			f.parents[r.Shard] = r.Parents
		}
	}
	finished := f.ancestorsOfRows()
	var p Plan
	for _, shard := range slices.Sorted(maps.Keys(f.rows)) {
		if _, ok := listed[shard]; !ok && f.rows[shard].Checkpoint != string(checkpoint.ShardEnd) {
			p.Lost = append(p.Lost, shard)
		}
	}
	anyRow := func(ancestor string) bool { _, ok := f.rows[ancestor]; return ok }
	unknown := func(ancestor string) bool { _, ok := f.parents[ancestor]; return !ok }
	for _, shard := range slices.Sorted(maps.Keys(f.parents)) {
		row, has := f.rows[shard]
		var position checkpoint.Position
		switch {
		case has:
			p.Taken++
			var err error
			if position, err = t.begin(row, f, initial); err != nil {
				return Plan{}, fmt.Errorf("shard %s: %w", shard, err)
			}
		case finished[shard] && !t.KeepsFinished:
			p.Finished++
			position = checkpoint.ShardEnd
		case f.descends(shard, anyRow), len(p.Lost) > 0 && f.descends(shard, unknown):
			p.Following++
			position = checkpoint.TrimHorizon
		default:
			p.Unrelated++
			position = initial
		}
		p.Leases = append(p.Leases, checkpoint.Lease{Shard: shard, Parents: f.parents[shard], Checkpoint: position, Begin: position})
	}
	return p, nil
}

// begin returns where a shard that has a row begins.
func (t Table) begin(row Row, f family, initial checkpoint.Position) (checkpoint.Position, error) {
	switch row.Checkpoint {
	case "", Latest, AtTimestamp:
		if f.descends(row.Shard, func(ancestor string) bool {
			r, ok := f.rows[ancestor]
			return ok && (t.KeepsFinished || begun(r))
		}) {
			return checkpoint.TrimHorizon, nil
		}
		return initial, nil
	}
	p := checkpoint.Position(row.Checkpoint)
	return p, p.Validate()
}

// begun reports whether a record of the shard was delivered and its end was not reached. A time means that a record was
// partly delivered.
func begun(r Row) bool {
	_, sequence := checkpoint.Position(r.Checkpoint).SequenceNumber()
	_, inside := checkpoint.Position(r.Checkpoint).Timestamp()
	return sequence || inside
}

// family describes how shards descend from one another.
type family struct {
	parents map[string][]string
	rows    map[string]Row
}

// descends reports whether the shard has such an ancestor.
func (f family) descends(shard string, such func(ancestor string) bool) bool {
	found := false
	f.climb(shard, make(map[string]bool), func(ancestor string) { found = found || such(ancestor) })
	return found
}

// ancestorsOfRows are the shards that have a descendant with a row.
func (f family) ancestorsOfRows() map[string]bool {
	ancestors := make(map[string]bool)
	for shard := range f.rows {
		f.climb(shard, ancestors, func(string) {})
	}
	return ancestors
}

// climb visits the ancestors of a shard that are not in seen, and adds them to seen.
func (f family) climb(shard string, seen map[string]bool, visit func(ancestor string)) {
	for _, parent := range f.parents[shard] {
		if seen[parent] {
			continue
		}
		seen[parent] = true
		visit(parent)
		f.climb(parent, seen, visit)
	}
}
