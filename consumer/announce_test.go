package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
	"aws-streaming-pipeline/writers/writerstest"
)

// said is a store that has nothing but the statement.
type said struct {
	mu sync.Mutex
	c  checkpoint.Complete
}

func (s *said) Complete(context.Context) (checkpoint.Complete, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c, nil
}

func (s *said) RaiseComplete(context.Context, checkpoint.Complete) (checkpoint.Complete, error) {
	panic("an announcer raises nothing")
}

func (s *said) say(upTo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c = checkpoint.Complete{}
	if upTo != "" {
		t := at(upTo)
		s.c = checkpoint.Complete{UpTo: t, At: t.Add(10 * time.Second), Shards: 2}
	}
}

// at parses a time of 28 November 2026.
func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-11-28 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

type announcing struct {
	*testing.T
	store  said
	bucket *writerstest.Memory
	table  checkpoint.Snapshot
}

func newAnnouncing(t *testing.T) *announcing {
	c := &announcing{T: t, bucket: writerstest.NewMemory()}
	c.begin("08:30:00")
	return c
}

// begin has the application's table begin at a time.
func (c *announcing) begin(clock string) {
	start := checkpoint.AtTimestamp(at(clock))
	c.table = checkpoint.Snapshot{Application: checkpoint.Application{Initial: start}, Leases: []checkpoint.Lease{{Shard: "a", Begin: start}}}
}

// worker returns the announcer of a worker.
func (c *announcing) worker(adjust func(*Config)) *announcer {
	c.Helper()
	return c.with(c.settings(adjust))
}

