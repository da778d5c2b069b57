package lease

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

func TestAssigner_OrdersWhatIsToBeDone(t *testing.T) {
	row := func(shard, owner string) checkpoint.Lease {
		return checkpoint.Lease{Shard: shard, Owner: owner, Counter: 1, Checkpoint: checkpoint.TrimHorizon}
	}
	a, b := member{id: "a", follows: true, settled: true}, member{id: "b", follows: true, settled: true}
	newcomer, old := member{id: "n", follows: true}, member{id: "o", settled: true}
	for _, test := range []struct {
		name                    string
		members                 []member
		rows                    []checkpoint.Lease
		closed, trimmed, passed []string
		twice                   bool // the orders of the second plan, without any being carried out

		want         string // shards by worker: hold, <acquire, >let go
		moving, free int
	}{
		{name: "nothing", members: []member{a}, want: "a"},
		{name: "free leases are taken", members: []member{a}, rows: []checkpoint.Lease{row("1", ""), row("0", "")},
			want: "a <0 <1", moving: 2},
		{name: "by all in turn", members: []member{a, b}, rows: []checkpoint.Lease{row("0", ""), row("1", ""), row("2", "")},
			want: "a <0 <2, b <1", moving: 3},
		{name: "first by who has least", members: []member{a, b}, rows: []checkpoint.Lease{row("0", "a"), row("1", "a"), row("2", ""), row("3", "")},
			want: "a 0 1, b <2 <3", moving: 2},
		{name: "a plan under way stays", members: []member{a, b}, rows: []checkpoint.Lease{row("0", ""), row("1", ""), row("2", "")}, twice: true,
			want: "a <0 <2, b <1", moving: 3},
		{name: "a dead owner's leases are free", members: []member{a}, rows: []checkpoint.Lease{row("0", "dead"), row("1", "a")},
			want: "a <0 1", moving: 1},
		{name: "an owner who is neither live nor dead keeps its leases", members: []member{a}, rows: []checkpoint.Lease{row("0", "ghost"), row("1", "a")},
			want: "a 1", free: 1},
		{name: "who has more keeps one more", members: []member{a, b}, rows: []checkpoint.Lease{row("0", "b"), row("1", "b"), row("2", "a")},
			want: "a 2, b 0 1"},
		{name: "excess is handed over", members: []member{a, b}, rows: []checkpoint.Lease{row("0", "a"), row("1", "a"), row("2", "a")},
			want: "a 0 1 >2, b", moving: 1},
		{name: "once", members: []member{a, b}, rows: []checkpoint.Lease{row("0", "a"), row("1", "a"), row("2", "a")}, twice: true,
			want: "a 0 1 >2, b", moving: 1},
		{name: "not to a newcomer", members: []member{a, newcomer}, rows: []checkpoint.Lease{row("0", "a"), row("1", "a"), row("2", "a")},
			want: "a 0 1 2, n"},
		{name: "a newcomer gets what is free", members: []member{a, newcomer}, rows: []checkpoint.Lease{row("0", "a"), row("1", "a"), row("2", "")},
			want: "a 0 1, n <2", moving: 1},
		{name: "closed gates are nobody's", members: []member{a}, rows: []checkpoint.Lease{row("0", ""), row("1", ""), row("2", "dead")}, closed: []string{"1", "2"},
			want: "a <0", moving: 1},
		{name: "nor are ended shards", members: []member{a}, rows: []checkpoint.Lease{row("0", ""), row("1", "")}, passed: []string{"1"},
			want: "a <0", moving: 1},
		{name: "nor trimmed ones", members: []member{a}, rows: []checkpoint.Lease{row("0", ""), row("1", "")}, trimmed: []string{"1"},
			want: "a <0", moving: 1},
		{name: "a held shard that cannot be read is left alone once", members: []member{a, b}, rows: []checkpoint.Lease{row("0", "a"), row("1", "b")}, closed: []string{"0"},
			want: "a 0, b 1"},
		{name: "and let go then: a closed gate", members: []member{a, b}, rows: []checkpoint.Lease{row("0", "a"), row("1", "a"), row("2", "b")}, closed: []string{"0"}, twice: true,
			want: "a >0 1, b 2", moving: 1},
		{name: "the end of a shard", members: []member{a}, rows: []checkpoint.Lease{row("0", "a")}, passed: []string{"0"}, twice: true,
			want: "a >0", moving: 1},
		{name: "a trimmed shard", members: []member{a}, rows: []checkpoint.Lease{row("0", "a")}, trimmed: []string{"0"}, twice: true,
			want: "a >0", moving: 1},
		{name: "the bound holds", members: []member{atMost(1, a), atMost(1, b)}, rows: []checkpoint.Lease{row("0", ""), row("1", ""), row("2", "")},
			want: "a <0, b <1", moving: 2, free: 1},
		{name: "each has its own bound", members: []member{atMost(1, a), b}, rows: []checkpoint.Lease{row("0", ""), row("1", ""), row("2", "")},
			want: "a <0, b <1 <2", moving: 3},
		{name: "a bound that was lowered", members: []member{atMost(1, a)}, rows: []checkpoint.Lease{row("0", "a"), row("1", "a")},
			want: "a 0 >1", moving: 1},
		{name: "a worker that plans for itself gets no orders, and its share", members: []member{a, old},
			rows: []checkpoint.Lease{row("0", "a"), row("1", "a"), row("2", ""), row("3", "")}, want: "a 0 1", free: 2},
		{name: "nor is anything taken from it", members: []member{a, old}, rows: []checkpoint.Lease{row("0", "o"), row("1", "o"), row("2", "o")},
			want: "a"},
		{name: "others hand over to it", members: []member{a, old}, rows: []checkpoint.Lease{row("0", "a"), row("1", "a"), row("2", "a")},
			want: "a 0 1 >2", moving: 1},
		{name: "its closed rows are its own business", members: []member{a, old}, rows: []checkpoint.Lease{row("0", "o")}, closed: []string{"0"}, twice: true,
			want: "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := func(list []string) func(checkpoint.Lease) bool {
				return func(l checkpoint.Lease) bool { return slices.Contains(list, l.Shard) }
			}
			v := fleetView{
				now: time.Unix(1e9, 0), members: test.members, rows: test.rows,
				dead:    func(worker string) bool { return worker == "dead" },
				open:    func(l checkpoint.Lease) bool { return !in(test.closed)(l) },
				trimmed: in(test.trimmed), passed: in(test.passed),
			}
			assigner := newAssigner()
			out := assigner.assign(v)
			if test.twice {
				out = assigner.assign(v)
			}
			if got := written(out); got != test.want || out.moving != test.moving || out.free != test.free {
				t.Errorf("%q with %d moving and %d free; want %q, %d, %d", got, out.moving, out.free, test.want, test.moving, test.free)
			}
		})
	}
}

