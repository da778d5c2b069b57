package loader

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record/table"
)

// The model plays the loading protocol in random orders. Workers commit batches, publish them and mark them published; three
// loaders of one table and two of another, all of which believe that they are elected, run the code of this package. Between
// them and the store and the tables is a network that delays, repeats and loses requests and answers. Loaders crash at any
// step. Meanwhile others append to the tables, compact them and expire their snapshots. The second table is a database, whose
// standby is promoted now and then and lacks the last commits: batches are marked only when every standby must have them. At
// the end the files of every batch must be in each of its tables exactly once; at no time may a batch be forgotten before every
// ledger has named it.
//
// TestModel_NeedsEveryPart takes one part of the protocol away at a time: the model must notice.

var (
	modelRuns = flag.Int("model.runs", 2000, "random runs of the loading model")
	modelSeed = flag.Uint64("model.seed", 0, "play this run of the loading model only, and log its events")
)

func TestModel_LoadsEveryBatchExactlyOnce(t *testing.T) {
	if *modelSeed != 0 {
		w := newWorld(*modelSeed, rules{lazyMarks: *modelSeed%4 == 0})
		w.log = t.Logf
		if err := w.play(); err != nil {
			t.Fatal(err)
		}
		return
	}
	total := make(events)
	for seed := range uint64(*modelRuns) {
		// In every fourth run a mark is answered before it is applied: ids stay in the ledger until the outbox shows the mark.
		w := newWorld(seed+1, rules{lazyMarks: seed%4 == 3})
		if err := w.play(); err != nil {
			t.Fatalf("run %d (play it with -model.seed=%d -v): %v", seed+1, seed+1, err)
		}
		for name, n := range w.events {
			total[name] += n
		}
	}
	t.Logf("0 of %d runs break a promise: %v", *modelRuns, total)
	for _, name := range []string{"crash", "lost request", "lost answer", "late request", "repeated request", "conflict", "append refused late",
		"append applied, unanswered", "foreign append", "compaction", "expiry", "mark refused", "batch of both tables", "several batches appended",
		"batch forgotten", "id pruned", "promotion", "commit lost", "batch held back", "table complete"} {
		if total[name] == 0 {
			t.Errorf("the runs had no %s: they prove little", name)
		}
	}
}

// rare says after which run the search for what needs a rare order of events begins, to save time.
var rare = map[string]uint64{"the outbox before the table": 10_500, "states that are only counted": 5_300}

func TestModel_NeedsEveryPart(t *testing.T) {
	for name, r := range map[string]rules{
		"a retry without a look":            {blindRetry: true},
		"ids in the summaries of snapshots": {summaries: true},
		"the outbox before the table":       {outboxFirst: true},
		"no condition on the table's state": {noAssertion: true},
		"forget before append":              {forgetFirst: true},
		"marks before the ledger is read":   {earlyMarks: true},
		"ids pruned before the mark":        {earlyPruning: true, lazyMarks: true},
		"an outbox that is read as it was":  {staleOutbox: true},
		"a mark that makes an item":         {markRevives: true},
		"marks before standbys have it":     {unheld: true},
		"marks by what was read once":       {heldByState: true},
		"states that are only counted":      {countedStates: true},
		"the outbox before the statement":   {lateClaim: true},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range uint64(20_000) {
				seed := i + 1 + rare[name]
				var broken *violation
				err := newWorld(seed, r).play()
				if errors.As(err, &broken) {
					t.Logf("noticed in run %d: %v", seed, err)
					return
				}
				if err != nil && !r.staleOutbox { // which may never come to its end
					t.Fatalf("run %d: %v", seed, err)
				}
			}
			t.Error("the model did not notice in 20,000 runs")
		})
	}
}

// rules are the parts that a control takes away.
type rules struct {
	blindRetry   bool // the destination repeats a write by itself, on the state that it finds
	summaries    bool // the ledger is the ids in the summaries of the snapshots that are left
	outboxFirst  bool // the outbox that a loader sees was read before the table
	noAssertion  bool // a write is applied whatever the state
	forgetFirst  bool // a batch is forgotten when it is read
	earlyMarks   bool // the ledger names what was sent
	earlyPruning bool // a write drops the ids of earlier ones
	lazyMarks    bool // marking a batch loaded is answered before it is applied
	staleOutbox  bool // the outbox is read as it was a while ago
	markRevives  bool // marking a batch published makes its item

	unheld        bool // a batch is marked as soon as the database's ledger names it
	heldByState   bool // whether standbys have a batch is concluded from the ledger as it was read, however long ago
	lateClaim     bool // the statement is read after the outbox
	countedStates bool // a promoted standby may get to a state of the same name as one that was lost
}

