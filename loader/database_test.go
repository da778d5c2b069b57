package loader_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/table"
)

// database is a table in memory that behaves like one in a database: writes take long, a write takes few bytes, and loaded
// batches are held back.
type database struct {
	loader.Destination
	most    int64                               // 0 for no bound
	hold    time.Duration                       // after the commit
	write   func(context.Context, func()) error // before each write; may be nil
	lost    atomic.Value                        // a batch one of whose files is gone; a string
	mu      sync.Mutex
	writes  [][]string           // the batches of each; under mu
	loaded  map[string]time.Time // by batch
	refuses map[string]int64     // rows, by batch
	commits atomic.Int64
}

// MaxBytes implements loader.Bounded.
func (d *database) MaxBytes() int64 { return d.most }

// Load implements loader.Destination.
func (d *database) Load(ctx context.Context, previous *table.Definition) (loader.State, error) {
	s, err := d.Destination.Load(ctx, previous)
	return &databaseState{s, d}, err
}

type databaseState struct {
	loader.State
	d *database
}

// Definition implements loader.State.
func (s *databaseState) Definition() *table.Definition {
	d := *s.State.Definition()
	d.Commits = s.d.commits.Load()
	return &d
}

// Append implements loader.State.
func (s *databaseState) Append(ctx context.Context, a loader.Addition) error {
	var ids []string
	for _, b := range a.Batches {
		ids = append(ids, b.ID)
	}
	s.d.mu.Lock()
	s.d.writes = append(s.d.writes, ids)
	s.d.mu.Unlock()
	if lost, _ := s.d.lost.Load().(string); slices.Contains(ids, lost) {
		return fmt.Errorf("append: %w", &loader.Problem{Reason: loader.FileLost, Batch: lost, Err: errors.New("there is no such object")})
	}
	if s.d.write != nil {
		if err := s.d.write(ctx, a.Progress); err != nil {
			return err
		}
	}
	if err := s.State.Append(ctx, a); err != nil {
		return err
	}
	for _, b := range a.Batches {
		s.d.loaded[b.ID] = time.Now()
	}
	s.d.commits.Add(1)
	return nil
}

// Refused implements loader.Refuser.
func (s *databaseState) Refused(batch string) int64 { return s.d.refuses[batch] }

// Settle implements loader.Settler.
func (s *databaseState) Settle(_ context.Context, ids []string) (settled []string, err error) {
	for _, id := range ids {
		if time.Since(s.d.loaded[id]) >= s.d.hold {
			settled = append(settled, id)
		}
	}
	return settled, nil
}

func (s *stage) database() *database {
	d := &database{Destination: s.table.Open(), most: 1 << 30, loaded: map[string]time.Time{}}
	s.to = d
	return d
}

// A batch that is in the table stays in the outbox and in the ledger until it is settled, and is loaded once.
func TestLoader_HoldsBatchesBackUntilTheyAreSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.database().hold = 5 * interval
		b := s.write("one", 2)
		s.publish(b)
		l, _, stop := s.run("l1")
		time.Sleep(4 * interval)
		s.live(b)
		if ids := s.waits(); !slices.Equal(ids, []string{"one"}) || l.Status().Waiting != 0 {
			t.Errorf("in the outbox are %q, want the batch that is held back; %d wait, want none", ids, l.Status().Waiting)
		}
		time.Sleep(3 * interval)
		stop()
		s.live(b)
		if ids := s.waits(); len(ids) > 0 {
			t.Errorf("in the outbox remain %q", ids)
		}
	})
}

func TestLoader_BoundsTheBytesOfAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.database().most = 250 // files have 100 bytes
		all := []checkpoint.Batch{s.write("a", 1), s.write("b", 1), s.write("c", 1), s.write("d", 4), s.write("e", 1)}
		for _, b := range all {
			s.publish(b)
		}
		_, reg, stop := s.run("l1")
		time.Sleep(time.Second)
		stop()
		s.live(all...)
		if n := commits(t, reg, "committed"); n != 4 {
			t.Errorf("%v commits, want 4: two small batches, one, the large one alone, one", n)
		}
	})
}

