package loader_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/loadertest"
	"aws-streaming-pipeline/record/table"
)

const (
	trips    = "memory://trips"
	interval = time.Minute
)

// stage is a table in memory, a store, and the loaders between them, in virtual time.
type stage struct {
	t     *testing.T
	table *loadertest.Memory
	to    loader.Destination // nil for the table itself
	began time.Time
	store *local.Store
	hook  checkpointtest.Hook
	lists lists
	logs  *logs
	seq   int
	cfg   loader.Config
}

// logs is the output of the loggers of several loaders.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String implements fmt.Stringer.
func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, began: time.Now(), table: loadertest.NewMemory(trips), store: local.OpenMemory(), lists: lists{}, logs: new(logs),
		cfg: loader.Config{Interval: interval, Batches: 5, Evolve: true, Grace: 10 * time.Second}}
	err := s.store.CreateLeases(t.Context(), []checkpoint.Lease{{Shard: "s", Checkpoint: checkpoint.TrimHorizon}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lists are the objects that hold lists of files.
type lists map[string][]byte

func (l lists) ReadList(_ context.Context, at checkpoint.FileList) ([]byte, string, error) {
	data, ok := l[at.Key]
	if !ok {
		return nil, "", checkpoint.ErrNotFound
	}
	if len(data) == 0 {
		return nil, "", errors.New("access denied")
	}
	return data, at.Key, nil
}

func (l lists) DeleteList(_ context.Context, at checkpoint.FileList) error {
	delete(l, at.Key)
	return nil
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// write makes a batch of the id with n files.
func (s *stage) write(id string, n int) checkpoint.Batch {
	s.t.Helper()
	state, err := s.table.Open().Load(s.t.Context(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := s.table.Write(s.t.Context(), state.Definition(), id, n)
	return must(s.t, b, err)
}

// describe changes the description of a batch's first file.
func (s *stage) describe(b checkpoint.Batch, change func(*table.Description)) {
	s.t.Helper()
	var d table.Description
	if err := json.Unmarshal(b.Files[0].Table, &d); err != nil {
		s.t.Fatal(err)
	}
	change(&d)
	text, err := json.Marshal(d)
	b.Files[0].Table = must(s.t, text, err)
}

// publish commits a batch and marks it published.
func (s *stage) publish(b checkpoint.Batch) {
	s.t.Helper()
	row, err := s.store.Lease(s.t.Context(), "s")
	row = must(s.t, row, err)
	if row.Owner == "" {
		row, err = s.store.Acquire(s.t.Context(), row, "w")
		row = must(s.t, row, err)
	}
	s.seq++
	b.Worker = "w"
	b.Ranges = []checkpoint.Range{{Shard: "s", Start: row.Checkpoint, End: checkpoint.Position(fmt.Sprint(s.seq)), LeaseOwner: "w", LeaseCounter: row.Counter, Records: 1}}
	if err := s.store.Commit(s.t.Context(), b); err != nil {
		s.t.Fatal(err)
	}
	if err := s.store.MarkPublished(s.t.Context(), b.ID, time.Now()); err != nil {
		s.t.Fatal(err)
	}
}

// listed moves the files of a batch to a list.
func (s *stage) listed(b checkpoint.Batch) checkpoint.Batch {
	data, err := checkpoint.EncodeFiles(b.Files)
	data = must(s.t, data, err)
	s.lists[b.ID] = data
	b.List = checkpoint.NewFileList("bucket", b.ID, len(b.Files), data)
	b.Files = nil
	return b
}

// run starts a loader. Stop ends it and waits.
func (s *stage) run(id string) (l *loader.Loader, reg *prometheus.Registry, stop func()) {
	s.t.Helper()
	reg = prometheus.NewRegistry()
	cfg := s.cfg
	cfg.ID = id
	var store loader.Store = s.store
	if s.hook != nil {
		store = checkpointtest.Hooked(s.store, s.hook)
	}
	to := s.to
	if to == nil {
		to = s.table.Open()
	}
	l, err := loader.New(cfg, loader.Parts{Destination: to, Store: store, Lists: s.lists, Log: slog.New(slog.NewTextHandler(s.logs, nil)), Registerer: reg})
	l = must(s.t, l, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			s.t.Errorf("loader %s: %v", id, err)
		}
	})
	return l, reg, func() { cancel(); running.Wait() }
}

// live checks that each file of the batches is in the table once, and no other.
func (s *stage) live(batches ...checkpoint.Batch) {
	s.t.Helper()
	got, err := s.table.Live(s.t.Context())
	got = must(s.t, got, err)
	want := map[string]int{}
	for _, b := range batches {
		for _, f := range b.Files {
			want["s3://"+f.Bucket+"/"+f.Key] = 1
		}
	}
	if !maps.Equal(got, want) {
		s.t.Errorf("live are %v, want %v", got, want)
	}
}

// waits returns the ids in the outbox.
func (s *stage) waits() (ids []string) {
	s.t.Helper()
	batches, _, err := s.store.Outbox(s.t.Context())
	for _, b := range must(s.t, batches, err) {
		ids = append(ids, b.ID)
	}
	slices.Sort(ids)
	return ids
}

func (s *stage) item() checkpoint.Table {
	s.t.Helper()
	item, err := s.store.Table(s.t.Context(), trips)
	return must(s.t, item, err)
}

// get asks the loader's port.
func get(l *loader.Loader, path string) (code int, body string) {
	w := httptest.NewRecorder()
	loader.Handler(prometheus.NewRegistry(), l).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestLoader_LoadsAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		one, two := s.write("one", 2), s.write("two", 3)
		s.publish(one)
		s.publish(s.listed(two))
		l, reg, stop := s.run("l1")
		time.Sleep(time.Second)
		synctest.Wait()
		s.live(one, two)
		if ids := s.waits(); len(ids) > 0 || len(s.lists) > 0 {
			t.Errorf("in the outbox remain %q, and lists %v", ids, s.lists)
		}
		if d := s.item().Definition; !bytes.Contains(d, []byte(`"uuid":"11111111`)) {
			t.Errorf("workers read the definition %s", d)
		}
		three := s.write("three", 1)
		s.publish(three)
		time.Sleep(interval / 2)
		s.live(one, two)
		time.Sleep(interval)
		s.live(one, two, three)
		if st := l.Status(); !st.Elected || st.Loaded != 3 || st.Waiting != 0 || st.Problem != "" || l.Health() != nil || l.Alive() != nil {
			t.Errorf("status %+v", st)
		}
		if _, page := get(l, "/"); !strings.Contains(page, "<th>Batches waiting</th><td>0</td>") {
			t.Errorf("the page does not show that no batch waits: %s", page)
		}
		want := `
			# HELP consumer_load_rows_total Rows of those files.
			# TYPE consumer_load_rows_total counter
			consumer_load_rows_total{table="memory://trips"} 6
			# HELP consumer_load_commits_total Commits to the table by result: committed, conflict (the table had changed), unanswered, failed.
			# TYPE consumer_load_commits_total counter
			consumer_load_commits_total{result="committed",table="memory://trips"} 2
			consumer_load_commits_total{result="conflict",table="memory://trips"} 0
			consumer_load_commits_total{result="failed",table="memory://trips"} 0
			consumer_load_commits_total{result="unanswered",table="memory://trips"} 0
		`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "consumer_load_rows_total", "consumer_load_commits_total"); err != nil {
			t.Error(err)
		}
		stop()
		if item := s.item(); item.Loader != "" {
			t.Errorf("after its end, the loader %q holds the table", item.Loader)
		}
	})
}

