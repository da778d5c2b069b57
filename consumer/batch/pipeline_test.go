package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
)

// world is a table and a bucket with the pipelines of any number of workers. Its clock is that of the bubble.
type world struct {
	t       *testing.T
	store   checkpoint.Store
	given   checkpoint.Store // what the pipelines get: the store, unless a test puts something between
	bucket  *bucket
	router  Router
	table   string // name of the table; empty for none
	copied  []string
	limits  Limits
	batches int
	room    int   // of an item for files in bytes, in place of checkpoint.MaxBatchItem; 0 for that
	crowd   int64 // in place of maxDescribed; 0 for that

	mu   sync.Mutex
	hook checkpointtest.Hook
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, bucket: newBucket(), router: byKind{}, limits: Limits{FileBytes: 1 << 20, Bytes: 4 << 20, Interval: time.Minute}}
	w.store = checkpointtest.Hooked(local.OpenMemory(), func(operation string, applied bool) error {
		w.mu.Lock()
		hook := w.hook
		w.mu.Unlock()
		if hook == nil {
			return nil
		}
		return hook(operation, applied)
	})
	w.given = w.store
	return w
}

// faults plants faults into the store.
func (w *world) faults(hook checkpointtest.Hook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook = hook
}

// byKind routes a record by the first letter of its partition key; "!" cannot be routed.
type byKind struct{}

func (byKind) Partition(r *record.Record) (string, error) {
	if strings.HasPrefix(r.PartitionKey, "!") {
		return "", &record.Fault{Type: record.ProcessingFailed, Code: "Test.NoPartition", Message: "no partition"}
	}
	return "data/" + r.PartitionKey[:1] + "/", nil
}
func (byKind) ErrorPartition(t record.OutputType, _ time.Time) string {
	return "errors/" + string(t) + "/"
}
func (byKind) KeyPrefix(partition string) string { return partition }

// worker starts a pipeline, with parts in which faults may be planted; stop ends it as a crash would, with nothing drained.
func (w *world) worker(name string, plant ...func(*Parts)) (p *Pipeline, stop func()) {
	w.t.Helper()
	m := metrics.New(prometheus.NewRegistry())
	shared, err := writers.NewShared(budget.New(64<<20, m), 2)
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := jsonl.New(jsonl.Config{Append: record.AppendJSONLine})
	if err != nil {
		w.t.Fatal(err)
	}
	faults, err := jsonl.New(jsonl.Config{Append: func(dst []byte, r *record.Record) ([]byte, error) {
		return record.AppendErrorLine(dst, r, r.Fault, record.Attempt{Count: 1, Ended: time.Now()}), nil
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	parts := Parts{
		Store: w.given, Sink: w.bucket, Shared: shared, Data: data, Errors: faults, Router: w.router,
		Log: slog.New(slog.DiscardHandler), Metrics: m,
	}
	for _, f := range plant {
		f(&parts)
	}
	p = New(Config{
		Worker: name, Stream: "stream", Table: w.table, Databases: w.copied, Limits: w.limits, ManifestPrefix: "manifests/",
		NewID: func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.batches++
			return fmt.Sprintf("batch-%s-%d", name, w.batches)
		},
	}, parts)
	if w.room > 0 {
		p.settler.lists.room = w.room
	}
	if w.crowd > 0 {
		p.files.crowd = w.crowd
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	return p, func() {
		cancel()
		running.Wait()
	}
}

// hold is a lease of a shard, as the keeper would hand it out.
type hold struct {
	mu        sync.Mutex
	row       checkpoint.Lease
	restarted string
}

func (h *hold) Lease() checkpoint.Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.row
}

func (h *hold) Committed(r checkpoint.Range) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.row.Checkpoint, h.row.Arrival, h.row.Load = r.End, r.LastArrival, r.Load
}

func (h *hold) Restart(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.restarted = reason
}

func (h *hold) wasRestarted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.restarted != ""
}

// acquire takes the lease of a shard for an owner, whoever has it.
func (w *world) acquire(shard, owner string) *hold {
	w.t.Helper()
	ctx := context.Background()
	if err := w.store.CreateLeases(ctx, []checkpoint.Lease{{Shard: shard, Checkpoint: checkpoint.TrimHorizon}}); err != nil {
		w.t.Fatal(err)
	}
	row, err := w.store.Lease(ctx, shard)
	if err != nil {
		w.t.Fatal(err)
	}
	if row, err = w.store.Acquire(ctx, row, owner); err != nil {
		w.t.Fatal(err)
	}
	return &hold{row: row}
}