// settings are those of a worker.
func (c *announcing) settings(adjust func(*Config)) Config {
	c.Helper()
	cfg := Defaults()
	cfg.Stream, cfg.Bucket, cfg.CompletePrefix, cfg.CompleteMarker = "stream", "bucket", "_complete/", "_SUCCESS"
	if adjust != nil {
		adjust(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		c.Fatal(err)
	}
	return cfg
}

// with returns the announcer of a worker with settings.
func (c *announcing) with(cfg Config) *announcer {
	c.Helper()
	a, err := newAnnouncer(&cfg, &c.store, c.bucket, metrics.New(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	if err != nil {
		c.Fatal(err)
	}
	return a
}

func (c *announcing) lead(context.Context) (bool, checkpoint.Snapshot, error) {
	return true, c.table, nil
}

// turn does turns until nothing is left to do.
func (c *announcing) turn(a *announcer) {
	c.Helper()
	for a.turn(c.Context(), time.Minute, c.lead) == 0 {
	}
}

const statementKey = "_complete/streaming-pipeline.json"

func (c *announcing) statement() layout.Statement {
	c.Helper()
	o := c.bucket.Object(statementKey)
	if o == nil {
		return layout.Statement{}
	}
	s, err := layout.DecodeStatement(o.Body, "streaming-pipeline")
	if err != nil {
		c.Fatal(err)
	}
	return s
}

// hours returns the hours of the day whose folders have a marker.
func (c *announcing) hours() string {
	var hours []string
	for _, key := range c.bucket.Keys() {
		if folder, ok := strings.CutSuffix(key, "/_SUCCESS"); ok {
			hours = append(hours, strings.TrimPrefix(folder, "data/year=2026/month=11/day=28/hour="))
		}
	}
	return strings.Join(hours, " ")
}

func TestAnnouncer_StatesAndMarksWhatIsComplete(t *testing.T) {
	c := newAnnouncing(t)
	a := c.worker(nil)
	c.turn(a)
	if keys := c.bucket.Keys(); len(keys) > 0 {
		t.Errorf("before anything is known there is %q", keys)
	}
	for _, step := range []struct{ upTo, hours string }{
		{"09:59:59", ""}, // the hour from 8 began before the application
		{"10:00:00", "09"},
		{"10:20:00", "09"},
		{"13:00:01", "09 10 11 12"},
	} {
		c.store.say(step.upTo)
		c.turn(a)
		s := c.statement()
		if !s.CompleteUpTo.Equal(at(step.upTo)) || !s.At.Equal(at(step.upTo).Add(10*time.Second)) || s.Shards != 2 || s.Stream != "stream" {
			t.Errorf("at %s the object says %+v", step.upTo, s)
		}
		if c.hours() != step.hours || !s.MarkersUpTo.Equal(at(step.upTo)) {
			t.Errorf("at %s hours %q have a marker, up to %s; want %q", step.upTo, c.hours(), s.MarkersUpTo, step.hours)
		}
	}
	if shown := a.shown(); !shown.UpTo.Equal(at("13:00:01")) || shown.Problem != "" {
		t.Errorf("the page shows %+v", shown)
	}
}

// Nothing changes, so nothing is asked but the store.
func TestAnnouncer_AsksNothingOfTheBucketWhileNothingChanges(t *testing.T) {
	c := newAnnouncing(t)
	c.store.say("10:20:00")
	a := c.worker(nil)
	c.turn(a)
	c.bucket.Fault = func(operation, key string) error { t.Errorf("%s of %s", operation, key); return nil }
	c.turn(a)
}

func TestAnnouncer_GoesBackOnlyWhenPositionsWereMovedBack(t *testing.T) {
	c := newAnnouncing(t)
	a := c.worker(nil)
	c.store.say("11:00:00")
	c.turn(a)
	c.store.say("")
	c.turn(a)
	if s := c.statement(); !s.CompleteUpTo.IsZero() {
		t.Errorf("after the rewind the object says %+v", s)
	}
	c.store.say("10:30:00")
	c.turn(a)
	if s := c.statement(); !s.CompleteUpTo.Equal(at("10:30:00")) || !s.MarkersUpTo.Equal(at("10:30:00")) {
		t.Errorf("after the rewind the object says %+v", s)
	}
	c.store.say("12:30:00")
	c.turn(a)
	if c.hours() != "09 10 11" {
		t.Errorf("hours %q have a marker", c.hours())
	}
}

// A worker reads the statement and stands still before it writes the object, while another one goes on.
func TestAnnouncer_NeverReplacesALaterStatement(t *testing.T) {
	for name, seen := range map[string]bool{"the object was there": true, "the object was not there": false} {
		t.Run(name, func(t *testing.T) {
			c := newAnnouncing(t)
			slow, quick := c.worker(nil), c.worker(nil)
			if seen {
				c.store.say("09:10:00")
				c.turn(slow)
			}
			c.store.say("10:10:00")
			var overtaken bool
			var late []string
			c.bucket.Fault = func(operation, key string) error {
				if operation == "PutVersion" && !overtaken { // the slow one's
					overtaken = true
					c.store.say("11:10:00")
					c.turn(quick)
				}
				late = append(late, fmt.Sprint(operation, " ", c.statement().CompleteUpTo.Format(time.TimeOnly)))
				return nil
			}
			c.turn(slow)
			if s := c.statement(); !s.CompleteUpTo.Equal(at("11:10:00")) || c.hours() != "09 10" {
				t.Errorf("the object says %+v, hours %q have a marker", s, c.hours())
			}
			if i := slices.Index(late, "PutVersion 11:10:00"); i < 0 {
				t.Errorf("the late write was not tried: %q", late)
			}
			if shown := slow.shown(); shown.Problem != "" || !shown.UpTo.Equal(at("11:10:00")) {
				t.Errorf("the page of the slow one shows %+v", shown)
			}
		})
	}
}

// An application is run again under its name with a new table, as for another replay. The object is that of the run before.
func TestAnnouncer_MarksWhatThisRunHasRead(t *testing.T) {
	for _, run := range []struct{ from, to, hours string }{
		{"16:00:00", "18:30:00", "12 13 16 17"}, // later
		{"08:30:00", "11:00:00", "09 10 12 13"}, // earlier
	} {
		c := newAnnouncing(t)
		c.begin("12:00:00")
		c.store.say("14:00:00")
		c.turn(c.worker(nil))
		c.begin(run.from)
		c.store.say(run.to)
		c.turn(c.worker(nil))
		if c.hours() != run.hours {
			t.Errorf("after a run from %s to %s hours %q have a marker, want %q; the object says %+v", run.from, run.to, c.hours(), run.hours, c.statement())
		}
	}
}

// Workers with other settings, as during an update, take turns, and calls fail before and after they are applied. At the end each
// folder has its marker; no folder ever has one before the statement in the store says so; and the object says at no time more
// than the store did.
func TestAnnouncer_ForgetsNoFolderWhateverFails(t *testing.T) {
	marking, silent := newAnnouncing(t).settings(nil), newAnnouncing(t).settings(func(cfg *Config) { cfg.CompleteMarker = "" })
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 16))
		c := newAnnouncing(t)
		settings := []Config{marking, marking, silent}
		workers := []*announcer{c.with(settings[0]), c.with(settings[1]), c.with(settings[2])}
		faults := true
		c.bucket.Fault = func(string, string) error {
			if faults && rng.IntN(4) == 0 {
				return errors.New("planted")
			}
			return nil
		}
		now := at("09:00:00")
		var before layout.Statement
		for range 60 {
			now = now.Add(time.Duration(rng.IntN(25)) * time.Minute)
			c.store.say(now.Format(time.TimeOnly))
			i := rng.IntN(len(workers))
			if rng.IntN(10) == 0 { // it crashes, and has written something
				workers[i].known = false
				workers[i] = c.with(settings[i])
			}
			workers[i].turn(t.Context(), time.Minute, c.lead)
			s := c.statement()
			if s.CompleteUpTo.After(now) || s.CompleteUpTo.Before(before.CompleteUpTo) || s.MarkersUpTo.Before(before.MarkersUpTo) {
				t.Fatalf("run %d: the object says %+v at %s, and said %+v", seed, s, now, before)
			}
			for hour := range strings.FieldsSeq(c.hours()) {
				if end := at(hour + ":00:00").Add(time.Hour); end.After(now) {
					t.Fatalf("run %d: hour %s has a marker at %s", seed, hour, now)
				}
			}
			before = s
			if now.After(at("22:00:00")) {
				break
			}
		}
		faults = false
		c.turn(workers[0])
		var want []string
		for hour := at("09:00:00"); !hour.Add(time.Hour).After(now); hour = hour.Add(time.Hour) {
			want = append(want, hour.Format("15"))
		}
		if c.hours() != strings.Join(want, " ") || !c.statement().CompleteUpTo.Equal(now) {
			t.Fatalf("run %d: at %s hours %q have a marker, want %q; the object says %+v", seed, now, c.hours(), want, c.statement())
		}
	}
}

