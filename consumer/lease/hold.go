package lease

import (
	"context"
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// Causes with which the context of a Hold ends; context.Cause tells which.
var (
	// ErrLost means that the lease is another worker's now, or was rewound.
	ErrLost = errors.New("the lease was lost")
	// ErrRestart means that the shard is to be read again from its checkpoint, under a new Hold.
	ErrRestart = errors.New("the shard restarts from its checkpoint")
	// ErrShardEnd means that the end of the shard has been committed.
	ErrShardEnd = errors.New("the shard has ended")
	// ErrReleased means that the reader has given the hold back.
	ErrReleased = errors.New("the lease was released")
	// ErrShutdown means that the worker has ended before the reader had.
	ErrShutdown = errors.New("the worker has shut down")
)

// Hold is a lease of this worker in the hands of one reader.
type Hold struct {
	k        *Keeper
	ctx      context.Context
	cancel   context.CancelCauseFunc
	draining chan struct{}

	// The fields below are guarded by Keeper.mu.
	row      checkpoint.Lease
	since    time.Time // of the acquisition
	tip      time.Time // up to which the reader found nothing more to read
	taken    bool
	drained  bool
	handed   bool  // Release was called
	cause    error // nil as long as the lease is held
	outdated bool  // retention was warned of
}

// Lease returns the row as it was acquired, with the checkpoint that was committed since.
func (h *Hold) Lease() checkpoint.Lease {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	return h.row
}

// Context ends when the reader has to stop at once: the lease was lost, or the hold restarted, ended or was released.
func (h *Hold) Context() context.Context { return h.ctx }

// Draining is closed when the reader should stop reading, have everything committed and then release: the shard goes
// to another worker, or this one shuts down.
func (h *Hold) Draining() <-chan struct{} { return h.draining }

// Committed tells that the checkpoint of the shard has moved to p, with a last record that arrived at the given time.
// With checkpoint.ShardEnd the hold ends; the lease is not acquired again.
func (h *Hold) Committed(p checkpoint.Position, arrival time.Time) {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	h.row.Checkpoint = p
	if !arrival.IsZero() {
		h.row.Arrival = arrival
	}
	if p != checkpoint.ShardEnd {
		return
	}
	h.k.ended[h.row.Shard] = true
	h.endLocked(ErrShardEnd, "shard_end")
	signal(h.k.listNow)
}

// ReachedTip tells that the reader has found nothing more to read at the given time. A shard that is idle for long has
// an old checkpoint without being behind; this is what tells the two apart.
func (h *Hold) ReachedTip(at time.Time) {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	h.tip = latest(at, h.tip)
}

// Restart ends the hold because records after the checkpoint were dropped. When the reader has released, the lease is
// acquired afresh and offered under a new Hold, which starts at the stored checkpoint. It does nothing to a hold that
// has ended.
func (h *Hold) Restart(reason string) {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	if h.cause != nil {
		return
	}
	h.endLocked(ErrRestart, "restart")
	h.k.log.Warn("shard restarts", logkey.Shard, h.row.Shard, logkey.Reason, reason, logkey.Position, string(h.row.Checkpoint))
}

// Release tells that the reader has ended: it neither reads nor commits any more. The lease is given back if it is
// still this worker's; if the store can not be reached, that is made up for later. Only the first call counts.
func (h *Hold) Release(ctx context.Context) {
	k := h.k
	k.mu.Lock()
	if h.handed {
		k.mu.Unlock()
		return
	}
	h.handed = true
	cause := h.cause
	h.endLocked(ErrReleased, h.reasonLocked())
	again := h.returnsLocked()
	k.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, k.cfg.Failover)
	defer cancel()
	switch {
	case errors.Is(cause, ErrLost), errors.Is(cause, ErrShutdown):
		k.drop(h)
	case again:
		k.reacquire(ctx, h)
	default:
		k.giveBack(ctx, h)
	}
}

// returnsLocked tells that the lease is to be acquired again when the reader has released.
func (h *Hold) returnsLocked() bool {
	return errors.Is(h.cause, ErrRestart) && !h.drained && !h.k.stopping
}

func (h *Hold) reasonLocked() string {
	if h.k.stopping {
		return "shutdown"
	}
	return "handover"
}

