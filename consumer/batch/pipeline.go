// Package batch gathers the records of all shards of a worker into batches, and takes each batch through its life:
// fill, seal, commit, publish.
//
//	Cursor.Append -> files of the open batch -> seal (every byte durable in S3, nothing visible)
//	              -> commit (one atomic write moves the checkpoints) -> publish -> manifest -> forget
//
// The commit names the files of the batch. Where these are too many for one item of the store, they are written to an
// object before, and the commit names that.
//
// A batch whose commit fails is dropped: its uploads are aborted and its shards start again from their checkpoints. An
// answer that was lost is not a failure: what has become of a batch is only known when the store has buried it or
// shown it to be committed, and nothing is aborted before.
//
// All shards fill the same files, one a partition, so that files are large however many shards there are. A commit
// holds at most checkpoint.MaxRanges shards: a worker that reads more keeps several lanes, each with its own batches.
package batch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// finishing is how many files are finished at the same time, of all batches. Each keeps what it has in memory until S3
// has taken it, so without a bound thousands of partitions in one answer of Kinesis would all be held at once.
const finishing = 32

// Limits say when files and batches are closed.
type Limits struct {
	// FileBytes is the encoded size at which a file is closed.
	FileBytes int64
	// Interval is how long the oldest record of a batch waits for its commit.
	Interval time.Duration
	// OpenFiles is the most files that a batch has open at the same time; 0 sets no bound.
	OpenFiles int
	// Bytes is the encoded size of all files of a batch at which it is committed although files are open.
	Bytes int64
}

// Router says where a record lies.
type Router interface {
	// Partition returns the partition of a record; a *record.Fault if it has none.
	Partition(r *record.Record) (string, error)
	// ErrorPartition returns the partition of error records of a kind that arrived at t.
	ErrorPartition(t record.OutputType, arrival time.Time) string
	// KeyPrefix returns the key prefix for a new file of a partition: the partition, with what is random in it drawn.
	KeyPrefix(partition string) string
}

// Config is what a Pipeline needs to know.
type Config struct {
	Worker string // id of this worker, unique for each start
	Stream string // name of the stream, part of the keys
	Bucket string // of the manifests, and of the files that the sink begins
	Limits Limits
	// Zone is the time zone of the time in keys; nil for UTC.
	Zone *time.Location
	// ManifestPrefix is the key prefix of manifests, without expressions.
	ManifestPrefix string
	// Now tells the time; nil for time.Now.
	Now func() time.Time
	// NewID makes the id of a batch, unique for all workers and times. Tools know files by ids of layout.NewBatchID.
	NewID func() string
}

// Parts are what a Pipeline works with.
type Parts struct {
	Store  checkpoint.Store
	Sink   writers.Sink
	Shared *writers.Shared // memory budget and encoders of the process
	Data   writers.Format
	Errors writers.Format // takes the lines of error records
	Router Router
	Log    *slog.Logger
	// Metrics may not be nil.
	Metrics *metrics.Metrics
}

// Intake is what a reader brings: the records of whole Kinesis records, in the order of the shard.
type Intake struct {
	Records []record.Record
	// Last is the sequence number of the last Kinesis record; empty if there is none.
	Last string
	// End tells that the shard has no more records, ever.
	End bool
}

// Lease is what the pipeline needs to know of a held lease.
type Lease interface {
	Lease() checkpoint.Lease
	// Committed tells that the checkpoint has moved.
	Committed(p checkpoint.Position, arrival time.Time)
	// Restart tells that records taken in after the checkpoint were dropped: they have to be read again, under a
	// lease that is acquired afresh.
	Restart(reason string)
}

// split cuts the intake in front of its n-th record, with which another Kinesis record begins.
func (in Intake) split(n int) (head, rest Intake) {
	if n == len(in.Records) {
		return in, Intake{}
	}
	head = Intake{Records: in.Records[:n], Last: strings.Clone(in.Records[n-1].SequenceNumber)}
	return head, Intake{Records: in.Records[n:], Last: in.Last, End: in.End}
}

// none tells that there is nothing to take in.
func (in Intake) none() bool { return in.Last == "" && !in.End }

// ErrRestart is what a Cursor answers after its records were dropped.
var ErrRestart = errors.New("the batch was dropped: the shard starts again from its checkpoint")

