// Package budget counts the bytes that a process holds for its files, and keeps them within one bound.
//
// Bytes are received, wait in open blocks, are encoded, are collected into parts, and leave. Each step adds them to its
// account and releases them from the previous one. Only the first step, Acquire, waits: bytes that have been received can
// always be processed to the end, so waiting for room cannot deadlock.
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
	// Received are payloads that have been read but not yet appended to a file.
	Received Account = iota
	// Block are records in open blocks.
	Block
	// Encoding are sealed blocks until their encoded bytes have been handed to the upload.
	Encoding
	// Part are encoded bytes of a part that is not complete yet.
	Part
	// Sending are parts in memory that are complete and on their way to S3.
	Sending
	// Kept is what the ends of open files need of their blocks, such as the footer of a Parquet file.
	Kept
	// Disk are parts in the spool directory. They count only for the gauge.
	Disk

	accounts
)

// where is the label of consumer_buffered_bytes for each account.
var where = [accounts]string{
	Received: "received", Block: "block", Encoding: "block", Part: "part", Sending: "part", Kept: "block", Disk: "spool",
}

// Budget is safe for concurrent use. Create it with New.
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

// New returns a budget of limit bytes in memory. The metrics may be nil.
func New(limit int64, m *metrics.Metrics) *Budget {
	b := &Budget{limit: limit, starved: make(chan struct{}, 1)}
	m = metrics.Or(m)
	m.MemoryBudget.Set(float64(limit))
	for a := range b.gauges {
		b.gauges[a] = m.BufferedBytes.WithLabelValues(where[a])
	}
	return b
}

// Limit returns the bound in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Held returns the number of bytes in an account.
func (b *Budget) Held(a Account) int64 { return b.held[a].Load() }

// Used returns the number of bytes in memory: those of all accounts but Disk.
func (b *Budget) Used() int64 {
	var sum int64
	for a := range Disk {
		sum += b.held[a].Load()
	}
	return sum
}

// Over reports whether less than a quarter of the limit is free, or somebody waits for room: it is time to seal blocks.
func (b *Budget) Over() bool { return b.queued.Load() > 0 || b.Used() > b.limit/4*3 }

// Acquire waits until there is room for n received bytes, and adds them. Callers are served first come, first served. If n
// is more than half the limit, it waits only until that half is free, and exceeds the limit by the rest.
//
// On success the caller must release n from Received. The only error is the cause of the context's end.
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
		b.wake() // those after it may fit
		return context.Cause(ctx)
	}
	b.Release(Received, n) // admitted at the same moment
	return context.Cause(ctx)
}

// AcquireSpare adds n received bytes if the total stays within three quarters of the limit, nobody waits for room, and as
// many bytes may be received after them. It never waits: it is for data that may as well come later, and neither delays
// other callers nor makes Over true.
//
// On success the caller must release n from Received.
func (b *Budget) AcquireSpare(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) > 0 || b.Used()+n > b.limit/4*3 || b.Held(Received)+2*n > b.receivedShare() {
		return false
	}
	b.Add(Received, n)
	return true
}

// leave removes w from the queue, and reports whether it was still there.
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

// fits reports whether n bytes may be received: there is room for them, and they leave the other steps their share.
// Received bytes become blocks and parts before they are released, so without a share of their own they would count twice.
func (b *Budget) fits(n int64) bool {
	received := b.Held(Received)
	return b.Used()+min(n, b.limit/2) <= b.limit && (received == 0 || received+n <= b.receivedShare())
}

// receivedShare is what may be received while others hold received bytes.
func (b *Budget) receivedShare() int64 { return b.limit / 8 * 3 }

// Starved returns a channel that receives when somebody waits in Acquire and nothing in progress will make room: all bytes
// are in open blocks and unfinished parts, and only finishing files frees them.
func (b *Budget) Starved() <-chan struct{} { return b.starved }

// Add adds n bytes to an account. It never waits.
func (b *Budget) Add(a Account, n int64) {
	b.held[a].Add(n)
	b.gauges[a].Add(float64(n))
}

// Release removes n bytes from an account.
func (b *Budget) Release(a Account, n int64) {
	b.Add(a, -n)
	if b.waiting.Load() > 0 {
		b.wake()
	}
}

// Move moves n bytes from one account to another.
func (b *Budget) Move(from, to Account, n int64) {
	b.Add(to, n) // first, so that nobody sees room that does not exist
	b.Release(from, n)
}

// AwaitRoom waits while the limit is exceeded and parts are on their way to S3, which makes room by itself. If nothing is
// on its way, it returns at once, because waiting would not help. The only error is the cause of the context's end.
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
