package positions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
)

// Mover moves positions of shards.
type Mover struct {
	Store checkpoint.Store
	Notes Notes
	// To is where shards move.
	To checkpoint.Position
	// Ahead allows positions ahead of the present one: the records between are never delivered.
	Ahead bool
}

// Step says what a move does to one shard.
type Step struct {
	checkpoint.Lease
	Effect Effect
}

// Effect is where a move leads.
type Effect string

const (
	Stays Effect = "stays as it is"
	Again Effect = "records behind it are delivered AGAIN"
	Skips Effect = "records before it are SKIPPED"
)

// Plan says what is to be done to the shards, in their order; to all of the table if none are named. Without Ahead, a
// shard that would skip records stays, and is an error if it is named. Nothing is changed.
func (m Mover) Plan(ctx context.Context, shards []string) ([]Step, error) {
	leases, err := m.leases(ctx, shards)
	if err != nil {
		return nil, err
	}
	steps := make([]Step, len(leases))
	for i, l := range leases {
		steps[i] = Step{l, effect(l, m.To)}
		if steps[i].Effect != Skips || m.Ahead {
			continue
		}
		if len(shards) > 0 {
			return nil, fmt.Errorf("%s is ahead of shard %s, which is at %s: that skips records; checkpoint set does", m.To, l.Shard, l.Checkpoint)
		}
		steps[i].Effect = Stays
	}
	return steps, nil
}

func (m Mover) leases(ctx context.Context, shards []string) ([]checkpoint.Lease, error) {
	if len(shards) == 0 {
		snap, err := m.Store.Scan(ctx)
		slices.SortFunc(snap.Leases, func(a, b checkpoint.Lease) int { return strings.Compare(a.Shard, b.Shard) })
		return snap.Leases, err
	}
	var leases []checkpoint.Lease
	for _, shard := range slices.Compact(slices.Sorted(slices.Values(shards))) {
		l, err := m.Store.Lease(ctx, shard)
		if err != nil {
			return nil, fmt.Errorf("shard %s: %w", shard, err)
		}
		leases = append(leases, l)
	}
	return leases, nil
}

// effect tells where a position lies from the lease's. A time is held against the arrival of the last committed record.
func effect(l checkpoint.Lease, to checkpoint.Position) Effect {
	from := l.Checkpoint
	at, isTime := to.Timestamp()
	before, wasTime := from.Timestamp()
	_, fromSequence := from.SequenceNumber()
	_, toSequence := to.SequenceNumber()
	switch {
	case to == from:
		return Stays
	case isTime && from == checkpoint.ShardEnd && !l.Arrival.IsZero() && at.After(l.Arrival):
		return Stays // the shard has no records behind that
	case to == checkpoint.TrimHorizon, from == checkpoint.ShardEnd:
		return Again
	case to == checkpoint.ShardEnd, from == checkpoint.TrimHorizon:
		return Skips
	case isTime && wasTime:
		return againIf(at.Before(before))
	case isTime:
		return againIf(!at.After(l.Arrival))
	case fromSequence && toSequence:
		return againIf(record.CompareSequence(string(to), string(from)) < 0)
	}
	return Skips // to a record, from a time before which nothing is committed
}

func againIf(b bool) Effect {
	if b {
		return Again
	}
	return Skips
}

// moveAttempts bounds how often a move is tried while commits come between.
const moveAttempts = 10

// Move moves one shard from where the lease says it is, and returns its row as it was right before and as it is now. The
// two have the same lease counter if there was nothing to move any more. A commit that comes between reading the row and
// changing it moves the position itself: then the row is read again.
func (m Mover) Move(ctx context.Context, l checkpoint.Lease) (before, now checkpoint.Lease, err error) {
	for attempt := 1; ; attempt++ {
		switch to := effect(l, m.To); {
		case to == Stays: // by an attempt whose answer was lost
			return l, l, nil
		case to == Skips && !m.Ahead:
			return l, l, fmt.Errorf("shard %s is at %s now, and %s is ahead of that", l.Shard, l.Checkpoint, m.To)
		}
		// The note comes first: a position that moved without one would look like a fault for ever, a note without a
		// move says nothing.
		if err := m.Notes.write(ctx, l, m.To); err != nil {
			return l, l, fmt.Errorf("shard %s: write the note: %w", l.Shard, err)
		}
		moved, err := m.Store.Rewind(ctx, l, m.To)
		if err == nil {
			return l, moved, nil
		}
		if !errors.Is(err, checkpoint.ErrConflict) || attempt == moveAttempts {
			return l, l, fmt.Errorf("shard %s: %w", l.Shard, err)
		}
		again, err := m.Store.Lease(ctx, l.Shard)
		if err != nil {
			return l, l, fmt.Errorf("shard %s: %w", l.Shard, err)
		}
		l = again
	}
}
