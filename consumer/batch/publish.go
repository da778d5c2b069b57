package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/writers"
)

const (
	// publishing is how many uploads of a batch are completed at the same time.
	publishing = 8
	// publishBound bounds one attempt to publish a batch. S3 may take minutes for a large file; what is done by then
	// stays done, and the batch stays in the outbox.
	publishBound = 30 * time.Minute
	// publishFile is granted in addition, for each file, to batches that are tried again: each attempt looks at all files,
	// so one has to have the time for all. Neither lanes nor batches that have not failed wait for such an attempt.
	publishFile = 100 * time.Millisecond
	// forgetBound bounds the attempts to take a published batch out of the outbox, or to mark it there.
	forgetBound = time.Minute
	// namedFiles is how many files an error names.
	namedFiles = 3
)

// publisher makes committed batches visible.
type publisher struct {
	now       func() time.Time
	store     checkpoint.Store
	sink      writers.Sink
	budget    *budget.Budget
	lists     *lists
	manifests manifestHome
	board     *board
	metrics   *metrics.Metrics
	log       *slog.Logger
}

func newPublisher(cfg Config, parts Parts, lists *lists, board *board) *publisher {
	return &publisher{
		now: cfg.Now, store: parts.Store, sink: parts.Sink, budget: parts.Shared.Budget(), lists: lists,
		manifests: manifestHome{cfg.Bucket, cfg.ManifestPrefix}, board: board, metrics: parts.Metrics, log: parts.Log,
	}
}

// publishSealed publishes a batch that was just committed, or leaves it in the outbox.
func (p *publisher) publishSealed(ctx context.Context, b checkpoint.Batch, reason string, records int64) {
	began := p.now()
	if err := p.publish(ctx, b, publishBound); err != nil {
		p.failed(b, err)
		return
	}
	p.metrics.BatchSeconds.WithLabelValues("publish").Observe(p.now().Sub(began).Seconds())
	p.metrics.Batches.WithLabelValues("published").Inc()
	p.log.Info("batch published", logkey.Batch, b.ID, logkey.Reason, reason, logkey.Files, len(b.Files),
		logkey.Records, records, logkey.Bytes, totalBytes(b.Files), logkey.Shards, len(b.Ranges),
		logkey.Took, p.now().Sub(b.Created).Round(time.Millisecond))
}

// failed notes that a committed batch could not be published, and logs the attempts 1, 2, 4, 8 ...
func (p *publisher) failed(b checkpoint.Batch, err error) {
	u := p.board.unpublished(p.now(), b, err)
	if bits.OnesCount(uint(u.Attempts)) == 1 {
		p.log.Error("batch in the outbox not published, will be tried again", logkey.Batch, b.ID, logkey.Worker, b.Worker,
			logkey.Reason, u.Reason, logkey.Attempt, u.Attempts, logkey.Error, err)
	}
}

// publish makes the files of a committed batch visible, writes its manifest and takes it out of the outbox, or leaves it
// there to the loaders of its tables. Every step may have been done before, by anybody. It ends in bounded time: the batch
// is safe in the outbox, and is tried again.
func (p *publisher) publish(ctx context.Context, b checkpoint.Batch, bound time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("not done after %s", bound))
	defer cancel()
	before, err := p.show(ctx, b)
	if err != nil {
		return err
	}
	if err := p.leave(ctx, b); err != nil {
		return err
	}
	if before {
		p.board.forgotten(b.ID)
		return nil
	}
	p.count(b)
	return nil
}

// show makes the files of a batch visible and writes its manifest, or finds that somebody has done so before. Until the
// manifest is there, the store is told which files are visible.
func (p *publisher) show(ctx context.Context, b checkpoint.Batch) (before bool, err error) {
	notes := &notes{store: p.store, log: p.log, batch: b.ID}
	stopNotes := notes.keep(ctx)
	defer func() {
		stopNotes()
		if err != nil {
			notes.write(ctx)
		}
	}()
	gone, moved, err := p.complete(ctx, b, notes)
	if err != nil {
		return false, err
	}
	place := p.manifests.place(b)
	if len(gone)+moved > 0 {
		// A manifest is written when all files are complete: then they were, and their readers have moved them since. It has
		// ETags that nobody can find out any more.
		written, err := p.sink.Written(ctx, place.Bucket, place.Key, b.ID)
		if err != nil {
			return false, fmt.Errorf("look for manifest %s: %w", place, err)
		}
		if written {
			return true, nil
		}
	}
	if len(gone) > 0 {
		return false, goneError(b, gone, p.now())
	}
	return false, p.writeManifest(ctx, b, place)
}

