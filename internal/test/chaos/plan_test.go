package chaos

import (
	"slices"
	"testing"
)

func anything(strike) bool { return true }

// Whatever luck has hit already, unmet goals come first.
func TestDeck_PrefersWhatServesAGoal(t *testing.T) {
	w := newWeather(1)
	goals := []goal{
		{kinds: []Kind{Frozen}}, {kinds: []Kind{KillIn, FreezeIn}, where: Abort}, {kinds: []Kind{ServerError}},
	}
	var d deck
	cards := []strike{{kind: Killed}, {kind: KillIn, operation: Put}, {kind: FreezeIn, operation: Abort}, {kind: Killed}, {kind: Frozen}}
	d.put(cards...)
	var order []strike
	for !d.empty() {
		next, ok := d.draw(w.unmet(goals), anything)
		if !ok {
			t.Fatal("no strike is possible")
		}
		where := next.operation
		if where == "" {
			where = "daemon 0"
		}
		w.count(next.kind, where)
		order = append(order, next)
	}
	want := []strike{cards[2], cards[4], cards[0], cards[1], cards[3]}
	if !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
	if unmet := w.unmet(goals); len(unmet) != 1 || unmet[0].String() != "server error" {
		t.Errorf("still unmet: %v, want the server error", unmet)
	}
}

func TestDeck_LeavesOutWhatIsNotPossible(t *testing.T) {
	goals := []goal{{kinds: []Kind{Restart}}}
	kills := func(s strike) bool { return s.kind != KillIn }
	var d deck
	d.put(strike{kind: KillIn, operation: Put}, strike{kind: Frozen}, strike{kind: Restart})
	if next, ok := d.draw(goals, kills); !ok || next.kind != Restart {
		t.Errorf("%v, %v, want the restart that serves a goal", next, ok)
	}
	// Others wait for what is on top, so the storm keeps its mixture.
	if next, ok := d.draw(goals, kills); ok {
		t.Errorf("%v was drawn from below", next)
	}
}

// A deck serves all goals that strikes can serve, with each step in the first round.
func TestStrikes_ServeAllGoals(t *testing.T) {
	c := config{Seed: 1, Strikes: slices.Concat(strikes, spells), Steps: steps, Actions: actions, Silenced: requests, Buckets: []string{"a", "b"}}
	s := newStorm(c)
	all := slices.Concat(s.strikes(), s.silences())
	for _, thorough := range []bool{false, true} {
		for _, g := range goals(c, thorough) {
			byItself := slices.ContainsFunc(g.kinds, func(k Kind) bool {
				return k == Outage || k == Moved || slices.Contains(requestKinds, k)
			})
			if !byItself && !slices.ContainsFunc(all, func(s strike) bool { return s.serves(g) }) {
				t.Errorf("no strike serves %q", g)
			}
		}
	}
	if want := len(steps)*len(actions) + len(requests)*len(silences) + len(actions)*len(c.Strikes); len(all) != want {
		t.Errorf("%d strikes, want %d", len(all), want)
	}
	seen := map[string]int{}
	first := true
	for _, s := range all {
		if s.kind != KillIn && s.kind != FreezeIn {
			continue
		}
		if seen[s.operation]++; seen[s.operation] > 1 {
			first = false
		}
		if first && len(seen) == len(steps) {
			break
		}
	}
	if !first {
		t.Errorf("a step comes a second time before all have come once: %v", seen)
	}
}

// An operation of few requests meets the faults of the goals first, however common they are elsewhere.
func TestWeather_DealsWhatTheGoalsAskForFirst(t *testing.T) {
	w := newWeather(1)
	wanted := []Kind{Doubled, LateRequest, LostAnswer}
	for _, kind := range wanted {
		w.goals = append(w.goals, goal{[]Kind{kind}, Append})
		for range 100 {
			w.count(kind, Put)
		}
	}
	var first []Kind
	for range requestKinds {
		kind := w.drawLocked(Append)
		w.countLocked(kind, Append)
		first = append(first, kind)
	}
	if got := slices.Sorted(slices.Values(first[:len(wanted)])); !slices.Equal(got, slices.Sorted(slices.Values(wanted))) {
		t.Errorf("the first faults are %v, want %v", got, wanted)
	}
	if rest := slices.Compact(slices.Sorted(slices.Values(first))); len(rest) != len(requestKinds) {
		t.Errorf("%d kinds in a deck, want each of %d once", len(rest), len(requestKinds))
	}
}
