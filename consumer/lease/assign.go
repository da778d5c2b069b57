package lease

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

const (
	// quitFor is how long a worker is given nothing after it let go of a lease that it was to hold: as a rule it is shutting down.
	quitFor = time.Minute
	// oneShard is the weight of an ordinary shard, and the difference between two workers that is left as it is.
	oneShard = 1.0
	// tolerance keeps the rounding of sums from making a move look worth while.
	tolerance = 1e-6
)

// member is a live worker as the leader sees it.
type member struct {
	id      string
	follows bool // it obeys orders; a worker of an earlier release plans for itself
	settled bool // it has been seen for the failover time: leases may be taken from others for its sake
	most    int  // most leases that it may hold; 0 for no bound
}

// fleetView is what the leader knows after a scan.
type fleetView struct {
	now     time.Time
	members []member // live, the leader included, sorted by id
	rows    []checkpoint.Lease

	dead    func(worker string) bool
	open    func(row checkpoint.Lease) bool // the shard can be read: it is there, and its parents are done
	trimmed func(row checkpoint.Lease) bool // the shard has left the stream unfinished
	passed  func(row checkpoint.Lease) bool // nothing is left to be read of the shard
}

// assignment is what the leader wants of the fleet.
//
// An order without Away says: hold this lease. A worker that does not hold it acquires it from the state that the order
// names. An order with Away says: let go of it. A worker that holds it hands it over; one that does not, although the row
// names it, releases the row. A worker should not hold a lease for which it has no order: if it does, either it was lost, or
// it was acquired after the leader's scan.
type assignment struct {
	// orders are those of each member that follows, sorted by shard, with an entry for those that get none.
	orders map[string][]checkpoint.Order
	// moving counts the orders that are not carried out yet: leases to be acquired and to be let go.
	moving int
	// free counts the leases that could be read, but that nobody is to acquire now: their owner is not known to be dead yet,
	// they are left to workers that plan for themselves, or no worker has room for them.
	free int
}

// assigner plans for a whole fleet. It remembers what it has planned, so that what is under way is not planned twice,
// and what shards weigh (see weights). A new leader begins with a new assigner.
//
// The same calls always return the same plans, and once a plan is carried out, nothing moves until members, shards or
// weights change.
type assigner struct {
	shards   map[string]*shardMemory
	quitting map[string]time.Time // when a worker last let go of a lease that it was to hold
	ready    []string             // the members between which the last plan balanced
	units    int                  // the leases that it shared out
	plans    uint64
	observed time.Time // when the last plan was made
	renewed  time.Time // when the weights were last renewed

	// The rest is used during one call only, and kept to be used again.
	leases []lease
	bins   []bin
	saved  []int
	index  map[string]int
}

// shardMemory is what an assigner remembers of a row.
type shardMemory struct {
	plan    uint64 // the last one that saw it
	owner   string
	counter int64
	since   time.Time // when the row was first seen with its counter; zero: in the first plan
	moves   int       // how often it has got another owner
	shared  bool      // it was among the leases that are shared out
	away    bool      // its owner was ordered to let go
	closed  bool      // it named a live worker, but could not be read
	to      string    // the worker that is to acquire it

	weighing
}

// lease is a row to be shared out.
type lease struct {
	row    *checkpoint.Lease
	memory *shardMemory
	load   float64 // bytes per second, when weights are renewed
	weight float64
	from   int  // the live worker that the row names; nobody if there is none
	to     int  // the worker that should have it; nobody if none has room
	fixed  bool // it cannot be taken from its owner
}

const nobody = -1

// bin is a member and what it should have.
type bin struct {
	member
	quits  bool
	ready  bool // it takes part in the balance
	load   float64
	count  int
	leases []int // those that can be moved, by weight, in each weight those last that should go first
	done   bool  // nothing can be taken from it any more
}

func newAssigner() *assigner {
	return &assigner{shards: make(map[string]*shardMemory), quitting: make(map[string]time.Time), index: make(map[string]int)}
}

