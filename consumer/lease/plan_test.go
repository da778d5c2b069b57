package lease

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"aws-streaming-pipeline/checkpoint"
)

func TestView_PlansTheNextSteps(t *testing.T) {
	row := func(n int, owner string) checkpoint.Lease {
		return checkpoint.Lease{Shard: fmt.Sprintf("s%d", n), Owner: owner, Counter: 1, Checkpoint: checkpoint.TrimHorizon}
	}
	ended := func(n int, owner string) checkpoint.Lease {
		l := row(n, owner)
		l.Checkpoint = checkpoint.ShardEnd
		return l
	}
	active, drained := holdState{active: true}, holdState{active: true, drained: true}
	for _, test := range []struct {
		name    string
		live    []string
		rows    []checkpoint.Lease
		held    map[string]holdState
		most    int
		closed  []string
		trimmed []string
		stale   []string

		share, lack int
		free, own   []string
		stray, gone []string
	}{
		{name: "nothing", live: []string{"me"}},
		{name: "free leases are taken", live: []string{"me"}, rows: []checkpoint.Lease{row(0, ""), row(1, "")},
			share: 2, lack: 2, free: []string{"s0", "s1"}},
		{name: "half of them with another worker", live: []string{"me", "you"}, rows: []checkpoint.Lease{row(0, ""), row(1, ""), row(2, "")},
			share: 2, lack: 2, free: []string{"s0", "s1", "s2"}},
		{name: "the other half from another start", live: []string{"a", "me"}, rows: []checkpoint.Lease{row(0, ""), row(1, ""), row(2, ""), row(3, "")},
			share: 2, lack: 2, free: []string{"s2", "s3", "s0", "s1"}},
		{name: "a dead owner's leases are free", live: []string{"me"}, rows: []checkpoint.Lease{row(0, "dead"), row(1, "you")},
			share: 2, lack: 2, free: []string{"s0"}},
		{name: "who has more keeps one more", live: []string{"a", "me"}, rows: []checkpoint.Lease{row(0, "me"), row(1, "me"), row(2, "a")},
			held: map[string]holdState{"s0": active, "s1": active}, share: 2},
		{name: "excess is drained", live: []string{"a", "me"}, rows: []checkpoint.Lease{row(0, "me"), row(1, "me"), row(2, "me")},
			held: map[string]holdState{"s0": active, "s1": active, "s2": active}, share: 2, lack: -1},
		{name: "what drains already counts as gone", live: []string{"a", "me"}, rows: []checkpoint.Lease{row(0, "me"), row(1, "me"), row(2, "me")},
			held: map[string]holdState{"s0": active, "s1": active, "s2": drained}, share: 2},
		{name: "what is being released is nobody's", live: []string{"a", "me"}, rows: []checkpoint.Lease{row(0, "me"), row(1, "me"), row(2, "me"), row(3, "me")},
			held: map[string]holdState{"s0": active, "s1": active, "s2": drained, "s3": {drained: true}}, share: 2},
		{name: "what restarts comes back", live: []string{"me"}, rows: []checkpoint.Lease{row(0, "me"), row(1, "")},
			held: map[string]holdState{"s0": {returns: true}}, share: 2, lack: 1, free: []string{"s1"}},
		{name: "own rows without a hold are taken first", live: []string{"me"}, rows: []checkpoint.Lease{row(0, ""), row(1, "me")},
			share: 2, lack: 2, own: []string{"s1"}, free: []string{"s0"}},
		{name: "own rows that were released since are let be", live: []string{"me"}, rows: []checkpoint.Lease{row(0, "me")},
			stale: []string{"s0"}, share: 1, lack: 1},
		{name: "closed gates are not work", live: []string{"me"}, rows: []checkpoint.Lease{row(0, ""), row(1, "")},
			closed: []string{"s1"}, share: 1, lack: 1, free: []string{"s0"}},
		{name: "an own row with a closed gate is released", live: []string{"me"}, rows: []checkpoint.Lease{row(0, "me")},
			closed: []string{"s0"}, stray: []string{"s0"}},
		{name: "finished shards are not work", live: []string{"me"}, rows: []checkpoint.Lease{ended(0, ""), ended(1, "me"), row(2, "")},
			share: 1, lack: 1, free: []string{"s2"}, stray: []string{"s1"}},
		{name: "a held shard that was trimmed goes", live: []string{"me"}, rows: []checkpoint.Lease{row(0, "me"), row(1, "me")},
			held: map[string]holdState{"s0": active, "s1": drained}, trimmed: []string{"s0", "s1"}, gone: []string{"s0", "s1"}},
		{name: "the bound holds", live: []string{"me"}, rows: []checkpoint.Lease{row(0, ""), row(1, "")}, most: 1,
			share: 1, lack: 1, free: []string{"s0", "s1"}},
		{name: "an owner who is neither live nor dead keeps its leases", live: []string{"me"}, rows: []checkpoint.Lease{row(0, "ghost"), row(1, "")},
			share: 2, lack: 2, free: []string{"s1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := func(list []string) func(checkpoint.Lease) bool {
				return func(l checkpoint.Lease) bool { return slices.Contains(list, l.Shard) }
			}
			v := view{
				self: "me", live: test.live, rows: test.rows, held: test.held, most: test.most,
				dead:    func(worker string) bool { return worker == "dead" },
				open:    func(l checkpoint.Lease) bool { return !in(test.closed)(l) },
				trimmed: in(test.trimmed), stale: in(test.stale), passed: passed,
			}
			p := v.plan()
			if p.share != test.share || p.lack != test.lack {
				t.Errorf("share %d, lack %d; want %d, %d", p.share, p.lack, test.share, test.lack)
			}
			for _, list := range []struct {
				name      string
				got, want []string
			}{{"free", names(p.free), test.free}, {"own", names(p.own), test.own}, {"stray", names(p.stray), test.stray}, {"trimmed", p.trimmed, test.gone}} {
				if !slices.Equal(list.got, list.want) {
					t.Errorf("%s = %v, want %v", list.name, list.got, list.want)
				}
			}
		})
	}
}

