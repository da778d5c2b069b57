package audit

import (
	"slices"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

// End says where the deliveries of a shard end, by the manifests that an audit has read.
type End struct {
	Shard string
	// Segments are what is covered since the last move that batches followed: first those that begin at a time, then the
	// others in order, with gaps between them. What lies before a time may be covered by none.
	Segments []Segment
	// Since is the lease counter of that move; zero if there is none.
	Since int64
	// Counter is the lease counter of the last range, Highest the highest of any range or note of a move.
	Counter, Highest int64
	// Moved is the last note of a move that no batch has followed; nil if there is none. Nobody can tell from the bucket
	// whether the position was moved.
	Moved *layout.Move
}

// Segment is what adjoining ranges of a shard cover: the records after Start up to and including End.
type Segment struct{ Start, End checkpoint.Position }

// Ends returns the end of each shard that has a range in the window.
func (r *Report) Ends() map[string]End { return r.ends }

// MovedTo reports whether an operator noted, at any time, that a shard was moved to a position.
func (r *Report) MovedTo(p checkpoint.Position) bool { return r.movedTo[p] }

// end returns the end of the chain.
func (c *chain) end() End {
	e := End{Shard: c.Shard.Shard, Highest: c.counter}
	for i := len(c.epochs) - 1; i >= 0 && e.Segments == nil; i-- {
		e.Since = 0
		if i > 0 {
			e.Since = counters(c.moves)[i-1]
		}
		for _, s := range slices.Concat(c.epochs[i].times, c.epochs[i].sequences) {
			if !s.last.inWindow {
				continue
			}
			e.Segments = append(e.Segments, Segment{s.start, s.end})
			e.Counter = max(e.Counter, s.last.counter)
		}
	}
	for _, m := range c.moves {
		e.Highest = max(e.Highest, m.Counter)
		if m.Counter > e.Counter {
			e.Moved = &m
		}
	}
	return e
}

// Compare orders positions of one shard. Times and TRIM_HORIZON come before all sequence numbers: only a chain's first range
// begins there.
func Compare(a, b checkpoint.Position) int { return compare(a, b) }
