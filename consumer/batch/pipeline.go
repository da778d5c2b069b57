// Package batch collects the records of all shards of a worker into batches, and takes each batch through its life cycle:
// fill, seal, commit, publish.
//
//	Cursor.Append -> files of the open batch -> seal (every byte durable in S3, nothing visible)
//	              -> commit (one atomic write moves the checkpoints) -> publish -> manifest -> forget
//
// The commit names the files of the batch. If these are too many for one item of the store, they are first written to an
// object, and the commit names that.
//
// A batch whose commit fails is dropped: its uploads are aborted and its shards start again from their checkpoints. A lost
// response is not a failure: the fate of a batch is known only when the store has buried it or shown it to be committed, and
// nothing is aborted before.
//
// Each type knows only those after it. The Pipeline makes Cursors and lanes. A Cursor has a filler append records to the open
// batch of its lane. A lane has a settler commit what is sealed, and a publisher make it visible; a sweeper has the
// publisher do so for what is left in the outbox. A batch knows its files, and tells the progress of each shard.
//
// All shards fill the same files, one per partition, so that files are large however many shards there are. A commit holds at
// most checkpoint.MaxRanges shards: a worker that reads more keeps several lanes, each with its own batches.
package batch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// Limits set when files and batches are closed.
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

// Router decides where records are stored.
type Router interface {
	// Partition returns the partition of a record; a *record.Fault if it has none.
	Partition(r *record.Record) (string, error)
	// ErrorPartition returns the partition of error records of a kind that arrived at t.
	ErrorPartition(t record.OutputType, arrival time.Time) string
	// KeyPrefix returns the key prefix for a new file of a partition: the partition, with what is random in it drawn.
	KeyPrefix(partition string) string
}

// Config holds the settings of a Pipeline.
type Config struct {
	Worker string // id of this worker, unique for each start
	Stream string // name of the stream, part of the keys
	Bucket string // of the manifests, and of the files that the sink begins
	Limits Limits
	// Zone is the time zone of the time in keys; nil for UTC.
	Zone *time.Location
	// Table is how batches name the table that data files are written for; empty for none.
	Table string
	// Databases are how batches name the tables that rows of data files are copied into, sorted.
	Databases []string
	// ManifestPrefix is the key prefix of manifests, without expressions.
	ManifestPrefix string
	// Now returns the time; nil for time.Now.
	Now func() time.Time
	// NewID makes the id of a batch, unique for all workers and times. Tools know files by ids of layout.NewBatchID.
	NewID func() string
}

// tables returns how batches name the tables that their data files are loaded into.
func (c Config) tables() []string {
	if c.Table == "" {
		return c.Databases
	}
	return append([]string{c.Table}, c.Databases...)
}

// Parts are the dependencies of a Pipeline.
type Parts struct {
	Store  checkpoint.Store
	Sink   writers.Sink
	Shared *writers.Shared // memory budget and encoders of the process
	Data   writers.Format  // of data files; not used with a table
	Errors writers.Format  // takes the lines of error records
	// Table returns the table that data files are loaded into, as it is now; nil without a table.
	Table func() *Table
	// Backup takes the Kinesis records as they came; nil for none.
	Backup *Backup
	Router Router
	Log    *slog.Logger
	// Metrics may be nil.
	Metrics *metrics.Metrics
}

// Pipeline collects records and makes them durable. It is safe for concurrent use.
type Pipeline struct {
	cfg       Config
	parts     Parts
	board     *board
	panics    *panics
	files     *files
	filler    *filler
	settler   *settler
	publisher *publisher
	sweeper   *sweeper

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
	parts.Metrics = metrics.Or(parts.Metrics)
	p := &Pipeline{cfg: cfg, parts: parts, board: newBoard(cfg.tables(), parts.Metrics), panics: new(panics), files: newFiles(cfg, parts)}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	lists := newLists(cfg, parts)
	p.filler = newFiller(cfg, parts, p.files, p.board)
	p.settler = newSettler(cfg, parts, lists, p.board, p.panics)
	p.publisher = newPublisher(cfg, parts, lists, p.board)
	p.sweeper = newSweeper(cfg, parts, p.publisher, p.board)
	return p
}

