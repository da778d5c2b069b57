package lease_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/metrics"
)

// fleet is a stream, a table, and workers that share it, in one bubble of virtual time.
type fleet struct {
	t       *testing.T
	stream  *stream
	table   *local.Store
	workers []*worker
}

func newFleet(t *testing.T, shards int) *fleet {
	f := &fleet{t: t, stream: newStream(shards), table: local.OpenMemory()}
	t.Cleanup(func() { _ = f.table.Close() })
	return f
}

// start starts a worker; change may modify its settings.
func (f *fleet) start(id string, change ...func(*lease.Config)) *worker {
	f.t.Helper()
	w := f.prepare(id, change...)
	f.run(w)
	return w
}

// prepare makes a worker without starting it.
func (f *fleet) prepare(id string, change ...func(*lease.Config)) *worker {
	f.t.Helper()
	cfg := lease.Config{Worker: id, Application: "app"}
	for _, c := range change {
		c(&cfg)
	}
	w := &worker{
		id: id, store: &faultyStore{Store: f.table, calls: map[string]int{}}, registry: prometheus.NewRegistry(),
		done: make(chan struct{}), readers: map[string]*lease.Hold{},
	}
	keeper, err := lease.New(cfg, w.store, f.stream, slog.New(slog.DiscardHandler), metrics.New(w.registry))
	if err != nil {
		f.t.Fatal(err)
	}
	w.Keeper = keeper
	return w
}

func (f *fleet) run(w *worker) {
	ctx, cancel := context.WithCancel(f.t.Context())
	w.stop = cancel
	f.workers = append(f.workers, w)
	go func() {
		defer close(w.done)
		w.err = w.Run(ctx)
	}()
	go w.engine()
}

// end stops all workers, so that the bubble can end.
func (f *fleet) end() {
	for _, w := range f.workers {
		w.store.fail(nil)
		w.thaw()
		w.stop()
	}
	for _, w := range f.workers {
		<-w.done
		w.ending.Wait()
	}
}

// leader returns the worker that leads, as far as the table shows it.
func (f *fleet) leader() *worker {
	f.t.Helper()
	lead := f.lead()
	for _, w := range f.workers {
		if w.id == lead.Worker {
			return w
		}
	}
	f.t.Fatalf("nobody leads: %+v", lead)
	return nil
}

// follower returns a worker that does not lead.
func (f *fleet) follower() *worker {
	f.t.Helper()
	leader := f.leader()
	for _, w := range f.workers {
		if w != leader {
			return w
		}
	}
	f.t.Fatal("nobody follows")
	return nil
}

func (f *fleet) lead() checkpoint.Lead {
	f.t.Helper()
	lead, err := f.table.Lead(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	return lead
}

// rows reads the table.
func (f *fleet) rows() map[string]checkpoint.Lease {
	f.t.Helper()
	snap, err := f.table.Scan(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	rows := make(map[string]checkpoint.Lease)
	for _, row := range snap.Leases {
		rows[row.Shard] = row
	}
	return rows
}

// owners counts the unfinished leases of each owner; those without an owner are under "".
func (f *fleet) owners() map[string]int {
	counts := make(map[string]int)
	for _, row := range f.rows() {
		if row.Checkpoint != checkpoint.ShardEnd {
			counts[row.Owner]++
		}
	}
	return counts
}

// balanced fails unless the workers hold all leases with a difference of at most one.
func (f *fleet) balanced(total int, workers ...string) {
	f.t.Helper()
	counts := f.owners()
	sum, least, most := 0, total, 0
	for _, id := range workers {
		sum += counts[id]
		least, most = min(least, counts[id]), max(most, counts[id])
	}
	if sum != total || most-least > 1 {
		f.t.Errorf("leases are held as %v, want %d among %v", counts, total, workers)
	}
}

// commit moves a checkpoint as the pipeline would.
func (f *fleet) commit(h *lease.Hold, to checkpoint.Position) error {
	row := h.Lease()
	err := f.table.Commit(context.Background(), checkpoint.Batch{
		ID: fmt.Sprintf("%s-%s-%d", row.Shard, to, row.Counter), Worker: row.Owner, Created: time.Now(),
		Ranges: []checkpoint.Range{{Shard: row.Shard, Start: row.Checkpoint, End: to, LeaseOwner: row.Owner, LeaseCounter: row.Counter, LastArrival: time.Now()}},
	})
	if err == nil {
		h.Committed(checkpoint.Range{End: to, LastArrival: time.Now()})
	}
	return err
}

// worker is a Keeper with an engine that runs a reader for each lease.
type worker struct {
	*lease.Keeper
	id       string
	store    *faultyStore
	registry *prometheus.Registry
	stop     context.CancelFunc
	done     chan struct{}
	err      error
	deliver  func(h *lease.Hold) // what a reader does until its hold ends or must drain; nil for nothing

	mu      sync.Mutex
	readers map[string]*lease.Hold
	causes  []error       // with which the contexts of readers ended
	slow    time.Duration // how long a reader takes to drain
	ending  sync.WaitGroup
}

// engine looks for shards twice a second and starts readers, until the worker is done.
func (w *worker) engine() {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-tick.C:
		}
		for _, shard := range w.Shards() {
			if h, ok := w.Take(shard); ok {
				w.mu.Lock()
				w.readers[shard] = h
				w.mu.Unlock()
				w.ending.Go(func() { w.read(shard, h) })
			}
		}
	}
}

