package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
)

const (
	// sweeping is how many batches of the outbox are published at the same time. At most half of them are batches that
	// have failed before, so that those that are refused never keep others waiting.
	sweeping = 4
	// loading bounds the reading of one batch, with its list of files.
	loading = time.Minute
)

// sweeper publishes what is left in the outbox.
type sweeper struct {
	worker    string
	now       func() time.Time
	store     checkpoint.Store
	lists     checkpoint.Lists
	publisher *publisher
	queue     *queue
	board     *board
	metrics   *metrics.Metrics
	log       *slog.Logger
}

func newSweeper(cfg Config, parts Parts, publisher *publisher, board *board) *sweeper {
	return &sweeper{
		worker: cfg.Worker, now: cfg.Now, store: parts.Store, lists: parts.Sink, publisher: publisher, queue: newQueue(), board: board,
		metrics: parts.Metrics, log: parts.Log,
	}
}

// choose queues those batches of the outbox that are this worker's to publish and may be tried now.
func (s *sweeper) choose(outbox []checkpoint.Batch, others func(b checkpoint.Batch) bool) {
	now := s.now()
	var left []candidate
	for _, head := range outbox {
		if head.Worker != s.worker && !others(head) {
			continue
		}
		failed, tried := s.board.failure(head.ID)
		if !tried || now.Sub(failed.Tried) >= failed.pause() {
			left = append(left, candidate{head, failed.Tried})
		}
	}
	s.queue.offer(left)
}

// passOver leaves batches alone that only workers of a later release know how to finish, and says so once for each kind.
func (s *sweeper) passOver(unknown []checkpoint.UnknownBatch) {
	kinds := make(map[string]int)
	for _, b := range unknown {
		kinds[b.Kind]++
	}
	for kind, n := range s.board.unknown(kinds) {
		s.log.Warn("batches in the outbox are of a kind that this release does not know, left to workers that do",
			logkey.Kind, kind, logkey.Count, n)
	}
}

// run publishes what is queued until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		c, ok := s.queue.next()
		if !ok {
			select {
			case <-s.queue.wake:
			case <-ctx.Done():
			}
			continue
		}
		// The board and the log show the result.
		_ = s.publishLeft(ctx, c.head, !c.tried.IsZero())
		s.queue.done(c)
	}
}

// publishLeft publishes a batch of the outbox, unless that has been done meanwhile. One that is tried again has more time.
func (s *sweeper) publishLeft(ctx context.Context, head checkpoint.Batch, again bool) error {
	b, err := s.load(ctx, head.ID)
	if errors.Is(err, checkpoint.ErrNotFound) || !b.PublishedAt.IsZero() {
		s.board.forgotten(head.ID)
		return nil
	}
	if err == nil {
		bound := publishBound
		if again {
			bound += time.Duration(len(b.Files)) * publishFile
		}
		err = s.publisher.publish(ctx, b, bound)
	}
	if err != nil && ctx.Err() == nil {
		s.publisher.failed(head, err)
	}
	if err != nil {
		return err
	}
	result := "swept"
	if head.Worker == s.worker {
		result = "published"
	}
	s.metrics.Batches.WithLabelValues(result).Inc()
	s.log.Info("batch left in the outbox published", logkey.Batch, b.ID, logkey.Worker, b.Worker, logkey.Files, len(b.Files),
		logkey.Bytes, totalBytes(b.Files), logkey.Took, s.now().Sub(b.Created).Round(time.Millisecond))
	return nil
}

func (s *sweeper) load(ctx context.Context, id string) (checkpoint.Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, loading)
	defer cancel()
	return checkpoint.LoadBatch(ctx, s.store, s.lists, id)
}

// retry publishes once more what this worker could not publish before. Its error says what has stayed in the outbox.
func (s *sweeper) retry(ctx context.Context) error {
	var mu sync.Mutex
	var left []error
	var g errgroup.Group
	g.SetLimit(sweeping)
	for _, head := range s.board.own(s.worker) {
		g.Go(func() error {
			if err := s.publishLeft(ctx, head, true); err != nil {
				mu.Lock()
				defer mu.Unlock()
				left = append(left, fmt.Errorf("batch %s is not published yet, another worker will do it: %w", head.ID, err))
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	return errors.Join(left...)
}
