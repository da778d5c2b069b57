package lease_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/lease"
)

// until waits until is holds, at most for d, and returns how long that took.
func until(t *testing.T, what string, d time.Duration, is func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !is() {
		if time.Since(began) > d {
			t.Errorf("%s: not within %v", what, d)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(began)
}

// three starts three workers with twelve shards, and returns the leader and a follower.
func (f *fleet) three() (leader, follower *worker) {
	f.t.Helper()
	for _, id := range []string{"a", "b", "c"} {
		f.start(id)
	}
	time.Sleep(30 * time.Second)
	f.balanced(12, "a", "b", "c")
	return f.leader(), f.follower()
}

// The lead changes when the leader is gone, soon, and only then. A worker that was taken for dead and is not follows the new leader.
func TestLead_ChangesWhenTheLeaderIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		befalls func(f *fleet, leader *worker) (since time.Time)
		ends    func(leader *worker)
		within  time.Duration // after since
		changes int64         // of the lead
		holds   int           // workers that hold leases in the end
	}{
		"control: nothing happens": {
			befalls: func(*fleet, *worker) time.Time { return time.Now() }, holds: 3,
		},
		"it is killed": {
			befalls: func(_ *fleet, w *worker) time.Time { w.kill(); return w.store.beaten() },
			within:  failover, changes: 1, holds: 2,
		},
		"it stops": {
			befalls: func(_ *fleet, w *worker) time.Time { w.stop(); return time.Now() },
			within:  failover / 2, changes: 2, holds: 2,
		},
		"it stops while its readers take their time": {
			befalls: func(_ *fleet, w *worker) time.Time { w.drainsIn(20 * time.Second); w.stop(); return time.Now() },
			within:  failover / 2, changes: 2, holds: 2,
		},
		"it freezes": {
			befalls: func(_ *fleet, w *worker) time.Time { w.freeze(); return w.store.beaten() },
			ends:    (*worker).thaw, within: failover, changes: 1, holds: 3,
		},
		"its heartbeat is not written": {
			befalls: func(_ *fleet, w *worker) time.Time {
				w.store.fail(func(operation string) error {
					if operation == "heartbeat" {
						return errAway
					}
					return nil
				})
				return w.store.beaten()
			},
			ends: func(w *worker) { w.store.fail(nil) }, within: failover, changes: 1, holds: 3,
		},
		"it cannot read the table": {
			befalls: func(_ *fleet, w *worker) time.Time {
				w.store.fail(func(operation string) error {
					if operation == "scan" {
						return errAway
					}
					return nil
				})
				return time.Now()
			},
			ends: func(w *worker) { w.store.fail(nil) }, within: 3 * failover, changes: 1, holds: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 12)
				defer f.end()
				leader, _ := f.three()
				before := f.lead()
				since := c.befalls(f, leader)
				if c.changes > 0 {
					until(t, "another worker leads", c.within-time.Since(since), func() bool {
						now := f.lead()
						return now.Worker != "" && now.Worker != leader.id
					})
				}
				time.Sleep(time.Minute)
				if c.ends != nil {
					c.ends(leader)
				}
				time.Sleep(5 * time.Minute)
				if changes := f.lead().Term - before.Term; changes != c.changes {
					t.Errorf("the lead changed %d times, want %d", changes, c.changes)
				}
				var holds []string
				leading := 0.0
				for _, w := range f.workers {
					if c.holds == 3 || w != leader {
						holds = append(holds, w.id)
						leading += w.gauge("consumer_leader")
					}
				}
				f.balanced(12, holds...)
				if leading != 1 {
					t.Errorf("%v workers say that they lead", leading)
				}
				snap, err := f.table.Scan(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range snap.Workers {
					if says := w.Fleet != nil; says != (w.ID == f.lead().Worker) && w.ID != leader.id {
						t.Errorf("%s speaks for the fleet: %v", w.ID, says)
					}
				}
				for _, id := range snap.Ordered {
					if o, err := f.table.Orders(t.Context(), id); err != nil || o.Term != f.lead().Term && o.Term != before.Term {
						t.Errorf("%s has orders of term %d in term %d: %v", id, o.Term, f.lead().Term, err)
					}
				}
			})
		})
	}
}

// What a dead worker held is read by others within twice the failover time, whoever dies.
func TestLead_LossOfAWorkerIsHealedWithinTwiceFailover(t *testing.T) {
	for _, leads := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, 12)
			defer f.end()
			dies, follower := f.three()
			if !leads {
				dies = follower
			}
			dies.kill()
			last := dies.store.beaten()
			time.Sleep(time.Until(last.Add(failover - time.Millisecond)))
			if n := f.owners()[dies.id]; n != 4 {
				t.Errorf("the leader died: %v: it holds %d leases before the failover time", leads, n)
			}
			until(t, fmt.Sprintf("the leader died: %v: its leases are read", leads), time.Until(last.Add(2*failover)), func() bool { return f.owners()[dies.id] == 0 })
		})
	}
}