// written is an assignment in one line.
func written(out assignment) string {
	var workers []string
	for _, id := range slices.Sorted(maps.Keys(out.orders)) {
		text := id
		for _, o := range out.orders[id] {
			mark := ""
			if o.Away {
				mark = ">"
			} else if o.Owner != id {
				mark = "<"
			}
			text += " " + mark + o.Shard
		}
		workers = append(workers, text)
	}
	return strings.Join(workers, ", ")
}

// world is a table and a fleet that obeys.
type world struct {
	t       testing.TB
	view    fleetView
	planner *assigner
	taken   int            // leases acquired so far
	moves   map[string]int // by shard
}

func newWorld(t testing.TB, shards, workers int) *world {
	w := &world{t: t, planner: newAssigner(), moves: make(map[string]int)}
	w.view = fleetView{
		now:     time.Unix(1e9, 0),
		dead:    func(string) bool { return true }, // who is not live
		open:    func(checkpoint.Lease) bool { return true },
		trimmed: func(checkpoint.Lease) bool { return false },
		passed:  func(l checkpoint.Lease) bool { return l.Checkpoint == checkpoint.ShardEnd },
	}
	for n := range shards {
		w.view.rows = append(w.view.rows, checkpoint.Lease{Shard: fmt.Sprintf("s%05d", n), Checkpoint: checkpoint.TrimHorizon})
	}
	for n := range workers {
		w.join(fmt.Sprintf("w%03d", n)).settled = true
	}
	return w
}

func (w *world) join(id string) *member {
	at, known := slices.BinarySearchFunc(w.view.members, id, func(m member, id string) int { return strings.Compare(m.id, id) })
	if !known {
		w.view.members = slices.Insert(w.view.members, at, member{id: id, follows: true})
	}
	return &w.view.members[at]
}

