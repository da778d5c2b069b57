package lease

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
)

func TestBeginnings_AChildInheritsFromItsParents(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	at := func(h int) checkpoint.Position {
		return checkpoint.AtTimestamp(start.Add(time.Duration(h) * time.Hour))
	}
	row := func(shard string, begin, is checkpoint.Position) checkpoint.Lease {
		return checkpoint.Lease{Shard: shard, Begin: begin, Checkpoint: is}
	}
	delivered := func(l checkpoint.Lease) checkpoint.Lease {
		l.Arrival = start.Add(2 * time.Hour)
		return l
	}
	const horizon, end = checkpoint.TrimHorizon, checkpoint.ShardEnd
	for _, test := range []struct {
		name    string
		rows    []checkpoint.Lease
		listed  string // "c<a,b" is c with the parents a and b
		initial checkpoint.Position
		want    string
	}{
		{"no rows at all, TRIM_HORIZON", nil, "a b<a", horizon, "a=TRIM_HORIZON b=TRIM_HORIZON"},
		{"no rows at all, a time", nil, "a b<a c<b", at(0), "a=0h b=0h c=0h"},
		{"a parent that is gone and unknown", nil, "b<a", at(0), "b=0h"},

		{"behind at the take-over", []checkpoint.Lease{row("a", "12", "12")}, "a b<a", at(0), "b=TRIM_HORIZON"},
		{"behind, and its child's parent is new, too", []checkpoint.Lease{row("a", "12", "12")}, "a b<a c<b", at(0), "b=TRIM_HORIZON c=TRIM_HORIZON"},
		{"behind, and gone", []checkpoint.Lease{row("a", "12", "12")}, "b<a", at(0), "b=TRIM_HORIZON"},
		{"behind in a row of an earlier release", []checkpoint.Lease{row("a", "", "12")}, "a b<a", at(0), "b=TRIM_HORIZON"},
		{"ended in a row of an earlier release", []checkpoint.Lease{row("a", "", end)}, "a b<a", at(0), "b=TRIM_HORIZON"},
		{"begun at its time in a row without an arrival", []checkpoint.Lease{row("a", at(0), "12")}, "a b<a", at(0), "b=TRIM_HORIZON"},
		{"rewound to the oldest record", []checkpoint.Lease{row("a", horizon, horizon)}, "a b<a", at(0), "b=TRIM_HORIZON"},

		{"waits for its time", []checkpoint.Lease{row("a", at(9), at(9))}, "a b<a c<b", at(9), "b=9h c=9h"},
		{"waits for its time in a row of an earlier release", []checkpoint.Lease{row("a", "", at(9))}, "a b<a", at(9), "b=9h"},
		{"rewound to a time", []checkpoint.Lease{row("a", at(-5), at(-5))}, "a b<a", at(0), "b=-5h"},
		{"moved by an earlier release, which leaves the beginning as it was", []checkpoint.Lease{row("a", at(9), horizon)}, "a b<a", at(9), "b=TRIM_HORIZON"},
		{"moved by one to an earlier time", []checkpoint.Lease{row("a", at(9), at(3))}, "a b<a", at(9), "b=3h"},
		{"moved by one to a later time", []checkpoint.Lease{row("a", at(3), at(9))}, "a b<a", at(9), "b=3h"},
		{"given up while it waited for its time", []checkpoint.Lease{row("a", at(9), at(9)).Moved(end)}, "a b<a", at(9), "b=9h"},
		{"given up after records", []checkpoint.Lease{delivered(row("a", at(0), "12")).Moved(end)}, "a b<a", at(0), "b=TRIM_HORIZON"},
		{"read again from a time after it had ended", []checkpoint.Lease{row("a", at(0), end).Moved(at(3))}, "a b<a", at(0), "b=0h"},
		{"moved ahead to a time", []checkpoint.Lease{row("a", at(0), "12").Moved(at(3))}, "a b<a", at(0), "b=3h"},
		{"given up while behind", []checkpoint.Lease{row("a", "12", "12").Moved(end)}, "a b<a", at(0), "b=TRIM_HORIZON"},
		{"ended without a record", []checkpoint.Lease{row("a", at(0), end)}, "a b<a", at(0), "b=0h"},
		{"ended with a record", []checkpoint.Lease{delivered(row("a", at(0), end))}, "a b<a", at(0), "b=TRIM_HORIZON"},
		{"begun before the application's own time", []checkpoint.Lease{delivered(row("a", "12", "20"))}, "a b<a", at(9), "b=TRIM_HORIZON"},

		{"a merge, one of its parents unfinished", []checkpoint.Lease{row("a", at(0), at(0)), row("b", "12", end)}, "a b c<a,b", at(0), "c=TRIM_HORIZON"},
		{"a merge of two times", []checkpoint.Lease{row("a", at(0), at(0)), row("b", at(-3), at(-3))}, "a b c<a,b", at(0), "c=-3h"},
		{"a merge with a parent that is unknown", []checkpoint.Lease{row("a", "12", "12")}, "c<x,a", at(0), "c=TRIM_HORIZON"},
		{"a merge with a parent that has no row yet", []checkpoint.Lease{row("a", "12", "12")}, "a b c<a,b", at(0), "b=0h c=TRIM_HORIZON"},
		{"relatives that are not parents", []checkpoint.Lease{row("a", "12", "12")}, "a b", at(0), "b=0h"},
	} {
		t.Run(test.name, func(t *testing.T) {
			listed := tree(test.listed)
			b := newBeginnings(test.rows, listed, test.initial)
			var got []string
			for _, l := range b.missing(listed) {
				is := string(l.Checkpoint)
				if t, ok := l.Checkpoint.Timestamp(); ok {
					is = fmt.Sprintf("%.0fh", t.Sub(start).Hours())
				}
				got = append(got, l.Shard+"="+is)
				if l.Begin != l.Checkpoint {
					t.Errorf("%s begins at %s, its row says %s", l.Shard, l.Checkpoint, l.Begin)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("new rows: %v, want %s", got, test.want)
			}
		})
	}
}

// tree makes shards from ids.
func tree(ids string) []shardmap.Shard {
	var shards []shardmap.Shard
	for _, id := range strings.Fields(ids) {
		id, parents, _ := strings.Cut(id, "<")
		s := shardmap.Shard{ID: id}
		if parents != "" {
			s.Parents = strings.Split(parents, ",")
		}
		shards = append(shards, s)
	}
	return shards
}
