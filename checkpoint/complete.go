package checkpoint

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"
)

// Complete is the application's statement that nothing more will appear that arrived before a certain time: every such
// record that the stream accepted is in a published batch, from the application's start position on. It is true once it is
// made, and only a rewind takes it back, because a rewind delivers records again.
type Complete struct {
	// UpTo is the arrival time up to which the data is complete, in whole milliseconds; the zero time says nothing.
	UpTo time.Time
	// At is when the statement was made, by the clock of the stream's service.
	At time.Time
	// Shards is the number of unfinished shards that it covers.
	Shards int
	// Rewinds is how many rewinds have taken a statement back. Whoever makes a statement names the number that it knew
	// before it looked at the positions.
	Rewinds int64
}

// Completeness keeps the application's statement.
type Completeness interface {
	// Complete reads the statement with strong consistency. It is zero if there is none.
	Complete(ctx context.Context) (Complete, error)
	// RaiseComplete replaces the statement by c, provided that c is later and names the present Rewinds, and returns the one
	// that is in force afterwards. A statement that is already as late stays, without an error. ErrConflict means that
	// positions were moved since: what c was concluded from is void.
	RaiseComplete(ctx context.Context, c Complete) (Complete, error)
}

// Rewound returns the statement after positions were moved.
func (c Complete) Rewound() Complete { return Complete{Rewinds: c.Rewinds + 1} }

// Normalized returns the statement as a Store keeps it.
func (c Complete) Normalized() Complete {
	c.UpTo, c.At = c.UpTo.UTC().Truncate(time.Millisecond), c.At.UTC().Truncate(time.Millisecond)
	return c
}

// LeaseDigest identifies a set of leases as they are held, by shard and counter, whatever their order. Two different sets
// have the same digest with a probability of 2 to the power of -64.
func LeaseDigest(leases []Lease) uint64 {
	sorted := slices.SortedFunc(slices.Values(leases), func(a, b Lease) int { return cmp.Compare(a.Shard, b.Shard) })
	h := fnv.New64a()
	for _, l := range sorted {
		var counter [8]byte
		binary.BigEndian.PutUint64(counter[:], uint64(l.Counter))
		h.Write([]byte(l.Shard))
		h.Write([]byte{0}) // no shard id contains it
		h.Write(counter[:])
	}
	return h.Sum64()
}
