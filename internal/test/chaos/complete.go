package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// statements are the daemons' statements of completeness, each with the time when it was first seen.
type statements struct {
	// read reads the present one, past the proxies. It fails as long as there is no table.
	read func(context.Context) (checkpoint.Complete, error)

	mu   sync.Mutex
	seen []seenStatement
}

type seenStatement struct {
	upTo, at time.Time
}

// watch reads the statement again and again until ctx ends.
func (s *statements) watch(ctx context.Context) {
	for {
		c, err := s.read(ctx)
		if at := time.Now(); err == nil && !c.UpTo.IsZero() {
			s.mu.Lock()
			if n := len(s.seen); n == 0 || s.seen[n-1].upTo != c.UpTo {
				s.seen = append(s.seen, seenStatement{c.UpTo, at})
			}
			s.mu.Unlock()
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return
		}
	}
}

func (s *statements) all() []seenStatement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// passes waits until a statement is later than t.
func (s *statements) passes(ctx context.Context, t time.Time, within time.Duration) (took time.Duration, err error) {
	for began := time.Now(); ; {
		seen := s.all()
		if n := len(seen); n > 0 && seen[n-1].upTo.After(t) {
			return time.Since(began), nil
		}
		if took = time.Since(began); took > within || !sleep(ctx, 200*time.Millisecond) {
			return took, fmt.Errorf("%v after the storm the last of %d statements does not say that all is complete up to %v: %+v",
				took, len(seen), t, seen[max(0, len(seen)-1):])
		}
	}
}

// appearance is when the last file of a batch and its manifest became visible, and when its first record had arrived.
type appearance struct {
	batch          string
	arrival, at    time.Time
	lastOfArrivals time.Time
}

// appearances looks at all batches in the bucket.
func (b buckets) appearances(ctx context.Context) ([]appearance, error) {
	modified := map[string]time.Time{}
	for _, prefix := range []string{dataPrefix, errorPrefix, manifestPrefix} {
		if err := b.modified(ctx, prefix, modified); err != nil {
			return nil, err
		}
	}
	manifests := map[string]manifest{}
	if err := b.manifests(ctx, manifests); err != nil {
		return nil, err
	}
	var all []appearance
	for object, m := range manifests {
		a := appearance{batch: m.Batch, at: modified[object]}
		for _, f := range m.Files {
			if at := modified[f.Bucket+"/"+f.Key]; at.After(a.at) {
				a.at = at
			}
		}
		for _, r := range m.Ranges {
			if !r.FirstArrival.IsZero() && (a.arrival.IsZero() || r.FirstArrival.Before(a.arrival)) {
				a.arrival = r.FirstArrival
			}
			if r.LastArrival.After(a.lastOfArrivals) {
				a.lastOfArrivals = r.LastArrival
			}
		}
		if !a.arrival.IsZero() {
			all = append(all, a)
		}
	}
	return all, nil
}

// early returns the batches that became visible after it had been stated that everything was complete up to a time by which one
// of their records had arrived.
func early(batches []appearance, seen []seenStatement) (faults []string) {
	for _, b := range batches {
		for _, s := range seen {
			if b.arrival.Before(s.upTo) && b.at.After(s.at) {
				faults = append(faults, fmt.Sprintf("batch %s with a record that arrived at %v appeared at %v; at %v all was said to be complete up to %v",
					b.batch, b.arrival, b.at, s.at, s.upTo))
				break
			}
		}
	}
	return faults
}

// hasty makes statements of completeness say that everything is complete up to now.
func hasty(c call, body []byte) []byte {
	if c.operation != State {
		return body
	}
	return edit(body, func(in map[string]any) {
		now := json.RawMessage(fmt.Sprintf(`{"S":%q}`, time.Now().UTC().Format("2006-01-02T15:04:05.000Z")))
		values, _ := in["ExpressionAttributeValues"].(map[string]any)
		for _, name := range []string{":new_upTo", ":below_upTo"} {
			values[name] = now
		}
	})
}
