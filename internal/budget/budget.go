// Package budget counts the bytes that a process holds for its files, and keeps them within one bound.
//
// Bytes travel: they are received, wait in open blocks, are encoded, gather into parts, and leave. Each step adds them
// to its account and releases them from the one before. The only step that waits is the first, Acquire: whoever has
// taken bytes in can always bring them to their end, so waiting for room never waits for itself.
//
// The shares are guidance for the steps, in parts of the limit: three eighths for what is received, a half for parts in
// memory, and a quarter once the whole is tight (beyond it they go to disk), a quarter for open blocks once the whole is
// tight (beyond it the largest are sealed), the rest for what is being encoded.
package budget

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/internal/metrics"
)

// Account is a place where bytes are held.
type Account int

const (
	// Received are payloads that have been read and not yet appended to a file.
	Received Account = iota
	// Block are records in open blocks.
	Block
	// Encoding are sealed blocks until their encoded bytes have been handed to the upload.
	Encoding
	// Part are encoded bytes that still gather into a part.
	Part
	// Sending are parts in memory that are complete and on their way to S3.
	Sending
	// Disk are parts in the spool directory. They count for nothing but the gauge.
	Disk

	accounts
)

// where gives the label of consumer_buffered_bytes for each account.
var where = [accounts]string{
	Received: "received", Block: "block", Encoding: "block", Part: "part", Sending: "part", Disk: "spool",
}

// Budget is safe for concurrent use. Make it with New.
type Budget struct {
	limit  int64
	held   [accounts]atomic.Int64
	gauges [accounts]prometheus.Gauge

	starved chan struct{}
	waiting atomic.Int32 // goroutines in Acquire and AwaitRoom, so that Release knows whether to look
	queued  atomic.Int32 // those of them that are in Acquire

	mu      sync.Mutex
	waiters []*waiter // of Acquire, first come first served
	room    chan struct{}
}

type waiter struct {
	bytes    int64
	admitted chan struct{}
}

// New makes a budget of limit bytes in memory. The metrics may be nil.
func New(limit int64, m *metrics.Metrics) *Budget {
	b := &Budget{limit: limit, starved: make(chan struct{}, 1)}
	m = metrics.Or(m)
	m.MemoryBudget.Set(float64(limit))
	for a := range b.gauges {
		b.gauges[a] = m.BufferedBytes.WithLabelValues(where[a])
	}
	return b
}

// Limit is the bound in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Held is the number of bytes in an account.
func (b *Budget) Held(a Account) int64 { return b.held[a].Load() }

// Used is the number of bytes in memory, of all accounts but Disk.
func (b *Budget) Used() int64 {
	var sum int64
	for a := range Disk {
		sum += b.held[a].Load()
	}
	return sum
}

// Over tells that less than a quarter of the limit is free, or that somebody waits for room: it is time to seal blocks.
func (b *Budget) Over() bool { return b.queued.Load() > 0 || b.Used() > b.limit/4*3 }

// Acquire takes n received bytes into account, after waiting until there is room for them. Those who came first are
// served first. An n of more than half the limit waits until that half is free, so it gets in at last and oversteps
// the limit by what it exceeds the half.
//
// On success the caller owes a Release of n from Received. The only error is the cause of the context's end.
func (b *Budget) Acquire(ctx context.Context, n int64) error {
	b.mu.Lock()
	if len(b.waiters) == 0 && b.fits(n) {
		b.Add(Received, n)
		b.mu.Unlock()
		return nil
	}
	w := &waiter{bytes: n, admitted: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.waiting.Add(1)
	b.queued.Add(1)
	b.mu.Unlock()
	defer b.waiting.Add(-1)
	defer b.queued.Add(-1)
	b.wake() // bytes may have been released between the look and the queue

	select {
	case <-w.admitted:
		return nil
	case <-ctx.Done():
	}
	if b.leave(w) {
		b.wake() // those behind it may fit
		return context.Cause(ctx)
	}
	b.Release(Received, n) // admitted at the same moment
	return context.Cause(ctx)
}

// AcquireSpare takes n received bytes into account if three quarters of the limit hold them with all the rest, nobody
// waits for room, and as many bytes may be received after them. It never waits: it is for what may as well come later,
// and neither keeps others from their turn nor makes it time to seal blocks.
//
// On success the caller owes a Release of n from Received.
func (b *Budget) AcquireSpare(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) > 0 || b.Used()+n > b.limit/4*3 || b.Held(Received)+2*n > b.receivedShare() {
		return false
	}
	b.Add(Received, n)
	return true
}

// leave takes w out of the queue, and tells whether it was still there.
func (b *Budget) leave(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.waiters {
		if b.waiters[i] == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			return true
		}
	}
	return false
}

// fits tells whether n bytes may be received: there is room for them, and they leave the other steps theirs. What is
// received becomes blocks and parts before it is released, so without a share of its own it would be held twice.
func (b *Budget) fits(n int64) bool {
	received := b.Held(Received)
	return b.Used()+min(n, b.limit/2) <= b.limit && (received == 0 || received+n <= b.receivedShare())
}

// receivedShare is what may be received while others hold received bytes.
func (b *Budget) receivedShare() int64 { return b.limit / 8 * 3 }

// Starved receives when somebody waits in Acquire and nothing is under way that would make room: what is held stands
// in open blocks and unfinished parts, and only finishing files frees it.
func (b *Budget) Starved() <-chan struct{} { return b.starved }

// Add puts n bytes into an account. It never waits.
func (b *Budget) Add(a Account, n int64) {
	b.held[a].Add(n)
	b.gauges[a].Add(float64(n))
}

// Release takes n bytes out of an account.
func (b *Budget) Release(a Account, n int64) {
	b.Add(a, -n)
	if b.waiting.Load() > 0 {
		b.wake()
	}
}

// Move takes n bytes from one account to another.
func (b *Budget) Move(from, to Account, n int64) {
	b.Add(to, n) // first, so that nobody sees room that is not there
	b.Release(from, n)
}

// AwaitRoom waits while the limit is exceeded and parts are on their way to S3, which makes room without anybody's
// doing. With nothing on its way it returns at once: then waiting would not help. The only error is the cause of
// the context's end.
func (b *Budget) AwaitRoom(ctx context.Context) error {
	if !b.sendingMakesRoom() {
		return context.Cause(ctx)
	}
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	for {
		b.mu.Lock()
		if b.room == nil {
			b.room = make(chan struct{})
		}
		room := b.room
		b.mu.Unlock()
		if !b.sendingMakesRoom() {
			return context.Cause(ctx)
		}
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *Budget) sendingMakesRoom() bool {
	return b.Used() > b.limit && b.Held(Sending) > 0
}

// wake admits the waiters that fit now, and reports starvation.
func (b *Budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	for len(b.waiters) > 0 && b.fits(b.waiters[0].bytes) {
		w := b.waiters[0]
		b.waiters = b.waiters[1:]
		b.Add(Received, w.bytes)
		close(w.admitted)
	}
	if len(b.waiters) == 0 || b.Held(Received)+b.Held(Encoding)+b.Held(Sending) > 0 {
		return
	}
	select {
	case b.starved <- struct{}{}:
	default:
	}
}
