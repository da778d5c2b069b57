package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"aws-streaming-pipeline/checkpoint"
)

const (
	lake = "glue://lake/trips"
	rows = "postgres://db.example.com/lake/public.trips"
)

// ofLake has the files of a worker loaded into the table lake.
func ofLake(tb testing.TB) func(*Parts) {
	return func(parts *Parts) {
		s := state(tb, parts.Data, "s", "")
		parts.Table = func() *Table { return s }
	}
}

// newLakeWorld is a world whose batches are to be loaded into the table lake and have their files in an object.
func newLakeWorld(t *testing.T) *world {
	w := newWorld(t)
	w.table, w.room = lake, 1
	return w
}

// deliverToLake has a worker commit a batch of one file.
func (w *world) deliverToLake(p *Pipeline) {
	w.t.Helper()
	w.append(p.Open(w.acquire("shard-1", "a")), intake("x", 1, 3))
	time.Sleep(w.limits.Interval + time.Second)
	synctest.Wait()
}

// manifestKeys are those of the manifests, without the lists of files.
func (w *world) manifestKeys() []string {
	return slices.DeleteFunc(w.bucket.keys("manifests/"), func(key string) bool { return strings.HasPrefix(key, "manifests/outbox/") })
}

// A batch for a table stays in the outbox with its list after it is published, and nothing of delivery waits for the table.
func TestPublish_LeavesABatchToTheLoadersOfItsTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLakeWorld(t)
		p, stop := w.worker("a", ofLake(t))
		defer stop()
		w.deliverToLake(p)
		snap := w.scan()
		if len(snap.Batches) != 0 || len(snap.Published) != 1 || snap.Published[0].PublishedAt.IsZero() || !slices.Equal(snap.Published[0].Tables, []string{lake}) {
			t.Fatalf("the outbox holds %+v, published %+v", snap.Batches, snap.Published)
		}
		want(t, "manifests", len(w.manifestKeys()), 1)
		want(t, "lists", w.lists(), 1)
		time.Sleep(time.Hour)
		before := w.bucket.objects[w.manifestKeys()[0]].body
		w.bucket.plant(func(operation, key string, _ bool) error {
			t.Errorf("%s %s was called for a published batch", operation, key)
			return nil
		})
		w.sweep(p)
		p.Observe()
		s, m := p.Status(), p.parts.Metrics
		want(t, "unpublished batches", s.Outbox, 0)
		want(t, "batches to load", s.Tables[0].Batches, 1)
		want(t, "files published", s.Totals.Files, 1)
		want(t, "batches in the outbox", value(t, m.Outbox), 0)
		want(t, "age of the oldest unpublished batch", value(t, m.OutboxAge), 0)
		want(t, "age of the oldest record that is not visible", value(t, m.Freshness), 0)
		want(t, "batches waiting for tables", value(t, m.TableBatches.WithLabelValues(lake)), 1)
		want(t, "age of the oldest batch waiting for tables", value(t, m.TableAge.WithLabelValues(lake)), time.Since(snap.Published[0].PublishedAt).Seconds())
		want(t, "the manifest was written again", string(w.bucket.objects[w.manifestKeys()[0]].body) != string(before), false)

		w.bucket.plant(nil)
		b, err := checkpoint.LoadBatch(t.Context(), w.store, w.bucket, snap.Published[0].ID)
		if err != nil || len(b.Files) != 1 || len(b.Files[0].Table) == 0 {
			t.Errorf("the loader reads %+v, %v", b, err)
		}
		if err := errors.Join(w.store.MarkLoaded(t.Context(), b.ID, lake), w.store.Forget(t.Context(), b.ID)); err != nil {
			t.Error(err)
		}
		w.sweep(p)
		want(t, "batches waiting for tables", value(t, m.TableBatches.WithLabelValues(lake)), 0)
		want(t, "age of the oldest batch waiting for tables", value(t, m.TableAge.WithLabelValues(lake)), 0)
	})
}

