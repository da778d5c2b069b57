package lease

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer/shardmap"
)

// The model plays workers that read, commit, publish, steal, freeze and die, whose scans take their time item by item, whose
// heartbeats and listings arrive late, and whose batches anyone publishes, beside a stream that reshards, stamps
// arrivals inaccurately and shows records and shards late, and an operator who rewinds. The claims, the scans'
// evaluation, the statements and the store are the real ones. Whenever a statement is accepted, every record with an
// earlier arrival must be visible, and none may be put later.
func TestComplete_IsNeverEarly(t *testing.T) {
	runs := 400
	if testing.Short() {
		runs = 100
	}
	var total completeEvents
	for seed := range uint64(runs) {
		if err := playComplete(t, seed, completeFaults{}, &total); err != nil {
			t.Fatalf("run %d: %v", seed, err)
		}
	}
	t.Logf("%d runs: %+v", runs, total)
	if total.raised < runs || total.swept == 0 || total.stolen == 0 || total.ended == 0 || total.rewound == 0 || total.void == 0 || total.deaths == 0 || total.tips == 0 {
		t.Errorf("%+v: the runs prove little", total)
	}
	for name, fault := range map[string]completeFaults{
		"committed instead of published":                       {committed: true},
		"the outbox of the same scan":                          {sameScan: true},
		"ownership instead of the digest":                      {ownership: true},
		"a digest without counters":                            {uncounted: true},
		"the listing's end instead of its beginning":           {listingEnd: true},
		"no wait for batches of dead workers":                  {deadBatches: true},
		"no wait for batches of shards that their worker lost": {lostBatches: true},
		"ended parents without their children":                 {childless: true},
		"the host's clock instead of the service's":            {hostClock: true},
		"no margin":                  {marginless: true},
		"rewinds that nobody counts": {uncountedRewinds: true},
		"a shard that is read to its tip, before the commit": {uncommittedTip: true},
	} {
		t.Run("control: "+name, func(t *testing.T) {
			for seed := range uint64(4 * runs) {
				if err := playComplete(t, seed, fault, new(completeEvents)); err != nil {
					t.Logf("noticed in run %d: %v", seed, err)
					return
				}
			}
			t.Errorf("not noticed in %d runs", 4*runs)
		})
	}
}

// completeFaults are what a worse implementation would do.
type completeFaults struct {
	committed, sameScan, ownership, uncounted, listingEnd, deadBatches, lostBatches, childless, hostClock, marginless bool
	uncountedRewinds, uncommittedTip                                                                                  bool
}

// completeEvents counts what happened, because runs in which nothing did prove nothing.
type completeEvents struct{ raised, void, tips, swept, stolen, ended, deaths, rewound int }

// completeModel is one run.
type completeModel struct {
	*testing.T
	fault   completeFaults
	events  *completeEvents
	random  *rand.Rand
	table   *local.Store
	now     time.Time // of the service
	shards  []*modelShard
	workers []*modelWorker
	batches map[string]*modelBatch // by id, in the outbox
	started int
	sealed  int
	calm    int // trouble is rarer with a larger number
	err     error
}

type modelShard struct {
	id      string
	parents []string
	born    time.Time // when listings begin to show it
	closed  bool
	epoch   int // rewinds
	records []*modelRecord
}

type modelRecord struct {
	arrival, readable time.Time
	visible           int // the epoch in which it was published last; -1 if never
}

// modelWorker is a process. Its keeper is the real one, without its goroutines.
type modelWorker struct {
	id       string
	keeper   *Keeper
	sessions map[string]*modelSession
	batch    *modelBatch // sealed and sent, not applied yet
	scan     *modelScan
	listing  *shardmap.Listing // of which only the time is known yet
	beat     *checkpoint.Worker
}

type modelSession struct {
	hold *Hold
	at   int // records read
	end  bool
	// from is where the next batch begins, and to where it ends.
	from, to checkpoint.Position
}

type modelBatch struct {
	checkpoint.Batch
	sessions []*modelSession
	records  map[*modelRecord]int // with the epochs in which they were read
	visible  bool
}