// A day's backlog is loaded in writes of at most five batches, in one round.
func TestLoader_CutsWideWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		var all []checkpoint.Batch
		for i := range 12 {
			all = append(all, s.write(fmt.Sprintf("b%02d", i), 1))
			s.publish(all[i])
		}
		wide := s.write("wide", 20_001)
		s.publish(s.listed(wide))
		_, reg, stop := s.run("l1")
		time.Sleep(time.Second)
		stop()
		s.live(append(all, wide)...)
		if n := commits(t, reg, "committed"); n != 4 {
			t.Errorf("%v commits, want 4: of 5, 5, 2 and 1 batches", n)
		}
	})
}

func commits(t *testing.T, reg *prometheus.Registry, result string) float64 {
	t.Helper()
	families, err := reg.Gather()
	for _, f := range must(t, families, err) {
		for _, m := range f.GetMetric() {
			if f.GetName() == "consumer_load_commits_total" && m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no commits with result %s", result)
	return 0
}

func TestLoader_LooksAgainAfterEachFault(t *testing.T) {
	for name, f := range map[string]loadertest.Fault{"request lost": loadertest.RequestLost, "answer lost": loadertest.AnswerLost, "doubled": loadertest.Doubled, "late": loadertest.Late} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				b := s.write("one", 2)
				s.publish(b)
				s.table.Fail(f)
				_, _, stop := s.run("l1")
				time.Sleep(3 * time.Second)
				if err := s.table.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * interval)
				stop()
				s.live(b)
				if ids := s.waits(); !s.table.Hit() || len(ids) > 0 {
					t.Errorf("the fault was hit: %t; in the outbox remain %q", s.table.Hit(), ids)
				}
			})
		})
	}
}

