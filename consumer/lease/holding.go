package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// holding is a lease of this worker, from its acquisition until its reader has released it. Keeper.mu guards its row
// and the fields below it.
type holding struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	draining chan struct{}

	row      checkpoint.Lease
	since    time.Time           // time of the acquisition
	tip      time.Time           // when the reader last found nothing more to read
	readTo   checkpoint.Position // every record that had been accepted by asOf is at this position or before it
	asOf     time.Time           // by the service's clock; zero at first
	taken    bool
	drained  bool
	handed   bool  // Release was called
	cause    error // nil while the lease is held
	outdated bool  // the retention warning was logged
}

// drainLocked asks the reader to finish.
func (h *holding) drainLocked() {
	if h.drained || h.cause != nil {
		return
	}
	h.drained = true
	close(h.draining)
}

// row returns the current row of a holding, as far as known.
func (k *Keeper) row(h *holding) checkpoint.Lease {
	k.mu.Lock()
	defer k.mu.Unlock()
	return h.row
}

func (k *Keeper) committed(h *holding, r checkpoint.Range) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h.row.Checkpoint = r.End
	if !r.LastArrival.IsZero() {
		h.row.Arrival = r.LastArrival
	}
	if r.Load > 0 {
		if h.cause == nil {
			k.metrics.LoadHeld.Add(float64(r.Load - h.row.Load))
		}
		h.row.Load = r.Load
	}
	if r.End != checkpoint.ShardEnd {
		return
	}
	k.childless[h.row.Shard] = time.Now()
	k.over[h.row.Shard] = h.row.Counter
	k.endLocked(h, errShardEnd, "shard_end")
	signal(k.listNow)
}

func (k *Keeper) reachedTip(h *holding, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h.tip = latest(at, h.tip)
}

func (k *Keeper) stopped(ctx context.Context, h *holding) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Failover)
	defer cancel()
	row, err := k.store.Stop(ctx, k.row(h), k.cfg.Stop)
	if err != nil {
		return fmt.Errorf("note that the shard has passed the stop position: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h.row.Stop = row.Stop
	k.over[h.row.Shard] = row.Counter
	k.endLocked(h, errStopped, "stopped")
	k.log.Info("shard has passed the stop position", logkey.Shard, h.row.Shard, logkey.Position, string(h.row.Checkpoint))
	return nil
}

func (k *Keeper) restart(h *holding, reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.cause != nil {
		return
	}
	k.endLocked(h, errRestart, "restart")
	k.log.Warn("shard restarts from its checkpoint", logkey.Shard, h.row.Shard, logkey.Reason, reason, logkey.Position, string(h.row.Checkpoint))
}

// letGo ends a holding whose reader has ended, and releases its lease.
func (k *Keeper) letGo(ctx context.Context, h *holding) {
	k.mu.Lock()
	if h.handed {
		k.mu.Unlock()
		return
	}
	h.handed = true
	cause := h.cause
	k.endLocked(h, errReleased, k.reasonLocked())
	again := k.returnsLocked(h)
	k.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, k.cfg.Failover)
	defer cancel()
	switch {
	case errors.Is(cause, errLost), errors.Is(cause, errShutdown):
		k.drop(h)
	case again:
		k.reacquire(ctx, h)
	default:
		k.giveBack(ctx, h)
	}
}

// returnsLocked reports whether the lease is to be acquired again once the reader has released.
func (k *Keeper) returnsLocked(h *holding) bool {
	return errors.Is(h.cause, errRestart) && !h.drained && !k.stopping
}

func (k *Keeper) reasonLocked() string {
	if k.stopping {
		return "shutdown"
	}
	return "handover"
}

// endLocked ends a holding. It stays in Keeper.holds until its reader has released, so that no other takes its place.
func (k *Keeper) endLocked(h *holding, cause error, reason string) {
	if h.cause != nil {
		return
	}
	h.cause = cause
	h.cancel(cause)
	k.metrics.LeasesEnded.WithLabelValues(reason).Inc()
	k.metrics.LeasesHeld.Dec()
	k.metrics.LoadHeld.Sub(float64(h.row.Load))
}