// modelScan is a consistent scan that is under way.
type modelScan struct {
	left []func(*checkpoint.Snapshot)
	snap checkpoint.Snapshot
}

func playComplete(t *testing.T, seed uint64, fault completeFaults, events *completeEvents) error {
	m := &completeModel{
		T: t, fault: fault, events: events, random: rand.New(rand.NewPCG(seed, 7)), table: local.OpenMemory(),
		now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), batches: map[string]*modelBatch{}, calm: 1 + int(seed%4),
	}
	defer func() { _ = m.table.Close() }()
	for range 1 + m.random.IntN(2) {
		m.bear()
	}
	for range 2 + m.random.IntN(2) {
		m.start()
	}
	for range 500 {
		m.now = m.now.Add(time.Duration(m.random.IntN(1500)) * time.Millisecond)
		if m.step(); m.err != nil {
			return m.err
		}
	}
	return nil
}

// chance reports true once in n times.
func (m *completeModel) chance(n int) bool { return m.random.IntN(n) == 0 }

func (m *completeModel) seconds(n int) time.Duration {
	return time.Duration(m.random.IntN(n*1000)) * time.Millisecond
}

func (m *completeModel) fatal(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *completeModel) step() {
	ctx := m.Context()
	w := m.workers[m.random.IntN(len(m.workers))]
	switch n := m.random.IntN(100); {
	case n < 10:
		m.put()
	case n < 11:
		if m.chance(m.calm) {
			m.trouble(ctx, w)
		}
	case n < 33:
		m.read(w)
	case n < 45:
		m.seal(ctx, w)
	case n < 56:
		m.publish(ctx, w)
	case n < 66:
		m.beat(ctx, w)
	case n < 73:
		m.list(ctx, w)
	case n < 78:
		m.take(ctx, w)
	case n < 79:
		m.release(ctx, w)
	case n < 83:
		m.state(ctx, w)
	default:
		m.scan(ctx, w)
	}
}

func (m *completeModel) trouble(ctx context.Context, w *modelWorker) {
	switch m.random.IntN(6) {
	case 0:
		m.rewind(ctx)
	case 1, 2:
		m.reshard()
	default:
		m.die(w)
	}
}

func (m *completeModel) bear(parents ...*modelShard) {
	s := &modelShard{id: fmt.Sprintf("shardId-%012d", len(m.shards)), born: m.now.Add(m.seconds(4))}
	for _, p := range parents {
		p.closed = true
		s.parents = append(s.parents, p.id)
	}
	m.shards = append(m.shards, s)
}

func (m *completeModel) shard(id string) *modelShard {
	return m.shards[slices.IndexFunc(m.shards, func(s *modelShard) bool { return s.id == id })]
}

func (m *completeModel) open() []*modelShard {
	return slices.DeleteFunc(slices.Clone(m.shards), func(s *modelShard) bool { return s.closed })
}

// put puts a record, mostly into the first open shard, so that others are idle. Its arrival may be before that of the
// one before, and it cannot be read at once.
func (m *completeModel) put() {
	open := m.open()
	s := open[0]
	if m.chance(4) {
		s = open[m.random.IntN(len(open))]
	}
	r := &modelRecord{arrival: m.now.Add(-m.seconds(4)), readable: m.now.Add(m.seconds(4)), visible: -1}
	if n := len(s.records); n > 0 && s.records[n-1].readable.After(r.readable) {
		r.readable = s.records[n-1].readable
	}
	s.records = append(s.records, r)
	if c, err := m.table.Complete(m.Context()); err == nil && r.arrival.Before(c.UpTo) {
		m.err = fmt.Errorf("a record of %s arrives at %v, after it was stated that all is complete up to %v", s.id, r.arrival, c.UpTo)
	}
}

func (m *completeModel) reshard() {
	open := m.open()
	s := open[m.random.IntN(len(open))]
	if other := open[m.random.IntN(len(open))]; other != s {
		m.bear(s, other)
	} else if len(m.shards) < 8 {
		m.bear(s)
		m.bear(s)
	}
}

