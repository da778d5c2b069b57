package lease_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/lease"
)

// finish makes the reader of a shard commit its end.
func (f *fleet) finish(w *worker, n int) {
	f.t.Helper()
	h := w.reader(shardID(n))
	if h == nil {
		f.t.Fatalf("%s does not read %s", w.id, shardID(n))
	}
	if err := f.commit(h, checkpoint.ShardEnd); err != nil {
		f.t.Fatal(err)
	}
	if !errors.Is(context.Cause(h.Context()), lease.ErrShardEnd) {
		f.t.Errorf("cause = %v, want shard end", context.Cause(h.Context()))
	}
}

func (f *fleet) reads(w *worker, want ...int) {
	f.t.Helper()
	var ids []string
	for _, n := range want {
		ids = append(ids, shardID(n))
	}
	if got := w.reading(); !slices.Equal(got, ids) {
		f.t.Errorf("%s reads %v, want %v", w.id, got, ids)
	}
}

func TestKeeper_ChildrenOfASplitWaitForTheirParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		f.stream.reshard([]int{0}, 1, 2)
		time.Sleep(time.Minute)
		f.reads(a, 0)
		if got := a.Snapshot().Leases[1].State; got != lease.Waiting {
			t.Errorf("state of a child = %s, want waiting", got)
		}

		f.finish(a, 0)
		time.Sleep(period)
		f.reads(a, 1, 2)
		if row := f.rows()[shardID(0)]; row.Checkpoint != checkpoint.ShardEnd || row.Owner != "" || row.Counter != 1 {
			t.Errorf("row of the parent after its end: %+v", row)
		}
	})
}

func TestKeeper_AShardThatEndsFindsItsChildrenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		f.start("a")
		b := f.start("b") // not the leading one
		time.Sleep(30 * time.Second)
		n := slices.Index([]string{shardID(0), shardID(1)}, b.reading()[0])
		f.stream.reshard([]int{n}, 7)
		f.finish(b, n)
		time.Sleep(3 * time.Second) // the next listing by the clock may be 20 s away
		f.reads(b, 7)
	})
}

func TestKeeper_TheChildOfAMergeWaitsForBothParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		f.stream.reshard([]int{0, 1}, 2)
		f.finish(a, 1)
		time.Sleep(time.Minute)
		f.reads(a, 0)
		f.finish(a, 0)
		time.Sleep(period)
		f.reads(a, 2)
		if got := f.rows()[shardID(2)].Parents; !slices.Equal(got, []string{shardID(0), shardID(1)}) {
			t.Errorf("parents in the row = %v", got)
		}
	})
}

func TestKeeper_AFreshTableWithParentsLongGoneStartsWithoutThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 0)
		defer f.end()
		f.stream.reshard([]int{0, 1}, 2, 3)
		a := f.start("a")
		time.Sleep(15 * time.Second)
		f.reads(a, 2, 3)
		if got := a.gauge("consumer_trimmed_shards"); got != 0 {
			t.Errorf("trimmed shards = %v, but nothing of this application is lost", got)
		}
	})
}

// The worker that ends a parent lists its children and writes their rows. All others see these rows before they list
// the stream again.
func TestKeeper_ARowThatAnotherWorkerWroteForANewShardIsNoLostShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		b := f.start("b")
		time.Sleep(2 * time.Minute)
		f.balanced(2, "a", "b")
		parent := 0
		if b.reader(shardID(0)) == nil {
			parent = 1
		}
		f.stream.reshard([]int{parent}, 2, 3)
		f.finish(b, parent)
		began := time.Now()
		for time.Since(began) < time.Minute {
			time.Sleep(time.Second)
			for _, w := range []*worker{a, b} {
				if got := w.gauge("consumer_trimmed_shards"); got != 0 {
					t.Fatalf("%s counts %v shards as lost %v after a split", w.id, got, time.Since(began))
				}
			}
			if time.Since(began) == 2*period {
				f.balanced(3, "a", "b")
			}
		}
	})
}

func TestKeeper_AParentThatIsTrimmedBeforeItsEndLetsItsChildrenGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		parent := a.reader(shardID(0))
		f.stream.reshard([]int{0}, 1)
		f.stream.trim(0)
		time.Sleep(2 * time.Minute)
		f.reads(a, 1)
		if got := a.gauge("consumer_trimmed_shards"); got != 1 {
			t.Errorf("trimmed shards = %v, want 1", got)
		}
		if row := f.rows()[shardID(0)]; row.Checkpoint != checkpoint.TrimHorizon || row.Owner != "" {
			t.Errorf("row of the lost parent = %+v: want it kept as evidence, released", row)
		}
		select {
		case <-parent.Draining():
		default:
			t.Error("the parent's reader was not asked to end")
		}
		if got := a.Snapshot().Leases[0].State; got != lease.Trimmed {
			t.Errorf("state = %s, want trimmed", got)
		}
	})
}

