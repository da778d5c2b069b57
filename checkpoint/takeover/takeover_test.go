package takeover

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// rows makes leases from "shard:checkpoint" and "shard<parent,parent:checkpoint".
func rows(text string) []Row {
	var all []Row
	for _, field := range strings.Fields(text) {
		shard, is, _ := strings.Cut(field, ":")
		r := Row{Shard: shard, Checkpoint: is}
		if child, parents, ok := strings.Cut(shard, "<"); ok {
			r.Shard, r.Parents = child, strings.Split(parents, ",")
		}
		all = append(all, r)
	}
	return all
}

func listing(text string) map[string][]string {
	listed := make(map[string][]string)
	for _, field := range strings.Fields(text) {
		shard, parents, ok := strings.Cut(field, "<")
		listed[shard] = nil
		if ok {
			listed[shard] = strings.Split(parents, ",")
		}
	}
	return listed
}

func TestPlan_SaysWhereEachShardBegins(t *testing.T) {
	for _, test := range []struct {
		name   string
		rows   string
		listed string
		want   string // START is the application's initial position
	}{
		{"a parent whose lease was deleted", "b:12 c:7", "a b<a c<a", "a:SHARD_END b:12 c:7"},
		{"all generations of them", "d:12", "a b<a c<b d<c", "a:SHARD_END b:SHARD_END c:SHARD_END d:12"},
		{"both parents of a merge", "c:12", "a b c<a,b", "a:SHARD_END b:SHARD_END c:12"},
		{"a parent that is behind", "a:12", "a b<a c<a", "a:12 b:TRIM_HORIZON c:TRIM_HORIZON"},
		{"all generations after it", "a:12", "a b<a c<b d<c", "a:12 b:TRIM_HORIZON c:TRIM_HORIZON d:TRIM_HORIZON"},
		{"a parent that has ended, its children not begun", "a:SHARD_END b:TRIM_HORIZON c:TRIM_HORIZON", "a b<a c<a d<b", "a:SHARD_END b:TRIM_HORIZON c:TRIM_HORIZON d:TRIM_HORIZON"},
		{"a merge, one parent at its end, the other behind", "a:SHARD_END b:12 c<a,b:TRIM_HORIZON", "a b c<a,b", "a:SHARD_END b:12 c:TRIM_HORIZON"},
		{"a split of a split, its halves at different places", "c:12 d:7 e:SHARD_END", "a b<a c<a d<b e<b f<e", "a:SHARD_END b:SHARD_END c:12 d:7 e:SHARD_END f:TRIM_HORIZON"},
		{"a first start at LATEST", "b:LATEST c:LATEST", "a b<a c<a", "a:SHARD_END b:START c:START"},
		{"and a split since", "b:LATEST", "a b<a c<b", "a:SHARD_END b:START c:TRIM_HORIZON"},
		{"a first start at a time", "b:AT_TIMESTAMP", "a b<a c<b", "a:SHARD_END b:START c:TRIM_HORIZON"},
		{"a time, in early versions for children too", "a:12 b:AT_TIMESTAMP c:AT_TIMESTAMP", "a b<a c<b", "a:12 b:TRIM_HORIZON c:TRIM_HORIZON"},
		{"the same, stopped inside an aggregate", "a:AT_TIMESTAMP:2026-10-01T00:00:00.000Z b:AT_TIMESTAMP", "a b<a", "a:AT_TIMESTAMP:2026-10-01T00:00:00.000Z b:TRIM_HORIZON"},
		{"a time, and a parent that ended perhaps before it", "a:SHARD_END b:AT_TIMESTAMP", "a b<a", "a:SHARD_END b:START"},
		{"a tree that nobody has begun", "a:12", "a b c<b", "a:12 b:START c:START"},
		{"a merge with such a tree", "a:12", "a b c<a,b", "a:12 b:START c:TRIM_HORIZON"},
		{"a finished shard that is gone", "a:SHARD_END b<a:12", "b<a", "a:SHARD_END b:12"},
		{"a shard that is gone unfinished", "a:12", "b<a c<a", "a:12! b:TRIM_HORIZON c:TRIM_HORIZON"},
		{"shards that are gone, with their lineage", "a:12", "c<b d<c", "a:12! c:TRIM_HORIZON d:TRIM_HORIZON"},
		{"shards that are gone, what was begun of them finished", "a:SHARD_END", "c<b", "a:SHARD_END c:START"},
	} {
		t.Run(test.name, func(t *testing.T) { plans(t, Table{Rows: rows(test.rows)}, test.listed, test.want) })
	}
}

func TestPlan_OfVMwareGoKCLTakesListedShardsWithoutARowForUnread(t *testing.T) {
	for _, test := range []struct{ name, rows, listed, want string }{
		{"a parent that was not begun before its child", "b:12", "a b<a", "a:START b:12"},
		{"a child without a row", "a:12", "a b<a", "a:12 b:TRIM_HORIZON"},
		{"a child that has begun without a checkpoint", "a:SHARD_END b:", "a b<a c<b", "a:SHARD_END b:TRIM_HORIZON c:TRIM_HORIZON"},
		{"a shard that has begun without a checkpoint", "a:", "a b<a", "a:START b:TRIM_HORIZON"},
		{"a tree without a row", "a:12", "a b", "a:12 b:START"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plans(t, Table{Rows: rows(test.rows), KeepsFinished: true}, test.listed, test.want)
		})
	}
}

func plans(t *testing.T, table Table, listed, want string) {
	t.Helper()
	initial := checkpoint.AtTimestamp(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	p, err := table.Plan(listing(listed), initial)
	if err != nil {
		t.Fatal(err)
	}
	lost := make(map[string]bool)
	for _, shard := range p.Lost {
		lost[shard] = true
	}
	var got []string
	for _, l := range p.Leases {
		is := strings.Replace(string(l.Checkpoint), string(initial), "START", 1)
		if lost[l.Shard] {
			is += "!"
		}
		got = append(got, l.Shard+":"+is)
		if l.Begin != l.Checkpoint || l.ValidateNew() != nil {
			t.Errorf("lease %+v", l)
		}
	}
	if strings.Join(got, " ") != want {
		t.Errorf("leases are %v, want %s", got, want)
	}
	if n := p.Taken + p.Finished + p.Following + p.Unrelated; n != len(p.Leases) || p.Taken != len(table.Rows) {
		t.Errorf("counts are %+v", p)
	}
}

func TestPlan_RefusesWhatItCannotRead(t *testing.T) {
	for name, p := range map[string]struct {
		row    Row
		listed string
		says   string
	}{
		"a value that is not a checkpoint": {Row{Shard: "a", Checkpoint: "somewhere"}, "a", `shard a: position "somewhere"`},
		"no listing":                       {Row{Shard: "a", Checkpoint: "12"}, "", "no shard"},
	} {
		if _, err := (Table{Rows: []Row{p.row}}).Plan(listing(p.listed), checkpoint.TrimHorizon); err == nil || !strings.Contains(fmt.Sprint(err), p.says) {
			t.Errorf("%s: %v, want %q", name, err, p.says)
		}
	}
}
