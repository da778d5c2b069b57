package checkpoint

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ValidateNew tells whether l may be the row of a shard that has none: nobody holds it yet.
func (l Lease) ValidateNew() error {
	if l.Shard == "" {
		return errors.New("lease without a shard")
	}
	if strings.HasPrefix(l.Shard, "#") {
		return fmt.Errorf("lease of shard %q: that is no shard id", l.Shard)
	}
	if err := l.Checkpoint.Validate(); err != nil {
		return fmt.Errorf("lease of shard %s: %w", l.Shard, err)
	}
	if l.Owner != "" {
		return fmt.Errorf("lease of shard %s: a new row can not have the owner %s; acquire it", l.Shard, l.Owner)
	}
	return nil
}

// Heir is where a child of the shard begins that has no row of its own. If records of the shard are wanted from a time
// on, those of the child are, too: of a child that is older than that time nothing before it is wanted, and a younger
// one has nothing before it. Once a record of the shard is committed the child is known to be younger. Otherwise
// everything of the child is wanted. Earlier releases move a checkpoint without Begin: it does not count where the
// checkpoint lies before it.
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

// Earliest returns the one of two beginnings that leaves nothing out, where any position that is not a time is before every
// time; the empty position is none.
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

// Moved returns the row as it is after its position was moved on purpose: nobody holds it, and nothing has been
// committed from there. Children without a row follow to where it goes. But to give up a shard, and to read one again
// that had ended, takes nothing from them.
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

// ValidateDelete tells whether the row of l may be removed: only a shard that is at its end has nothing to lose.
func (l Lease) ValidateDelete() error {
	if l.Checkpoint != ShardEnd {
		return fmt.Errorf("delete lease of shard %s: it is at %s, not at its end", l.Shard, l.Checkpoint)
	}
	return nil
}
