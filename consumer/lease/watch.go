package lease

import (
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// watch judges whether other workers are alive: by how long their heartbeats have stood still over successive scans,
// measured by this process's own clock. Clocks of other hosts play no part.
type watch struct {
	failover time.Duration
	every    time.Duration // the usual time between scans
	seen     map[string]sighting
	now      time.Time // when the latest scan began
	ended    time.Time // when the latest scan was complete
	gap      time.Duration
}

// sighting is the state in which a worker was first seen, unchanged since.
type sighting struct {
	present bool // it has a heartbeat item
	beat    int64
	since   time.Time
	came    time.Time // when it was first seen, or first seen again
}

func newWatch(failover, every time.Duration) watch {
	return watch{failover: failover, every: every, seen: make(map[string]sighting)}
}

// observe adds a scan that was read from began to ended. Workers without a heartbeat item that leases or batches name
// are watched too: they may have died before their first heartbeat was seen, or their item may have been removed.
func (w *watch) observe(began, ended time.Time, snap checkpoint.Snapshot) {
	now := make(map[string]sighting, len(w.seen))
	for _, l := range snap.Leases {
		if l.Owner != "" {
			now[l.Owner] = sighting{}
		}
	}
	for _, b := range snap.Batches {
		now[b.Worker] = sighting{}
	}
	for _, item := range snap.Workers {
		now[item.ID] = sighting{present: true, beat: item.Beat}
	}
	w.see(began, ended, now)
}

// see adds what was read of the workers from began to ended. A worker that was dead before a blind spell stays dead until its heartbeat
// moves: its leases have gone to others, and should not go back and forth because nobody looked for a while.
func (w *watch) see(began, ended time.Time, now map[string]sighting) {
	blind := w.wasBlind(began, ended)
	for id, s := range now {
		before, known := w.seen[id]
		s.since, s.came = ended, ended
		if known && (!blind || w.dead(id)) && before.present == s.present && before.beat == s.beat {
			s.since = before.since
		}
		if known && before.present == s.present {
			s.came = before.came
		}
		now[id] = s
	}
	w.seen, w.now, w.ended = now, began, ended
}

// wasBlind reports whether so much time passed since the previous scan, or in this one, that a heartbeat standing still means
// nothing: this process was frozen, or the store was unavailable to everyone. Scans that are always slow do not count as
// blindness.
func (w *watch) wasBlind(began, ended time.Time) bool {
	if w.ended.IsZero() {
		return false
	}
	before := w.gap
	w.gap = max(began.Sub(w.ended), ended.Sub(began))
	return w.gap > 2*max(w.every, before)
}

// dead reports whether the worker's heartbeat has stood still, or been missing, for the failover time.
func (w *watch) dead(id string) bool {
	s, known := w.seen[id]
	return known && w.now.Sub(s.since) >= w.failover
}

// still returns how long the heartbeat has not moved.
func (w *watch) still(id string) time.Duration {
	s, known := w.seen[id]
	if !known {
		return 0
	}
	return max(0, w.now.Sub(s.since))
}

// settled reports whether a worker has been there for the failover time.
func (w *watch) settled(id string) bool {
	s, known := w.seen[id]
	return known && w.now.Sub(s.came) >= w.failover
}

// due returns how long it takes from now until a worker has settled, or counts as dead if its heartbeat does not move until then; at
// most the failover time.
func (w *watch) due(now time.Time) time.Duration {
	next := w.failover
	for id, s := range w.seen {
		if s.present && !w.settled(id) {
			next = min(next, s.came.Add(w.failover).Sub(now))
		}
		if !w.dead(id) {
			next = min(next, s.since.Add(w.failover).Sub(now))
		}
	}
	return next
}

// live returns the ids of the workers that have a heartbeat item and are not dead, in order; self is always included.
func (w *watch) live(self string) []string {
	ids := []string{self}
	for id, s := range w.seen {
		if id != self && s.present && !w.dead(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
