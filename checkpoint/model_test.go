package checkpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
)

// The model plays the commit protocol in random orders: three workers that share two shards, a staging area whose
// uploads are invisible until they are completed, and a network between them and the store that delays, repeats and
// loses requests and answers. Workers crash at any step, restart under a new id, and take leases from each other at any
// time, even from live holders. At the end every record must be visible exactly once.
//
// A worker follows the rule of decision: it buries every commit that was not answered with success, until the store
// answers; then it publishes the batch, or drops it and restarts its shards from their stored checkpoints. Every worker
// publishes what is in the outbox. A tombstone is kept longer than any request can live.
//
// Some batches are also to be loaded into a table, see loading_model_test.go.

var (
	modelSeeds = flag.Int("model.seeds", 2000, "random runs of the protocol model")
	modelSeed  = flag.Uint64("model.seed", 0, "play this run of the protocol model only, and log its events")
)

func TestProtocol_PublishesEveryRecordExactlyOnce(t *testing.T) {
	if *modelSeed != 0 {
		w := newWorld(*modelSeed, fullRules)
		w.log = t.Logf
		if err := w.play(); err != nil {
			t.Fatal(err)
		}
		return
	}
	var total events
	for seed := range uint64(*modelSeeds) {
		w := newWorld(seed+1, fullRules)
		if err := w.play(); err != nil {
			t.Fatalf("seed %d (play it with -model.seed=%d -v): %v", seed+1, seed+1, err)
		}
		total.add(w.events)
	}
	t.Logf("%d runs: %+v", *modelSeeds, total)
	for name, n := range map[string]int{
		"crashes": total.crashes, "takeovers of living holders": total.stolen, "lost answers": total.lostAnswers,
		"requests applied late": total.late, "requests applied again": total.repeated, "lost requests": total.dropped,
		"batches buried": total.buried, "batches found committed by Bury": total.foundCommitted, "batches swept": total.swept,
		"commits refused after a tombstone": total.refusedByTombstone, "tombstones forgotten": total.forgotten,
		"writes to the table": total.appends, "writes to the table refused": total.outdated,
		"batches that were loaded and could not be forgotten yet": total.kept,
	} {
		if n == 0 {
			t.Errorf("the runs had no %s: they prove little", name)
		}
	}
	// They are rare: TestProtocol_NeedsEveryPart shows that one is noticed, however few these runs are.
	t.Logf("marks after the batch was forgotten: %d", total.lateMarks)
}

// TestProtocol_NeedsEveryPart takes one part of the protocol away at a time: the model must notice.
func TestProtocol_NeedsEveryPart(t *testing.T) {
	for name, r := range map[string]rules{
		"no condition on checkpoint and lease":  {condition: conditionNone, tombstones: tombstonesKept},
		"the lease owner as the only condition": {condition: conditionOwner, tombstones: tombstonesKept},
		"no tombstones":                         {condition: conditionFull, tombstones: tombstonesNone},
		"tombstones that are forgotten at once": {condition: conditionFull, tombstones: tombstonesBrief},

		"marks that need no item":                  {condition: conditionFull, tombstones: tombstonesKept, marks: marksAlways},
		"batches forgotten before they are loaded": {condition: conditionFull, tombstones: tombstonesKept, marks: marksForget},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20_000) {
				var broken *violation
				err := newWorld(seed+1, r).play()
				if errors.As(err, &broken) {
					t.Logf("noticed in run %d: %v", seed+1, err)
					return
				}
			}
			t.Error("the model did not notice in 20,000 runs")
		})
	}
}

type rules struct {
	condition  condition
	tombstones tombstones
	marks      marks
}

var fullRules = rules{conditionFull, tombstonesKept, marksKept}

type condition int

const (
	conditionFull condition = iota
	conditionOwner
	conditionNone
)

type tombstones int

const (
	tombstonesKept  tombstones = iota // until no commit of the batch is under way any more
	tombstonesBrief                   // forgotten by the first sweep
	tombstonesNone                    // a batch that is not in the outbox is dropped
)

const (
	modelWorkers = 3
	modelShards  = 2
	modelRecords = 8   // of each shard
	modelSteps   = 400 // with faults; then as many as needed, without
	calmSteps    = 20_000
)

