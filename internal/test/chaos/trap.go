package chaos

import (
	"context"
	"time"
)

// action is what a trap does to the daemon that springs it.
type action string

const (
	killBefore   action = "killed before"        // the request is lost with it
	killInFlight action = "killed in flight"     // the request is applied seconds after the death
	killAfter    action = "killed after"         // the request is applied, its answer never seen
	freezeBefore action = "frozen before"        // applied after others have taken over; the daemon comes back later
	freezeAfter  action = "frozen after"         // applied; the daemon sees the answer after others have taken over
	thawLate     action = "frozen, request late" // as frozen before, but applied only when the daemon is awake again
)

// Actions on the request instead: the connection stays open for as long as the daemon keeps it.
const (
	ignore action = "never answered, lost"    // nothing is applied
	hush   action = "never answered, applied" // applied
	stall  action = "answer never ends"       // applied, and half of the answer comes
)

var (
	actions  = []action{killBefore, killInFlight, killAfter, freezeBefore, freezeAfter, thawLate}
	silences = []action{ignore, hush, stall}
)

func (a action) kind() Kind {
	switch a {
	case killBefore, killInFlight, killAfter:
		return KillIn
	case ignore, hush, stall:
		return Silent
	}
	return FreezeIn
}

// steps are the requests at which daemons are killed and frozen: all steps of a batch, and the requests that keep a daemon in
// the fleet.
var steps = []string{Commit, Tombstone, Complete, Put, Forget, Part, Heartbeat, Acquire, Create, Abort}

// strikes happen to daemons between requests.
var strikes = []Kind{Killed, Frozen, Restart, Refused, Refused}

// spells happen to many requests, or to one for long.
var spells = []Kind{Expired, Forbidden, Barred, Exhausted, SlowPart, SlowComplete, LateError, FalseError, Conflict}

// gentle reports whether daemons continue their work during a strike of the kind.
func (k Kind) gentle() bool {
	switch k {
	case Barred, SlowPart, SlowComplete, LateError, FalseError, Conflict:
		return true
	}
	return false
}

// ends reports whether a strike of the kind ends a daemon.
func (k Kind) ends() bool { return k == Killed || k == Restart || k == KillIn }

// permitted are the requests whose permission is revoked: those that daemons make all the time. A request that S3 has denied is
// repeated after 10 to 20 seconds, which is too long for a short storm.
var (
	permitted      = []string{Commit, Heartbeat, Read, "Scan", "ListShards", Complete, Put, Part, Create, "HeadObject"}
	permittedBrief = permitted[:5]
)

// requests are all that daemons make in a storm; each is left unanswered in turn.
var requests = []string{
	Commit, Tombstone, Complete, Put, Forget, Part, Heartbeat, Acquire, Create, Abort,
	Read, Subscribe, "GetShardIterator", "ListShards", "DescribeStreamSummary", "DescribeStreamConsumer",
	"Scan", "GetItem application", "GetItem batch", "PutItem lease", "DeleteItem worker", "DescribeTable",
	"HeadObject", "HeadBucket", State, Look, Order, Obey, TakeLead,
}

// trap waits for the next request of an operation, whoever makes it.
type trap struct {
	operation string
	action    action
	freeze    time.Duration
	slots     chan struct{} // it takes one when it springs, and waits while there is none
	sprung    chan struct{} // closed when it has met its request
	over      chan struct{} // closed when the request has met its fate
}

func newTrap(what strike, freeze time.Duration, slots chan struct{}) *trap {
	return &trap{
		operation: what.operation, action: what.action, freeze: freeze, slots: slots,
		sprung: make(chan struct{}), over: make(chan struct{}),
	}
}

// wait waits until the request that sprang the trap has met its fate.
func (t *trap) wait(ctx context.Context) {
	select {
	case <-t.over:
	case <-ctx.Done():
	}
}

// arm sets a trap.
func (w *weather) arm(t *trap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.calm {
		w.traps[t] = true
	}
}

// disarm removes a trap that no request has sprung.
func (w *weather) disarm(t *trap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.traps, t)
}

// waiting returns the number of waiting traps.
func (w *weather) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.traps)
}

// springLocked returns the trap that a call springs, which takes its slot, or nil.
func (w *weather) springLocked(operation string) *trap {
	for t := range w.traps {
		if t.operation != operation {
			continue
		}
		select {
		case t.slots <- struct{}{}:
		default:
			continue
		}
		delete(w.traps, t)
		w.countLocked(t.action.kind(), operation)
		w.sprungLocked(t)
		close(t.sprung)
		return t
	}
	return nil
}
