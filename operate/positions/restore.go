package positions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// Restorer sets the positions of a table that is new, or was restored from a backup, to where the manifests in the bucket
// show that the deliveries end. No worker may run.
type Restorer struct {
	// Store is the table; nil while there is none, which is enough for Plan.
	Store  *dynamo.Store
	Stream lease.Stream
	// Application is bound to the stream if the table is new, and Initial is where its shards begin of which nothing is known.
	Application string
	Initial     checkpoint.Position
	// Report is an audit of the manifests that reaches back as far as the stream does.
	Report *audit.Report
	// Bucket has the manifests, under ManifestPrefix.
	Bucket         objects.Bucket
	ManifestPrefix string
	Gaps           Gaps
	// Failover is how long a worker's heartbeat may stand still before the worker counts as dead.
	Failover time.Duration
}

// Gaps says what happens to records that no manifest covers, although the deliveries went on after them.
type Gaps string

const (
	Refuse     Gaps = ""      // the plan fails
	ReadAgain  Gaps = "again" // the shard begins at its first gap: what follows the gap is delivered again
	LeaveThere Gaps = "skip"  // the shard begins after its last batch, or where it began: the records in the gap are not delivered
)

// Restoration is what a Restorer does.
type Restoration struct {
	// Steps are those of all shards of which something is known, in order.
	Steps []Restored
	// Published are the batches in the outbox that have been published since the backup. They are removed from it.
	Published []checkpoint.Batch
	// Unfinished are files that are visible, of batches that have neither a manifest nor an item in the outbox. Their
	// records are after the positions, so they are delivered again.
	Unfinished []string
}

// Restored is the effect on one shard.
type Restored struct {
	// Lease is the row as it will be. Its counter is a lower bound.
	checkpoint.Lease
	// From is the position in the table; empty if the shard has no row.
	From checkpoint.Position
	// Write is false if the row stays as it is.
	Write bool
	// Moved is the note of a move that no batch followed; nil if there is none.
	Moved *layout.Move
}

// GapError is a plan's refusal to choose.
type GapError struct{ Gaps []string }

func (e *GapError) Error() string {
	return "no manifest covers these records, and the deliveries go on after them: " + strings.Join(e.Gaps, ", ")
}

// Reach returns how far back an audit has to go: nothing that was delivered before is in the stream any more. Manifests from
// before the stream was created are those of another stream of that name, whose sequence numbers mean nothing to it.
func (r Restorer) Reach(ctx context.Context, now time.Time) (time.Time, error) {
	about, err := r.Stream.Describe(ctx)
	return reach(about, now), err
}

func reach(about shardmap.Stream, now time.Time) time.Time {
	since := now.Add(-about.Retention)
	if about.Created.After(since) {
		return about.Created
	}
	return since
}

// Plan finds out what Run will do. It changes nothing.
func (r Restorer) Plan(ctx context.Context) (Restoration, error) {
	var p Restoration
	listing, err := r.Stream.ListShards(ctx)
	if err != nil {
		return p, err
	}
	listed := make(map[string][]string, len(listing.Shards))
	for _, s := range listing.Shards {
		listed[s.ID] = s.Parents
	}
	var snap checkpoint.Snapshot
	if r.Store != nil {
		if snap, err = r.Store.ScanConsistently(ctx); err != nil {
			return p, err
		}
	}
	if len(snap.Unknown) > 0 {
		return p, fmt.Errorf("batch %s in the outbox is of kind %s, which this release does not know: use the later release", snap.Unknown[0].ID, snap.Unknown[0].Kind)
	}
	waiting, err := r.sortOutbox(ctx, snap, &p)
	if err != nil {
		return p, err
	}
	p.Unfinished = r.unfinished(waiting)
	past, err := r.past(ctx, time.Now())
	if err != nil {
		return p, err
	}
	return p, r.plan(&p, snap, r.Report.Ends(), listed, waiting, past)
}

// sortOutbox finds out which batches have been published, and returns the others.
func (r Restorer) sortOutbox(ctx context.Context, snap checkpoint.Snapshot, p *Restoration) (waiting []checkpoint.Batch, err error) {
	for _, header := range slices.Concat(snap.Batches, snap.Published) {
		b, err := r.Store.Batch(ctx, header.ID)
		if err != nil {
			return nil, fmt.Errorf("batch %s: %w", header.ID, err)
		}
		place := layout.ManifestPlace(b, r.Bucket.Name, r.ManifestPrefix)
		in := r.Bucket
		in.Name = place.Bucket
		switch info, err := in.Head(ctx, place.Key); {
		case err == nil && info.BatchID == b.ID:
			p.Published = append(p.Published, b)
		case err != nil && !errors.Is(err, objects.ErrNotFound):
			return nil, err
		default:
			waiting = append(waiting, b)
		}
	}
	return waiting, nil
}