// violation is a broken promise, apart from a run that did not come to its end.
type violation struct{ text string }

func (v *violation) Error() string { return v.text }

var (
	errNoAnswer = errors.New("no answer")
	errGone     = errors.New("no such upload")
)

// world is one run. Everything in it happens in one goroutine at a time, in an order that the seed decides.
type world struct {
	rng      *rand.Rand
	rules    rules
	store    *local.Store
	uploads  map[string]*upload
	table    lake
	inflight []*message
	workers  []*actor
	starts   int // of workers
	ids      int // of batches and uploads
	calm     bool
	events   events
	log      func(format string, args ...any)
}

// events counts what happened, to show that the runs are worth something.
type events struct {
	steps, crashes, stolen, lostAnswers, late, repeated, dropped, commits, buried, foundCommitted, swept,
	refusedByTombstone, forgotten, appends, outdated, lateMarks, kept int
}

func (e *events) add(o events) {
	e.steps += o.steps
	e.crashes += o.crashes
	e.stolen += o.stolen
	e.lostAnswers += o.lostAnswers
	e.late += o.late
	e.repeated += o.repeated
	e.dropped += o.dropped
	e.commits += o.commits
	e.buried += o.buried
	e.foundCommitted += o.foundCommitted
	e.swept += o.swept
	e.refusedByTombstone += o.refusedByTombstone
	e.forgotten += o.forgotten
	e.appends += o.appends
	e.outdated += o.outdated
	e.lateMarks += o.lateMarks
	e.kept += o.kept
}

// upload is a multipart upload; records are "shard/number".
type upload struct {
	records  []string
	complete bool
	aborted  bool
	loads    int // how often it is to be in the table
}

// message is a request under way. apply may run never, late, or more than once.
type message struct {
	name   string
	batch  string // of a commit
	apply  func()
	from   int  // the step before which it does not arrive
	count  int  // how often it was applied
	done   bool // the sender waits no more
	lost   bool // the sender was told nothing
	sender *actor
}

func newWorld(seed uint64, r rules) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 7)), rules: r, store: local.OpenMemory(), uploads: map[string]*upload{}, table: newLake(),
		log: func(string, ...any) {}}
}

func (w *world) play() error {
	defer w.stop()
	var leases []checkpoint.Lease
	for i := range modelShards {
		leases = append(leases, checkpoint.Lease{Shard: fmt.Sprint("s", i), Checkpoint: checkpoint.TrimHorizon})
	}
	if err := w.store.CreateLeases(context.Background(), leases); err != nil {
		return err
	}
	for range modelWorkers {
		w.workers = append(w.workers, w.start())
	}
	for range modelSteps {
		w.step()
	}
	w.calm = true
	for range calmSteps {
		if w.finished() {
			return w.check()
		}
		w.step()
	}
	return fmt.Errorf("not finished after %d steps without faults", calmSteps)
}

func (w *world) stop() {
	for _, a := range w.workers {
		a.stop()
	}
}

// finished checks that all shards are at their ends, all committed batches are published, and no request is in flight.
func (w *world) finished() bool {
	if len(w.inflight) > 0 {
		return false
	}
	snap := w.snapshot()
	ended := func(l checkpoint.Lease) bool { return l.Checkpoint == checkpoint.ShardEnd }
	return len(snap.Batches)+len(snap.Published)+len(w.table.ghosts) == 0 && !slices.ContainsFunc(snap.Leases, func(l checkpoint.Lease) bool { return !ended(l) })
}

func (w *world) snapshot() checkpoint.Snapshot {
	snap, err := w.store.Scan(context.Background())
	if err != nil {
		panic(err)
	}
	return snap
}

// check counts how often each record is visible.
func (w *world) check() error {
	seen := map[string]int{}
	for _, u := range w.uploads {
		if !u.complete {
			continue
		}
		for _, r := range u.records {
			seen[r]++
		}
	}
	for s := range modelShards {
		for n := 1; n <= modelRecords; n++ {
			r := recordName(fmt.Sprint("s", s), n)
			if seen[r] != 1 {
				return &violation{fmt.Sprintf("record %s is visible %d times", r, seen[r])}
			}
		}
	}
	return w.checkLake()
}

