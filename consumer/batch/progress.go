package batch

import (
	"sync"

	"aws-streaming-pipeline/checkpoint"
)

// Hold is a lease that this worker holds, as the pipeline sees it.
type Hold interface {
	// Lease returns the row of the shard.
	Lease() checkpoint.Lease
	// Committed is called when the checkpoint has moved to the end of the range.
	Committed(r checkpoint.Range)
	// Restart is called when records after the checkpoint were dropped: they must be read again, after the lease was
	// acquired again.
	Restart(reason string)
}

// progress is the state of the records that a cursor appended. Their batches update it, and the cursor reads it. It is safe
// for concurrent use.
type progress struct {
	shard string
	lease checkpoint.Lease // as it was when the cursor began
	hold  Hold

	mu        sync.Mutex
	committed checkpoint.Position
	traffic   traffic       // as of committed
	dropped   string        // why records were dropped; empty as long as none are
	moved     chan struct{} // closed and replaced when committed or dropped change
}

func newProgress(h Hold) *progress {
	lease := h.Lease()
	return &progress{shard: lease.Shard, lease: lease, hold: h, committed: lease.Checkpoint, traffic: traffic{lease.Load, lease.Arrival}, moved: make(chan struct{})}
}

// checkpoint is up to where the shard's records are committed.
func (p *progress) checkpoint() checkpoint.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.committed
}

func (p *progress) isDropped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped != ""
}

// look returns the state, and a channel that is closed when it changes.
func (p *progress) look() (committed checkpoint.Position, dropped bool, moved <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.committed, p.dropped != "", p.moved
}

// commit notes that the checkpoint has moved, here and in the hold at once: whoever waits for it asks the hold next, and
// the end of the hold, with a shard's end, must not be taken for an end before the commit.
func (p *progress) commit(r checkpoint.Range) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed = r.End
	if !r.LastArrival.IsZero() {
		p.traffic = traffic{r.Load, r.LastArrival}
	}
	p.hold.Committed(r)
	p.notify()
}

// load is the shard's traffic once the range is committed, which is the next one to be; 0 if it says nothing about it.
func (p *progress) load(c *coverage) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.LastArrival.IsZero() {
		return 0
	}
	return p.traffic.after(c.bytes, c.FirstArrival, c.LastArrival)
}

// drop notes that records were dropped.
func (p *progress) drop(reason string) {
	p.mu.Lock()
	first := p.dropped == ""
	p.dropped = reason
	p.notify()
	p.mu.Unlock()
	if first {
		p.hold.Restart(reason)
	}
}

func (p *progress) notify() {
	close(p.moved)
	p.moved = make(chan struct{})
}