func (w *world) checkpoint(shard string) checkpoint.Position {
	w.t.Helper()
	row, err := w.store.Lease(context.Background(), shard)
	if err != nil {
		w.t.Fatal(err)
	}
	return row.Checkpoint
}

func (w *world) outbox() (batches, tombstones int) {
	w.t.Helper()
	s, err := w.store.Scan(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return len(s.Batches), len(s.Tombstones)
}

// padding makes records of about a kilobyte, so that sizes show.
var padding = strings.Repeat("x", 1000)

// intake makes records first to last of a shard, in one partition.
func intake(partition string, first, last int) Intake {
	in := Intake{}
	for n := first; n <= last; n++ {
		in.Last = fmt.Sprintf("%06d", 100000+n)
		in.Records = append(in.Records, record.Record{
			SequenceNumber: in.Last, PartitionKey: partition, Arrival: time.Now(), Data: fmt.Appendf(nil, `{"n":%d,"padding":%q}`, n, padding),
		})
	}
	return in.read()
}

// read sets the arrivals of an intake in which every Kinesis record yields records.
func (in Intake) read() Intake {
	in.FirstArrival, in.LastArrival = in.Records[0].Arrival, in.Records[len(in.Records)-1].Arrival
	return in
}

func (w *world) append(c *Cursor, in Intake) {
	w.t.Helper()
	if err := c.Append(context.Background(), in); err != nil {
		w.t.Fatalf("append: %v", err)
	}
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestPipeline_SharesOneFileBetweenShardsAndCommitsAfterTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		one, two := p.Open(w.acquire("shard-1", "a")), p.Open(w.acquire("shard-2", "a"))
		w.append(one, intake("x", 1, 3))
		w.append(two, intake("x", 11, 13))

		time.Sleep(w.limits.Interval - time.Second)
		synctest.Wait()
		want(t, "objects before the interval", len(w.bucket.keys("")), 0)
		want(t, "checkpoint before the interval", w.checkpoint("shard-1"), checkpoint.TrimHorizon)

		time.Sleep(2 * time.Second)
		synctest.Wait()
		want(t, "data files", len(w.bucket.keys("data/")), 1)
		want(t, "records", len(w.bucket.lines("data/")), 6)
		want(t, "checkpoint of shard 1", w.checkpoint("shard-1"), "100003")
		want(t, "checkpoint of shard 2", w.checkpoint("shard-2"), "100013")
		want(t, "manifests", len(w.bucket.keys("manifests/")), 1)
		batches, _ := w.outbox()
		want(t, "batches in the outbox", batches, 0)
		want(t, "drained", one.Drained() && two.Drained(), true)
	})
}

func TestPipeline_ManifestNamesRangesThatJoinAndTheFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		for n := range 3 {
			w.append(c, intake("x", 10*n, 10*n+4))
			time.Sleep(2 * w.limits.Interval)
		}
		synctest.Wait()
		end := checkpoint.TrimHorizon
		for _, line := range w.bucket.keys("manifests/") {
			var b checkpoint.Batch
			if err := json.Unmarshal(w.bucket.objects[line].body, &b); err != nil {
				t.Fatal(err)
			}
			r := b.Ranges[0]
			want(t, "start of "+b.ID, r.Start, end)
			want(t, "records of "+b.ID, r.Records, 5)
			end = r.End
			want(t, "rows of the file", b.Files[0].Rows, 5)
			want(t, "size of the file", b.Files[0].Bytes, int64(len(w.bucket.objects[b.Files[0].Key].body)))
			want(t, "etag is there", b.Files[0].ETag != "", true)
			want(t, "the upload is named", b.Files[0].Staged != nil, false)
		}
		want(t, "last end", end, "100024")
	})
}

