package lease

import (
	"maps"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/logkey"
)

// State is a shard's state in one word.
type State string

const (
	Held     State = "held"     // by this worker, with a reader
	Offered  State = "offered"  // held by this worker, without a reader yet
	Draining State = "draining" // held by this worker, being handed over to another
	Ending   State = "ending"   // no longer held, but its reader has not ended yet
	Owned    State = "owned"    // by another worker
	Free     State = "free"     // without an owner, and ready to be read
	Waiting  State = "waiting"  // waiting for its parents to finish
	Ended    State = "ended"    // finished, with everything committed
	Stopped  State = "stopped"  // read up to Config.Stop, with everything before it committed
	Trimmed  State = "trimmed"  // left the stream before everything was committed
)

// Snapshot is the state of the application, for people: all of it at the last scan of a leader, or what a follower knows. That is its
// own leases, the leader's heartbeat and the leader's summary.
type Snapshot struct {
	At          time.Time // time of the scan or, of a follower, of the look at the leader's heartbeat; zero if there was none
	Worker      string    // id of this worker
	Application checkpoint.Application
	Stream      shardmap.Stream
	Leases      []RowStatus    // ordered by shard
	Workers     []WorkerStatus // ordered by id
	Outbox      []BatchStatus
	Tombstones  int
	Leading     bool             // this worker leads
	Fleet       checkpoint.Fleet // what the leader says of all
}

// RowStatus is a row with this worker's view of it.
type RowStatus struct {
	checkpoint.Lease
	State State
	// Age is the age of the last committed record; 0 if there is none or the shard is finished. In a shard without
	// traffic it grows even though nothing is behind, unless this worker reads it.
	Age time.Duration
	// RetentionUsed is Age as a share of the stream's retention: at 1 records are lost.
	RetentionUsed float64
}

// WorkerStatus is a heartbeat as seen by this worker.
type WorkerStatus struct {
	checkpoint.Worker
	Still time.Duration // how long the heartbeat has not moved
	Dead  bool
	Held  int // leases in its name
}

// BatchStatus is a batch that is committed but not yet published.
type BatchStatus struct {
	ID, Worker string
	Created    time.Time
	Seen       time.Duration // for how long this worker has seen it
}

// Snapshot returns the state at the last scan. The caller must not change its slices.
func (k *Keeper) Snapshot() Snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.snapshot
	s.Worker, s.Application, s.Stream, s.Leading, s.Fleet = k.cfg.Worker, k.app, k.about, k.leading, k.fleet
	return s
}

// report publishes what a scan shows: to the status page, to metrics, to the followers, and to the log if someone should look.
func (k *Keeper) report(scan Scan, g gate) {
	now := time.Now()
	s := Snapshot{At: scan.At, Leases: k.leaseStatus(now, g, k.watch.dead), Tombstones: len(scan.Snapshot.Tombstones)}
	var free []string
	held := make(map[string]int)
	unfinished, trimmed, used := 0, 0, 0.0
	for _, l := range s.Leases {
		unfinished += count(l.State != Ended)
		if l.Owner != "" {
			held[l.Owner]++
		}
		switch l.State {
		case Free:
			free = append(free, l.Shard)
		case Trimmed:
			trimmed++
			k.tellTrimmed(l.Lease)
		case Held, Offered, Draining:
			used = max(used, l.RetentionUsed)
		}
	}
	k.chores.remember(now, scan.Snapshot, free)
	k.tellFree(now)
	s.Workers = k.workerStatus(scan, held)
	s.Outbox = k.outboxStatus(now, scan.Snapshot.Batches)

	fleet := checkpoint.Fleet{
		Leases: unfinished, Free: len(free), Trimmed: trimmed, Workers: len(scan.Live), Complete: scan.Snapshot.Complete,
	}
	k.show(s, fleet, used)
	k.mu.Lock()
	defer k.mu.Unlock()
	fleet.Term, fleet.Number, fleet.Finished, fleet.Lost = k.fleet.Term, k.fleet.Number, k.fleet.Finished, k.fleet.Lost
	k.fleet = fleet
}

// show sets the metrics and the status page's snapshot.
func (k *Keeper) show(s Snapshot, fleet checkpoint.Fleet, used float64) {
	k.metrics.LeasesTotal.Set(float64(fleet.Leases))
	k.metrics.LeasesFree.Set(float64(fleet.Free))
	k.metrics.ShardsTrimmed.Set(float64(fleet.Trimmed))
	k.metrics.RetentionUsed.Set(used)
	k.metrics.Workers.Set(float64(fleet.Workers))
	k.metrics.Complete.Set(unixSeconds(fleet.Complete.UpTo))

	k.mu.Lock()
	defer k.mu.Unlock()
	k.metrics.Retention.Set(k.about.Retention.Seconds())
	k.snapshot, k.complete = s, fleet.Complete
}

// reportFollower publishes what a follower knows: its own leases, which it returns, and what the leader says of all.
func (k *Keeper) reportFollower(at time.Time, leader checkpoint.Worker, fleet checkpoint.Fleet) (rows []checkpoint.Lease) {
	k.mu.Lock()
	k.fleet = fleet
	for _, h := range k.holds {
		rows = append(rows, h.row)
	}
	k.mu.Unlock()
	s := Snapshot{
		At: at, Leases: k.Rows(rows, func(string) bool { return false }),
		Workers: []WorkerStatus{{Worker: leader, Still: k.pulse.still(leader.ID)}},
	}
	used := 0.0
	for _, l := range s.Leases {
		if l.State != Ending {
			used = max(used, l.RetentionUsed)
		}
	}
	k.show(s, fleet, used)
	return rows
}

