package lease

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
)

// Scan is what a turn of this worker shows, for those who handle the outbox: a scan of the table if it leads, and otherwise what it
// read of the leader.
type Scan struct {
	At      time.Time // when the reading began
	Leading bool      // this worker leads, and Snapshot is the whole table
	// Snapshot of a follower has its own leases, the leader's heartbeat, the statement of completeness, and who leads.
	Snapshot checkpoint.Snapshot
	// Live are the ids of the workers whose heartbeat moves, including this one, in order; a follower knows itself and the leader.
	Live []string
	// Dead are the workers named by leases and batches whose heartbeat has stood still or been missing for the failover
	// time. A worker in neither Live nor Dead is not yet known to be dead. A follower knows of none.
	Dead map[string]bool
	// Left are the batches in the outbox that this worker should publish, although they are not its own.
	Left []checkpoint.Batch
}

// turnUntil does this worker's part again and again until ctx ends.
func (k *Keeper) turnUntil(ctx, life context.Context) {
	for {
		wait := k.turn(ctx, life, true)
		if !pause(ctx, k.cfg.quick(), wait, k.turnNow) {
			return
		}
	}
}

// turn leads or follows once, and returns how long to wait before the next turn. It acquires new leases only if asked to, and only
// as long as ctx lasts.
func (k *Keeper) turn(ctx, life context.Context, acquire bool) time.Duration {
	if k.isLeading() {
		return k.scan(ctx, life, acquire)
	}
	return k.follow(ctx, life, acquire)
}

// scan reads the table once, as long as ctx lasts, and acts on the result for the whole fleet.
func (k *Keeper) scan(ctx, life context.Context, acquire bool) time.Duration {
	began := time.Now()
	snap, err := k.read(ctx)
	if err != nil {
		k.log.Warn("lease table could not be read", logkey.Error, err.Error())
		k.verifyLead(ctx)
		return jitter(k.cfg.ScanEvery)
	}
	if !k.stillLeads(snap.Lead, began) {
		return 0
	}
	// A worker that started before the import must not create rows that the import is about to create.
	acquire = acquire && snap.Application.Importing == ""
	k.watch.observe(began, time.Now(), snap)
	k.expectShards(shardsOf(snap.Leases))
	k.scans++
	k.findLost(life, snap.Leases)
	live := k.watch.live(k.cfg.Worker)
	k.conclude(snap)

	// The first scan may show a fleet that is just starting: another worker may not have got to its first heartbeat.
	settled := k.scans > 1
	if settled && acquire {
		snap.Leases = append(snap.Leases, k.createRows(life, snap.Leases)...)
	}
	a, g := k.assign(began, snap, live)
	unmet := 0
	scan := Scan{At: began, Leading: true, Snapshot: snap, Live: live, Dead: k.deadWorkers()}
	k.report(scan, g)
	if settled && acquire && k.recentlyBeaten() {
		var failed int
		scan.Left, failed = k.command(life, began, a, snap, live)
		k.tellOrphans(a.orders, g)
		unmet = a.moving + failed + k.obey(ctx, life, a.orders[k.cfg.Worker], true)
	}
	if acquire {
		k.housekeep(life, snap, g)
	}
	for _, f := range k.onScan {
		f(scan)
	}
	if acquire && settled && k.checkFinish(life, snap, g) && k.isLast(snap, live) {
		k.endRun(k.finish.lost)
	}
	return k.next(settled, unmet+k.finish.waiting())
}

// read reads the table consistently: statements of completeness are made of it.
func (k *Keeper) read(ctx context.Context) (checkpoint.Snapshot, error) {
	// A table of many pages may take a while; only a scan that hangs is abandoned.
	ctx, cancel := context.WithTimeout(ctx, max(6*k.cfg.Failover, time.Minute))
	defer cancel()
	snap, err := k.store.ScanConsistently(ctx)
	if err != nil {
		return checkpoint.Snapshot{}, err
	}
	// A table that was lost and made again is empty, but this worker was started on one with positions: to begin at the
	// first position now would deliver everything again.
	if snap.Application.Application == "" {
		return checkpoint.Snapshot{}, fmt.Errorf("%w: it has lost the item that says which application it serves, and its positions: see \"consumer checkpoint restore\"", checkpoint.ErrForeignTable)
	}
	k.done(scanned, time.Now())
	return snap, nil
}

