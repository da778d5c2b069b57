package chaos

import (
	"slices"
	"time"
)

// anyWorker stands for all workers.
const anyWorker = -1

// spell is a condition that lasts: while it is on, the requests that it matches meet its kind.
type spell struct {
	kind      Kind
	worker    int     // or anyWorker
	service   Service // empty for all
	operation string  // empty for all
	object    string  // empty for all
	binds     bool    // after its first request it matches all those of the same object, and no others
	delay     time.Duration
	share     float64 // of the matching requests; 0 for all of them
	times     int     // how many requests it meets; 0 for any number

	hits int
	met  chan struct{} // closed when it has met its first request
}

func (s *spell) matches(c call) bool {
	return (s.worker == anyWorker || s.worker == c.worker) &&
		(s.service == "" || s.service == c.service) &&
		(s.operation == "" || s.operation == c.operation) &&
		(s.object == "" || s.object == c.object)
}

// cast begins a spell, which lasts until it is lifted, has met its number of requests, or the weather settles.
func (w *weather) cast(s *spell) {
	s.met = make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.calm {
		w.spells = append(w.spells, s)
	}
}

// lift ends a spell.
func (w *weather) lift(s *spell) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.liftLocked(s)
}

func (w *weather) liftLocked(s *spell) {
	w.spells = slices.DeleteFunc(w.spells, func(other *spell) bool { return other == s })
}

// under reports whether a spell of a kind is on and has met a request.
func (w *weather) under(kind Kind) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.spells, func(s *spell) bool { return s.kind == kind && s.hits > 0 })
}

// boundLocked returns the spell that a request meets; nil if there is none. A spell counts as one fault, at the first of its requests.
func (w *weather) boundLocked(c call) *spell {
	for _, s := range w.spells {
		if !s.matches(c) || s.share > 0 && w.rng.Float64() >= s.share {
			continue
		}
		if s.hits++; s.hits == 1 {
			w.countLocked(s.kind, c.operation)
			close(s.met)
		}
		if s.binds {
			s.operation, s.object = "", c.object
		}
		if s.hits == s.times {
			w.liftLocked(s)
		}
		return s
	}
	return nil
}
