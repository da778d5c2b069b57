package lease

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
)

// Scan is the result of one scan of the table, for those who handle the outbox.
type Scan struct {
	At       time.Time // start of the scan
	Snapshot checkpoint.Snapshot
	// Live are the ids of the workers whose heartbeat moves, including this one, in order.
	Live []string
	// Dead are the workers named by leases and batches whose heartbeat has stood still or been missing for the failover
	// time. A worker in neither Live nor Dead is not yet known to be dead.
	Dead map[string]bool
}

// scanUntil scans the table and acts on it until ctx ends.
func (k *Keeper) scanUntil(ctx, life context.Context) {
	for {
		wait := k.scan(ctx, life, true)
		if !pause(ctx, k.cfg.quick(), wait, k.scanNow) {
			return
		}
	}
}

// scan reads the table once, as long as ctx lasts, and acts on the result. It returns how long to wait before the next
// scan. It acquires new leases only if asked to, and only as long as ctx lasts.
func (k *Keeper) scan(ctx, life context.Context, acquire bool) time.Duration {
	began := time.Now()
	led := k.leading
	snap, err := k.read(ctx, led || k.finish.near())
	if err != nil {
		k.log.Warn("lease table could not be read", logkey.Error, err.Error())
		return jitter(k.cfg.ScanEvery)
	}
	// A worker that started before the import must not create rows that the import is about to create.
	acquire = acquire && snap.Application.Importing == ""
	k.watch.observe(began, time.Now(), snap)
	k.expectShards(snap.Leases)
	k.scans++
	k.findLost(life, snap.Leases)
	live := k.watch.live(k.cfg.Worker)
	leading := live[0] == k.cfg.Worker
	k.leading = leading
	if led {
		k.conclude(snap)
	}

	// The first scan may show a fleet that is just starting: another worker may be about to acquire what is free in it.
	settled := k.scans > 1
	missing := 0
	if settled && acquire {
		var created []checkpoint.Lease
		created, missing = k.createRows(life, snap.Leases, leading)
		snap.Leases = append(snap.Leases, created...)
	}
	p, g := k.plan(snap.Leases, live)
	unmet := missing
	if settled && acquire && k.recentlyBeaten() {
		unmet += k.act(ctx, life, p, g)
	}
	if acquire && leading {
		k.housekeep(life, snap, g)
	}
	scan := Scan{At: began, Snapshot: snap, Live: live, Dead: k.deadWorkers()}
	k.report(scan, g, leading)
	for _, f := range k.onScan {
		f(scan)
	}
	if acquire && settled && k.checkFinish(life, snap, g) {
		k.stop(errFinished)
	}
	return k.next(settled, unmet+k.finish.waiting())
}

// read reads the table: consistently, if a statement of completeness is made of it.
func (k *Keeper) read(ctx context.Context, consistently bool) (checkpoint.Snapshot, error) {
	// A table of many pages may take a while; only a scan that hangs is abandoned.
	ctx, cancel := context.WithTimeout(ctx, max(6*k.cfg.Failover, time.Minute))
	defer cancel()
	read := k.store.Scan
	if consistently {
		read = k.store.ScanConsistently
	}
	snap, err := read(ctx)
	if err == nil && snap.Application.Application == "" {
		snap, err = k.store.ScanConsistently(ctx) // it may have been bound a moment ago
	}
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

// expectShards tells the map about all shards that have a row, and lists the stream soon if some are new: another
// worker listed them first.
func (k *Keeper) expectShards(rows []checkpoint.Lease) {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.Shard
	}
	if k.shards.Expect(ids) {
		signal(k.listNow)
	}
}