// A write may take as long as it needs, as long as it gets on.
func TestLoader_EndsAWriteThatNoLongerGetsOn(t *testing.T) {
	for name, test := range map[string]struct{ progress, stuck bool }{"gets on": {progress: true}, "stands still": {stuck: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				var ended error
				tries := 0
				s.database().write = func(ctx context.Context, progress func()) error {
					for tries++; test.progress && time.Since(s.began) < time.Hour; {
						time.Sleep(4 * time.Minute)
						progress()
					}
					if test.stuck && tries == 1 {
						<-ctx.Done()
						ended = context.Cause(ctx)
						return ended
					}
					return ctx.Err()
				}
				b := s.write("one", 1)
				s.publish(b)
				l, _, stop := s.run("l1")
				time.Sleep(3 * time.Minute)
				if err := l.Alive(); err != nil {
					t.Errorf("after 3 minutes: %v", err)
				}
				time.Sleep(2 * time.Hour)
				stop()
				s.live(b)
				if test.stuck && (ended == nil || !strings.Contains(ended.Error(), "no progress within 5m0s") || tries != 2) {
					t.Errorf("the write ended with %v, after %d tries in all; want it ended for want of progress, and tried again", ended, tries)
				}
				if test.progress && tries != 1 {
					t.Errorf("%d tries, want one", tries)
				}
			})
		})
	}
}

func TestLoader_ShowsThatATableHasLostCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		d := s.database()
		d.commits.Store(10)
		_, reg, stop := s.run("l1")
		time.Sleep(interval)
		d.commits.Store(7)
		time.Sleep(2 * interval)
		stop()
		want := `
			# HELP consumer_load_lost_commits_total Commits that the table no longer has, as after a standby without them was promoted, or a backup restored.
			# TYPE consumer_load_lost_commits_total counter
			consumer_load_lost_commits_total{table="memory://trips"} 3
		`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "consumer_load_lost_commits_total"); err != nil {
			t.Error(err)
		}
		if n := strings.Count(s.logs.String(), "the table has lost commits"); n != 1 {
			t.Errorf("the log says so %d times, want once:\n%s", n, s.logs)
		}
	})
}

// A batch whose files cannot be read is found only while they are written. The others are written without it, at once, and it is tried
// again, alone.
func TestLoader_SetsApartABatchThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		d := s.database()
		d.lost.Store("b")
		d.refuses = map[string]int64{"a": 2, "d": 1}
		all := []checkpoint.Batch{s.write("a", 1), s.write("b", 1), s.write("c", 1)}
		for _, b := range all {
			s.publish(b)
		}
		l, reg, stop := s.run("l1")
		time.Sleep(time.Second)
		s.live(all[0], all[2])
		st := l.Status()
		if len(st.Stuck) != 1 || st.Stuck[0].Batch != "b" || st.Stuck[0].Reason != loader.FileLost || st.Problem != "" {
			t.Errorf("stuck are %+v, and the problem is %q", st.Stuck, st.Problem)
		}
		later := s.write("d", 1)
		s.publish(later)
		time.Sleep(interval)
		synctest.Wait()
		s.live(all[0], all[2], later)
		want := "[[a b c] [a c] [d] [b]]"
		d.mu.Lock()
		got := fmt.Sprint(d.writes)
		d.mu.Unlock()
		if got != want {
			t.Errorf("the writes were %s, want %s", got, want)
		}
		if n := strings.Count(s.logs.String(), "a batch cannot be loaded"); n != 1 {
			t.Errorf("the log says so %d times, want once", n)
		}
		d.lost.Store("")
		time.Sleep(2 * interval)
		stop()
		s.live(append(all, later)...)
		want = `
			# HELP consumer_load_rows_total Rows of those files.
			# TYPE consumer_load_rows_total counter
			consumer_load_rows_total{table="memory://trips"} 4
			# HELP consumer_load_refused_rows_total Rows of those files that the table refused. They are in the error prefix.
			# TYPE consumer_load_refused_rows_total counter
			consumer_load_refused_rows_total{table="memory://trips"} 3
		`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "consumer_load_rows_total", "consumer_load_refused_rows_total"); err != nil || len(l.Status().Stuck) > 0 {
			t.Errorf("%v; stuck are %v, want none", err, l.Status().Stuck)
		}
		if _, page := get(l, "/"); !strings.Contains(page, "<th>Rows refused</th><td>3,") {
			t.Errorf("the page does not show the refused rows: %s", page)
		}
		if n := strings.Count(s.logs.String(), "rows of a batch were refused"); n != 2 {
			t.Errorf("%d lines of log name batches with refused rows, want one each", n)
		}
	})
}