func TestAnnouncer_MakesManyMarkersUpInRounds(t *testing.T) {
	c := newAnnouncing(t)
	a := c.worker(func(cfg *Config) {
		cfg.Prefix = "data/!{timestamp:yyyy/MM/dd/HH/mm}/"
	})
	c.store.say("20:30:00")
	rounds := 0
	for a.turn(t.Context(), time.Minute, c.lead) == 0 {
		rounds++
		if s := c.statement(); !s.CompleteUpTo.Equal(at("20:30:00")) || s.MarkersUpTo.Sub(at("08:30:00")) != time.Duration(rounds*markersAtOnce)*time.Minute {
			t.Errorf("after %d rounds the object says %+v", rounds, s)
		}
	}
	if n := len(c.bucket.Keys()) - 1; rounds != 1 || n != 12*60 {
		t.Errorf("%d markers in %d rounds and one", n, rounds)
	}
}

func TestAnnouncer_LeavesAForeignObjectAlone(t *testing.T) {
	for _, body := range []string{`{"application":"another","complete_up_to":"2026-11-28T10:00:00Z"}`, "hello"} {
		c := newAnnouncing(t)
		if err := c.bucket.Put(t.Context(), writers.ObjectSpec{Key: statementKey}, []byte(body)); err != nil {
			t.Fatal(err)
		}
		c.store.say("10:00:00")
		a := c.worker(nil)
		c.turn(a)
		if got := string(c.bucket.Object(statementKey).Body); got != body {
			t.Errorf("%s became %s", body, got)
		}
		if p := a.shown().Problem; !strings.Contains(p, "not the statement of application streaming-pipeline") {
			t.Errorf("%s: the page shows %q", body, p)
		}
	}
}