// next returns the time until the next scan: short while this worker waits for leases that others are about to release,
// and longer each time.
func (k *Keeper) next(settled bool, unmet int) time.Duration {
	switch {
	case !settled:
		return k.cfg.quick()
	case unmet == 0:
		k.unmet = 0
		return jitter(k.cfg.ScanEvery)
	}
	k.unmet++
	wait := min(backoff.Policy{First: k.cfg.quick(), Longest: k.cfg.ScanEvery}.Bound(k.unmet), jitter(k.cfg.ScanEvery))
	return wait
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
	for _, held := range hidden {
		row, ok := k.readAgain(life, held.Shard)
		if !ok {
			continue
		}
		k.mu.Lock()
		if h := k.holds[held.Shard]; h != nil && h.cause == nil && h.row.Counter == held.Counter {
			k.compareLocked(h, row)
		}
		k.mu.Unlock()
	}
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

// readAgain reads a row that a scan did not show, with strong consistency. A missing row has no owner.
func (k *Keeper) readAgain(life context.Context, shard string) (checkpoint.Lease, bool) {
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	row, err := k.store.Lease(ctx, shard)
	if errors.Is(err, checkpoint.ErrNotFound) {
		return checkpoint.Lease{Shard: shard, Counter: math.MaxInt64}, true
	}
	return row, err == nil
}

// plan computes what to do from the rows and what this worker holds.
func (k *Keeper) plan(rows []checkpoint.Lease, live []string) (plan, gate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	shown := make(map[string]bool, len(rows))
	for _, row := range rows {
		shown[row.Shard] = true
	}
	held := make(map[string]holdState, len(k.holds))
	all := slices.Clone(rows)
	for shard, h := range k.holds {
		held[shard] = holdState{active: h.cause == nil, drained: h.drained, returns: k.returnsLocked(h)}
		if h.cause == nil && !shown[shard] {
			all = append(all, h.row)
		}
	}
	g := newGate(all, k.shards, k.cfg.Stop)
	v := view{
		self: k.cfg.Worker, live: live, rows: all, held: held, most: k.cfg.MaxLeases,
		dead: k.watch.dead, open: g.open, trimmed: g.trimmed, passed: g.passed,
		stale: func(row checkpoint.Lease) bool {
			counter, ok := k.released[row.Shard]
			return ok && row.Counter <= counter
		},
	}
	return v.plan(), g
}

// act takes steps towards the worker's share, and returns how many leases it still lacks.
func (k *Keeper) act(ctx, life context.Context, p plan, g gate) int {
	k.drainShards(life, p.trimmed)
	k.releaseRows(life, p.stray)
	wanted := max(0, p.lack)
	own := min(len(p.own), wanted)
	k.releaseRows(life, p.own[own:])
	k.drainExcess(life, -p.lack)
	wanted -= k.acquire(ctx, life, p.own[:own], own, g)
	return wanted - k.acquire(ctx, life, p.free, wanted, g)
}

// releaseRows clears the owner of this worker's rows, several at a time.
func (k *Keeper) releaseRows(life context.Context, rows []checkpoint.Lease) {
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, row := range rows {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
			defer cancel()
			k.release(ctx, row)
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
}

// acquire tries to acquire rows in order until it has as many as wanted, and returns how many it got.
func (k *Keeper) acquire(ctx, life context.Context, rows []checkpoint.Lease, wanted int, g gate) int {
	// When many other workers have already acted on the same state, going through the whole scan is not worth it.
	rows = rows[:min(len(rows), 2*wanted+parallel)]
	got := 0
	for len(rows) > 0 && got < wanted && ctx.Err() == nil {
		round := rows[:min(len(rows), parallel, wanted-got)]
		rows = rows[len(round):]
		won, trouble := k.acquireRows(life, round, g)
		got += won
		if trouble {
			// If it was applied but the answer was lost, the next scan shows it.
			break
		}
	}
	return got
}

// acquireRows tries to acquire all rows at once. It returns how many it got, and whether the store is failing.
func (k *Keeper) acquireRows(life context.Context, rows []checkpoint.Lease, gate gate) (got int, trouble bool) {
	var won atomic.Int64
	var g errgroup.Group
	for _, row := range rows {
		g.Go(func() error {
			err := k.acquireRow(life, row, gate)
			if err == nil {
				won.Add(1)
			}
			if errors.Is(err, checkpoint.ErrConflict) {
				return nil // another worker was faster
			}
			return err
		})
	}
	err := g.Wait()
	return int(won.Load()), err != nil
}

func (k *Keeper) acquireRow(life context.Context, row checkpoint.Lease, g gate) error {
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	got, err := k.store.Acquire(ctx, row, k.cfg.Worker)
	if err != nil {
		if !errors.Is(err, checkpoint.ErrConflict) {
			k.log.Warn("lease could not be acquired", logkey.Shard, row.Shard, logkey.Error, err.Error())
		}
		return err
	}
	for _, parent := range g.lostParents(row) {
		k.log.Error("shard begins although its parent was never finished: the parent has left the stream",
			logkey.Shard, row.Shard, "parent", parent)
	}
	if row.Owner != "" && row.Owner != k.cfg.Worker {
		k.log.Info("lease taken from a dead worker", logkey.Shard, row.Shard, logkey.Owner, row.Owner)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.offerLocked(got)
	return nil
}

// drainExcess asks for n leases back, if n is positive: first those that no reader has taken, then the youngest.
func (k *Keeper) drainExcess(life context.Context, n int) {
	if n <= 0 {
		return
	}
	k.mu.Lock()
	var holds []*holding
	for _, h := range k.activeLocked() {
		if !h.drained {
			holds = append(holds, h)
		}
	}
	slices.SortFunc(holds, func(a, b *holding) int {
		if a.taken != b.taken {
			return count(a.taken) - count(b.taken)
		}
		return b.since.Compare(a.since)
	})
	holds = holds[:min(n, len(holds))]
	for _, h := range holds {
		h.drainLocked()
		k.log.Info("handing lease over", logkey.Shard, h.row.Shard)
	}
	k.mu.Unlock()
	k.releaseUntaken(life, holds)
}

// drainShards asks for the leases of shards back that no longer exist.
func (k *Keeper) drainShards(life context.Context, shards []string) {
	k.mu.Lock()
	var holds []*holding
	for _, shard := range shards {
		if h := k.holds[shard]; h != nil && h.cause == nil {
			h.drainLocked()
			holds = append(holds, h)
		}
	}
	k.mu.Unlock()
	k.releaseUntaken(life, holds)
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