func (w *world) leave(id string) {
	w.view.members = slices.DeleteFunc(w.view.members, func(m member) bool { return m.id == id })
}

func (w *world) settle() {
	for i := range w.view.members {
		w.view.members[i].settled = true
	}
}

// stop makes a worker release all its leases and leave.
func (w *world) stop(id string) {
	for i := range w.view.rows {
		if r := &w.view.rows[i]; r.Owner == id {
			r.Owner = ""
		}
	}
	w.leave(id)
}

// plan plans, and checks what is true of every plan.
func (w *world) plan() assignment {
	w.t.Helper()
	out := w.planner.assign(w.view)
	rows := make(map[string]checkpoint.Lease, len(w.view.rows))
	for _, r := range w.view.rows {
		rows[r.Shard] = r
	}
	live := make(map[string]bool)
	for _, m := range w.view.members {
		live[m.id] = true
	}
	given := make(map[string]string, len(rows))
	for _, m := range w.view.members {
		orders, ok := out.orders[m.id]
		if ok != m.follows {
			w.t.Fatalf("orders of %s: %v, follows: %v", m.id, ok, m.follows)
		}
		if !slices.IsSortedFunc(orders, func(a, b checkpoint.Order) int { return strings.Compare(a.Shard, b.Shard) }) {
			w.t.Fatalf("orders of %s are not sorted", m.id)
		}
		hold := 0
		for _, o := range orders {
			r := rows[o.Shard]
			switch {
			case given[o.Shard] != "":
				w.t.Fatalf("%s is ordered of %s and %s", o.Shard, given[o.Shard], m.id)
			case r.Counter != o.Counter || r.Owner != o.Owner:
				w.t.Fatalf("%s has the order %+v of %+v", m.id, o, r)
			case live[r.Owner] && r.Owner != m.id:
				w.t.Fatalf("%s has an order for a lease of %s", m.id, r.Owner)
			case o.Away && !live[r.Owner]:
				w.t.Fatalf("%s is to let go of %+v", m.id, r)
			}
			given[o.Shard] = m.id
			if !o.Away {
				hold++
			}
		}
		if m.most > 0 && hold > m.most {
			w.t.Fatalf("%s is to hold %d", m.id, hold)
		}
	}
	for id := range out.orders {
		if !live[id] {
			w.t.Fatalf("orders for %s, which is not there", id)
		}
	}
	return out
}

// obey carries out those orders that ok accepts.
func (w *world) obey(out assignment, ok func() bool) {
	at := make(map[string]*checkpoint.Lease, len(w.view.rows))
	for i := range w.view.rows {
		at[w.view.rows[i].Shard] = &w.view.rows[i]
	}
	for _, id := range slices.Sorted(maps.Keys(out.orders)) {
		for _, o := range out.orders[id] {
			r := at[o.Shard]
			if r.Owner != o.Owner || r.Counter != o.Counter || !ok() {
				continue
			}
			switch {
			case o.Away:
				r.Owner = ""
			case o.Owner != id:
				r.Owner = id
				r.Counter++
				w.taken++
				w.moves[o.Shard]++
			}
		}
	}
}

func always() bool { return true }

// rest plans and obeys until nothing moves, and returns in how many rounds.
func (w *world) rest() int {
	w.t.Helper()
	for n := range 20 {
		out := w.plan()
		if out.moving == 0 {
			return n
		}
		w.obey(out, always)
		w.view.now = w.view.now.Add(time.Second)
	}
	w.t.Fatal("it does not come to rest")
	return 0
}

// counts returns how many leases of shards that can be read each live worker has.
func (w *world) counts() map[string]int {
	counts := make(map[string]int)
	for _, m := range w.view.members {
		counts[m.id] = 0
	}
	for _, r := range w.view.rows {
		if _, live := counts[r.Owner]; live && !w.view.passed(r) {
			counts[r.Owner]++
		}
	}
	return counts
}

func (w *world) spread() (least, most int) {
	counts := slices.Collect(maps.Values(w.counts()))
	return slices.Min(counts), slices.Max(counts)
}

// balanced fails unless each lease that can be read has a live owner, and counts differ by one at most.
func (w *world) balanced() {
	w.t.Helper()
	total := 0
	for _, n := range w.counts() {
		total += n
	}
	readable := 0
	for _, r := range w.view.rows {
		readable += count(!w.view.passed(r))
	}
	if least, most := w.spread(); total != readable || most-least > 1 {
		w.t.Fatalf("%d of %d leases have an owner, from %d to %d each", total, readable, least, most)
	}
}