// Each table has its own figures, from the start, and is shown as long as TABLE or a batch names it. One that only batches name
// is reported once.
func TestPipeline_ShowsWhatWaitsForEachTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLakeWorld(t)
		w.copied = []string{rows}
		var log bytes.Buffer
		p, stop := w.worker("a", ofLake(t))
		m := p.parts.Metrics
		shown := func(p *Pipeline) map[string]int {
			batches := make(map[string]int)
			for _, s := range p.Status().Tables {
				batches[s.Table] = s.Batches
			}
			return batches
		}
		wantShown := func(p *Pipeline, what string, figures map[string]int) {
			t.Helper()
			if got := shown(p); !maps.Equal(got, figures) {
				t.Errorf("%s: shown are %v, want %v", what, got, figures)
			}
			gauges := make(map[string]int)
			for _, series := range collect(t, p.parts.Metrics.TableBatches) {
				gauges[series.GetLabel()[0].GetValue()] = int(series.GetGauge().GetValue())
			}
			if !maps.Equal(gauges, figures) {
				t.Errorf("%s: gauges are %v, want %v", what, gauges, figures)
			}
		}
		wantShown(p, "at the start", map[string]int{lake: 0, rows: 0})
		w.deliverToLake(p)
		id := w.scan().Published[0].ID
		time.Sleep(time.Minute)
		w.sweep(p)
		wantShown(p, "delivered", map[string]int{lake: 1, rows: 1})
		if err := w.store.MarkLoaded(t.Context(), id, lake); err != nil {
			t.Fatal(err)
		}
		w.sweep(p)
		wantShown(p, "in the lake", map[string]int{lake: 0, rows: 1})
		want(t, "age for the lake", value(t, m.TableAge.WithLabelValues(lake)), 0)
		want(t, "age for the database", value(t, m.TableAge.WithLabelValues(rows)) >= 60, true)
		stop()

		// TABLE has no database any more, and the batch goes on.
		w.copied = nil
		next, stop := w.worker("b", ofLake(t), func(parts *Parts) { parts.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		defer stop()
		wantShown(next, "without the database, before a scan", map[string]int{lake: 0})
		for range 3 {
			w.sweep(next)
		}
		wantShown(next, "without the database", map[string]int{lake: 0, rows: 1})
		want(t, "tables of batches alone", fmt.Sprint(next.Status().Tables[0].Unnamed, next.Status().Tables[1].Unnamed), "false true")
		want(t, "warnings", strings.Count(log.String(), "does not name"), 1)
		want(t, "warnings that name it", strings.Count(log.String(), rows), 1)
		if err := errors.Join(w.store.MarkLoaded(t.Context(), id, rows), w.store.Forget(t.Context(), id)); err != nil {
			t.Fatal(err)
		}
		w.sweep(next)
		wantShown(next, "loaded", map[string]int{lake: 0})
	})
}

// collect returns the series of a metric.
func collect(t *testing.T, c prometheus.Collector) (series []*dto.Metric) {
	t.Helper()
	all := make(chan prometheus.Metric, 100)
	c.Collect(all)
	close(all)
	for metric := range all {
		var m dto.Metric
		if err := metric.Write(&m); err != nil {
			t.Fatal(err)
		}
		series = append(series, &m)
	}
	return series
}

