package lease_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// taken counts the leases that all workers have acquired so far.
func (f *fleet) taken() (n int) {
	for _, w := range f.workers {
		n += int(w.count("consumer_leases_taken_total"))
	}
	return n
}

// count reads a counter without labels.
func (w *worker) count(name string) float64 {
	families, _ := w.registry.Gather()
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return -1
}

// Scaling moves one lease for each lease that some worker has to gain, and no other: none goes there and back, and none
// moves between workers whose share does not change. Workers that start together cost less than one after another.
func TestKeeper_ScalingMovesOnlyWhatFairSharesDemand(t *testing.T) {
	const rest = 8 * period // a newcomer gets leases of others a failover time after the leader has seen it
	for _, shards := range []int{16, 100} {
		for _, test := range []struct {
			name  string
			pause time.Duration // between the starts, and between the stops, of workers
		}{
			{"together", 0},
			{"one after the other", rest},
		} {
			t.Run(fmt.Sprintf("%d shards, workers come and go %s", shards, test.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, shards)
					defer f.end()
					f.start("w0")
					time.Sleep(time.Minute)
					before, moved := f.owners(), f.taken()
					if moved != shards {
						t.Fatalf("%d leases taken at the start", moved)
					}
					step := func(what string, wait time.Duration) {
						t.Helper()
						time.Sleep(wait)
						after, demanded := f.owners(), 0
						for id, n := range after {
							demanded += max(0, n-before[id])
						}
						took := f.taken() - moved
						t.Logf("%s: %d leases moved, now %v", what, took, after)
						if took != demanded {
							t.Errorf("%s: %d leases moved where %d had to: %v, then %v", what, took, demanded, before, after)
						}
						before, moved = after, moved+took
					}
					at := func(what string) {
						if test.pause > 0 {
							step(what, test.pause)
						}
					}

					for _, id := range []string{"w1", "w2", "w3"} {
						f.start(id)
						at(id + " comes")
					}
					step("1 to 4 workers", rest)
					f.balanced(shards, "w0", "w1", "w2", "w3")
					for _, w := range f.workers[:2] {
						w.stop()
						at(w.id + " goes")
					}
					step("4 to 2 workers", rest)
					f.balanced(shards, "w2", "w3")
					step("an hour of rest", time.Hour)
				})
			})
		}
	}
}

// The harness notices a storm: a worker that is stopped and started moves its leases twice.
func TestKeeper_ARestartedWorkerMovesItsLeasesTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 16)
		defer f.end()
		f.start("w0")
		w := f.start("w1")
		time.Sleep(time.Minute)
		before := f.taken()
		w.stop()
		time.Sleep(time.Minute)
		f.start("w2")
		time.Sleep(time.Minute)
		if took := f.taken() - before; took != 16 {
			t.Errorf("%d leases moved, want 16", took)
		}
	})
}