// From any state, each lease that some worker has to gain moves, no other does, and then nothing does.
func TestAssigner_MovesOnlyWhatEqualSharesDemand(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		w := newWorld(t, random.IntN(60), 1+random.IntN(8))
		skew := 1 + random.IntN(12)
		for i := range w.view.rows {
			switch n := random.IntN(skew); {
			case n < len(w.view.members):
				w.view.rows[i].Owner = w.view.members[n].id
			case n == skew-1:
				w.view.rows[i].Owner = "dead"
			}
		}
		before := w.counts()
		if rounds := w.rest(); rounds > 2 {
			t.Fatalf("rest after %d rounds", rounds)
		}
		w.balanced()
		demanded := 0
		for id, n := range w.counts() {
			demanded += max(0, n-before[id])
		}
		if w.taken != demanded {
			t.Fatalf("%d leases moved where %d had to: %v, then %v", w.taken, demanded, before, w.counts())
		}
	}
}

// Workers come, go, die and do only some of what they are ordered to; shards end and begin; leaders change. In the end the fleet
// is balanced and at rest.
func TestAssigner_ComesToRestWhateverHappened(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t, 40, 3)
		mixed := seed%4 == 3
		for step := range 120 {
			w.view.now = w.view.now.Add(time.Duration(random.IntN(8000)) * time.Millisecond)
			rows, members := w.view.rows, w.view.members
			row, anyone := &rows[random.IntN(len(rows))], members[random.IntN(len(members))].id
			switch random.IntN(10) {
			case 0:
				m := w.join(fmt.Sprintf("v%03d", step))
				m.follows = !mixed || random.IntN(2) == 0
			case 1:
				if len(members) > 1 {
					w.stop(anyone)
				}
			case 2:
				if len(members) > 1 {
					w.leave(anyone)
				}
			case 3:
				w.planner = newAssigner()
			case 4:
				w.settle()
			case 5:
				w.view.rows = append(rows, checkpoint.Lease{Shard: fmt.Sprintf("t%03d", step), Checkpoint: checkpoint.TrimHorizon, Owner: row.Owner})
			case 6:
				row.Checkpoint = checkpoint.ShardEnd
			case 7:
				row.Owner = "" // its reader failed
			case 8:
				row.Load = random.Int64N(1 << random.IntN(24))
			case 9:
				row.Owner, row.Counter = anyone, row.Counter+1 // contrary to orders
			}
			w.obey(w.plan(), func() bool { return random.IntN(3) > 0 })
		}
		weighed := seed%2 == 0
		for i := range w.view.rows {
			w.view.rows[i].Load *= int64(count(weighed))
		}
		for i := range w.view.members {
			w.view.members[i].follows = true
		}
		w.settle()
		w.planner = newAssigner()
		w.rest()
		w.view.now = w.view.now.Add(weighEvery)
		w.rest() // what cannot be read is let go by the second plan
		w.view.now = w.view.now.Add(weighEvery)
		w.rest() // and is not weighed by the third
		if !weighed {
			w.balanced()
		}
		w.view.now = w.view.now.Add(time.Hour)
		if before := w.taken; w.rest() != 0 || w.taken != before {
			t.Fatal("it moves again")
		}
	}
}

func TestAssigner_ARestartMovesEachShardTwiceAtMost(t *testing.T) {
	for _, test := range []struct {
		name  string
		first bool // the new worker starts before the old one stops
		most  int
	}{{"stop first", false, 2}, {"start first", true, 1}} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 400, 20)
			w.rest()
			clear(w.moves)
			for n := range 20 {
				w.view.now = w.view.now.Add(10 * time.Second)
				if test.first {
					w.join(fmt.Sprintf("x%03d", n))
					w.rest()
				}
				w.stop(fmt.Sprintf("w%03d", n))
				w.rest()
				if !test.first {
					w.join(fmt.Sprintf("x%03d", n))
					w.rest()
				}
				w.settle()
				w.rest()
				w.balanced()
			}
			for shard, n := range w.moves {
				if n > test.most {
					t.Errorf("%s moved %d times", shard, n)
				}
			}
		})
	}
}

