package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// leave has a worker commit a batch of a file for each partition and die before the batch is published: meanwhile each
// completion is answered by fault.
func (w *world) leave(worker, shard, partitions string, fault func(operation, key string, applied bool) error) checkpoint.Batch {
	w.t.Helper()
	p, stop := w.worker(worker)
	w.bucket.plant(fault)
	c := p.Open(w.acquire(shard, worker))
	for n, partition := range strings.Split(partitions, "") {
		w.append(c, intake(partition, 10*n, 10*n+4))
	}
	time.Sleep(w.limits.Interval + time.Second)
	synctest.Wait()
	stop()
	w.bucket.plant(nil)
	for _, head := range w.scan().Batches {
		if head.Worker == worker {
			b, err := w.store.Batch(context.Background(), head.ID)
			if err != nil {
				w.t.Fatal(err)
			}
			return b
		}
	}
	w.t.Fatalf("worker %s has left nothing in the outbox", worker)
	return checkpoint.Batch{}
}

func (w *world) scan() checkpoint.Snapshot {
	w.t.Helper()
	s, err := w.store.Scan(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// sweep has a pipeline look at the outbox with all other workers dead.
func (w *world) sweep(p *Pipeline) {
	w.t.Helper()
	p.Sweep(w.scan(), func(checkpoint.Batch) bool { return true })
	synctest.Wait()
}

func (b *bucket) remove(prefix string) {
	for _, key := range b.keys(prefix) {
		b.mu.Lock()
		delete(b.objects, key)
		b.mu.Unlock()
	}
}

func (b *bucket) manifests(t *testing.T) (all []checkpoint.Batch) {
	t.Helper()
	for _, key := range b.keys("manifests/") {
		var m checkpoint.Batch
		if err := json.Unmarshal(b.objects[key].body, &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// Readers take files away as soon as they see them, and the worker dies. What the next one can know decides.
func TestPublish_WhenReadersMoveFilesBeforeTheManifest(t *testing.T) {
	t.Run("the manifest is there: the batch was published", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			b := w.leave("a", "shard-1", "xy", failing("publish"))
			first, stop := w.worker("b") // dies between manifest and forgetting
			w.faults(failingCalls("forget"))
			w.sweep(first)
			stop()
			w.faults(nil)
			want(t, "manifests", len(w.bucket.keys("manifests/")), 1)
			before := w.bucket.objects[b.Manifest.Key]
			w.bucket.remove("data/")

			p, stop := w.worker("c")
			defer stop()
			w.sweep(p)
			batches, _ := w.outbox()
			want(t, "batches in the outbox", batches, 0)
			want(t, "unpublished", len(p.Status().Unpublished), 0)
			want(t, "the manifest was written again", string(before.body) != string(w.bucket.objects[b.Manifest.Key].body), false)
			want(t, "files counted as delivered by this worker", p.Status().Totals.Files, 0)
		})
	})
	t.Run("the file was noted: the rest is published", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			b := w.leave("a", "shard-1", "xyz", refusedAfterAMinute("y"))
			want(t, "files noted", fmt.Sprint(b.Published), "[0 2]")
			w.bucket.remove("data/x")

			p, stop := w.worker("b")
			defer stop()
			w.sweep(p)
			batches, _ := w.outbox()
			want(t, "batches in the outbox", batches, 0)
			for _, m := range w.bucket.manifests(t) {
				want(t, "files in the manifest", len(m.Files), 3)
				want(t, "the file that was moved has no ETag", m.Files[0].ETag, "")
				want(t, "the others have", m.Files[1].ETag != "" && m.Files[2].ETag != "", true)
			}
		})
	})
	for _, versions := range []bool{false, true} {
		t.Run(fmt.Sprintf("the file was noted and the manifest is there: it keeps the ETag, versions %t", versions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.bucket.versions = versions
				b := w.leave("a", "shard-1", "xyz", refusedAfterAMinute("y"))
				first, stop := w.worker("b") // dies between manifest and forgetting
				w.faults(failingCalls("forget"))
				w.sweep(first)
				stop()
				w.faults(nil)
				before := string(w.bucket.objects[b.Manifest.Key].body)
				w.bucket.remove("data/x")

				p, stop := w.worker("c")
				defer stop()
				w.sweep(p)
				batches, _ := w.outbox()
				want(t, "batches in the outbox", batches, 0)
				want(t, "the manifest was written again", string(w.bucket.objects[b.Manifest.Key].body) != before, false)
				want(t, "files counted as delivered by this worker", p.Status().Totals.Files, 0)
			})
		})
	}
	t.Run("the manifest was refused: its worker knows that the file was visible", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			p, stop := w.worker("a")
			defer stop()
			w.bucket.plant(failing("put"))
			c := p.Open(w.acquire("shard-1", "a"))
			w.append(c, intake("x", 1, 5))
			time.Sleep(w.limits.Interval + time.Second)
			want(t, "files", len(w.bucket.keys("data/")), 1)
			w.bucket.remove("data/")
			w.bucket.plant(nil)
			time.Sleep(time.Minute)
			w.sweep(p)
			batches, _ := w.outbox()
			want(t, "batches in the outbox", batches, 0)
			want(t, "manifests", len(w.bucket.keys("manifests/")), 1)
		})
	})
	t.Run("nothing is known: the error says what it may be", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			b := w.leave("a", "shard-1", "xyz", failing("publish"))
			delete(w.bucket.uploads, uploadOf(b.Files[1]))
			p, stop := w.worker("b")
			defer stop()
			time.Sleep(3 * time.Hour)
			w.sweep(p)
			want(t, "the others are published", strings.Join(partitions(w.bucket.keys("data/")), ""), "xz")
			want(t, "manifests", len(w.bucket.keys("manifests/")), 0)
			u := p.Status().Unpublished
			if len(u) != 1 {
				t.Fatalf("unpublished: %+v, want the batch", u)
			}
			want(t, "batch", u[0].Batch, b.ID)
			want(t, "reason", u[0].Reason, "gone")
			for _, text := range []string{"1 of 3 files", b.Files[1].Key, "readers have moved", "lifecycle rule", "sealed 3h0m1s ago"} {
				want(t, "the error says "+text+": "+u[0].Error, strings.Contains(u[0].Error, text), true)
			}
			// Somebody puts the file back, or it was another worker's that was just at it.
			w.bucket.objects[b.Files[1].Key] = object{batch: b.ID}
			time.Sleep(time.Hour)
			w.sweep(p)
			want(t, "manifests in the end", len(w.bucket.keys("manifests/")), 1)
			want(t, "unpublished in the end", len(p.Status().Unpublished), 0)
		})
	})
}

