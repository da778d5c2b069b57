package lease

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

const (
	// turnOver is how long a batch that a dead worker left is one worker's to publish. Then another one tries.
	turnOver = 2 * time.Minute
	// stuckAfter is how long a living worker's batch may be in the outbox before its worker is reminded of it.
	stuckAfter = 5 * time.Minute
)

// assign decides which worker should hold which lease. What this worker knows of its own leases is newer than a scan.
func (k *Keeper) assign(now time.Time, snap checkpoint.Snapshot, live []string) (assignment, gate) {
	k.mu.Lock()
	rows := make([]checkpoint.Lease, 0, len(snap.Leases))
	shown := make(map[string]bool, len(snap.Leases))
	for _, row := range snap.Leases {
		shown[row.Shard] = true
		rows = append(rows, k.knownLocked(row))
	}
	for shard, h := range k.holds {
		if h.cause == nil && !shown[shard] {
			rows = append(rows, h.row)
		}
	}
	k.mu.Unlock()
	g := newGate(rows, k.shards, k.cfg.Stop)
	return k.term.assigner.assign(fleetView{
		now: now, members: k.members(snap.Workers, live), rows: rows,
		dead: k.watch.dead, open: g.open, trimmed: g.trimmed, passed: g.passed,
	}), g
}

// knownLocked returns a row as this worker knows it: it may have acquired, committed or released since the scan.
func (k *Keeper) knownLocked(row checkpoint.Lease) checkpoint.Lease {
	if h := k.holds[row.Shard]; h != nil && h.cause == nil {
		return newer(row, h.row)
	}
	if released, ok := k.released[row.Shard]; ok && row.Owner == k.cfg.Worker && row.Counter <= released {
		row.Owner = ""
	}
	return row
}

// members are the live workers, in order.
func (k *Keeper) members(workers []checkpoint.Worker, live []string) []member {
	beats := make(map[string]checkpoint.Worker, len(workers))
	for _, w := range workers {
		beats[w.ID] = w
	}
	members := make([]member, 0, len(live))
	for _, id := range live {
		m := member{id: id, follows: beats[id].Follows, settled: k.watch.settled(id), most: beats[id].MaxLeases}
		if id == k.cfg.Worker {
			m.follows = true
		}
		if !beats[id].Follows { // this worker, whose heartbeat may be yet to come, or one of an earlier release, which does not say
			m.most = k.cfg.MaxLeases
		}
		members = append(members, m)
	}
	return members
}

// command gives the followers their orders, if they have changed. It returns the batches that this worker itself should publish, and
// how many orders could not be given.
func (k *Keeper) command(ctx context.Context, now time.Time, a assignment, snap checkpoint.Snapshot, live []string) (mine []checkpoint.Batch, failed int) {
	members := k.members(snap.Workers, live)
	batches := k.leftBatches(now, snap, members)
	wanted := make(map[string]checkpoint.Orders)
	for _, m := range members {
		if m.follows && m.id != k.cfg.Worker {
			wanted[m.id] = checkpoint.Orders{Leases: a.orders[m.id], Batches: batches[m.id]}
		}
	}
	for _, id := range snap.Ordered { // of a worker that is dead: should it wake up, it learns that nothing is its own
		if _, there := wanted[id]; !there && id != k.cfg.Worker {
			wanted[id] = checkpoint.Orders{}
		}
	}
	return batches[k.cfg.Worker], k.give(ctx, now, k.different(now, wanted, snap.Ordered))
}

// different returns the orders that have to be given.
//
// A worker that has acquired what it should has done so under a counter that its orders do not show. As long as there is something
// to do for anybody, that alone is no reason to give them again. Afterwards they are brought up to date once, so that a worker
// whose acquisition was applied without its knowledge learns of it.
func (k *Keeper) different(now time.Time, wanted map[string]checkpoint.Orders, ordered []string) map[string]checkpoint.Orders {
	exact := !k.term.exact && now.Sub(k.term.changed) > 2*k.cfg.Failover
	different := make(map[string]checkpoint.Orders)
	for id, o := range wanted {
		before, given := k.term.given[id]
		given = given && slices.Contains(ordered, id) // somebody may have deleted them
		switch {
		case !given && len(o.Leases)+len(o.Batches) == 0 && !slices.Contains(ordered, id):
		case !given || !sameOrders(id, before, o, exact):
			different[id] = o
		}
	}
	k.term.exact = k.term.exact || exact
	return different
}

