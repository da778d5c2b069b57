package lease_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/consumer/lease"
)

// Alerts and dashboards take the largest or the smallest figure of all workers. So those that follow report what the leader knows of the
// whole application, and each its own retention.
func TestKeeper_FollowersReportTheLeadersFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 7)
		defer f.end()
		most := func(c *lease.Config) { c.MaxLeases = 2 }
		a, b, c := f.start("a", most), f.start("b", most), f.start("c", most)
		time.Sleep(time.Minute)
		leaders := 0
		for _, w := range []*worker{a, b, c} {
			for name, want := range map[string]float64{
				"consumer_leases": 7, "consumer_leases_free": 1, "consumer_trimmed_shards": 0, "consumer_workers": 3,
			} {
				if got := w.gauge(name); got != want {
					t.Errorf("%s reports %s %v, want %v", w.id, name, got, want)
				}
			}
			leaders += int(w.gauge("consumer_leader"))
			own := w.Snapshot()
			want := 2
			if own.Leading {
				want = 7
			}
			if len(own.Leases) != want || own.Fleet.Leases != 7 {
				t.Errorf("%s shows %d rows, want %d, and %d leases of all", w.id, len(own.Leases), want, own.Fleet.Leases)
			}
			all, err := f.table.Scan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			states := make(map[lease.State]int)
			for _, row := range w.Rows(all.Leases, func(string) bool { return false }) {
				states[row.State]++
			}
			if states[lease.Held] != 2 || states[lease.Owned] != 4 || states[lease.Free] != 1 {
				t.Errorf("%s takes the rows for %v", w.id, states)
			}
			for _, row := range w.Rows(all.Leases, func(worker string) bool { return worker != w.id }) {
				if row.State == lease.Owned {
					t.Errorf("%s takes shard %s of a dead worker for held", w.id, row.Shard)
				}
			}
		}
		if leaders != 1 {
			t.Errorf("%d workers say that they lead", leaders)
		}
	})
}

// What a follower says when it is cut off is true of it: it does not read the table.
func TestKeeper_HealthOfAFollowerNamesTheLeadersHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4)
		defer f.end()
		f.start("a")
		time.Sleep(time.Minute)
		b := f.start("b")
		time.Sleep(time.Minute)
		if err := b.Health(); err != nil {
			t.Fatal(err)
		}
		b.store.fail(func(operation string) error {
			if operation == "worker" || operation == "lead" {
				return errors.New("throttled")
			}
			return nil
		})
		time.Sleep(failover + 2*time.Second)
		if err := b.Health(); err == nil || !strings.HasPrefix(err.Error(), "no reading of a leader's heartbeat for 1") {
			t.Errorf("the follower says %v", err)
		}
		b.store.fail(nil)
		time.Sleep(period)
		if err := b.Health(); err != nil {
			t.Errorf("after the table answered again: %v", err)
		}
	})
}