func (m *completeModel) start() {
	m.started++
	id := fmt.Sprintf("w%d", m.started)
	k, err := New(Config{Worker: id, Application: "app"}, &modelStore{m.table, m}, nil, slog.New(slog.DiscardHandler), nil)
	m.fatal(err)
	k.app.Initial = checkpoint.TrimHorizon
	m.workers = append(m.workers, &modelWorker{id: id, keeper: k, sessions: map[string]*modelSession{}})
}

// die replaces a worker. What it has sent may still be applied, or not; its heartbeat stays for a while.
func (m *completeModel) die(w *modelWorker) {
	m.events.deaths++
	if w.batch != nil && m.chance(2) {
		m.apply(m.Context(), w)
	}
	if m.chance(2) {
		m.fatal(m.table.Leave(m.Context(), w.id))
	}
	m.workers = slices.DeleteFunc(m.workers, func(other *modelWorker) bool { return other == w })
	m.start()
}

// take acquires a lease: one without an owner, or somebody else's, who need not be dead.
func (m *completeModel) take(ctx context.Context, w *modelWorker) {
	snap, err := m.table.Scan(ctx)
	m.fatal(err)
	ended := map[string]bool{}
	for _, row := range snap.Leases {
		ended[row.Shard] = row.Checkpoint == checkpoint.ShardEnd
	}
	m.random.Shuffle(len(snap.Leases), func(i, j int) { snap.Leases[i], snap.Leases[j] = snap.Leases[j], snap.Leases[i] })
	for _, row := range snap.Leases {
		waits := slices.ContainsFunc(row.Parents, func(p string) bool { return !ended[p] })
		if ended[row.Shard] || waits || row.Owner == w.id || w.sessions[row.Shard] != nil || row.Owner != "" && m.alive(row.Owner) && !m.chance(20*m.calm) {
			continue
		}
		if row.Owner != "" {
			m.events.stolen++
		}
		got, err := m.table.Acquire(ctx, row, w.id)
		m.fatal(err)
		w.keeper.mu.Lock()
		w.keeper.offerLocked(got)
		w.keeper.mu.Unlock()
		m.begin(w, row.Shard)
		return
	}
}

func (m *completeModel) alive(worker string) bool {
	return slices.ContainsFunc(m.workers, func(w *modelWorker) bool { return w.id == worker })
}

// begin opens a session if the worker holds the lease.
func (m *completeModel) begin(w *modelWorker, shard string) {
	delete(w.sessions, shard)
	hold, ok := w.keeper.Take(shard)
	if !ok {
		return
	}
	from := hold.Lease().Checkpoint
	s := &modelSession{hold: hold, from: from, to: from}
	switch n, isRecord := from.SequenceNumber(); {
	case isRecord:
		s.at, _ = strconv.Atoi(n)
	default:
		if t, ok := from.Timestamp(); ok {
			for _, r := range m.shard(shard).records {
				if !r.arrival.Before(t) {
					break
				}
				s.at++
			}
		}
	}
	w.sessions[shard] = s
}

// release hands a lease over whose records are all committed.
func (m *completeModel) release(ctx context.Context, w *modelWorker) {
	for shard, s := range w.sessions {
		if s.from == s.to && w.batch == nil {
			s.hold.Release(ctx)
			delete(w.sessions, shard)
			return
		}
	}
}

func (m *completeModel) read(w *modelWorker) {
	if len(w.sessions) == 0 || w.batch != nil {
		return
	}
	ids := slices.Sorted(maps.Keys(w.sessions))
	id := ids[m.random.IntN(len(ids))]
	s, shard := w.sessions[id], m.shard(id)
	if s.end {
		return
	}
	readable := 0
	for readable < len(shard.records) && !shard.records[readable].readable.After(m.now) {
		readable++
	}
	asked := m.now.Add(-m.seconds(3))
	if n := min(readable, s.at+1+m.random.IntN(4)); n > s.at {
		s.at = n
		s.to = checkpoint.Position(strconv.Itoa(n))
	}
	if s.at < readable {
		return
	}
	if shard.closed && s.at == len(shard.records) {
		s.end, s.to = true, checkpoint.ShardEnd
		return
	}
	m.events.tips++
	if m.fault.hostClock {
		asked = asked.Add(time.Minute)
	}
	if m.fault.marginless {
		asked = asked.Add(Margin)
	}
	to := s.to
	if m.fault.uncommittedTip {
		to = s.hold.Lease().Checkpoint
	}
	s.hold.CaughtUp(to, asked)
}

