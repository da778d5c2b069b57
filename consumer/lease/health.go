package lease

import (
	"errors"
	"fmt"
	"time"
)

// act is something that a worker does repeatedly, and that is a fault if it stops.
type act int

const (
	beaten act = iota
	scanned
	listed
	described
	acts
)

// name returns an act's description and its label value.
func (a act) name() (words, label string) {
	switch a {
	case beaten:
		return "heartbeat", "heartbeat"
	case scanned:
		return "reading of the lease table", "scan"
	case listed:
		return "listing of the stream's shards", "listing"
	default:
		return "description of the stream", "description"
	}
}

// boundLocked is the maximum time since an act last succeeded.
func (k *Keeper) boundLocked(a act) time.Duration {
	switch a {
	case listed:
		return 3 * k.listEvery(k.leading) // with room for one that failed and one that timed out
	case described:
		return 3 * describeEvery
	}
	return k.cfg.Failover
}

// done notes that an act has succeeded.
func (k *Keeper) done(a act, at time.Time) {
	_, label := a.name()
	k.metrics.LastDone.WithLabelValues(label).Set(float64(at.UnixMilli()) / 1000)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last[a] = at
}

// Health returns nil if the worker's heartbeat was written and the table read within the last Failover, and the stream
// was listed and described on time. Otherwise other workers may be taking its leases, or shards are not found; it keeps
// what it holds, because commits are safe regardless.
func (k *Keeper) Health() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.started.IsZero() {
		return errors.New("the worker has not started")
	}
	var faults []error
	for a := range acts {
		last := k.last[a]
		since := max(0, time.Since(latest(last, k.started)))
		if since > k.boundLocked(a) || last.IsZero() {
			words, _ := a.name()
			if a == scanned && !k.leading {
				words = "reading of a leader's heartbeat"
			}
			faults = append(faults, fmt.Errorf("no %s for %v", words, since.Round(time.Second)))
		}
	}
	return errors.Join(faults...)
}
