package audit

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/layout"
)

// chain joins the ranges of one shard, in any order. Adjacent ranges are merged into one segment, so a sound shard takes
// the same memory after a year as after a day.
type chain struct {
	Shard
	moves []layout.Move // by lease counter
	// epochs are the periods between moves: within one, every range must begin where the previous one ended. The lease
	// counter of a range selects its epoch.
	epochs []epoch
	recent []mark // the last ranges, to name in findings
	// counter is the highest lease counter of a range.
	counter int64
}

// rememberedRanges is how many ranges a chain remembers, to name them in findings.
const rememberedRanges = 64

type epoch struct {
	segments []segment // in order, neither overlapping nor adjacent
	// sequences are the segments of the ranges that begin at a sequence number or TRIM_HORIZON alone, times are the other
	// ranges: a daemon that begins anew at a time seems to cover all before it, and does not.
	sequences, times []segment
}

type segment struct {
	start, end  checkpoint.Position
	first, last edge
}

// edge is the range at the beginning or the end of a segment.
type edge struct {
	batch    string
	counter  int64
	inWindow bool
}

type mark struct {
	start, end checkpoint.Position
	edge
}

func newChain(shard string, moves []layout.Move) *chain {
	slices.SortFunc(moves, func(a, b layout.Move) int { return cmp.Compare(a.Counter, b.Counter) })
	return &chain{Shard: Shard{Shard: shard}, moves: moves, epochs: make([]epoch, len(counters(moves))+1)}
}

// counters returns the distinct lease counters of moves, which are sorted by them.
func counters(moves []layout.Move) []int64 {
	var list []int64
	for _, m := range moves {
		if len(list) == 0 || list[len(list)-1] != m.Counter {
			list = append(list, m.Counter)
		}
	}
	return list
}

// add joins a range of a batch. It returns the overlaps with earlier ranges, if either range is in the window.
func (c *chain) add(r checkpoint.Range, batch string, inWindow bool) []Finding {
	if inWindow {
		c.count(r)
	}
	e := edge{batch, r.LeaseCounter, inWindow}
	c.counter = max(c.counter, r.LeaseCounter)
	n := 0
	for _, counter := range counters(c.moves) {
		if counter <= r.LeaseCounter {
			n++
		}
	}
	var found []Finding
	if c.epochs[n].join(segment{r.Start, r.End, e, e}) {
		found = c.overlap(r, e)
	}
	if len(c.recent) == rememberedRanges {
		c.recent = slices.Delete(c.recent, 0, rememberedRanges/2)
	}
	c.recent = append(c.recent, mark{r.Start, r.End, e})
	return found
}