// A table that was deleted and made again has no leader. Whoever followed one knows that there was one, and begins nothing in it.
func TestLead_NobodyLeadsInATableThatWasMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12)
		defer f.end()
		leader, follower := f.three()
		before := make(map[*worker]map[string]int)
		for _, w := range f.workers {
			before[w] = w.store.counts()
			w.store.empty(true)
		}
		time.Sleep(20 * time.Minute)
		for _, w := range []*worker{leader, follower} {
			for _, op := range []string{"create", "acquire", "take lead", "give"} {
				if n := w.store.counts()[op] - before[w][op]; n > 0 {
					t.Errorf("%s made %d calls of %s", w.id, n, op)
				}
			}
			if err := w.Health(); err == nil || !strings.Contains(err.Error(), "no reading of") {
				t.Errorf("health of %s: %v", w.id, err)
			}
		}
		for _, w := range f.workers { // the control
			w.store.empty(false)
		}
		time.Sleep(time.Minute)
		f.balanced(12, "a", "b", "c")
		for _, w := range f.workers {
			if err := w.Health(); err != nil {
				t.Errorf("health of %s: %v", w.id, err)
			}
		}
	})
}

// An operator's move ends the hold of a follower within the failover time.
func TestLead_ARewindReachesAFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12)
		defer f.end()
		_, follower := f.three()
		shard := follower.reading()[0]
		h := follower.reader(shard)
		time.Sleep(3 * time.Minute)
		if h.Context().Err() != nil {
			t.Fatal("control: the hold ended before the move")
		}
		if _, err := f.table.Rewind(t.Context(), h.Lease(), "12"); err != nil {
			t.Fatal(err)
		}
		until(t, "the hold ends", failover, func() bool { return errors.Is(context.Cause(h.Context()), lease.ErrLost) })
		until(t, "the shard is read from its new position", failover, func() bool {
			for _, w := range f.workers {
				if h := w.reader(shard); h != nil && h.Lease().Checkpoint == "12" {
					return true
				}
			}
			return false
		})
	})
}

// A follower that ends a shard begins its children at once, without the leader. In the control it may hold only so many leases, and
// leaves the children to the leader.
func TestLead_AFollowerBeginsTheChildrenOfItsShards(t *testing.T) {
	for _, bounded := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, 2)
			defer f.end()
			for _, id := range []string{"a", "b"} {
				f.start(id, func(c *lease.Config) {
					if bounded {
						c.MaxLeases = 3
					}
				})
			}
			time.Sleep(time.Minute)
			leader, follower := f.leader(), f.follower()
			n := 0
			if follower.reader(shardID(0)) == nil {
				n = 1
			}
			leader.freeze()
			f.stream.reshard([]int{n}, 2, 3)
			f.finish(follower, n)
			time.Sleep(3 * time.Second)
			if bounded {
				f.reads(follower)
			} else {
				f.reads(follower, 2, 3)
			}
			leader.thaw()
			time.Sleep(2 * time.Minute)
			f.balanced(3, "a", "b")
		})
	}
}

// A merge of shards that two workers read begins where the last parent ends.
func TestLead_AFollowerBeginsAMergedShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		f.start("a")
		f.start("b")
		time.Sleep(time.Minute)
		leader, follower := f.leader(), f.follower()
		first, last := 0, 1
		if follower.reader(shardID(0)) != nil {
			first, last = 1, 0
		}
		f.stream.reshard([]int{0, 1}, 2)
		f.finish(leader, first)
		time.Sleep(time.Minute)
		f.reads(leader)
		f.reads(follower, last)
		scans := leader.store.counts()["scan"] // the leader, which may take the child itself, has just looked
		until(t, "the leader scans", failover, func() bool { return leader.store.counts()["scan"] > scans })
		f.finish(follower, last)
		time.Sleep(3 * time.Second)
		f.reads(follower, 2)
		if parents := f.rows()[shardID(2)].Parents; len(parents) != 2 {
			t.Errorf("the row of the child has the parents %v", parents)
		}
	})
}

