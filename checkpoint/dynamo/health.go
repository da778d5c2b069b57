package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// healthAfter is how long an operation must fail, or a call go unanswered, before Health reports it: a single attempt
// that timed out is not worth reporting. A failure is remembered for as long if its operation is not called again.
const healthAfter = 2 * requestTimeout

// health tracks how the calls of each operation go.
type health struct {
	mu     sync.Mutex
	states map[string]*operationState
}

type operationState struct {
	underway map[*time.Time]struct{} // start times of the calls without a result
	failing  time.Time               // the first failure since the last answer; zero if none
	failed   time.Time               // the last failure
	err      error
}

// begin notes a call. The caller passes its result to the function that begin returns.
func (h *health) begin(ctx context.Context, operation string) (end func(error)) {
	if checkpoint.IsAside(ctx) {
		return func(error) {}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.states == nil {
		h.states = make(map[string]*operationState)
	}
	o := h.states[operation]
	if o == nil {
		o = &operationState{underway: make(map[*time.Time]struct{})}
		h.states[operation] = o
	}
	began := time.Now()
	o.underway[&began] = struct{}{}
	return func(err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(o.underway, &began)
		if err == nil {
			o.failing, o.err = time.Time{}, nil
			return
		}
		if o.failing.IsZero() {
			o.failing = began
		}
		o.failed, o.err = time.Now(), err
	}
}

// fault returns what is wrong with an operation, or nil.
func (o *operationState) fault(now time.Time) error {
	since := o.failing
	if len(o.underway) == 0 && now.Sub(o.failed) > healthAfter {
		return nil
	}
	for began := range o.underway {
		if since.IsZero() || began.Before(since) {
			since = *began
		}
	}
	switch took := now.Sub(since); {
	case since.IsZero() || took < healthAfter:
		return nil
	case o.err == nil:
		return fmt.Errorf("no answer for %v", took.Round(time.Second))
	default:
		return fmt.Errorf("failing for %v: %w", took.Round(time.Second), o.err)
	}
}

// Health returns nil, or an error that names the operations on the table that have been failing or unanswered for some
// seconds. A condition that does not hold is an answer.
func (s *Store) Health() error {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	now := time.Now()
	var faults []error
	for operation, o := range s.health.states {
		if err := o.fault(now); err != nil {
			faults = append(faults, fmt.Errorf("table %s: %s: %w", *s.table, operation, err))
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}