// Calls of the store fail one after the other, with the answer or the request lost.
func TestLoader_OutlastsTheStore(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				failed := map[string]int{}
				var mu sync.Mutex
				s.hook = func(operation string, after bool) error {
					mu.Lock()
					defer mu.Unlock()
					if after != applied || failed[operation] >= 2 {
						return nil
					}
					failed[operation]++
					return errors.New("unavailable")
				}
				b := s.write("one", 1)
				s.publish(b)
				_, _, stop := s.run("l1")
				time.Sleep(10 * interval)
				stop()
				s.live(b)
				if ids := s.waits(); len(ids) > 0 {
					t.Errorf("in the outbox remain %q", ids)
				}
				for _, operation := range []string{"outbox", "mark loaded", "forget", "put table", "batch"} {
					if failed[operation] == 0 {
						t.Errorf("no call failed of %s: %v", operation, failed)
					}
				}
			})
		})
	}
}

func TestLoader_IsElectedAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		first, _, stopFirst := s.run("l1")
		time.Sleep(time.Second)
		second, _, stopSecond := s.run("l2")
		defer stopSecond()
		time.Sleep(5 * time.Minute)
		if !first.Status().Elected || second.Status().Elected || second.Status().Other != "l1" {
			t.Errorf("elected: %t and %t, and the second sees %q", first.Status().Elected, second.Status().Elected, second.Status().Other)
		}
		stopFirst()
		time.Sleep(11 * time.Second)
		if !second.Status().Elected {
			t.Error("the second does not follow the first, which has left")
		}
		b := s.write("one", 1)
		s.publish(b)
		time.Sleep(interval)
		s.live(b)
	})
}

// A loader freezes with the seat. Another takes over after a while, and the first notices when it wakes up.
func TestLoader_TakesOverFromTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		frozen := make(chan struct{})
		var mu sync.Mutex
		freeze := false
		s.hook = func(string, bool) error {
			mu.Lock()
			now := freeze
			mu.Unlock()
			if now {
				<-frozen
			}
			return nil
		}
		first, _, stopFirst := s.run("l1")
		time.Sleep(time.Second)
		mu.Lock()
		freeze = true
		mu.Unlock()
		time.Sleep(time.Minute)
		s.hook = nil
		second, _, stopSecond := s.run("l2")
		defer stopSecond()
		time.Sleep(40 * time.Second)
		if second.Status().Elected {
			t.Error("the second does not wait")
		}
		time.Sleep(20 * time.Second)
		if !second.Status().Elected {
			t.Error("the second does not take over")
		}
		close(frozen)
		time.Sleep(2 * interval)
		if first.Status().Elected || first.Status().Other != "l2" {
			t.Errorf("the first is still elected: %+v", first.Status())
		}
		stopFirst()
		if item := s.item(); item.Loader != "l2" {
			t.Errorf("after the end of the first, %q holds the table", item.Loader)
		}
	})
}

// Five batches are stuck, one for each reason, and more of them than one write tries. The others are loaded.
func TestLoader_LetsNoBatchBlockTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		lost, unread := s.listed(s.write("lost", 1)), s.listed(s.write("unread", 1))
		delete(s.lists, "lost")
		s.lists["unread"] = nil
		garbled, foreign, unfit := s.write("garbled", 1), s.write("foreign", 1), s.write("unfit", 1)
		garbled.Files[0].Table = json.RawMessage(`[]`)
		s.describe(foreign, func(d *table.Description) { d.UUID = "another" })
		s.describe(unfit, func(d *table.Description) { d.Spec = 7 })
		for _, b := range []checkpoint.Batch{lost, unread, garbled, foreign, unfit} {
			s.publish(b)
		}
		for i := range 40 {
			b := s.listed(s.write(fmt.Sprint("unread", i), 1))
			s.lists[b.ID] = nil
			s.publish(b)
		}
		b := s.write("zz", 1)
		s.publish(b)
		l, _, stop := s.run("l1")
		defer stop()
		time.Sleep(10 * interval)
		s.live(b)
		reasons := map[loader.Reason]int{}
		for _, stuck := range l.Status().Stuck {
			reasons[stuck.Reason]++
		}
		if want := map[loader.Reason]int{loader.ListLost: 1, loader.ListUnread: 41, loader.BadDescription: 1, loader.OtherUUID: 1, loader.Unfit: 1}; !maps.Equal(reasons, want) {
			t.Errorf("stuck are %v, want %v: %+v", reasons, want, l.Status().Stuck)
		}
		if code, body := get(l, "/"); code != http.StatusOK || !strings.Contains(body, "written for the table with UUID") || !strings.Contains(body, "foreign") {
			t.Errorf("the page answers %d: %s", code, body)
		}
		if n := strings.Count(s.logs.String(), "a batch cannot be loaded"); n != 45 {
			t.Errorf("%d lines of log name stuck batches, want one each", n)
		}
		if !strings.Contains(s.logs.String(), "spec 7") {
			t.Error("the log does not say which spec is missing")
		}
		// The table takes what it can take again.
		s.table.Replace(table.Definition{UUID: "11111111-2222-3333-4444-555555555555", Spec: table.Spec{ID: 7}})
		time.Sleep(10 * interval)
		s.live(b, unfit)
	})
}

