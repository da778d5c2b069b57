package lease

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// steps are what is to be done to obey orders.
type steps struct {
	acquire []checkpoint.Lease // rows to be acquired
	release []checkpoint.Lease // rows in this worker's name that it does not hold, and should not
	drain   []*holding
}

// obey takes the steps that orders ask for, and returns how many it could not take for now. Orders may be old: whatever they are
// about, the row must still be as they say, or as this worker itself has made it since.
func (k *Keeper) obey(ctx, life context.Context, orders []checkpoint.Order, acquire bool) (left int) {
	k.mu.Lock()
	var s steps
	for _, o := range orders {
		k.stepLocked(&s, o)
	}
	for _, h := range s.drain {
		h.drainLocked()
	}
	k.mu.Unlock()
	k.releaseRows(life, s.release)
	k.releaseUntaken(life, s.drain)
	if !acquire {
		return 0
	}
	return k.acquire(ctx, life, s.acquire)
}

// stepLocked adds the step that an order asks for.
func (k *Keeper) stepLocked(s *steps, o checkpoint.Order) {
	h := k.holds[o.Shard]
	if h != nil && h.cause == nil {
		k.compareLocked(h, checkpoint.Lease{Shard: o.Shard, Owner: o.Owner, Counter: o.Counter})
		h = k.holds[o.Shard]
	}
	row := checkpoint.Lease{Shard: o.Shard, Owner: o.Owner, Counter: o.Counter}
	released, own := k.released[o.Shard]
	own = own && released >= o.Counter
	over, passed := k.over[o.Shard]
	switch {
	case h != nil && h.cause == nil:
		if o.Away && o.Counter == h.row.Counter && !h.drained {
			k.log.Info("handing lease over", logkey.Shard, o.Shard)
			s.drain = append(s.drain, h)
		}
	case h != nil: // its reader is ending
	case o.Away:
		if o.Owner == k.cfg.Worker && !own {
			s.release = append(s.release, row)
		}
	case passed && over >= o.Counter: // nothing is left to be read
	case own: // since the leader read it
		s.acquire = append(s.acquire, checkpoint.Lease{Shard: o.Shard, Counter: released})
	default:
		s.acquire = append(s.acquire, row)
	}
}

// acquire tries to acquire rows, several at a time. It returns how many are left to be tried again because the store fails.
func (k *Keeper) acquire(ctx, life context.Context, rows []checkpoint.Lease) (left int) {
	for len(rows) > 0 && ctx.Err() == nil {
		round := rows[:min(len(rows), parallel)]
		if failed := k.acquireRows(life, round); failed > 0 {
			return failed + len(rows) - len(round)
		}
		rows = rows[len(round):]
	}
	return len(rows)
}

// acquireRows tries to acquire all rows at once, and returns how many of the requests failed.
func (k *Keeper) acquireRows(life context.Context, rows []checkpoint.Lease) (failed int) {
	errs := make([]error, len(rows))
	var g errgroup.Group
	for i, row := range rows {
		g.Go(func() error {
			errs[i] = k.acquireRow(life, row)
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	for i, err := range errs {
		switch {
		case errors.Is(err, checkpoint.ErrConflict):
			k.void(rows[i].Shard)
		case err != nil:
			failed++
		}
	}
	return failed
}

func (k *Keeper) acquireRow(life context.Context, row checkpoint.Lease) error {
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	got, err := k.store.Acquire(ctx, row, k.cfg.Worker)
	if errors.Is(err, checkpoint.ErrConflict) && !k.isLeading() { // a leader's next scan shows the row
		got, err = k.acquireOwn(ctx, row)
	}
	switch {
	case errors.Is(err, checkpoint.ErrConflict):
		return err
	case err != nil:
		k.log.Warn("lease could not be acquired", logkey.Shard, row.Shard, logkey.Error, err.Error())
		return err
	}
	if row.Owner != "" && row.Owner != k.cfg.Worker {
		k.log.Info("lease taken from a dead worker", logkey.Shard, row.Shard, logkey.Owner, row.Owner)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.offerLocked(got)
	return nil
}

// acquireOwn acquires a row that is in this worker's name although it does not know of it, after an answer was lost.
func (k *Keeper) acquireOwn(ctx context.Context, row checkpoint.Lease) (checkpoint.Lease, error) {
	stored, err := k.store.Lease(ctx, row.Shard)
	switch {
	case errors.Is(err, checkpoint.ErrNotFound) || err == nil && stored.Owner != k.cfg.Worker:
		return checkpoint.Lease{}, checkpoint.ErrConflict
	case err != nil:
		return checkpoint.Lease{}, err
	}
	return k.store.Acquire(ctx, stored, k.cfg.Worker)
}

// void drops the order for a lease that is no longer as the order says. If the leader still wants it, it says so again.
func (k *Keeper) void(shard string) {
	kept := make([]checkpoint.Order, 0, len(k.following.orders.Leases))
	for _, o := range k.following.orders.Leases {
		if o.Shard != shard {
			kept = append(kept, o)
		}
	}
	k.following.orders.Leases = kept
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