// unfinished are the files that an audit has found without a manifest, but for those of batches that workers publish.
func (r Restorer) unfinished(waiting []checkpoint.Batch) (keys []string) {
	for _, w := range r.Report.Warnings {
		known := slices.ContainsFunc(waiting, func(b checkpoint.Batch) bool { return b.ID == w.Batch })
		if w.Kind == audit.Unnamed && w.Batch != "" && !known {
			keys = append(keys, w.Key)
		}
	}
	return keys
}

// plan adds the steps.
func (r Restorer) plan(p *Restoration, snap checkpoint.Snapshot, ends map[string]audit.End, listed map[string][]string, waiting []checkpoint.Batch, past past) error {
	rows := make(map[string]checkpoint.Lease)
	for _, l := range snap.Leases {
		rows[l.Shard] = l
	}
	shards := make(map[string]bool)
	for _, names := range []map[string]bool{keys(rows), keys(listed)} {
		maps.Copy(shards, names)
	}
	initial := r.Initial
	if snap.Application.Application != "" {
		initial = snap.Application.Initial
	}
	ended := ancestors(listed, ends, past)
	refused := &GapError{}
	for _, shard := range slices.Sorted(maps.Keys(shards)) {
		own, exists := rows[shard]
		end, proven := ends[shard]
		step, gap := Restored{Lease: own, From: own.Checkpoint}, ""
		switch {
		case proven:
			step, gap = restored(own, exists, end, ranges(waiting, shard), listed[shard], r.Gaps, past)
		case exists:
			step, gap = begun(own, began(own), r.Gaps, past)
		case ended[shard]:
			step.Lease = checkpoint.Lease{Shard: shard, Parents: listed[shard], Checkpoint: checkpoint.ShardEnd, Begin: checkpoint.ShardEnd}
			step.Write = true
		case follows(listed[shard], shards):
			continue
		case initial == lease.Latest:
			return fmt.Errorf("nothing shows where shard %s was read to, and START_POSITION=LATEST would skip what it holds: want TRIM_HORIZON, or the time at which the application first started", shard)
		default:
			if step, gap = begun(checkpoint.Lease{Shard: shard, Parents: listed[shard]}, initial, r.Gaps, past); !step.Write && gap == "" {
				continue // the workers make the row
			}
		}
		if gap != "" {
			refused.Gaps = append(refused.Gaps, fmt.Sprintf("%s of shard %s", gap, shard))
		}
		if step.Checkpoint != "" {
			p.Steps = append(p.Steps, step)
		}
	}
	if len(refused.Gaps) > 0 && r.Gaps == Refuse {
		return refused
	}
	return nil
}

func keys[V any](m map[string]V) map[string]bool {
	set := make(map[string]bool, len(m))
	for k := range m {
		set[k] = true
	}
	return set
}

// follows reports whether a shard has a parent of which something is known: it begins where the parent leaves it.
func follows(parents []string, known map[string]bool) bool {
	return slices.ContainsFunc(parents, func(p string) bool { return known[p] })
}

// ancestors are the shards with a descendant of which something was delivered: their ends were delivered before, unless the
// descendant was begun anew at a time.
func ancestors(listed map[string][]string, ends map[string]audit.End, past past) map[string]bool {
	found := make(map[string]bool)
	var climb func(shard string)
	climb = func(shard string) {
		for _, parent := range listed[shard] {
			if !found[parent] {
				found[parent] = true
				climb(parent)
			}
		}
	}
	for shard, end := range ends {
		if past.before(joined(slices.Clone(end.Segments))[0].Start) == "" {
			climb(shard)
		}
	}
	return found
}

// ranges are what batches have of a shard.
func ranges(batches []checkpoint.Batch, shard string) (list []checkpoint.Range) {
	for _, b := range batches {
		for _, r := range b.Ranges {
			if r.Shard == shard {
				list = append(list, r)
			}
		}
	}
	return list
}

// restored computes where a shard goes on. The first gap is not empty if a part of the shard was left out.
//
// The lease counter shows what is newer, the row of a backup or a manifest: every holder and every move raises it. What the row and the outbox hold of the time since the last move counts as delivered, too.
func restored(own checkpoint.Lease, exists bool, end audit.End, waiting []checkpoint.Range, parents []string, gaps Gaps, past past) (step Restored, gap string) {
	step = Restored{Lease: own, From: own.Checkpoint, Moved: end.Moved}
	if end.Moved != nil && exists && own.Counter >= end.Moved.Counter {
		step.Moved = nil // the backup has it
	}
	covered := slices.Clone(end.Segments)
	if exists && own.Counter >= end.Since {
		if own.Counter > end.Counter && end.Moved != nil && own.Counter >= end.Moved.Counter {
			return step, "" // moved after the last batch
		}
		if s, ok := told(own); ok {
			covered = append(covered, s)
		}
		for _, r := range waiting {
			if r.LeaseCounter >= end.Since {
				covered = append(covered, audit.Segment{Start: r.Start, End: r.End})
			}
		}
	}
	covered = joined(covered)
	if before := past.before(covered[0].Start); before != "" {
		covered = slices.Insert(covered, 0, audit.Segment{Start: before, End: before})
	}
	to := covered[len(covered)-1].End
	if len(covered) > 1 {
		gap = fmt.Sprintf("(%s, %s]", covered[0].End, covered[1].Start)
		if gaps == ReadAgain {
			to = covered[0].End
		}
	}
	if floor := end.Highest + 1; !exists || own.Checkpoint != to || own.Counter < floor {
		step.Write = true
		step.Lease.Counter, step.Lease.Owner = floor, ""
	}
	if !exists {
		step.Lease.Shard, step.Lease.Parents = end.Shard, parents
	}
	if step.Checkpoint != to {
		step.Checkpoint, step.Begin, step.Arrival = to, to, time.Time{}
	}
	return step, gap
}