// assign shares the leases out.
//
//   - A lease that names a live worker stays there, unless the balance demands otherwise. Leases without an owner, and those
//     of dead workers, go to the workers that have the least.
//   - Rows that cannot be read are nobody's. If such a row names a live worker for two plans in a row, the worker is to
//     let go: one look may have come between a worker's commit of a parent and its acquisition of the child.
//   - A lease that is to move is ordered away and counts for the worker that will get it. That worker is ordered to
//     acquire it when the row is free.
//   - Taken are those leases that came last: a worker that returns gets back those that it had. Nothing is taken for the
//     sake of a worker that has not settled.
//   - Workers that plan for themselves count by what they hold. Leases are left to them, and none is ordered of them.
//     Beside them, all shards weigh the same, because that is how they compute shares.
func (a *assigner) assign(v fleetView) assignment {
	a.plans++
	out := assignment{orders: make(map[string][]checkpoint.Order, len(v.members))}
	a.enter(v)
	strays := a.classify(v, &out)
	a.expectQuitters(v.now)
	a.weigh(v)
	a.fill()
	a.bound()
	a.place()
	a.balance()
	a.order(strays, &out)
	a.forget()
	return out
}

// enter makes a bin for each member.
func (a *assigner) enter(v fleetView) {
	clear(a.index)
	a.bins = slices.Grow(a.bins[:0], len(v.members))[:len(v.members)]
	for i, m := range v.members {
		a.bins[i] = bin{member: m, leases: a.bins[i].leases[:0]}
		a.index[m.id] = i
	}
	a.leases = a.leases[:0]
}

// classify collects the leases to be shared out, and returns the rows that their owners are to let go.
func (a *assigner) classify(v fleetView, out *assignment) []lease {
	rows := make([]*checkpoint.Lease, len(v.rows))
	for i := range v.rows {
		rows[i] = &v.rows[i]
	}
	slices.SortFunc(rows, func(x, y *checkpoint.Lease) int { return strings.Compare(x.Shard, y.Shard) })
	var strays []lease
	for _, row := range rows {
		owner, live := a.index[row.Owner]
		if !live {
			owner = nobody
		}
		readable := !v.passed(*row) && !v.trimmed(*row) && v.open(*row)
		switch {
		case !readable && !live:
			continue
		case !live && row.Owner != "" && !v.dead(row.Owner):
			out.free++
			continue
		}
		m := a.recall(row, v.now)
		l := lease{row: row, memory: m, from: owner, to: owner, fixed: live && !a.bins[owner].follows}
		switch {
		case !readable && m.closed && !l.fixed:
			strays = append(strays, l)
			continue
		case !readable && v.passed(*row):
			m.closed = true
			continue // its owner is about to release it, and has room for another
		case !readable:
			m.closed, l.fixed = true, true
		default:
			m.closed = false
			a.direct(&l, v.now)
		}
		a.leases = append(a.leases, l)
	}
	return strays
}

// recall returns what is remembered of a row, as far as it is still so.
func (a *assigner) recall(row *checkpoint.Lease, now time.Time) *shardMemory {
	m := a.shards[row.Shard]
	if m == nil {
		m = &shardMemory{owner: row.Owner, counter: row.Counter}
		if a.plans > 1 {
			m.since = now
		}
		a.shards[row.Shard] = m
	}
	if m.counter != row.Counter {
		m.owner, m.counter, m.since = row.Owner, row.Counter, now
		m.moves++
		m.away, m.closed, m.to = false, false, ""
	}
	m.plan = a.plans
	return m
}

// direct keeps a lease that is under way on its way, and notices who lets go of leases unasked.
func (a *assigner) direct(l *lease, now time.Time) {
	m := l.memory
	if l.from == nobody && l.row.Owner == "" && m.owner != "" && !m.away {
		if i, live := a.index[m.owner]; live && a.bins[i].follows {
			a.quitting[m.owner] = now
		}
	}
	m.owner, m.away = l.row.Owner, m.away && l.from != nobody
	if l.from != nobody && !m.away {
		return
	}
	l.to = nobody
	if i, live := a.index[m.to]; live && a.bins[i].follows { // others take what they want
		l.to = i
	}
}

