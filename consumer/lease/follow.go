package lease

import (
	"context"
	"errors"
	"iter"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// following is what a worker remembers as long as it follows. It is owned by the goroutine that scans.
type following struct {
	orders checkpoint.Orders // the latest, without what proved void
	number int64             // of the leader's plan that they are part of
	term   int64             // in which they were read
	news   time.Time         // when they last changed
	failed time.Time         // since when they could not be read; zero if they could
}

// follow reads the leader's heartbeat, obeys the orders if there are new ones, and returns how long to wait before the next turn. It
// acquires leases, and contends for the lead, only if asked to.
func (k *Keeper) follow(ctx, life context.Context, acquire bool) time.Duration {
	if k.lead.Worker == "" || k.lead.Worker == k.cfg.Worker {
		return k.contend(ctx, life, acquire)
	}
	began := time.Now()
	leader, err := k.readLeader(ctx)
	missing := errors.Is(err, checkpoint.ErrNotFound)
	if err != nil && !missing {
		if ctx.Err() == nil { // otherwise this worker stops
			k.log.Warn("the leader's heartbeat could not be read", logkey.Error, err.Error())
		}
		return k.poll()
	}
	leads := !missing && leader.Fleet != nil && leader.Fleet.Term >= k.lead.Term
	seen := sighting{present: leads}
	if leads { // a worker that beats without leading is as good as gone
		seen.beat = leader.Beat
	}
	k.pulse.see(began, time.Now(), map[string]sighting{k.lead.Worker: seen})
	if !leads { // it may have resigned, or never got to its first heartbeat
		if lead, err := k.readLead(ctx); err == nil && lead != k.lead && lead.Term >= k.highest {
			k.adopt(lead)
			return 0
		}
	}
	if k.pulse.still(k.lead.Worker) >= k.patience(missing) {
		return k.contend(ctx, life, acquire)
	}
	if !leads {
		return k.cfg.quick()
	}
	return k.obeyLeader(ctx, life, acquire, began, leader)
}

// readLeader reads the heartbeat of the leader.
func (k *Keeper) readLeader(ctx context.Context) (checkpoint.Worker, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.ScanEvery)
	defer cancel()
	return k.store.Worker(ctx, k.lead.Worker)
}

// patience is how long the leader's heartbeat may stand still before this worker contends for the lead. With the time between two
// looks, the fleet is without a leader for less than Failover. A heartbeat item that is missing may only be late to be seen.
func (k *Keeper) patience(missing bool) time.Duration {
	if missing {
		return k.cfg.quick()
	}
	return k.cfg.Failover * 6 / 10
}

// poll is the time until the next look at the leader's heartbeat: a quarter of Failover, and less if orders have changed lately or
// the heartbeat is late.
func (k *Keeper) poll() time.Duration {
	const late = 4 // tenths of Failover
	usual := jitter(k.cfg.poll())
	if time.Since(k.following.news) < k.cfg.Failover {
		return min(usual, k.cfg.quick())
	}
	return max(min(usual, k.cfg.Failover*late/10-k.pulse.still(k.lead.Worker)), k.cfg.quick())
}

// obeyLeader does what the heartbeat of the leader asks for.
func (k *Keeper) obeyLeader(ctx, life context.Context, acquire bool, began time.Time, leader checkpoint.Worker) time.Duration {
	k.done(scanned, time.Now())
	fleet := *leader.Fleet
	k.highest = max(k.highest, fleet.Term)
	f := &k.following
	fresh := false
	if f.term != fleet.Term || f.number != fleet.Number {
		orders, err := k.readOrders(ctx)
		if err != nil {
			k.log.Warn("orders could not be read", logkey.Error, err.Error())
			k.dismissUnreadable(ctx, began)
			return k.cfg.quick()
		}
		f.failed = time.Time{}
		if f.term != fleet.Term {
			f.orders = checkpoint.Orders{} // of a former leader
		}
		f.term, f.number, f.news = fleet.Term, fleet.Number, time.Now()
		// Terms begin anew if the item that says who leads is deleted, and so do numbers.
		if fresh = orders.Term >= fleet.Term && (orders.Term != f.orders.Term || orders.Number != f.orders.Number); fresh {
			f.orders = orders
			k.expectShards(orderedShards(orders.Leases))
		}
	}
	may := acquire && k.recentlyBeaten()
	left := k.obey(ctx, life, f.orders.Leases, may)
	if fresh {
		k.checkUnordered(life, f.orders.Leases)
	}
	if may {
		k.adoptChildren(ctx, life)
	}
	scan := Scan{At: began, Left: f.orders.Batches, Live: k.knownLive(leader.ID)}
	scan.Snapshot.Leases = k.reportFollower(began, leader, fleet)
	scan.Snapshot.Workers, scan.Snapshot.Complete, scan.Snapshot.Lead = []checkpoint.Worker{leader}, fleet.Complete, k.lead
	for _, f := range k.onScan {
		f(scan)
	}
	if stop := k.cfg.Stop; acquire && !stop.IsZero() && !fleet.Finished.Before(stop) {
		k.endRun(fleet.Lost)
	}
	if left > 0 {
		return k.cfg.quick()
	}
	return k.poll()
}

// readOrders reads the orders of this worker; empty if it has none.
func (k *Keeper) readOrders(ctx context.Context) (checkpoint.Orders, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.ScanEvery)
	defer cancel()
	o, err := k.store.Orders(ctx, k.cfg.Worker)
	if errors.Is(err, checkpoint.ErrNotFound) {
		return checkpoint.Orders{}, nil
	}
	return o, err
}

// dismissUnreadable removes this worker's orders if they could not be read for Failover: their item may be damaged. The leader gives them
// again.
func (k *Keeper) dismissUnreadable(ctx context.Context, now time.Time) {
	f := &k.following
	if f.failed.IsZero() {
		f.failed = now
	}
	if now.Sub(f.failed) < k.cfg.Failover {
		return
	}
	f.failed = now
	ctx, cancel := context.WithTimeout(ctx, k.cfg.ScanEvery)
	defer cancel()
	if err := k.store.Dismiss(ctx, k.cfg.Worker); err != nil {
		k.log.Warn("orders could not be removed; retrying", logkey.Error, err.Error())
	}
}

// orderedShards returns the shards of orders.
func orderedShards(orders []checkpoint.Order) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, o := range orders {
			if !yield(o.Shard) {
				return
			}
		}
	}
}

// checkUnordered reads the rows of leases that this worker holds and its orders do not name: they were lost, or acquired after the
// leader had read the table.
func (k *Keeper) checkUnordered(life context.Context, orders []checkpoint.Order) {
	named := make(map[string]bool, len(orders))
	for _, o := range orders {
		named[o.Shard] = true
	}
	k.mu.Lock()
	var unnamed []checkpoint.Lease
	for _, h := range k.activeLocked() {
		if !named[h.row.Shard] {
			unnamed = append(unnamed, h.row)
		}
	}
	k.mu.Unlock()
	k.compareAgain(life, unnamed)
}

func (k *Keeper) knownLive(leader string) []string {
	if leader < k.cfg.Worker {
		return []string{leader, k.cfg.Worker}
	}
	return []string{k.cfg.Worker, leader}
}
