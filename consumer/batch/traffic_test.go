package batch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTraffic_IsThatOfTheShardByArrival(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(1e9, 0).Add(d) }
	const m = time.Minute
	for _, test := range []struct {
		name        string
		before      traffic
		bytes       int64
		first, last time.Time
		want        int64
	}{
		{"the first records of a shard", traffic{}, 300_000, at(0), at(5 * m), 1000},
		{"a few at once say little", traffic{}, 60_000, at(0), at(0), 1000},
		{"a row of an earlier release", traffic{0, at(0)}, 600_000, at(9 * m), at(10 * m), 1000},
		{"as before", traffic{1000, at(0)}, 300_000, at(0), at(5 * m), 1000},
		{"half counts after the half-life", traffic{1000, at(0)}, 900_000, at(0), at(5 * m), 2000},
		{"many hours at once, because it lagged", traffic{1000, at(0)}, 36_000_000, at(0), at(10 * time.Hour), 1000},
		{"after a quiet night", traffic{1000, at(0)}, 36_000, at(10 * time.Hour), at(10 * time.Hour), 1},
		{"after a rewind, from the first record on", traffic{1000, time.Time{}}, 900_000, at(0), at(5 * m), 2000},
		{"no time has passed", traffic{1000, at(0)}, 300_000, at(0), at(0), 1693}, // half of it is over five minutes later
		{"arrivals that go back", traffic{1000, at(m)}, 300_000, at(0), at(0), 1693},
		{"almost nothing is not unknown", traffic{1, at(0)}, 1, at(time.Hour), at(time.Hour), 1},
		{"records without payload", traffic{1000, at(0)}, 0, at(5 * m), at(5 * m), 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			want(t, "load", test.before.after(test.bytes, test.first, test.last), test.want)
		})
	}
}

// Small batches and large ones give the same average.
func TestTraffic_DoesNotDependOnTheBatches(t *testing.T) {
	now := time.Unix(1e9, 0)
	small, large := traffic{500, now}, traffic{500, now}
	for n := 1; n <= 600; n++ {
		at := now.Add(time.Duration(n) * time.Second)
		small = traffic{small.after(20_000, at, at), at}
		if n%120 == 0 {
			large = traffic{large.after(120*20_000, at, at), at}
		}
	}
	if small.load < 15_000 || max(small.load, large.load)-min(small.load, large.load) > 200 {
		t.Errorf("%d with a batch per second, %d with one per two minutes", small.load, large.load)
	}
}

func TestPipeline_CommitsTheLoadOfEachShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		load := func(shard string) int64 {
			row, err := w.store.Lease(context.Background(), shard)
			if err != nil {
				t.Fatal(err)
			}
			return row.Load
		}
		busy, idle := w.acquire("shard-1", "a"), w.acquire("shard-2", "a")
		one, two := p.Open(busy), p.Open(idle)
		w.append(two, Intake{Last: "100001", Bytes: 60, FirstArrival: time.Now(), LastArrival: time.Now()}) // yields nothing
		for n := range 8 {
			in := intake("x", 10*n, 10*n+4)
			in.Bytes = 60_000
			w.append(one, in)
			time.Sleep(30 * time.Second)
		}
		time.Sleep(2 * w.limits.Interval)
		synctest.Wait()
		before := load("shard-1")
		if before < 2000 || before > 3000 { // of 60,000 bytes each half a minute, and few of them
			t.Errorf("load of the busy shard: %d", before)
		}
		want(t, "load of the other", load("shard-2"), 1)
		want(t, "as the hold knows it", busy.Lease().Load, load("shard-1"))
		want(t, "the batch is gone", w.checkpoint("shard-1"), "100074")

		// Another worker goes on from there.
		next := p.Open(w.acquire("shard-1", "a"))
		in := intake("x", 100, 104)
		in.Bytes = 1
		w.append(next, in)
		time.Sleep(2 * w.limits.Interval)
		synctest.Wait()
		if now := load("shard-1"); now < before/2 || now > before*3/4 {
			t.Errorf("load after some quiet minutes: %d, before %d", now, before)
		}
	})
}
