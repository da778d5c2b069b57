// Package lease decides which shards this worker reads. The Keepers of an application's workers share the shards of a stream
// evenly, take over those of dead workers, and keep children from being read before their parents.
//
// They provide liveness only. The conditions of checkpoint.Store's Commit ensure that no record is lost or delivered
// twice, whatever any worker believes it holds, and whoever leads.
//
// One worker leads. It reads the whole table once per period, plans for all (assigner), and writes orders for each other
// worker: which leases it should hold, which it should hand over, and which batches of dead workers it should publish. The
// others follow: they look at the leader's heartbeat, and read their own orders when it shows that some have changed. So
// requests grow with the number of workers, and what they read grows with workers plus shards. A worker without company leads
// itself, and makes no request for it.
//
// The files, in the order in which a turn uses them: lead.go, who leads; scan.go, a leader's turn; assign.go and weight.go,
// the plan; command.go, the orders; follow.go, a follower's turn; obey.go, what both do to their own leases; children.go,
// what a follower does without the leader.
package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
)

// Stream is the stream whose shards are shared; shardmap.Lister is one.
type Stream interface {
	ListShards(ctx context.Context) (shardmap.Listing, error)
	Describe(ctx context.Context) (shardmap.Stream, error)
}

// Keeper holds the leases of one worker. Its methods are safe for concurrent use.
type Keeper struct {
	cfg     Config
	store   checkpoint.Store
	stream  Stream
	log     *slog.Logger
	metrics *metrics.Metrics
	shards  *shardmap.Map
	onScan  []func(Scan)

	turnNow chan struct{} // requests an early turn
	beatNow chan struct{} // requests an early heartbeat
	listNow chan struct{} // requests an early listing
	freed   chan struct{} // a hold has ended

	stateNow chan struct{} // there is a statement to be written

	mu         sync.Mutex
	app        checkpoint.Application
	about      shardmap.Stream
	holds      map[string]*holding  // by shard, from the acquisition until the reader has ended
	released   map[string]int64     // counters under which this worker released leases
	over       map[string]int64     // counters under which this worker read shards to their end, or to Config.Stop
	childless  map[string]time.Time // shards whose end this worker has committed at that time, and whose children have yet to begin
	stopping   bool
	finished   bool            // everything before Config.Stop is delivered
	lost       int             // shards that left the stream before they had passed it
	started    time.Time       // when Run began
	last       [acts]time.Time // when each act last succeeded
	coming     *listing        // the listing that begins next
	listedFrom time.Time       // when the last successful listing began
	snapshot   Snapshot
	complete   checkpoint.Complete // as of the last scan
	leading    bool                // this worker leads; changed by the goroutine that scans
	vouched    time.Time           // when it last knew that it leads, and the table
	scanTook   time.Duration       // how long the reading of the table took then, in whatever term
	fleet      checkpoint.Fleet    // what it says of all if it leads, and what it last read if it follows
	listing    shardmap.Listing    // the latest
	stated     checkpoint.Complete // the latest that this worker has concluded

	stop context.CancelCauseFunc // ends Run

	beats int64 // written or attempted; owned by the goroutine that beats

	// The fields below are owned by the goroutine that scans.
	lead      checkpoint.Lead // as far as known
	highest   int64           // term that was ever seen
	pulse     watch           // of the leader
	following following
	watch     watch
	term      term
	chores    chores
	finish    finish
	statement statement
	scans     int // completed in this term
	unmet     int // scans in a row after which leases were moving
}

