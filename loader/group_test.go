package loader_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/loadertest"
	"aws-streaming-pipeline/record/table"
)

const fares = "memory://fares"

// group is a group of loaders of tables in memory, in virtual time.
type group struct {
	*loader.Group
	logs logs
	stop func() error
}

// open returns a member whose loader has that destination.
func member(t *testing.T, store *local.Store, name string, open func(ctx context.Context) (loader.Destination, error)) loader.Member {
	t.Helper()
	return loader.Member{Table: name, Open: func(ctx context.Context, reg prometheus.Registerer) (*loader.Loader, error) {
		to, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return loader.New(loader.Config{ID: "l1", Interval: interval, Batches: 5},
			loader.Parts{Destination: to, Store: store, Lists: lists{}, Log: slog.New(slog.DiscardHandler), Registerer: reg})
	}}
}

func startGroup(t *testing.T, members ...loader.Member) *group {
	t.Helper()
	g := &group{}
	wrap := func(reg prometheus.Registerer) prometheus.Registerer {
		return prometheus.WrapRegistererWith(prometheus.Labels{"application": "taxi"}, reg)
	}
	g.Group = loader.NewGroup("l1", members, wrap, slog.New(slog.NewTextHandler(&g.logs, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var end error
	running.Go(func() { end = g.Run(ctx) })
	g.stop = func() error { cancel(); running.Wait(); return end }
	return g
}

func (g *group) get(path string) (code int, body string) {
	w := httptest.NewRecorder()
	g.Handler(prometheus.NewRegistry()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func inMemory(name string) func(context.Context) (loader.Destination, error) {
	return func(context.Context) (loader.Destination, error) { return loadertest.NewMemory(name).Open(), nil }
}

// One table cannot be opened for a day: the other one is loaded meanwhile, and both are on the page.
func TestGroup_OpensEachTableInItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		up := make(chan struct{})
		g := startGroup(t, member(t, s.store, trips, func(context.Context) (loader.Destination, error) { return s.table.Open(), nil }),
			member(t, s.store, fares, func(ctx context.Context) (loader.Destination, error) {
				select {
				case <-up:
					return loadertest.NewMemory(fares).Open(), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}))
		time.Sleep(time.Second)
		b := s.write("one", 1)
		s.publish(b)
		if code, body := g.get("/readyz"); code != http.StatusOK {
			t.Errorf("while it is being opened: %d, %s", code, body)
		}
		time.Sleep(24 * time.Hour)
		s.live(b)
		if code, body := g.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "table memory://fares: it cannot be opened") || strings.Contains(body, trips) {
			t.Errorf("after a day: %d, %s", code, body)
		}
		if code, _ := g.get("/healthz"); code != http.StatusOK {
			t.Errorf("/healthz answers %d, although a restart does not help", code)
		}
		if _, page := g.get("/"); !strings.Contains(page, "<h2>memory://trips</h2>") || !strings.Contains(page, "<h2>memory://fares</h2>") || strings.Count(page, "is being opened") != 1 {
			t.Errorf("the page is %s", page)
		}
		close(up)
		time.Sleep(time.Minute)
		if code, body := g.get("/readyz"); code != http.StatusOK {
			t.Errorf("when it is open: %d, %s", code, body)
		}
		_, metrics := g.get("/metrics")
		for _, want := range []string{`consumer_load_elected{application="taxi",table="memory://fares"} 1`, `consumer_load_batches_total{application="taxi",table="memory://trips"} 1`} {
			if !strings.Contains(metrics, want) {
				t.Errorf("the metrics lack %s:\n%s", want, metrics)
			}
		}
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A program ends without an error while a table is still being opened.
func TestGroup_StopsWhileATableIsBeingOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startGroup(t, member(t, newStage(t).store, trips, func(ctx context.Context) (loader.Destination, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		time.Sleep(time.Hour)
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A wrong setting of one table ends the program; the other loader gives its table up first.
func TestGroup_EndsWhenWaitingDoesNotHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		wrong := errors.New(`POSTGRES_USER="": want the user`)
		g := startGroup(t, member(t, s.store, trips, func(context.Context) (loader.Destination, error) { return s.table.Open(), nil }),
			member(t, s.store, fares, func(context.Context) (loader.Destination, error) { time.Sleep(time.Minute); return nil, wrong }))
		time.Sleep(2 * time.Minute)
		if item := s.item(); item.Loader != "" {
			t.Errorf("loader %q still holds the table", item.Loader)
		}
		if err := g.stop(); !errors.Is(err, wrong) {
			t.Errorf("it ends with %v", err)
		}
	})
}

// panicky is a destination that panics, with what no log may show.
type panicky struct {
	loader.Destination
	panics *int
}

func (p panicky) Load(ctx context.Context, d *table.Definition) (loader.State, error) {
	if *p.panics > 0 {
		*p.panics--
		panic("payload of a record")
	}
	return p.Destination.Load(ctx, d)
}

// One loader panics twice; the other one goes on, and so does the first after a while.
func TestGroup_StartsALoaderThatPanickedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		panics := 2
		g := startGroup(t, member(t, s.store, fares, inMemory(fares)),
			member(t, s.store, trips, func(context.Context) (loader.Destination, error) { return panicky{s.table.Open(), &panics}, nil }))
		synctest.Wait()
		if code, body := g.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "table memory://trips: the loader has panicked 1 times") {
			t.Errorf("after the panic: %d, %s", code, body)
		}
		b := s.write("one", 1)
		s.publish(b)
		time.Sleep(5 * time.Minute)
		s.live(b)
		if code, body := g.get("/readyz"); code != http.StatusOK || panics != 0 {
			t.Errorf("later: %d, %s; %d panics are left", code, body, panics)
		}
		_, metrics := g.get("/metrics")
		if !strings.Contains(metrics, `consumer_load_elected{application="taxi",table="memory://fares"} 1`) {
			t.Errorf("the other loader's metrics are\n%s", metrics)
		}
		if log := g.logs.String(); strings.Count(log, "panicked") != 2 || strings.Contains(log, "payload") || !strings.Contains(log, "panicky") {
			t.Errorf("the log is\n%s", log)
		}
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
}