// expectQuitters sets apart the members that are shutting down, unless nobody else is left.
func (a *assigner) expectQuitters(now time.Time) {
	for id, last := range a.quitting {
		i, live := a.index[id]
		if !live || now.Sub(last) >= quitFor {
			delete(a.quitting, id)
			continue
		}
		a.bins[i].quits = true
	}
	all := len(a.quitting) == len(a.bins)
	for i := range a.bins {
		b := &a.bins[i]
		b.quits = b.quits && !all
		b.ready = b.settled && !b.quits
	}
}

// fill puts the leases that have a place into their bins.
func (a *assigner) fill() {
	for i := range a.leases {
		l := &a.leases[i]
		if l.to == nobody {
			continue
		}
		b := &a.bins[l.to]
		if b.quits && l.to != l.from {
			l.to = nobody
			continue
		}
		b.load += l.weight
		b.count++
		if !l.fixed {
			b.leases = append(b.leases, i)
		}
	}
	for i := range a.bins {
		slices.SortFunc(a.bins[i].leases, a.compare)
	}
}

// compare orders the leases of a bin: by weight, and then those last that should go first.
func (a *assigner) compare(i, j int) int {
	x, y := &a.leases[i], &a.leases[j]
	return cmp.Or(
		cmp.Compare(x.weight, y.weight),
		cmp.Compare(x.eagerness(), y.eagerness()),
		x.memory.since.Compare(y.memory.since),
		cmp.Compare(y.memory.moves, x.memory.moves),
		cmp.Compare(i, j),
	)
}

// eagerness is higher for a lease that costs less to move: it is free, or moves anyway.
func (l *lease) eagerness() int {
	switch {
	case l.from == nobody && l.memory.to == "":
		return 3
	case l.memory.away:
		return 2
	case l.from == nobody:
		return 1 // it is being acquired
	}
	return 0
}

// bound takes leases from followers that have more than they may have: those that came last.
func (a *assigner) bound() {
	for i := range a.bins {
		b := &a.bins[i]
		for b.most > 0 && b.count > b.most && len(b.leases) > 0 {
			last := slices.MaxFunc(b.leases, func(i, j int) int {
				x, y := &a.leases[i], &a.leases[j]
				return cmp.Or(cmp.Compare(x.eagerness(), y.eagerness()), x.memory.since.Compare(y.memory.since), cmp.Compare(i, j))
			})
			a.take(b, slices.Index(b.leases, last))
		}
	}
}

// take removes a lease from a bin, by its place there.
func (a *assigner) take(b *bin, place int) (id int) {
	id = b.leases[place]
	b.leases = slices.Delete(b.leases, place, place+1)
	b.load -= a.leases[id].weight
	b.count--
	a.leases[id].to = nobody
	return id
}

// put adds a lease to a bin.
func (a *assigner) put(to, id int) {
	b := &a.bins[to]
	place, _ := slices.BinarySearchFunc(b.leases, id, a.compare)
	b.leases = slices.Insert(b.leases, place, id)
	b.load += a.leases[id].weight
	b.count++
	a.leases[id].to = to
}

// place gives the leases that have no place to the bins with the least load, the heaviest first.
func (a *assigner) place() {
	var homeless []int
	for i := range a.leases {
		if a.leases[i].to == nobody {
			homeless = append(homeless, i)
		}
	}
	slices.SortStableFunc(homeless, func(i, j int) int { return cmp.Compare(a.leases[j].weight, a.leases[i].weight) })
	for _, id := range homeless {
		to := a.lightest(func(b *bin) bool { return !b.quits })
		if to == nobody {
			return
		}
		a.put(to, id)
	}
}

// lightest returns the bin with the least load among those that have room and that ok accepts.
func (a *assigner) lightest(ok func(*bin) bool) int {
	best := nobody
	for i := range a.bins {
		b := &a.bins[i]
		if !ok(b) || b.most > 0 && b.count >= b.most {
			continue
		}
		if best == nobody || cmp.Or(cmp.Compare(b.load, a.bins[best].load), cmp.Compare(b.count, a.bins[best].count)) < 0 {
			best = i
		}
	}
	return best
}