func TestAnnouncer_TakesTurnsAndAnnouncesOnceMoreAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newAnnouncing(t)
		a := c.worker(nil)
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		leads := false
		var running sync.WaitGroup
		running.Go(func() {
			a.run(ctx, func(context.Context) (bool, checkpoint.Snapshot, error) {
				mu.Lock()
				defer mu.Unlock()
				return leads, c.table, nil
			}, func() bool { return false })
		})
		c.store.say("10:00:00")
		time.Sleep(time.Hour)
		if len(c.bucket.Keys()) > 0 {
			t.Errorf("another worker leads, and there is %q", c.bucket.Keys())
		}
		mu.Lock()
		leads = true
		mu.Unlock()
		time.Sleep(announceEvery)
		synctest.Wait()
		if !c.statement().CompleteUpTo.Equal(at("10:00:00")) {
			t.Errorf("the object says %+v", c.statement())
		}
		c.store.say("11:00:00")
		stop()
		running.Wait()
		if !c.statement().CompleteUpTo.Equal(at("11:00:00")) || c.hours() != "09 10" {
			t.Errorf("at the end the object says %+v, hours %q have a marker", c.statement(), c.hours())
		}
	})
}

// Nobody announces after a run that has finished. So the last turn of a worker takes its time there, and only there.
func TestAnnouncer_LeavesNothingOutAtTheEndOfARun(t *testing.T) {
	for _, finished := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := newAnnouncing(t)
			a := c.worker(func(cfg *Config) { cfg.Prefix = "data/!{timestamp:yyyy/MM/dd/HH/mm}/" })
			c.store.say("08:40:00")
			c.turn(a)
			c.store.say("20:30:00") // more than a round has room for
			faults := 3
			c.bucket.Fault = func(string, string) error {
				if faults--; faults >= 0 {
					return errors.New("planted")
				}
				return nil
			}
			ctx, stop := context.WithCancel(t.Context())
			stop()
			a.run(ctx, c.lead, func() bool { return finished })
			if all := len(c.bucket.Keys())-1 == 12*60; all != finished {
				t.Errorf("finished %v: there are %d markers, and the object says %+v", finished, len(c.bucket.Keys())-1, c.statement())
			}
			faults = 1 << 30
			a.run(ctx, c.lead, func() bool { return finished }) // ends, whatever fails
		})
	}
}

func TestBeginning_IsWhereAllThatArrivedIsRead(t *testing.T) {
	now := at("12:00:00")
	started := checkpoint.AtTimestamp(at("10:00:00"))
	for _, c := range []struct {
		name   string
		leases []checkpoint.Lease
		want   time.Time
	}{
		{"a time", []checkpoint.Lease{{Shard: "a", Begin: started}, {Shard: "b", Begin: started}}, at("10:00:00")},
		{"the oldest record", []checkpoint.Lease{{Shard: "a", Begin: checkpoint.TrimHorizon}}, now.Add(-24 * time.Hour)},
		{"the latest of several", []checkpoint.Lease{{Shard: "a", Begin: started}, {Shard: "b", Begin: checkpoint.AtTimestamp(at("11:00:00"))}}, at("11:00:00")},
		{"a child is younger", []checkpoint.Lease{{Shard: "a", Begin: checkpoint.AtTimestamp(at("10:00:00").AddDate(0, -2, 0)), Checkpoint: checkpoint.ShardEnd},
			{Shard: "b", Parents: []string{"a"}, Begin: checkpoint.TrimHorizon}}, at("10:00:00").AddDate(0, -2, 0)},
		{"its parent has no row", []checkpoint.Lease{{Shard: "b", Parents: []string{"a"}, Begin: checkpoint.TrimHorizon}}, now.Add(-24 * time.Hour)},
		{"an import", []checkpoint.Lease{{Shard: "a", Begin: started}, {Shard: "b", Begin: "123"}}, now},
		{"an earlier release", []checkpoint.Lease{{Shard: "a"}}, now},
		{"years ago", []checkpoint.Lease{{Shard: "a", Begin: checkpoint.AtTimestamp(now.AddDate(-3, 0, 0))}}, now.AddDate(0, 0, -365)},
	} {
		if got := beginning(c.leases, now); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
