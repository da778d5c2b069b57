package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Coordination is how the workers of a fleet share one reading of the table. One worker leads: it scans the table, plans for all, and
// gives each other worker its orders. The others follow: they read the leader's heartbeat, and their own orders when those have
// changed. It only saves requests. Two leaders at once, stale orders or no leader at all cost time and nothing else, because safety
// rests on the conditions of Commit and Bury.
type Coordination interface {
	// Lead reads who leads, with strong consistency. It is zero if nobody ever led.
	Lead(ctx context.Context) (Lead, error)
	// TakeLead makes a worker the leader, provided that Lead still returns was, and raises the term by one. It returns the lead after
	// the write; ErrConflict if another worker was faster.
	TakeLead(ctx context.Context, was Lead, worker string) (Lead, error)
	// Resign leaves the fleet without a leader, and raises the term by one. ErrConflict means that lead is no longer in force.
	Resign(ctx context.Context, lead Lead) error
	// Worker reads one heartbeat, minus the store's replication delay; ErrNotFound if there is none.
	Worker(ctx context.Context, id string) (Worker, error)
	// GiveOrders replaces the orders of a worker. ErrConflict means that the stored ones are newer: of a higher term, or of the same term
	// with a higher number. ErrOrdersTooLarge means that nothing was sent and retrying does not help.
	GiveOrders(ctx context.Context, worker string, o Orders) error
	// Orders reads the orders of a worker with strong consistency; ErrNotFound if there are none.
	Orders(ctx context.Context, worker string) (Orders, error)
	// Dismiss removes the orders of a worker. It is not an error if there are none.
	Dismiss(ctx context.Context, worker string) error
}

// Lead says who leads the fleet.
type Lead struct {
	Worker string // empty if nobody does
	Term   int64  // grows by one with each change
}

// Next returns the lead after a worker has taken it, or, if worker is empty, after it was resigned.
func (l Lead) Next(worker string) Lead { return Lead{Worker: worker, Term: l.Term + 1} }

// Order is what a worker should do with one lease.
type Order struct {
	Shard   string
	Counter int64  // of the row, as the leader read it
	Owner   string // of the row, as the leader read it; empty if nobody held it
	Away    bool   // hand it over: drain, commit, release
}

// Orders are what the leader wants of one worker: all leases that it should hold, those that it should hand over, and batches that it
// should publish. They are complete, so that a worker needs only the latest.
type Orders struct {
	Term, Number int64 // the leader's term, and the number of its plan
	Leases       []Order
	// Batches are batches left in the outbox: only ID, Worker, Created and Tables are set.
	Batches []Batch
}

// After reports whether o are newer than other orders.
func (o Orders) After(other Orders) bool {
	return o.Term > other.Term || o.Term == other.Term && o.Number > other.Number
}

// MaxOrders is the maximum size in bytes of encoded orders. An item takes up to 400 KB, with its key and the names of its attributes
// (Amazon DynamoDB Developer Guide, "Quotas"). Ten thousand leases take some 30 KB.
const MaxOrders = 390 << 10

// ErrOrdersTooLarge means that orders exceed MaxOrders.
var ErrOrdersTooLarge = errors.New("the orders exceed the size limit of their item")

// columns are orders as they are stored: shards beside shards and counters beside counters compress best.
type columns struct {
	Shards   []string       `json:"shards,omitempty"`
	Counters []int64        `json:"counters,omitempty"`
	Owners   []string       `json:"owners,omitempty"` // each once
	Owner    []int          `json:"owner,omitempty"`  // index into Owners
	Away     []int          `json:"away,omitempty"`   // indexes into Shards
	Batches  []orderedBatch `json:"batches,omitempty"`
}

