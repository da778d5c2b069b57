package batch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

const (
	// noteEvery is how long files that have become visible may go without being noted while others are completed. Most
	// batches are published before.
	noteEvery = 5 * time.Second
	// maxNoted is how many files of a batch may be noted: all of any batch but one of a single hostile aggregate, and
	// with 4 bytes each (Amazon DynamoDB Developer Guide, "DynamoDB item sizes and formats") far below what an item holds.
	maxNoted = 40_000
)

// notes tell the store which files of a batch have become visible, for whoever publishes the rest.
type notes struct {
	store checkpoint.Store
	log   *slog.Logger
	batch string

	mu    sync.Mutex
	fresh []int // not noted yet
}

func (n *notes) add(file int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fresh = append(n.fresh, file)
}

// keep writes now and then, until stop is called or ctx ends.
func (n *notes) keep(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var writing sync.WaitGroup
	writing.Go(func() {
		tick := time.NewTicker(noteEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				n.write(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		writing.Wait()
	}
}

// write notes what is fresh, also if ctx has ended. What the store does not take stays fresh.
func (n *notes) write(ctx context.Context) {
	n.mu.Lock()
	fresh := n.fresh
	n.fresh = nil
	n.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	err := n.store.NotePublished(ctx, n.batch, fresh)
	if err != nil && !errors.Is(err, checkpoint.ErrNotFound) { // not found: another worker has published all of it
		n.mu.Lock()
		n.fresh = append(n.fresh, fresh...)
		n.mu.Unlock()
		n.log.Warn("published files not noted", logkey.Batch, n.batch, logkey.Count, len(fresh), logkey.Error, err)
	}
}
