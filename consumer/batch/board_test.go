package batch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/metrics"
)

func reading(t *testing.T, g prometheus.Gauge) time.Duration {
	t.Helper()
	var m dto.Metric
	if err := g.Write(&m); err != nil {
		t.Fatal(err)
	}
	return time.Duration(m.GetGauge().GetValue() * float64(time.Second))
}

// The store is away for half an hour and no further record comes: the sealed batch is as late as it is.
func TestFreshness_CountsABatchThatWaitsForItsCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 5))
		w.faults(func(operation string, _ bool) error { return errPlanted })
		time.Sleep(30 * time.Minute)
		p.Observe()
		want(t, "freshness", reading(t, p.parts.Metrics.Freshness), 30*time.Minute)
		want(t, "oldest unwritten", reading(t, p.parts.Metrics.OldestUnwritten), 30*time.Minute)

		w.faults(nil)
		time.Sleep(time.Minute)
		p.Observe()
		want(t, "freshness after the commit", reading(t, p.parts.Metrics.Freshness), 0)
		want(t, "oldest unwritten after the commit", reading(t, p.parts.Metrics.OldestUnwritten), 0)
		want(t, "records", len(w.bucket.lines("data/")), 5)
	})
}

// A batch whose uploads are gone stays in the outbox until somebody forgets it. Its age is that since its sealing, also
// for a worker that has just started.
func TestFreshness_CountsABatchInTheOutboxUntilItIsTakenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		w.bucket.plant(func(operation, _ string, _ bool) error {
			if operation == "publish" {
				return errors.New("the uploads are gone")
			}
			return nil
		})
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 5))
		time.Sleep(time.Hour)
		other, stopOther := w.worker("b")
		defer stopOther()
		look := func() checkpoint.Snapshot {
			s, err := w.store.Scan(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []*Pipeline{p, other} {
				p.Sweep(s, func(checkpoint.Batch) bool { return false })
				synctest.Wait()
				p.Observe()
			}
			return s
		}
		s := look()
		want(t, "batches in the outbox", len(s.Batches), 1)
		want(t, "freshness", reading(t, p.parts.Metrics.Freshness), time.Hour)
		want(t, "oldest unwritten", reading(t, p.parts.Metrics.OldestUnwritten), 0)
		want(t, "outbox age for its worker", reading(t, p.parts.Metrics.OutboxAge), time.Hour-w.limits.Interval)
		want(t, "outbox age for a new worker", reading(t, other.parts.Metrics.OutboxAge), time.Hour-w.limits.Interval)

		if err := w.store.Forget(context.Background(), s.Batches[0].ID); err != nil {
			t.Fatal(err)
		}
		look()
		want(t, "freshness after it was forgotten", reading(t, p.parts.Metrics.Freshness), 0)
		want(t, "outbox age after it was forgotten", reading(t, other.parts.Metrics.OutboxAge), 0)
	})
}

// Somebody mends the cause: the worker whose batch it is publishes it with the next look, without being restarted.
func TestPipeline_PublishesABatchOfItsOwnWhenTheCauseIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		tries := 0
		w.bucket.plant(func(operation, _ string, _ bool) error {
			if operation == "publish" {
				tries++
				return errors.New("an object is in the place of the file")
			}
			return nil
		})
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 5))
		time.Sleep(2 * w.limits.Interval)
		look := func() {
			s, err := w.store.Scan(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			p.Sweep(s, func(checkpoint.Batch) bool { return false })
			synctest.Wait()
		}
		look()
		want(t, "tries", tries, 2)
		look()
		want(t, "tries, at once after the last", tries, 2)
		w.bucket.plant(nil)
		time.Sleep(time.Minute)
		look()
		look()
		want(t, "records", len(w.bucket.lines("data/")), 5)
		want(t, "manifests", len(w.bucket.keys("manifests/")), 1)
		batches, _ := w.outbox()
		want(t, "batches in the outbox", batches, 0)
		want(t, "freshness", p.Freshness(), 0)
	})
}