// seal makes a batch of what a worker has read and sends its commit, or applies one that was sent.
func (m *completeModel) seal(ctx context.Context, w *modelWorker) {
	if w.batch != nil {
		m.apply(ctx, w)
		return
	}
	m.sealed++
	b := &modelBatch{records: map[*modelRecord]int{}}
	b.ID, b.Worker = fmt.Sprintf("b%04d", m.sealed), w.id
	for _, id := range slices.Sorted(maps.Keys(w.sessions)) {
		s := w.sessions[id]
		if s.from == s.to {
			continue
		}
		row, shard := s.hold.Lease(), m.shard(id)
		from := s.from
		begun := &modelSession{}
		*begun = *s
		first := 0
		if n, isRecord := from.SequenceNumber(); isRecord {
			first, _ = strconv.Atoi(n)
		} else if t, ok := from.Timestamp(); ok {
			for first < len(shard.records) && shard.records[first].arrival.Before(t) {
				first++
			}
		}
		r := checkpoint.Range{Shard: id, Start: from, End: s.to, LeaseOwner: row.Owner, LeaseCounter: row.Counter}
		for _, record := range shard.records[min(first, s.at):s.at] {
			b.records[record] = shard.epoch
			r.LastArrival = record.arrival
		}
		b.Ranges = append(b.Ranges, r)
		b.sessions = append(b.sessions, s)
	}
	if len(b.Ranges) > 0 {
		w.batch = b
	}
}

// apply has the store decide on a commit that was sent.
func (m *completeModel) apply(ctx context.Context, w *modelWorker) {
	b := w.batch
	w.batch = nil
	if err := m.table.Commit(ctx, b.Batch); err != nil {
		for _, s := range b.sessions {
			id := s.hold.Lease().Shard
			s.hold.Restart("refused")
			s.hold.Release(ctx)
			m.begin(w, id)
		}
		return
	}
	m.batches[b.ID] = b
	for i, s := range b.sessions {
		r := b.Ranges[i]
		s.from = r.End
		s.hold.Committed(r)
		if r.End == checkpoint.ShardEnd {
			m.events.ended++
			if m.chance(2) { // otherwise the worker's name stays in the row
				s.hold.Release(ctx)
			}
			delete(w.sessions, r.Shard)
		}
	}
}

// publish makes the next step with a batch, somebody's own or one that was left behind.
func (m *completeModel) publish(ctx context.Context, w *modelWorker) {
	ids := slices.Sorted(maps.Keys(m.batches))
	if len(ids) == 0 {
		return
	}
	b := m.batches[ids[m.random.IntN(len(ids))]]
	if b.Worker != w.id && !m.chance(3) {
		return
	}
	if !b.visible {
		if b.Worker != w.id {
			m.events.swept++
		}
		b.visible = true
		for r, epoch := range b.records {
			r.visible = max(r.visible, epoch)
		}
		return
	}
	m.fatal(m.table.Forget(ctx, b.ID))
	delete(m.batches, b.ID)
}

// beat computes a heartbeat, or writes one that was computed.
func (m *completeModel) beat(ctx context.Context, w *modelWorker) {
	if w.beat != nil {
		m.fatal(m.table.Heartbeat(ctx, *w.beat))
		w.beat = nil
		return
	}
	complete, leases := w.keeper.claim()
	w.beat = &checkpoint.Worker{ID: w.id, Complete: complete, Leases: leases}
}

