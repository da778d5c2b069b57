package batch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/writers"
)

const (
	// aborting bounds the aborting of what a dropped batch has uploaded. The lane's next batch waits for it, and the
	// bucket's rule for incomplete uploads takes what is left.
	aborting = time.Minute
	// lastWord bounds the calls that settle a batch after the pipeline was told to stop.
	lastWord = 5 * time.Second
)

// settler settles sealed batches: it makes every byte durable, has the store decide, and notifies the shards.
type settler struct {
	worker    string
	now       func() time.Time
	store     checkpoint.Store
	sink      writers.Sink
	lists     *lists
	manifests manifestHome
	board     *board
	panics    *panics
	metrics   *metrics.Metrics
	log       *slog.Logger
}

func newSettler(cfg Config, parts Parts, lists *lists, board *board, panics *panics) *settler {
	return &settler{
		worker: cfg.Worker, now: cfg.Now, store: parts.Store, sink: parts.Sink, lists: lists, manifests: manifestHome{cfg.Bucket, cfg.ManifestPrefix},
		board: board, panics: panics, metrics: parts.Metrics, log: parts.Log,
	}
}

// fate is what has become of a sealed batch.
type fate int

const (
	empty     fate = iota // it was begun, and its shard gave up before anything was in
	committed             // it is in the outbox
	dropped               // it is not committed and never will be
	unknown               // the store did not answer before the pipeline was told to stop
)

// settle finishes a batch and commits it. Where it is not committed, cause says why, and out what it has staged.
func (s *settler) settle(ctx context.Context, b *batch, reason string) (out checkpoint.Batch, f fate, cause error) {
	s.observe("fill", b.opened)
	began := s.now()
	out, err := s.finish(b, reason)
	if err != nil {
		return out, dropped, err
	}
	if len(out.Ranges) == 0 {
		return out, empty, nil
	}
	s.observe("seal", began)

	began = s.now()
	delivered, failed := countRows(out.Files)
	out.Manifest = s.manifests.place(out)
	if err := s.lists.write(b.ctx, &out); err != nil {
		return out, dropped, err
	}
	done, err := s.commit(ctx, b.ctx, out)
	switch {
	case err != nil:
		s.metrics.Balance.Returned(b.records.Load()) // or published by whoever finds it: this worker will not know
		s.log.Error("fate of the batch unknown, left to whoever publishes it", logkey.Batch, b.id, logkey.Error, err)
		return out, unknown, err
	case !done:
		return out, dropped, checkpoint.ErrConflict
	}
	s.observe("commit", began)
	s.metrics.Balance.Committed(b.records.Load(), delivered, failed)
	for _, c := range b.covered() {
		c.progress.commit(c.Range)
		s.panics.moved(c.Shard, c.End)
	}
	s.board.committed(out)
	return out, committed, nil
}

// finish makes every byte of a batch durable.
func (s *settler) finish(b *batch, reason string) (checkpoint.Batch, error) {
	return b.finish(s.worker, reason, s.now())
}

// observe notes how long a phase took that ends now.
func (s *settler) observe(phase string, began time.Time) {
	s.metrics.BatchSeconds.WithLabelValues(phase).Observe(s.now().Sub(began).Seconds())
}

// commit writes the batch's decision and finds out what it is. A call that failed otherwise than by its conditions is
// made again: the batch's id makes it the same commit. An error means that the pipeline was told to stop before the
// store answered.
func (s *settler) commit(ctx, batch context.Context, b checkpoint.Batch) (committed bool, err error) {
	again := func(err error) bool {
		if refused(err) {
			return false
		}
		s.log.Warn("commit not answered, will be made again", logkey.Batch, b.ID, logkey.Error, err)
		return true
	}
	err = retries.Retry(batch, again, func() error { return s.store.Commit(batch, b) })
	if err == nil {
		return true, nil
	}
	return s.bury(ctx, b.ID)
}

// refused reports whether the call was rejected for good, so that a retry would not help.
func refused(err error) bool {
	return errors.Is(err, checkpoint.ErrConflict) || errors.Is(err, checkpoint.ErrInvalidBatch)
}

// bury has the store decide: whatever request is still under way, the answer stays true.
func (s *settler) bury(ctx context.Context, id string) (committed bool, err error) {
	ctx, cancel := lingering(ctx)
	defer cancel()
	err = retries.Retry(ctx, always, func() (err error) {
		committed, err = s.store.Bury(ctx, id, s.worker)
		return err
	})
	return committed, err
}

// noteDrop says that a batch is dropped, and has its records tried when they are read again if it was a panic.
func (s *settler) noteDrop(b *batch, out checkpoint.Batch, cause error) {
	s.metrics.Batches.WithLabelValues("dropped").Inc()
	s.metrics.Balance.Returned(b.records.Load())
	s.log.Warn("batch dropped, its shards start again from their checkpoints", logkey.Batch, b.id,
		logkey.Reason, cause, logkey.Records, b.records.Load(), logkey.Shards, len(out.Ranges))
	for _, r := range out.Ranges {
		s.panics.suspect(b.id, r.Shard, r.Last, r.Start, cause)
	}
}

// abort takes back what a dropped batch has staged.
func (s *settler) abort(ctx context.Context, out checkpoint.Batch) {
	ctx, cancel := lingering(ctx)
	defer cancel()
	ctx, cancelAborts := context.WithTimeout(ctx, aborting)
	defer cancelAborts()
	var g errgroup.Group
	g.SetLimit(publishing)
	for _, f := range out.Files {
		if len(f.Staged) == 0 {
			continue
		}
		g.Go(func() error {
			if err := s.sink.Abort(ctx, f); err != nil {
				// The bucket's rule for incomplete uploads takes what is left here.
				s.log.Debug("upload not aborted", logkey.Key, f.Key, logkey.Error, err)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	s.lists.delete(ctx, out)
}

// lingering is ctx, or a short time to settle things if it has ended.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), lastWord)
}

func always(error) bool { return true }

// retries bounds the waits between calls of the store and of the bucket that are made until they succeed.
var retries = backoff.Policy{First: 100 * time.Millisecond, Longest: 5 * time.Second}

func sortRanges(r []checkpoint.Range) {
	slices.SortFunc(r, func(a, b checkpoint.Range) int { return cmp.Compare(a.Shard, b.Shard) })
}

func sortFiles(f []checkpoint.File) {
	slices.SortFunc(f, func(a, b checkpoint.File) int { return cmp.Compare(a.Key, b.Key) })
}

// countRows returns how many rows data files and error files have.
func countRows(files []checkpoint.File) (delivered, failed int64) {
	for _, f := range files {
		switch {
		case f.Error:
			failed += f.Rows
		case f.Data():
			delivered += f.Rows
		}
	}
	return delivered, failed
}

func totalBytes(files []checkpoint.File) (n int64) {
	for _, f := range files {
		n += f.Bytes
	}
	return n
}
