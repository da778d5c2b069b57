package lease_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/shardmap"
)

// history is a stream with its records: what was put and resharded when, and what retention has dropped of it. Times
// are those of the bubble, or before it began.
type history struct {
	random *rand.Rand
	mu     sync.Mutex
	shards []*past
	put    int // records so far; each has its number as sequence number
	// dropped is the time before which retention has dropped everything.
	dropped   time.Time
	delivered map[int]int // how often each record was delivered
}

// past is a shard.
type past struct {
	n            int
	parents      []*past
	children     []*past
	born, closed time.Time // closed is zero as long as the shard is open
	records      []putRecord
}

type putRecord struct {
	number int
	at     time.Time
}

func newHistory(random *rand.Rand, shards int, at time.Time) *history {
	h := &history{random: rand.New(rand.NewPCG(random.Uint64(), 0)), delivered: make(map[int]int)} // readers draw, too
	for range shards {
		h.bear(at)
	}
	return h
}

func (h *history) bear(at time.Time, parents ...*past) {
	p := &past{n: len(h.shards), parents: parents, born: at}
	for _, parent := range parents {
		parent.children = append(parent.children, p)
		parent.closed = at
	}
	h.shards = append(h.shards, p)
}

func (h *history) open() []*past {
	return slices.DeleteFunc(slices.Clone(h.shards), func(p *past) bool { return !p.closed.IsZero() })
}

// step puts records, splits a shard or merges two.
func (h *history) step(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	open := h.open()
	one, other := open[h.random.IntN(len(open))], open[h.random.IntN(len(open))]
	switch kind := h.random.IntN(10); {
	case kind == 0 && len(open) < 8:
		h.bear(at, one)
		one.closed = time.Time{}
		h.bear(at, one)
	case kind == 1 && one != other:
		h.bear(at, one, other)
	default:
		for range 1 + h.random.IntN(3) {
			p := open[h.random.IntN(len(open))]
			h.put++
			p.records = append(p.records, putRecord{h.put, at})
		}
	}
}

// listed reports whether the stream still lists a shard.
func (h *history) listed(p *past) bool { return p.closed.IsZero() || !p.closed.Before(h.dropped) }

// after are the records that remain to be read after a position.
func (h *history) after(p *past, position checkpoint.Position) []putRecord {
	var left []putRecord
	t, isTime := position.Timestamp()
	sequence, isSequence := position.SequenceNumber()
	last, _ := strconv.Atoi(sequence)
	for _, r := range p.records {
		switch {
		case r.at.Before(h.dropped), position == checkpoint.ShardEnd, isTime && r.at.Before(t), isSequence && r.number <= last:
		default:
			left = append(left, r)
		}
	}
	return left
}

// show has a stream list the shards.
func (h *history) show(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.shards)
	for _, p := range h.shards {
		if !h.listed(p) {
			continue
		}
		shard := shardmap.Shard{ID: shardID(p.n), Closed: !p.closed.IsZero()}
		for _, parent := range p.parents {
			shard.Parents = append(shard.Parents, shardID(parent.n))
		}
		s.shards[shard.ID] = shard
	}
}

// read delivers the records of a shard and commits them, a few at a time, until the hold ends. An iterator for a future
// time is refused (GetShardIterator), so nothing ends before it.
func (h *history) read(f *fleet, hold *lease.Hold) {
	for {
		select {
		case <-hold.Context().Done():
			return
		case <-hold.Draining():
			return
		case <-time.After(time.Second):
		}
		row := hold.Lease()
		if t, ok := row.Checkpoint.Timestamp(); ok && t.After(time.Now()) {
			continue
		}
		h.mu.Lock()
		n, _ := strconv.Atoi(row.Shard[len("shardId-"):])
		p := h.shards[n]
		left := h.after(p, row.Checkpoint)
		some := left[:min(len(left), 1+h.random.IntN(4))]
		end := row.Checkpoint
		var arrival time.Time
		if len(some) > 0 {
			end, arrival = checkpoint.Position(strconv.Itoa(some[len(some)-1].number)), some[len(some)-1].at
		}
		if !p.closed.IsZero() && len(some) == len(left) && (len(some) == 0 || h.random.IntN(2) == 0) {
			end = checkpoint.ShardEnd
		}
		h.mu.Unlock()
		if end == row.Checkpoint {
			continue
		}
		err := f.table.Commit(context.Background(), checkpoint.Batch{
			ID: fmt.Sprintf("%s-%s-%d", row.Shard, end, row.Counter), Worker: row.Owner, Created: time.Now(),
			Ranges: []checkpoint.Range{{Shard: row.Shard, Start: row.Checkpoint, End: end, LeaseOwner: row.Owner, LeaseCounter: row.Counter, LastArrival: arrival}},
		})
		if err != nil {
			continue // the hold is about to end
		}
		h.mu.Lock()
		for _, r := range some {
			h.delivered[r.number]++
		}
		h.mu.Unlock()
		hold.Committed(checkpoint.Range{End: end, LastArrival: arrival})
	}
}

// compare counts the wanted records that were not delivered, and the excess deliveries: a record may be delivered once
// if it is wanted or allowed.
func (h *history) compare(wanted, allowed map[int]bool) (lost, double int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for number := range h.put + 1 {
		switch n := h.delivered[number]; {
		case wanted[number] && n == 0:
			lost++
		case wanted[number], allowed[number]:
			double += max(0, n-1)
		default:
			double += n
		}
	}
	return lost, double
}
