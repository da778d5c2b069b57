package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
)

const (
	// bucketEvery is the time between two looks at a bucket that is well, and bucketAgain that after a look at one that is not.
	bucketEvery = 15 * time.Second
	bucketAgain = 3 * time.Second
	// bucketTimeout bounds one look.
	bucketTimeout = 5 * time.Second
)

// bucketWatch looks at the bucket from time to time and remembers what it saw, so that whoever asks how the daemon is asks
// nothing of S3.
type bucketWatch struct {
	name  string
	check func(context.Context) error
	log   *slog.Logger

	mu      sync.Mutex
	problem error     // of the last look
	since   time.Time // of the first look in a row that had a problem; zero if it had none
}

func newBucketWatch(name string, check func(context.Context) error, log *slog.Logger) *bucketWatch {
	return &bucketWatch{name: name, check: check, log: log, problem: errors.New("the bucket has not been looked at yet")}
}

// run looks until ctx ends, for the first time at once.
func (b *bucketWatch) run(ctx context.Context) {
	for {
		wait := bucketEvery
		if !b.look(ctx) {
			wait = bucketAgain
		}
		if backoff.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// look tells whether the bucket is well. When that changes, the log says so.
func (b *bucketWatch) look(ctx context.Context) (well bool) {
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	err := b.check(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return err == nil // the daemon ends
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.problem = nil; err != nil {
		b.problem = fmt.Errorf("BUCKET=%q: %w", b.name, err)
	}
	switch failing := !b.since.IsZero(); {
	case err != nil && !failing:
		b.since = time.Now()
		b.log.Error("the bucket cannot be used: it is looked at again until it can", logkey.Error, b.problem.Error())
	case err == nil && failing:
		b.log.Info("the bucket can be used again", logkey.Bucket, b.name, logkey.Took, time.Since(b.since).Round(time.Second))
		b.since = time.Time{}
	}
	return err == nil
}

// health is what the last look has seen.
func (b *bucketWatch) health() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.problem
}