// The answer to the mark is lost for longer than the worker asks again. Neither it nor another worker publishes the batch
// a second time: its readers may have removed the files since.
func TestPublish_WhenTheAnswerToTheMarkIsLost(t *testing.T) {
	for name, applied := range map[string]bool{"the mark is there": true, "the mark is not there": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newLakeWorld(t)
				var marks atomic.Int64
				w.faults(func(operation string, done bool) error {
					if operation == "mark published" && done == applied {
						marks.Add(1)
						return errPlanted
					}
					return nil
				})
				p, stop := w.worker("a", ofLake(t))
				w.deliverToLake(p)
				time.Sleep(2 * forgetBound)
				if n := marks.Load(); n < 2 {
					t.Errorf("the mark was tried %d times", n)
				}
				want(t, "unpublished batches of the worker", len(p.Status().Unpublished), 1)
				snap := w.scan()
				want(t, "unpublished batches", len(snap.Batches), map[bool]int{true: 0, false: 1}[applied])
				want(t, "published batches", len(snap.Published), map[bool]int{true: 1, false: 0}[applied])
				w.faults(nil)
				var published atomic.Int64
				w.bucket.plant(func(operation, _ string, applied bool) error {
					if operation == "publish" && applied {
						published.Add(1)
					}
					return nil
				})
				if err := p.AwaitPublished(t.Context()); err != nil {
					t.Error(err)
				}
				want(t, "files published again", published.Load(), map[bool]int64{true: 0, false: 1}[applied])
				want(t, "unpublished batches of the worker", len(p.Status().Unpublished), 0)
				stop()
				if snap := w.scan(); len(snap.Batches) != 0 || len(snap.Published) != 1 {
					t.Errorf("the outbox holds %+v, published %+v", snap.Batches, snap.Published)
				}
				want(t, "lists", w.lists(), 1)
			})
		})
	}
}

// A worker is late with the mark: another one has published the batch, and it is loaded and forgotten.
func TestPublish_ALateMarkDoesNotBringABatchBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLakeWorld(t)
		late := make(chan struct{})
		w.faults(func(operation string, applied bool) error {
			if operation == "mark published" && !applied {
				<-late
			}
			return nil
		})
		p, stop := w.worker("a", ofLake(t))
		defer stop()
		w.deliverToLake(p)
		id := w.scan().Batches[0].ID
		w.faults(nil)
		other, stopOther := w.worker("b", ofLake(t))
		defer stopOther()
		w.sweep(other)
		want(t, "published by the other worker", other.Status().Totals.Batches, 1)
		if err := errors.Join(w.store.MarkLoaded(t.Context(), id, lake), w.store.Forget(t.Context(), id)); err != nil {
			t.Fatal(err)
		}
		close(late)
		synctest.Wait()
		if snap := w.scan(); len(snap.Batches)+len(snap.Published) != 0 {
			t.Errorf("the outbox holds %+v, published %+v", snap.Batches, snap.Published)
		}
		want(t, "unpublished batches of the late worker", len(p.Status().Unpublished), 0)
	})
}

// lakeStorm is a storm whose files are loaded into a table by loaders that suffer from the same faults. Requests that mark a
// batch arrive a second time, minutes later.
type lakeStorm struct {
	*storm
	mu     sync.Mutex
	ledger map[string]bool
	head   int
	files  map[string]int // in the table, by key
}

func newLakeStorm(t *testing.T, seed uint64) *lakeStorm {
	s := &lakeStorm{storm: newStorm(t, seed), ledger: make(map[string]bool), files: make(map[string]int)}
	s.table, s.plants = lake, append(s.plants, ofLake(t))
	s.given = echoing{s.store}
	return s
}

// echoAfter is how late the second of two requests is at most.
const echoAfter = 5 * time.Minute

// echoing is a store that receives each mark twice.
type echoing struct{ checkpoint.Store }

func (s echoing) MarkPublished(ctx context.Context, id string, at time.Time) error {
	go func() {
		time.Sleep(rand.N(echoAfter))
		_ = s.Store.MarkPublished(context.WithoutCancel(ctx), id, time.Now()) // fails if the batch is forgotten
	}()
	return s.Store.MarkPublished(ctx, id, at)
}

func (s echoing) MarkLoaded(ctx context.Context, id, table string) error {
	go func() {
		time.Sleep(rand.N(echoAfter))
		_ = s.Store.MarkLoaded(context.WithoutCancel(ctx), id, table) // fails if the batch is forgotten
	}()
	return s.Store.MarkLoaded(ctx, id, table)
}

// run is the storm's with two loaders.
func (s *lakeStorm) run() {
	ctx, stop := context.WithCancel(context.Background())
	var loaders sync.WaitGroup
	for range 2 {
		loaders.Go(func() {
			for sleep(ctx, time.Duration(s.roll(20000))*time.Millisecond) {
				_ = s.load(ctx) // an error ends the round
			}
		})
	}
	s.storm.run()
	stop()
	loaders.Wait()
	time.Sleep(echoAfter) // until every second request has arrived
}