// Pipeline takes records in and makes them durable. It is safe for concurrent use.
type Pipeline struct {
	cfg      Config
	parts    Parts
	board    board
	sweeper  *sweeper
	suspects suspects
	panics   panics
	taken    atomic.Int64 // user records
	// finishers has one element for each file that is being finished.
	finishers chan struct{}
	room      int   // of the outbox's item for files, in bytes
	crowd     int64 // bytes of descriptions with which a batch has too many files

	ctx    context.Context // of all batches; ends with Run
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	running bool
	lanes   []*lane
	wait    sync.WaitGroup // of the lanes and sweeps that run
}

// New makes a Pipeline. Nothing is committed before Run is called.
func New(cfg Config, parts Parts) *Pipeline {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	p := &Pipeline{cfg: cfg, parts: parts, sweeper: newSweeper(), finishers: make(chan struct{}, finishing), room: checkpoint.MaxBatchItem, crowd: maxDescribed}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	return p
}

// Run commits and publishes until ctx ends; it can be called once. Whoever wants to lose no work drains all cursors and
// awaits what is published before ending ctx: what is not committed then is dropped, and read again by the next owner of
// its shards.
func (p *Pipeline) Run(ctx context.Context) error {
	p.mu.Lock()
	p.running = true
	for _, l := range p.lanes {
		p.start(l)
	}
	for range sweeping {
		p.wait.Go(func() { p.sweep(p.ctx) })
	}
	p.mu.Unlock()
	for {
		select {
		case <-p.parts.Shared.Budget().Starved():
			// Reading waits, and nothing that is under way makes room. Blocks may be encoded early; what stands in
			// unfinished parts only the end of files gives back.
			if p.parts.Shared.Relieve() {
				continue
			}
			for _, b := range p.uncommitted() { // a batch that is sealed already takes no notice
				b.lane.seal(b, "memory")
			}
		case <-ctx.Done():
			p.mu.Lock()
			p.running = false // no lane starts any more
			p.mu.Unlock()
			p.cancel(context.Cause(ctx))
			p.wait.Wait()
			return nil
		}
	}
}

func (p *Pipeline) start(l *lane) { p.wait.Go(func() { l.run(p.ctx) }) }

// Open begins to take in the records of a shard after the checkpoint of its lease.
func (p *Pipeline) Open(l Lease) *Cursor {
	lease := l.Lease()
	c := &Cursor{shard: lease.Shard, lease: lease, hold: l, position: lease.Checkpoint, committed: lease.Checkpoint, moved: make(chan struct{})}
	p.panics.moved(c.shard, c.committed)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ln := range p.lanes {
		if ln.admit(c) {
			return c
		}
	}
	ln := newLane(p)
	p.lanes = append(p.lanes, ln)
	if p.running {
		p.start(ln)
	}
	ln.admit(c)
	return c
}

// Taken is the number of user records that were taken in since the start. Those of dropped batches count each time.
func (p *Pipeline) Taken() int64 { return p.taken.Load() }

// lane is a line of batches, one after the other.
type lane struct {
	p       *Pipeline
	cursors map[*Cursor]bool // guarded by p.mu

	mu      sync.Mutex
	current *batch        // the open one; nil if nothing has come since the last was sealed
	sealed  *batch        // the one that was taken away, until it is committed or dropped
	rotated chan struct{} // closed and replaced when the open batch is taken away
	settled chan struct{} // closed when the batch that was taken away is settled; nil if none is under way

	wake chan struct{} // tells run to look whether the batch is due
}