// failing fails all calls of an operation.
func failing(operation string) func(string, string, bool) error {
	return func(op, _ string, applied bool) error {
		if op == operation && !applied {
			return errPlanted
		}
		return nil
	}
}

// failingCalls fails all calls of an operation of the store.
func failingCalls(operation string) func(string, bool) error {
	return func(op string, _ bool) error {
		if op == operation {
			return errPlanted
		}
		return nil
	}
}

func partitions(keys []string) (names []string) {
	for _, k := range keys {
		names = append(names, strings.Split(k, "/")[1])
	}
	return names
}

// The worker may be killed at any moment of a long publishing, without a last word.
func TestPublish_NotesWhatIsVisibleWhileTheRestTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		w.bucket.plant(func(operation, key string, applied bool) error {
			if operation == "publish" && !applied && !strings.HasPrefix(key, "data/x") {
				time.Sleep(20 * time.Minute)
			}
			return nil
		})
		refusals := 0
		w.faults(func(operation string, applied bool) error {
			if operation == "note published" && !applied && refusals == 0 {
				refusals++
				return errPlanted
			}
			return nil
		})
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 5))
		w.append(c, intake("y", 6, 9))
		time.Sleep(w.limits.Interval + 2*noteEvery + time.Second)
		synctest.Wait()
		want(t, "notes that the store did not take", refusals, 1)
		b, err := w.store.Batch(context.Background(), w.scan().Batches[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "files noted", fmt.Sprint(b.Published), "[0]")
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		batches, _ := w.outbox()
		want(t, "batches in the outbox", batches, 0)
	})
}

