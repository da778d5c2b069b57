package lease_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/lease"
)

var stop = time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)

func stopping(c *lease.Config) { c.Stop = stop }

// through makes the readers of a worker commit one position and stop after it.
func (f *fleet) through(w *worker) {
	w.deliver = func(h *lease.Hold) {
		if f.commit(h, "7") == nil {
			_ = h.Stop(context.Background())
		}
	}
}

// publish forgets all batches of the outbox, as whoever has published them does.
func (f *fleet) publish() {
	f.t.Helper()
	snap, err := f.table.Scan(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, b := range snap.Batches {
		if err := f.table.Forget(context.Background(), b.ID); err != nil {
			f.t.Fatal(err)
		}
	}
}

// isFinished reports whether the worker has ended because everything before the stop is delivered.
func (w *worker) isFinished(t *testing.T) bool {
	t.Helper()
	synctest.Wait()
	select {
	case <-w.done:
	default:
		if yes, _ := w.Finished(); yes {
			t.Error("a worker calls the run finished and goes on")
		}
		return false
	}
	yes, _ := w.Finished()
	if w.err != nil {
		t.Errorf("worker %s ended with %v", w.id, w.err)
	}
	return yes
}

// Three workers stop, one of them dies; what it committed must be published first, and its shards must be read by others.
func TestFinish_AllWorkersEndWhenEverythingIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 7)
		defer f.end()
		c := f.start("c", stopping) // holds its shards and does nothing
		time.Sleep(time.Minute)     // a shard that has passed is nobody's: those who come first would leave c none
		a, b := f.prepare("a", stopping), f.prepare("b", stopping)
		for _, w := range []*worker{a, b} {
			f.through(w)
			f.run(w)
		}
		time.Sleep(time.Minute)
		if len(c.reading()) == 0 || a.isFinished(t) || b.isFinished(t) {
			t.Fatalf("c reads %v, and others have finished", c.reading())
		}
		c.kill()
		time.Sleep(2 * time.Minute)
		for shard, row := range f.rows() {
			if !row.Passed(stop) || row.Owner != "" && row.Owner != "c" {
				t.Errorf("%s is %+v, want it stopped and released", shard, row)
			}
		}
		if a.isFinished(t) || b.isFinished(t) {
			t.Error("finished with batches that are not published")
		}
		f.publish()
		time.Sleep(3 * period) // the leader's scan, and the other's look at its heartbeat
		if !a.isFinished(t) || !b.isFinished(t) {
			t.Error("not finished although everything is published")
		}

		// A worker of the same run that starts now has nothing to do; one with a later stop does.
		again := f.start("again", stopping)
		time.Sleep(2*period + failover) // it waits for c, in case it lives
		if !again.isFinished(t) || again.store.counts()["acquire"] > 0 {
			t.Errorf("a second start acquired %d leases, finished %v", again.store.counts()["acquire"], again.isFinished(t))
		}
		later := f.start("later", func(c *lease.Config) { c.Stop = stop.Add(time.Hour) })
		time.Sleep(time.Minute)
		if len(later.reading()) != 7 || later.isFinished(t) {
			t.Errorf("with a later stop %v are read", later.reading())
		}
	})
}

// The children of an ended shard are in no listing that began before its end, and still belong to the run.
func TestFinish_WaitsForChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.prepare("a", stopping)
		a.deliver = func(h *lease.Hold) {
			switch h.Lease().Shard {
			case shardID(0):
				f.stream.hush("list", true) // nobody learns of the children now
				f.stream.reshard([]int{0}, 2, 3)
				_ = f.commit(h, checkpoint.ShardEnd)
				f.publish()
			case shardID(2):
				time.Sleep(10 * time.Minute)
				_ = h.Stop(context.Background())
			default:
				_ = h.Stop(context.Background())
			}
		}
		f.run(a)
		time.Sleep(time.Minute)
		if a.isFinished(t) {
			t.Fatal("finished with a listing from before the end of a shard")
		}
		f.stream.hush("list", false)
		time.Sleep(5 * time.Minute)
		if a.isFinished(t) {
			t.Fatal("finished before a child")
		}
		time.Sleep(10 * time.Minute)
		if !a.isFinished(t) {
			t.Fatal("not finished after all children")
		}
		if _, listed := f.rows()[shardID(3)]; !listed {
			t.Error("a child has no row")
		}
	})
}