func TestPipeline_ClosesFilesBySizeAndCommitsWhenNoneIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits.FileBytes = 1 << 20
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		// What is not encoded yet counts by half until a block has shown its ratio: this is enough all the same.
		w.append(c, intake("x", 1, 2400))
		synctest.Wait()
		want(t, "data files before any time has passed", len(w.bucket.keys("data/")), 1)
		want(t, "checkpoint", w.checkpoint("shard-1"), "102400")

		// With a second partition open, committing would cut its file short.
		w.append(c, intake("y", 2401, 2401))
		w.append(c, intake("x", 2402, 4800))
		synctest.Wait()
		want(t, "data files with an open file", len(w.bucket.keys("data/")), 1)
		want(t, "checkpoint with an open file", w.checkpoint("shard-1"), "102400")
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		want(t, "records in the end", len(w.bucket.lines("data/")), 4800)
	})
}

func TestPipeline_BytesOfABatchBoundItAlthoughFilesAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits.Bytes, w.limits.FileBytes = 1<<20, 1<<30
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		for n := range 10 {
			w.append(c, intake("x", 500*n, 500*n+499))
		}
		synctest.Wait()
		// How many a batch holds depends on when its first block shows its ratio; the last one stays open in any case.
		records := len(w.bucket.lines("data/"))
		if records < 1000 || records == 5000 {
			t.Errorf("%d of 5000 records committed, want all but those of the last batch", records)
		}
		for _, f := range p.Status().Published {
			want(t, "reason of "+f.Key, f.Reason, "bytes")
		}
	})
}

func TestPipeline_ClosesTheLeastRecentlyUsedFileWhenTooManyAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits.OpenFiles = 3
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		// d comes when a, b and c are open and b has been used least recently.
		for n, partition := range strings.Split("abcacdac", "") {
			w.append(c, intake(partition, 10*n, 10*n+4))
		}
		want(t, "open files", len(p.Status().Open), 3)
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, "records", len(w.bucket.lines("data/")), 40)
		want(t, "files", len(w.bucket.keys("data/")), 4)
		for _, f := range p.Status().Published {
			want(t, "reason of "+f.Key, f.Reason == "open files", strings.Contains(f.Key, "/b/"))
		}
	})
}

func TestPipeline_FaultyRecordsGoToTheErrorFileOfTheSameBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		in := intake("x", 1, 5)
		in.Records[1].Data = []byte("not json")
		in.Records[2].PartitionKey = "!"
		in.Records[3].Fault = &record.Fault{Type: record.ProcessingFailed, Code: "Aggregate.Corrupt", Message: "corrupt"}
		w.append(c, in)
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, "delivered", len(w.bucket.lines("data/")), 2)
		lines := w.bucket.lines("errors/processing-failed/")
		want(t, "error records", len(lines), 3)
		text := strings.Join(lines, "\n")
		for _, code := range []string{"Test.NoPartition", "Aggregate.Corrupt", `"shardId":"shard-1"`} {
			want(t, "error lines name "+code, strings.Contains(text, code), true)
		}
		want(t, "one manifest for both", len(w.bucket.keys("manifests/")), 1)
	})
}

// The data file of the partition was begun for them, and nothing came of it.
func TestPipeline_ABatchOfFaultyRecordsAloneIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		in := intake("x", 1, 3)
		for i := range in.Records {
			in.Records[i].Data = []byte("not json")
		}
		w.append(c, in)
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, "error records", len(w.bucket.lines("errors/")), 3)
		want(t, "data files", len(w.bucket.keys("data/")), 0)
		want(t, "manifests", len(w.bucket.keys("manifests/")), 1)
		batches, _ := w.outbox()
		want(t, "batches in the outbox", batches, 0)
	})
}

func TestPipeline_CommitsTheEndOfAShardWithItsLastRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		in := intake("x", 1, 2)
		in.End = true
		w.append(c, in)
		want(t, "checkpoint before the commit", w.checkpoint("shard-1"), checkpoint.TrimHorizon)
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		want(t, "checkpoint", w.checkpoint("shard-1"), checkpoint.ShardEnd)
		// A shard that ends without a record is a batch without files.
		empty := p.Open(w.acquire("shard-2", "a"))
		w.append(empty, Intake{End: true})
		if err := empty.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		want(t, "checkpoint of the empty shard", w.checkpoint("shard-2"), checkpoint.ShardEnd)
	})
}