// step lets one thing happen.
func (w *world) step() {
	w.events.steps++
	if !w.calm && w.rng.IntN(60) == 0 {
		w.crash(w.rng.IntN(modelWorkers))
		return
	}
	if len(w.inflight) > 0 && w.rng.IntN(2) == 0 {
		w.network(w.rng.IntN(len(w.inflight)))
		return
	}
	if a := w.workers[w.rng.IntN(modelWorkers)]; a.waiting == nil || a.waiting.done {
		a.next()
	}
}

func (w *world) crash(i int) {
	w.events.crashes++
	w.log("%s crashes", w.workers[i].id)
	w.workers[i].stop()
	w.workers[i] = w.start()
}

// network lets something happen to a request.
func (w *world) network(i int) {
	m := w.inflight[i]
	switch n := w.rng.IntN(20); {
	case w.calm || n < 12 && m.from <= w.events.steps:
		w.deliver(i)
	case n < 14 && !m.done:
		w.events.lostAnswers++
		m.done, m.lost = true, true // the sender gives up, the request goes on
	case n == 14:
		w.events.dropped++
		m.done, m.lost = true, true
		w.inflight = slices.Delete(w.inflight, i, i+1)
	}
}

func (w *world) deliver(i int) {
	m := w.inflight[i]
	again := !w.calm && m.count < 3 && w.rng.IntN(6) == 0
	if again {
		m.from = w.delay()
	} else {
		w.inflight = slices.Delete(w.inflight, i, i+1)
	}
	if m.count > 0 {
		w.events.repeated++
	} else if m.done {
		w.events.late++
	}
	m.count++
	m.apply()
	if !m.done {
		m.done, m.lost = true, !w.calm && w.rng.IntN(6) == 0
	}
	w.log("%s of %s applied for the %d. time, batch %q, answer lost: %t", m.name, m.sender.id, m.count, m.batch, m.lost)
}

// delay returns the step at which a request arrives: mostly at once, now and then much later.
func (w *world) delay() int {
	if w.rng.IntN(4) > 0 {
		return w.events.steps
	}
	return w.events.steps + w.rng.IntN(modelSteps/3)
}

// committing reports whether a commit of the batch is still in flight.
func (w *world) committing(batch string) bool {
	return slices.ContainsFunc(w.inflight, func(m *message) bool { return m.batch == batch })
}

func (w *world) alive(owner string) bool {
	return slices.ContainsFunc(w.workers, func(a *actor) bool { return a.id == owner })
}

func (w *world) newID(kind string) string {
	w.ids++
	return kind + strconv.Itoa(w.ids)
}

// commit is the store's Commit under the conditions of the rules.
func (w *world) commit(b checkpoint.Batch) error {
	ctx := context.Background()
	w.events.commits++
	if w.rules.condition != conditionFull {
		forced, err := w.force(b)
		if err != nil {
			return err
		}
		b = forced
	}
	err := w.store.Commit(ctx, b)
	if err != nil && slices.Contains(w.snapshot().Tombstones, b.ID) {
		w.events.refusedByTombstone++
	}
	return err
}

// force changes the rows so that the conditions that the rules leave out hold.
func (w *world) force(b checkpoint.Batch) (checkpoint.Batch, error) {
	ctx := context.Background()
	snap := w.snapshot()
	taken := slices.Contains(snap.Tombstones, b.ID) || slices.ContainsFunc(snap.Batches, func(o checkpoint.Batch) bool { return o.ID == b.ID })
	if taken {
		return b, checkpoint.ErrConflict
	}
	b.Ranges = slices.Clone(b.Ranges)
	for i, r := range b.Ranges {
		row, err := w.store.Lease(ctx, r.Shard)
		if err != nil {
			return b, err
		}
		if w.rules.condition == conditionOwner && row.Owner != r.LeaseOwner {
			return b, checkpoint.ErrConflict
		}
		owner := row.Owner
		if row, err = w.store.Rewind(ctx, row, r.Start); err != nil {
			return b, err
		}
		if row, err = w.store.Acquire(ctx, row, max(owner, "nobody")); err != nil {
			return b, err
		}
		b.Ranges[i].LeaseOwner, b.Ranges[i].LeaseCounter = row.Owner, row.Counter
	}
	return b, nil
}