const (
	modelBatches = 8
	modelSteps   = 700 // with faults; then as many as needed, without
	calmSteps    = 10_000
	// lag is the number of steps by which a standby may be behind, and held that for which batches are held back.
	lag, held = 80, 100
)

// violation is a broken promise, apart from a run that did not come to its end.
type violation struct{ text string }

func (v *violation) Error() string { return v.text }

var errNoAnswer = errors.New("no answer")

type events map[string]int

// world is one run. Everything in it happens in one goroutine at a time, in an order that the seed decides.
type world struct {
	rng    *rand.Rand
	rules  rules
	tables []*modelTable
	outbox map[string]checkpoint.Batch // the store
	// published are the batches in the order in which they were published: the bucket is complete up to second n when the first
	// n are.
	published []string
	past      []map[string]checkpoint.Batch
	inflight  []*message
	actors    []*actor
	starts    int
	stateIDs  int // of tables so far
	step      int
	calm      bool
	broken    *violation
	events    events
	log       func(format string, args ...any)
}

// modelTable is a table whose snapshots are appends.
type modelTable struct {
	name      string
	head      int
	ledger    []string
	live      map[string]int // how often the content of a batch's file is in the table
	everNamed map[string]bool
	snapshots []modelSnapshot

	database bool
	loadedAt map[string]int // the step of the commit, by batch
	past     []modelTable   // earlier states, the newest last
	since    int            // the step of this state
}

type modelSnapshot struct {
	id      int
	batches []string
}

func newWorld(seed uint64, r rules) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 14)), rules: r, outbox: map[string]checkpoint.Batch{}, events: events{}, log: func(string, ...any) {}}
	for _, name := range []string{"a", "b"} {
		w.tables = append(w.tables, &modelTable{
			name: name, live: map[string]int{}, everNamed: map[string]bool{}, loadedAt: map[string]int{}, database: name == "b",
		})
	}
	return w
}

func (w *world) violate(format string, args ...any) {
	if w.broken == nil {
		w.broken = &violation{fmt.Sprintf(format, args...)}
	}
}

func (w *world) play() error {
	defer func() {
		for _, a := range w.actors {
			a.stop()
		}
	}()
	for _, t := range []int{0, 0, 0, 1, 1} {
		w.actors = append(w.actors, w.startLoader(w.tables[t]))
	}
	for i := range modelBatches {
		w.actors = append(w.actors, w.startWorker("batch"+strconv.Itoa(i)))
	}
	for w.step < modelSteps && w.broken == nil {
		w.next()
	}
	w.calm = true
	for range calmSteps {
		if w.broken != nil {
			return w.broken
		}
		if len(w.outbox) == 0 && len(w.inflight) == 0 && w.allPublished() {
			return w.check()
		}
		w.next()
	}
	return fmt.Errorf("not finished after %d steps without faults: outbox %v", calmSteps, slices.Sorted(maps.Keys(w.outbox)))
}

// allPublished says whether all workers are done.
func (w *world) allPublished() bool {
	return !slices.ContainsFunc(w.actors, func(a *actor) bool { return a.table == nil && !a.ended })
}

// check counts how often each batch is in its tables.
func (w *world) check() error {
	for i := range modelBatches {
		id := "batch" + strconv.Itoa(i)
		for _, t := range w.tables {
			want := 0
			if slices.Contains(tablesOf(i), t.name) {
				want = 1
			}
			if t.live[id] != want {
				return &violation{fmt.Sprintf("%s is in table %s %d times, want %d", id, t.name, t.live[id], want)}
			}
		}
	}
	return nil
}

// modelFiles are the files of a batch: one, which has the batch's name.
func modelFiles(batch string) []checkpoint.File {
	return []checkpoint.File{{Key: batch, Table: []byte(`{"u":"model"}`)}}
}

// tablesOf says which tables a batch is for.
func tablesOf(i int) []string { return [][]string{{"a"}, {"a", "b"}, {"a"}, {"b"}}[i%4] }

