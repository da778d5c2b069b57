package function

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"aws-streaming-pipeline/internal/logkey"
)

const (
	// quietly is how many failures in a row are no trouble yet: Lambda throttles a function while it scales.
	quietly = 2
	// remindEvery is how often a lasting failure is logged.
	remindEvery = time.Minute
)

// trouble records which calls do not reach the function.
type trouble struct {
	function ARN
	log      *slog.Logger

	mu       sync.Mutex
	waiting  map[*call]waiting
	reminded map[string]time.Time // by shard: when its last log line was
}

type waiting struct {
	since time.Time
	err   error
}

// failed notes that the nth try in a row has not reached the function.
func (t *trouble) failed(ctx context.Context, c *call, n int, err error) {
	if n <= quietly {
		return
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	since := t.waiting[c].since
	if since.IsZero() {
		since = now
	}
	t.waiting[c] = waiting{since: since, err: err}
	if now.Sub(t.reminded[c.shard]) < remindEvery {
		return
	}
	if t.reminded == nil {
		t.reminded = make(map[string]time.Time)
	}
	t.reminded[c.shard] = now
	t.log.ErrorContext(ctx, "function cannot be called, the shard waits", logkey.Shard, c.shard, logkey.Function, t.function.text, logkey.Attempt, n, logkey.Error, err.Error())
}

// over notes that the call has reached the function, or is no longer made.
func (t *trouble) over(ctx context.Context, c *call, reached bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, troubled := t.waiting[c]
	if !troubled {
		return
	}
	delete(t.waiting, c)
	for other := range t.waiting {
		if other.shard == c.shard {
			return
		}
	}
	delete(t.reminded, c.shard)
	if reached {
		t.log.InfoContext(ctx, "function can be called again", logkey.Shard, c.shard, logkey.Function, t.function.text, logkey.Took, time.Since(was.since))
	}
}

// health returns an error for each shard that waits.
func (t *trouble) health() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	shards := make(map[string]error)
	for c, w := range t.waiting {
		shards[c.shard] = cmp.Or(shards[c.shard], w.err)
	}
	var errs []error
	for _, shard := range slices.Sorted(maps.Keys(shards)) {
		errs = append(errs, fmt.Errorf("shard %s waits for the function %s: %w", shard, t.function.text, shards[shard]))
	}
	return errors.Join(errs...)
}