// endLocked ends the hold. It stays in Keeper.holds until its reader has released, so that no other takes its place.
func (h *Hold) endLocked(cause error, reason string) {
	if h.cause != nil {
		return
	}
	h.cause = cause
	h.cancel(cause)
	h.k.metrics.LeasesEnded.WithLabelValues(reason).Inc()
	h.k.metrics.LeasesHeld.Dec()
}

// drainLocked asks the reader to come to an end.
func (h *Hold) drainLocked() {
	if h.drained || h.cause != nil {
		return
	}
	h.drained = true
	close(h.draining)
}

// offerLocked makes an acquired row a hold for a reader to take.
func (k *Keeper) offerLocked(row checkpoint.Lease) {
	ctx, cancel := context.WithCancelCause(context.Background())
	h := &Hold{k: k, ctx: ctx, cancel: cancel, draining: make(chan struct{}), row: row, since: time.Now()}
	k.holds[row.Shard] = h
	k.metrics.LeasesTaken.Inc()
	k.metrics.LeasesHeld.Inc()
	k.log.Info("lease acquired", logkey.Shard, row.Shard, logkey.Position, string(row.Checkpoint), "counter", row.Counter)
}

// drop forgets a hold.
func (k *Keeper) drop(h *Hold) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.holds[h.row.Shard] == h {
		delete(k.holds, h.row.Shard)
	}
	signal(k.freed)
	failed := errors.Is(h.cause, ErrReleased) && !h.drained // the shard should not wait for another reader
	if failed || errors.Is(h.cause, ErrShardEnd) {          // nor should its children
		signal(k.scanNow)
	}
}

// giveBack clears the owner of the lease and forgets the hold. If the store does not answer, the row still names this
// worker; the next scan finds it and decides anew.
func (k *Keeper) giveBack(ctx context.Context, h *Hold) {
	row := h.Lease()
	if k.release(ctx, row) {
		k.log.Info("lease released", logkey.Shard, row.Shard, logkey.Position, string(row.Checkpoint))
	}
	k.drop(h)
}

// release clears the owner of a row of this worker. A conflict means that the row is not this worker's any more,
// which is what was wanted.
func (k *Keeper) release(ctx context.Context, row checkpoint.Lease) bool {
	err := k.store.Release(ctx, row)
	if err != nil && !errors.Is(err, checkpoint.ErrConflict) {
		k.log.Warn("lease could not be released; the next scan tries again", logkey.Shard, row.Shard, logkey.Error, err.Error())
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.released[row.Shard] = row.Counter
	return true
}

// reacquire raises the counter of a lease that this worker still owns, and offers it again with what is stored now.
func (k *Keeper) reacquire(ctx context.Context, h *Hold) {
	held := h.Lease()
	row, err := k.store.Acquire(ctx, held, k.cfg.Worker)
	switch {
	case errors.Is(err, checkpoint.ErrConflict):
		k.log.Warn("lease was lost before its restart", logkey.Shard, held.Shard)
		k.drop(h)
	case err != nil:
		k.log.Warn("lease could not be restarted; the next scan tries again", logkey.Shard, held.Shard, logkey.Error, err.Error())
		k.drop(h)
	case k.replace(h, row):
	default: // the worker began to stop meanwhile
		k.giveBack(ctx, h)
	}
}

// replace puts a new hold of the same shard in the place of h, or only the new row into h if the worker is stopping.
func (k *Keeper) replace(h *Hold, row checkpoint.Lease) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopping {
		h.row = row
		return false
	}
	k.offerLocked(row)
	return true
}

// activeLocked returns the holds whose lease is held.
func (k *Keeper) activeLocked() []*Hold {
	active := make([]*Hold, 0, len(k.holds))
	for _, h := range k.holds {
		if h.cause == nil {
			active = append(active, h)
		}
	}
	return active
}

// releaseUntaken gives drained leases back that no reader has taken.
func (k *Keeper) releaseUntaken(ctx context.Context, holds []*Hold) {
	k.mu.Lock()
	var idle []*Hold
	for _, h := range holds {
		if h.drained && !h.taken && h.cause == nil {
			idle = append(idle, h)
		}
	}
	k.mu.Unlock()
	each(idle, func(h *Hold) { h.Release(ctx) })
}
