package lease

import (
	"context"
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Causes with which the context of a Hold ends, as context.Cause returns them.
var (
	// errLost means that another worker now has the lease, or that it was rewound.
	errLost = errors.New("the lease was lost")
	// errRestart means that the shard will be read again from its checkpoint, under a new Hold.
	errRestart = errors.New("the shard restarts from its checkpoint")
	// errShardEnd means that the end of the shard has been committed.
	errShardEnd = errors.New("the shard has ended")
	// errStopped means that everything before Config.Stop has been committed.
	errStopped = errors.New("the shard has passed the stop position")
	// errReleased means that the reader has released the hold.
	errReleased = errors.New("the lease was released")
	// errShutdown means that the worker ended before the reader did.
	errShutdown = errors.New("the worker has shut down")
)

// Hold is a lease that this worker holds, as its reader sees it.
type Hold struct {
	keeper  *Keeper
	holding *holding
}

// Lease returns the row as it was acquired, with the latest committed checkpoint.
func (h *Hold) Lease() checkpoint.Lease { return h.keeper.row(h.holding) }

// Context ends when the reader must stop at once: the lease was lost, or the hold was restarted, ended or released.
func (h *Hold) Context() context.Context { return h.holding.ctx }

// Draining is closed when the reader should stop reading, commit everything and then release: the shard moves to
// another worker, or this one is shutting down.
func (h *Hold) Draining() <-chan struct{} { return h.holding.draining }

// Committed notes that the checkpoint of the shard has moved to the end of a range. With checkpoint.ShardEnd the hold ends;
// the lease is not acquired again.
func (h *Hold) Committed(r checkpoint.Range) { h.keeper.committed(h.holding, r) }

// ReachedTip notes that the reader found nothing more to read at the given time. The checkpoint of a long idle shard is
// old although the shard is not behind; this distinguishes the two.
func (h *Hold) ReachedTip(at time.Time) { h.keeper.reachedTip(h.holding, at) }

// Stop notes in the row that no record after the checkpoint arrived before Config.Stop. Then the hold ends, and nobody
// acquires the lease again for the same stop. Everything read must be committed.
func (h *Hold) Stop(ctx context.Context) error { return h.keeper.stopped(ctx, h.holding) }

// Restart ends the hold because records after the checkpoint were dropped. Once the reader has released, the lease is
// acquired anew and offered under a new Hold, which starts at the stored checkpoint. It does nothing if the hold has
// ended.
func (h *Hold) Restart(reason string) { h.keeper.restart(h.holding, reason) }

// Release notes that the reader has ended: it no longer reads or commits. The lease is released if it is still this
// worker's; if the store cannot be reached, that happens later. Only the first call counts.
func (h *Hold) Release(ctx context.Context) { h.keeper.letGo(ctx, h.holding) }