// What happens to the answer of the commit decides nothing: the store does.
func TestPipeline_Commit(t *testing.T) {
	for _, test := range []struct {
		name string
		// times is how often the planted fault strikes, before or after the call is applied.
		operation string
		applied   bool
		times     int
		delivered bool
	}{
		{"is made again when it did not arrive", "commit", false, 3, true},
		{"is found when its answer was lost", "commit", true, 1, true},
		{"is found when the answers of both the commit and the question were lost", "commit bury", true, 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, stop := w.worker("a")
				defer stop()
				h := w.acquire("shard-1", "a")
				c := p.Open(h)
				w.append(c, intake("x", 1, 5))
				hits := 0
				w.faults(func(operation string, applied bool) error {
					if applied == test.applied && hits < test.times && strings.Contains(test.operation, operation) {
						hits++
						return errPlanted
					}
					return nil
				})
				time.Sleep(2 * w.limits.Interval)
				synctest.Wait()
				want(t, "planted faults hit", hits, test.times)
				want(t, "records", len(w.bucket.lines("data/")), 5)
				want(t, "restarted", h.wasRestarted(), false)
				want(t, "checkpoint", w.checkpoint("shard-1"), "100005")
				batches, tombstones := w.outbox()
				want(t, "outbox", [2]int{batches, tombstones}, [2]int{})
			})
		})
	}
}

func TestPipeline_DropsABatchWhoseLeaseIsLostAndTheOneBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		h1, h2 := w.acquire("shard-1", "a"), w.acquire("shard-2", "a")
		one, two := p.Open(h1), p.Open(h2)
		w.append(one, intake("x", 1, 5))
		w.append(two, intake("x", 11, 15))
		w.acquire("shard-1", "b") // another worker has taken it

		// While the commit fails, more is taken in behind it.
		w.faults(func(operation string, applied bool) error {
			if operation == "bury" && !applied {
				if err := two.Append(context.Background(), intake("x", 16, 20)); err != nil {
					t.Errorf("append after a batch that is being settled: %v", err)
				}
			}
			return nil
		})
		time.Sleep(w.limits.Interval + time.Second)
		synctest.Wait()
		want(t, "files", len(w.bucket.keys("")), 0)
		want(t, "uploads left", w.bucket.pending(), 0)
		want(t, "both restarted", h1.wasRestarted() && h2.wasRestarted(), true)
		want(t, "batches dropped", value(t, p.parts.Metrics.Batches.WithLabelValues("dropped")), 2)
		if err := two.Append(context.Background(), intake("x", 21, 22)); !errors.Is(err, errRestart) {
			t.Errorf("append after the drop: got %v, want errRestart", err)
		}
		want(t, "checkpoint", w.checkpoint("shard-2"), checkpoint.TrimHorizon)
		_, tombstones := w.outbox()
		want(t, "tombstones", tombstones, 1)
	})
}

func TestPipeline_DropsABatchWhoseUploadFailed(t *testing.T) {
	for _, operation := range []string{"begin", "write", "finish"} {
		t.Run(operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				hits := 0
				w.bucket.plant(func(op, _ string, applied bool) error {
					if op == operation && !applied {
						hits++
						return writers.ErrUploadGone
					}
					return nil
				})
				p, stop := w.worker("a")
				defer stop()
				h := w.acquire("shard-1", "a")
				c := p.Open(h)
				w.append(c, intake("x", 1, 5))
				time.Sleep(w.limits.Interval + time.Second)
				synctest.Wait()
				want(t, "planted fault hit", hits > 0, true)
				want(t, "restarted", h.wasRestarted(), true)
				want(t, "checkpoint", w.checkpoint("shard-1"), checkpoint.TrimHorizon)
				want(t, "files", len(w.bucket.keys("")), 0)
				want(t, "uploads left", w.bucket.pending(), 0)
			})
		})
	}
}

