package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/lease"
)

const (
	failover = 10 * time.Second // the defaults
	period   = 5 * time.Second
)

func TestKeeper_TenWorkersSpreadAThousandShardsWithinHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1005)
		defer f.end()
		var ids []string
		for n := range 10 {
			id := fmt.Sprintf("w%d", n)
			ids = append(ids, id)
			f.start(id)
		}
		time.Sleep(30 * time.Second)
		f.balanced(1005, ids...)
		for _, w := range f.workers {
			if got, want := len(w.reading()), f.owners()[w.id]; got != want {
				t.Errorf("%s reads %d shards and owns %d", w.id, got, want)
			}
		}
		moved, creations := 0, 0
		for _, row := range f.rows() {
			moved += int(row.Counter) - 1
		}
		for _, w := range f.workers {
			creations += w.store.counts()["create"]
		}
		if moved > 10 {
			t.Errorf("%d leases were taken and given away again", moved)
		}
		if creations != 11 {
			t.Errorf("rows were written in %d calls, want one worker's 11", creations)
		}
	})
}

func TestKeeper_ALoneWorkerTakesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 7)
		defer f.end()
		w := f.start("w")
		time.Sleep(period)
		f.balanced(7, "w")
		if err := w.Health(); err != nil {
			t.Errorf("Health() = %v", err)
		}
		if got := w.gauge("consumer_leases_held"); got != 7 {
			t.Errorf("leases held metric = %v, want 7", got)
		}
	})
}

func TestKeeper_JoinAndLeaveRebalance(t *testing.T) {
	// The leader sees a newcomer with its next scan, and takes leases from others for its sake a failover time later. All of them
	// look for orders twice in a period. Scans come up to a tenth late; a short extra wait lets the engines start readers.
	const (
		joins  = failover + 3*period
		leaves = 2*period + period/5 + time.Second
	)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 20)
		defer f.end()
		f.start("a")
		f.start("b")
		time.Sleep(30 * time.Second)
		f.balanced(20, "a", "b")

		c := f.start("c")
		time.Sleep(joins)
		f.balanced(20, "a", "b", "c")

		c.stop()
		time.Sleep(leaves)
		f.balanced(20, "a", "b")
		<-c.done
		if c.err != nil {
			t.Errorf("Run() = %v after all holds were released", c.err)
		}

		before := f.rows()
		time.Sleep(time.Hour)
		for shard, row := range f.rows() {
			if row.Counter != before[shard].Counter {
				t.Errorf("shard %s moved although the fleet was at rest", shard)
			}
		}
	})
}

func TestKeeper_DrainedReaderKeepsItsLeaseUntilItReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4)
		defer f.end()
		a := f.start("a")
		a.drainsIn(time.Minute)
		time.Sleep(10 * time.Second)
		f.start("b")
		time.Sleep(40 * time.Second)
		f.balanced(4, "a")
		if _, ok := a.Take(a.Shards()[0]); ok {
			t.Error("a shard with a reader was taken a second time")
		}
		time.Sleep(time.Minute)
		f.balanced(4, "a", "b")
		for _, cause := range a.ended() {
			t.Errorf("a hand-over ended a reader's context: %v", cause)
		}
	})
}

func TestKeeper_LeasesOfADeadWorkerAreTakenAfterFailoverAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 10)
		defer f.end()
		a := f.start("a")
		f.start("b")
		time.Sleep(30 * time.Second)
		f.balanced(10, "a", "b")

		a.kill()
		time.Sleep(time.Until(a.store.beaten().Add(failover - time.Millisecond)))
		if got := f.owners()["a"]; got != 5 {
			t.Errorf("the dead worker's leases before failover: %d, want 5", got)
		}
		// One scan saw the last beat late, the next noticed late that it had stood still.
		time.Sleep(2*period + period/5 + time.Second)
		f.balanced(10, "b")
	})
}

func TestKeeper_LeasesOfAnUnknownOwnerAreTakenAfterFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		ghost := checkpoint.Lease{Shard: shardID(0), Checkpoint: checkpoint.TrimHorizon}
		if err := f.table.CreateLeases(t.Context(), []checkpoint.Lease{ghost}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.table.Acquire(t.Context(), ghost, "ghost"); err != nil {
			t.Fatal(err)
		}
		f.start("a")
		time.Sleep(failover - time.Millisecond)
		f.balanced(1, "ghost")
		time.Sleep(2 * period)
		f.balanced(1, "a")
	})
}