func (w *worker) read(shard string, h *lease.Hold) {
	if w.deliver != nil {
		w.deliver(h)
	}
	select {
	case <-h.Context().Done():
	case <-h.Draining():
		w.mu.Lock()
		slow := w.slow
		w.mu.Unlock()
		// No timer that is due at once: a thousand of them in one bubble crash the race detector of Go 1.26.
		if slow > 0 {
			select {
			case <-h.Context().Done():
			case <-time.After(slow):
			}
		}
	}
	w.mu.Lock()
	if w.readers[shard] == h {
		delete(w.readers, shard)
	}
	if cause := context.Cause(h.Context()); cause != nil {
		w.causes = append(w.causes, cause)
	}
	w.mu.Unlock()
	h.Release(context.Background())
}

func (w *worker) drainsIn(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slow = d
}

func (w *worker) reader(shard string) *lease.Hold {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.readers[shard]
}

func (w *worker) reading() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.readers))
}

// gauge reads a metric without labels.
func (w *worker) gauge(name string) float64 {
	families, _ := w.registry.Gather()
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

func (w *worker) ended() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.causes)
}

// kill takes the worker off the network and ends it.
func (w *worker) kill() {
	w.store.fail(func(string) error { return errAway })
	w.stop()
}

// freeze makes every request of the worker hang until thaw.
func (w *worker) freeze() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if w.store.frozen == nil {
		w.store.frozen = make(chan struct{})
	}
}

func (w *worker) thaw() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if w.store.frozen != nil {
		close(w.store.frozen)
		w.store.frozen = nil
	}
}

var errAway = errors.New("the store is away")

// faultyStore is one worker's access to the table.
type faultyStore struct {
	checkpoint.Store
	mu       sync.Mutex
	calls    map[string]int
	before   func(operation string) error // the call is not applied
	after    func(operation string) error // it is, but the answer is lost
	frozen   chan struct{}
	rewrite  func(rows []checkpoint.Lease) // changes the rows to be created
	imports  string                        // the table whose import a scan shows
	emptied  bool                          // a scan shows a table that was made again
	scanTime time.Duration                 // from the reading of the rows to the answer
	lastBeat time.Time
}

