package loader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
)

// Config sets how a Loader works.
type Config struct {
	// ID names the loader, differently for each start of a process.
	ID string
	// Interval is the time between the starts of two rounds, LOAD_INTERVAL.
	Interval time.Duration
	// Batches is the largest number of batches in a write, LOAD_BATCHES.
	Batches int
	// Evolve allows new columns, TABLE_EVOLVE.
	Evolve bool
	// Grace is the time that a call under way has to finish after Run's context has ended.
	Grace time.Duration
}

// Parts are what a Loader works with. All but Registerer are required.
type Parts struct {
	Destination Destination
	Store       Store
	Lists       Lists
	Log         *slog.Logger
	// Registerer gets the loader's metrics, with the label table; nil if nobody reads them.
	Registerer prometheus.Registerer
}

// Loader loads batches into one table. Any number of them may run at once, also for the same table.
type Loader struct {
	cfg     Config
	name    string
	to      Destination
	store   Store
	lists   Lists
	log     *slog.Logger
	metrics *Metrics
	seat    *seat

	// Used by the rounds alone.
	stuck       stuck
	refused     columns
	evolveAfter time.Time
	cared       time.Time
	stated      time.Time         // when the table was last to show up to when it is complete, apart from data
	sent        map[string]totals // batches of the last write, until the ledger is read
	unwritten   map[string]bool   // batches because of which writes of this round have failed

	mu     sync.Mutex
	status Status
	moved  time.Time // when the loader last did something
}

// retries bounds the waits between rounds that fail.
var retries = backoff.Policy{First: time.Second, Longest: time.Minute}

// New returns a loader. It makes no calls before Run.
func New(cfg Config, p Parts) (*Loader, error) {
	if cfg.ID == "" || cfg.Interval <= 0 || cfg.Batches <= 0 {
		return nil, fmt.Errorf("loader %q: interval %v, %d batches: want an id and values above 0", cfg.ID, cfg.Interval, cfg.Batches)
	}
	l := &Loader{cfg: cfg, name: p.Destination.Name(), to: p.Destination, store: p.Store, lists: p.Lists}
	l.log = p.Log.With(logkey.Table, l.name)
	l.seat = newSeat(p.Store, l.name, cfg.ID)
	l.status = newStatus(l.name, cfg.ID)
	reg := p.Registerer
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	l.metrics = newMetrics(prometheus.WrapRegistererWith(prometheus.Labels{"table": l.name}, reg), l.waitingSeconds)
	return l, nil
}

// Run loads batches until ctx ends: a round each interval while this loader is elected. Meanwhile it beats, or watches the
// loader that is. Nothing but ctx ends it.
func (l *Loader) Run(ctx context.Context) error {
	calls, stop := withGrace(ctx, l.cfg.Grace)
	defer stop()
	var beats sync.WaitGroup
	beats.Go(func() { l.beat(ctx) })
	for ctx.Err() == nil {
		select {
		case <-l.seat.taken:
			l.log.Info("this loader is elected", "loader", l.cfg.ID)
			l.rounds(ctx, calls)
		case <-ctx.Done():
		}
	}
	beats.Wait()
	if err := boundedCall(context.WithoutCancel(ctx), storeBound, l.seat.leave); err != nil {
		return fmt.Errorf("leave the table to another loader: %w", err)
	}
	return nil
}

// withGrace returns a context that ends a while after ctx.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	calls, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(context.Cause(ctx)) })
	})
	return calls, func() { unwatch(); cancel(nil) }
}

// beat beats, or watches the loader that does, until ctx ends.
func (l *Loader) beat(ctx context.Context) {
	for ctx.Err() == nil {
		err := boundedCall(ctx, storeBound, l.seat.beat)
		held, loader := l.seat.holds()
		if errors.Is(err, errDeposed) {
			l.log.Warn("another loader has taken over", "loader", loader)
		} else if err != nil && ctx.Err() == nil {
			l.log.Warn("a beat failed and will be retried", logkey.Error, err)
		}
		l.elected(held, loader)
		_ = backoff.Sleep(ctx, beatEvery) // the loop asks for ctx
	}
}

// careEvery is the time between two calls of Care.
const careEvery = 30 * time.Minute

// care has the destination cared for. A failure waits for the next time: nothing depends on it.
func (l *Loader) care(ctx context.Context) {
	to, ok := l.to.(Caretaker)
	if !ok || time.Since(l.cared) < careEvery {
		return
	}
	l.cared = time.Now()
	if err := boundedCall(ctx, tableBound, to.Care); err != nil {
		l.log.Warn("the table was not cared for and will be later", logkey.Error, err)
	}
}

// rounds loads until ctx ends or another loader has taken over. Calls outlasts ctx by the grace period.
func (l *Loader) rounds(ctx, calls context.Context) {
	for failures := 0; ctx.Err() == nil; {
		if held, _ := l.seat.holds(); !held {
			return
		}
		began := time.Now()
		err := l.round(calls)
		l.ended(err)
		if err == nil {
			l.care(calls)
		}
		wait := l.cfg.Interval - time.Since(began)
		if errors.Is(err, errDeposed) {
			continue
		}
		if failures++; err == nil {
			failures = 0
		} else {
			wait = retries.Wait(failures)
			if ctx.Err() == nil {
				l.log.Warn("loading failed; the table is read again before anything else", logkey.Attempt, failures, logkey.Error, err)
			}
		}
		_ = backoff.Sleep(ctx, wait) // the loop asks for ctx
	}
}