// New makes a Keeper. It does nothing until Bind or Run. The metrics may be nil.
func New(cfg Config, store checkpoint.Store, stream Stream, log *slog.Logger, m *metrics.Metrics) (*Keeper, error) {
	if err := cfg.fill(); err != nil {
		return nil, fmt.Errorf("lease settings: %w", err)
	}
	return &Keeper{
		cfg: cfg, store: store, stream: stream, metrics: metrics.Or(m),
		log:      log.With(logkey.Worker, cfg.Worker),
		shards:   shardmap.NewMap(),
		turnNow:  make(chan struct{}, 1),
		beatNow:  make(chan struct{}, 1),
		listNow:  make(chan struct{}, 1),
		freed:    make(chan struct{}, 1),
		stateNow: make(chan struct{}, 1),
		holds:    make(map[string]*holding),
		released: make(map[string]int64),
		over:     make(map[string]int64), childless: make(map[string]time.Time),
		coming: newListing(),
		pulse:  newWatch(cfg.Failover, cfg.poll()),
		term:   newTerm(),
		chores: newChores(),
	}, nil
}

// OnScan makes f run after each turn that showed something, in the goroutine that does it: f must hand work over and return. Call
// OnScan before Run.
func (k *Keeper) OnScan(f func(Scan)) { k.onScan = append(k.onScan, f) }

// Bind ties a table to an application and a stream, and returns the table's own item. If the table is already bound,
// the initial position stays as it is. Bind fails with checkpoint.ErrForeignTable if the table belongs to another
// application or program.
func Bind(ctx context.Context, store checkpoint.Store, stream Stream, application string, initial checkpoint.Position) (checkpoint.Application, shardmap.Stream, error) {
	about, err := stream.Describe(ctx)
	if err != nil {
		return checkpoint.Application{}, about, err
	}
	if initial == Latest {
		if about.ServerTime.IsZero() {
			return checkpoint.Application{}, about, fmt.Errorf("start application %s at LATEST: the service's answer for stream %s has no date", application, about.Name)
		}
		initial = checkpoint.AtTimestamp(about.ServerTime)
	}
	app, err := store.Bind(ctx, checkpoint.Application{
		Identity: checkpoint.Identity{
			Application: application, Stream: about.Name, StreamARN: about.ARN, StreamCreated: about.Created,
		},
		Initial: initial,
	})
	if err != nil {
		return checkpoint.Application{}, about, fmt.Errorf("bind table to stream %s: %w", about.Name, err)
	}
	return app, about, nil
}

// Bind ties the table to the application and the stream, as the function Bind does, and returns the table's own item.
// It fails while an import into the table is unfinished. Run calls it if nobody has.
//
// It returns within a bounded time, even without an answer.
func (k *Keeper) Bind(ctx context.Context) (checkpoint.Application, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.streamTimeout())
	defer cancel()
	app, about, err := Bind(ctx, k.store, k.stream, k.cfg.Application, k.cfg.Initial)
	if err != nil {
		return checkpoint.Application{}, err
	}
	if app.Importing != "" {
		return checkpoint.Application{}, fmt.Errorf("bind table to stream %s: the import from %s is not finished: if it is no longer running, repeat it",
			about.Name, app.Importing)
	}
	k.done(described, time.Now())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.app, k.about = app, about
	return app, nil
}

// Run keeps leases until ctx ends, or until everything before Config.Stop is delivered. Then it acquires no more, asks the readers to drain, waits until all holds are
// released or Config.Grace is over, releases the remaining leases, and removes the worker's heartbeat. It returns nil
// if every hold was released in time. An earlier error means that the table or the stream cannot be used.
//
// Run may be called once.
func (k *Keeper) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	k.stop = stop
	if !k.isBound() {
		if _, err := k.Bind(ctx); err != nil {
			return err
		}
	}
	// What runs during the shutdown outlives ctx.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()

	k.setStarted()
	k.beat(life)
	var wg sync.WaitGroup
	wg.Go(func() { k.beatUntil(life) })
	k.list(ctx)
	wg.Go(func() { k.listUntil(life) })
	wg.Go(func() { k.describeUntil(life, stop) })
	wg.Go(func() { k.stateUntil(life) })

	k.turnUntil(ctx, life)
	k.log.Info("worker stopping", logkey.Reason, context.Cause(ctx).Error())
	resigned := k.resign(life)
	err := k.drain(life)
	<-resigned
	end()
	wg.Wait()
	k.leave(life)
	return errors.Join(foreign(context.Cause(ctx)), err)
}

