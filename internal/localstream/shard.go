package localstream

import (
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// shard holds the records of one shard in order of arrival. Its place in the stream (index, hash range, parents) never
// changes.
type shard struct {
	stamp     shardStamp
	id        string
	first     wide // first hash key
	last      wide // last hash key
	parents   []*shard
	created   time.Time
	startsAt  uint64 // ordinal of the starting sequence number
	startText string
	retention *atomic.Int64 // of the stream, in nanoseconds

	mu       sync.Mutex
	children []*shard
	closed   bool
	closedAt time.Time
	endsAt   uint64 // ordinal of the ending sequence number, once closed
	segments []*segment
	// horizon is the ordinal of the oldest readable record: earlier ones are expired or trimmed.
	horizon  uint64
	newest   uint64 // ordinal of the newest record; startsAt before the first
	arrived  int64  // arrival of the newest record, Unix milliseconds
	consumed uint64 // ordinals below it need not be kept
	counts   shardCounts
	writes   writeLimit
	reads    readLimit
	grown    chan struct{} // closed with the next record or the end; nil if nobody waits
}

type shardCounts struct {
	put, putBytes         int64
	held, heldBytes       int64
	trimmed, trimmedBytes int64
}

func shardID(index int) string { return fmt.Sprintf("shardId-%012d", index) }

// fits reports whether the newest segment has room for a record.
func (s *shard) fits(bytes int) bool {
	return len(s.segments) > 0 && s.segments[len(s.segments)-1].fits(bytes)
}

// append stores a record that fits and returns its ordinal.
func (s *shard) append(next func() uint64, now time.Time, key, data []byte) uint64 {
	s.newest = next()
	// Positions by time are found by bisection, so arrival times must not go back when the clock does.
	s.arrived = max(s.arrived, now.UnixMilli())
	s.segments[len(s.segments)-1].append(s.newest, s.arrived, key, data)
	bytes := int64(len(key) + len(data))
	s.counts.put++
	s.counts.putBytes += bytes
	s.counts.held++
	s.counts.heldBytes += bytes
	s.wake()
	return s.newest
}

// more returns a channel that is closed when a record is appended or the shard ends.
func (s *shard) more() <-chan struct{} {
	if s.grown == nil {
		s.grown = make(chan struct{})
	}
	return s.grown
}

func (s *shard) wake() {
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
}

// nextArena returns the size of the arena for a record of the given size, if most is the limit for several records.
func (s *shard) nextArena(bytes, most int) int {
	size := firstArenaBytes
	if len(s.segments) > 0 {
		size = min(2*cap(s.segments[len(s.segments)-1].arena), most)
	}
	return max(size, bytes)
}

// oldest returns the arrival of the oldest record of the first segment, if that segment may be dropped: all its
// records are consumed, or any record may go.
func (s *shard) oldest(any bool) (arrival int64, ok bool) {
	if len(s.segments) == 0 {
		return 0, false
	}
	if !any && s.segments[0].last().ordinal >= s.consumed {
		return 0, false
	}
	return s.segments[0].entries[0].arrival, true
}

// dropFirst forgets the first segment and returns what it was charged.
func (s *shard) dropFirst() int64 {
	dropped := s.segments[0]
	s.trimTo(dropped.last().ordinal + 1)
	s.segments[0] = nil
	s.segments = s.segments[1:]
	return dropped.charge
}

// trimTo makes all records below the ordinal unreadable. They must be in the first segment.
func (s *shard) trimTo(ordinal uint64) {
	for _, e := range s.segments[0].entries {
		if e.ordinal < s.horizon {
			continue
		}
		if e.ordinal >= ordinal {
			break
		}
		bytes := int64(e.dataBytes) + int64(e.keyBytes)
		s.counts.held--
		s.counts.heldBytes -= bytes
		s.counts.trimmed++
		s.counts.trimmedBytes += bytes
	}
	s.horizon = max(s.horizon, ordinal)
}

// expire drops records older than the stream's retention and returns the memory that was freed.
func (s *shard) expire(now time.Time) (freed int64) {
	limit := now.Add(-time.Duration(s.retention.Load())).UnixMilli()
	for len(s.segments) > 0 {
		head := s.segments[0]
		if head.last().arrival < limit {
			freed += s.dropFirst()
			continue
		}
		if head.entries[0].arrival < limit {
			kept := head.search(func(e entry) bool { return e.arrival >= limit })
			s.trimTo(head.entries[kept].ordinal)
		}
		break
	}
	return freed
}

// position returns the ordinal at which reading from a time begins.
func (s *shard) position(from time.Time) uint64 {
	limit := from.UnixMilli()
	i := sort.Search(len(s.segments), func(i int) bool {
		return s.segments[i].last().arrival >= limit
	})
	if i == len(s.segments) {
		return s.newest + 1
	}
	g := s.segments[i]
	return g.entries[g.search(func(e entry) bool { return e.arrival >= limit })].ordinal
}

// page is what one GetRecords takes from a shard.
type page struct {
	runs    []run
	records int
	bytes   int    // keys and data
	next    uint64 // ordinal at which the following page begins
	behind  int64  // milliseconds, 0 at the tip
	end     bool   // the shard is closed and nothing follows
}

// read returns at most limit records and maxBytes bytes from an ordinal on, but at least one record if there is any.
func (s *shard) read(from uint64, limit, maxBytes int, now time.Time) page {
	p := page{next: max(from, s.horizon)}
	var arrival int64
	full := false
	i := sort.Search(len(s.segments), func(i int) bool {
		return s.segments[i].last().ordinal >= p.next
	})
	for ; i < len(s.segments) && !full; i++ {
		g := s.segments[i]
		start := g.search(func(e entry) bool { return e.ordinal >= p.next })
		stop := start
		for ; stop < len(g.entries); stop++ {
			bytes := int(g.entries[stop].dataBytes) + int(g.entries[stop].keyBytes)
			if p.records == limit || (p.records > 0 && p.bytes+bytes > maxBytes) {
				full = true
				break
			}
			p.records++
			p.bytes += bytes
		}
		if stop > start {
			p.runs = append(p.runs, run{arena: g.arena, entries: g.entries[start:stop]})
			p.next, arrival = g.entries[stop-1].ordinal+1, g.entries[stop-1].arrival
		}
	}
	if full {
		p.behind = max(1, now.UnixMilli()-arrival)
		return p
	}
	p.next = max(p.next, s.newest+1)
	p.end = s.closed
	return p
}

// consume records that records below the ordinal need not be kept.
func (s *shard) consume(ordinal uint64) { s.consumed = max(s.consumed, ordinal) }

// close ends the shard: nothing can be appended any more.
func (s *shard) close(ordinal uint64, now time.Time, children ...*shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.closedAt, s.endsAt, s.children = true, now, ordinal, children
	s.wake()
}

// ending returns when the shard was closed and the ordinal of its ending sequence number.
func (s *shard) ending() (closed bool, at time.Time, ordinal uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed, s.closedAt, s.endsAt
}