// actor is one start of a worker. Its code runs between two calls of pause, where the world may stop it.
type actor struct {
	w       *world
	id      string
	held    map[string]checkpoint.Lease // with the position that is read up to as its checkpoint
	waiting *message
	next    func()
	stop    func()
	pause   func()
}

type crashed struct{}

func (w *world) start() *actor {
	w.starts++
	a := &actor{w: w, id: fmt.Sprint("w", w.starts), held: map[string]checkpoint.Lease{}}
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
		a.run()
	})
	a.next, a.stop = func() { next() }, stop
	return a
}

func (a *actor) run() {
	for {
		a.pause()
		switch n := a.w.rng.IntN(14); {
		case n < 3:
			a.acquire()
		case n < 5:
			a.sweep()
		case n < 6:
			a.release()
		case n < 8:
			a.load()
		case len(a.held) > 0:
			a.settle(a.fill())
		}
	}
}

// call sends a request and waits until it is answered, or given up with errNoAnswer.
func call[T any](a *actor, name, batch string, f func() (T, error)) (answer T, err error) {
	m := &message{name: name, batch: batch, sender: a, from: a.w.delay()}
	m.apply = func() {
		got, gotErr := f()
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

func (a *actor) scan() (checkpoint.Snapshot, error) {
	return call(a, "scan", "", func() (checkpoint.Snapshot, error) { return a.w.snapshot(), nil })
}

// acquire takes a lease that this worker does not know as its own, from whoever holds it.
func (a *actor) acquire() {
	snap, err := a.scan()
	if err != nil {
		return
	}
	wanted := slices.DeleteFunc(snap.Leases, func(l checkpoint.Lease) bool {
		_, held := a.held[l.Shard]
		return held || l.Checkpoint == checkpoint.ShardEnd || a.w.calm && l.Owner != a.id && a.w.alive(l.Owner)
	})
	if len(wanted) == 0 {
		return
	}
	l := wanted[a.w.rng.IntN(len(wanted))]
	got, err := call(a, "acquire", "", func() (checkpoint.Lease, error) {
		return a.w.store.Acquire(context.Background(), l, a.id)
	})
	if err != nil {
		return
	}
	if a.w.alive(l.Owner) {
		a.w.events.stolen++
	}
	a.held[l.Shard] = got
}

func (a *actor) release() {
	if len(a.held) == 0 {
		return
	}
	shard := a.anyHeld()[0]
	l := a.held[shard]
	delete(a.held, shard)
	_, _ = call(a, "release", "", func() (struct{}, error) { // the lease is free or it will be taken
		return struct{}{}, a.w.store.Release(context.Background(), l)
	})
}

// anyHeld returns the shards that are held, in random order.
func (a *actor) anyHeld() []string {
	shards := slices.Sorted(maps.Keys(a.held))
	a.w.rng.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
	return shards
}

// fill stages the next records of some of the shards in one or two uploads.
func (a *actor) fill() checkpoint.Batch {
	rng := a.w.rng
	b := checkpoint.Batch{ID: a.w.newID("b"), Worker: a.id}
	if rng.IntN(2) == 0 {
		b.Tables = []string{lakeName}
	}
	for range 1 + rng.IntN(2) {
		id := a.w.newID("u")
		a.w.uploads[id] = &upload{loads: len(b.Tables)}
		b.Files = append(b.Files, staged(id))
	}
	shards := a.anyHeld()
	for _, shard := range shards[:1+rng.IntN(len(shards))] {
		l := a.held[shard]
		first := number(l.Checkpoint) + 1
		last := first + rng.IntN(modelRecords-first+1)
		for n := first; n <= last; n++ {
			u := a.w.uploads[uploadOf(b.Files[rng.IntN(len(b.Files))])]
			u.records = append(u.records, recordName(shard, n))
			a.pause()
		}
		b.Ranges = append(b.Ranges, checkpoint.Range{Shard: shard, Start: l.Checkpoint, End: place(last), LeaseOwner: a.id, LeaseCounter: l.Counter})
	}
	return b
}

// settle brings a batch to its outcome.
func (a *actor) settle(b checkpoint.Batch) {
	_, err := call(a, "commit", b.ID, func() (struct{}, error) { return struct{}{}, a.w.commit(b) })
	if err != nil && !a.bury(b) {
		a.drop(b)
		return
	}
	for _, r := range b.Ranges {
		l := a.held[r.Shard]
		l.Checkpoint = r.End
		a.held[r.Shard] = l
		if r.End == checkpoint.ShardEnd {
			delete(a.held, r.Shard)
		}
	}
	a.publish(b)
}

// bury asks until the store has decided.
func (a *actor) bury(b checkpoint.Batch) (committed bool) {
	for {
		committed, err := call(a, "bury", "", func() (bool, error) {
			if a.w.rules.tombstones == tombstonesNone {
				_, err := a.w.store.Batch(context.Background(), b.ID)
				return err == nil, nil
			}
			return a.w.store.Bury(context.Background(), b.ID, a.id)
		})
		switch {
		case err == nil && committed:
			a.w.events.foundCommitted++
			return true
		case err == nil:
			a.w.events.buried++
			return false
		}
	}
}

// drop aborts the uploads and starts again from the stored checkpoints.
func (a *actor) drop(b checkpoint.Batch) {
	for _, f := range b.Files {
		_, _ = call(a, "abort", "", func() (struct{}, error) { // what is left is invisible
			if u := a.w.uploads[uploadOf(f)]; !u.complete {
				u.aborted = true
			}
			return struct{}{}, nil
		})
	}
	for _, r := range b.Ranges {
		a.restart(r)
	}
}

func (a *actor) restart(r checkpoint.Range) {
	row, err := call(a, "lease", "", func() (checkpoint.Lease, error) {
		return a.w.store.Lease(context.Background(), r.Shard)
	})
	if err != nil || row.Owner != a.id || row.Checkpoint == checkpoint.ShardEnd {
		delete(a.held, r.Shard)
		return
	}
	a.held[r.Shard] = row
}

// publish completes the uploads and forgets the batch, or marks it as published if it is to be loaded into a table. It may
// stop midway: another worker's sweep finishes it.
func (a *actor) publish(b checkpoint.Batch) {
	for _, f := range b.Files {
		_, err := call(a, "complete", "", func() (struct{}, error) {
			u := a.w.uploads[uploadOf(f)]
			if u.aborted {
				return struct{}{}, errGone
			}
			u.complete = true
			return struct{}{}, nil
		})
		if errors.Is(err, errNoAnswer) {
			return
		}
	}
	if len(b.Tables) > 0 {
		_, _ = call(a, "mark published", "", func() (struct{}, error) { return struct{}{}, a.w.markPublished(b) })
		return
	}
	_, _ = call(a, "forget", "", func() (struct{}, error) { return struct{}{}, a.w.store.Forget(context.Background(), b.ID) })
}

// sweep publishes what is in the outbox, whoever committed it, and forgets old tombstones.
func (a *actor) sweep() {
	snap, err := a.scan()
	if err != nil {
		return
	}
	for _, header := range snap.Batches {
		b, err := call(a, "batch", "", func() (checkpoint.Batch, error) {
			return a.w.store.Batch(context.Background(), header.ID)
		})
		if err == nil {
			a.w.events.swept++
			a.publish(b)
		}
	}
	for _, id := range snap.Tombstones {
		if a.w.rules.tombstones == tombstonesKept && a.w.committing(id) {
			continue
		}
		a.w.events.forgotten++
		_, _ = call(a, "forget", "", func() (struct{}, error) { return struct{}{}, a.w.store.Forget(context.Background(), id) })
	}
}

// staged is a file of the upload with that id.
func staged(id string) checkpoint.File {
	return checkpoint.File{Staged: fmt.Appendf(nil, `{"id":%q}`, id)}
}

func uploadOf(f checkpoint.File) string {
	var upload struct{ ID string }
	if err := json.Unmarshal(f.Staged, &upload); err != nil {
		panic(err) // the model made it
	}
	return upload.ID
}

func recordName(shard string, n int) string { return shard + "/" + strconv.Itoa(n) }

// number returns the last record before a position.
func number(p checkpoint.Position) int {
	n, _ := strconv.Atoi(string(p)) // TRIM_HORIZON is 0
	return n
}

// place returns the position after a record; after the last one it is the end of the shard.
func place(n int) checkpoint.Position {
	if n == modelRecords {
		return checkpoint.ShardEnd
	}
	return checkpoint.Position(strconv.Itoa(n))
}