func TestLoader_RefusesAnotherTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		l, _, stop := s.run("l1")
		defer stop()
		time.Sleep(time.Second)
		b := s.write("one", 1)
		s.publish(b)
		s.table.Replace(table.Definition{UUID: "another"})
		time.Sleep(10 * interval)
		s.live()
		err := l.Health()
		if err == nil || !strings.Contains(err.Error(), `its UUID is "another", that of the table until now is "11111111-`) || !strings.Contains(err.Error(), "loader rebind") {
			t.Errorf("health: %v", err)
		}
		if code, body := get(l, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "loader rebind") {
			t.Errorf("/readyz answers %d: %s", code, body)
		}
		if code, _ := get(l, "/healthz"); code != http.StatusOK {
			t.Errorf("/healthz answers %d, although a restart does not help", code)
		}
		if !slices.Equal(s.waits(), []string{"one"}) {
			t.Errorf("the outbox has %q", s.waits())
		}
	})
}

// Two batches want a column, one of them with a type that the table cannot have beside the other.
func TestLoader_AddsColumnsBeforeItAppends(t *testing.T) {
	for _, evolve := range []bool{true, false} {
		t.Run(fmt.Sprint("TABLE_EVOLVE=", evolve), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.cfg.Evolve = evolve
				var all []checkpoint.Batch
				for i, kind := range []string{"string", "boolean", "string"} {
					b := s.write(fmt.Sprint("b", i), 1)
					s.describe(b, func(d *table.Description) { d.Wanted = []table.Column{{Name: "town", Member: "town", Type: kind}} })
					s.publish(b)
					all = append(all, b)
				}
				l, _, stop := s.run("l1")
				time.Sleep(3 * interval)
				stop()
				s.live(all...)
				var d table.Definition
				if err := json.Unmarshal(s.item().Definition, &d); err != nil {
					t.Fatal(err)
				}
				refused := l.Status().Refused
				if !evolve {
					if len(d.Columns) != 1 || len(refused) != 2 {
						t.Errorf("columns %v, refused %v", d.Columns, refused)
					}
					return
				}
				if town := d.Find("town"); len(d.Columns) != 2 || town == nil || town.Type != "string" {
					t.Errorf("the workers' definition has columns %v", d.Columns)
				}
				if len(refused) != 1 || refused[0].Type != "boolean" || strings.Count(s.logs.String(), "gets no column") != 1 {
					t.Errorf("refused are %v; the log: %s", refused, s.logs)
				}
			})
		})
	}
}

// A column cannot be added now. Batches do not wait for it.
func TestLoader_LoadsThoughColumnsCannotBeAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		b := s.write("one", 1)
		s.describe(b, func(d *table.Description) { d.Wanted = []table.Column{{Name: "town", Member: "town", Type: "string"}} })
		s.publish(b)
		s.table.Fail(loadertest.RequestLost) // that of the column
		_, reg, stop := s.run("l1")
		time.Sleep(10 * time.Second)
		stop()
		s.live(b)
		if commits(t, reg, "committed") != 1 || !s.table.Hit() {
			t.Errorf("%v commits", commits(t, reg, "committed"))
		}
	})
}

func TestLoader_MetricsKeepToTheConventions(t *testing.T) {
	reg := prometheus.NewRegistry()
	_, err := loader.New(loader.Config{ID: "l", Interval: time.Second, Batches: 1}, loader.Parts{Destination: loadertest.NewMemory(trips).Open(), Log: slog.New(slog.DiscardHandler), Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
