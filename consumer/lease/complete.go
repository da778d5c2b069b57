package lease

import (
	"context"
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/logkey"
)

// Margin is how much earlier than its evidence a statement of completeness is. Kinesis promises neither that arrival times
// are accurate nor that they only rise within a shard (Amazon Kinesis API Reference, Record,
// ApproximateArrivalTimestamp); it takes up to a second until a record can be read ("Kinesis Data Streams terminology",
// propagation delay), and a while until a listing shows a new shard.
const Margin = 10 * time.Second

// CaughtUp notes that every record that the service had accepted by asOf, on its own clock, is at p or before it. Once the
// checkpoint is at p, they are all committed.
func (h *Hold) CaughtUp(p checkpoint.Position, asOf time.Time) { h.keeper.caughtUp(h.holding, p, asOf) }

func (k *Keeper) caughtUp(h *holding, p checkpoint.Position, asOf time.Time) {
	if asOf.IsZero() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h.readTo, h.asOf = p, asOf
}

// claim returns an arrival time before which every record of leases that this worker holds is committed, and the digest of
// those leases: all that it holds, or, if nothing is known of one of them yet, those whose rows show something. Leases of
// ended shards do not count.
func (k *Keeper) claim() (complete time.Time, digest uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all, shown claims
	for _, h := range k.activeLocked() {
		if h.row.Checkpoint == checkpoint.ShardEnd {
			continue
		}
		known := committedBefore(h.row)
		if !known.IsZero() {
			shown.add(h.row, known)
		}
		if h.readTo == h.row.Checkpoint && !h.asOf.IsZero() {
			known = latest(known, h.asOf.Add(-Margin))
		}
		all.add(h.row, known)
	}
	if all.complete.IsZero() {
		all = shown
	}
	return all.complete, checkpoint.LeaseDigest(all.rows)
}

// claims are leases and the earliest of the times that are known of them.
type claims struct {
	rows     []checkpoint.Lease
	complete time.Time
}

func (c *claims) add(row checkpoint.Lease, known time.Time) {
	if len(c.rows) == 0 || known.Before(c.complete) {
		c.complete = known
	}
	c.rows = append(c.rows, row)
}

// committedBefore returns the arrival time before which every record of a shard is committed, as far as its row shows it:
// the last committed record has arrived at a known time, nothing earlier is wanted, or the shard has passed a stop
// position. The time is zero if the row shows nothing.
func committedBefore(row checkpoint.Lease) (known time.Time) {
	from := row.Arrival
	if t, ok := row.Checkpoint.Timestamp(); ok {
		from = t
	}
	if !from.IsZero() {
		known = from.Add(-Margin)
	}
	return latest(known, stoppedBefore(row))
}

// stoppedBefore returns the stop position that a shard has passed; zero if it has passed none. Neither the shard nor its
// children have another record from before it.
func stoppedBefore(row checkpoint.Lease) time.Time {
	if row.Stop.After != row.Checkpoint {
		return time.Time{}
	}
	return row.Stop.Until
}

// committedUpTo returns the arrival time before which every record of the stream is committed, as far as a scan and a
// listing show it, and the number of unfinished shards. The time is zero if they show nothing.
//
// What they show stays true, so the scan need not be of one moment, and heartbeats need not be recent: each says by its
// digest which leases it is about. Shards that are not listed began after the listing did.
func committedUpTo(snap checkpoint.Snapshot, listing shardmap.Listing) (upTo time.Time, shards int) {
	if listing.AsOf.IsZero() {
		return time.Time{}, 0
	}
	upTo = listing.AsOf.Add(-Margin)
	said := heartbeatClaims(snap)
	rows := make(map[string]checkpoint.Lease, len(snap.Leases))
	for _, row := range snap.Leases {
		rows[row.Shard] = row
	}
	born := births{rows: rows, known: make(map[string]time.Time)}
	bound := func(known time.Time) {
		if known.Before(upTo) {
			upTo = known
		}
		shards++
	}
	for _, row := range snap.Leases {
		if row.Checkpoint == checkpoint.ShardEnd {
			continue // its children are shards of their own
		}
		bound(latest(latest(committedBefore(row), said[row.Shard]), born.after(row.Parents)))
	}
	for _, s := range listing.Shards {
		if _, there := rows[s.ID]; !there {
			bound(born.after(s.Parents)) // nobody reads it yet
		}
	}
	if upTo.IsZero() {
		return time.Time{}, 0
	}
	return upTo, shards
}

// births knows when shards began.
type births struct {
	rows  map[string]checkpoint.Lease
	known map[string]time.Time // by parent: merged shards share their ancestors
}

// after returns an arrival time before which a shard with these parents has no record at all: it began after their last
// records, so after those of them that are committed. The time is zero if their rows show nothing.
func (b births) after(parents []string) (t time.Time) {
	for _, parent := range parents {
		known, there := b.known[parent]
		if row, has := b.rows[parent]; !there && has {
			known = stoppedBefore(row)
			if !row.Arrival.IsZero() {
				known = latest(known, row.Arrival.Add(-Margin))
			}
			if known.IsZero() {
				known = b.after(row.Parents)
			}
			b.known[parent] = known
		}
		t = latest(t, known)
	}
	return t
}

