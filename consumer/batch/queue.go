package batch

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// candidate is a batch of the outbox that may be published.
type candidate struct {
	head  checkpoint.Batch
	tried time.Time // when it was tried last; zero if it has not failed before
}

// queue holds the batches that are left in the outbox, and knows which of them somebody is at. It is safe for concurrent use.
type queue struct {
	wake chan struct{} // signals that next may have a batch

	mu      sync.Mutex
	waiting []candidate
	busy    map[string]bool // batches that somebody of this worker is at
	again   int             // of these, how many are tried again
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, sweeping), busy: make(map[string]bool)}
}

// offer replaces what waits by what nobody is at. Batches that have not failed come first, the oldest before the others, and then those that
// were tried longest ago.
func (q *queue) offer(left []candidate) {
	slices.SortFunc(left, func(a, b candidate) int {
		return cmp.Or(a.tried.Compare(b.tried), a.head.Created.Compare(b.head.Created))
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(left, func(c candidate) bool { return q.busy[c.head.ID] })
	for range min(len(left), sweeping) {
		q.rouse()
	}
}

func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next takes the batch whose turn it is; done has to be called for it.
func (q *queue) next() (candidate, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.waiting, func(c candidate) bool {
		return !q.busy[c.head.ID] && (c.tried.IsZero() || q.again < sweeping/2)
	})
	if i < 0 {
		return candidate{}, false
	}
	c := q.waiting[i]
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.busy[c.head.ID] = true
	if !c.tried.IsZero() {
		q.again++
	}
	return c, true
}

func (q *queue) done(c candidate) {
	q.release(c.head.ID)
	q.mu.Lock()
	defer q.mu.Unlock()
	if !c.tried.IsZero() {
		q.again--
	}
	q.rouse()
}

// hold keeps a batch from being swept until it is released: its lane is at it.
func (q *queue) hold(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy[id] = true
}

func (q *queue) release(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.busy, id)
}
