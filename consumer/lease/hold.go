package lease

import (
	"context"
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Causes with which the context of a Hold ends; context.Cause tells which.
var (
	// errLost means that the lease is another worker's now, or was rewound.
	errLost = errors.New("the lease was lost")
	// errRestart means that the shard is to be read again from its checkpoint, under a new Hold.
	errRestart = errors.New("the shard restarts from its checkpoint")
	// errShardEnd means that the end of the shard has been committed.
	errShardEnd = errors.New("the shard has ended")
	// errReleased means that the reader has given the hold back.
	errReleased = errors.New("the lease was released")
	// errShutdown means that the worker has ended before the reader had.
	errShutdown = errors.New("the worker has shut down")
)

// Hold is a lease that this worker holds, in the hands of its reader.
type Hold struct {
	keeper  *Keeper
	holding *holding
}

// Lease returns the row as it was acquired, with the checkpoint that was committed since.
func (h *Hold) Lease() checkpoint.Lease { return h.keeper.row(h.holding) }

// Context ends when the reader has to stop at once: the lease was lost, or the hold restarted, ended or was released.
func (h *Hold) Context() context.Context { return h.holding.ctx }

// Draining is closed when the reader should stop reading, have everything committed and then release: the shard goes
// to another worker, or this one shuts down.
func (h *Hold) Draining() <-chan struct{} { return h.holding.draining }

// Committed tells that the checkpoint of the shard has moved to p, with a last record that arrived at the given time.
// With checkpoint.ShardEnd the hold ends; the lease is not acquired again.
func (h *Hold) Committed(p checkpoint.Position, arrival time.Time) {
	h.keeper.committed(h.holding, p, arrival)
}

// ReachedTip tells that the reader has found nothing more to read at the given time. A shard that is idle for long has
// an old checkpoint without being behind; this is what tells the two apart.
func (h *Hold) ReachedTip(at time.Time) { h.keeper.reachedTip(h.holding, at) }

// Restart ends the hold because records after the checkpoint were dropped. When the reader has released, the lease is
// acquired afresh and offered under a new Hold, which starts at the stored checkpoint. It does nothing to a hold that
// has ended.
func (h *Hold) Restart(reason string) { h.keeper.restart(h.holding, reason) }

// Release tells that the reader has ended: it neither reads nor commits any more. The lease is given back if it is
// still this worker's; if the store can not be reached, that is made up for later. Only the first call counts.
func (h *Hold) Release(ctx context.Context) { h.keeper.letGo(ctx, h.holding) }