// heartbeatClaims returns what heartbeats say of the leases that the scan shows as their workers' own, by shard.
func heartbeatClaims(snap checkpoint.Snapshot) map[string]time.Time {
	all, shown := make(map[string][]checkpoint.Lease), make(map[string][]checkpoint.Lease)
	for _, row := range snap.Leases {
		if row.Owner == "" || row.Checkpoint == checkpoint.ShardEnd {
			continue
		}
		all[row.Owner] = append(all[row.Owner], row)
		if !committedBefore(row).IsZero() {
			shown[row.Owner] = append(shown[row.Owner], row)
		}
	}
	said := make(map[string]time.Time)
	for _, w := range snap.Workers {
		for _, rows := range [][]checkpoint.Lease{all[w.ID], shown[w.ID]} {
			if len(rows) == 0 || w.Leases != checkpoint.LeaseDigest(rows) {
				continue
			}
			for _, row := range rows {
				said[row.Shard] = w.Complete
			}
			break
		}
	}
	return said
}

// statement turns what consistent scans show to be committed into statements of what is published. A batch that was
// committed when a scan ended is in the outbox of every later scan until it is published. So what the scan showed is
// published once a later scan shows no batch that the scan right after it had shown, or an earlier one.
type statement struct {
	scans   int            // consistent scans so far
	rewinds int64          // as the last of them showed it
	first   map[string]int // the scan that was the first to show a batch which is still unpublished
	waiting []candidate    // in the order of their scans
}

// candidate is what will be stated once it is published.
type candidate struct {
	scan     int
	complete checkpoint.Complete
}

// observe adds a consistent scan, which began after the one before had ended, and what it shows to be committed. It returns
// the latest statement that can now be made, if there is one.
func (s *statement) observe(snap checkpoint.Snapshot, committed checkpoint.Complete) (published checkpoint.Complete, ok bool) {
	s.scans++
	s.see(snap)
	if snap.Complete.Rewinds != s.rewinds {
		s.waiting = nil
	}
	oldest := s.scans + 1
	for _, scan := range s.first {
		oldest = min(oldest, scan)
	}
	for len(s.waiting) > 0 && s.waiting[0].scan+1 < oldest {
		published, ok = s.waiting[0].complete, true
		s.waiting = s.waiting[1:]
	}
	// A rewind that came after this scan had read the position came after the previous scan, too. So the statement, which
	// names the rewinds that were known then, will be refused.
	if committed.Rewinds = s.rewinds; s.scans > 1 && !committed.UpTo.IsZero() {
		s.waiting = append(s.waiting, candidate{s.scans, committed})
	}
	s.rewinds = snap.Complete.Rewinds
	s.thin()
	return published, ok
}

// see notes which batches are unpublished. What a later release will do with a batch of a kind that this one does not know is
// unknown, so such a batch counts as unpublished.
func (s *statement) see(snap checkpoint.Snapshot) {
	before := s.first
	s.first = make(map[string]int, len(snap.Batches))
	note := func(id string) {
		s.first[id] = s.scans
		if scan, known := before[id]; known {
			s.first[id] = scan
		}
	}
	for _, b := range snap.Batches {
		note(b.ID)
	}
	for _, b := range snap.Unknown {
		note(b.ID)
	}
}

// thin drops the candidates that wait for the same batches as the one after them. What the latest waits for, the next scan
// shows.
func (s *statement) thin() {
	kept := s.waiting[:0]
	for i, one := range s.waiting {
		if i >= len(s.waiting)-2 || s.between(one.scan+1, s.waiting[i+1].scan+1) {
			kept = append(kept, one)
		}
	}
	s.waiting = kept
}

// between reports whether a batch was first shown after one scan, and no later than another.
func (s *statement) between(after, until int) bool {
	for _, scan := range s.first {
		if scan > after && scan <= until {
			return true
		}
	}
	return false
}

// conclude has a statement of completeness made after a consistent scan, if the application's present one is older by the time
// between two scans. The listing bounds each statement, so the next one gets a new listing.
func (k *Keeper) conclude(snap checkpoint.Snapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.listedFrom) >= k.cfg.Failover {
		signal(k.listNow)
	}
	upTo, shards := committedUpTo(snap, k.listing)
	c, ok := k.statement.observe(snap, checkpoint.Complete{UpTo: upTo, Shards: shards})
	if !ok || c.UpTo.Sub(snap.Complete.UpTo) < k.cfg.ScanEvery {
		return
	}
	c.At = k.serviceTimeLocked()
	k.stated = c
	signal(k.stateNow)
}

// serviceTime returns what the service's clock shows now; zero if that is not known.
func (k *Keeper) serviceTime() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.serviceTimeLocked()
}

func (k *Keeper) serviceTimeLocked() time.Time {
	if k.listing.AsOf.IsZero() {
		return time.Time{}
	}
	return k.listing.AsOf.Add(time.Since(k.listedFrom))
}

// stateUntil writes statements. They stay true, so it does not matter how long that takes.
func (k *Keeper) stateUntil(life context.Context) {
	for {
		select {
		case <-life.Done():
			return
		case <-k.stateNow:
			k.state(life)
		}
	}
}

// state writes the latest statement.
func (k *Keeper) state(life context.Context) {
	k.mu.Lock()
	c := k.stated
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(life, k.cfg.Failover)
	defer cancel()
	switch _, err := k.store.RaiseComplete(ctx, c); {
	case errors.Is(err, checkpoint.ErrConflict):
		k.log.Info("statement of completeness dropped: positions were moved", logkey.UpTo, c.UpTo)
	case life.Err() != nil: // the worker ends; a later statement covers this one
	case err != nil:
		k.log.Warn("statement of completeness could not be written", logkey.UpTo, c.UpTo, logkey.Error, err.Error())
	default:
		k.log.Debug("complete", logkey.UpTo, c.UpTo, logkey.Shards, c.Shards)
	}
}
