package batch

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/record"
)

// Only the store can decide the fate of a batch whose commit got no response, even in the last seconds of a pipeline that
// stops: aborting uploads on a guess loses records, and a shard that continues after an uncommitted batch skips its
// records.
func TestPipeline_StoppedWhileACommitIsUnanswered(t *testing.T) {
	for _, test := range []struct {
		name    string
		applied bool // the commit
		answers bool // Bury, once the pipeline was told to stop
		uploads int  // that are left for whoever knows their fate
		lines   int  // that another worker's sweep makes visible
		graves  int  // tombstones
	}{
		{"publishes or leaves a batch that is committed", true, true, 1, 5, 0},
		{"buries a batch that is not, before it aborts its uploads", false, true, 0, 0, 1},
		{"leaves a batch that is committed if nobody says so", true, false, 1, 5, 0},
		{"leaves a batch that is not committed if nobody says so", false, false, 1, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, stop := w.worker("a")
				h := w.acquire("shard-1", "a")
				c := p.Open(h)
				w.append(c, intake("x", 1, 5))
				commits, stopping := 0, false
				w.faults(unanswered(&commits, &stopping, test.applied, test.answers))
				w.bucket.plant(func(operation, _ string, _ bool) error {
					if operation == "publish" {
						return errPlanted // the process is gone before it comes to that
					}
					return nil
				})
				time.Sleep(w.limits.Interval + 10*time.Second)
				synctest.Wait()
				want(t, "the commit is tried again and again", commits > 2, true)
				want(t, "restarted before anybody knows", h.wasRestarted(), false)

				w.mu.Lock()
				stopping = true
				w.mu.Unlock()
				stop()
				w.faults(nil)
				w.bucket.plant(nil)
				want(t, "uploads left", w.bucket.pending(), test.uploads)
				_, graves := w.outbox()
				want(t, "tombstones", graves, test.graves)
				p, stop = w.worker("b")
				defer stop()
				w.sweep(p)
				want(t, "records", len(w.bucket.lines("data/")), test.lines)
			})
		})
	}
}

// unanswered loses the answer of the first commit, or the commit, and all that is asked after it. With answers the store
// can be asked for the fate of a batch again once the pipeline stops.
func unanswered(commits *int, stopping *bool, applied, answers bool) checkpointtest.Hook {
	return func(operation string, after bool) error {
		switch {
		case operation == "commit" && !after:
			*commits++
			if *commits > 1 || !applied {
				return errPlanted
			}
			return nil
		case operation == "bury" && *stopping && answers:
			return nil
		}
		return errPlanted
	}
}

// gated is a router that lets no record of a partition key pass before it is opened.
type gated struct {
	byKind
	key    string
	opened chan struct{}
}

func (g gated) Partition(r *record.Record) (string, error) {
	if r.PartitionKey == g.key {
		<-g.opened
	}
	return g.byKind.Partition(r)
}

func TestPipeline_DoesNotCommitABatchWhileAShardIsStillAppending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gate := gated{key: "xslow", opened: make(chan struct{})}
		w.router = gate
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 5))
		var appending sync.WaitGroup
		appending.Go(func() { w.append(c, intake("xslow", 6, 10)) })
		time.Sleep(3 * w.limits.Interval)
		synctest.Wait()
		want(t, "checkpoint while a shard appends", w.checkpoint("shard-1"), checkpoint.TrimHorizon)

		close(gate.opened)
		appending.Wait()
		synctest.Wait()
		want(t, "checkpoint", w.checkpoint("shard-1"), "100010")
		want(t, "records", len(w.bucket.lines("data/")), 10)
		want(t, "manifests", len(w.bucket.keys("manifests/")), 1)
	})
}

func TestBatch_LetsNobodyInOnceItIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBatch(context.Background(), nil, "batch", time.Now())
		want(t, "enters an open batch", b.enter(), true)
		sealed := false
		go func() {
			b.seal()
			sealed = true
		}()
		synctest.Wait()
		want(t, "sealed with a shard in it", sealed, false)
		want(t, "enters a batch that is being sealed", b.enter(), false)
		b.leave()
		synctest.Wait()
		want(t, "sealed when the shard has left", sealed, true)
		want(t, "enters a sealed batch", b.enter(), false)
	})
}

