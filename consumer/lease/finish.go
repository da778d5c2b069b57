package lease

import (
	"context"
	"errors"
	"slices"
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
//
// Then the data is complete up to the stop, which the leader states before it tells the others: nobody would do so later. For that
// the rewinds are read before the rows. If the leader ends before a follower has learned it, the follower takes the lead and looks
// for itself.
type finish struct {
	since   time.Time // from when on all rows have passed; zero if they have not
	rewinds int64     // as the scan showed it that began then
	done    time.Time // when the run was found to be at its end; zero before
	lost    int       // shards that left the stream before they had passed
}

// near reports whether all rows have passed.
func (f *finish) near() bool { return !f.since.IsZero() }

// waiting counts the steps that a sooner scan would bring.
func (f *finish) waiting() int { return count(f.near()) }

// checkFinish looks at the rows of a scan, and reports whether the run is at its end.
func (k *Keeper) checkFinish(life context.Context, snap checkpoint.Snapshot, g gate) bool {
	f := &k.finish
	if k.cfg.Stop.IsZero() || !f.done.IsZero() {
		return !f.done.IsZero()
	}
	passed, lost := k.allPassed(g)
	if !passed {
		f.since = time.Time{}
		return false
	}
	if !f.near() {
		f.since, f.rewinds = time.Now(), snap.Complete.Rewinds
		signal(k.listNow)
		return false
	}
	if !k.listingBegan().After(f.since) {
		signal(k.listNow)
		return false
	}
	if !k.allPublished(life) || lost == 0 && !k.stateFinish(life, g) {
		return false
	}
	f.done, f.lost = time.Now(), lost
	k.mu.Lock()
	k.fleet.Finished, k.fleet.Lost = k.cfg.Stop, lost
	k.mu.Unlock()
	signal(k.beatNow)
	return true
}

// isLast reports whether no follower has to be told that the run is at its end. One that does not end by then finds out for itself.
func (k *Keeper) isLast(snap checkpoint.Snapshot, live []string) bool {
	others := slices.ContainsFunc(snap.Workers, func(w checkpoint.Worker) bool {
		return w.Follows && w.ID != k.cfg.Worker && slices.Contains(live, w.ID)
	})
	return !others || time.Since(k.finish.done) > k.cfg.Failover
}

// endRun ends this worker, because everything before the stop is delivered.
func (k *Keeper) endRun(lost int) {
	k.mu.Lock()
	k.finished, k.lost = true, lost
	k.mu.Unlock()
	k.stop(errFinished)
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

// stateFinish states that all is complete up to the stop, and reports whether that was done.
func (k *Keeper) stateFinish(life context.Context, g gate) bool {
	at, shards := k.serviceTime(), 0
	if at.IsZero() {
		return true // such a service has no statements
	}
	for _, row := range g.rows {
		shards += count(row.Checkpoint != checkpoint.ShardEnd)
	}
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	c := checkpoint.Complete{UpTo: k.cfg.Stop, At: at, Shards: shards, Rewinds: k.finish.rewinds}
	_, err := k.store.RaiseComplete(ctx, c)
	if errors.Is(err, checkpoint.ErrConflict) {
		k.finish.since = time.Time{} // what was moved is to be read again
	}
	if err != nil {
		k.log.Warn("statement of completeness could not be written; retrying after the next scan", logkey.UpTo, c.UpTo, logkey.Error, err.Error())
	}
	return err == nil
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
