package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/record"
)

// byKey routes each partition key to a partition of its own.
type byKey struct{ byKind }

func (byKey) Partition(r *record.Record) (string, error) {
	return "data/customer=" + r.PartitionKey + "/", nil
}

// newWideWorld has a bucket like S3, and the default limits of the daemon.
func newWideWorld(t *testing.T) *world {
	w := newWorld(t)
	w.router = byKey{}
	w.bucket.likeS3 = true
	w.limits = Limits{FileBytes: 128 << 20, Bytes: 1 << 30, Interval: 5 * time.Minute, OpenFiles: 500}
	return w
}

// wide returns an intake of the given number of records, each of its own partition. Every perRecord of them share a Kinesis
// record.
func wide(records, perRecord int) Intake {
	in := Intake{}
	for n := range records {
		in.Last = fmt.Sprintf("%06d", 100000+n/perRecord)
		in.Records = append(in.Records, record.Record{
			SequenceNumber: in.Last, SubSequence: n % perRecord, Aggregated: perRecord > 1, PartitionKey: fmt.Sprintf("%05d", n),
			Arrival: time.Now(), Data: fmt.Appendf(nil, `{"n":%d,"sequence":%q}`, n, in.Last),
		})
	}
	return in.read()
}

// manifests are those of all batches, in the order of their ranges.
func (w *world) manifests() []checkpoint.Batch {
	w.t.Helper()
	var batches []checkpoint.Batch
	for _, key := range w.bucket.keys("manifests/") {
		var b checkpoint.Batch
		if err := json.Unmarshal(w.bucket.objects[key].body, &b); err != nil {
			w.t.Fatalf("%s: %v", key, err)
		}
		batches = append(batches, b)
	}
	slices.SortFunc(batches, func(a, b checkpoint.Batch) int { return strings.Compare(a.Ranges[0].Last, b.Ranges[0].Last) })
	return batches
}

// checkWide fails unless the n records of one shard are there once, each in a batch whose range covers it, and nothing
// is left over.
func (w *world) checkWide(n int) (batches []checkpoint.Batch) {
	w.t.Helper()
	batches = w.manifests()
	seen := make(map[int]bool, n)
	end := checkpoint.TrimHorizon
	for _, b := range batches {
		r := b.Ranges[0]
		want(w.t, "start of "+b.ID, r.Start, end)
		end = r.End
		want(w.t, "list in the manifest of "+b.ID, b.List, nil)
		for _, f := range b.Files {
			var line struct {
				N        int
				Sequence string
			}
			if err := json.Unmarshal(w.bucket.objects[f.Key].body, &line); err != nil {
				w.t.Fatalf("%s: %v", f.Key, err)
			}
			if seen[line.N] || !r.Contains(line.Sequence) {
				w.t.Fatalf("record %d (%s) is there before: %v; its batch has the range (%s, %s]", line.N, line.Sequence, seen[line.N], r.Start, r.End)
			}
			seen[line.N] = true
		}
	}
	want(w.t, "records", len(seen), n)
	want(w.t, "checkpoint", w.checkpoint("shard-1"), end)
	inOutbox, tombstones := w.outbox()
	want(w.t, "outbox", [2]int{inOutbox, tombstones}, [2]int{})
	want(w.t, "lists left", w.lists(), 0)
	want(w.t, "uploads left", w.bucket.pending(), 0)
	return batches
}

// lists counts the lists of files in the bucket.
func (w *world) lists() int { return len(w.bucket.keys("manifests/outbox/")) }