func TestKeeper_AShardMissingInTwoListingsStaysAndItsChildrenWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		time.Sleep(30 * time.Second)
		f.stream.reshard([]int{0}, 2)
		f.stream.omit(0, 2)
		time.Sleep(5 * time.Minute)
		if left := f.stream.omissionsLeft(0); left != 0 {
			t.Fatalf("%d gaps were not met", left)
		}
		f.reads(a, 0, 1)
		for shard, row := range f.rows() {
			if row.Counter > 1 {
				t.Errorf("shard %s was let go for a gap in the listing: %+v", shard, row)
			}
		}
	})
}

func TestKeeper_AnUnfinishedShardThatComesBackIsReadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		time.Sleep(30 * time.Second)
		if err := f.commit(a.reader(shardID(0)), "41"); err != nil {
			t.Fatal(err)
		}
		f.stream.omit(0, 6) // more than count as absence
		time.Sleep(5 * time.Minute)
		if left := f.stream.omissionsLeft(0); left != 0 {
			t.Fatalf("%d gaps were not met", left)
		}
		f.reads(a, 0, 1)
		if h := a.reader(shardID(0)); h == nil || h.Lease().Checkpoint != "41" || h.Lease().Counter != 2 {
			t.Error("the shard was not resumed where it was")
		}
	})
}

func TestKeeper_TheRowOfAFinishedShardIsRemovedLongAfterItHasLeftTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		f.stream.reshard([]int{0}, 1)
		f.finish(a, 0)
		time.Sleep(3 * time.Hour)
		if _, ok := f.rows()[shardID(0)]; !ok {
			t.Fatal("the row was removed although the shard is listed")
		}
		f.stream.trim(0)
		time.Sleep(50 * time.Minute)
		if _, ok := f.rows()[shardID(0)]; !ok {
			t.Error("the row was removed at once")
		}
		time.Sleep(20 * time.Minute)
		if _, ok := f.rows()[shardID(0)]; ok {
			t.Error("the row was not removed")
		}
		f.reads(a, 1)
		// A worker that starts now has never seen the parent.
		b := f.start("b")
		a.stop()
		time.Sleep(30 * time.Second)
		f.reads(b, 1)
	})
}

func TestKeeper_LatestIsTheTimeOfTheFirstStartForChildrenToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		latest := func(c *lease.Config) { c.Initial = lease.Latest }
		first := checkpoint.AtTimestamp(time.Now().Truncate(time.Second))
		a := f.start("a", latest)
		time.Sleep(time.Minute)
		f.stream.reshard([]int{0}, 2)
		f.stream.reshard([]int{1}, 3)
		f.finish(a, 0) // with a record, so that the child is known to be younger
		time.Sleep(time.Minute)
		f.start("b", latest)
		time.Sleep(time.Minute)
		rows := f.rows()
		for n, want := range map[int]checkpoint.Position{1: first, 2: checkpoint.TrimHorizon, 3: first} {
			if got := rows[shardID(n)].Checkpoint; got != want {
				t.Errorf("shard %d starts at %s, want %s", n, got, want)
			}
		}
	})
}

func TestKeeper_ATableOfAnotherStreamIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		f.stream.mu.Lock()
		f.stream.created = f.stream.created.Add(time.Hour) // deleted and made again
		f.stream.mu.Unlock()

		b := f.start("b")
		<-b.done
		if !errors.Is(b.err, checkpoint.ErrForeignTable) {
			t.Errorf("Run() of a new worker = %v, want ErrForeignTable", b.err)
		}
		time.Sleep(10 * time.Minute)
		select {
		case <-a.done:
		default:
			t.Fatal("the running worker did not notice")
		}
		if !errors.Is(a.err, checkpoint.ErrForeignTable) {
			t.Errorf("Run() = %v, want ErrForeignTable", a.err)
		}
	})
}