type orderedBatch struct {
	ID      string    `json:"batch"`
	Worker  string    `json:"worker,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Tables  []string  `json:"tables,omitempty"`
}

// EncodeOrders returns the leases and batches of orders in the encoding of an item, JSON compressed with zstd. The same orders always
// give the same bytes. It fails with ErrOrdersTooLarge if they exceed MaxOrders.
func EncodeOrders(o Orders) ([]byte, error) {
	var c columns
	index := make(map[string]int)
	for i, l := range o.Leases {
		owner, known := index[l.Owner]
		if !known {
			owner = len(c.Owners)
			index[l.Owner], c.Owners = owner, append(c.Owners, l.Owner)
		}
		c.Shards, c.Counters, c.Owner = append(c.Shards, l.Shard), append(c.Counters, l.Counter), append(c.Owner, owner)
		if l.Away {
			c.Away = append(c.Away, i)
		}
	}
	for _, b := range o.Batches {
		c.Batches = append(c.Batches, orderedBatch{ID: b.ID, Worker: b.Worker, Created: b.Created.UTC(), Tables: b.Tables})
	}
	data, err := encode(c)
	switch {
	case err != nil:
		return nil, fmt.Errorf("encode orders: %w", err)
	case len(data) > MaxOrders:
		return nil, fmt.Errorf("encode orders for %d leases and %d batches: %d bytes, want at most %d: %w",
			len(o.Leases), len(o.Batches), len(data), MaxOrders, ErrOrdersTooLarge)
	}
	return data, nil
}

// DecodeOrders is the reverse of EncodeOrders. What a later release may add is ignored.
func DecodeOrders(data []byte) (Orders, error) {
	var c columns
	if err := decode(data, &c); err != nil {
		return Orders{}, fmt.Errorf("decode orders: %w", err)
	}
	if len(c.Counters) != len(c.Shards) || len(c.Owner) != len(c.Shards) {
		return Orders{}, fmt.Errorf("decode orders: %d shards, %d counters and %d owners: want one of each for a lease", len(c.Shards), len(c.Counters), len(c.Owner))
	}
	var o Orders
	for i, shard := range c.Shards {
		if c.Owner[i] < 0 || c.Owner[i] >= len(c.Owners) {
			return Orders{}, fmt.Errorf("decode orders: shard %s has owner %d of %d", shard, c.Owner[i], len(c.Owners))
		}
		o.Leases = append(o.Leases, Order{Shard: shard, Counter: c.Counters[i], Owner: c.Owners[c.Owner[i]]})
	}
	for _, i := range c.Away {
		if i < 0 || i >= len(o.Leases) {
			return Orders{}, fmt.Errorf("decode orders: lease %d of %d is to be handed over", i, len(o.Leases))
		}
		o.Leases[i].Away = true
	}
	for _, b := range c.Batches {
		o.Batches = append(o.Batches, Batch{ID: b.ID, Worker: b.Worker, Created: b.Created, Tables: b.Tables})
	}
	return o, nil
}

// Fleet is what the leader says of the whole fleet in its heartbeat.
type Fleet struct {
	Term int64 `json:"term"`
	// Number changes whenever the orders of any worker have changed.
	Number int64 `json:"number"`

	Leases  int `json:"leases"`
	Free    int `json:"free"`
	Trimmed int `json:"trimmed"` // shards whose position is older than the stream holds
	Workers int `json:"workers"`
	Lost    int `json:"lost"`

	// Complete is the statement of up to when the data is complete.
	Complete Complete `json:"complete,omitzero"`
	// Finished is the stop position up to which everything is delivered; zero if that is not reached, or there is none.
	Finished time.Time `json:"finished,omitzero"`
}

// Normalized returns the summary as a Store keeps it.
func (f Fleet) Normalized() Fleet {
	f.Complete, f.Finished = f.Complete.Normalized(), f.Finished.UTC().Round(0)
	return f
}

// EncodeFleet returns the summary in the encoding of a heartbeat, JSON of less than 500 bytes.
func EncodeFleet(f Fleet) (string, error) {
	text, err := json.Marshal(f.Normalized())
	return string(text), err
}

// DecodeFleet is the reverse of EncodeFleet. A later release may say other things in its heartbeat, and no worker may stumble over
// that: a member that this release cannot read stays zero, and DecodeFleet returns nil if it can read none.
func DecodeFleet(text string) *Fleet {
	var f Fleet
	err := json.Unmarshal([]byte(text), &f)
	if _, member := errors.AsType[*json.UnmarshalTypeError](err); err != nil && (!member || f == (Fleet{})) {
		return nil
	}
	return &f
}
