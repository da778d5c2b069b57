package batch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// A transform may drop everything for hours. The position moves on all the same, with one commit an interval.
func TestPipeline_CommitsWhatWasReadWhenNothingOfItIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		hold := w.acquire("shard-1", "a")
		c := p.Open(hold)
		began := time.Now()
		first, last := began.Add(-time.Hour), began.Add(-time.Minute)
		for n := range 10 {
			in := Intake{Last: fmt.Sprint(100001 + n), FirstArrival: first.Add(time.Duration(n) * time.Minute), LastArrival: last.Add(time.Duration(n-9) * time.Second)}
			w.append(c, in)
			synctest.Wait()
		}
		want(t, "freshness", p.Freshness(), time.Hour)
		want(t, "checkpoint before the interval", w.checkpoint("shard-1"), checkpoint.TrimHorizon)
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		want(t, "checkpoint", w.checkpoint("shard-1"), "100010")
		batches := w.manifests()
		want(t, "batches", len(batches), 1)
		want(t, "files", len(batches[0].Files), 0)
		r := batches[0].Ranges[0]
		want(t, "records", r.Records, 0)
		want(t, "last record read", r.Last, "100010")
		want(t, "first arrival", r.FirstArrival.UnixMilli(), first.UnixMilli())
		want(t, "last arrival", r.LastArrival.UnixMilli(), last.UnixMilli())

		// What is delivered later joins the range of what was not.
		w.append(c, Intake{Last: "100020", FirstArrival: first, LastArrival: last})
		w.append(c, intake("x", 30, 31))
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		want(t, "checkpoint", w.checkpoint("shard-1"), "100031")
		want(t, "rows", len(w.bucket.lines("data/x")), 2)
	})
}
