package chaos

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is a kind of fault.
type Kind string

// Faults of a single request.
const (
	ServerError Kind = "server error"  // 500, nothing applied
	Unavailable Kind = "unavailable"   // 503, nothing applied
	Throttled   Kind = "throttled"     // with the service's own error, nothing applied
	LostRequest Kind = "lost request"  // connection dropped, nothing applied
	LostAnswer  Kind = "lost answer"   // applied, connection dropped
	TornAnswer  Kind = "torn answer"   // applied, connection dropped in the middle of the answer
	LateAnswer  Kind = "late answer"   // applied at once, answered seconds later
	LateRequest Kind = "late request"  // connection dropped, applied seconds later
	Doubled     Kind = "doubled"       // applied twice, the second answer is given
	Echoed      Kind = "doubled later" // answered, and applied again seconds later
	SlowAnswer  Kind = "slow body"     // the answer trickles
)

// Faults of a daemon or a service.
const (
	Refused  Kind = "connection refused" // one daemon cannot reach one service
	Outage   Kind = "service outage"     // no daemon can reach one service
	Killed   Kind = "kill -9"
	Frozen   Kind = "freeze"
	Restart  Kind = "graceful restart"
	KillIn   Kind = "kill at a request"
	FreezeIn Kind = "freeze at a request"
	Stepped  Kind = "clock stepped"  // the wall clock of a daemon's host jumps, and later back
	Silent   Kind = "never answered" // a request is accepted, and the connection stays open
	Moved    Kind = "changed bucket" // a daemon restarts with another bucket
)

// Spells.
const (
	Expired      Kind = "expired credentials" // of one daemon
	Forbidden    Kind = "lost permission"     // of all daemons, for one operation
	Barred       Kind = "refused batch"       // S3 denies all access to one file of a batch
	Exhausted    Kind = "long throttle"       // DynamoDB lets few requests through
	SlowPart     Kind = "slow part"
	SlowComplete Kind = "slow completion" // a 200 at once, then white space, then the answer
	Conflict     Kind = "refused commit"  // as if the lease were lost, nothing applied
	// An error in the body of a 200 (Amazon S3 API reference, CompleteMultipartUpload).
	LateError  Kind = "error in a 200" // nothing applied
	FalseError Kind = "applied, error in a 200"
)

// requestKinds are dealt for every operation in turn.
var requestKinds = []Kind{
	ServerError, Unavailable, Throttled, LostRequest, LostAnswer, TornAnswer, LateAnswer, LateRequest, Doubled, Echoed, SlowAnswer,
}

// odds is the chance of a request to meet a fault. It is higher for requests that decide about records than for reads.
var odds = map[string]float64{
	Commit: 0.35, Tombstone: 0.35, Complete: 0.12, Put: 0.2, Forget: 0.2, Create: 0.05, Part: 0.07, Abort: 0.2, Acquire: 0.1,
	Subscribe: 0.3, Append: 0.7, Load: 0.1,
}

const otherOdds = 0.02

// weather decides what happens to requests, and counts it.
type weather struct {
	mu     sync.Mutex
	rng    *rand.Rand
	calm   bool                    // nothing happens any more
	quiet  bool                    // only traps happen
	goals  []goal                  // of the storm
	decks  map[string][]Kind       // what is left of the kinds, by operation
	counts map[Kind]map[string]int // by kind and operation
	traps  map[*trap]bool          // waiting
	spells []*spell                // active
	// settled is closed when the weather settles.
	settled chan struct{}
	sprung  map[string]map[action]int // by operation
}

func newWeather(seed uint64) *weather {
	return &weather{
		rng: rand.New(rand.NewPCG(seed, 1)), decks: map[string][]Kind{}, counts: map[Kind]map[string]int{},
		traps: map[*trap]bool{}, sprung: map[string]map[action]int{}, settled: make(chan struct{}),
	}
}

// fate is what happens to a request: nothing, a fault, or a trap.
type fate struct {
	kind  Kind
	delay time.Duration
	trap  *trap
	// settled ends long faults early; nil if there are none.
	settled <-chan struct{}
}