// Each batch that a dead worker left is one worker's to publish, and all of them take part.
func TestLead_BatchesOfADeadWorkerAreSharedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 40)
		defer f.end()
		var mu sync.Mutex
		left := make(map[string]map[string]bool)
		for _, id := range []string{"a", "b", "c", "d"} {
			w := f.prepare(id)
			w.OnScan(func(s lease.Scan) {
				mu.Lock()
				defer mu.Unlock()
				left[id] = make(map[string]bool)
				for _, b := range s.Left {
					left[id][b.ID] = true
				}
			})
			f.run(w)
		}
		time.Sleep(time.Minute)
		dies := f.follower()
		want := 0
		for _, shard := range dies.reading() {
			if err := f.commit(dies.reader(shard), "41"); err != nil {
				t.Fatal(err)
			}
			want++
		}
		time.Sleep(3 * failover)
		count := func() (by, all int) {
			mu.Lock()
			defer mu.Unlock()
			for id, batches := range left {
				if id != dies.id && len(batches) > 0 {
					by++
					all += len(batches)
				}
			}
			return by, all
		}
		if by, all := count(); all != 0 {
			t.Errorf("control: %d batches of a live worker are left to %d workers", all, by)
		}
		dies.kill()
		time.Sleep(3 * failover)
		if by, all := count(); by != 3 || all != want {
			t.Errorf("%d batches are left to %d workers, want %d to 3", all, by, want)
		}
	})
}

// A worker without company makes no request that it did not make before there were leaders: in an hour at rest it scans and beats.
func TestLead_AWorkerWithoutCompanyAsksNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		w := f.start("w")
		time.Sleep(time.Minute)
		before := w.store.counts()
		time.Sleep(time.Hour)
		after := w.store.counts()
		bounds := map[string]int{"scan": 735, "heartbeat": 1100} // every 5 s and 3.33 s, varied by a tenth
		for op, n := range after {
			if n -= before[op]; n > bounds[op] {
				t.Errorf("%d calls of %s in an hour, want %d or fewer", n, op, bounds[op])
			}
		}
	})
}

// Orders that are deleted, or that seem newer than any that the leader gives, keep no worker from what it should hold: the item that says
// who leads was deleted, so that terms began anew, or the table was put together from two backups.
func TestLead_OrdersAreGivenWhateverTheTableShows(t *testing.T) {
	for name, meddle := range map[string]func(f *fleet, worker string) error{
		"control: nothing": func(*fleet, string) error { return nil },
		"they are deleted": func(f *fleet, w string) error { return f.table.Dismiss(f.t.Context(), w) },
		"they are of a far term": func(f *fleet, w string) error {
			return f.table.GiveOrders(f.t.Context(), w, checkpoint.Orders{Term: 1000})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 12)
				defer f.end()
				leader, follower := f.three()
				if err := meddle(f, follower.id); err != nil {
					t.Fatal(err)
				}
				var stays []string
				for _, w := range f.workers {
					if w == leader || w == follower {
						stays = append(stays, w.id)
						continue
					}
					w.kill()
				}
				until(t, "the others read all shards", 3*failover, func() bool {
					return f.owners()[leader.id] == 6 && f.owners()[follower.id] == 6
				})
				f.balanced(12, stays...)
				o, err := f.table.Orders(t.Context(), follower.id)
				if err != nil || o.Term != f.lead().Term || len(o.Leases) != 6 {
					t.Errorf("orders of term %d for %d leases: %v", o.Term, len(o.Leases), err)
				}
			})
		})
	}
}

func TestLead_DeletedOrdersAreGivenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12)
		defer f.end()
		_, follower := f.three()
		if err := f.table.Dismiss(t.Context(), follower.id); err != nil {
			t.Fatal(err)
		}
		until(t, "there are orders again", failover, func() bool {
			o, err := f.table.Orders(t.Context(), follower.id)
			return err == nil && len(o.Leases) == 4
		})
	})
}

func TestLead_OrdersThatCannotBeReadAreGivenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12)
		defer f.end()
		leader, follower := f.three()
		var damaged atomic.Bool
		damaged.Store(true)
		follower.store.fail(func(operation string) error {
			if operation == "orders" && damaged.Load() {
				return errAway
			}
			return nil
		})
		follower.store.loseAnswers(func(operation string) error {
			if operation == "dismiss" {
				damaged.Store(false)
			}
			return nil
		})
		for _, w := range f.workers {
			if w != leader && w != follower {
				w.kill()
			}
		}
		until(t, "the others read all shards", 4*failover, func() bool {
			return f.owners()[leader.id] == 6 && f.owners()[follower.id] == 6
		})
	})
}

// A table whose scans always take longer than Failover, because DynamoDB throttles them, has one leader all the same, once each worker has
// found out what they take.
func TestLead_DoesNotGoAroundIfScansAreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12)
		defer f.end()
		for _, id := range []string{"a", "b", "c"} {
			w := f.prepare(id)
			w.store.scanTime = 2 * failover
			f.run(w)
		}
		time.Sleep(20 * time.Minute)
		f.balanced(12, "a", "b", "c")
		before, rows := f.lead(), f.rows()
		time.Sleep(time.Hour)
		if now := f.lead(); now != before {
			t.Errorf("%s led in term %d, and now %s leads in term %d", before.Worker, before.Term, now.Worker, now.Term)
		}
		for shard, row := range f.rows() {
			if row.Counter != rows[shard].Counter {
				t.Errorf("%s moved", shard)
			}
		}
	})
}