// deliver takes the intake in and waits until all of it is published.
func (w *world) deliver(in Intake) {
	w.t.Helper()
	p, stop := w.worker("a")
	defer stop()
	c := p.Open(w.acquire("shard-1", "a"))
	w.append(c, in)
	if err := c.Drain(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	if err := p.AwaitPublished(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func TestPipeline_DeliversAnAnswerOfAnyNumberOfPartitions(t *testing.T) {
	records, fewest := 20_000, 2
	if race.Enabled { // it takes twenty times as long then
		records, fewest = 3000, 1
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWideWorld(t)
		w.deliver(wide(records, 2))
		batches := w.checkWide(records)
		if n := len(batches); n < fewest || n > 4 {
			t.Errorf("%d batches, want a few", n)
		}
		for _, b := range batches {
			// Each has room for one more Kinesis record at most, here of two files.
			if n := described(b) - 2*1000; n > maxDescribed {
				t.Errorf("batch %s has %d files, whose descriptions take %d bytes more than it may hold", b.ID, len(b.Files), n-maxDescribed)
			}
		}
	})
}

// described is what the outbox holds of a batch's files, as it is estimated while they are open.
func described(b checkpoint.Batch) (n int64) {
	for _, f := range b.Files {
		n += checkpoint.FileItemSize(f)
	}
	return n
}

// An aggregate cannot be divided between batches: a range ends only where the sequence number changes.
func TestPipeline_DeliversAnAggregateOfAnyNumberOfPartitionsInOneBatch(t *testing.T) {
	records := 20_000
	if race.Enabled {
		records = 4000
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWideWorld(t)
		listed := 0
		w.bucket.plant(func(operation, key string, applied bool) error {
			if operation == "put" && applied && strings.HasPrefix(key, "manifests/outbox/") {
				listed++
			}
			return nil
		})
		w.deliver(wide(records, records))
		want(t, "batches", len(w.checkWide(records)), 1)
		want(t, "lists written", listed, 1)
	})
}

// Where each aggregate begins in the partition in which the one before has ended, no run of a partition begins with a
// sequence number.
func TestPipeline_CutsAnAnswerWithinARunOfOnePartition(t *testing.T) {
	const aggregates, size = 100, 11
	synctest.Test(t, func(t *testing.T) {
		w := newWideWorld(t)
		w.crowd = 100 << 10
		in := wide(aggregates*size, size)
		for i := range in.Records {
			in.Records[i].PartitionKey = fmt.Sprintf("%05d", i-i/size) // the last of an aggregate and the first of the next share one
		}
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, in)
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		batches := w.manifests()
		if len(batches) < 2 {
			t.Errorf("%d batches, want several", len(batches))
		}
		rows := 0
		for _, b := range batches {
			for _, f := range b.Files {
				for _, text := range strings.Split(strings.TrimSpace(string(w.bucket.objects[f.Key].body)), "\n") {
					var line struct{ Sequence string }
					if err := json.Unmarshal([]byte(text), &line); err != nil {
						t.Fatal(err)
					}
					if r := b.Ranges[0]; !r.Contains(line.Sequence) {
						t.Fatalf("batch %s has a record of %s, its range is (%s, %s]", b.ID, line.Sequence, r.Start, r.End)
					}
					rows++
				}
			}
		}
		want(t, "records", rows, aggregates*size)
	})
}

// The end of a shard comes after its last record, in whatever batch that is.
func TestIntake_LeavesTheEndToItsLastPart(t *testing.T) {
	in := wide(10, 2)
	in.End = true
	head, rest := in.split(4)
	want(t, "records of the head", len(head.Records), 4)
	want(t, "last of the head", head.Last, in.Records[3].SequenceNumber)
	want(t, "end of the head", head.End, false)
	want(t, "records of the rest", len(rest.Records), 6)
	want(t, "last of the rest", rest.Last, in.Last)
	want(t, "end of the rest", rest.End, true)
	head, rest = in.split(10)
	want(t, "records of a head that is all", len(head.Records), 10)
	want(t, "its end", head.End, true)
	want(t, "nothing is left", rest.none(), true)
}

// What a file holds is held until S3 has taken it, so only so many are finished at once, however many are closed.
func TestPipeline_FinishesABoundedNumberOfFilesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWideWorld(t)
		w.limits.OpenFiles = 50
		var mu sync.Mutex
		now, most := 0, 0
		w.bucket.plant(func(operation, _ string, applied bool) error {
			if operation != "finish" {
				return nil
			}
			mu.Lock()
			if applied {
				now--
			} else {
				now++
				most = max(most, now)
			}
			mu.Unlock()
			time.Sleep(time.Second) // all that may come have come by then
			return nil
		})
		w.deliver(wide(1000, 1))
		w.checkWide(1000)
		want(t, "files finished at the same time", most, finishing)
	})
}

// A worker dies between the commit and the publishing: the next one finds the files in the list, and only there.
func TestPipeline_AnotherWorkerPublishesFromTheList(t *testing.T) {
	for _, operation := range []string{"publish", "put"} { // the put of the manifest
		t.Run("dies before "+operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const records = 1000
				w := newWideWorld(t)
				p, stop := w.worker("a")
				c := p.Open(w.acquire("shard-1", "a"))
				w.append(c, wide(records, records))
				w.bucket.plant(func(op, key string, _ bool) error {
					if op == operation && !strings.HasPrefix(key, "manifests/outbox/") {
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
				want(t, "lists", w.lists(), 1)

				p, stop = w.worker("b")
				defer stop()
				inItem, err := w.store.Batch(context.Background(), w.scan().Batches[0].ID)
				if err != nil {
					t.Fatal(err)
				}
				want(t, "files in the item", len(inItem.Files), 0)
				for range 2 {
					w.sweep(p)
				}
				w.checkWide(records)
			})
		})
	}
}

// A batch without its list is never published as one without files: it stays where it is, until the list is back.
func TestPipeline_PublishesNothingWithoutTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = 1000
		w := newWideWorld(t)
		p, stop := w.worker("a")
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, wide(records, records))
		w.bucket.plant(func(op, _ string, _ bool) error {
			if op == "publish" {
				return errPlanted
			}
			return nil
		})
		time.Sleep(w.limits.Interval + time.Second)
		synctest.Wait()
		stop()
		w.bucket.plant(nil)
		key := w.bucket.keys("manifests/outbox/")[0]
		list := w.bucket.objects[key]

		p, stop = w.worker("b")
		defer stop()
		sweep := func() {
			time.Sleep(time.Hour) // what has failed is not tried again at once
			w.sweep(p)
		}
		for _, damaged := range []*object{nil, {body: list.body, batch: "another batch"}, {body: list.body[1:], batch: list.batch}} {
			delete(w.bucket.objects, key)
			if damaged != nil {
				w.bucket.objects[key] = *damaged
			}
			sweep()
			batches, _ := w.outbox()
			want(t, "batches in the outbox", batches, 1)
			want(t, "data files", len(w.bucket.keys("data/")), 0)
			want(t, "manifests", len(w.bucket.keys("manifests/2")), 0)
		}
		w.bucket.objects[key] = list
		sweep()
		w.checkWide(records)
	})
}