// wait lasts for the delay, or until the weather settles.
func (f fate) wait() {
	select {
	case <-time.After(f.delay):
	case <-f.settled:
	}
}

// meet decides about a request.
func (w *weather) meet(c call) fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calm {
		return fate{}
	}
	u := w.rng.Float64() // mostly short, sometimes longer than a takeover
	delay := 200*time.Millisecond + time.Duration(u*u*float64(7*time.Second))
	if t := w.springLocked(c.operation); t != nil {
		return fate{trap: t, delay: delay}
	}
	if s := w.boundLocked(c); s != nil {
		return fate{kind: s.kind, delay: s.delay, settled: w.settled}
	}
	chance, ok := odds[c.operation]
	if !ok {
		chance = otherOdds
	}
	if w.quiet || w.rng.Float64() >= chance {
		return fate{}
	}
	kind := w.drawLocked(c.operation)
	w.countLocked(kind, c.operation)
	return fate{kind: kind, delay: delay}
}

// drawLocked picks a kind for an operation. Each kind comes once before any comes again: first those that the storm must see at
// this operation, which may be a rare one, and then the rarest so far.
func (w *weather) drawLocked(operation string) Kind {
	deck := w.decks[operation]
	if len(deck) == 0 {
		deck = slices.Clone(requestKinds)
		w.rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	}
	next := 0
	for i, kind := range deck {
		if w.wantsLocked(kind, operation) {
			next = i
			break
		}
		if w.totalLocked(kind) < w.totalLocked(deck[next]) {
			next = i
		}
	}
	kind := deck[next]
	w.decks[operation] = slices.Delete(deck, next, next+1)
	return kind
}

// wantsLocked reports whether a fault meets a goal that nothing has met so far, at that very operation.
func (w *weather) wantsLocked(kind Kind, operation string) bool {
	return w.counts[kind][operation] == 0 && slices.ContainsFunc(w.goals, func(g goal) bool {
		return g.where == operation && slices.Contains(g.kinds, kind)
	})
}

func (w *weather) totalLocked(kind Kind) (n int) {
	for _, hits := range w.counts[kind] {
		n += hits
	}
	return n
}

// count records a fault.
func (w *weather) count(kind Kind, where string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.countLocked(kind, where)
}

func (w *weather) countLocked(kind Kind, where string) {
	if w.counts[kind] == nil {
		w.counts[kind] = map[string]int{}
	}
	w.counts[kind][where]++
}

func (w *weather) sprungLocked(t *trap) {
	if w.sprung[t.operation] == nil {
		w.sprung[t.operation] = map[action]int{}
	}
	w.sprung[t.operation][t.action]++
}

// settle ends all faults. Requests that were never answered stay unanswered.
func (w *weather) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calm {
		return
	}
	w.calm = true
	close(w.settled)
	w.spells = nil
	clear(w.traps)
}

// stir ends the calm weather.
func (w *weather) stir() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calm = false
	w.settled = make(chan struct{})
}

// faults returns the number of faults so far, and of different kinds.
func (w *weather) faults() (total, kinds int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for kind := range w.counts {
		kinds++
		total += w.totalLocked(kind)
	}
	return total, kinds
}

// table lists the counts.
func (w *weather) table() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(w.counts)) {
		var where []string
		for _, operation := range slices.Sorted(maps.Keys(w.counts[kind])) {
			where = append(where, fmt.Sprintf("%s %d", operation, w.counts[kind][operation]))
		}
		fmt.Fprintf(&b, "  %-20s %5d  %s\n", kind, w.totalLocked(kind), strings.Join(where, ", "))
	}
	return b.String()
}

// trapTable lists the actions of traps by step.
func (w *weather) trapTable() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, operation := range slices.Sorted(maps.Keys(w.sprung)) {
		var what []string
		for _, a := range slices.Concat(actions, silences) {
			if n := w.sprung[operation][a]; n > 0 {
				what = append(what, fmt.Sprintf("%s %d", a, n))
			}
		}
		fmt.Fprintf(&b, "  %-24s %s\n", operation, strings.Join(what, ", "))
	}
	return b.String()
}
