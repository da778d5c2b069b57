package backoff_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/internal/backoff"
)

var policy = backoff.Policy{First: 100 * time.Millisecond, Longest: time.Second}

func TestPolicy_DoublesUpToItsBound(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 4: 800 * time.Millisecond, 5: time.Second, 36: time.Second, 64: time.Second, math.MaxInt: time.Second,
	} {
		if got := policy.Bound(failures); got != want {
			t.Errorf("after %d failures the bound is %v, want %v", failures, got, want)
		}
	}
	year := backoff.Policy{First: time.Nanosecond, Longest: 8760 * time.Hour}
	for failures, last := 1, time.Duration(0); failures < 200; failures++ {
		now := year.Bound(failures)
		if now < last || now > year.Longest {
			t.Fatalf("after %d failures the bound is %v, and was %v", failures, now, last)
		}
		last = now
	}
}

// The waits lie anywhere up to the bound: of a thousand, some in each tenth of it.
func TestPolicy_WaitsAnyTimeUpToTheBound(t *testing.T) {
	for _, failures := range []int{1, 3, 100} {
		var tenths [10]int
		bound := policy.Bound(failures)
		for range 1000 {
			wait := policy.Wait(failures)
			if wait < 0 || wait > bound {
				t.Fatalf("after %d failures the wait is %v, want up to %v", failures, wait, bound)
			}
			tenths[min(9, 10*wait/bound)]++
		}
		for i, n := range tenths {
			if n == 0 {
				t.Errorf("after %d failures no wait lies in tenth %d of %v", failures, i, bound)
			}
		}
	}
}

func TestRetry_EndsWithSuccessAFinalErrorOrItsContext(t *testing.T) {
	passing, final, stopped := errors.New("passing"), errors.New("final"), errors.New("stopped")
	again := func(err error) bool { return err == passing }
	for _, test := range []struct {
		name  string
		after error // the fourth answer
		want  []error
	}{
		{"success", nil, nil},
		{"a final error", final, []error{final}},
		{"never", passing, []error{stopped, passing}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Hour, func() { stop(stopped) })
				calls, began := 0, time.Now()
				err := policy.Retry(ctx, again, func() error {
					if calls++; calls < 4 {
						return passing
					}
					return test.after
				})
				took := time.Since(began)
				if len(test.want) == 0 && err != nil || len(test.want) == 1 && err != test.want[0] {
					t.Errorf("error %v", err)
				}
				for _, want := range test.want {
					if !errors.Is(err, want) {
						t.Errorf("error %v, want that of %v", err, want)
					}
				}
				if test.after != passing {
					if longest := policy.Bound(1) + policy.Bound(2) + policy.Bound(3); calls != 4 || took > longest {
						t.Errorf("%d calls in %v, want 4 within %v", calls, took, longest)
					}
				} else if calls < 3600 || took != time.Hour {
					t.Errorf("%d calls in %v, want one each second at least, and an end after an hour", calls, took)
				}
			})
		})
	}
}

func TestSleep_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { stop(stopped) })
		began := time.Now()
		for _, step := range []struct {
			sleep, at time.Duration
			err       error
		}{
			{700 * time.Millisecond, 700 * time.Millisecond, nil}, {-1, 700 * time.Millisecond, nil},
			{700 * time.Millisecond, time.Second, stopped}, {700 * time.Millisecond, time.Second, stopped}, {0, time.Second, stopped},
		} {
			if err := backoff.Sleep(ctx, step.sleep); err != step.err || time.Since(began) != step.at {
				t.Errorf("sleep of %v: %v after %v, want %v after %v", step.sleep, err, time.Since(began), step.err, step.at)
			}
		}
	})
}