// list begins a listing, or ends one: then its shards are known, and those that have no row get one.
func (m *completeModel) list(ctx context.Context, w *modelWorker) {
	if w.listing == nil {
		w.listing = &shardmap.Listing{AsOf: m.now}
		m.show(w.listing)
		return
	}
	l := *w.listing
	w.listing = nil
	switch {
	case m.fault.listingEnd:
		l.AsOf = m.now
	case m.chance(2):
		l.Shards = nil
		m.show(&l) // a late page
	}
	w.keeper.listing = l
	snap, err := m.table.Scan(ctx)
	m.fatal(err)
	b := newBeginnings(snap.Leases, l.Shards, checkpoint.TrimHorizon)
	m.fatal(m.table.CreateLeases(ctx, b.missing(l.Shards)))
}

func (m *completeModel) show(l *shardmap.Listing) {
	for _, s := range m.shards {
		if !s.born.After(m.now) {
			l.Shards = append(l.Shards, shardmap.Shard{ID: s.id, Parents: s.parents, Closed: s.closed})
		}
	}
}

func (m *completeModel) rewind(ctx context.Context) {
	for _, s := range m.shards {
		if _, err := m.table.Lease(ctx, s.id); err != nil {
			return // a child without a row would follow its parent
		}
	}
	s := m.shards[m.random.IntN(len(m.shards))]
	row, err := m.table.Lease(ctx, s.id)
	m.fatal(err)
	to := checkpoint.TrimHorizon
	if m.chance(2) {
		to = checkpoint.AtTimestamp(m.now.Add(-Margin - m.seconds(100))) // records to come are all wanted
	}
	if t, ok := row.Checkpoint.Timestamp(); ok && to != checkpoint.TrimHorizon && t.Before(m.now) {
		return // it might leave records out that an earlier rewind wants
	}
	_, err = m.table.Rewind(ctx, row, to)
	m.fatal(err)
	m.events.rewound++
	s.epoch++
	t, _ := to.Timestamp()
	for _, r := range s.records {
		if !r.arrival.Before(t) {
			break
		}
		r.visible = max(r.visible, s.epoch) // not wanted again; a batch may still bring it for the first time
	}
}

// scan reads some of the items of a worker's scan, in any order. The last one concludes it.
func (m *completeModel) scan(ctx context.Context, w *modelWorker) {
	if w.scan == nil {
		w.scan = m.beginScan(ctx)
	}
	for range 1 + m.random.IntN(1+len(w.scan.left)) {
		if len(w.scan.left) == 0 {
			break
		}
		w.scan.left[0](&w.scan.snap)
		w.scan.left = w.scan.left[1:]
	}
	if len(w.scan.left) > 0 {
		return
	}
	snap := w.scan.snap
	w.scan = nil
	m.conclude(ctx, w, snap)
}

// beginScan makes the steps of a scan. A scan shows each item once, as it is when it gets there; it may or may not show items
// that are put or deleted meanwhile.
func (m *completeModel) beginScan(ctx context.Context) *modelScan {
	of := func(kind func(from checkpoint.Snapshot, into *checkpoint.Snapshot)) func(*checkpoint.Snapshot) {
		return func(into *checkpoint.Snapshot) {
			from, err := m.table.Scan(ctx)
			m.fatal(err)
			kind(from, into)
		}
	}
	s := &modelScan{}
	// Keys are spread over eight places, which are read one after another.
	place := func(key string) int {
		n := 0
		for i := range len(key) {
			n = n*31 + int(key[i])
		}
		return (n%8 + 8) % 8
	}
	for i := range 8 {
		s.left = append(s.left, of(func(from checkpoint.Snapshot, into *checkpoint.Snapshot) {
			for _, row := range from.Leases {
				if place(row.Shard) == i {
					into.Leases = append(into.Leases, row)
				}
			}
			for _, w := range from.Workers {
				if place(w.ID) == i {
					into.Workers = append(into.Workers, w)
				}
			}
			for _, b := range from.Batches {
				if place(b.ID) == i {
					into.Batches = append(into.Batches, b)
				}
			}
			if i == 3 {
				into.Complete = from.Complete
			}
		}))
	}
	m.random.Shuffle(len(s.left), func(i, j int) { s.left[i], s.left[j] = s.left[j], s.left[i] })
	return s
}

