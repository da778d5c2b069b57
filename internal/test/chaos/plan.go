package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// strike is one thing that happens to daemons.
type strike struct {
	kind      Kind
	operation string // of a trap
	action    action // of a trap
}

// goal is something that must happen before a storm ends: one of several kinds of fault, at an operation or anywhere.
type goal struct {
	kinds []Kind
	where string // empty for anywhere
}

func (g goal) String() string {
	names := make([]string, len(g.kinds))
	for i, kind := range g.kinds {
		names[i] = string(kind)
	}
	what := strings.Join(names, " or ")
	if g.where != "" {
		what += " at " + g.where
	}
	return what
}

// serves reports whether a strike that meets its request meets the goal.
func (s strike) serves(g goal) bool {
	return slices.Contains(g.kinds, s.kind) && (g.where == "" || g.where == s.operation)
}

func (s strike) servesAny(goals []goal) bool { return slices.ContainsFunc(goals, s.serves) }

// goals returns the goals of a storm: each kind once, and a daemon killed or frozen at each step. A thorough storm does both
// at each step, and leaves each request unanswered.
func goals(c config, thorough bool) []goal {
	var all []goal
	kinds := slices.Concat(requestKinds, c.Strikes, []Kind{Outage, KillIn, FreezeIn})
	if len(c.Silenced) > 0 {
		kinds = append(kinds, Silent)
	}
	if len(c.Buckets) > 1 {
		kinds = append(kinds, Moved)
	}
	slices.Sort(kinds)
	for _, kind := range slices.Compact(kinds) {
		all = append(all, goal{kinds: []Kind{kind}})
	}
	for _, step := range c.Steps {
		if thorough {
			all = append(all, goal{[]Kind{KillIn}, step}, goal{[]Kind{FreezeIn}, step})
		} else {
			all = append(all, goal{[]Kind{KillIn, FreezeIn}, step})
		}
	}
	if thorough {
		for _, operation := range c.Silenced {
			all = append(all, goal{[]Kind{Silent}, operation})
		}
	}
	return all
}

// unmet returns the goals that nothing has met so far.
func (w *weather) unmet(goals []goal) []goal {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(goals), func(g goal) bool {
		return slices.ContainsFunc(g.kinds, func(kind Kind) bool {
			if g.where == "" {
				return len(w.counts[kind]) > 0
			}
			return w.counts[kind][g.where] > 0
		})
	})
}

// waits reports whether a strike of the same kind waits or lasts already: a trap at its operation, or a spell.
func (w *weather) waits(next strike) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.traps {
		if t.operation == next.operation && t.action.kind() == next.kind {
			return true
		}
	}
	return slices.ContainsFunc(w.spells, func(s *spell) bool { return s.kind == next.kind })
}

// deck holds the strikes that are still to come.
type deck struct {
	mu    sync.Mutex
	cards []strike
}

// put adds strikes at the end.
func (d *deck) put(cards ...strike) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cards = append(d.cards, cards...)
}

// putUnless adds a strike that has not been met.
func (d *deck) putUnless(met bool, card strike) {
	if !met {
		d.put(card)
	}
}

func (d *deck) empty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.cards) == 0
}

// draw takes the first possible strike that serves a goal. Once no strike of the deck does, it takes the one on top, if
// that is possible.
func (d *deck) draw(goals []goal, possible func(strike) bool) (next strike, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, serving := 0, false
	for i, card := range d.cards {
		if !card.servesAny(goals) {
			continue
		}
		if serving = true; possible(card) {
			at, ok = i, true
			break
		}
	}
	if !serving {
		ok = len(d.cards) > 0 && possible(d.cards[0])
	}
	if !ok {
		return strike{}, false
	}
	next = d.cards[at]
	d.cards = slices.Delete(d.cards, at, at+1)
	return next, true
}

// strikes returns, shuffled, what kills, freezes and otherwise hits daemons: each step with each action once, and between them
// what happens at any moment. Every step comes once before any comes a second time.
func (s *storm) strikes() []strike {
	var all []strike
	for _, part := range s.rounds(s.cfg.Steps, s.cfg.Actions) {
		for _, kind := range s.cfg.Strikes {
			part = append(part, strike{kind: kind})
		}
		shuffle(s.dice, part)
		all = append(all, part...)
	}
	return all
}

// silences returns, shuffled, strikes that leave each operation unanswered in each way once.
func (s *storm) silences() []strike {
	var all []strike
	for _, part := range s.rounds(s.cfg.Silenced, silences) {
		shuffle(s.dice, part)
		all = append(all, part...)
	}
	return all
}

// rounds returns one round per action. In each round every operation meets one action, and after all rounds it has met all.
func (s *storm) rounds(operations []string, actions []action) [][]strike {
	out := make([][]strike, len(actions))
	for _, operation := range operations {
		row := slices.Clone(actions)
		shuffle(s.dice, row)
		for i, a := range row {
			out[i] = append(out[i], strike{kind: a.kind(), operation: operation, action: a})
		}
	}
	return out
}

// describe lists goals.
func describe(goals []goal) string {
	var b strings.Builder
	for _, g := range goals {
		fmt.Fprintf(&b, "\n  %s", g)
	}
	return b.String()
}