func TestKeeper_ATableIsNotUsedBeforeItsImportHasFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		a.store.mu.Lock()
		a.store.imports = "others"
		a.store.mu.Unlock()
		f.stream.reshard([]int{0}, 1)
		f.finish(a, 0)
		time.Sleep(time.Minute)
		if rows := f.rows(); len(rows) != 1 {
			t.Errorf("a worker that runs made rows: %+v", rows)
		}
		a.store.mu.Lock()
		a.store.imports = ""
		a.store.mu.Unlock()
		time.Sleep(time.Minute)
		f.reads(a, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		about, err := f.stream.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.table.Bind(t.Context(), checkpoint.Application{
			Identity: checkpoint.Identity{Application: "app", Stream: about.Name, StreamCreated: about.Created},
			Initial:  checkpoint.TrimHorizon, Importing: "others",
		}); err != nil {
			t.Fatal(err)
		}
		_, err = f.prepare("a").Bind(t.Context())
		if err == nil || !strings.Contains(err.Error(), "others") || errors.Is(err, checkpoint.ErrForeignTable) {
			t.Errorf("Bind() = %v, want an error that names the table and may pass", err)
		}
	})
}

func TestKeeper_TombstonesAreForgottenAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		f.start("a")
		if _, err := f.table.Bury(t.Context(), "batch-1", "x"); err != nil {
			t.Fatal(err)
		}
		tombstones := func() int {
			snap, err := f.table.Scan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(snap.Tombstones)
		}
		time.Sleep(time.Hour)
		if tombstones() != 1 {
			t.Error("the tombstone was forgotten within the hour")
		}
		time.Sleep(time.Minute)
		if tombstones() != 0 {
			t.Error("the tombstone stayed")
		}
	})
}

func TestKeeper_OnScanNamesTheDeadForTheSweepOfTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		if err := f.commit(a.reader(shardID(0)), "41"); err != nil {
			t.Fatal(err)
		}
		a.kill()

		var mu sync.Mutex
		var last lease.Scan
		b := f.prepare("b")
		b.OnScan(func(s lease.Scan) {
			mu.Lock()
			defer mu.Unlock()
			last = s
		})
		f.run(b)
		time.Sleep(failover / 2)
		mu.Lock()
		if last.Dead["a"] || !slices.Equal(last.Live, []string{"a", "b"}) {
			t.Errorf("before failover: live %v, dead %v", last.Live, last.Dead)
		}
		mu.Unlock()
		time.Sleep(failover)
		mu.Lock()
		defer mu.Unlock()
		if !last.Dead["a"] || !slices.Equal(last.Live, []string{"b"}) {
			t.Errorf("after failover: live %v, dead %v", last.Live, last.Dead)
		}
		if len(last.Snapshot.Batches) != 1 || last.Snapshot.Batches[0].Worker != "a" {
			t.Errorf("outbox = %v", last.Snapshot.Batches)
		}
		if len(last.Left) != 1 || last.Left[0].ID != last.Snapshot.Batches[0].ID {
			t.Errorf("left to b are %v, want what the dead worker left", last.Left)
		}
		mu.Unlock()
		time.Sleep(failover)
		mu.Lock()
		if s := b.Snapshot(); len(s.Outbox) != 1 || s.Outbox[0].Seen < failover {
			t.Errorf("outbox in the snapshot = %+v", s.Outbox)
		}
	})
}

func TestKeeper_TheItemOfADeadWorkerIsRemovedInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		b := f.start("b")
		time.Sleep(30 * time.Second)
		a.kill()
		time.Sleep(5 * time.Minute)
		if s := b.Snapshot(); len(s.Workers) != 2 || !s.Workers[0].Dead || s.Workers[1].Held != 2 {
			t.Errorf("workers = %+v, want the dead one shown", s.Workers)
		}
		time.Sleep(10 * time.Minute)
		if s := b.Snapshot(); len(s.Workers) != 1 {
			t.Errorf("workers = %+v, want one", s.Workers)
		}
	})
}

func TestKeeper_SnapshotTellsHowMuchOfTheRetentionIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		time.Sleep(10 * time.Second)
		for n := range 2 {
			if err := f.commit(a.reader(shardID(n)), "41"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Hour)
		a.reader(shardID(1)).ReachedTip(time.Now())
		time.Sleep(time.Minute)
		leases := a.Snapshot().Leases
		if got := leases[0].RetentionUsed; got < 0.74 || got > 0.76 {
			t.Errorf("shard behind: %v of the retention is used, want 0.75", got)
		}
		if got := leases[1].RetentionUsed; got > 0.01 {
			t.Errorf("idle shard: %v of the retention is used, want nothing", got)
		}
		if got := a.gauge("consumer_retention_used_ratio"); got < 0.74 {
			t.Errorf("metric = %v", got)
		}
	})
}