// expectShards tells the map about shards that others know of, and lists the stream soon if some are new.
func (k *Keeper) expectShards(ids iter.Seq[string]) {
	if k.shards.Expect(slices.Collect(ids)) {
		signal(k.listNow)
	}
}

// shardsOf returns the shards of rows.
func shardsOf(rows []checkpoint.Lease) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, row := range rows {
			if !yield(row.Shard) {
				return
			}
		}
	}
}

// next returns the time until the next scan: short while leases are moving, and longer each time. A scan comes as soon as a
// worker has settled, or counts as dead.
func (k *Keeper) next(settled bool, unmet int) time.Duration {
	usual := min(jitter(k.cfg.ScanEvery), max(k.watch.due(time.Now()), k.cfg.quick()))
	switch {
	case !settled:
		return k.cfg.quick()
	case unmet == 0:
		k.unmet = 0
		return usual
	}
	k.unmet++
	return min(backoff.Policy{First: k.cfg.quick(), Longest: k.cfg.ScanEvery}.Bound(k.unmet), usual)
}

// findLost ends the holds whose row no longer belongs to this worker. Rows may be older than what is known here: only a
// higher counter, or a different owner with the same counter, counts.
func (k *Keeper) findLost(life context.Context, rows []checkpoint.Lease) {
	byShard := make(map[string]checkpoint.Lease, len(rows))
	for _, row := range rows {
		byShard[row.Shard] = row
	}
	k.mu.Lock()
	var hidden []checkpoint.Lease
	for _, h := range k.activeLocked() {
		row, shown := byShard[h.row.Shard]
		if !shown {
			hidden = append(hidden, h.row)
			continue
		}
		k.compareLocked(h, row)
	}
	k.mu.Unlock()
	k.compareAgain(life, hidden)
}

// compareAgain reads the rows of leases that this worker holds, and ends the holds that it has lost.
func (k *Keeper) compareAgain(life context.Context, held []checkpoint.Lease) {
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, held := range held {
		g.Go(func() error {
			row, ok := k.readAgain(life, held.Shard)
			if !ok {
				return nil
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			if h := k.holds[held.Shard]; h != nil && h.cause == nil && h.row.Counter == held.Counter {
				k.compareLocked(h, row)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
}

// compareLocked ends an active hold if its row shows that another worker has the lease.
func (k *Keeper) compareLocked(h *holding, row checkpoint.Lease) {
	if row.Counter < h.row.Counter || row.Counter == h.row.Counter && row.Owner == k.cfg.Worker {
		return
	}
	k.endLocked(h, errLost, "lost")
	if !h.taken {
		delete(k.holds, h.row.Shard)
	}
	k.log.Warn("lease lost", logkey.Shard, h.row.Shard, logkey.Owner, row.Owner)
}

// readAgain reads a row that a scan or the orders did not show, with strong consistency. A missing row has no owner.
func (k *Keeper) readAgain(life context.Context, shard string) (checkpoint.Lease, bool) {
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	row, err := k.store.Lease(ctx, shard)
	if errors.Is(err, checkpoint.ErrNotFound) {
		return checkpoint.Lease{Shard: shard, Counter: math.MaxInt64}, true
	}
	return row, err == nil
}

// deadWorkers returns the dead workers that the last scan named.
func (k *Keeper) deadWorkers() map[string]bool {
	dead := make(map[string]bool)
	for id := range k.watch.seen {
		if id != k.cfg.Worker && k.watch.dead(id) {
			dead[id] = true
		}
	}
	return dead
}