// A batch is published as it was sealed, and one that does not say where its manifest is to be, as it would be now.
func TestPublish_WritesTheManifestWhereItWasPromised(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	promised := checkpoint.Place{Bucket: "then", Key: "manifests-then/b.json"}
	for name, test := range map[string]struct {
		batch checkpoint.Batch
		want  checkpoint.Place
	}{
		"it says so":         {checkpoint.Batch{Manifest: promised, Files: []checkpoint.File{{Bucket: "then"}}}, promised},
		"an older batch":     {checkpoint.Batch{Files: []checkpoint.File{{Bucket: "then"}}}, checkpoint.Place{Bucket: "then", Key: "m/2026/01/02/03/b.json"}},
		"files in no bucket": {checkpoint.Batch{Files: []checkpoint.File{{Key: "k"}}}, checkpoint.Place{Bucket: "now", Key: "m/2026/01/02/03/b.json"}},
		"one without a file": {checkpoint.Batch{}, checkpoint.Place{Bucket: "now", Key: "m/2026/01/02/03/b.json"}},
	} {
		b := test.batch
		b.ID, b.Created = "b", created
		want(t, name, layout.ManifestPlace(b, "now", "m/"), test.want)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.leave("a", "shard-1", "x", failing("put"))
		want(t, "place", b.Manifest, checkpoint.Place{Bucket: "memory", Key: layout.Manifest{Batch: b.ID, Created: b.Created}.Key("manifests/")})
		p, stop := w.worker("b")
		defer stop()
		p.publisher.manifests = manifestHome{"other", "elsewhere/"}
		w.sweep(p)
		want(t, "manifests", strings.Join(w.bucket.keys("manifests/"), " "), b.Manifest.Key)
		want(t, "bucket of the manifest", w.bucket.objects[b.Manifest.Key].bucket, "memory")
		want(t, "manifests elsewhere", len(w.bucket.keys("elsewhere/")), 0)
	})
}

func refusedAfterAMinute(partition string) func(string, string, bool) error {
	return func(operation, key string, applied bool) error {
		if operation == "publish" && !applied && strings.HasPrefix(key, "data/"+partition) {
			time.Sleep(time.Minute)
			return fmt.Errorf("key policy: %w", writers.ErrRefused)
		}
		return nil
	}
}

// A dead worker has left more batches that are refused than are tried at a time, and they were sealed before the others.
func TestSweep_DoesNotWaitForRefusedBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const refused = 3 * sweeping
		for n := range refused {
			w.leave(fmt.Sprint("dead-", n), fmt.Sprint("shard-", n), "x", failing("publish"))
		}
		w.leave("dead-later", "shard-later", "y", failing("publish"))
		w.bucket.plant(refusedAfterAMinute("x"))
		p, stop := w.worker("b")
		defer stop()
		c := p.Open(w.acquire("shard-own", "b"))

		scans := func(d time.Duration) {
			for range d / (3 * time.Second) {
				p.Sweep(w.scan(), func(b checkpoint.Batch) bool { return b.Worker != "b" })
				time.Sleep(3 * time.Second)
			}
		}
		scans(refused/sweeping*time.Minute + 30*time.Second)
		want(t, "published of those left", strings.Join(partitions(w.bucket.keys("data/")), ""), "y")
		status := p.Status().Unpublished
		want(t, "batches named", len(status), refused)
		for _, u := range status {
			want(t, "reason of "+u.Batch, u.Reason, "refused")
			want(t, "error of "+u.Batch, strings.Contains(u.Error, "key policy"), true)
		}
		p.Observe()
		want(t, "refused batches by the metric", reading(t, p.parts.Metrics.OutboxFailed.WithLabelValues("refused")), refused*time.Second)

		// Another worker dies while those are tried again, and this one has records of its own.
		w.leaveQuietly("dead-last", "shard-last", "z")
		scans(9 * time.Second)
		want(t, "published of those left later, at once", strings.Join(partitions(w.bucket.keys("data/")), ""), "yz")
		w.append(c, intake("v", 1, 5))
		scans(w.limits.Interval + 9*time.Second)
		want(t, "published of those left later", strings.Join(partitions(w.bucket.keys("data/")), ""), "vyz")
		want(t, "some were tried again", slices.ContainsFunc(p.Status().Unpublished, func(u UnpublishedBatch) bool { return u.Attempts > 1 }), true)

		w.bucket.plant(nil)
		scans(3 * time.Minute)
		batches, _ := w.outbox()
		want(t, "batches in the outbox when they are accepted", batches, 0)
		p.Observe()
		want(t, "refused batches by the metric", reading(t, p.parts.Metrics.OutboxFailed.WithLabelValues("refused")), 0)
	})
}