func passed(l checkpoint.Lease) bool { return l.Checkpoint == checkpoint.ShardEnd }

func names(rows []checkpoint.Lease) []string {
	var ids []string
	for _, l := range rows {
		ids = append(ids, l.Shard)
	}
	return ids
}

func TestView_SharesAddUpAndDifferByOneAtMost(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var live []string
		counts := make(map[string]int)
		total := random.IntN(20)
		for n := range 1 + random.IntN(12) {
			id := fmt.Sprintf("w%02d", n)
			live = append(live, id)
			counts[id] = random.IntN(10)
			total += counts[id]
		}
		sum, least, most := 0, total, 0
		for _, id := range live {
			share := (&view{self: id, live: live}).share(counts, total)
			sum += share
			least, most = min(least, share), max(most, share)
		}
		if sum != total || most-least > 1 {
			t.Fatalf("%d leases held as %v: shares add up to %d, from %d to %d", total, counts, sum, least, most)
		}
	}
}

func BenchmarkView_Plan(b *testing.B) {
	const shards, workers = 10_000, 50
	v := view{
		self: "w00", held: map[string]holdState{},
		dead: func(string) bool { return false }, open: func(checkpoint.Lease) bool { return true },
		trimmed: func(checkpoint.Lease) bool { return false }, stale: func(checkpoint.Lease) bool { return false }, passed: passed,
	}
	for n := range workers {
		v.live = append(v.live, fmt.Sprintf("w%02d", n))
	}
	for n := range shards {
		v.rows = append(v.rows, checkpoint.Lease{Shard: fmt.Sprintf("s%05d", n), Owner: v.live[n%workers], Checkpoint: "1"})
	}
	b.ReportAllocs()
	for b.Loop() {
		v.plan()
	}
}