// offerLocked turns an acquired row into a holding for a reader to take.
func (k *Keeper) offerLocked(row checkpoint.Lease) {
	ctx, cancel := context.WithCancelCause(context.Background())
	h := &holding{ctx: ctx, cancel: cancel, draining: make(chan struct{}), row: row, since: time.Now()}
	k.holds[row.Shard] = h
	k.metrics.LeasesTaken.Inc()
	k.metrics.LeasesHeld.Inc()
	k.metrics.LoadHeld.Add(float64(row.Load))
	k.log.Info("lease acquired", logkey.Shard, row.Shard, logkey.Position, string(row.Checkpoint), "counter", row.Counter)
}

// drop forgets a holding.
func (k *Keeper) drop(h *holding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.holds[h.row.Shard] == h {
		delete(k.holds, h.row.Shard)
	}
	signal(k.freed)
	// Neither a shard whose reader failed, nor the children of an ended one, nor the end of the run, nor the worker to which a
	// lease is handed over should wait for the next turn.
	if !errors.Is(h.cause, errLost) && !errors.Is(h.cause, errShutdown) {
		signal(k.turnNow)
	}
}

// giveBack clears the owner of the lease and forgets the holding. If the store does not answer, the row still names
// this worker; the next scan finds it and decides anew.
func (k *Keeper) giveBack(ctx context.Context, h *holding) {
	row := k.row(h)
	if k.release(ctx, row) {
		k.log.Info("lease released", logkey.Shard, row.Shard, logkey.Position, string(row.Checkpoint))
	}
	k.drop(h)
}

// release clears the owner of a row of this worker. A conflict means that the row no longer belongs to this worker,
// which is just as good.
func (k *Keeper) release(ctx context.Context, row checkpoint.Lease) bool {
	err := k.store.Release(ctx, row)
	if err != nil && !errors.Is(err, checkpoint.ErrConflict) {
		k.log.Warn("lease could not be released; retrying", logkey.Shard, row.Shard, logkey.Error, err.Error())
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.released[row.Shard] = row.Counter
	return true
}

// reacquire raises the counter of a lease that this worker still owns, and offers it again as it is now stored.
func (k *Keeper) reacquire(ctx context.Context, h *holding) {
	held := k.row(h)
	row, err := k.store.Acquire(ctx, held, k.cfg.Worker)
	switch {
	case errors.Is(err, checkpoint.ErrConflict):
		k.log.Warn("lease was lost before its restart", logkey.Shard, held.Shard)
		k.drop(h)
	case err != nil:
		k.log.Warn("lease could not be restarted; retrying", logkey.Shard, held.Shard, logkey.Error, err.Error())
		k.drop(h)
	case k.replace(h, row):
	default: // the worker began to stop in the meantime
		k.giveBack(ctx, h)
	}
}

// replace replaces h by a new holding of the same shard, or only updates the row of h if the worker is stopping.
func (k *Keeper) replace(h *holding, row checkpoint.Lease) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopping {
		h.row = row
		return false
	}
	k.offerLocked(row)
	return true
}

// activeLocked returns the holdings whose lease is held.
func (k *Keeper) activeLocked() []*holding {
	active := make([]*holding, 0, len(k.holds))
	for _, h := range k.holds {
		if h.cause == nil {
			active = append(active, h)
		}
	}
	return active
}

// releaseUntaken releases drained leases that no reader has taken.
func (k *Keeper) releaseUntaken(ctx context.Context, holds []*holding) {
	k.mu.Lock()
	var idle []*holding
	for _, h := range holds {
		if h.drained && !h.taken && h.cause == nil {
			idle = append(idle, h)
		}
	}
	k.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, h := range idle {
		g.Go(func() error {
			k.letGo(ctx, h)
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
}