// Whatever is offered, in any order: what has not failed comes before what has, and what nobody is at.
func TestQueue_TakesBatchesInTheirTurn(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	fresh := func(id string, created int) candidate {
		return candidate{head: checkpoint.Batch{ID: id, Created: at(created)}}
	}
	failed := func(id string, created, tried int) candidate {
		c := fresh(id, created)
		c.tried = at(tried)
		return c
	}
	q := newQueue()
	q.offer([]candidate{
		failed("failed later", 1, 20), fresh("younger", 9), failed("failed", 2, 10), fresh("older", 8), fresh("at it", 3), failed("failed last", 4, 30),
	})
	q.hold("at it") // after the offer
	var got []string
	var taken candidate
	for c, ok := q.next(); ok; c, ok = q.next() {
		got, taken = append(got, c.head.ID), c
	}
	want(t, "taken", strings.Join(got, ", "), "older, younger, failed, failed later")
	q.release("at it")
	c, _ := q.next()
	want(t, "taken when its lane is done", c.head.ID, "at it")
	q.done(taken)
	c, _ = q.next()
	want(t, "taken when another has failed again", c.head.ID, "failed last")
}

// What is refused is tried less and less often, and at last once in a minute.
func TestSweep_WaitsBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.leave("a", "shard-1", "x", failing("publish"))
		attempts := 0
		w.bucket.plant(func(operation, _ string, applied bool) error {
			if operation == "publish" && !applied {
				attempts++
				return writers.ErrRefused
			}
			return nil
		})
		p, stop := w.worker("b")
		defer stop()
		for range time.Hour / (3 * time.Second) {
			w.sweep(p)
			time.Sleep(3 * time.Second)
		}
		if attempts < 50 || attempts > 65 {
			t.Errorf("%d attempts in an hour, want about one a minute", attempts)
		}
	})
}

// A lane takes its time to publish, and the batch is in the outbox meanwhile. No sweep of the worker publishes it, too.
func TestSweep_LeavesABatchToItsLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		completions := 0
		w.bucket.plant(func(operation, _ string, applied bool) error {
			if operation == "publish" && !applied {
				completions++
				time.Sleep(10 * time.Minute)
			}
			return nil
		})
		p, stop := w.worker("a")
		defer stop()
		w.append(p.Open(w.acquire("shard-1", "a")), intake("x", 1, 5))
		time.Sleep(w.limits.Interval + time.Second)
		for range 3 {
			w.sweep(p)
			time.Sleep(time.Minute)
		}
		want(t, "completions", completions, 1)
		time.Sleep(10 * time.Minute)
		want(t, "records", len(w.bucket.lines("data/")), 5)
	})
}

// leaveQuietly puts a batch into the outbox without a worker, and leaves faults as they are.
func (w *world) leaveQuietly(worker, shard, partition string) {
	w.t.Helper()
	h := w.acquire(shard, worker)
	u, err := w.bucket.Begin(context.Background(), writers.ObjectSpec{Key: "data/" + partition + "/quiet"})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := u.Write([]byte("{}\n")); err != nil {
		w.t.Fatal(err)
	}
	f, err := u.Finish(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	row := h.Lease()
	if err := w.store.Commit(context.Background(), checkpoint.Batch{
		ID: "batch-" + worker, Worker: worker, Created: time.Now(), Files: []checkpoint.File{f},
		Ranges: []checkpoint.Range{{Shard: shard, Start: row.Checkpoint, End: "100", LeaseOwner: worker, LeaseCounter: row.Counter}},
	}); err != nil {
		w.t.Fatal(err)
	}
}

// What a lane could not publish stays in the outbox, and its next batches go on. The pipeline does not end well with it.
func TestLane_GoesOnAfterABatchThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.bucket.plant(refusedAfterAMinute("x"))
		p, stop := w.worker("a")
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 5))
		for n := range 3 {
			time.Sleep(2 * w.limits.Interval)
			w.append(c, intake("y", 10*n+10, 10*n+14))
		}
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		err := p.AwaitPublished(context.Background())
		want(t, "records", len(w.bucket.lines("data/y")), 15)
		want(t, "the end reports what stays: "+fmt.Sprint(err), errors.Is(err, writers.ErrRefused), true)
		u := p.Status().Unpublished
		want(t, "unpublished", len(u), 1)
		want(t, "the end names it", strings.Contains(fmt.Sprint(err), u[0].Batch), true)
		want(t, "freshness", p.Freshness() >= 4*w.limits.Interval, true)

		w.bucket.plant(nil)
		if err := p.AwaitPublished(context.Background()); err != nil {
			t.Errorf("when it is accepted: %v", err)
		}
		want(t, "records in the end", len(w.bucket.lines("data/")), 20)
		want(t, "freshness in the end", p.Freshness(), 0)
	})
}