// sameOrders reports whether a worker that has obeyed one has obeyed the other.
func sameOrders(worker string, a, b checkpoint.Orders, exact bool) bool {
	return slices.EqualFunc(a.Leases, b.Leases, func(a, b checkpoint.Order) bool {
		obeyed := !exact && !a.Away && !b.Away && a.Shard == b.Shard && b.Owner == worker && b.Counter <= a.Counter+1 && b.Counter >= a.Counter
		return a == b || obeyed
	}) && slices.EqualFunc(a.Batches, b.Batches, func(a, b checkpoint.Batch) bool { return a.ID == b.ID })
}

// give writes orders, several at a time, and has the next heartbeat show that there are some. It returns how many could not be
// written.
func (k *Keeper) give(ctx context.Context, now time.Time, orders map[string]checkpoint.Orders) (failed int) {
	if len(orders) == 0 {
		return 0
	}
	k.term.number++
	k.term.changed, k.term.exact = now, false
	var mu sync.Mutex
	var g errgroup.Group
	var refused []string
	g.SetLimit(parallel)
	for _, id := range slices.Sorted(maps.Keys(orders)) {
		o := orders[id]
		o.Term, o.Number = k.lead.Term, k.term.number
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, k.cfg.ScanEvery)
			defer cancel()
			err := k.store.GiveOrders(ctx, id, o)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				k.term.given[id] = o
				return nil
			}
			failed++
			delete(k.term.given, id)
			if errors.Is(err, checkpoint.ErrConflict) {
				refused = append(refused, id)
			}
			return err
		})
	}
	err := g.Wait()
	switch {
	case len(refused) > 0:
		k.overrule(ctx, refused)
	case err != nil:
		k.log.Warn("orders could not be written; retrying after the next scan", logkey.Count, failed, logkey.Error, err.Error())
	}
	k.mu.Lock()
	k.fleet.Number = k.term.number
	k.mu.Unlock()
	signal(k.beatNow)
	return failed
}

// overrule removes orders that seem newer than this worker's, unless another worker leads. Otherwise terms have begun anew: somebody has
// deleted the item that says who leads.
func (k *Keeper) overrule(ctx context.Context, workers []string) {
	lead, err := k.readLead(ctx)
	if err != nil || lead != k.lead { // the next scan shows who leads
		k.log.Info("orders were refused: another worker has given newer ones")
		return
	}
	k.log.Info("replacing orders of a later term than the leader's", logkey.Count, len(workers))
	for _, id := range workers {
		if err := k.store.Dismiss(ctx, id); err != nil {
			k.log.Warn("orders could not be removed; retrying after the next scan", logkey.Error, err.Error())
			return
		}
	}
}

// leftBatches shares out the batches that dead workers left in the outbox, and reminds the living of theirs that stay there.
func (k *Keeper) leftBatches(now time.Time, snap checkpoint.Snapshot, members []member) map[string][]checkpoint.Batch {
	obedient := make([]string, 0, len(members))
	for _, m := range members {
		if m.follows {
			obedient = append(obedient, m.id)
		}
	}
	left := make(map[string][]checkpoint.Batch)
	for _, b := range snap.Batches {
		first, known := k.chores.batches[b.ID]
		if !known {
			first = now
		}
		seen := now.Sub(first)
		switch {
		case k.watch.dead(b.Worker):
			h := fnv.New64a()
			h.Write([]byte(b.ID))
			id := obedient[(h.Sum64()+uint64(seen/turnOver))%uint64(len(obedient))]
			left[id] = append(left[id], b)
		case seen > stuckAfter:
			left[b.Worker] = append(left[b.Worker], b)
		}
	}
	for id := range left {
		slices.SortFunc(left[id], func(a, b checkpoint.Batch) int { return strings.Compare(a.ID, b.ID) })
	}
	return left
}