// Workers are replaced one by one or several at once, and the next stop when the new ones have settled, or are about to, or have not
// yet got what they should.
func TestAssigner_ARolloutMovesEachShardTwiceAtMost(t *testing.T) {
	for _, atOnce := range []int{1, 2, 5} {
		for _, settles := range []int{1, 2, 3, 6} { // plans
			w := newWorld(t, 400, 20)
			w.rest()
			clear(w.moves)
			age := make(map[string]int)
			plans := func(n int) {
				for range n {
					for i := range w.view.members {
						if m := &w.view.members[i]; !m.settled {
							age[m.id]++
							m.settled = age[m.id] >= settles
						}
					}
					w.view.now = w.view.now.Add(2 * time.Second)
					w.obey(w.plan(), always)
				}
			}
			for n := 0; n < 20; n += atOnce {
				for i := range atOnce {
					w.stop(fmt.Sprintf("w%03d", n+i))
				}
				plans(2)
				for i := range atOnce {
					w.join(fmt.Sprintf("x%03d", n+i))
				}
				plans(3)
			}
			plans(10)
			w.balanced()
			if most := slices.Max(slices.Collect(maps.Values(w.moves))); most > 2 {
				t.Errorf("%d at once, settled after %d plans: a shard moved %d times", atOnce, settles, most)
			}
		}
	}
}

// A worker that shuts down releases its leases one by one while it still beats. They go to the others, not back to it.
func TestAssigner_LeavesAWorkerThatLetsGoInPeace(t *testing.T) {
	w := newWorld(t, 30, 3)
	w.rest()
	free := func(n int) {
		for i := range w.view.rows {
			if r := &w.view.rows[i]; n > 0 && r.Owner == "w001" {
				r.Owner, n = "", n-1
			}
		}
	}
	for range 5 {
		free(2)
		out := w.plan()
		for _, o := range out.orders["w001"] {
			if o.Away || o.Owner != "w001" {
				t.Fatalf("it has the order %+v", o)
			}
		}
		w.obey(out, always)
		w.view.now = w.view.now.Add(time.Second)
	}
	if n := w.counts()["w001"]; n != 0 {
		t.Fatalf("it has %d leases", n)
	}
	w.view.now = w.view.now.Add(quitFor) // but it stays
	w.rest()
	w.balanced()

	alone := newWorld(t, 3, 1)
	alone.rest()
	alone.view.rows[0].Owner = ""
	alone.rest()
	alone.balanced()
}

func BenchmarkAssigner(b *testing.B) {
	const shards, workers = 10_000, 200
	for _, bench := range []struct {
		name string
		load func(n int) int64
	}{
		{"equal", func(int) int64 { return 0 }},
		{"weighted", func(n int) int64 { return int64(1000 + n*n%90_001) }},
	} {
		b.Run(bench.name+" rest", func(b *testing.B) {
			w := newWorld(b, shards, workers)
			for i := range w.view.rows {
				w.view.rows[i].Load = bench.load(i)
			}
			w.rest()
			b.ReportAllocs()
			for b.Loop() {
				w.view.now = w.view.now.Add(5 * time.Second)
				w.planner.assign(w.view)
			}
		})
		for _, owner := range []string{"", "w000"} {
			b.Run(fmt.Sprintf("%s all of %q", bench.name, owner), func(b *testing.B) {
				w := newWorld(b, shards, workers)
				for i := range w.view.rows {
					w.view.rows[i].Load, w.view.rows[i].Owner = bench.load(i), owner
				}
				b.ReportAllocs()
				for b.Loop() {
					newAssigner().assign(w.view)
				}
			})
		}
	}
}

// loads commits something of all shards that have a load, in bytes per second.
func (w *world) loads(load func(shard int) float64) {
	for i := range w.view.rows {
		r := &w.view.rows[i]
		if r.Load = int64(load(i)); r.Load > 0 {
			r.Checkpoint, r.Arrival = checkpoint.Position(strconv.FormatInt(w.view.now.UnixNano(), 10)), w.view.now
		}
	}
}

// busiest returns the load of the busiest worker as a multiple of the mean, and how many leases it has.
func (w *world) busiest() (times float64, leases int) {
	loads, sum := make(map[string]float64), 0.0
	for _, r := range w.view.rows {
		loads[r.Owner] += float64(r.Load)
		sum += float64(r.Load)
	}
	most := ""
	for _, m := range w.view.members {
		if loads[m.id] > loads[most] {
			most = m.id
		}
	}
	return loads[most] * float64(len(w.view.members)) / sum, w.counts()[most]
}