// Rows returns rows of the table as this worker sees them, whoever has read them. Dead reports which of their owners are dead.
func (k *Keeper) Rows(rows []checkpoint.Lease, dead func(worker string) bool) []RowStatus {
	return k.leaseStatus(time.Now(), newGate(rows, k.shards, k.cfg.Stop), dead)
}

// unixSeconds is a time as a metric shows it; 0 for none.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func (k *Keeper) leaseStatus(now time.Time, g gate, dead func(worker string) bool) []RowStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]RowStatus, 0, len(g.rows))
	for _, shard := range slices.Sorted(maps.Keys(g.rows)) {
		h := k.holds[shard]
		l := RowStatus{Lease: g.rows[shard]}
		if h != nil {
			l.Lease = newer(l.Lease, h.row)
		}
		l.State = k.stateOf(l.Lease, h, g, dead)
		l.Age = age(now, l.Lease, h)
		if k.about.Retention > 0 {
			l.RetentionUsed = l.Age.Seconds() / k.about.Retention.Seconds()
		}
		k.warnOfRetention(h, l)
		all = append(all, l)
	}
	return all
}

// newer returns the more recent row: the scan may have been read before an acquisition or a commit.
func newer(scanned, held checkpoint.Lease) checkpoint.Lease {
	if scanned.Counter > held.Counter {
		return scanned
	}
	held.Parents = scanned.Parents
	return held
}

func (k *Keeper) stateOf(row checkpoint.Lease, h *holding, g gate, dead func(worker string) bool) State {
	switch {
	case h != nil && h.cause != nil:
		return Ending
	case h != nil && h.drained:
		return Draining
	case h != nil && h.taken:
		return Held
	case h != nil:
		return Offered
	case row.Checkpoint == checkpoint.ShardEnd:
		return Ended
	case g.stopped(row):
		return Stopped
	case g.trimmed(row):
		return Trimmed
	case row.Owner != "" && row.Owner != k.cfg.Worker && !dead(row.Owner):
		return Owned
	case !g.open(row):
		return Waiting
	}
	return Free
}

// age compares the service's clock, which stamps arrivals, with the local one: good enough for a warning.
func age(now time.Time, row checkpoint.Lease, h *holding) time.Duration {
	from := row.Arrival
	if t, ok := row.Checkpoint.Timestamp(); ok {
		from = t
	}
	if from.IsZero() || row.Checkpoint == checkpoint.ShardEnd {
		return 0
	}
	if h != nil {
		from = latest(from, h.tip)
	}
	return max(0, now.Sub(from))
}

func (k *Keeper) warnOfRetention(h *holding, l RowStatus) {
	if h == nil || l.RetentionUsed < 0.5 || h.outdated {
		return
	}
	h.outdated = true
	k.log.Warn("shard is far behind: records will be lost when they reach the stream's retention",
		logkey.Shard, l.Shard, "age", l.Age.String(), "retention", k.about.Retention.String())
}

// tellTrimmed logs a lost shard once.
func (k *Keeper) tellTrimmed(row checkpoint.Lease) {
	if k.chores.trimmed[row.Shard] {
		return
	}
	k.chores.trimmed[row.Shard] = true
	k.log.Error("shard left the stream before its end was committed: the records after its checkpoint are lost",
		logkey.Shard, row.Shard, logkey.Position, string(row.Checkpoint))
}

// tellOrphans logs once that a shard begins although a parent of it was never finished.
func (k *Keeper) tellOrphans(orders map[string][]checkpoint.Order, g gate) {
	for _, of := range orders {
		for _, o := range of {
			for _, parent := range g.lostParents(g.rows[o.Shard]) {
				if !k.chores.orphans[o.Shard] {
					k.log.Error("shard begins although its parent was never finished: the parent has left the stream",
						logkey.Shard, o.Shard, "parent", parent)
				}
				k.chores.orphans[o.Shard] = true
			}
		}
	}
}

// tellFree warns about leases that have had no owner for long, whatever the reason.
func (k *Keeper) tellFree(now time.Time) {
	var shards []string
	for shard, first := range k.chores.free {
		if now.Sub(first) > 3*k.cfg.Failover {
			shards = append(shards, shard)
		}
	}
	if len(shards) == 0 || now.Sub(k.chores.told) < time.Minute {
		return
	}
	k.chores.told = now
	k.log.Error("shards are not being read", logkey.Shards, len(shards), logkey.Shard, slices.Min(shards))
}

func (k *Keeper) workerStatus(scan Scan, held map[string]int) []WorkerStatus {
	all := make([]WorkerStatus, 0, len(scan.Snapshot.Workers))
	for _, w := range scan.Snapshot.Workers {
		all = append(all, WorkerStatus{Worker: w, Still: k.watch.still(w.ID), Dead: scan.Dead[w.ID], Held: held[w.ID]})
	}
	slices.SortFunc(all, func(a, b WorkerStatus) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (k *Keeper) outboxStatus(now time.Time, batches []checkpoint.Batch) []BatchStatus {
	all := make([]BatchStatus, 0, len(batches))
	for _, b := range batches {
		all = append(all, BatchStatus{ID: b.ID, Worker: b.Worker, Created: b.Created, Seen: now.Sub(k.chores.batches[b.ID])})
	}
	slices.SortFunc(all, func(a, b BatchStatus) int { return a.Created.Compare(b.Created) })
	return all
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
