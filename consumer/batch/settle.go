package batch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

const (
	// aborting bounds the aborting of what a dropped batch has uploaded. The lane's next batch waits for it, and the
	// bucket's rule for incomplete uploads takes what is left.
	aborting = time.Minute
	// lastWord bounds the calls that settle a batch after the pipeline was told to stop.
	lastWord = 5 * time.Second
)

// settle takes a sealed batch to its end: published, left in the outbox, or dropped.
func (l *lane) settle(ctx context.Context, b *batch, reason string) {
	p := l.p
	p.sweeper.hold(b.id)
	defer p.sweeper.release(b.id)
	phase := p.stopwatch()
	p.parts.Metrics.BatchSeconds.WithLabelValues("fill").Observe(p.cfg.Now().Sub(b.opened).Seconds())

	out, err := b.finish(p.cfg.Worker, reason, p.cfg.Now())
	if err != nil {
		l.drop(ctx, b, out, err)
		return
	}
	if len(out.Ranges) == 0 { // begun, and its shard gave up before anything was in
		b.cancel(nil)
		return
	}
	phase("seal")
	out.Manifest = ManifestPlace(out, p.cfg.Bucket, p.cfg.ManifestPrefix)

	if err := p.list(b.ctx, &out); err != nil {
		l.drop(ctx, b, out, err)
		return
	}
	committed, err := p.commit(ctx, b.ctx, out)
	switch {
	case err != nil:
		p.parts.Log.Error("fate of the batch unknown, left to whoever publishes it", logkey.Batch, b.id, logkey.Error, err)
		l.restart(b, err.Error())
		return
	case !committed:
		l.drop(ctx, b, out, checkpoint.ErrConflict)
		return
	}
	phase("commit")
	for _, r := range out.Ranges {
		b.ranges[r.Shard].cursor.commit(r)
		p.panics.moved(r.Shard, r.End)
	}
	p.board.committed(out)
	l.committed()
	b.cancel(nil)

	if err := p.publish(ctx, out, publishBound); err != nil {
		p.unpublished(out, err)
		return
	}
	phase("publish")
	p.parts.Metrics.Batches.WithLabelValues("published").Inc()
	p.parts.Log.Info("batch published", logkey.Batch, b.id, logkey.Reason, reason, logkey.Files, len(out.Files),
		logkey.Records, b.records.Load(), logkey.Bytes, totalBytes(out.Files), logkey.Shards, len(out.Ranges),
		logkey.Took, p.cfg.Now().Sub(out.Created).Round(time.Millisecond))
}

// stopwatch returns a function that notes the time since it was last called under the name of a phase.
func (p *Pipeline) stopwatch() func(phase string) {
	last := p.cfg.Now()
	return func(phase string) {
		now := p.cfg.Now()
		p.parts.Metrics.BatchSeconds.WithLabelValues(phase).Observe(now.Sub(last).Seconds())
		last = now
	}
}

// commit writes the batch's decision and finds out what it is. A call that failed otherwise than by its conditions is
// made again: the batch's id makes it the same commit. An error means that the pipeline was told to stop before the
// store answered.
func (p *Pipeline) commit(ctx, batch context.Context, b checkpoint.Batch) (committed bool, err error) {
	err = retry(batch, func() error {
		err := p.parts.Store.Commit(batch, b)
		if err != nil && !refused(err) {
			p.parts.Log.Warn("commit not answered, will be made again", logkey.Batch, b.ID, logkey.Error, err)
		}
		return err
	}, refused)
	if err == nil {
		return true, nil
	}
	return p.bury(ctx, b.ID)
}

// refused tells that making the call again would not help.
func refused(err error) bool {
	return errors.Is(err, checkpoint.ErrConflict) || errors.Is(err, checkpoint.ErrInvalidBatch)
}

// bury has the store decide: whatever request is still under way, the answer stays true.
func (p *Pipeline) bury(ctx context.Context, id string) (committed bool, err error) {
	ctx, cancel := lingering(ctx)
	defer cancel()
	err = retry(ctx, func() error {
		var err error
		committed, err = p.parts.Store.Bury(ctx, id, p.cfg.Worker)
		return err
	}, never)
	return committed, err
}

// drop gives a batch up that is not committed and never will be: its uploads are aborted, its shards start again.
func (l *lane) drop(ctx context.Context, b *batch, out checkpoint.Batch, cause error) {
	p := l.p
	p.parts.Metrics.Batches.WithLabelValues("dropped").Inc()
	p.parts.Log.Warn("batch dropped, its shards start again from their checkpoints", logkey.Batch, b.id,
		logkey.Reason, cause, logkey.Records, b.records.Load(), logkey.Shards, len(out.Ranges))
	for _, r := range out.Ranges {
		p.suspect(b, r.Shard, r.Last, r.Start, cause)
	}
	l.restart(b, cause.Error())
	b.cancel(cause)

	ctx, cancel := lingering(ctx)
	defer cancel()
	ctx, cancelAborts := context.WithTimeout(ctx, aborting)
	defer cancelAborts()
	var g errgroup.Group
	g.SetLimit(publishing)
	for _, f := range out.Files {
		if f.UploadID == "" {
			continue
		}
		g.Go(func() error {
			if err := p.parts.Sink.Abort(ctx, f); err != nil {
				// The bucket's rule for incomplete uploads takes what is left here.
				p.parts.Log.Debug("upload not aborted", logkey.Key, f.Key, logkey.Error, err)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	p.unlist(ctx, out)
}

// restart sends the batch's shards back to their checkpoints. Records that they have put into the open batch since
// begin at a position that the store will never reach: that batch is dropped with them.
func (l *lane) restart(b *batch, reason string) {
	for _, c := range b.cursors() {
		c.drop(reason)
	}
	next := l.batch()
	if next == nil {
		return
	}
	for _, c := range next.cursors() {
		if c.isDropped() {
			next.cancel(fmt.Errorf("the batch before it was dropped: %s", reason))
			return
		}
	}
}

// abandon drops the open batch when the pipeline ends.
func (l *lane) abandon(ctx context.Context) {
	b := l.rotate()
	if b == nil {
		return
	}
	b.cancel(context.Cause(ctx)) // it ends with ctx, but maybe not yet
	out, err := b.finish(l.p.cfg.Worker, "stopped", l.p.cfg.Now())
	l.drop(ctx, b, out, err)
}

// lingering is ctx, or a short time to settle things if it has ended.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), lastWord)
}

func never(error) bool { return false }

// retry calls f until it succeeds, its error is final, or ctx ends. It waits longer each time, 5 seconds at most.
func retry(ctx context.Context, f func() error, final func(error) bool) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := f()
		if err == nil || final(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(wait):
		}
	}
}

func sortRanges(r []checkpoint.Range) {
	slices.SortFunc(r, func(a, b checkpoint.Range) int { return cmp.Compare(a.Shard, b.Shard) })
}

func sortFiles(f []checkpoint.File) {
	slices.SortFunc(f, func(a, b checkpoint.File) int { return cmp.Compare(a.Key, b.Key) })
}

func totalBytes(files []checkpoint.File) (n int64) {
	for _, f := range files {
		n += f.Bytes
	}
	return n
}
