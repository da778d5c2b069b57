package batch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/writers"
)

const (
	// sweeping is how many batches of the outbox are published at the same time. At most half of them are batches that
	// have failed before, so that those that are refused never keep others waiting.
	sweeping = 4
	// loading bounds the reading of one batch, with its list of files.
	loading = time.Minute
)

// Sweep has the batches published that dead workers left in the outbox, and this worker's own that could not be published
// before. Those of the living are their own to publish; it would do no harm to take one for dead. It does not wait: Run
// publishes them, several at a time, and a batch that fails is tried again by later sweeps.
func (p *Pipeline) Sweep(s checkpoint.Snapshot, dead func(worker string) bool) {
	now := p.cfg.Now()
	p.board.outbox(now, s.Batches, p.parts.Metrics)
	var left []candidate
	for _, head := range s.Batches {
		if head.Worker != p.cfg.Worker && !dead(head.Worker) {
			continue
		}
		failed, tried := p.board.failure(head.ID)
		if !tried || now.Sub(failed.Tried) >= failed.pause() {
			left = append(left, candidate{head, failed.Tried})
		}
	}
	p.sweeper.offer(left)
}

// sweep publishes what is offered until ctx ends.
func (p *Pipeline) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		c, ok := p.sweeper.next()
		if !ok {
			select {
			case <-p.sweeper.wake:
			case <-ctx.Done():
			}
			continue
		}
		// What comes of it is told by the board and the log.
		_ = p.publishLeft(ctx, c.head, !c.tried.IsZero())
		p.sweeper.done(c)
	}
}

// publishLeft publishes a batch of the outbox, unless that has been done meanwhile. One that is tried again has more time.
func (p *Pipeline) publishLeft(ctx context.Context, head checkpoint.Batch, again bool) error {
	b, err := p.load(ctx, head.ID)
	if errors.Is(err, checkpoint.ErrNotFound) {
		p.board.forgotten(head.ID)
		return nil
	}
	if err == nil {
		bound := publishBound
		if again {
			bound += time.Duration(len(b.Files)) * publishFile
		}
		err = p.publish(ctx, b, bound)
	}
	if err != nil && ctx.Err() == nil {
		p.unpublished(head, err)
	}
	if err != nil {
		return err
	}
	result := "swept"
	if head.Worker == p.cfg.Worker {
		result = "published"
	}
	p.parts.Metrics.Batches.WithLabelValues(result).Inc()
	p.parts.Log.Info("batch left in the outbox published", logkey.Batch, b.ID, logkey.Worker, b.Worker, logkey.Files, len(b.Files),
		logkey.Bytes, totalBytes(b.Files), logkey.Took, p.cfg.Now().Sub(b.Created).Round(time.Millisecond))
	return nil
}

func (p *Pipeline) load(ctx context.Context, id string) (checkpoint.Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, loading)
	defer cancel()
	return checkpoint.LoadBatch(ctx, p.parts.Store, p.parts.Sink, id)
}

// unpublished notes that a committed batch could not be published, and logs the attempts 1, 2, 4, 8 ...
func (p *Pipeline) unpublished(b checkpoint.Batch, err error) {
	u := p.board.unpublished(p.cfg.Now(), b, err)
	if bits.OnesCount(uint(u.Attempts)) == 1 {
		p.parts.Log.Error("batch in the outbox not published, will be tried again", logkey.Batch, b.ID, logkey.Worker, b.Worker,
			logkey.Reason, u.Reason, logkey.Attempt, u.Attempts, logkey.Error, err)
	}
}

// AwaitPublished waits until every batch that was sealed is published or dropped, and tries those again that could not
// be published before. Whoever has drained all cursors has nothing in the outbox then; an error says what has stayed.
func (p *Pipeline) AwaitPublished(ctx context.Context) error {
	p.mu.Lock()
	lanes := slices.Clone(p.lanes)
	p.mu.Unlock()
	for _, l := range lanes {
		if settled := l.settling(); settled != nil {
			select {
			case <-settled:
			case <-ctx.Done():
				return fmt.Errorf("a committed batch is not published yet, another worker will do it: %w", context.Cause(ctx))
			}
		}
	}
	var mu sync.Mutex
	var left []error
	var g errgroup.Group
	g.SetLimit(sweeping)
	for _, u := range p.board.failures() {
		if u.Worker != p.cfg.Worker {
			continue
		}
		g.Go(func() error {
			if err := p.publishLeft(ctx, checkpoint.Batch{ID: u.Batch, Worker: u.Worker, Created: u.Sealed}, true); err != nil {
				mu.Lock()
				defer mu.Unlock()
				left = append(left, fmt.Errorf("batch %s is not published yet, another worker will do it: %w", u.Batch, err))
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	return errors.Join(left...)
}

// candidate is a batch of the outbox that may be published.
type candidate struct {
	head  checkpoint.Batch
	tried time.Time // when it was tried last; zero if it has not failed before
}

// sweeper is the queue of the batches that are left in the outbox. It is safe for concurrent use.
type sweeper struct {
	wake chan struct{} // tells that next may have an answer

	mu      sync.Mutex
	waiting []candidate
	busy    map[string]bool // batches that somebody of this worker is at
	again   int             // of these, how many are tried again
}

func newSweeper() *sweeper {
	return &sweeper{wake: make(chan struct{}, sweeping), busy: make(map[string]bool)}
}

// offer replaces what waits by what nobody is at. Batches that have not failed come first, the oldest before the others, and then those that
// were tried longest ago.
func (s *sweeper) offer(left []candidate) {
	slices.SortFunc(left, func(a, b candidate) int {
		return cmp.Or(a.tried.Compare(b.tried), a.head.Created.Compare(b.head.Created))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(left, func(c candidate) bool { return s.busy[c.head.ID] })
	for range min(len(left), sweeping) {
		s.rouse()
	}
}

func (s *sweeper) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next takes the batch whose turn it is; done has to be called for it.
func (s *sweeper) next() (candidate, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.waiting, func(c candidate) bool {
		return !s.busy[c.head.ID] && (c.tried.IsZero() || s.again < sweeping/2)
	})
	if i < 0 {
		return candidate{}, false
	}
	c := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	s.busy[c.head.ID] = true
	if !c.tried.IsZero() {
		s.again++
	}
	return c, true
}

func (s *sweeper) done(c candidate) {
	s.release(c.head.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.tried.IsZero() {
		s.again--
	}
	s.rouse()
}

// hold keeps a batch from being swept until it is released: its lane is at it.
func (s *sweeper) hold(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[id] = true
}

func (s *sweeper) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, id)
}

// Reasons why a batch is not published.
const (
	reasonRefused     = "refused"     // by the bucket
	reasonForeign     = "foreign"     // an object is in a file's place
	reasonGone        = "gone"        // neither upload nor object is there, or the list of files is lost
	reasonUnavailable = "unavailable" // anything that may pass
)

// reasons are the values of the metric of batches that are not published.
var reasons = []string{reasonRefused, reasonForeign, reasonGone, reasonUnavailable}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, writers.ErrUploadGone), errors.Is(err, checkpoint.ErrNoList):
		return reasonGone
	case errors.Is(err, writers.ErrForeignObject):
		return reasonForeign
	case errors.Is(err, writers.ErrRefused):
		return reasonRefused
	}
	return reasonUnavailable
}
