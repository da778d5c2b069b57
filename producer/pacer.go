package producer

import (
	"sync"
	"time"
)

// pacer says when a call may leave, so that no shard is given more than it takes in any second. Time is an argument.
//
// A call waits for the slowest of its shards, and the calls behind it may have to wait as well. That costs nothing in
// the long run: rows come in fixed proportions, so the shard with the largest share bounds the whole in any case.
type pacer struct {
	mu     sync.Mutex
	shards map[string]*window
}

func newPacer() *pacer { return &pacer{shards: make(map[string]*window)} }

// reserve books a call's loads, by shard, and returns the time at which it may leave, not before now.
func (p *pacer) reserve(now time.Time, loads map[string]load) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	leave := now
	for shard, l := range loads {
		w := p.shards[shard]
		if w == nil {
			w = new(window)
			p.shards[shard] = w
		}
		w.forget(now)
		if t := w.earliest(now, l); t.After(leave) {
			leave = t
		}
	}
	for shard, l := range loads {
		p.shards[shard].book(leave, l)
	}
	return leave
}

// window is what a shard has been given, or will be, in order of the time at which it counts no more.
type window struct {
	bookings []booking
	sum      load
}

type booking struct {
	until time.Time
	load  load
}

var shardSecond = load{shardRecords, shardBytes}

// forget drops the bookings that count no more.
func (w *window) forget(now time.Time) {
	n := 0
	for n < len(w.bookings) && !w.bookings[n].until.After(now) {
		w.sum = w.sum.minus(w.bookings[n].load)
		n++
	}
	w.bookings = append(w.bookings[:0], w.bookings[n:]...)
}

// earliest returns the time, from now on, at which l has room.
func (w *window) earliest(now time.Time, l load) time.Time {
	l = l.capped()
	at, sum := now, w.sum
	for _, b := range w.bookings {
		if sum.plus(l).within(shardSecond) {
			break
		}
		at, sum = b.until, sum.minus(b.load)
	}
	return at
}

func (w *window) book(at time.Time, l load) {
	b := booking{until: at.Add(l.recovery()), load: l.capped()}
	i := len(w.bookings)
	for i > 0 && w.bookings[i-1].until.After(b.until) {
		i--
	}
	w.bookings = append(w.bookings, booking{})
	copy(w.bookings[i+1:], w.bookings[i:])
	w.bookings[i] = b
	w.sum = w.sum.plus(b.load)
}

// capped is the part of a second that l takes up; a record of more than a second's worth takes all of it, for longer.
func (l load) capped() load { return load{min(l.records, shardRecords), min(l.bytes, shardBytes)} }

// recovery is the time for which l counts.
func (l load) recovery() time.Duration {
	seconds := max(1, float64(l.bytes)/shardBytes)
	return time.Duration(seconds * float64(paceWindow))
}
