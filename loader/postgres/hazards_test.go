package postgres_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/pgproxy"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/postgres"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/layout"
)

var copies = regexp.MustCompile(`\bCOPY\b`)

// stage is a table with a store whose outbox a loader empties.
type stage struct {
	*trips
	store *local.Store
	log   *lines
	seq   int
}

// lines is a log that others may read meanwhile.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (p *trips) stage() *stage {
	p.t.Helper()
	s := &stage{trips: p, store: local.OpenMemory(), log: new(lines)}
	must(p.t, s.store.CreateLeases(p.t.Context(), []checkpoint.Lease{{Shard: "s", Checkpoint: checkpoint.TrimHorizon}}))
	return s
}

// publish writes a batch of two files, commits it and marks it published.
func (s *stage) publish(id string) checkpoint.Batch {
	s.t.Helper()
	ctx := s.t.Context()
	b, err := s.Write(ctx, nil, id, 2)
	must(s.t, err)
	row, err := s.store.Lease(ctx, "s")
	must(s.t, err)
	if row.Owner == "" {
		row, err = s.store.Acquire(ctx, row, "w")
		must(s.t, err)
	}
	s.seq++
	b.Worker = "w"
	b.Ranges = []checkpoint.Range{{Shard: "s", Start: row.Checkpoint, End: checkpoint.Position(fmt.Sprint(s.seq)), LeaseOwner: "w", LeaseCounter: row.Counter, Records: 1}}
	must(s.t, s.store.Commit(ctx, b))
	must(s.t, s.store.MarkPublished(ctx, b.ID, time.Now()))
	return b
}

// noLists are the lists of files of batches that have none.
type noLists struct{}

func (noLists) ReadList(context.Context, checkpoint.FileList) ([]byte, string, error) {
	return nil, "", checkpoint.ErrNotFound
}
func (noLists) DeleteList(context.Context, checkpoint.FileList) error { return nil }

// run starts a loader. Stop ends it and waits.
func (s *stage) run(id string) (stop func()) {
	s.t.Helper()
	l, err := loader.New(
		loader.Config{ID: id, Interval: 50 * time.Millisecond, Batches: 100, Grace: time.Second},
		loader.Parts{Destination: s.Open(), Store: s.store, Lists: noLists{}, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	must(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			s.t.Errorf("loader %s: %v", id, err)
		}
	})
	return func() { cancel(); running.Wait() }
}

// waits returns the ids in the outbox.
func (s *stage) waits() (ids []string) {
	s.t.Helper()
	batches, _, err := s.store.Outbox(s.t.Context())
	must(s.t, err)
	for _, b := range batches {
		ids = append(ids, b.ID)
	}
	slices.Sort(ids)
	return ids
}

// patience is longer than any loader needs for a few batches.
const patience = 2 * time.Minute

// until waits until something holds.
func (s *stage) until(what string, holds func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			s.t.Fatalf("%v pass and not: %s; the log:\n%s", patience, what, s.log)
		}
	}
}

func (s *stage) emptied() {
	s.t.Helper()
	s.until("the outbox is empty", func() bool { return len(s.waits()) == 0 })
}

// count checks how often each file of the batches is in the table of a server, and that there is no other.
func (s *stage) count(server *emulator.PostgreSQLServer, times int, batches ...checkpoint.Batch) {
	s.t.Helper()
	got, err := s.liveOn(s.t.Context(), server)
	must(s.t, err)
	want := map[string]int{}
	for _, b := range batches {
		for _, f := range b.Files {
			want["s3://"+f.Bucket+"/"+f.Key] = times
		}
	}
	if !maps.Equal(got, want) {
		s.t.Errorf("in the table are %v, want %v", got, want)
	}
}

func (s *stage) once(batches ...checkpoint.Batch) { s.t.Helper(); s.count(s.server, 1, batches...) }

// steps are the places inside of a write.
var steps = map[string]pgproxy.Fault{
	"before COPY":                     {Statement: copies, At: pgproxy.Before},
	"in COPY":                         {Statement: copies, CopyData: 2, At: pgproxy.After},
	"before COMMIT":                   {Statement: commits, At: pgproxy.Before},
	"inside the message with COMMIT":  {Statement: commits, At: pgproxy.Inside},
	"after COMMIT, before its answer": {Statement: commits, At: pgproxy.After},
}

// deaths are what happens there. Each returns when the server answers again.
var deaths = map[string]func(s *stage) error{
	"the connection is lost": func(*stage) error { return nil },
	"a backend is killed": func(s *stage) error {
		pid, err := s.backend()
		if err != nil {
			return err
		}
		return errors.Join(s.server.KillBackend(pid), s.server.Ready(s.t.Context()))
	},
	"the server is killed": func(s *stage) error { return errors.Join(s.server.Kill(), s.server.Start(s.t.Context())) },
}