// The list is there before anybody can find its batch, and goes only after nobody needs it any more.
func TestPipeline_KeepsTheListAsLongAsItsBatchMayBeFound(t *testing.T) {
	for _, test := range []struct {
		name   string
		plant  func(operation string, applied bool) error // into the store
		loses  bool                                       // the lease, before the commit
		events []string
		lines  int
	}{
		{"a commit without faults", nil, false,
			[]string{"put list", "commit", "forget", "delete list"}, 1000},
		{"a commit whose answer is lost", failingFirst("commit", true, 1), false,
			[]string{"put list", "commit", "forget", "delete list"}, 1000},
		{"a batch whose lease is lost", nil, true,
			[]string{"put list", "bury", "delete list"}, 0},
		{"a burial whose answer is lost", failingFirst("bury", true, 1), true,
			[]string{"put list", "bury", "bury", "delete list"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWideWorld(t)
				var mu sync.Mutex
				var events []string
				note := func(event string) {
					mu.Lock()
					defer mu.Unlock()
					events = append(events, event)
				}
				w.faults(func(operation string, applied bool) error {
					if applied && (operation == "commit" || operation == "bury" || operation == "forget") {
						note(operation)
					}
					if test.plant != nil {
						return test.plant(operation, applied)
					}
					return nil
				})
				w.bucket.plant(func(operation, key string, applied bool) error {
					if applied && strings.HasPrefix(key, "manifests/outbox/") {
						note(strings.TrimSuffix(operation, " list") + " list")
					}
					return nil
				})
				p, stop := w.worker("a")
				defer stop()
				w.append(p.Open(w.acquire("shard-1", "a")), wide(1000, 1000))
				if test.loses {
					w.acquire("shard-1", "b")
				}
				time.Sleep(w.limits.Interval + time.Minute)
				synctest.Wait()
				// After a lost commit response the store is asked again: the bury that finds the commit is not in the list.
				got := slices.DeleteFunc(events, func(e string) bool { return e == "bury" && !test.loses })
				if !slices.Equal(got, test.events) {
					t.Errorf("the order was %q, want %q", got, test.events)
				}
				want(t, "records", len(w.bucket.lines("data/")), test.lines)
				want(t, "lists left", w.lists(), 0)
				want(t, "uploads left", w.bucket.pending(), 0)
			})
		})
	}
}

// failingFirst fails the first calls of an operation, before or after they are applied.
func failingFirst(operation string, applied bool, times int) func(string, bool) error {
	return func(op string, done bool) error {
		if op == operation && done == applied && times > 0 {
			times--
			return errPlanted
		}
		return nil
	}
}

// The result of the commit is unknown: whoever publishes the batch needs the list.
func TestPipeline_LeavesTheListOfABatchOfUnknownFate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWideWorld(t)
		p, stop := w.worker("a")
		w.append(p.Open(w.acquire("shard-1", "a")), wide(1000, 1000))
		w.faults(func(operation string, applied bool) error {
			if operation == "commit" && applied || operation == "bury" && !applied {
				return errPlanted
			}
			return nil
		})
		time.Sleep(w.limits.Interval + time.Second)
		stop()
		w.faults(nil)
		want(t, "lists", w.lists(), 1)
		p, stop = w.worker("b")
		defer stop()
		w.sweep(p)
		w.checkWide(1000)
	})
}

// A list that cannot be written holds its batch up until it can be, and one that cannot be deleted holds nothing up.
func TestPipeline_OutlivesFaultsOfTheList(t *testing.T) {
	for _, test := range []struct {
		operation string
		meanwhile int // records delivered as long as the fault lasts
	}{{"put", 0}, {"delete list", 1000}} {
		t.Run(test.operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWideWorld(t)
				w.bucket.plant(func(operation, key string, applied bool) error {
					if operation == test.operation && strings.HasPrefix(key, "manifests/outbox/") && !applied {
						return errPlanted
					}
					return nil
				})
				p, stop := w.worker("a")
				defer stop()
				h := w.acquire("shard-1", "a")
				w.append(p.Open(h), wide(1000, 1000))
				time.Sleep(w.limits.Interval + time.Hour)
				synctest.Wait()
				want(t, "records meanwhile", len(w.bucket.lines("data/")), test.meanwhile)
				w.bucket.plant(nil)
				time.Sleep(time.Minute)
				synctest.Wait()
				want(t, "records", len(w.bucket.lines("data/")), 1000)
				want(t, "restarted", h.wasRestarted(), false)
				want(t, "uploads left", w.bucket.pending(), 0)
				batches, tombstones := w.outbox()
				want(t, "outbox", [2]int{batches, tombstones}, [2]int{})
			})
		})
	}
}