func newLane(p *Pipeline) *lane {
	return &lane{p: p, cursors: make(map[*Cursor]bool), rotated: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// admit takes the cursor into the lane if there is room; p.mu is held.
func (l *lane) admit(c *Cursor) bool {
	if len(l.cursors) >= checkpoint.MaxRanges {
		return false
	}
	c.lane = l
	l.cursors[c] = true
	return true
}

// run takes batch after batch through seal, commit and publish.
func (l *lane) run(ctx context.Context) {
	for {
		reason, ok := l.awaitDue(ctx)
		if !ok {
			l.abandon(ctx)
			return
		}
		l.settle(ctx, l.rotate(), reason)
		l.rest()
	}
}

// awaitDue waits until the open batch should be sealed, and tells why.
func (l *lane) awaitDue(ctx context.Context) (reason string, ok bool) {
	for {
		b := l.batch()
		var timer *time.Timer
		var expired <-chan time.Time
		var failed <-chan struct{}
		if b != nil {
			if why := b.due.Load(); why != nil {
				return *why, true
			}
			timer = time.NewTimer(l.p.cfg.Limits.Interval - l.p.cfg.Now().Sub(b.opened))
			expired, failed = timer.C, b.ctx.Done()
		}
		select {
		case <-ctx.Done():
			return "", false
		case <-l.wake:
		case <-expired:
			return "interval", true
		case <-failed:
			return "failed", true
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

func (l *lane) batch() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

// rotate takes the open batch away; the next record begins another.
func (l *lane) rotate() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.current
	l.current, l.sealed = nil, b
	close(l.rotated)
	l.rotated = make(chan struct{})
	l.settled = make(chan struct{})
	return b
}

// rest notes that the batch taken away last is settled.
func (l *lane) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.settled)
	l.settled, l.sealed = nil, nil
}

// committed notes that the batch taken away last has become the outbox's.
func (l *lane) committed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = nil
}

// uncommitted returns the batches whose records are not committed, the older first.
func (l *lane) uncommitted() []*batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc([]*batch{l.sealed, l.current}, func(b *batch) bool { return b == nil })
}

func (l *lane) settling() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.settled
}

// seal asks for the batch to be committed soon.
func (l *lane) seal(b *batch, reason string) {
	b.due.CompareAndSwap(nil, &reason)
	l.wakeUp()
}

func (l *lane) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// acquire returns the open batch, entered, beginning one if there is none. It waits while the batch is full: a batch
// that is due by age alone goes on filling until its turn comes. It also waits while the batch has ended and is not taken
// away yet: what comes into it is lost, and may be of a cursor that would not be told, because it covers the same
// shard for the one before.
func (l *lane) acquire(ctx context.Context, c *Cursor) (*batch, error) {
	for {
		b, rotated := l.open()
		if b.ctx.Err() == nil && !l.full(b, c) && b.enter() {
			return b, nil
		}
		select {
		case <-rotated:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-l.p.ctx.Done():
			return nil, context.Cause(l.p.ctx)
		}
	}
}

// open returns the open batch, beginning one if there is none, with the channel that tells when it is taken away.
func (l *lane) open() (*batch, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		l.current = newBatch(l.p.ctx, l, l.p.cfg.NewID(), l.p.cfg.Now())
		l.wakeUp() // run waits for its age from now on
	}
	return l.current, l.rotated
}

// full tells that the batch can take no more records of the shard, and has it sealed.
func (l *lane) full(b *batch, c *Cursor) bool {
	switch {
	case b.encoded.Load() >= l.p.cfg.Limits.Bytes:
		l.seal(b, "bytes")
	case b.crowded():
		l.seal(b, "files")
	case !b.covers(c.shard) && !b.room():
		l.seal(b, "shards")
	default:
		return false
	}
	return true
}

// takeFinisher waits for the right to finish a file. It waits no longer than ctx: files of a batch that has ended finish
// at once.
func (p *Pipeline) takeFinisher(ctx context.Context) (release func()) {
	select {
	case p.finishers <- struct{}{}:
		return func() { <-p.finishers }
	case <-ctx.Done():
		return func() {}
	}
}

// openFile begins the n-th file of a batch.
func (p *Pipeline) openFile(b *batch, id fileID, n int) *writers.File {
	format := p.parts.Data
	if id.err != "" {
		format = p.parts.Errors
	}
	return writers.OpenFile(b.ctx, writers.FileSpec{
		Format: format,
		Sink:   p.parts.Sink,
		Key: layout.File{
			Name: p.parts.Router.KeyPrefix(id.partition) + p.cfg.Stream, Clock: b.opened.In(p.cfg.Zone), Batch: b.id, Number: n,
			Extension: format.Object().Extension,
		}.Key(),
		BatchID:   b.id,
		Partition: id.partition,
		Error:     id.err != "",
	}, p.parts.Shared)
}
