package lease

import (
	"slices"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
)

func TestFinished_KeepsARowAsLongAsItGuardsSomething(t *testing.T) {
	parent := checkpoint.Lease{Shard: "p", Checkpoint: checkpoint.ShardEnd}
	child := checkpoint.Lease{Shard: "c", Parents: []string{"p"}, Checkpoint: checkpoint.TrimHorizon}
	begun, owned, left := parent, parent, parent
	begun.Checkpoint, owned.Owner, left.Owner = "12", "w", "dead"
	listedParent, listedChild := shardmap.Shard{ID: "p"}, shardmap.Shard{ID: "c", Parents: []string{"p"}}
	for _, test := range []struct {
		name     string
		rows     []checkpoint.Lease
		listed   []shardmap.Shard
		after    time.Duration
		finished bool
	}{
		{"long gone", []checkpoint.Lease{parent, child}, []shardmap.Shard{listedChild}, 2 * time.Hour, true},
		{"long gone without children", []checkpoint.Lease{parent}, []shardmap.Shard{{ID: "other"}}, 2 * time.Hour, true},
		{"gone a short while", []checkpoint.Lease{parent, child}, []shardmap.Shard{listedChild}, time.Minute, false},
		{"still listed", []checkpoint.Lease{parent, child}, []shardmap.Shard{listedParent, listedChild}, 2 * time.Hour, false},
		{"a child has no row", []checkpoint.Lease{parent}, []shardmap.Shard{listedChild}, 2 * time.Hour, false},
		{"not at its end", []checkpoint.Lease{begun, child}, []shardmap.Shard{listedChild}, 2 * time.Hour, false},
		{"still in somebody's name", []checkpoint.Lease{owned, child}, []shardmap.Shard{listedChild}, 2 * time.Hour, false},
		{"in the name of a dead worker", []checkpoint.Lease{left, child}, []shardmap.Shard{listedChild}, 2 * time.Hour, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := shardmap.NewMap()
			start := time.Now()
			for range 3 {
				m.Update(start, test.listed)
			}
			got := finished(newGate(test.rows, m, time.Time{}), start.Add(test.after), func(worker string) bool { return worker == "dead" })
			if slices.Contains(got, "p") != test.finished || len(got) > 1 {
				t.Errorf("finished = %v, want the parent: %v", got, test.finished)
			}
		})
	}
}