// kill plans a death at a step of a write. The loader's connection is lost with it.
func (s *stage) kill(step pgproxy.Fault, death func(*stage) error) *pgproxy.Planned {
	step.Then = pgproxy.Cut
	step.Do = func() {
		if err := death(s); err != nil {
			s.t.Error(err)
		}
	}
	return s.proxy.Plan(step)
}

// backend returns the server's process for the loader.
func (s *stage) backend() (pid int, err error) {
	ctx := s.t.Context()
	conn, err := s.direct(ctx, s.server)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }() // it only read
	err = conn.QueryRow(ctx, `SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY xact_start NULLS LAST LIMIT 1`).Scan(&pid)
	return pid, err
}

// Whatever dies inside of whichever step of a write, each row is in the table once.
func TestLoader_LoadsOnceWhateverDies(t *testing.T) {
	eachMajor(t, func(t *testing.T, site *site) {
		for step, fault := range steps {
			for death, kill := range deaths {
				t.Run(death+" "+step, func(t *testing.T) {
					s := site.table(withoutSchema).create().stage()
					planned := s.kill(fault, kill)
					one, two := s.publish("one"), s.publish("two")
					stop := s.run("l1")
					<-planned.Happened()
					three := s.publish("three")
					s.emptied()
					stop()
					s.once(one, two, three)
				})
			}
		}
	})
}

// Rows that the database refuses are in the error prefix once, whatever dies, and also if the answer to the object is lost.
func TestLoader_RefusesOnceWhateverDies(t *testing.T) {
	eachMajor(t, func(t *testing.T, site *site) {
		for _, step := range []string{"before COMMIT", "after COMMIT, before its answer"} {
			for death, kill := range deaths {
				t.Run(death+" "+step, func(t *testing.T) {
					s := site.table(withoutSchema).create().stage()
					s.refused, s.errors.lost = true, 1
					planned := s.kill(steps[step], kill)
					one, two := s.publish(layout.NewBatchID()), s.publish(layout.NewBatchID())
					stop := s.run("l1")
					<-planned.Happened()
					s.emptied()
					stop()
					s.once(one, two)
					s.refusedOnce(one, two)
				})
			}
		}
	})
}

// refusedOnce checks that each file's bad row is in the error prefix once.
func (s *stage) refusedOnce(batches ...checkpoint.Batch) {
	s.t.Helper()
	times := make(map[string]int)
	for _, object := range s.errors.objects {
		zip, err := gzip.NewReader(bytes.NewReader(object))
		must(s.t, err)
		text, err := io.ReadAll(zip)
		must(s.t, err)
		for line := range bytes.Lines(text) {
			e, err := record.ParseErrorLine(line)
			must(s.t, err)
			var r struct{ File string }
			must(s.t, json.Unmarshal(e.Record.Data, &r))
			times[r.File]++
		}
	}
	want := make(map[string]int)
	for _, b := range batches {
		for _, f := range b.Files {
			want["s3://"+f.Bucket+"/"+f.Key] = 1
		}
	}
	if !maps.Equal(times, want) || s.errors.puts <= len(s.errors.objects) {
		s.t.Errorf("in %d error objects, written by %d requests, are %v; want %v, and a request that is repeated", len(s.errors.objects), s.errors.puts, times, want)
	}
}

// The control: a loader that tries until it succeeds, and does not ask the ledger, loads twice what was committed before its server
// died, if the database lets it.
func TestLoader_LoadsTwiceWithoutTheLedger(t *testing.T) {
	eachMajor(t, func(t *testing.T, site *site) {
		for death, kill := range deaths {
			t.Run(death, func(t *testing.T) {
				s := site.table(withoutSchema).create().stage()
				s.unguard()
				planned := s.kill(steps["after COMMIT, before its answer"], kill)
				one, err := s.Write(t.Context(), nil, "one", 2)
				must(t, err)
				again := func() error {
					state, err := s.Open().Load(t.Context(), nil) // fails, too, while the server recovers
					if err != nil {
						return err
					}
					return state.Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{one}})
				}
				for again() != nil {
				}
				if !planned.Hit() {
					t.Error("the fault has not happened")
				}
				s.count(s.server, 2, one)
			})
		}
	})
}