// balance moves leases between the members that have settled. When members or shards have changed, or if all shards weigh
// the same, loads get as close as they can, up to one ordinary shard. Otherwise leases move only when a worker has come far
// from the mean, and only if that cures at least half of it.
func (a *assigner) balance() {
	if a.changed() || a.uniform() {
		a.level(false)
	}
	before := a.badness()
	if before <= tolerance {
		return
	}
	a.saved = a.saved[:0]
	for i := range a.leases {
		a.saved = append(a.saved, a.leases[i].to)
	}
	a.level(true)
	if a.badness() <= before/2 {
		return
	}
	for i, to := range a.saved {
		a.leases[i].to = to
	}
}

// changed reports whether this plan balances between other members, or shares out other leases, than the last one.
func (a *assigner) changed() bool {
	changed := a.units != len(a.leases)
	a.units = len(a.leases)
	for i := range a.leases {
		changed = changed || !a.leases[i].memory.shared
		a.leases[i].memory.shared = true
	}
	n := 0
	for i := range a.bins {
		if !a.bins[i].ready {
			continue
		}
		changed = changed || n >= len(a.ready) || a.ready[n] != a.bins[i].id
		n++
	}
	if changed = changed || n != len(a.ready); !changed {
		return false
	}
	a.ready = a.ready[:0]
	for i := range a.bins {
		if a.bins[i].ready {
			a.ready = append(a.ready, a.bins[i].id)
		}
	}
	return true
}

func (a *assigner) uniform() bool {
	for i := range a.leases {
		if a.leases[i].weight != a.leases[0].weight {
			return false
		}
	}
	return true
}

// The marks, in parts of the mean, beyond which a worker is far from it, and those at which it is near enough.
const (
	tooMuch, enough   = 1.1, 1.05
	tooLittle, plenty = 0.75, 0.85
)

// badness is by how much the loads are too far from the level.
func (a *assigner) badness() float64 {
	level, sum := a.mean(), 0.0
	for i := range a.bins {
		b := &a.bins[i]
		if b.ready {
			sum += max(0, b.load-max(tooMuch*level, a.heaviest(b))) + max(0, tooLittle*level-b.load)
		}
	}
	return sum
}

// heaviest is the weight of the heaviest lease of a bin: what it cannot share with anybody.
func (a *assigner) heaviest(b *bin) float64 {
	if len(b.leases) == 0 {
		return 0
	}
	return a.leases[b.leases[len(b.leases)-1]].weight
}

// mean is the load that each worker should have, leaving aside those shards that are more than that by themselves and the
// workers that are needed for them.
func (a *assigner) mean() float64 {
	for level := math.Inf(1); ; {
		sum, n := 0.0, 0
		for i := range a.bins {
			b := &a.bins[i]
			if !b.ready {
				continue
			}
			sum, n = sum+b.load, n+1
			for j := len(b.leases) - 1; j >= 0 && a.leases[b.leases[j]].weight > level; j-- {
				sum, n = sum-a.leases[b.leases[j]].weight, n-1
			}
		}
		if n <= 0 {
			return 0
		}
		if next := sum / float64(n); next < level-tolerance {
			level = next
			continue
		}
		return level
	}
}

// level moves leases from the bins with the most load to those with the least, as long as that brings the two closer
// together. It leaves a difference of one ordinary shard or less, and with drift whatever is near enough to the mean.
func (a *assigner) level(drift bool) {
	for a.levelOnce(drift) { // what fitted nowhere may fit now
	}
}

func (a *assigner) levelOnce(drift bool) (moved bool) {
	level := a.mean()
	for i := range a.bins {
		a.bins[i].done = !a.bins[i].ready || !a.bins[i].follows
	}
	for {
		from := a.fullest()
		to := a.lightest(func(b *bin) bool { return b.ready })
		if from == nobody || to == nobody {
			return moved
		}
		f, t := &a.bins[from], &a.bins[to]
		gap := f.load - t.load
		if gap <= tolerance || !drift && gap <= oneShard+tolerance {
			return moved
		}
		heaviest := a.heaviest(f)
		near := f.load <= max(enough*level, heaviest)
		if drift && near && t.load >= plenty*level {
			f.done = true
			continue
		}
		excess := f.load - max(level, heaviest)
		want := max(min(excess, level-t.load), min(oneShard, gap)/2)
		if a.move(f, to, gap, want) || !near && a.swap(from, to, gap, want) {
			moved = true
			continue
		}
		f.done = true
	}
}

