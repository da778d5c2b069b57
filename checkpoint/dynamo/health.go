package dynamo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// healthAfter is how long an operation fails, or a call goes without an answer, until Health says so: a single attempt that
// was given up is nothing to tell of. For as long, a failure is remembered of an operation that is not called again.
const healthAfter = 2 * requestTimeout

// health remembers how the calls of each operation go.
type health struct {
	mu     sync.Mutex
	states map[string]*operationState
}

type operationState struct {
	underway map[*time.Time]struct{} // when the calls began that have no result yet
	failing  time.Time               // the first failure since the last answer; zero if there was none
	failed   time.Time               // the last one
	err      error
}

// begin notes a call; its result is to be told to the function that it returns.
func (h *health) begin(operation string) (end func(error)) {
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

// fault is what is wrong with an operation, or nil.
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
		return fmt.Errorf("fails for %v: %w", took.Round(time.Second), o.err)
	}
}

// Health returns nil, or which operations on the table have been failing or without an answer for some seconds. A
// condition that does not hold is an answer.
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
