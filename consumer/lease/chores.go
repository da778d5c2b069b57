package lease

import (
	"context"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

const (
	// tombstoneAge is how long a tombstone is seen before it is forgotten. It must outlive any request that could still
	// be in flight: AWS refuses signatures that are older than 15 minutes.
	tombstoneAge = time.Hour
	// absentAge is how long a finished shard must be gone from the stream before its row is removed.
	absentAge = time.Hour
	// listingAge is the maximum age of a listing from which rows are created. It is far below absentAge: a removed row
	// must not come back, at its first position, from a listing that is older than the removal.
	listingAge = 10 * time.Minute
	// itemAge is how long the heartbeat item of a dead worker is kept for people to see.
	itemAge = 10 * time.Minute
	// choresAtOnce bounds the number of items that are removed after one scan.
	choresAtOnce = 100
	// rowsAtOnce is the number of rows in one CreateLeases call.
	rowsAtOnce = 100
)

// chores remembers, by the local clock, since when things in the table have been as they are. A new leader begins anew, so that what
// is removed after a while stays for longer when the lead changes.
type chores struct {
	tombstones map[string]time.Time
	batches    map[string]time.Time
	free       map[string]time.Time // leases without a worker
	trimmed    map[string]bool      // shards whose loss was logged
	orphans    map[string]bool      // shards that begin although a parent is lost, which was logged
	told       time.Time            // when free leases were last logged
}

func newChores() chores {
	return chores{trimmed: make(map[string]bool), orphans: make(map[string]bool)}
}

// since returns when each id was first seen, keeping the times in before.
func since(before map[string]time.Time, now time.Time, ids []string) map[string]time.Time {
	after := make(map[string]time.Time, len(ids))
	for _, id := range ids {
		first, known := before[id]
		if !known {
			first = now
		}
		after[id] = first
	}
	return after
}

// createRows writes the rows of listed shards that have none, and returns those that it wrote.
func (k *Keeper) createRows(life context.Context, rows []checkpoint.Lease) (created []checkpoint.Lease) {
	missing := k.missingRows(rows)
	for chunk := range slices.Chunk(missing, rowsAtOnce) {
		if err := k.createChunk(life, chunk); err != nil {
			k.log.Warn("rows of new shards could not be written", logkey.Shards, len(missing), logkey.Error, err.Error())
			break
		}
		created = append(created, chunk...)
	}
	if len(created) > 0 {
		k.log.Info("rows of new shards written", logkey.Shards, len(created))
	}
	return created
}

func (k *Keeper) createChunk(life context.Context, rows []checkpoint.Lease) error {
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	return k.store.CreateLeases(ctx, rows)
}

// missingRows makes the rows of listed shards that have none, unless the listing is too old.
func (k *Keeper) missingRows(rows []checkpoint.Lease) []checkpoint.Lease {
	listed, at := k.shards.Listed()
	if time.Since(at) > listingAge {
		return nil
	}
	k.mu.Lock()
	initial := k.app.Initial
	k.mu.Unlock()
	b := newBeginnings(rows, listed, initial)
	return b.missing(listed)
}

// remember records since when the outbox and the free leases have been as the scan shows them.
func (c *chores) remember(now time.Time, snap checkpoint.Snapshot, free []string) {
	ids := make([]string, len(snap.Batches))
	for i, b := range snap.Batches {
		ids[i] = b.ID
	}
	c.batches = since(c.batches, now, ids)
	c.tombstones = since(c.tombstones, now, snap.Tombstones)
	c.free = since(c.free, now, free)
}

// housekeep removes what is no longer needed.
func (k *Keeper) housekeep(life context.Context, snap checkpoint.Snapshot, g gate) {
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	now := time.Now()
	var faults []error
	remove := func(ids []string, f func(context.Context, string) error) {
		for _, id := range ids[:min(len(ids), choresAtOnce)] {
			if err := f(ctx, id); err != nil {
				faults = append(faults, err)
				return
			}
		}
	}
	remove(k.oldTombstones(now), k.store.Forget)
	remove(k.goneWorkers(snap), k.store.Leave)
	remove(goneOrders(snap), k.store.Dismiss)
	remove(finished(g, now, k.watch.dead), func(ctx context.Context, shard string) error {
		k.log.Info("removing the row of a finished shard that has left the stream", logkey.Shard, shard)
		return k.store.DeleteLease(ctx, g.rows[shard])
	})
	for _, err := range faults {
		k.log.Warn("old items could not be removed; retrying after the next scan", logkey.Error, err.Error())
	}
}

func (k *Keeper) oldTombstones(now time.Time) []string {
	var old []string
	for id, seen := range k.chores.tombstones {
		if now.Sub(seen) > tombstoneAge {
			old = append(old, id)
		}
	}
	return old
}

// goneWorkers are those whose heartbeat has stood still for so long that nobody needs to see it.
func (k *Keeper) goneWorkers(snap checkpoint.Snapshot) []string {
	var gone []string
	for _, w := range snap.Workers {
		if w.ID != k.cfg.Worker && k.watch.still(w.ID) > max(itemAge, 10*k.cfg.Failover) {
			gone = append(gone, w.ID)
		}
	}
	return gone
}

// goneOrders are the orders of workers that have no heartbeat any more.
func goneOrders(snap checkpoint.Snapshot) []string {
	return slices.DeleteFunc(slices.Clone(snap.Ordered), func(id string) bool {
		return slices.ContainsFunc(snap.Workers, func(w checkpoint.Worker) bool { return w.ID == id })
	})
}

// finished are the shards whose row is no longer needed: at the end, long gone from the stream, with rows for all
// children that the stream has. Until then, the row keeps the shard from being read a second time. A worker that died
// between the commit of the end and the release has left its name in the row.
func finished(g gate, now time.Time, dead func(worker string) bool) []string {
	waiting := make(map[string]bool) // shards with a child that has no row yet
	listed, _ := g.shards.Listed()
	for _, s := range listed {
		if _, ok := g.rows[s.ID]; ok {
			continue
		}
		for _, parent := range s.Parents {
			waiting[parent] = true
		}
	}
	var shards []string
	for shard, row := range g.rows {
		gone, absent := g.shards.Absent(shard)
		idle := row.Owner == "" || dead(row.Owner)
		if absent && now.Sub(gone) > absentAge && row.Checkpoint == checkpoint.ShardEnd && idle && !waiting[shard] {
			shards = append(shards, shard)
		}
	}
	return shards
}
