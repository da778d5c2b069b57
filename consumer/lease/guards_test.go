package lease_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/lease"
)

// A worker that starts a day later has the same setting LATEST. Shards that it finds begin where the application first
// began: what was written to them before this start was never read.
func TestKeeper_LatestIsNotTakenAnewByALaterStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		latest := func(c *lease.Config) { c.Initial = lease.Latest }
		first := checkpoint.AtTimestamp(time.Now().Truncate(time.Second))
		a := f.start("a", latest)
		time.Sleep(time.Minute)
		a.stop()
		<-a.done

		time.Sleep(24 * time.Hour)
		f.stream.reshard(nil, 5)
		b := f.start("b", latest)
		time.Sleep(time.Minute)
		if got := f.rows()[shardID(5)].Checkpoint; got != first {
			t.Errorf("a shard found by the second start begins at %s, want %s", got, first)
		}
		if app := b.Snapshot().Application; app.Initial != first {
			t.Errorf("the application begins at %s after its second start, want %s", app.Initial, first)
		}
	})
}

// The table was lost and made again, under a running worker. To begin anew in it would deliver everything again.
func TestKeeper_MakesNoRowsInATableThatWasMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(time.Minute)
		f.reads(a, 0)
		before := a.store.counts()
		a.store.empty(true)
		f.stream.reshard(nil, 5)
		time.Sleep(20 * time.Minute) // also the stream is described again
		after := a.store.counts()
		if after["create"] != before["create"] || after["acquire"] != before["acquire"] {
			t.Errorf("it made %v of the calls, before %v", after, before)
		}
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "lease table") {
			t.Errorf("its health is %v", err)
		}
		f.reads(a, 0)
		a.store.empty(false) // the control
		time.Sleep(time.Minute)
		f.reads(a, 0, 5)
	})
}

// Whichever parent ends first, the child of a merge begins after the other, too.
func TestKeeper_TheChildOfAMergeWaitsForTheParentThatEndsLast(t *testing.T) {
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, 2)
			defer f.end()
			a := f.start("a")
			time.Sleep(10 * time.Second)
			f.stream.reshard([]int{0, 1}, 2)
			f.finish(a, order[0])
			time.Sleep(time.Minute)
			f.reads(a, order[1])
			f.finish(a, order[1])
			time.Sleep(period)
			f.reads(a, 2)
		})
	}
}

// Rows are written in separate requests: a worker that dies in between may leave a child's row without its parent's.
func TestKeeper_AChildWaitsForAParentThatHasNoRowYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		f.stream.reshard([]int{0}, 1)
		child := checkpoint.Lease{Shard: shardID(1), Parents: []string{shardID(0)}, Checkpoint: checkpoint.TrimHorizon}
		if err := f.table.CreateLeases(context.Background(), []checkpoint.Lease{child}); err != nil {
			t.Fatal(err)
		}
		a := f.prepare("a")
		a.store.fail(func(operation string) error {
			if operation == "create" {
				return errAway
			}
			return nil
		})
		f.run(a)
		time.Sleep(time.Minute)
		f.reads(a)
		a.store.fail(nil)
		time.Sleep(time.Minute)
		f.reads(a, 0)
	})
}

// The row of a finished shard keeps it from being read again until the shard has left the stream. An old listing, which
// still has the shard, must not bring it back at its beginning.
func TestKeeper_MakesNoRowsFromAnOldListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		f.stream.reshard([]int{0}, 1)
		f.finish(a, 0)
		time.Sleep(time.Minute)
		f.reads(a, 1)
		f.stream.mu.Lock()
		f.stream.err = errAway
		f.stream.mu.Unlock()
		time.Sleep(20 * time.Minute)
		// A worker that can list the stream has found the shard gone.
		if err := f.table.DeleteLease(context.Background(), f.rows()[shardID(0)]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if row, back := f.rows()[shardID(0)]; back {
			t.Errorf("the row is back: %+v", row)
		}
	})
}

// startBare starts a worker without an engine: the test is the reader.
func (f *fleet) startBare(id string) *worker {
	f.t.Helper()
	w := f.prepare(id)
	ctx, cancel := context.WithCancel(f.t.Context())
	w.stop = cancel
	f.workers = append(f.workers, w)
	go func() {
		defer close(w.done)
		w.err = w.Run(ctx)
	}()
	return w
}

func TestKeeper_ALeaseIsGivenToOneReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.startBare("a")
		time.Sleep(10 * time.Second)
		h, ok := a.Take(shardID(0))
		if !ok {
			t.Fatal("the lease was not offered")
		}
		if _, again := a.Take(shardID(0)); again {
			t.Error("the lease was given to a second reader")
		}
		h.Release(context.Background())
	})
}

// Its heartbeat was removed, or it died before it wrote one: what it committed must still be published.
func TestKeeper_AWorkerThatOnlyABatchNamesIsDeadAfterFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.prepare("a")
		var last lease.Scan
		a.OnScan(func(s lease.Scan) { last = s })
		f.run(a)
		time.Sleep(10 * time.Second)
		row := a.reader(shardID(0)).Lease()
		err := f.table.Commit(context.Background(), checkpoint.Batch{ID: "left", Worker: "ghost", Created: time.Now(), Ranges: []checkpoint.Range{{
			Shard: row.Shard, Start: row.Checkpoint, End: "41", LeaseOwner: row.Owner, LeaseCounter: row.Counter}}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * period)
		synctest.Wait()
		if !last.Dead["ghost"] {
			t.Errorf("dead are %v, want the worker that only a batch names", last.Dead)
		}
	})
}

// A reader may take its time to end. Until it has, no other reader in this process may get the shard: its cursor and
// its budget would be handed out twice.
func TestKeeper_ALostLeaseIsNotOfferedBeforeItsReaderHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.startBare("a")
		time.Sleep(10 * time.Second)
		h, ok := a.Take(shardID(0))
		if !ok {
			t.Fatal("the lease was not offered")
		}
		if _, err := f.table.Rewind(t.Context(), h.Lease(), "12"); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(period)
			if _, ok := a.Take(shardID(0)); ok {
				t.Fatal("the lease was offered although its reader has not ended")
			}
		}
		if !errors.Is(context.Cause(h.Context()), lease.ErrLost) {
			t.Errorf("cause = %v, want lost", context.Cause(h.Context()))
		}
		h.Release(context.Background())
		time.Sleep(3 * period)
		if h, ok := a.Take(shardID(0)); !ok || h.Lease().Checkpoint != "12" {
			t.Error("the shard was not offered again after its reader had ended")
		} else {
			h.Release(context.Background())
		}
	})
}

// These gauges show operators whether all shards are read, and whether in time.
func TestKeeper_GaugesTellWhichLeasesAreReadAndHowLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		defer f.end()
		a := f.start("a", func(c *lease.Config) { c.MaxLeases = 1 })
		time.Sleep(time.Minute)
		gauges := func(when string, want map[string]float64) {
			t.Helper()
			for name, value := range want {
				if got := a.gauge(name); got != value {
					t.Errorf("%s: %s is %v, want %v", when, name, got, value)
				}
			}
		}
		gauges("at first", map[string]float64{"consumer_leases": 3, "consumer_leases_held": 1, "consumer_leases_free": 2, "consumer_workers": 1,
			"consumer_retention_used_ratio": 0, "consumer_retention_seconds": 4 * 3600})

		shard := a.reading()[0]
		if err := f.commit(a.reader(shard), "41"); err != nil {
			t.Fatal(err)
		}
		a.reader(shard).Committed(checkpoint.Range{Shard: shard, Start: "41", End: "41", Load: 5000})
		gauges("after a commit", map[string]float64{"consumer_leases_held_bytes_per_second": 5000})
		time.Sleep(2 * time.Hour)
		if got := a.gauge("consumer_retention_used_ratio"); got < 0.49 || got > 0.51 {
			t.Errorf("two hours later %v of four hours' retention are used", got)
		}
		if err := f.commit(a.reader(shard), checkpoint.ShardEnd); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		gauges("after the end of one", map[string]float64{"consumer_leases": 2, "consumer_leases_held": 1, "consumer_leases_free": 1,
			"consumer_leases_held_bytes_per_second": 0})
	})
}