// complete makes the files of a batch visible and fills in their ETags. Of some neither the upload nor the object is
// there: moved counts those that are known to have been visible, and gone are the others. Neither they nor files in whose
// place is another object keep others from being completed: no later attempt would do better. Any other error ends the
// attempt, and so that it is not always the same files that are left, each begins with another.
func (p *publisher) complete(ctx context.Context, b checkpoint.Batch, notes *notes) (gone []checkpoint.File, moved int, err error) {
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(publishing)
	var foreign []error
	first := rand.N(max(len(b.Files), 1))
	for n := range b.Files {
		i := (first + n) % len(b.Files)
		f := &b.Files[i]
		_, known := slices.BinarySearch(b.Published, i)
		g.Go(func() error {
			etag, err := p.sink.Publish(gctx, *f, b.ID)
			switch {
			case err == nil:
				f.ETag = etag
				if etag == "" { // a bucket with versions remembers that it was there
					mu.Lock()
					defer mu.Unlock()
					moved++
				}
				if !known && i < maxNoted {
					notes.add(i)
				}
			case errors.Is(err, writers.ErrUploadGone):
				mu.Lock()
				defer mu.Unlock()
				if known {
					moved++
				} else {
					gone = append(gone, *f)
				}
			case errors.Is(err, writers.ErrForeignObject):
				mu.Lock()
				defer mu.Unlock()
				foreign = append(foreign, err)
			default:
				return fmt.Errorf("publish %s: %w", f.Key, err)
			}
			return nil
		})
	}
	err = g.Wait()
	if err == nil && len(foreign) > 0 {
		err = fmt.Errorf("%d of %d files: %w", len(foreign), len(b.Files), foreign[0])
	}
	return gone, moved, err
}

// goneError says what cannot be told apart from here: readers may move a file as soon as it is visible, which is before
// the manifest shows that it was.
func goneError(b checkpoint.Batch, gone []checkpoint.File, now time.Time) error {
	sortFiles(gone)
	var keys []string
	for _, f := range gone[:min(len(gone), namedFiles)] {
		keys = append(keys, "s3://"+f.Bucket+"/"+f.Key)
	}
	return fmt.Errorf("%d of %d files (%s) have neither an upload nor an object, and the batch has no manifest: "+
		"either they were published and their readers have moved or deleted them since, "+
		"or their uploads were removed, by the bucket's lifecycle rule or by hand; the batch was sealed %s ago: %w",
		len(gone), len(b.Files), strings.Join(keys, ", "), now.Sub(b.Created).Round(time.Second), writers.ErrUploadGone)
}

// leave takes a published batch out of the outbox, or hands it to the loaders of its tables, which need its list of files.
func (p *publisher) leave(ctx context.Context, b checkpoint.Batch) error {
	if len(b.Tables) > 0 {
		return p.last(ctx, "mark batch as published", func(ctx context.Context) error {
			err := p.store.MarkPublished(ctx, b.ID, p.now())
			if errors.Is(err, checkpoint.ErrNotFound) {
				return nil // somebody else has marked it, and it is loaded already
			}
			return err
		})
	}
	err := p.last(ctx, "take batch out of the outbox", func(ctx context.Context) error { return p.store.Forget(ctx, b.ID) })
	if err == nil {
		p.lists.delete(ctx, b)
	}
	return err
}

// last makes a call that ends the publishing of a batch, also in the moment in which the pipeline stops.
func (p *publisher) last(ctx context.Context, what string, call func(context.Context) error) error {
	ctx, cancel := lingering(ctx)
	defer cancel()
	ctx, cancelBound := context.WithTimeout(ctx, forgetBound)
	defer cancelBound()
	again := func(err error) bool { return !errors.Is(err, checkpoint.ErrUnknownKind) }
	if err := retries.Retry(ctx, again, func() error { return call(ctx) }); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// count counts what has become visible.
func (p *publisher) count(b checkpoint.Batch) {
	m := p.metrics
	for _, f := range b.Files {
		kind, records := "data", m.Records.WithLabelValues("delivered")
		switch {
		case f.Backup:
			kind, records = "backup", m.BackupRecords
		case f.Error:
			kind, records = "error", m.Records.WithLabelValues("error")
		}
		m.Files.WithLabelValues(kind, f.Reason).Inc()
		m.FileBytes.WithLabelValues(kind).Observe(float64(f.Bytes))
		records.Add(float64(f.Rows))
		if !f.Backup {
			m.BytesWritten.Add(float64(f.Bytes))
		}
	}
	p.board.published(p.now(), b)
}