// Nobody waits for ever for uploads that may be left to the bucket's lifecycle rule.
func TestLane_GoesOnAfterADroppedBatchWhoseUploadsCannotBeAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		w.bucket.hang = "abort"
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, intake("x", 1, 5))
		w.acquire("shard-1", "b") // another worker has taken it
		time.Sleep(w.limits.Interval + aborting + time.Second)
		other := p.Open(w.acquire("shard-2", "a"))
		w.append(other, intake("y", 1, 5))
		time.Sleep(w.limits.Interval + time.Second)
		synctest.Wait()
		want(t, "records of the next batch", len(w.bucket.lines("data/y")), 5)
	})
}

// Some files of a batch cannot be published before somebody mends what is wrong, be they the first or the most: all others
// have to be visible long before the bucket's lifecycle rule removes their uploads.
func TestPublish_FilesThatFailKeepNoOthersFromBeingPublished(t *testing.T) {
	const names = "abcdefghijklmnopqrstuvwxyz"
	for name, test := range map[string]struct {
		fails string
		after time.Duration
		err   error
	}{
		"another object is in the place of the first":   {"a", 0, writers.ErrForeignObject},
		"more than are published at a time are refused": {names[:publishing+4], time.Minute, writers.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.leave("a", "shard-1", names, failing("publish"))
				w.bucket.plant(func(operation, key string, applied bool) error {
					switch {
					case operation != "publish" || applied:
					case strings.Contains(test.fails, partitions([]string{key})[0]):
						time.Sleep(test.after)
						return test.err
					default:
						time.Sleep(100 * time.Millisecond)
					}
					return nil
				})
				p, stop := w.worker("b")
				defer stop()
				for range 2 * 60 * 20 {
					w.sweep(p)
					time.Sleep(3 * time.Second)
				}
				want(t, "published", strings.Join(partitions(w.bucket.keys("data/")), ""), names[len(test.fails):])
				want(t, "reason", p.Status().Unpublished[0].Reason, reasonOf(test.err))
				w.bucket.plant(nil)
				time.Sleep(3 * time.Minute) // the last attempt, and the pause after it
				w.sweep(p)
				time.Sleep(time.Second)
				want(t, "manifests when it is mended", len(w.bucket.keys("manifests/")), 1)
			})
		})
	}
}

// Files need not be in a bucket; lists of them are.
func TestList_IsInTheBucketOfTheManifestsIfFilesAreInNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		defer stop()
		l := &lists{sink: p.parts.Sink, bucket: "now", log: p.parts.Log}
		b := checkpoint.Batch{ID: "b", Files: []checkpoint.File{{Key: "k"}}}
		if err := l.write(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		want(t, "bucket", b.List.Bucket, "now")
	})
}

// One Kinesis record can bring more files than S3 completes, or only looks up, in half an hour.
func TestPublish_HasTimeForAnyNumberOfFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		files := 5_000
		if race.Enabled {
			files = 500
		}
		took := 3 * time.Second // for each, which makes 31 minutes
		b := checkpoint.Batch{ID: "many", Worker: "dead", Created: time.Now()}
		for n := range files {
			f := checkpoint.File{Bucket: "memory", Key: fmt.Sprintf("data/%05d", n), Staged: staged(fmt.Sprint(n))}
			w.bucket.uploads[fmt.Sprint(n)] = new(bytes.Buffer)
			b.Files = append(b.Files, f)
		}
		row := w.acquire("shard-1", "dead").Lease()
		b.Ranges = []checkpoint.Range{{Shard: "shard-1", Start: row.Checkpoint, End: "100", LeaseOwner: "dead", LeaseCounter: row.Counter}}
		p, stop := w.worker("b")
		defer stop()
		if err := p.settler.lists.write(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		if err := w.store.Commit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		w.bucket.plant(func(operation, _ string, applied bool) error {
			if operation == "publish" && !applied {
				time.Sleep(took)
			}
			return nil
		})
		for range 2 { // the first attempt has no more time than that of a lane
			w.sweep(p)
			time.Sleep(time.Duration(files/publishing)*took + time.Minute)
		}
		synctest.Wait()
		batches, _ := w.outbox()
		want(t, "batches in the outbox", batches, 0)
		want(t, "manifests", len(w.bucket.keys("manifests/2")), 1)
	})
}