// begun computes where a shard goes on that began, or will begin, at a position, and of which no manifest shows anything. The
// gap is not empty if records before that position would be left out.
func begun(own checkpoint.Lease, begin checkpoint.Position, gaps Gaps, past past) (step Restored, gap string) {
	step = Restored{Lease: own, From: own.Checkpoint}
	before := past.before(begin)
	if before == "" {
		return step, ""
	}
	if gaps == ReadAgain {
		step.Write = true
		step.Lease.Counter, step.Lease.Owner = own.Counter+1, ""
		step.Checkpoint, step.Begin, step.Arrival = before, before, time.Time{}
	}
	return step, fmt.Sprintf("(%s, %s]", before, begin)
}

// began is where reading of a row's shard began. Before anything is committed that is the checkpoint: earlier releases moved
// it without Begin.
func began(row checkpoint.Lease) checkpoint.Position {
	if isTime(row.Checkpoint) || row.Checkpoint == checkpoint.TrimHorizon {
		return row.Checkpoint
	}
	return row.Begin
}

// told is what a row says was delivered. A row that began at a time says nothing of the records before it: a daemon that was
// started on a new table, with START_POSITION=LATEST or a time, makes such rows. One that is still at its time says nothing.
func told(row checkpoint.Lease) (s audit.Segment, ok bool) {
	s = audit.Segment{Start: checkpoint.TrimHorizon, End: row.Checkpoint}
	if isTime(row.Begin) {
		s.Start = row.Begin
	}
	return s, !isTime(row.Checkpoint)
}

func isTime(p checkpoint.Position) bool {
	_, ok := p.Timestamp()
	return ok
}

// joined sorts segments and merges those that adjoin or overlap. Where a time lies among sequence numbers is unknown, so a
// segment that begins at one counts from its end: it covers what lies before only if nothing that was delivered is earlier.
func joined(list []audit.Segment) []audit.Segment {
	slices.SortFunc(list, func(a, b audit.Segment) int {
		return cmp.Or(audit.Compare(known(a), known(b)), audit.Compare(a.Start, b.Start))
	})
	var all []audit.Segment
	for _, s := range list {
		n := len(all)
		switch {
		case n == 0:
			all = append(all, s)
		case audit.Compare(s.End, all[n-1].End) <= 0:
		case adjoin(all[n-1], s):
			all[n-1].End = s.End
		default:
			all = append(all, s)
		}
	}
	return all
}

// known is the first position of a segment that can be compared with others.
func known(s audit.Segment) checkpoint.Position {
	if isTime(s.Start) {
		return s.End
	}
	return s.Start
}

// adjoin reports whether nothing lies between two segments, of which the second ends later.
func adjoin(first, second audit.Segment) bool {
	if isTime(second.Start) {
		return isTime(first.Start) && audit.Compare(second.Start, first.Start) <= 0
	}
	return audit.Compare(second.Start, first.End) <= 0
}

// Run carries out a plan. It may be repeated after an error: until it has succeeded, workers refuse a table of which it has
// written a part.
func (r Restorer) Run(ctx context.Context, p Restoration) error {
	if _, _, err := lease.Bind(ctx, r.Store, r.Stream, r.Application, r.Initial); err != nil {
		return err
	}
	for _, b := range p.Published {
		for _, table := range b.Tables {
			if err := r.Store.MarkLoaded(ctx, b.ID, table); err != nil {
				return fmt.Errorf("batch %s: table %s: %w", b.ID, table, err)
			}
		}
		if err := r.Store.Forget(ctx, b.ID); err != nil {
			return fmt.Errorf("batch %s: %w", b.ID, err)
		}
	}
	var rows []checkpoint.Lease
	for _, s := range p.Steps {
		if s.Write {
			rows = append(rows, s.Lease)
		}
	}
	return r.Store.Restore(ctx, "s3://"+r.Bucket.Name+"/"+r.ManifestPrefix, r.Failover, rows)
}