// next lets one thing happen.
func (w *world) next() {
	w.step++
	if !w.calm {
		if w.rng.IntN(8) == 0 {
			w.past = append(w.past, maps.Clone(w.outbox))
		}
		switch w.rng.IntN(100) {
		case 0:
			w.crash()
			return
		case 1:
			w.foreign(w.tables[w.rng.IntN(len(w.tables))])
			return
		case 2:
			w.promote(w.tables[1])
			return
		}
	}
	if len(w.inflight) > 0 && w.rng.IntN(2) == 0 {
		w.network(w.rng.IntN(len(w.inflight)))
		return
	}
	if a := w.actors[w.rng.IntN(len(w.actors))]; !a.ended && (a.waiting == nil || a.waiting.done) {
		a.resume()
	}
}

func (w *world) crash() {
	i := w.rng.IntN(len(w.actors))
	a := w.actors[i]
	if a.ended {
		return
	}
	w.events["crash"]++
	w.log("%s crashes", a.id)
	a.stop()
	if a.table != nil {
		w.actors[i] = w.startLoader(a.table)
	} else {
		w.actors[i] = w.startWorker(a.batch) // another worker sweeps
	}
}

// foreign lets somebody else write to a table.
func (w *world) foreign(t *modelTable) {
	switch w.rng.IntN(3) {
	case 0:
		w.events["foreign append"]++
		if t.database {
			return // rows of others leave the ledger's state as it is
		}
		w.commit(t, nil)
	case 1:
		w.events["compaction"]++ // the same contents in other files
		if t.database {
			return
		}
		w.commit(t, nil)
	case 2:
		w.events["expiry"]++ // the head stays
		t.snapshots = t.snapshots[max(0, len(t.snapshots)-1):]
	}
}

// promote replaces a database by its standby, which lacks some of the last commits. Connections end, with what they carry.
func (w *world) promote(t *modelTable) {
	now := *t
	for len(t.past) > 0 && t.since > w.step-lag && w.rng.IntN(3) > 0 {
		w.events["commit lost"]++
		last := len(t.past) - 1
		before := t.past[last]
		before.past, before.everNamed = t.past[:last], t.everNamed
		*t = before
	}
	if t.head == now.head {
		return
	}
	w.events["promotion"]++
	w.log("%d: table %s is at state %d again", w.step, t.name, t.head)
	w.inflight = slices.DeleteFunc(w.inflight, func(m *message) bool {
		if m.to == t {
			m.done, m.lost = true, true
		}
		return m.to == t
	})
}

// keep keeps a database's state for a promotion.
func (t *modelTable) keep(step int) {
	if t.database {
		before := *t
		before.past, before.live, before.loadedAt = nil, maps.Clone(t.live), maps.Clone(t.loadedAt)
		t.past = append(t.past, before)
	}
	t.since = step
}

func (w *world) commit(t *modelTable, batches []string) {
	w.stateIDs++
	t.head++
	if !w.rules.countedStates {
		t.head = w.stateIDs
	}
	t.snapshots = append(t.snapshots, modelSnapshot{t.head, batches})
}

// message is a request under way. apply may run never, late, or more than once.
type message struct {
	name   string
	apply  func(late bool)
	from   int // the step before which it does not arrive
	count  int // how often it was applied
	done   bool
	lost   bool
	sender *actor
	to     *modelTable // whose connection carries it; nil if that does not matter
}

// network lets something happen to a request.
func (w *world) network(i int) {
	m := w.inflight[i]
	switch n := w.rng.IntN(20); {
	case w.calm || n < 13 && m.from <= w.step:
		w.deliver(i)
	case n < 15 && !m.done:
		m.done, m.lost = true, true // the sender gives up, the request goes on
	case n == 15:
		w.events["lost request"]++
		m.done, m.lost = true, true
		w.inflight = slices.Delete(w.inflight, i, i+1)
	}
}

func (w *world) deliver(i int) {
	m := w.inflight[i]
	if !w.calm && m.count < 3 && w.rng.IntN(6) == 0 {
		m.from = w.step + w.rng.IntN(modelSteps/2)
	} else {
		w.inflight = slices.Delete(w.inflight, i, i+1)
	}
	switch {
	case m.count > 0:
		w.events["repeated request"]++
	case m.done:
		w.events["late request"]++
	}
	m.count++
	m.apply(m.done)
	if !m.done {
		m.done, m.lost = true, !w.calm && w.rng.IntN(6) == 0
		if m.lost {
			w.events["lost answer"]++
		}
	}
	w.log("%d: %s of %s applied for the %d. time, answer lost: %t", w.step, m.name, m.sender.id, m.count, m.lost)
}