func TestKeeper_AFrozenWorkerThatComesBackFindsItsHoldsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 6)
		defer f.end()
		a := f.start("a")
		f.start("b")
		time.Sleep(30 * time.Second)
		held := a.reading()
		holds := make([]*lease.Hold, 0, len(held))
		for _, shard := range held {
			holds = append(holds, a.reader(shard))
		}

		a.freeze()
		time.Sleep(40 * time.Second)
		f.balanced(6, "b")
		if err := a.Health(); err == nil {
			t.Error("a worker without a heartbeat is healthy")
		}
		if got := a.Shards(); len(got) != 3 {
			t.Errorf("the frozen worker gave up %v by the clock alone", got)
		}

		a.thaw()
		time.Sleep(2 * period)
		for _, h := range holds {
			if !errors.Is(context.Cause(h.Context()), lease.ErrLost) {
				t.Errorf("cause of %s = %v, want lost", h.Lease().Shard, context.Cause(h.Context()))
			}
			if err := f.commit(h, "77"); !errors.Is(err, checkpoint.ErrConflict) {
				t.Errorf("commit of a lost hold: %v, want a conflict", err)
			}
		}
		time.Sleep(4 * period)
		f.balanced(6, "a", "b")
	})
}

func TestKeeper_AnOutageOfTheStoreMovesNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12)
		defer f.end()
		var ids []string
		for _, id := range []string{"a", "b", "c"} {
			ids = append(ids, id)
			f.start(id)
		}
		time.Sleep(30 * time.Second)
		before := f.rows()

		var hits atomic.Int64
		for _, w := range f.workers {
			w.store.fail(func(string) error { hits.Add(1); return errAway })
		}
		time.Sleep(5 * time.Minute)
		for _, w := range f.workers {
			if w.Health() == nil {
				t.Errorf("%s is healthy without the store", w.id)
			}
			if len(w.reading()) != 4 {
				t.Errorf("%s reads %v during the outage, want what it held", w.id, w.reading())
			}
			w.store.fail(nil)
		}
		if hits.Load() == 0 {
			t.Fatal("the outage was never met")
		}
		time.Sleep(30 * time.Second)
		f.balanced(12, ids...)
		for shard, row := range f.rows() {
			if row.Counter != before[shard].Counter {
				t.Errorf("shard %s moved after the outage", shard)
			}
		}
		for _, w := range f.workers {
			if err := w.Health(); err != nil {
				t.Errorf("%s after the outage: %v", w.id, err)
			}
		}
	})
}

// A scan is sent before an outage and answered after it. That the others' heartbeats have not moved by then says nothing, nor does the next
// scan, although it follows at once.
func TestKeeper_AScanThatHangsThroughAnOutageMovesNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12)
		defer f.end()
		leader, _ := f.three()
		before := f.rows()
		for _, w := range f.workers {
			w.store.fail(func(operation string) error {
				if operation == "scan" {
					return nil
				}
				return errAway
			})
		}
		hangs := make(chan struct{})
		leader.store.fail(func(operation string) error {
			if operation != "scan" {
				return errAway
			}
			<-hangs
			return nil
		})
		time.Sleep(45 * time.Second)
		leader.store.fail(nil)
		time.Sleep(failover / 2) // the leader's heartbeat happens to be written first
		close(hangs)
		time.Sleep(failover / 3)
		for _, w := range f.workers {
			w.store.fail(nil)
		}
		time.Sleep(time.Minute)
		f.balanced(12, "a", "b", "c")
		for shard, row := range f.rows() {
			if row.Counter != before[shard].Counter {
				t.Errorf("shard %s moved after the outage", shard)
			}
		}
	})
}

func TestKeeper_AcquisitionsWhoseAnswerIsLostAreTakenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 5)
		defer f.end()
		a := f.start("a")
		var lost atomic.Int64
		a.store.loseAnswers(func(operation string) error {
			if operation == "acquire" && lost.Add(1) <= 5 {
				return errAway
			}
			return nil
		})
		time.Sleep(4 * period)
		if lost.Load() < 10 {
			t.Fatalf("%d acquisitions, want 5 without an answer and 5 more", lost.Load())
		}
		for shard, row := range f.rows() {
			if h := a.reader(shard); h == nil || h.Lease().Counter != row.Counter || row.Counter != 2 {
				t.Errorf("shard %s: row %+v is not what its reader holds", shard, row)
			}
		}
	})
}

func TestKeeper_ReleasesThatFailAreMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 6)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		var failed atomic.Int64
		a.store.fail(func(operation string) error {
			if operation == "release" && failed.Add(1) <= 4 {
				return errAway
			}
			return nil
		})
		f.start("b")
		time.Sleep(40 * time.Second)
		if failed.Load() < 4 {
			t.Fatalf("%d releases failed, want 4", failed.Load())
		}
		f.balanced(6, "a", "b")
	})
}