// The last records of a shard wait because the batch is full. Were the end committed with the batch before, its
// children would begin, and nobody would read these records again if the worker died now.
func TestPipeline_DoesNotCommitTheEndOfAShardBeforeItsLastRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits.Bytes, w.limits.FileBytes = 1<<20, 1<<30
		p, stop := w.worker("a")
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 2400)) // fills the batch by any estimate of its size
		last := intake("x", 2401, 2405)
		last.End = true
		w.append(c, last)
		synctest.Wait()
		want(t, "checkpoint", w.checkpoint("shard-1"), "102400")
		stop()

		p, stop = w.worker("b")
		defer stop()
		h := w.acquire("shard-1", "b")
		want(t, "where the next owner begins", h.Lease().Checkpoint, "102400")
		c = p.Open(h)
		w.append(c, last)
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, "checkpoint in the end", w.checkpoint("shard-1"), checkpoint.ShardEnd)
		want(t, "records", len(w.bucket.lines("data/")), 2405)
	})
}

// A range covers all runs of records, not only the first.
func TestPipeline_ManifestTellsTheFirstAndTheLastRecordOfARange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		first := time.Now()
		w.append(c, intake("x", 1, 5))
		time.Sleep(time.Second)
		w.append(c, intake("x", 6, 7))
		time.Sleep(time.Second)
		w.append(c, intake("x", 8, 9))
		w.append(c, Intake{End: true})
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		keys := w.bucket.keys("manifests/")
		want(t, "manifests", len(keys), 1)
		var b checkpoint.Batch
		if err := json.Unmarshal(w.bucket.objects[keys[0]].body, &b); err != nil {
			t.Fatal(err)
		}
		r := b.Ranges[0]
		want(t, "records", r.Records, 9)
		want(t, "last sequence number", r.Last, "100009")
		want(t, "end", r.End, checkpoint.ShardEnd)
		want(t, "first arrival", r.FirstArrival.Equal(first), true)
		want(t, "last arrival", r.LastArrival.Equal(first.Add(2*time.Second)), true)
	})
}

// Another shard closes the file between the look-up and the lock: the run goes into the next file, as a whole.
func TestBatch_AppendsToANewFileWhereTheOldOneIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 2))
		b := c.lane.batch()
		for id, f := range b.openFiles() {
			f.mu.Lock()
			f.closed = true
			f.mu.Unlock()
			found := b.turns.Load()
			appended := make(chan error, 1)
			go func() { appended <- c.Append(context.Background(), intake("x", 3, 4)) }()
			for b.turns.Load() == found { // until the run has found the file
				runtime.Gosched()
			}
			b.mu.Lock()
			delete(b.open, id)
			b.mu.Unlock()
			if err := <-appended; err != nil {
				t.Fatal(err)
			}
			want(t, "rows of the closed file", f.file.Rows(), 2)
		}
		want(t, "open files", len(b.openFiles()), 1)
		for _, f := range b.openFiles() {
			want(t, "rows of the file after it", f.file.Rows(), 2)
		}
	})
}

func TestPipeline_FilesOfOneBatchHaveKeysOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits.OpenFiles = 1
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		for n := range 6 {
			w.append(c, intake("xy"[n%2:n%2+1], 10*n, 10*n+4))
		}
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, "files", len(w.bucket.keys("data/")), 6)
		want(t, "records", len(w.bucket.lines("data/")), 30)
	})
}

// While records are being taken in, those of the shard before them are dropped. Whoever drops looks at the open batch,
// and does not find the shard in it yet.
func TestCursor_RestartsIfItsRecordsAreDroppedWhileItTakesMoreIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gate := gated{key: "xslow", opened: make(chan struct{})}
		w.router = gate
		p, stop := w.worker("a")
		defer stop()
		h := w.acquire("shard-1", "a")
		c := p.Open(h)
		w.append(c, intake("x", 1, 5))
		appended := make(chan error, 1)
		w.faults(func(operation string, applied bool) error {
			if operation == "commit" && !applied { // the batch is rotated out: this begins the next one
				go func() { appended <- c.Append(context.Background(), intake("xslow", 6, 10)) }()
				time.Sleep(time.Second) // it waits at the gate by then
			}
			return nil
		})
		w.acquire("shard-1", "b")
		time.Sleep(w.limits.Interval + time.Second)
		synctest.Wait()
		want(t, "restarted", h.wasRestarted(), true)
		w.faults(nil)
		close(gate.opened)
		if err := <-appended; !errors.Is(err, errRestart) {
			t.Errorf("append while the records before were dropped: got %v, want errRestart", err)
		}
	})
}