func (a *assigner) fullest() int {
	best := nobody
	for i := range a.bins {
		if b := &a.bins[i]; !b.done && (best == nobody || b.load > a.bins[best].load) {
			best = i
		}
	}
	return best
}

// move moves the lease whose weight comes closest to want, if there is one that weighs less than the gap.
func (a *assigner) move(f *bin, to int, gap, want float64) bool {
	best, off := nobody, math.Inf(1)
	for place := range a.kinds(f) {
		w := a.leases[f.leases[place]].weight
		if d := math.Abs(w - want); w < gap-tolerance && d < off {
			best, off = place, d
		}
	}
	if best == nobody {
		return false
	}
	a.put(to, a.take(f, best))
	return true
}

// swap exchanges two leases such that the difference of their weights comes closest to want and is less than the gap.
func (a *assigner) swap(from, to int, gap, want float64) bool {
	f, t := &a.bins[from], &a.bins[to]
	if !t.follows {
		return false
	}
	out, back, off := nobody, nobody, math.Inf(1)
	for i := range a.kinds(f) {
		for j := range a.kinds(t) {
			w := a.leases[f.leases[i]].weight - a.leases[t.leases[j]].weight
			if d := math.Abs(w - want); w > tolerance && w < gap-tolerance && d < off {
				out, back, off = i, j, d
			}
		}
	}
	if out == nobody {
		return false
	}
	x, y := a.take(f, out), a.take(t, back)
	a.put(to, x)
	a.put(from, y)
	return true
}

// kinds yields, for each weight that leases of a bin have, the place of the one that should go first.
func (a *assigner) kinds(b *bin) func(yield func(place int) bool) {
	return func(yield func(int) bool) {
		for end := len(b.leases); end > 0; {
			w := a.leases[b.leases[end-1]].weight
			if !yield(end - 1) {
				return
			}
			end, _ = slices.BinarySearchFunc(b.leases[:end], w, func(id int, w float64) int { return cmp.Compare(a.leases[id].weight, w) })
		}
	}
}

// order writes the orders, and remembers what is under way.
func (a *assigner) order(strays []lease, out *assignment) {
	for i := range a.bins {
		if b := &a.bins[i]; b.follows {
			out.orders[b.id] = make([]checkpoint.Order, 0, b.count+8)
		}
	}
	give := func(to int, row *checkpoint.Lease, away bool) {
		id := a.bins[to].id
		out.orders[id] = append(out.orders[id], checkpoint.Order{Shard: row.Shard, Counter: row.Counter, Owner: row.Owner, Away: away})
	}
	for i := range a.leases {
		l := &a.leases[i]
		m := l.memory
		m.to = ""
		if l.to != nobody && l.to != l.from {
			m.to = a.bins[l.to].id
		}
		switch {
		case l.from != nobody && l.fixed:
			if a.bins[l.from].follows {
				give(l.from, l.row, m.away)
			}
		case l.from != nobody && l.to == l.from && !m.away:
			give(l.from, l.row, false)
		case l.from != nobody:
			m.away = true
			out.moving++
			give(l.from, l.row, true)
		case l.to == nobody || !a.bins[l.to].follows:
			out.free++
		default:
			out.moving++
			give(l.to, l.row, false)
		}
	}
	for _, l := range strays {
		l.memory.away = true
		out.moving++
		give(l.from, l.row, true)
	}
	if len(strays) > 0 {
		for _, orders := range out.orders {
			slices.SortFunc(orders, func(x, y checkpoint.Order) int { return strings.Compare(x.Shard, y.Shard) })
		}
	}
}

// forget drops what is remembered of rows that are gone, or that are nobody's.
func (a *assigner) forget() {
	for shard, m := range a.shards {
		if m.plan != a.plans {
			delete(a.shards, shard)
		}
	}
}
