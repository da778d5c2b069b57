package lease

import (
	"context"
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
)

// Who leads is decided by one item, which changes only with a condition. Two workers may both act as leaders for a while: one that
// was frozen finds out with its next scan, and followers obey only orders of the highest term that they know.

// term is what a worker remembers for as long as it leads. It is owned by the goroutine that scans.
type term struct {
	number   int64                        // of the latest orders
	given    map[string]checkpoint.Orders // by worker, as far as they are known to be stored
	changed  time.Time                    // when orders were last given
	exact    bool                         // what is given shows the rows as they were found after it was carried out
	assigner *assigner
}

func newTerm() term {
	return term{given: make(map[string]checkpoint.Orders), assigner: newAssigner()}
}

// contend tries to take the lead, unless another worker has it by then. It returns how long to wait before the next turn.
func (k *Keeper) contend(ctx, life context.Context, may bool) time.Duration {
	// Others noticed at the same time. Whoever comes first spares them the write.
	first := backoff.Policy{First: k.cfg.Failover / 20, Longest: k.cfg.Failover / 20}.Wait(1)
	if may && !pause(ctx, first, first, nil) {
		return 0
	}
	lead, err := k.readLead(ctx)
	if err != nil {
		k.log.Warn("who leads the fleet could not be read", logkey.Error, err.Error())
		return k.cfg.quick()
	}
	if lead.Term < k.highest {
		// The table was replaced: by one from a backup, or by an empty one, in which nobody may begin anew.
		if _, err := k.read(ctx); err != nil {
			k.log.Warn("lease table could not be read", logkey.Error, err.Error())
			return jitter(k.cfg.ScanEvery)
		}
	}
	former := k.lead
	k.adopt(lead)
	switch {
	case lead != former && lead.Worker != "" && lead.Worker != k.cfg.Worker:
		return 0
	case !may || !k.recentlyBeaten():
		return k.cfg.quick()
	}
	if lead.Worker != k.cfg.Worker { // otherwise it is ours, and the answer was lost
		lead, err = k.takeLead(ctx, lead)
	}
	switch {
	case errors.Is(err, checkpoint.ErrConflict):
		return 0
	case err != nil:
		k.log.Warn("the lead could not be taken", logkey.Error, err.Error())
		return k.cfg.quick()
	}
	k.beginTerm(lead)
	return 0
}

func (k *Keeper) readLead(ctx context.Context) (checkpoint.Lead, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.ScanEvery)
	defer cancel()
	return k.store.Lead(ctx)
}

func (k *Keeper) takeLead(ctx context.Context, was checkpoint.Lead) (checkpoint.Lead, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.ScanEvery)
	defer cancel()
	return k.store.TakeLead(ctx, was, k.cfg.Worker)
}

// adopt notes who leads.
func (k *Keeper) adopt(lead checkpoint.Lead) {
	k.highest = lead.Term
	if lead == k.lead {
		return
	}
	k.lead = lead
	k.pulse = newWatch(k.cfg.Failover, k.cfg.poll())
	if lead.Worker != "" && lead.Worker != k.cfg.Worker {
		k.log.Info("following another worker", "leader", lead.Worker, "term", lead.Term)
	}
}

// beginTerm makes this worker the leader. Its watch goes on from what it knows of the former leader's heartbeat, whose leases are
// free Failover after its last one.
func (k *Keeper) beginTerm(lead checkpoint.Lead) {
	k.log.Info("leading the fleet", "term", lead.Term)
	k.watch = newWatch(k.cfg.Failover, k.cfg.ScanEvery)
	k.watch.seen = k.pulse.seen
	k.adopt(lead)
	k.term, k.finish, k.statement = newTerm(), finish{}, statement{}
	k.scans, k.unmet = 0, 0
	k.metrics.Leader.Set(1)
	k.mu.Lock()
	fleet := k.fleet // as the former leader left it, until the first scan
	fleet.Term, fleet.Number, fleet.Finished = lead.Term, 0, time.Time{}
	k.fleet, k.leading, k.vouched = fleet, true, time.Now()
	k.mu.Unlock()
	signal(k.beatNow)
	signal(k.listNow)
}

// endTerm makes this worker a follower of whoever leads now.
func (k *Keeper) endTerm(lead checkpoint.Lead) {
	k.log.Info("no longer leading the fleet")
	k.mu.Lock()
	k.leading = false
	k.mu.Unlock()
	k.term = newTerm()
	k.metrics.Leader.Set(0)
	k.adopt(lead)
}

// resign ends this worker's term, if it leads, and wakes the others: its next heartbeat shows that it leads no more. The caller waits
// for the returned channel.
func (k *Keeper) resign(life context.Context) <-chan struct{} {
	done := make(chan struct{})
	if !k.isLeading() {
		close(done)
		return done
	}
	lead := k.lead
	k.endTerm(checkpoint.Lead{Term: lead.Term})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
		defer cancel()
		if err := k.store.Resign(ctx, lead); err != nil && !errors.Is(err, checkpoint.ErrConflict) {
			k.log.Warn("the lead could not be resigned: others notice in a while", logkey.Error, err.Error())
		}
		signal(k.beatNow)
	}()
	return done
}

// stillLeads reports whether this worker leads, according to a consistent scan that began at a time. Otherwise its term ends.
func (k *Keeper) stillLeads(shown checkpoint.Lead, began time.Time) bool {
	if shown == k.lead {
		k.mu.Lock()
		k.vouched = time.Now()
		k.scanTook = k.vouched.Sub(began)
		k.mu.Unlock()
		return true
	}
	k.endTerm(shown)
	return false
}

// verifyLead reads who leads, if the scans have failed for so long that the others no longer count this worker as the leader.
func (k *Keeper) verifyLead(ctx context.Context) {
	if k.vouches() {
		return
	}
	if lead, err := k.readLead(ctx); err == nil && lead != k.lead && lead.Term >= k.lead.Term {
		k.endTerm(lead)
	}
}

func (k *Keeper) isLeading() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.leading
}

// vouches reports whether this worker leads, and knows the table. Scans that always take long are no reason to have another worker
// lead: its scans would take as long.
func (k *Keeper) vouches() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.leading && time.Since(k.vouched) <= k.cfg.Failover+k.scanTook
}

// says returns what the heartbeat says of the fleet; nil unless this worker leads.
func (k *Keeper) says() *checkpoint.Fleet {
	if !k.vouches() {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	fleet := k.fleet
	return &fleet
}