// Whoever reads metrics and logs can tell a write that may have been applied from one that was not.
func TestTable_TellsThatAWriteWasNotAnswered(t *testing.T) {
	eachMajor(t, func(t *testing.T, site *site) {
		for _, at := range []pgproxy.Point{pgproxy.Before, pgproxy.Inside, pgproxy.After} {
			p := site.table(withoutSchema).create()
			one, err := p.Write(t.Context(), nil, "one", 1)
			must(t, err)
			cut := p.proxy.Plan(pgproxy.Fault{Statement: commits, At: at, Then: pgproxy.Cut})
			err = p.load().Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{one}})
			if !cut.Hit() || !errors.Is(err, loader.ErrUnanswered) {
				t.Errorf("cut at %d, the write ends with %v, want loader.ErrUnanswered", at, err)
			}
		}
		p := site.table(withoutSchema).create()
		one, err := p.Write(t.Context(), nil, "one", 1)
		must(t, err)
		cut := p.proxy.Plan(pgproxy.Fault{Statement: copies, Then: pgproxy.Cut})
		err = p.load().Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{one}})
		if !cut.Hit() || err == nil || errors.Is(err, loader.ErrUnanswered) {
			t.Errorf("cut before COPY, the write ends with %v, want an error of a write that was not applied", err)
		}
	})
}

// While the database refuses connections, batches wait; a server that comes back gets each once.
func TestLoader_WaitsForADatabaseThatIsDown(t *testing.T) {
	eachMajor(t, func(t *testing.T, site *site) {
		s := site.table(withoutSchema).create().stage()
		s.proxy.Refuse(true)
		one := s.publish("one")
		defer s.run("l1")()
		s.until("two connections are refused", func() bool { return s.proxy.Refused() > 1 })
		two := s.publish("two")
		if ids := s.waits(); !slices.Equal(ids, []string{"one", "two"}) {
			t.Errorf("in the outbox are %q", ids)
		}
		s.proxy.Refuse(false)
		s.emptied()
		s.once(one, two)
	})
}

// A loader that is frozen holds nobody up, wherever it is, and adds nothing when it goes on.
func TestLoader_TakesOverFromOneThatIsFrozen(t *testing.T) {
	eachMajor(t, func(t *testing.T, site *site) {
		for _, unique := range []bool{false, true} {
			for step, fault := range steps {
				if fault.At == pgproxy.After && fault.CopyData == 0 {
					continue // it has committed
				}
				t.Run(fmt.Sprintf("%s unique=%t", step, unique), func(t *testing.T) {
					s := site.table(func(o *postgres.Options) { o.Unique = unique }).create().stage()
					one, err := s.Write(t.Context(), nil, "one", 2)
					must(t, err)
					a := loader.Addition{Batches: []checkpoint.Batch{one}}
					first, second := s.load(), s.load()
					fault := fault
					fault.Then = pgproxy.Freeze
					frozen := s.proxy.Plan(fault)
					done := make(chan error)
					go func() { done <- first.Append(t.Context(), a) }()
					<-frozen.Happened()
					if err := second.Append(t.Context(), a); err != nil {
						t.Errorf("the second loader's write ends with %v", err)
					}
					s.once(one)
					must(t, frozen.Release(t.Context()))
					if err := <-done; err == nil {
						t.Error("the write of the one that was frozen succeeds")
					}
					s.once(one)
				})
			}
		}
	})
}