// delay returns the step at which a request arrives: mostly at once, now and then much later.
func (w *world) delay() int {
	if w.rng.IntN(4) > 0 {
		return w.step
	}
	return w.step + w.rng.IntN(modelSteps/2)
}

// actor is a loader, or the worker of one batch. Its code runs between two calls of pause, where the world may stop it.
type actor struct {
	w       *world
	id      string
	table   *modelTable // of a loader
	batch   string      // of a worker
	waiting *message
	ended   bool
	resume  func()
	stop    func()
	pause   func()

	sent []string                    // earlyMarks
	seen map[string]checkpoint.Batch // outboxFirst
}

type crashed struct{}

func (w *world) start(a *actor, run func()) *actor {
	w.starts++
	a.w, a.id = w, fmt.Sprint(a.batch, a.id, "-", w.starts)
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != (crashed{}) {
				panic(r)
			}
		}()
		a.pause = func() {
			if !yield(struct{}{}) {
				panic(crashed{})
			}
		}
		run()
	})
	a.resume = func() {
		if _, more := next(); !more {
			a.ended = true
		}
	}
	a.stop = stop
	return a
}

func (w *world) startLoader(t *modelTable) *actor {
	a := &actor{id: "loader-" + t.name, table: t}
	return w.start(a, func() {
		l, err := New(Config{ID: a.id, Interval: time.Hour, Batches: 3}, Parts{Destination: a, Store: a, Lists: a, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			panic(err)
		}
		for {
			a.pause()
			_ = l.round(context.Background()) // the next round begins with a look
			w.states(t, l.Status().CompleteUpTo)
		}
	})
}

// startWorker starts the worker that commits and publishes a batch; or after a crash, the one that finishes its work.
func (w *world) startWorker(batch string) *actor {
	a := &actor{batch: batch}
	n, err := strconv.Atoi(batch[len("batch"):])
	if err != nil {
		panic(err)
	}
	return w.start(a, func() {
		for range w.rng.IntN(40) {
			a.pause()
		}
		if !slices.ContainsFunc(w.tables, func(t *modelTable) bool { return t.everNamed[batch] }) && w.outbox[batch].ID == "" {
			b := checkpoint.Batch{ID: batch, Tables: tablesOf(n), Files: modelFiles(batch)}
			if len(b.Tables) > 1 {
				w.events["batch of both tables"]++
			}
			w.outbox[batch] = b
		}
		for {
			_, err := call(a, "MarkPublished", func(bool) (struct{}, error) { return struct{}{}, w.markPublished(batch) })
			if err == nil || errors.Is(err, checkpoint.ErrNotFound) {
				return
			}
		}
	})
}

func (w *world) markPublished(id string) error {
	b, ok := w.outbox[id]
	if !ok {
		w.events["mark refused"]++
		if !w.rules.markRevives {
			return checkpoint.ErrNotFound
		}
		n, _ := strconv.Atoi(id[len("batch"):])
		b = checkpoint.Batch{ID: id, Tables: tablesOf(n), Files: modelFiles(id)}
	}
	if b.PublishedAt.IsZero() {
		w.published = append(w.published, id)
		b.PublishedAt = time.Unix(int64(w.step), 0)
	}
	w.outbox[id] = b
	return nil
}

// call sends a request and waits until it is answered, or given up with errNoAnswer.
func call[T any](a *actor, name string, f func(late bool) (T, error)) (answer T, err error) {
	return callTo(nil, a, name, f)
}

func callTo[T any](to *modelTable, a *actor, name string, f func(late bool) (T, error)) (answer T, err error) {
	m := &message{name: name, sender: a, from: a.w.delay(), to: to}
	m.apply = func(late bool) {
		got, gotErr := f(late)
		if !m.done {
			answer, err = got, gotErr
		}
	}
	a.w.inflight = append(a.w.inflight, m)
	a.waiting = m
	for !m.done {
		a.pause()
	}
	a.waiting = nil
	if m.lost {
		var none T
		return none, errNoAnswer
	}
	return answer, err
}

// do is call for a request without an answer.
func do(a *actor, name string, f func() error) error {
	_, err := call(a, name, func(bool) (struct{}, error) { return struct{}{}, f() })
	return err
}

// Outbox implements Store.
func (a *actor) Outbox(context.Context) ([]checkpoint.Batch, []checkpoint.UnknownBatch, error) {
	batches, err := call(a, "Outbox", func(bool) (map[string]checkpoint.Batch, error) {
		w := a.w
		if w.rules.staleOutbox && len(w.past) > 0 {
			return w.past[w.rng.IntN(len(w.past))], nil
		}
		return maps.Clone(w.outbox), nil
	})
	if a.w.rules.outboxFirst || a.w.rules.lateClaim {
		batches = a.seen
	}
	return slices.SortedFunc(maps.Values(batches), func(x, y checkpoint.Batch) int { return cmp.Compare(x.ID, y.ID) }), nil, err
}

// Complete implements Store.
func (a *actor) Complete(context.Context) (checkpoint.Complete, error) {
	if a.w.rules.lateClaim {
		seen, err := call(a, "Outbox", func(bool) (map[string]checkpoint.Batch, error) { return maps.Clone(a.w.outbox), nil })
		if err != nil {
			return checkpoint.Complete{}, err
		}
		a.seen = seen
	}
	return call(a, "Complete", func(bool) (c checkpoint.Complete, err error) {
		if n := len(a.w.published); n > 0 {
			c.UpTo = time.Unix(int64(n), 0)
		}
		return c, nil
	})
}

// states checks a statement that a table is complete.
func (w *world) states(t *modelTable, upTo time.Time) {
	if upTo.IsZero() {
		return
	}
	w.events["table complete"]++
	for _, id := range w.published[:upTo.Unix()] {
		n, _ := strconv.Atoi(id[len("batch"):])
		if slices.Contains(tablesOf(n), t.name) && !t.everNamed[id] {
			w.violate("table %s is said to be complete up to %d, and has never had %s", t.name, upTo.Unix(), id)
		}
	}
}

// MarkPublished implements Store. Loaders do not call it.
func (a *actor) MarkPublished(context.Context, string, time.Time) error { panic("not a loader's") }

// MarkLoaded implements Store.
func (a *actor) MarkLoaded(_ context.Context, id, name string) error {
	mark := func() error {
		b, ok := a.w.outbox[id]
		if !ok {
			return checkpoint.ErrNotFound
		}
		if !slices.Contains(b.Loaded, name) {
			b.Loaded = append(slices.Clone(b.Loaded), name)
		}
		a.w.outbox[id] = b
		return nil
	}
	if a.w.rules.lazyMarks {
		m := &message{name: "MarkLoaded " + id, apply: func(bool) { _ = mark() }, from: a.w.delay(), done: true, sender: a}
		a.w.inflight = append(a.w.inflight, m)
		return nil
	}
	return do(a, "MarkLoaded "+id, mark)
}

// Batch implements Store.
func (a *actor) Batch(_ context.Context, id string) (checkpoint.Batch, error) {
	return call(a, "Batch "+id, func(bool) (checkpoint.Batch, error) {
		b, ok := a.w.outbox[id]
		if !ok {
			return b, checkpoint.ErrNotFound
		}
		if a.w.rules.forgetFirst {
			a.w.forget(id)
		}
		b.Files = slices.Clone(b.Files)
		return b, nil
	})
}

// Forget implements Store.
func (a *actor) Forget(_ context.Context, id string) error {
	return do(a, "Forget "+id, func() error { a.w.forget(id); return nil })
}

func (w *world) forget(id string) {
	b, ok := w.outbox[id]
	if !ok {
		return
	}
	w.events["batch forgotten"]++
	for _, t := range w.tables {
		if slices.Contains(b.Tables, t.name) && !t.everNamed[id] {
			w.violate("%s was forgotten, and no ledger of table %s has ever named it", id, t.name)
		}
	}
	delete(w.outbox, id)
}

// Table implements Store.
func (a *actor) Table(context.Context, string) (checkpoint.Table, error) {
	return checkpoint.Table{}, checkpoint.ErrNotFound
}

// PutTable implements Store.
func (a *actor) PutTable(_ context.Context, t checkpoint.Table) (checkpoint.Table, error) {
	return t, nil
}

// ReadList implements Lists. The model's batches have none.
func (a *actor) ReadList(context.Context, checkpoint.FileList) ([]byte, string, error) {
	return nil, "", checkpoint.ErrNotFound
}

// DeleteList implements Lists.
func (a *actor) DeleteList(context.Context, checkpoint.FileList) error { return nil }

// Name implements Destination.
func (a *actor) Name() string { return a.table.name }

// Load implements Destination.
func (a *actor) Load(ctx context.Context, _ *table.Definition) (State, error) {
	if a.w.rules.outboxFirst {
		seen, err := call(a, "Outbox", func(bool) (map[string]checkpoint.Batch, error) { return maps.Clone(a.w.outbox), nil })
		if err != nil {
			return nil, err
		}
		a.seen = seen
	}
	return call(a, "Load", func(bool) (State, error) {
		s := &modelState{actor: a, head: a.table.head, ledger: slices.Clone(a.table.ledger), loadedAt: maps.Clone(a.table.loadedAt)}
		if a.w.rules.summaries {
			s.ledger = nil
			for _, snapshot := range a.table.snapshots {
				s.ledger = append(s.ledger, snapshot.batches...)
			}
		}
		if a.w.rules.earlyMarks {
			s.ledger = append(s.ledger, a.sent...)
		}
		return s, nil
	})
}

// modelState is a table as an actor has read it.
type modelState struct {
	actor  *actor
	head   int
	ledger []string

	loadedAt map[string]int
}

func (s *modelState) Ledger() []string                               { return s.ledger }
func (s *modelState) Definition() *table.Definition                  { return nil }
func (s *modelState) Check(*checkpoint.File) ([]table.Column, error) { return nil, nil }
func (s *modelState) Evolve(context.Context, []table.Column) (bool, []table.Column, error) {
	return false, nil, nil
}

// Settle implements Settler: a batch whose commit is old enough is in every standby.
func (s *modelState) Settle(_ context.Context, ids []string) ([]string, error) {
	a := s.actor
	if !a.table.database || a.w.rules.unheld {
		return ids, nil
	}
	return call(a, "Settle", func(bool) (settled []string, err error) {
		from := a.table.loadedAt
		if a.w.rules.heldByState {
			from = s.loadedAt
		}
		for _, id := range ids {
			if at, ok := from[id]; ok && at <= a.w.step-held {
				settled = append(settled, id)
			} else {
				a.w.events["batch held back"]++
			}
		}
		return settled, nil
	})
}

// Append implements State.
func (s *modelState) Append(_ context.Context, add Addition) error {
	a := s.actor
	if a.w.rules.earlyMarks {
		for _, b := range add.Batches {
			a.sent = append(a.sent, b.ID)
		}
	}
	head := s.head
	for {
		err := a.append(head, add)
		if err == nil || !a.w.rules.blindRetry {
			return err
		}
		head = a.table.head
	}
}

func (a *actor) append(head int, add Addition) error {
	_, err := callTo(a.table, a, fmt.Sprint("Append on ", head), func(late bool) (struct{}, error) {
		t := a.table
		if t.head != head && !a.w.rules.noAssertion {
			a.w.events["conflict"]++
			if late {
				a.w.events["append refused late"]++
			}
			return struct{}{}, ErrConflict
		}
		if late {
			a.w.events["append applied, unanswered"]++
		}
		a.apply(add)
		return struct{}{}, nil
	})
	return err
}

func (a *actor) apply(add Addition) {
	t := a.table
	t.keep(a.w.step)
	ledger := slices.Clone(add.Keep)
	if a.w.rules.earlyPruning {
		ledger = nil
	}
	var ids []string
	for _, b := range add.Batches {
		ids = append(ids, b.ID)
		for _, f := range b.Files {
			t.live[f.Key]++
			if t.live[f.Key] > 1 {
				a.w.violate("%s is in table %s %d times", f.Key, t.name, t.live[f.Key])
			}
		}
		t.everNamed[b.ID] = true
		t.loadedAt[b.ID] = a.w.step
	}
	if len(ids) > 1 {
		a.w.events["several batches appended"]++
	}
	for _, id := range t.ledger {
		if !slices.Contains(ledger, id) {
			a.w.events["id pruned"]++
		}
	}
	t.ledger = append(ledger, ids...)
	a.w.states(t, add.CompleteUpTo)
	a.w.commit(t, ids)
	a.w.log("%d: table %s has snapshot %d with %v and ledger %v", a.w.step, t.name, t.head, ids, t.ledger)
}
