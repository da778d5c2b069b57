package batch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// lane is a line of batches, one after the other.
type lane struct {
	ctx       context.Context // of its batches; ends with the pipeline
	limits    Limits
	now       func() time.Time
	newID     func() string
	files     *files
	settler   *settler
	publisher *publisher
	queue     *queue

	mu      sync.Mutex
	members map[*progress]bool // shards whose cursors append here
	current *batch             // the open one; nil if nothing has come since the last was sealed
	sealed  *batch             // the one that was rotated out, until it is committed or dropped
	rotated chan struct{}      // closed and replaced when the open batch is rotated out
	settled chan struct{}      // closed when the batch that was rotated out is settled; nil if there is none

	wake chan struct{} // makes run check whether the batch is due
}

// admit takes a shard into the lane if there is room.
func (l *lane) admit(p *progress) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.members) >= checkpoint.MaxRanges {
		return false
	}
	l.members[p] = true
	return true
}

// dismiss takes a shard out of the lane. What it has in batches stays there.
func (l *lane) dismiss(p *progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.members, p)
}

// run takes batch after batch through seal, commit and publish.
func (l *lane) run() {
	for {
		reason, ok := l.awaitDue()
		if !ok {
			l.abandon()
			return
		}
		l.settle(l.rotate(), reason)
		l.rest()
	}
}

// awaitDue waits until the open batch should be sealed, and returns the reason.
func (l *lane) awaitDue() (reason string, ok bool) {
	for {
		b := l.batch()
		var timer *time.Timer
		var expired <-chan time.Time
		var failed <-chan struct{}
		if b != nil {
			if why := b.due.Load(); why != nil {
				return *why, true
			}
			timer = time.NewTimer(l.limits.Interval - l.now().Sub(b.opened))
			expired, failed = timer.C, b.ctx.Done()
		}
		select {
		case <-l.ctx.Done():
			return "", false
		case <-l.wake:
		case <-expired:
			return "interval", true
		case <-failed:
			return "failed", true
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// settle brings the batch that was rotated out to its end: published, left in the outbox, or dropped.
func (l *lane) settle(b *batch, reason string) {
	l.queue.hold(b.id)
	defer l.queue.release(b.id)
	out, fate, cause := l.settler.settle(l.ctx, b, reason)
	switch fate {
	case empty:
		b.cancel(nil)
	case unknown:
		l.restart(b, cause.Error())
	case dropped:
		l.drop(b, out, cause)
	case committed:
		l.committed()
		b.cancel(nil)
		l.publisher.publishSealed(l.ctx, out, reason, b.records.Load())
	}
}

// drop gives a batch up that is not committed and never will be: its shards start again, its uploads are aborted.
func (l *lane) drop(b *batch, out checkpoint.Batch, cause error) {
	l.settler.noteDrop(b, out, cause)
	l.restart(b, cause.Error())
	b.cancel(cause)
	l.settler.abort(l.ctx, out)
}

// restart sends the batch's shards back to their checkpoints. Records that they have put into the open batch since
// begin at a position that the store will never reach: that batch is dropped with them.
func (l *lane) restart(b *batch, reason string) {
	b.drop(reason)
	if next := l.batch(); next != nil && next.follows() {
		next.cancel(fmt.Errorf("the batch before it was dropped: %s", reason))
	}
}

// abandon drops the open batch when the pipeline ends.
func (l *lane) abandon() {
	b := l.rotate()
	if b == nil {
		return
	}
	b.cancel(context.Cause(l.ctx)) // it ends with ctx, but maybe not yet
	out, err := l.settler.finish(b, "stopped")
	l.drop(b, out, err)
}

func (l *lane) batch() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

// rotate takes the open batch away; the next record begins another.
func (l *lane) rotate() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.current
	l.current, l.sealed = nil, b
	close(l.rotated)
	l.rotated = make(chan struct{})
	l.settled = make(chan struct{})
	return b
}

// rest notes that the batch taken away last is settled.
func (l *lane) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.settled)
	l.settled, l.sealed = nil, nil
}

// committed notes that the batch taken away last has become the outbox's.
func (l *lane) committed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = nil
}

// uncommitted returns the batches whose records are not committed, the older first.
func (l *lane) uncommitted() []*batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc([]*batch{l.sealed, l.current}, func(b *batch) bool { return b == nil })
}

func (l *lane) settling() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.settled
}

// seal asks for the batch to be committed soon. It has no effect on one that was rotated out already.
func (l *lane) seal(b *batch, reason string) {
	b.due.CompareAndSwap(nil, &reason)
	l.wakeUp()
}

func (l *lane) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// acquire returns the open batch, entered, beginning one if there is none. It waits while the batch is full: a batch
// that is due by age alone goes on filling until its turn comes. It also waits while the batch has ended and is not taken
// away yet: what comes into it is lost, and may be of a cursor that would not be told, because it covers the same
// shard for the one before.
func (l *lane) acquire(ctx context.Context, shard string) (*batch, error) {
	for {
		b, rotated := l.open()
		if b.ctx.Err() == nil && !l.full(b, shard) && b.enter() {
			return b, nil
		}
		select {
		case <-rotated:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-l.ctx.Done():
			return nil, context.Cause(l.ctx)
		}
	}
}

// open returns the open batch, beginning one if there is none, and a channel that is closed when it is rotated out.
func (l *lane) open() (*batch, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		l.current = newBatch(l.ctx, l.files, l.newID(), l.now())
		l.wakeUp() // run waits for its age from now on
	}
	return l.current, l.rotated
}

// full reports whether the batch has no room for more records of the shard, and if so has it sealed.
func (l *lane) full(b *batch, shard string) bool {
	switch {
	case b.encoded.Load() >= l.limits.Bytes:
		l.seal(b, "bytes")
	case b.crowded():
		l.seal(b, "files")
	case !b.covers(shard) && !b.room():
		l.seal(b, "shards")
	default:
		return false
	}
	return true
}
