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
	// bucketEvery is the time between two checks of a healthy bucket, bucketAgain the time after a failed check.
	bucketEvery = 15 * time.Second
	bucketAgain = 3 * time.Second
	// bucketTimeout bounds one check.
	bucketTimeout = 5 * time.Second
)

// bucketWatch checks the bucket periodically and keeps the result, so that a health check does not call S3.
type bucketWatch struct {
	name  string
	check func(context.Context) error
	log   *slog.Logger

	mu      sync.Mutex
	problem error     // of the last check
	since   time.Time // of the first of the failed checks in a row; zero if the last one succeeded
}

func newBucketWatch(name string, check func(context.Context) error, log *slog.Logger) *bucketWatch {
	return &bucketWatch{name: name, check: check, log: log, problem: errors.New("the bucket has not been checked yet")}
}

// run checks the bucket until ctx ends, for the first time at once.
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

// look reports whether the bucket is healthy, and logs changes.
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
		b.log.Error("the bucket cannot be used, the check is repeated until it can", logkey.Error, b.problem.Error())
	case err == nil && failing:
		b.log.Info("the bucket can be used again", logkey.Bucket, b.name, logkey.Took, time.Since(b.since).Round(time.Second))
		b.since = time.Time{}
	}
	return err == nil
}

// health returns the result of the last check.
func (b *bucketWatch) health() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.problem
}
