package chaos

import "time"

// action is what a trap does to the daemon whose request springs it.
type action string

const (
	killBefore   action = "killed before"        // the request is lost with it
	killInFlight action = "killed in flight"     // the request is applied seconds after the death
	killAfter    action = "killed after"         // the request is applied, its answer never seen
	freezeBefore action = "frozen before"        // applied when others have taken over, answered to a daemon that comes back
	freezeAfter  action = "frozen after"         // applied, the answer seen when others have taken over
	thawLate     action = "frozen, request late" // as frozen before, but applied only when the daemon is awake again
)

var actions = []action{killBefore, killInFlight, killAfter, freezeBefore, freezeAfter, thawLate}

func (a action) kind() Kind {
	switch a {
	case killBefore, killInFlight, killAfter:
		return KillIn
	}
	return FreezeIn
}

// steps are the requests at which daemons are killed and frozen: all that the way of a batch consists of, and what keeps
// a daemon a member of the fleet.
var steps = []string{Commit, Tombstone, Complete, Put, Forget, Part, Heartbeat, Acquire, Create, Abort}

// strikes are what happens to daemons between requests.
var strikes = []Kind{Killed, Frozen, Restart, Refused, Refused}

const anyWorker = -1

// trap waits for the next request of an operation.
type trap struct {
	worker    int
	operation string
	action    action
	freeze    time.Duration
	sprung    chan struct{} // closed when it has met its request
}

// arm lays a trap.
func (w *weather) arm(t *trap) {
	t.sprung = make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.calm {
		w.traps[t] = true
	}
}

// disarm takes a trap away that nothing has met.
func (w *weather) disarm(t *trap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.traps, t)
}
