package lease_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/lease"
)

// catchingUp is a reader at the tip of its shard: once a second it learns that there is nothing more.
func catchingUp(h *lease.Hold) {
	for {
		h.CaughtUp(h.Lease().Checkpoint, time.Now())
		select {
		case <-h.Context().Done():
			return
		case <-h.Draining():
			return
		case <-time.After(time.Second):
		}
	}
}

// behind fails unless the statement is at most d old.
func (f *fleet) behind(d time.Duration) {
	f.t.Helper()
	c, err := f.table.Complete(f.t.Context())
	if age := time.Since(c.UpTo); err != nil || age > d || age < lease.Margin {
		f.t.Errorf("all is complete up to %v, %v ago, want %v to %v: %v", c.UpTo, age, lease.Margin, d, err)
	}
}

// lag is how old a statement may be: the margin, a listing, and three scans of the leading worker and a heartbeat.
const lag = lease.Margin + 17*time.Second + 3*5500*time.Millisecond + 4*time.Second

func TestKeeper_StatesThatAnIdleStreamIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 6)
		defer f.end()
		for _, id := range []string{"a", "b", "c"} {
			w := f.prepare(id)
			w.deliver = catchingUp
			f.run(w)
		}
		time.Sleep(3 * time.Minute)
		f.behind(lag)
		if got := f.workers[2].Complete(); time.Since(got.UpTo) > lag+6*time.Second || got.Shards != 6 {
			t.Errorf("worker c knows of %+v", got)
		}
		if got := f.workers[1].gauge("consumer_complete_timestamp_seconds"); time.Since(time.UnixMilli(int64(got*1000))) > lag+6*time.Second {
			t.Errorf("the metric of worker b is %v", got)
		}

		f.stream.reshard([]int{0}, 6, 7)
		f.stream.reshard([]int{1, 2}, 8)
		time.Sleep(time.Minute)
		before, _ := f.table.Complete(t.Context())
		time.Sleep(time.Minute)
		if after, _ := f.table.Complete(t.Context()); after != before {
			t.Errorf("the statement rose from %+v to %+v while nobody reads the children", before, after)
		}
		for _, n := range []int{0, 1, 2} {
			for _, w := range f.workers {
				if h := w.reader(shardID(n)); h != nil {
					if err := f.commit(h, checkpoint.ShardEnd); err != nil {
						t.Error(err)
					}
				}
			}
		}
		f.publish()
		time.Sleep(3 * time.Minute)
		f.behind(lag)

		f.workers[0].kill() // the leading one
		time.Sleep(3 * time.Minute)
		f.behind(lag)
	})
}

func TestKeeper_WaitsWithItsStatement(t *testing.T) {
	for name, c := range map[string]struct {
		hold   func(t *testing.T, f *fleet)
		resume func(t *testing.T, f *fleet)
	}{
		"for a batch that is not published": {
			hold: func(t *testing.T, f *fleet) {
				if err := f.commit(f.workers[1].reader(f.workers[1].reading()[0]), "7"); err != nil {
					t.Error(err)
				}
			},
			resume: func(t *testing.T, f *fleet) {
				f.publish()
			},
		},
		"for a listing": {
			hold:   func(_ *testing.T, f *fleet) { f.stream.hush("list", true) },
			resume: func(_ *testing.T, f *fleet) { f.stream.hush("list", false) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 4)
				defer f.end()
				for _, id := range []string{"a", "b"} {
					w := f.prepare(id)
					w.deliver = catchingUp
					f.run(w)
				}
				time.Sleep(3 * time.Minute)
				f.behind(lag)
				c.hold(t, f)
				time.Sleep(30 * time.Second) // what was known before may still be stated
				before, _ := f.table.Complete(t.Context())
				time.Sleep(10 * time.Minute)
				if after, _ := f.table.Complete(t.Context()); after != before {
					t.Errorf("the statement rose from %+v to %+v", before, after)
				}
				c.resume(t, f)
				time.Sleep(2 * time.Minute)
				f.behind(lag)
			})
		})
	}
}

func TestKeeper_ARewindTakesTheStatementBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		defer f.end()
		w := f.prepare("a")
		w.deliver = catchingUp
		f.run(w)
		time.Sleep(3 * time.Minute)
		f.behind(lag)
		// The rewound shard is not read again until a reader is there; its row alone says what is complete.
		w.deliver = func(h *lease.Hold) { <-h.Context().Done() }
		row := f.rows()[shardID(1)]
		to := time.Now().Add(-time.Hour).Truncate(time.Millisecond).UTC()
		if _, err := f.table.Rewind(t.Context(), row, checkpoint.AtTimestamp(to)); err != nil {
			t.Fatal(err)
		}
		if c, _ := f.table.Complete(t.Context()); !c.UpTo.IsZero() {
			t.Errorf("after the rewind the statement is %+v", c)
		}
		time.Sleep(5 * time.Minute)
		if c, _ := f.table.Complete(t.Context()); !c.UpTo.Equal(to.Add(-lease.Margin)) {
			t.Errorf("after the rewind to %v the statement is %+v", to, c)
		}
	})
}

// One worker makes the statements, with one write for each. The others write and read nothing for it.
func TestKeeper_TheStatementCostsAWriteAScan(t *testing.T) {
	for _, workers := range []int{1, 20} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 40)
				defer f.end()
				for n := range workers {
					w := f.prepare(fmt.Sprintf("w%02d", n))
					w.deliver = catchingUp
					f.run(w)
				}
				time.Sleep(5 * time.Minute)
				before := make([]map[string]int, workers)
				for i, w := range f.workers {
					before[i] = w.store.counts()
				}
				time.Sleep(10 * time.Minute)
				raised, by := 0, 0
				for i, w := range f.workers {
					n := w.store.counts()["raise"] - before[i]["raise"]
					raised += n
					if n > 0 {
						by++
					}
				}
				if by != 1 {
					t.Errorf("%d workers made statements, want the leader alone", by)
				}
				t.Logf("%d statements in ten minutes, %d in a day", raised, 144*raised)
				if raised > 60 || raised < 30 {
					t.Errorf("%d statements in ten minutes, want one in 10 to 20 s", raised)
				}
				f.behind(lag)
			})
		})
	}
}

func TestKeeper_OutlivesAStoreThatRefusesItsStatements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		w := f.prepare("a")
		w.deliver = catchingUp
		w.store.fail(func(operation string) error {
			if operation == "raise" {
				return errors.New("access denied")
			}
			return nil
		})
		f.run(w)
		time.Sleep(3 * time.Minute)
		if c, _ := f.table.Complete(t.Context()); !c.UpTo.IsZero() || len(w.reading()) != 2 {
			t.Errorf("statement %+v, reading %v", c, w.reading())
		}
		w.store.fail(nil)
		time.Sleep(30 * time.Second)
		f.behind(lag)
	})
}
