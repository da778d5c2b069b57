package lease

import (
	"context"
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// errFinished ends a worker with Config.Stop: everything that arrived before it is delivered.
var errFinished = errors.New("everything before the stop position is delivered")

// finish is what is known of the end of a run with Config.Stop. All fields are owned by the goroutine that scans.
//
// That a shard has passed the stop is a fact in its row, which never becomes wrong, whoever wrote it. So a run is at its
// end when all rows say so, no shard is without a row, and no batch of theirs is unpublished. Each of the three is read
// after the one before: an ended shard shows its children only to a listing that begins later, and no shard that has
// passed the stop commits another batch.
type finish struct {
	since time.Time // from when on all rows have passed; zero if they have not
	done  bool
}

// waiting counts the steps that a sooner scan would bring.
func (f *finish) waiting() int { return count(!f.since.IsZero() && !f.done) }

// checkFinish looks at the rows of a scan, and reports whether the run is at its end.
func (k *Keeper) checkFinish(life context.Context, g gate) bool {
	f := &k.finish
	if k.cfg.Stop.IsZero() || f.done {
		return f.done
	}
	passed, lost := k.allPassed(g)
	if !passed {
		f.since = time.Time{}
		return false
	}
	if f.since.IsZero() {
		f.since = time.Now()
	}
	if !k.listingBegan().After(f.since) {
		signal(k.listNow)
		return false
	}
	f.done = k.allPublished(life)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.finished, k.lost = f.done, lost
	return f.done
}

// allPassed reports whether all shards have passed the stop, those of the last listing included, and how many were lost.
func (k *Keeper) allPassed(g gate) (passed bool, lost int) {
	for _, row := range g.rows {
		switch {
		case g.passed(row):
		case g.trimmed(row):
			lost++
		default:
			return false, 0
		}
	}
	shards, _ := k.shards.Listed()
	for _, s := range shards {
		_, known := g.rows[s.ID]
		if !known && !g.stopped(checkpoint.Lease{Shard: s.ID, Parents: s.Parents}) {
			return false, 0
		}
	}
	return len(shards) > 0, lost
}

// allPublished reports whether no batch is left in the outbox that is committed but not published.
func (k *Keeper) allPublished(life context.Context) bool {
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	batches, unknown, err := k.store.Outbox(ctx)
	if err != nil {
		k.log.Warn("outbox could not be read; retrying after the next scan", logkey.Error, err.Error())
		return false
	}
	left := len(unknown)
	for _, b := range batches {
		left += count(b.PublishedAt.IsZero())
	}
	if left > 0 {
		k.log.Info("all shards have passed the stop position, batches are still to be published", logkey.Count, left)
	}
	return left == 0
}

// listingBegan returns when the last successful listing began.
func (k *Keeper) listingBegan() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.listedFrom
}

// Finished reports whether everything that arrived before Config.Stop is delivered, and how many shards left the stream
// before they were read that far. It is final once Run has returned.
func (k *Keeper) Finished() (finished bool, lost int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.finished, k.lost
}