// conclude has the real code evaluate a scan, after a fault, if there is one, has changed what it sees.
func (m *completeModel) conclude(ctx context.Context, w *modelWorker, snap checkpoint.Snapshot) {
	f, k := m.fault, w.keeper
	if f.marginless {
		for i := range snap.Leases {
			if !snap.Leases[i].Arrival.IsZero() {
				snap.Leases[i].Arrival = snap.Leases[i].Arrival.Add(Margin)
			}
		}
		if before := k.listing; !before.AsOf.IsZero() {
			k.listing.AsOf = before.AsOf.Add(Margin)
			defer func() { k.listing = before }()
		}
	}
	if f.ownership || f.uncounted {
		m.mislead(&snap)
	}
	if f.childless && !k.listing.AsOf.IsZero() {
		before := k.listing
		k.listing = shardmap.Listing{AsOf: m.now}
		defer func() { k.listing = before }()
	}
	snap.Batches = slices.DeleteFunc(snap.Batches, func(b checkpoint.Batch) bool {
		dead := !slices.ContainsFunc(snap.Workers, func(w checkpoint.Worker) bool { return w.ID == b.Worker })
		return f.deadBatches && dead || f.lostBatches && m.lost(snap, b)
	})
	if f.committed || f.sameScan && len(snap.Batches) == 0 {
		if upTo, _ := committedUpTo(snap, k.listing); !upTo.IsZero() {
			_, _ = k.store.RaiseComplete(ctx, checkpoint.Complete{UpTo: upTo, Rewinds: k.statement.rewinds})
		}
	}
	k.conclude(snap)
}

// state writes a statement that was concluded.
func (m *completeModel) state(ctx context.Context, w *modelWorker) {
	select {
	case <-w.keeper.stateNow:
		w.keeper.state(ctx)
	default:
	}
}

// mislead makes heartbeats count whatever leases they are about, or without the leases' counters.
func (m *completeModel) mislead(snap *checkpoint.Snapshot) {
	for i, w := range snap.Workers {
		var rows []checkpoint.Lease
		for _, row := range snap.Leases {
			if row.Owner == w.ID && row.Checkpoint != checkpoint.ShardEnd {
				rows = append(rows, row)
			}
		}
		match := m.fault.ownership
		for drop := int64(1); m.fault.uncounted && drop < 6 && !match; drop++ {
			for j := range rows { // one lease with an earlier counter
				earlier := slices.Clone(rows)
				earlier[j].Counter -= drop
				match = match || w.Leases == checkpoint.LeaseDigest(earlier)
			}
		}
		if match {
			snap.Workers[i].Leases = checkpoint.LeaseDigest(rows)
		}
	}
}

// lost reports whether all shards of a batch now belong to others than the worker that committed it.
func (m *completeModel) lost(snap checkpoint.Snapshot, b checkpoint.Batch) bool {
	known := m.batches[b.ID]
	return known != nil && !slices.ContainsFunc(known.Ranges, func(r checkpoint.Range) bool {
		return slices.ContainsFunc(snap.Leases, func(row checkpoint.Lease) bool { return row.Shard == r.Shard && row.Owner == b.Worker })
	})
}

// modelStore is the store, and looks at each statement.
type modelStore struct {
	*local.Store
	m *completeModel
}

func (s *modelStore) RaiseComplete(ctx context.Context, c checkpoint.Complete) (checkpoint.Complete, error) {
	before, err := s.Complete(ctx)
	s.m.fatal(err)
	if s.m.fault.uncountedRewinds {
		c.Rewinds = before.Rewinds
	}
	after, err := s.Store.RaiseComplete(ctx, c)
	switch {
	case err != nil:
		s.m.events.void++
	case after != before:
		s.m.events.raised++
		s.m.check(after)
	}
	return after, err
}

// check looks for records that a statement covers and that are not visible.
func (m *completeModel) check(c checkpoint.Complete) {
	for _, s := range m.shards {
		for i, r := range s.records {
			if r.arrival.Before(c.UpTo) && r.visible < s.epoch {
				m.err = fmt.Errorf("at %v all is said to be complete up to %v, and record %d of %s, which arrived at %v, is not visible (epoch %d of %d)",
					m.now, c.UpTo, i, s.id, r.arrival, r.visible, s.epoch)
			}
		}
	}
}