// pass plans every five seconds for a while.
func (w *world) pass(d time.Duration, load func(shard int) float64) {
	w.t.Helper()
	for range d / (5 * time.Second) {
		w.view.now = w.view.now.Add(5 * time.Second)
		w.loads(load)
		w.obey(w.planner.assign(w.view), always)
	}
}

// fewHot is a stream of which ten shards in a thousand carry half the bytes.
func fewHot(shard int) float64 {
	if shard%100 == 7 {
		return 990_000
	}
	return 10_000
}

func TestAssigner_SharesBytes(t *testing.T) {
	for _, workers := range []int{3, 10, 20, 50} {
		for _, start := range []string{"free", "by count", "one after the other"} {
			t.Run(fmt.Sprintf("%d workers %s", workers, start), func(t *testing.T) {
				w := newWorld(t, 1000, workers)
				switch start {
				case "by count":
					w.rest()
					w.loads(fewHot)
					if times, _ := w.busiest(); workers > 3 && times < 1.2 {
						t.Fatal("the bytes are balanced already")
					}
				case "one after the other":
					w = newWorld(t, 1000, 1)
					w.loads(fewHot)
					w.rest()
					for n := 1; n < workers; n++ {
						w.join(fmt.Sprintf("w%03d", n)).settled = true
						w.rest()
					}
				}
				w.pass(5*time.Minute, fewHot)
				w.rest()
				times, leases := w.busiest()
				least, most := w.spread()
				t.Logf("busiest %.3f x the mean, with %d leases; %d to %d leases each; %d moved", times, leases, least, most, w.taken)
				if times > 1.2 && leases > 1 {
					t.Errorf("the busiest worker has %.3f times the mean", times)
				}
			})
		}
	}
}

// Loads that go up and down by 30 %, each for itself, and all together with the time of the day, move next to nothing.
func TestAssigner_NoiseMovesNothing(t *testing.T) {
	for _, stream := range []struct {
		name   string
		shards int
		load   func(shard int) float64
		most   int     // leases that may move in an hour
		times  float64 // what the busiest worker may have of the mean
	}{
		{"equal shards", 120, func(int) float64 { return 100_000 }, 0, 1.2},
		{"a few hot ones", 120, func(shard int) float64 { return fewHot(shard % 20) }, 2, 1.2},
		{"all different", 120, func(shard int) float64 { return 10_000 * float64(1+shard*shard%37) }, 5, 1.2},
		{"most are idle", 120, func(shard int) float64 { return 100_000 * float64(max(0, shard%20-17)) }, 2, 1.4}, // two busy ones per worker
	} {
		t.Run(stream.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			w := newWorld(t, stream.shards, 6)
			noisy := func(shard int) float64 {
				day := 1 + 0.5*math.Sin(2*math.Pi*float64(w.view.now.Unix()%86_400)/86_400)
				return stream.load(shard) * day * (0.7 + 0.6*random.Float64())
			}
			w.pass(90*time.Minute, noisy)
			before := w.taken
			w.pass(time.Hour, noisy)
			w.loads(stream.load)
			times, leases := w.busiest()
			t.Logf("%d leases moved in an hour; the busiest worker has %.2f x the mean, with %d leases", w.taken-before, times, leases)
			if times > stream.times {
				t.Errorf("the busiest worker has %.2f x the mean", times)
			}
			if w.taken-before > stream.most {
				t.Errorf("%d leases moved", w.taken-before)
			}
		})
	}
}

// A shard that becomes fifty times as busy is soon alone on its worker, and stays there. When it has cooled down, its worker gets
// others again.
func TestAssigner_IsolatesAHotShard(t *testing.T) {
	w := newWorld(t, 200, 20)
	w.pass(10*time.Minute, func(int) float64 { return 10_000 })
	before := w.taken
	burst := func(shard int) float64 {
		if shard == 42 {
			return 500_000
		}
		return 10_000
	}
	w.pass(6*time.Minute, burst)
	hot := w.view.rows[42]
	times, leases := w.busiest()
	t.Logf("%d leases moved; the busiest worker has %.2f x the mean, with %d leases", w.taken-before, times, leases)
	if leases != 1 || w.moves[hot.Shard] != 1 || w.taken-before > 9 {
		t.Errorf("the hot shard is with %d others, moved %d times, and %d leases moved", leases-1, w.moves[hot.Shard]-1, w.taken-before)
	}
	before = w.taken
	w.pass(time.Hour, burst)
	if w.taken != before {
		t.Errorf("%d leases moved while it stayed hot", w.taken-before)
	}
	w.pass(20*time.Minute, func(int) float64 { return 10_000 })
	if times, _ := w.busiest(); times > 1.11 || w.view.rows[42].Owner != hot.Owner {
		t.Errorf("the busiest worker has %.2f x the mean after the burst; the shard moved from %s to %s", times, hot.Owner, w.view.rows[42].Owner)
	}
}