func TestKeeper_RestartGivesANewCounterAfterTheReaderHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		first := a.reader(shardID(0))
		if err := f.commit(first, "41"); err != nil {
			t.Fatal(err)
		}
		first.Restart("the batch was dropped")
		first.Restart("twice")
		if cause := context.Cause(first.Context()); !errors.Is(cause, lease.ErrRestart) {
			t.Errorf("cause = %v, want restart", cause)
		}
		if _, ok := a.Take(shardID(0)); ok {
			t.Error("the shard was offered before its reader had ended")
		}
		time.Sleep(time.Second)
		second := a.reader(shardID(0))
		if second == nil || second == first {
			t.Fatal("there is no new reader")
		}
		was, is := first.Lease(), second.Lease()
		if is.Counter != was.Counter+1 || is.Checkpoint != "41" {
			t.Errorf("lease after the restart: %+v, before: %+v", is, was)
		}
		first.Release(context.Background())
		if a.reader(shardID(0)) != second || second.Context().Err() != nil {
			t.Error("a late release touched the new hold")
		}
	})
}

func TestKeeper_ARestartWhileStoppingReleasesInstead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		a.drainsIn(time.Hour)
		time.Sleep(10 * time.Second)
		a.stop()
		synctest.Wait()
		a.reader(shardID(0)).Restart("the batch was dropped")
		<-a.done
		if a.err != nil {
			t.Errorf("Run() = %v", a.err)
		}
		f.balanced(1, "")
		if got := f.rows()[shardID(0)].Counter; got != 1 {
			t.Errorf("counter = %d: the lease was acquired once more", got)
		}
	})
}

func TestKeeper_ARestartWhileDrainingHandsOverInstead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		a.drainsIn(time.Hour)
		time.Sleep(10 * time.Second)
		f.start("b")
		time.Sleep(20 * time.Second)
		for _, shard := range a.reading() {
			h := a.reader(shard)
			select {
			case <-h.Draining():
				h.Restart("the batch was dropped")
			default:
			}
		}
		time.Sleep(20 * time.Second)
		f.balanced(2, "a", "b")
		for shard, row := range f.rows() {
			if row.Owner == "b" && row.Counter != 2 {
				t.Errorf("shard %s has counter %d, want one acquisition by each", shard, row.Counter)
			}
		}
	})
}

func TestKeeper_RowsOlderThanWhatIsKnownChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		defer f.end()
		a := f.start("a")
		a.store.mu.Lock()
		a.store.scanTime = 3 * time.Second
		a.store.mu.Unlock()
		time.Sleep(30 * time.Second)
		restarts := 0
		for range 100 {
			time.Sleep(700 * time.Millisecond)
			if h := a.reader(shardID(1)); h != nil {
				h.Restart("the batch was dropped")
				restarts++
			}
		}
		time.Sleep(10 * time.Second)
		if len(a.ended()) != restarts || restarts < 50 {
			t.Errorf("%d readers ended for %d restarts", len(a.ended()), restarts)
		}
		for _, cause := range a.ended() {
			if !errors.Is(cause, lease.ErrRestart) {
				t.Errorf("cause = %v, want restart", cause)
			}
		}
		if got := f.rows()[shardID(1)].Counter; got != int64(restarts)+1 {
			t.Errorf("counter = %d after %d restarts", got, restarts)
		}
	})
}

func TestKeeper_AWorkerWhoseHeartbeatIsNotWrittenTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 4)
		defer f.end()
		a := f.prepare("a")
		var failed atomic.Int64
		a.store.fail(func(operation string) error {
			if operation == "heartbeat" {
				failed.Add(1)
				return errAway
			}
			return nil
		})
		f.run(a)
		b := f.start("b")
		time.Sleep(time.Minute)
		f.balanced(4, "b")
		if failed.Load() == 0 || a.store.counts()["acquire"] != 0 {
			t.Errorf("%d heartbeats failed, %d leases tried for", failed.Load(), a.store.counts()["acquire"])
		}
		if a.Health() == nil || b.Health() != nil {
			t.Errorf("health: %v, %v", a.Health(), b.Health())
		}
	})
}

func TestKeeper_ShutdownReleasesEverythingAndSignsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 9)
		defer f.end()
		a := f.start("a")
		a.drainsIn(20 * time.Second)
		time.Sleep(10 * time.Second)
		began := time.Now()
		a.stop()
		<-a.done
		if a.err != nil {
			t.Errorf("Run() = %v", a.err)
		}
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("Run took %v to end, want as long as its readers", took)
		}
		f.balanced(9, "")
		if snap, _ := f.table.Scan(t.Context()); len(snap.Workers) != 0 {
			t.Errorf("heartbeats left: %v", snap.Workers)
		}
	})
}

