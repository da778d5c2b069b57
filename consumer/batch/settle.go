package batch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/layout"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/writers"
)

const (
	// publishing is how many uploads of a batch are completed at the same time.
	publishing = 8
	// lastWord bounds the calls that settle a batch after the pipeline was told to stop.
	lastWord = 5 * time.Second
)

// settle takes a sealed batch to its end: published, or dropped.
func (l *lane) settle(ctx context.Context, b *batch, reason string) {
	p := l.p
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
	}
	p.board.committed(out)
	l.committed()

	if err := p.publish(ctx, out); err != nil {
		p.board.unpublished(b.id)
		p.parts.Log.Error("batch committed and not published, it stays in the outbox", logkey.Batch, b.id, logkey.Error, err)
		return
	}
	phase("publish")
	b.cancel(nil)
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
	l.restart(b, cause.Error())
	b.cancel(cause)

	ctx, cancel := lingering(ctx)
	defer cancel()
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

// publish makes the files of a committed batch visible, writes its manifest and takes it out of the outbox. Every step
// may have been done before, by anybody.
func (p *Pipeline) publish(ctx context.Context, b checkpoint.Batch) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(publishing)
	for i := range b.Files {
		f := &b.Files[i]
		g.Go(func() error {
			etag, err := p.parts.Sink.Publish(gctx, *f, b.ID)
			if err != nil {
				return fmt.Errorf("publish %s: %w", f.Key, err)
			}
			f.ETag = etag
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	spec, body, err := p.manifest(b)
	if err != nil {
		return err
	}
	if err := p.parts.Sink.Put(ctx, spec, body); err != nil {
		return fmt.Errorf("write manifest %s: %w", spec.Key, err)
	}
	if err := retry(ctx, func() error { return p.parts.Store.Forget(ctx, b.ID) }, never); err != nil {
		return fmt.Errorf("take batch out of the outbox: %w", err)
	}
	p.unlist(ctx, b)
	p.observePublished(b)
	return nil
}

// manifest is the object that lists what a batch holds. It is what an audit reads; uploads and parts are of no use then.
func (p *Pipeline) manifest(b checkpoint.Batch) (writers.ObjectSpec, []byte, error) {
	b.Files, b.List = slices.Clone(b.Files), nil
	for i := range b.Files {
		b.Files[i].UploadID, b.Files[i].Parts = "", nil
	}
	body, err := json.MarshalIndent(b, "", "  ")
	return writers.ObjectSpec{
		Key:         layout.ManifestKey(p.cfg.ManifestPrefix, b.Created, b.ID),
		ContentType: "application/json",
		Metadata:    map[string]string{writers.MetadataBatchID: b.ID},
	}, append(body, '\n'), err
}

// observePublished counts what has become visible.
func (p *Pipeline) observePublished(b checkpoint.Batch) {
	m := p.parts.Metrics
	for _, f := range b.Files {
		kind, fate := "data", "delivered"
		if f.Error {
			kind, fate = "error", "error"
		}
		m.Files.WithLabelValues(kind, f.Reason).Inc()
		m.FileBytes.WithLabelValues(kind).Observe(float64(f.Bytes))
		m.Records.WithLabelValues(fate).Add(float64(f.Rows))
		m.BytesWritten.Add(float64(f.Bytes))
	}
	p.board.published(p.cfg.Now(), b)
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
