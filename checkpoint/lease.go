package checkpoint

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ValidateNew checks that l may be the first row of a shard: nobody holds it yet.
func (l Lease) ValidateNew() error {
	if l.Shard == "" {
		return errors.New("lease without a shard")
	}
	if strings.HasPrefix(l.Shard, "#") {
		return fmt.Errorf("lease of shard %q: want a shard id", l.Shard)
	}
	if err := l.Checkpoint.Validate(); err != nil {
		return fmt.Errorf("lease of shard %s: %w", l.Shard, err)
	}
	if l.Owner != "" {
		return fmt.Errorf("lease of shard %s: a new row cannot have the owner %s: acquire it instead", l.Shard, l.Owner)
	}
	return nil
}

// Heir is where a child of the shard begins that has no row of its own. If records of the shard are wanted from some
// time on, the same holds for the child: of a child that is older than that time nothing earlier is wanted, and a
// younger one has nothing earlier. Once a record of the shard is committed, the child is known to be younger. Otherwise
// everything of the child is wanted. Earlier releases move a checkpoint without Begin, so Begin does not count if the
// checkpoint is before it.
func (l Lease) Heir() Position {
	begin := l.Begin
	if begin == "" || l.Checkpoint != ShardEnd {
		begin = Earliest(begin, l.Checkpoint) // no time, once a record is committed
	}
	if _, isTime := begin.Timestamp(); isTime && l.Arrival.IsZero() {
		return begin
	}
	return TrimHorizon
}

// Earliest returns whichever of two beginnings leaves nothing out. Any position that is not a time is before every
// time; the empty position means none.
func Earliest(a, b Position) Position {
	ta, isTime := a.Timestamp()
	tb, other := b.Timestamp()
	switch {
	case a == "":
		return b
	case b == "":
		return a
	case isTime && other && tb.Before(ta), isTime && !other:
		return b
	}
	return a
}

// Moved returns the row after an operator moved its position: nobody holds it, and nothing has been committed from
// there. Children without a row follow it. But giving up a shard, or reading an ended one again, takes nothing from its
// children.
func (l Lease) Moved(to Position) Lease {
	switch {
	case to == ShardEnd:
		l.Begin = l.Heir()
	case l.Checkpoint == ShardEnd:
		l.Begin = Earliest(l.Heir(), Lease{Checkpoint: to}.Heir())
	default:
		l.Begin = to
	}
	l.Checkpoint, l.Arrival = to, time.Time{}
	l.Owner = ""
	l.Counter++
	return l
}

// Passed reports whether every record of the shard that arrived before t is committed.
func (l Lease) Passed(t time.Time) bool {
	return l.Checkpoint == ShardEnd || !l.Stop.Until.IsZero() && !l.Stop.Until.Before(t) && l.Stop.After == l.Checkpoint
}

// ValidateDelete checks that the row of l may be removed: only a shard at its end has nothing to lose.
func (l Lease) ValidateDelete() error {
	if l.Checkpoint != ShardEnd {
		return fmt.Errorf("delete lease of shard %s: it is at %s, not at its end", l.Shard, l.Checkpoint)
	}
	return nil
}
