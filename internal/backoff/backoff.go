// Package backoff determines how long to wait before a failed call is retried.
//
// The longest wait doubles with each failure in a row, up to a bound, and each wait is a random part of it ("full
// jitter" in the AWS Architecture Blog, "Exponential Backoff And Jitter", and what the AWS SDK does): callers that
// failed together do not retry together.
//
// The libraries do not fit: they vary a wait by a fraction of itself, exceed their bound by it, and own the loop, whereas
// most loops here reset their count of failures after progress and report progress on the way.
package backoff

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"time"
)

// Policy bounds the waits of one kind of call.
type Policy struct {
	// First is the longest wait after one failure. It doubles with each further one.
	First time.Duration
	// Longest is the longest wait of all.
	Longest time.Duration
}

// Bound returns the longest wait after a number of failures in a row, 1 or more.
func (p Policy) Bound(failures int) time.Duration {
	shift := max(failures-1, 0)
	if shift >= bits.LeadingZeros64(uint64(p.First))-1 {
		return p.Longest // p.First<<shift would overflow
	}
	return min(p.First<<shift, p.Longest)
}

// Wait returns a random duration of at most Bound.
func (p Policy) Wait(failures int) time.Duration { return rand.N(p.Bound(failures) + 1) }

// Pause waits after a number of failures in a row. It returns the cause of ctx's end if that comes first.
func (p Policy) Pause(ctx context.Context, failures int) error { return Sleep(ctx, p.Wait(failures)) }

// Retry calls f until it succeeds, fails with an error for which again returns false, or ctx ends during a wait. It returns
// f's last error, with the cause of ctx's end if that prevented another call.
func (p Policy) Retry(ctx context.Context, again func(error) bool, f func() error) error {
	for failures := 1; ; failures++ {
		err := f()
		if err == nil || !again(err) {
			return err
		}
		if ended := p.Pause(ctx, failures); ended != nil {
			return fmt.Errorf("%w; before that: %w", ended, err)
		}
	}
}

// Sleep waits for d. It returns the cause of ctx's end if that comes first.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