// foreign returns err if it is the reason why Run had to end on its own.
func foreign(err error) error {
	if errors.Is(err, checkpoint.ErrForeignTable) {
		return err
	}
	return nil
}

func (k *Keeper) isBound() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.app.Application != ""
}

func (k *Keeper) setStarted() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.started = time.Now()
}

// Complete returns the statement of up to when the application's data is complete, as of the last scan. It is zero as long as
// there is none.
func (k *Keeper) Complete() checkpoint.Complete {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.complete
}

// Shards returns the shards whose lease this worker holds, with or without a reader, ordered by id.
func (k *Keeper) Shards() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	shards := make([]string, 0, len(k.holds))
	for shard, h := range k.holds {
		if h.cause == nil {
			shards = append(shards, shard)
		}
	}
	slices.Sort(shards)
	return shards
}

// Listed returns a shard as the latest listing that included it showed it.
func (k *Keeper) Listed(shard string) (shardmap.Shard, bool) { return k.shards.Shard(shard) }

// Take hands a held lease to a reader, which must call Release when it has ended. It returns false if the lease is not
// held, already has a reader, or is being drained. A lease is never offered before the reader of its previous hold has
// released.
func (k *Keeper) Take(shard string) (*Hold, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.holds[shard]
	if h == nil || h.cause != nil || h.taken || h.drained {
		return nil, false
	}
	h.taken = true
	return &Hold{keeper: k, holding: h}, true
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// drain asks all readers to end and waits for them, within the grace period. No call takes longer than that.
func (k *Keeper) drain(life context.Context) error {
	grace, cancel := context.WithTimeout(life, k.cfg.Grace)
	defer cancel()
	k.startDraining(grace)
	for {
		if k.count() == 0 {
			return nil
		}
		turn := time.NewTimer(jitter(k.cfg.ScanEvery))
		select {
		case <-k.freed:
		case <-turn.C:
			k.turn(grace, grace, false)
		case <-grace.Done():
			turn.Stop()
			return k.abandon(life)
		}
		turn.Stop()
	}
}

func (k *Keeper) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.holds)
}

func (k *Keeper) startDraining(life context.Context) {
	k.mu.Lock()
	k.stopping = true
	holds := k.activeLocked()
	for _, h := range holds {
		h.drainLocked()
	}
	k.mu.Unlock()
	k.releaseUntaken(life, holds)
}

// abandon ends the holds whose readers did not release in time and releases their leases: what those readers have not
// committed can no longer be committed.
func (k *Keeper) abandon(life context.Context) error {
	k.mu.Lock()
	holds := make([]*holding, 0, len(k.holds))
	for _, h := range k.holds {
		holds = append(holds, h)
		k.endLocked(h, errShutdown, "shutdown")
	}
	k.mu.Unlock()
	// The deadline applies to all of them together.
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, h := range holds {
		g.Go(func() error {
			k.giveBack(ctx, h)
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	return fmt.Errorf("shut down leases: %d readers did not release within %v", len(holds), k.cfg.Grace)
}

// leave removes the heartbeat. If that fails, the other workers need Failover to notice that this worker is gone.
func (k *Keeper) leave(life context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(life), k.cfg.Failover)
	defer cancel()
	if err := k.store.Leave(ctx, k.cfg.Worker); err != nil {
		k.log.Warn("the worker's heartbeat could not be removed", logkey.Error, err.Error())
	}
}

// parallel bounds the concurrent requests to the store in one act.
const parallel = 16

// signal wakes a goroutine that waits on c, or the next one that will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause waits for d, or until woken once least has passed. It returns false if ctx ended.
func pause(ctx context.Context, least, d time.Duration, wake <-chan struct{}) bool {
	for _, wait := range []struct {
		d    time.Duration
		wake <-chan struct{}
	}{{min(least, d), nil}, {max(0, d-least), wake}} {
		timer := time.NewTimer(wait.d)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-wait.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
	return ctx.Err() == nil
}
