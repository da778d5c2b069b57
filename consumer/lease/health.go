package lease

import (
	"errors"
	"fmt"
	"time"
)

// act is something that a worker does again and again, and whose standing still is a fault.
type act int

const (
	beaten act = iota
	scanned
	listed
	described
	acts
)

// name says what an act is, in words and as the value of a label.
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

// bound is how long an act may have been done last.
func (k *Keeper) bound(a act) time.Duration {
	switch a {
	case listed:
		return 3 * k.cfg.ListEvery // one that failed, and one that was given up, may lie between
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
// listed and described not much longer ago than it should be. Otherwise others may be taking its leases, or shards are
// not found; what it holds stays held, since commits are safe without.
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
		if since > k.bound(a) || last.IsZero() {
			words, _ := a.name()
			faults = append(faults, fmt.Errorf("no %s for %v", words, since.Round(time.Second)))
		}
	}
	return errors.Join(faults...)
}