// load is a round of the loader's rule: the table, then the outbox, one write on condition that the table is as it was read,
// and marks for what a table that was read names.
func (s *lakeStorm) load(ctx context.Context) error {
	s.mu.Lock()
	head, named := s.head, make(map[string]bool)
	for id := range s.ledger {
		named[id] = true
	}
	s.mu.Unlock()
	outbox, _, err := s.given.Outbox(ctx)
	if err != nil {
		return err
	}
	ledger, keys := make(map[string]bool), []string(nil)
	for _, b := range outbox {
		switch {
		case named[b.ID]:
			ledger[b.ID] = true
			if err := s.finish(ctx, b.ID); err != nil {
				return err
			}
		case !b.PublishedAt.IsZero():
			b, err := checkpoint.LoadBatch(ctx, s.given, s.bucket, b.ID)
			if errors.Is(err, checkpoint.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			ledger[b.ID] = true
			for _, f := range b.Files {
				if f.Data() {
					keys = append(keys, f.Key)
				}
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	time.Sleep(time.Duration(s.roll(3000)) * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head != head {
		return checkpoint.ErrConflict
	}
	s.head, s.ledger = s.head+1, ledger
	for _, key := range keys {
		s.files[key]++
	}
	return nil
}

func (s *lakeStorm) finish(ctx context.Context, id string) error {
	b, err := s.given.Batch(ctx, id)
	if errors.Is(err, checkpoint.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = s.given.MarkLoaded(ctx, id, lake)
	}
	if err == nil {
		err = s.given.Forget(ctx, id)
	}
	if err == nil && b.List != nil {
		err = s.bucket.DeleteList(ctx, *b.List)
	}
	return err
}

// wrong returns how many files of manifests are not in the table, and how many are there more than once.
func (s *lakeStorm) wrong() (missing, double int) {
	for _, key := range s.manifestKeys() {
		var m checkpoint.Batch
		if err := json.Unmarshal(s.bucket.objects[key].body, &m); err != nil {
			s.t.Fatal(err)
		}
		for _, f := range m.Files {
			switch n := s.files[f.Key]; {
			case !f.Data():
			case n == 0:
				missing++
			case n > 1:
				double++
			}
		}
	}
	return missing, double
}

func TestPipeline_HandsEachFileToItsTableOnceUnderRandomFaults(t *testing.T) {
	seeds := 12
	if testing.Short() {
		seeds = 4
	}
	struck := 0
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLakeStorm(t, uint64(seed))
				s.run()
				lost, duplicate := s.count()
				missing, double := s.wrong()
				if lost+duplicate+missing+double > 0 || !s.finished() || len(s.files) == 0 {
					t.Errorf("lost %d, duplicate %d records; %d files are missing in the table, %d there twice, of %d; finished: %v; faults %v",
						lost, duplicate, missing, double, len(s.files), s.finished(), s.hits)
				}
				for _, applied := range []bool{false, true} {
					struck += s.hits[fmt.Sprint("mark published applied ", applied)]
				}
			})
		})
	}
	if struck < seeds {
		t.Errorf("only %d faults struck the marks of published batches", struck)
	}
}

// forgetful is what a release does that does not know the step: it forgets a batch when it is published.
type forgetful struct{ checkpoint.Store }

func (s forgetful) MarkPublished(ctx context.Context, id string, _ time.Time) error {
	return errors.Join(s.MarkLoaded(ctx, id, lake), s.Forget(ctx, id))
}

func TestLakeStorm_ShowsTheFilesThatABatchForgottenTooEarlyKeepsFromTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLakeStorm(t, 1)
		s.given = forgetful{s.store}
		s.run()
		if missing, _ := s.wrong(); missing == 0 {
			t.Error("no file is missing in the table")
		}
	})
}