func (c *chain) count(r checkpoint.Range) {
	if c.Ranges == 0 || compare(r.Start, c.Start) < 0 {
		c.Start = r.Start
	}
	if c.Ranges == 0 || compare(r.End, c.End) > 0 {
		c.End = r.End
	}
	c.Ranges++
	c.Records += r.Records
	c.FirstArrival = earlier(c.FirstArrival, r.FirstArrival)
	if r.LastArrival.After(c.LastArrival) {
		c.LastArrival = r.LastArrival
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// join inserts a segment and merges it with those it touches. It reports whether it overlaps any.
func (e *epoch) join(s segment) (overlaps bool) {
	e.segments, overlaps = join(e.segments, s)
	if _, isTime := s.start.Timestamp(); isTime {
		e.times = append(e.times, s)
	} else {
		e.sequences, _ = join(e.sequences, s)
	}
	return overlaps
}

func join(list []segment, s segment) (joined []segment, overlaps bool) {
	first := sort.Search(len(list), func(i int) bool { return compare(list[i].end, s.start) >= 0 })
	last := first
	for ; last < len(list) && compare(list[last].start, s.end) <= 0; last++ {
		o := list[last]
		if compare(o.start, s.end) < 0 && compare(o.end, s.start) > 0 {
			overlaps = true
		}
		if compare(o.start, s.start) <= 0 {
			s.start, s.first = o.start, o.first
		}
		if compare(o.end, s.end) >= 0 {
			s.end, s.last = o.end, o.last
		}
	}
	return slices.Replace(list, first, last, s), overlaps
}

// overlap reports the ranges that a range overlaps.
func (c *chain) overlap(r checkpoint.Range, e edge) []Finding {
	var found []Finding
	named := false
	for _, m := range c.recent {
		if compare(m.start, r.End) >= 0 || compare(m.end, r.Start) <= 0 || !c.sameEpoch(m.counter, e.counter) {
			continue
		}
		named = true
		if m.inWindow || e.inWindow {
			found = append(found, c.finding(Overlap, e.batch, fmt.Sprintf("its range %s and the range %s of batch %s contain the same records%s",
				span(r.Start, r.End), span(m.start, m.end), m.batch, hint(m.edge, e))))
		}
	}
	if !named && e.inWindow {
		found = append(found, c.finding(Overlap, e.batch, fmt.Sprintf("its range %s was covered by earlier batches", span(r.Start, r.End))))
	}
	return found
}

func (c *chain) sameEpoch(a, b int64) bool {
	for _, m := range c.moves {
		if (m.Counter <= a) != (m.Counter <= b) {
			return false
		}
	}
	return true
}

// hint explains the one case that looks like a duplicate delivery and may not be one.
func hint(a, b edge) string {
	low, high := min(a.counter, b.counter), max(a.counter, b.counter)
	if high-low < 2 {
		return ""
	}
	return fmt.Sprintf("; the lease counter is %d in one and %d in the other, as after a rewind, but no note of a rewind explains it", low, high)
}

// finish checks the gaps that are left when all ranges are joined. It also returns the moves that explain a gap.
func (c *chain) finish() (found []Finding, moves []layout.Move) {
	var before *segment
	passed := -1 // epoch of before
	for i, e := range c.epochs {
		for j := range e.segments {
			s := &e.segments[j]
			if before != nil {
				f, m := c.between(*before, *s, passed, i)
				found, moves = append(found, f...), append(moves, m...)
			}
			before, passed = s, i
		}
	}
	return found, moves
}

// between checks the gap between two segments in a row.
func (c *chain) between(a, b segment, from, to int) ([]Finding, []layout.Move) {
	if a.end == b.start || !a.last.inWindow && !b.first.inWindow {
		return nil, nil
	}
	if moves := c.path(a.end, b.start, from, to); moves != nil {
		return nil, moves
	}
	if compare(b.start, a.end) < 0 {
		return []Finding{c.finding(Overlap, b.first.batch, fmt.Sprintf("it begins at %s, but batch %s had ended at %s%s",
			b.start, a.last.batch, a.end, hint(a.last, b.first)))}, nil
	}
	if c.covered(a.end, b.start, to) {
		return nil, nil
	}
	return []Finding{c.finding(Gap, b.first.batch, fmt.Sprintf("no manifest covers %s: batch %s ends before it and this one begins after it",
		span(a.end, b.start), a.last.batch))}, nil
}

// covered reports whether a part that was left out was delivered later, after a noted rewind. Only a rewind to a sequence
// number proves that: nobody knows what the stream still held at TRIM_HORIZON.
func (c *chain) covered(start, end checkpoint.Position, behind int) bool {
	for _, e := range c.epochs[behind+1:] {
		for _, s := range e.segments {
			if _, ok := s.start.SequenceNumber(); ok && compare(s.start, start) <= 0 && compare(s.end, end) >= 0 {
				return true
			}
		}
	}
	return false
}

// path returns the moves that lead from one position to another between two epochs, or nil.
func (c *chain) path(from, to checkpoint.Position, a, b int) []layout.Move {
	list := counters(c.moves)
	ways := map[checkpoint.Position][]layout.Move{from: {}}
	for _, counter := range list[a:b] {
		for _, m := range c.moves {
			if way, ok := ways[m.From]; ok && m.Counter == counter {
				ways[m.To] = append(slices.Clone(way), m)
			}
		}
	}
	return ways[to]
}

func (c *chain) finding(k Kind, batch, message string) Finding {
	return Finding{Kind: k, Shard: c.Shard.Shard, Batch: batch, Message: message}
}

// span formats a range, which excludes its start and includes its end.
func span(start, end checkpoint.Position) string { return fmt.Sprintf("(%s, %s]", start, end) }

// compare compares positions of one shard. The order of a timestamp and a sequence number is unknown; since timestamps
// only begin chains, they sort first.
func compare(a, b checkpoint.Position) int {
	ra, rb := rank(a), rank(b)
	if ra != rb {
		return ra - rb
	}
	if ra == rankSequence {
		return record.CompareSequence(string(a), string(b))
	}
	return cmp.Compare(a, b) // timestamps have a fixed format that sorts by time
}

const rankSequence = 2

func rank(p checkpoint.Position) int {
	if p == checkpoint.TrimHorizon {
		return 0
	}
	if p == checkpoint.ShardEnd {
		return 3
	}
	if _, ok := p.SequenceNumber(); ok {
		return rankSequence
	}
	return 1
}
