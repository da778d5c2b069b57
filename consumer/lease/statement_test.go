package lease

import (
	"fmt"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
)

// outboxOf is a scan that shows these unpublished batches.
func outboxOf(ids ...string) checkpoint.Snapshot {
	var snap checkpoint.Snapshot
	for _, id := range ids {
		snap.Batches = append(snap.Batches, checkpoint.Batch{ID: id})
	}
	return snap
}

// at is what a scan shows to be committed, by the scan's number.
func at(scan int) checkpoint.Complete {
	return checkpoint.Complete{UpTo: time.Unix(int64(scan), 0)}
}

func TestStatement_WaitsForWhatTheNextScanShows(t *testing.T) {
	for name, c := range map[string]struct {
		outboxes [][]string // of the scans
		want     []int      // after each scan, the scan that is stated; 0 for none
	}{
		"nothing is ever unpublished":         {[][]string{{}, {}, {}, {}}, []int{0, 0, 2, 3}},
		"each batch is seen once":             {[][]string{{"a"}, {"b"}, {"c"}, {"d"}, {"e"}}, []int{0, 0, 0, 2, 3}},
		"one batch stays":                     {[][]string{{}, {}, {}, {"a"}, {"a"}, {"a"}, {}}, []int{0, 0, 2, 0, 0, 0, 6}},
		"one batch stays, others come and go": {[][]string{{"a"}, {"a"}, {"a", "b"}, {"a"}, {"c"}, {"c"}, {}}, []int{0, 0, 0, 0, 3, 0, 6}},
		"a batch that the scan did not show":  {[][]string{{}, {}, {"a"}, {"a"}, {}}, []int{0, 0, 0, 0, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			var s statement
			for i, outbox := range c.outboxes {
				got, ok := s.observe(outboxOf(outbox...), at(i+1))
				if !ok {
					got = at(0)
				}
				if got.UpTo != at(c.want[i]).UpTo {
					t.Errorf("after scan %d what scan %d showed is stated, want %d", i+1, got.UpTo.Unix(), c.want[i])
				}
			}
		})
	}
}

// However long a batch stays, what is remembered is bounded by what is in the outbox.
func TestStatement_RemembersLittle(t *testing.T) {
	var s statement
	for scan := 1; scan <= 10_000; scan++ {
		_, _ = s.observe(outboxOf("stuck", fmt.Sprint(scan), fmt.Sprint(scan-1)), at(scan))
		if len(s.waiting) > 6 || len(s.first) != 3 {
			t.Fatalf("after scan %d: %d statements wait, %d batches", scan, len(s.waiting), len(s.first))
		}
	}
	if got, ok := s.observe(outboxOf("10001"), at(10_001)); !ok || got.UpTo != at(9_999).UpTo {
		t.Errorf("once the batch was published what scan %d showed is stated (%v), want 9999", got.UpTo.Unix(), ok)
	}
}

func TestStatement_ABatchOfAnUnknownKindIsNotPublished(t *testing.T) {
	var s statement
	for scan := range 10 {
		if _, ok := s.observe(checkpoint.Snapshot{Unknown: []checkpoint.UnknownBatch{{ID: "b"}}}, at(scan+1)); ok {
			t.Fatalf("a statement after scan %d", scan+1)
		}
	}
}

func TestCommittedUpTo_TakesTheLeastThatIsKnownOfAnyShard(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0).UTC() }
	row := func(shard string, arrival int, parents ...string) checkpoint.Lease {
		l := checkpoint.Lease{Shard: shard, Parents: parents, Owner: "w", Counter: 3, Checkpoint: "7", Arrival: at(arrival)}
		if arrival == 0 {
			l.Checkpoint, l.Arrival = checkpoint.TrimHorizon, time.Time{}
		}
		return l
	}
	ended := func(l checkpoint.Lease) checkpoint.Lease { l.Checkpoint = checkpoint.ShardEnd; return l }
	begins := func(l checkpoint.Lease, p checkpoint.Position) checkpoint.Lease { l.Checkpoint = p; return l }
	stopped := func(l checkpoint.Lease, until int, after checkpoint.Position) checkpoint.Lease {
		l.Stop = checkpoint.Stop{Until: at(until), After: after}
		return l
	}
	says := func(complete int, rows ...checkpoint.Lease) checkpoint.Worker {
		return checkpoint.Worker{ID: "w", Complete: at(complete), Leases: checkpoint.LeaseDigest(rows)}
	}
	a, b, idle, young := row("a", 500), row("b", 400), row("b", 100), row("b", 0)
	for name, c := range map[string]struct {
		rows    []checkpoint.Lease
		workers []checkpoint.Worker
		listed  []shardmap.Shard
		asOf    int
		want    int // zero for nothing
		shards  int
	}{
		"the last committed records":           {rows: []checkpoint.Lease{a, b}, asOf: 600, want: 390, shards: 2},
		"the listing":                          {rows: []checkpoint.Lease{a, b}, asOf: 300, want: 290, shards: 2},
		"no time of a listing":                 {rows: []checkpoint.Lease{a, b}},
		"a worker at the tip":                  {rows: []checkpoint.Lease{a, idle}, workers: []checkpoint.Worker{says(450, idle, a)}, asOf: 600, want: 450, shards: 2},
		"a worker that speaks of other leases": {rows: []checkpoint.Lease{a, idle}, workers: []checkpoint.Worker{says(450, a)}, asOf: 600, want: 90, shards: 2},
		"a worker that leaves a young one out": {rows: []checkpoint.Lease{row("c", 100), young}, workers: []checkpoint.Worker{says(450, row("c", 100))}, asOf: 600, shards: 0},
		"a shard of which nothing is known":    {rows: []checkpoint.Lease{a, young}, asOf: 600},
		"a position in time":                   {rows: []checkpoint.Lease{a, begins(young, checkpoint.AtTimestamp(at(350)))}, asOf: 600, want: 340, shards: 2},
		"an ended shard":                       {rows: []checkpoint.Lease{a, ended(b)}, asOf: 600, want: 490, shards: 1},
		"a young child":                        {rows: []checkpoint.Lease{row("c", 0, "a", "b"), ended(a), ended(b)}, asOf: 600, want: 490, shards: 1},
		"a child of an empty shard":            {rows: []checkpoint.Lease{row("c", 0, "d"), ended(row("d", 0, "b")), ended(b)}, asOf: 600, want: 390, shards: 1},
		"a listed child without a row":         {rows: []checkpoint.Lease{ended(a)}, listed: []shardmap.Shard{{ID: "c", Parents: []string{"a"}}}, asOf: 600, want: 490, shards: 1},
		"a listed shard without a row":         {rows: []checkpoint.Lease{a}, listed: []shardmap.Shard{{ID: "c"}}, asOf: 600},
		"a shard that has passed its stop":     {rows: []checkpoint.Lease{stopped(b, 550, "7"), row("c", 0, "b")}, asOf: 600, want: 550, shards: 2},
		"a stop before the present position":   {rows: []checkpoint.Lease{stopped(b, 550, "6")}, asOf: 600, want: 390, shards: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var want time.Time
			if c.want > 0 {
				want = at(c.want)
			}
			listing := shardmap.Listing{Shards: c.listed}
			if c.asOf > 0 {
				listing.AsOf = at(c.asOf)
			}
			got, shards := committedUpTo(checkpoint.Snapshot{Leases: c.rows, Workers: c.workers}, listing)
			if !got.Equal(want) || shards != c.shards {
				t.Errorf("%v for %d shards, want %v for %d", got, shards, want, c.shards)
			}
		})
	}
}
