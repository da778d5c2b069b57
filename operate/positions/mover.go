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

// Mover moves the positions of shards.
type Mover struct {
	Store checkpoint.Store
	Notes Notes
	// To is the position to move to.
	To checkpoint.Position
	// Ahead allows moves past the current position: the records between are never delivered.
	Ahead bool
}

// Step is the effect of a move on one shard.
type Step struct {
	checkpoint.Lease
	Effect Effect
}

// Effect is what a move does.
type Effect string

const (
	Stays Effect = "stays as it is"
	Again Effect = "records after it are delivered AGAIN"
	Skips Effect = "records before it are SKIPPED"
)

// Plan returns the steps for the named shards, in order, or for all shards in the table if none are named. It changes
// nothing. Without Ahead, a shard that would skip records stays where it is, or causes an error if it is named.
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
			return nil, fmt.Errorf("%s is ahead of shard %s, which is at %s: moving there skips records, which only checkpoint set does", m.To, l.Shard, l.Checkpoint)
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

// effect compares a position with that of the lease. A time is compared with the arrival of the last committed record.
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
		return Stays // the shard has no records after it
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
	return Skips // from a time to a record: nothing was committed before that time
}

func againIf(b bool) Effect {
	if b {
		return Again
	}
	return Skips
}

// moveAttempts limits how often a move is tried when commits interfere.
const moveAttempts = 10

// Move moves one shard and returns its lease right before the move and after it. Both have the same counter if there was
// nothing left to move. If a commit changes the position after l was read, Move reads the lease again.
func (m Mover) Move(ctx context.Context, l checkpoint.Lease) (before, now checkpoint.Lease, err error) {
	for attempt := 1; ; attempt++ {
		switch to := effect(l, m.To); {
		case to == Stays: // moved by an attempt whose answer was lost
			return l, l, nil
		case to == Skips && !m.Ahead:
			return l, l, fmt.Errorf("shard %s is now at %s, and %s is ahead of it", l.Shard, l.Checkpoint, m.To)
		}
		// Write the note first: a move without a note would look like a fault for ever, while a note without a move is
		// harmless.
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