func TestAssigner_TreatsAnUnknownLoadAsTheUsualOne(t *testing.T) {
	w := newWorld(t, 300, 10)
	w.pass(10*time.Minute, func(shard int) float64 {
		if shard%3 == 0 {
			return 0 // committed by an earlier release
		}
		return 50_000
	})
	if w.balanced(); w.taken != 300 {
		t.Errorf("%d leases moved", w.taken-300)
	}
}

// The rows of idle shards keep the load of their last commit. They lose it slowly, if their worker goes on committing others.
func TestAssigner_ForgetsTheLoadOfIdleShards(t *testing.T) {
	w := newWorld(t, 100, 2)
	busy := func(shard int) bool { return shard%2 == 0 } // all of the first worker's
	start := w.view.now
	pass := func(d time.Duration, moves func(shard int) bool) {
		for range d / time.Minute {
			w.view.now = w.view.now.Add(time.Minute)
			for i := range w.view.rows {
				if r := &w.view.rows[i]; moves(i) {
					r.Checkpoint, r.Arrival = checkpoint.Position(fmt.Sprint(w.view.now.Unix())), w.view.now
				}
				w.view.rows[i].Load = 100_000
			}
			w.obey(w.plan(), always)
		}
	}
	pass(time.Hour, func(int) bool { return true })
	before := w.taken
	pass(idleAfter, func(shard int) bool { return shard%20 == 1 || busy(shard) })
	if w.taken != before {
		t.Errorf("%d leases moved at once", w.taken-before)
	}
	pass(2*time.Hour, func(shard int) bool { return shard%20 == 1 || busy(shard) })
	var traffic [2]int
	for _, r := range w.view.rows {
		traffic[count(r.Owner == "w001")] += count(r.Arrival.Equal(w.view.now))
	}
	if max(traffic[0], traffic[1]) > 34 {
		t.Errorf("of the busy shards, the workers have %v, %v after the start", traffic, w.view.now.Sub(start))
	}

	// Nobody commits anything, because S3 is away, say: nothing moves.
	before = w.taken
	pass(3*time.Hour, func(int) bool { return false })
	if w.taken != before {
		t.Errorf("%d leases moved although no shard differs", w.taken-before)
	}
}

func TestAssigner_KeepsToTheBoundByCount(t *testing.T) {
	w := newWorld(t, 100, 10)
	for i := range w.view.members {
		w.view.members[i].most = 10
	}
	w.pass(10*time.Minute, func(shard int) float64 { return 1000 * float64(1+shard%10*10) })
	w.rest()
	w.balanced()
	times, _ := w.busiest()
	if times > 1.2 {
		t.Errorf("the busiest worker has %.2f x the mean", times)
	}
}

// Workers that restart one after the other, with loads of all kinds.
func TestAssigner_ARestartMovesFewWeighedShards(t *testing.T) {
	w := newWorld(t, 400, 20)
	load := func(shard int) float64 { return 1000 * float64(1+shard*shard%97) }
	w.pass(10*time.Minute, load)
	before := w.taken
	for n := range 20 {
		w.stop(fmt.Sprintf("w%03d", n))
		w.pass(10*time.Second, load)
		w.join(fmt.Sprintf("x%03d", n))
		w.pass(10*time.Second, load)
		w.settle()
		w.pass(20*time.Second, load)
	}
	times, _ := w.busiest()
	t.Logf("%d moves of 400 leases; the busiest worker has %.2f x the mean", w.taken-before, times)
	if w.taken-before > 3*400 || times > 1.2 {
		t.Errorf("%d moves of 400 leases; the busiest worker has %.2f x the mean", w.taken-before, times)
	}
}

// atMost is a member with a bound.
func atMost(most int, m member) member {
	m.most = most
	return m
}