func (s *faultyStore) fail(before func(string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *faultyStore) loseAnswers(after func(string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = after
}

func (s *faultyStore) empty(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emptied = is
}

func (s *faultyStore) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

func (s *faultyStore) beaten() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastBeat
}

func (s *faultyStore) do(ctx context.Context, operation string, f func() error) error {
	s.mu.Lock()
	s.calls[operation]++
	before, after, frozen := s.before, s.after, s.frozen
	s.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	if before != nil {
		if err := before(operation); err != nil {
			return err
		}
	}
	if err := f(); err != nil {
		return err
	}
	if operation == "heartbeat" {
		s.mu.Lock()
		s.lastBeat = time.Now()
		s.mu.Unlock()
	}
	if after != nil {
		return after(operation)
	}
	return ctx.Err()
}

func (s *faultyStore) Scan(ctx context.Context) (snap checkpoint.Snapshot, err error) {
	err = s.do(ctx, "scan", func() error { snap, err = s.Store.ScanConsistently(ctx); return err })
	s.mu.Lock()
	took := s.scanTime
	snap.Application.Importing = s.imports
	if s.emptied {
		snap = checkpoint.Snapshot{Workers: snap.Workers}
	}
	s.mu.Unlock()
	time.Sleep(took)
	return snap, err
}

func (s *faultyStore) ScanConsistently(ctx context.Context) (snap checkpoint.Snapshot, err error) {
	return s.Scan(ctx)
}

func (s *faultyStore) RaiseComplete(ctx context.Context, c checkpoint.Complete) (raised checkpoint.Complete, err error) {
	err = s.do(ctx, "raise", func() error { raised, err = s.Store.RaiseComplete(ctx, c); return err })
	return raised, err
}

func (s *faultyStore) Heartbeat(ctx context.Context, w checkpoint.Worker) error {
	return s.do(ctx, "heartbeat", func() error { return s.Store.Heartbeat(ctx, w) })
}

func (s *faultyStore) Leave(ctx context.Context, id string) error {
	return s.do(ctx, "leave", func() error { return s.Store.Leave(ctx, id) })
}

func (s *faultyStore) CreateLeases(ctx context.Context, rows []checkpoint.Lease) error {
	if s.rewrite != nil {
		s.rewrite(rows)
	}
	return s.do(ctx, "create", func() error { return s.Store.CreateLeases(ctx, rows) })
}

func (s *faultyStore) Lease(ctx context.Context, shard string) (row checkpoint.Lease, err error) {
	err = s.do(ctx, "lease", func() error { row, err = s.Store.Lease(ctx, shard); return err })
	return row, err
}

func (s *faultyStore) Acquire(ctx context.Context, l checkpoint.Lease, owner string) (row checkpoint.Lease, err error) {
	err = s.do(ctx, "acquire", func() error { row, err = s.Store.Acquire(ctx, l, owner); return err })
	return row, err
}

func (s *faultyStore) Release(ctx context.Context, l checkpoint.Lease) error {
	return s.do(ctx, "release", func() error { return s.Store.Release(ctx, l) })
}

func (s *faultyStore) DeleteLease(ctx context.Context, l checkpoint.Lease) error {
	return s.do(ctx, "delete", func() error { return s.Store.DeleteLease(ctx, l) })
}

func (s *faultyStore) Lead(ctx context.Context) (l checkpoint.Lead, err error) {
	err = s.do(ctx, "lead", func() error { l, err = s.Store.Lead(ctx); return err })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.emptied {
		l = checkpoint.Lead{}
	}
	return l, err
}

func (s *faultyStore) TakeLead(ctx context.Context, was checkpoint.Lead, worker string) (l checkpoint.Lead, err error) {
	err = s.do(ctx, "take lead", func() error { l, err = s.Store.TakeLead(ctx, was, worker); return err })
	return l, err
}

func (s *faultyStore) Resign(ctx context.Context, l checkpoint.Lead) error {
	return s.do(ctx, "resign", func() error { return s.Store.Resign(ctx, l) })
}

func (s *faultyStore) Worker(ctx context.Context, id string) (w checkpoint.Worker, err error) {
	err = s.do(ctx, "worker", func() error { w, err = s.Store.Worker(ctx, id); return err })
	return w, err
}

func (s *faultyStore) GiveOrders(ctx context.Context, worker string, o checkpoint.Orders) error {
	return s.do(ctx, "give", func() error { return s.Store.GiveOrders(ctx, worker, o) })
}

func (s *faultyStore) Orders(ctx context.Context, worker string) (o checkpoint.Orders, err error) {
	err = s.do(ctx, "orders", func() error { o, err = s.Store.Orders(ctx, worker); return err })
	return o, err
}

func (s *faultyStore) Dismiss(ctx context.Context, worker string) error {
	return s.do(ctx, "dismiss", func() error { return s.Store.Dismiss(ctx, worker) })
}

func (s *faultyStore) Forget(ctx context.Context, id string) error {
	return s.do(ctx, "forget", func() error { return s.Store.Forget(ctx, id) })
}

// stream is a listing that tests change.
type stream struct {
	mu      sync.Mutex
	shards  map[string]shardmap.Shard
	omitted map[string]int // listings that omit a shard
	created time.Time
	lists   int
	err     error
	silent  map[string]bool // calls that are not answered until their context ends
}

// hush makes a call of the stream accepted but not answered, or answered again.
func (s *stream) hush(call string, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent == nil {
		s.silent = make(map[string]bool)
	}
	s.silent[call] = silent
}

// answers waits for the end of ctx if the call is not to be answered.
func (s *stream) answers(ctx context.Context, call string) error {
	s.mu.Lock()
	silent := s.silent[call]
	s.mu.Unlock()
	if silent {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func shardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

func newStream(shards int) *stream {
	s := &stream{shards: map[string]shardmap.Shard{}, omitted: map[string]int{}, created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for n := range shards {
		s.shards[shardID(n)] = shardmap.Shard{ID: shardID(n)}
	}
	return s
}

func (s *stream) ListShards(ctx context.Context) (shardmap.Listing, error) {
	if err := s.answers(ctx, "list"); err != nil {
		return shardmap.Listing{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	if s.err != nil {
		return shardmap.Listing{}, s.err
	}
	listed := shardmap.Listing{AsOf: time.Now()}
	for _, id := range slices.Sorted(maps.Keys(s.shards)) {
		if s.omitted[id] > 0 {
			s.omitted[id]--
			continue
		}
		listed.Shards = append(listed.Shards, s.shards[id])
	}
	return listed, nil
}

func (s *stream) Describe(ctx context.Context) (shardmap.Stream, error) {
	if err := s.answers(ctx, "describe"); err != nil {
		return shardmap.Stream{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return shardmap.Stream{
		Name: "trips", Created: s.created, Retention: 4 * time.Hour, OpenShards: len(s.shards),
		ServerTime: time.Now().Truncate(time.Second),
	}, s.err
}

// reshard closes the parents and adds children of all of them.
func (s *stream) reshard(parents []int, children ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, n := range parents {
		ids = append(ids, shardID(n))
		if p, ok := s.shards[shardID(n)]; ok {
			p.Closed, p.EndingSequence = true, "9"
			s.shards[shardID(n)] = p
		}
	}
	for _, n := range children {
		s.shards[shardID(n)] = shardmap.Shard{ID: shardID(n), Parents: ids}
	}
}

func (s *stream) trim(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shards, shardID(n))
}

func (s *stream) omit(n, listings int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.omitted[shardID(n)] = listings
}

func (s *stream) omissionsLeft(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.omitted[shardID(n)]
}