// The children of a shard that has stopped hold nothing that arrived before. They need not be read, nor have rows.
func TestFinish_StoppedParentsStandForTheirChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		f.stream.reshard([]int{0, 1}, 2)
		f.stream.reshard([]int{2}, 3, 4)
		a := f.prepare("a", stopping)
		f.through(a)
		f.run(a)
		time.Sleep(time.Minute)
		f.publish()
		time.Sleep(time.Minute)
		if !a.isFinished(t) {
			t.Error("not finished")
		}
		for _, n := range []int{2, 3, 4} {
			if row := f.rows()[shardID(n)]; row.Counter > 0 {
				t.Errorf("the child was acquired: %+v", row)
			}
		}
	})
}

// A stream that is split and merged again and again has as many ways from a shard to its ancestors as there are numbers.
func TestFinish_LooksAtEachAncestorOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		whole := 0
		for n := range 60 {
			f.stream.reshard([]int{whole}, 3*n+1, 3*n+2)
			f.stream.reshard([]int{3*n + 1, 3*n + 2}, 3*n+3)
			whole = 3*n + 3
		}
		a := f.prepare("a", stopping)
		a.deliver = func(h *lease.Hold) { _ = h.Stop(context.Background()) }
		f.run(a)
		time.Sleep(time.Minute)
		if !a.isFinished(t) {
			t.Error("not finished")
		}
	})
}

// The end of a run must not hang on a shard that cannot be read any more, and says that it was lost.
func TestFinish_CountsShardsThatLeftTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.prepare("a", stopping)
		a.deliver = func(h *lease.Hold) {
			if h.Lease().Shard == shardID(1) {
				_ = h.Stop(context.Background())
			}
		}
		f.run(a)
		time.Sleep(time.Minute)
		f.stream.trim(0)
		time.Sleep(5 * time.Minute)
		if _, lost := a.Finished(); !a.isFinished(t) || lost != 1 {
			t.Errorf("finished %v with %d shards lost, want 1", a.isFinished(t), lost)
		}
		if c, _ := f.table.Complete(t.Context()); !c.UpTo.Before(stop) {
			t.Errorf("with a shard lost it is stated that all is complete up to %v", c.UpTo)
		}
	})
}

// Whoever waits for the range must not wait for ever: after the run nobody makes another statement. What is stated names the
// rewinds that were known before the rows were read, so a rewind has the shard read again before the worker ends.
func TestFinish_StatesThatTheRangeIsComplete(t *testing.T) {
	for name, moves := range map[string]bool{"nothing is moved": false, "a shard is moved back at the last moment": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 3)
				defer f.end()
				until := time.Now().Add(time.Minute)
				var moved sync.Once
				rewind := func() {
					for _, row := range f.rows() {
						if !row.Passed(until) {
							return
						}
					}
					moved.Do(func() {
						if _, err := f.table.Rewind(t.Context(), f.rows()[shardID(1)], checkpoint.TrimHorizon); err != nil {
							t.Error(err)
						}
					})
				}
				w := f.prepare("a", func(c *lease.Config) { c.Stop = until })
				f.through(w)
				w.store.fail(func(operation string) error {
					if moves && operation == "raise" {
						rewind()
					}
					return nil
				})
				f.run(w)
				for range 20 {
					time.Sleep(10 * time.Second)
					f.publish()
				}
				if !w.isFinished(t) {
					t.Error("not finished")
				}
				c, err := f.table.Complete(t.Context())
				if err != nil || !c.UpTo.Equal(until) || c.Shards != 3 || c.At.IsZero() || c.Rewinds > 0 != moves {
					t.Errorf("at the end all is complete up to %+v, want %v; %v", c, until, err)
				}
				for shard, row := range f.rows() {
					if !row.Passed(until) {
						t.Errorf("at the end %s is %+v", shard, row)
					}
				}
			})
		})
	}
}

// The leader may die when the run is at its end, before it has told anybody. Whoever takes the lead states it, and ends after it has
// waited for the dead one.
func TestFinish_StatesThatTheRangeIsCompleteAlthoughTheLeaderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		defer f.end()
		for _, id := range []string{"a", "b"} {
			w := f.prepare(id, stopping)
			f.through(w)
			f.run(w)
			time.Sleep(period)
		}
		time.Sleep(time.Minute) // a batch keeps both
		a, b := f.workers[0], f.workers[1]
		a.kill()
		f.publish()
		if a.store.counts()["take lead"] == 0 {
			t.Fatal("the worker that died did not lead")
		}
		time.Sleep(failover + period)
		c, err := f.table.Complete(t.Context())
		if err != nil || !c.UpTo.Equal(stop) {
			t.Errorf("all is complete up to %+v, want %v; %v", c, stop, err)
		}
		time.Sleep(failover)
		if !b.isFinished(t) || err != nil || !c.UpTo.Equal(stop) {
			t.Errorf("finished %v, all is complete up to %+v, want %v; %v", b.isFinished(t), c, stop, err)
		}
	})
}