func TestPipeline_LeavesABatchInTheOutboxAndAnotherWorkerPublishesIt(t *testing.T) {
	for _, operation := range []string{"publish", "put"} {
		t.Run("dies before "+operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, stop := w.worker("a")
				c := p.Open(w.acquire("shard-1", "a"))
				w.append(c, intake("x", 1, 5))
				w.bucket.plant(func(op, _ string, _ bool) error {
					if op == operation {
						return errPlanted
					}
					return nil
				})
				time.Sleep(w.limits.Interval + time.Second)
				synctest.Wait()
				stop()
				w.bucket.plant(nil)
				batches, _ := w.outbox()
				want(t, "batches in the outbox", batches, 1)
				want(t, "checkpoint", w.checkpoint("shard-1"), "100005")

				p, stop = w.worker("b")
				defer stop()
				s, err := w.store.Scan(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				p.Sweep(s, func(checkpoint.Batch) bool { return false })
				synctest.Wait()
				want(t, "published for a worker that lives", len(w.bucket.keys("manifests/")), 0)
				for range 2 {
					p.Sweep(s, func(b checkpoint.Batch) bool { return b.Worker == "a" })
					synctest.Wait()
				}
				want(t, "records", len(w.bucket.lines("data/")), 5)
				want(t, "manifests", len(w.bucket.keys("manifests/")), 1)
				batches, _ = w.outbox()
				want(t, "batches in the outbox", batches, 0)
			})
		})
	}
}

func TestPipeline_StoppedWithoutADrainLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits.FileBytes = 1 << 20
		p, stop := w.worker("a")
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("y", 1, 1))
		w.append(c, intake("x", 2, 2400)) // its file is closed by size, that of y is open
		synctest.Wait()
		want(t, "uploads under way", w.bucket.pending() > 0, true)
		stop()
		want(t, "uploads left", w.bucket.pending(), 0)
		want(t, "checkpoint", w.checkpoint("shard-1"), checkpoint.TrimHorizon)
		_, tombstones := w.outbox()
		want(t, "tombstones: nobody has tried to commit", tombstones, 0)
	})
}

func TestPipeline_KeepsSeveralLanesForMoreShardsThanACommitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		const shards = 2*checkpoint.MaxRanges + 3
		var all sync.WaitGroup
		for n := range shards {
			c := p.Open(w.acquire(fmt.Sprintf("shard-%03d", n), "a"))
			all.Go(func() { w.append(c, intake("x", n, n)) })
		}
		all.Wait()
		time.Sleep(w.limits.Interval + time.Second)
		synctest.Wait()
		want(t, "records", len(w.bucket.lines("data/")), shards)
		want(t, "files", len(w.bucket.keys("data/")), 3)
		for _, f := range p.Status().Published { // nobody had to wait until another shard's batch was committed
			want(t, "reason of "+f.Key, f.Reason, "interval")
		}
	})
}

func TestPipeline_TakesOnlyAsManyShardsIntoABatchAsACommitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		// Cursors come and go within one interval: their ranges stay in the batch.
		for n := range checkpoint.MaxRanges + 5 {
			c := p.Open(w.acquire(fmt.Sprintf("shard-%03d", n), "a"))
			w.append(c, intake("x", n, n))
			c.Close()
		}
		time.Sleep(w.limits.Interval + time.Second)
		synctest.Wait()
		want(t, "records", len(w.bucket.lines("data/")), checkpoint.MaxRanges+5)
		want(t, "files", len(w.bucket.keys("data/")), 2)
	})
}

func BenchmarkCursor_Append(b *testing.B) {
	for _, size := range []int{300, 1200} {
		for _, partition := range []string{"no table", "day(_arrived_at)", "bucket(16,customer)"} {
			b.Run(fmt.Sprint(size, " bytes/", partition), func(b *testing.B) {
				w := newWorld(&testing.T{})
				w.limits = Limits{FileBytes: 1 << 40, Bytes: 1 << 40, Interval: time.Hour}
				p, stop := w.worker("a", func(parts *Parts) {
					if partition != "no table" {
						s := state(b, parts.Data, "s", partition)
						parts.Table = func() *Table { return s }
					}
				})
				defer stop()
				c := p.Open(w.acquire("shard-1", "a"))
				in := intake("x", 1, 1000)
				for i := range in.Records {
					in.Records[i].Data = fmt.Appendf(nil, `{"text":"%s"}`, bytes.Repeat([]byte{'x'}, size-11))
				}
				b.SetBytes(int64(size * len(in.Records)))
				b.ReportAllocs()
				for b.Loop() {
					if err := c.Append(context.Background(), in); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*len(in.Records))/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}