// A disk that is full refuses no row: the batches wait, and are there once when it has room.
func TestLoader_WaitsForRoomOnTheDisk(t *testing.T) {
	eachMajor(t, func(t *testing.T, site *site) {
		p := site.table(withoutSchema)
		must(t, p.exec(t.Context(), "CREATE SCHEMA "+p.schema,
			"CREATE TABLESPACE small LOCATION '"+p.server.SmallDisk(t, 4<<20)+"'",
			"CREATE TABLE trips (event_id text, _arrived_at timestamptz, record jsonb, ballast text DEFAULT repeat('x', 1000)) TABLESPACE small"))
		s := p.create().stage()
		fill := "INSERT INTO ballast SELECT repeat('x', 7000) FROM generate_series(1, 4)"
		must(t, s.exec(t.Context(), "CREATE TABLE ballast (a text) TABLESPACE small", "ALTER TABLE ballast ALTER a SET STORAGE PLAIN"))
		for {
			if err := s.exec(t.Context(), fill); code(err) == diskFull {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		one := s.publish("one")
		stop := s.run("l1")
		defer func() { stop() }()
		s.until("the log names the full disk", func() bool { return strings.Contains(s.log.String(), diskFull) || len(s.waits()) == 0 })
		two := s.publish("two")
		s.once()
		must(t, s.exec(t.Context(), "DROP TABLE ballast"))
		s.emptied()
		stop()
		stop = func() {}
		s.once(one, two)
		if err := s.exec(t.Context(), "DO $$ BEGIN IF EXISTS (SELECT FROM pipeline_refused) THEN RAISE 'rows were refused'; END IF; END $$"); err != nil {
			t.Error(err)
		}
	})
}

// diskFull is the SQLSTATE of that name.
const diskFull = "53100"

// code is the SQLSTATE of an error; empty if the server has not sent one.
func code(err error) string {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answer.Code
	}
	return ""
}

// failOver has a standby without the last batch take the place of its primary: one is on both, two on the primary alone.
func (s *stage) failOver(id string) (standby *emulator.PostgreSQLServer, one, two checkpoint.Batch) {
	t := s.t
	t.Helper()
	standby = s.server.Standby(t)
	stop := s.run(id)
	one = s.publish("one")
	s.until("batch one is loaded", func() bool { return s.has(one) })
	must(t, errors.Join(standby.CatchUp(t.Context(), s.server), standby.Detach(t.Context())))
	two = s.publish("two")
	s.until("batch two is loaded and settled, if it is at once", func() bool {
		return s.has(two) && (s.options.Failover > 0 || len(s.waits()) == 0)
	})
	s.once(one, two)
	stop()
	must(t, errors.Join(s.server.Kill(), standby.Promote(t.Context())))
	s.proxy.Move(standby.Address)
	return standby, one, two
}

func (s *stage) has(b checkpoint.Batch) bool {
	s.t.Helper()
	got, err := s.Live(s.t.Context())
	must(s.t, err)
	return got["s3://"+b.Files[0].Bucket+"/"+b.Files[0].Key] > 0
}

// A standby that was promoted without the last transactions gets their batches again, because they are still in the outbox.
func TestLoader_LoadsAgainWhatAPromotedStandbyLacks(t *testing.T) {
	for _, major := range emulator.PostgreSQLVersions {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			s := newSite(t, major).table(withoutSchema).create().stage()
			s.options.Failover = time.Hour
			standby, one, two := s.failOver("l1")
			if ids := s.waits(); !slices.Equal(ids, []string{"one", "two"}) {
				t.Errorf("in the outbox are %q, want both batches: their commits are younger than the window", ids)
			}
			s.count(standby, 1, one)
			s.options.Failover = 0
			stop := s.run("l2")
			three := s.publish("three")
			s.emptied()
			stop()
			s.count(standby, 1, one, two, three)
		})
		// The control: without the window, the batch is forgotten before its rows are lost.
		t.Run(fmt.Sprint(major, " without the window"), func(t *testing.T) {
			s := newSite(t, major).table(withoutSchema).create().stage()
			standby, one, _ := s.failOver("l1")
			stop := s.run("l2")
			three := s.publish("three")
			s.emptied()
			stop()
			s.count(standby, 1, one, three)
		})
	}
}

// A promoted standby reaches the same number of commits again. A write on a state of the lost primary is refused all the same.
func TestTable_RefusesAStateThatWasLost(t *testing.T) {
	for _, major := range emulator.PostgreSQLVersions {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			s := newSite(t, major).table(withoutSchema).create().stage()
			s.options.Failover = time.Hour
			var lost loader.State
			beforeFailover := s.server
			standby, one, two := s.failOver("l1")
			must(t, beforeFailover.Start(t.Context()))
			s.proxy.Move(beforeFailover.Address)
			lost = s.load()
			must(t, beforeFailover.Kill())
			s.proxy.Move(standby.Address)

			three, err := s.Write(t.Context(), nil, "three", 2)
			must(t, err)
			must(t, s.load().Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{three}, Keep: []string{"one"}}))
			now := s.load()
			if a, b := lost.Definition().Commits, now.Definition().Commits; a != b {
				t.Errorf("the lost state has %d commits and the new one %d: the test proves nothing", a, b)
			}
			four, err := s.Write(t.Context(), nil, "four", 2)
			must(t, err)
			err = lost.Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{four}, Keep: []string{"one", "two"}})
			if !errors.Is(err, loader.ErrConflict) {
				t.Errorf("a write on a state that was lost ends with %v, want loader.ErrConflict", err)
			}
			s.count(standby, 1, one, three)
			// What the ledger no longer names must not be settled, whatever was read before.
			settled, err := lost.(loader.Settler).Settle(t.Context(), []string{"one", "two"})
			if err == nil && slices.Contains(settled, two.ID) {
				t.Errorf("settled are %q, want nothing that was lost", settled)
			}
		})
	}
}