// Run commits and publishes until ctx ends; it can be called once. Whoever wants to lose no work drains all cursors and
// awaits what is published before ending ctx: what is not committed then is dropped, and read again by the next owner of
// its shards.
func (p *Pipeline) Run(ctx context.Context) error {
	p.mu.Lock()
	p.running = true
	for _, l := range p.lanes {
		p.wait.Go(l.run)
	}
	for range sweeping {
		p.wait.Go(func() { p.sweeper.run(p.ctx) })
	}
	p.mu.Unlock()
	for {
		select {
		case <-p.parts.Shared.Budget().Starved():
			p.relieve()
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

// relieve frees memory when reading waits and no work in progress will free any. Blocks may be encoded early; the memory of
// unfinished parts is released only when their files end.
func (p *Pipeline) relieve() {
	if p.parts.Shared.Relieve() {
		return
	}
	for _, l := range p.allLanes() {
		for _, b := range l.uncommitted() {
			l.seal(b, "memory")
		}
	}
}

// Open begins to take in the records of a shard after the checkpoint of its lease.
func (p *Pipeline) Open(h Hold) *Cursor {
	pr := newProgress(h)
	p.panics.moved(pr.shard, pr.checkpoint())
	return &Cursor{progress: pr, position: pr.checkpoint(), lane: p.admit(pr), filler: p.filler, panics: p.panics}
}

// admit finds a lane for a shard, or begins one.
func (p *Pipeline) admit(pr *progress) *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lanes {
		if l.admit(pr) {
			return l
		}
	}
	l := p.newLane()
	p.lanes = append(p.lanes, l)
	if p.running {
		p.wait.Go(l.run)
	}
	l.admit(pr)
	return l
}

func (p *Pipeline) newLane() *lane {
	return &lane{
		ctx: p.ctx, limits: p.cfg.Limits, now: p.cfg.Now, newID: p.cfg.NewID,
		files: p.files, settler: p.settler, publisher: p.publisher, queue: p.sweeper.queue,
		members: make(map[*progress]bool), rotated: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

func (p *Pipeline) allLanes() []*lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lanes)
}

// AwaitPublished waits until every batch that was sealed is published or dropped, and tries those again that could not
// be published before. Whoever has drained all cursors has nothing in the outbox then; an error says what has stayed.
func (p *Pipeline) AwaitPublished(ctx context.Context) error {
	for _, l := range p.allLanes() {
		if settled := l.settling(); settled != nil {
			select {
			case <-settled:
			case <-ctx.Done():
				return fmt.Errorf("a committed batch is not published yet, another worker will do it: %w", context.Cause(ctx))
			}
		}
	}
	return p.sweeper.retry(ctx)
}

// Sweep has those batches of the outbox published that are left to this worker, and its own that could not be published before. S is
// the whole table. It does no harm to publish a batch whose worker is at it, too. Sweep does not wait: Run publishes the batches, several at a time, and
// one that fails is tried again by later sweeps.
func (p *Pipeline) Sweep(s checkpoint.Snapshot, left func(b checkpoint.Batch) bool) {
	p.board.outbox(p.cfg.Now(), s.Batches, p.parts.Metrics)
	p.showTables(s.Published)
	p.sweeper.passOver(s.Unknown)
	p.sweeper.choose(s.Batches, left)
}

// SweepLeft is Sweep without the table: it has the batches published that are left to this worker, and its own.
func (p *Pipeline) SweepLeft(left []checkpoint.Batch) {
	all := append(p.board.own(p.cfg.Worker), left...)
	p.board.showOutbox(p.cfg.Now(), all, p.parts.Metrics)
	p.showTables(nil)
	p.sweeper.choose(all, func(checkpoint.Batch) bool { return true })
}

// showTables shows the batches that wait to be loaded into tables, and warns once of those for tables that TABLE does not name.
func (p *Pipeline) showTables(published []checkpoint.Batch) {
	for _, t := range p.board.waiting(p.cfg.Now(), p.cfg.tables(), published, p.parts.Metrics) {
		p.parts.Log.Warn("batches in the outbox are to be loaded into a table that TABLE does not name, and wait for a loader of that table",
			logkey.Table, t.Table, logkey.Count, t.Batches)
	}
}

// TablesToLoad returns the tables with those of the published batches that are still to be loaded into them.
func (p *Pipeline) TablesToLoad(published []checkpoint.Batch) []TableToLoad {
	return toLoad(p.cfg.Now(), p.cfg.tables(), published)
}

// Taken returns the number of user records appended since the start. Those of dropped batches count each time.
func (p *Pipeline) Taken() int64 { return p.filler.taken.Load() }

// Panicked records a panic outside the pipeline, in work on a shard whose checkpoint is after. What describes the panic and
// must not contain any of a payload.
func (p *Pipeline) Panicked(shard string, after checkpoint.Position, what string) {
	p.panics.note(shard, panicSeen{after: after, what: what})
}

// Stuck returns an error that names the shards, of those that are mine, at whose position the program has panicked more
// than once; nil if there are none.
func (p *Pipeline) Stuck(mine func(shard string) bool) error { return p.panics.stuck(mine) }