func TestKeeper_ShutdownEndsReadersThatDoNotRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		defer f.end()
		a := f.start("a", func(c *lease.Config) { c.Grace = 15 * time.Second })
		a.drainsIn(time.Hour)
		time.Sleep(10 * time.Second)
		began := time.Now()
		a.stop()
		<-a.done
		synctest.Wait()
		if a.err == nil || time.Since(began) != 15*time.Second {
			t.Errorf("Run() = %v after %v, want an error after the grace", a.err, time.Since(began))
		}
		for _, cause := range a.ended() {
			if !errors.Is(cause, lease.ErrShutdown) {
				t.Errorf("cause = %v, want shutdown", cause)
			}
		}
		f.balanced(3, "")
	})
}

// The leader scans and beats, and asks nothing more than a worker without company. A follower beats, and looks at the leader's
// heartbeat.
func TestKeeper_RequestsAtRestDoNotGrowWithTheShards(t *testing.T) {
	for _, shards := range []int{2, 500} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, shards)
			defer f.end()
			a := f.start("a")
			time.Sleep(10 * time.Second)
			f.start("b")
			f.start("c")
			time.Sleep(2 * time.Minute)
			before := make(map[*worker]map[string]int)
			for _, w := range f.workers {
				before[w] = w.store.counts()
			}
			time.Sleep(10 * time.Minute)
			for _, w := range f.workers {
				bounds := map[string][2]int{"heartbeat": {160, 200}, "worker": {200, 300}} // one in 3.3 s, and one in 2.5 s or less
				if w == a {
					bounds = map[string][2]int{"heartbeat": {160, 200}, "scan": {110, 134}} // one in 5 s
				}
				for op, n := range w.store.counts() {
					if n -= before[w][op]; n < bounds[op][0] || n > bounds[op][1] {
						t.Errorf("%d shards: %s made %d calls of %s in 10 minutes, want %v", shards, w.id, n, op, bounds[op])
					}
				}
			}
		})
	}
}

func TestKeeper_MaxLeasesIsNotExceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 10)
		defer f.end()
		a := f.start("a", func(c *lease.Config) { c.MaxLeases = 3 })
		time.Sleep(2 * time.Minute)
		if got := f.owners(); got["a"] != 3 || got[""] != 7 {
			t.Errorf("owners = %v, want 3 leases held", got)
		}
		if got := a.gauge("consumer_leases_free"); got != 7 {
			t.Errorf("free leases metric = %v, want 7", got)
		}
	})
}

// Whoever leads, each worker holds as many leases as it may, and the others hold the rest.
func TestKeeper_MaxLeasesIsEachWorkersOwn(t *testing.T) {
	for name, most := range map[string][3]int{"the leader has a bound": {1, 0, 0}, "a follower has one": {0, 1, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 11)
				defer f.end()
				for i, id := range []string{"a", "b", "c"} {
					f.start(id, func(c *lease.Config) { c.MaxLeases = most[i] })
					time.Sleep(time.Second)
				}
				time.Sleep(2 * time.Minute)
				if leader := f.leader().id; leader != "a" {
					t.Fatalf("%s leads", leader)
				}
				for i, id := range []string{"a", "b", "c"} {
					if want, got := 5-4*count(most[i] == 1), f.owners()[id]; got != want {
						t.Errorf("%s holds %d, want %d", id, got, want)
					}
				}
			})
		})
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func TestKeeper_ARewoundLeaseIsLostAndStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		first := a.reader(shardID(0))
		if _, err := f.table.Rewind(t.Context(), first.Lease(), "12"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * period)
		if !errors.Is(context.Cause(first.Context()), lease.ErrLost) {
			t.Errorf("cause = %v, want lost", context.Cause(first.Context()))
		}
		if h := a.reader(shardID(0)); h == nil || h.Lease().Checkpoint != "12" {
			t.Error("the shard was not taken again from its new position")
		}
	})
}

func TestKeeper_AShardWhoseReaderFailedIsOfferedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		h := a.reader(shardID(0))
		h.Release(context.Background())
		h.Release(context.Background())
		if !errors.Is(context.Cause(h.Context()), lease.ErrReleased) {
			t.Errorf("cause = %v, want released", context.Cause(h.Context()))
		}
		time.Sleep(2 * time.Second)
		if again := a.reader(shardID(0)); again == nil || again.Lease().Counter != 2 {
			t.Error("nobody reads the shard")
		}
	})
}