// A batch is committed, fails and is taken out of the outbox between two scans: by a request of this worker whose answers
// are all lost, or by another that takes this worker for dead. No scan has ever shown it.
func TestFreshness_ForgetsABatchThatWasTakenOutBetweenTwoScans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		w.faults(func(operation string, applied bool) error {
			if operation == "forget" && applied {
				return errPlanted
			}
			return nil
		})
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 5))
		time.Sleep(w.limits.Interval + forgetBound + time.Second)
		batches, _ := w.outbox()
		want(t, "batches in the outbox", batches, 0)
		want(t, "unpublished", len(p.Status().Unpublished), 1)
		w.faults(nil)
		for range 2 {
			w.sweep(p)
		}
		p.Observe()
		want(t, "unpublished after two scans", len(p.Status().Unpublished), 0)
		want(t, "freshness", reading(t, p.parts.Metrics.Freshness), 0)
	})
}

// The status says when the open batch is committed, and why.
func TestStatus_SaysWhenTheNextCommitIsAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		if next := p.Status().Next; next != nil {
			t.Errorf("before the first record: %+v", next)
		}
		began := time.Now()
		w.append(c, intake("x", 1, 5))
		time.Sleep(time.Second)
		next := p.Status().Next
		if next == nil || !next.Due.Equal(began.Add(p.cfg.Limits.Interval)) || !next.Opened.Equal(began) || next.Bytes == 0 || next.Limit != p.cfg.Limits.Bytes || next.Reason != "" {
			t.Fatalf("a batch begun at %v: %+v", began, next)
		}
		w.faults(func(string, bool) error { return errPlanted }) // holds the commit up
		time.Sleep(time.Until(next.Due) + time.Second)
		w.append(c, intake("x", 6, 10))
		l := p.allLanes()[0]
		l.seal(l.batch(), "memory")
		if next := p.Status().Next; next == nil || next.Reason != "memory" {
			t.Errorf("while the batch before is committed: %+v", next)
		}
		w.faults(nil)
		time.Sleep(time.Minute)
		if next := p.Status().Next; next != nil {
			t.Errorf("after the commit: %+v", next)
		}
	})
}

// A table was loaded when a batch no longer waits for it, whatever else waits.
func TestStatus_SaysWhenATableWasLoaded(t *testing.T) {
	const rides, fares = "iceberg://lake/rides", "postgres://db/fares"
	m := metrics.New(prometheus.NewRegistry())
	b := newBoard([]string{rides, fares}, m)
	begin := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	waiting := func(id string, loaded ...string) checkpoint.Batch {
		return checkpoint.Batch{ID: id, Tables: []string{rides, fares}, Loaded: loaded, PublishedAt: begin}
	}
	for minute, c := range []struct {
		batches      []checkpoint.Batch
		rides, fares int // minutes at which a load was last seen; 0 for none
	}{
		{},
		{batches: []checkpoint.Batch{waiting("1")}},
		{batches: []checkpoint.Batch{waiting("1"), waiting("2")}},
		{batches: []checkpoint.Batch{waiting("1", rides), waiting("2")}, rides: 3},
		{batches: []checkpoint.Batch{waiting("2")}, rides: 3, fares: 4},
		{batches: []checkpoint.Batch{waiting("2"), waiting("3")}, rides: 3, fares: 4},
		{batches: []checkpoint.Batch{waiting("3")}, rides: 6, fares: 6},
	} {
		b.waiting(begin.Add(time.Duration(minute)*time.Minute), []string{rides, fares}, c.batches, m)
		for _, table := range b.status().Tables {
			minutes := map[string]int{rides: c.rides, fares: c.fares}[table.Table]
			want := begin.Add(time.Duration(minutes) * time.Minute)
			if minutes == 0 {
				want = time.Time{}
			}
			if !table.Loaded.Equal(want) {
				t.Errorf("minute %d: %s was loaded at %v, want %v", minute, table.Table, table.Loaded, want)
			}
		}
	}
}
