package loader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
)

// Member is a table of a Group.
type Member struct {
	// Table is the name of the table.
	Table string
	// Open returns the table's loader, whose metrics go to reg. It waits for services that are down. An error means that waiting
	// does not help, such as for a wrong setting.
	Open func(ctx context.Context, reg prometheus.Registerer) (*Loader, error)
	// Waits returns what Open waits for, and why, for the page; nil for nothing. It may be nil.
	Waits func() error
}

// Group runs the loaders of several tables in one process, each on its own: one that waits, fails or panics holds up no other.
type Group struct {
	id      string
	members []*member
	wrap    func(prometheus.Registerer) prometheus.Registerer
	log     *slog.Logger
}

// member is a table with its loader, or without one while it is being opened.
type member struct {
	Member

	mu      sync.Mutex
	loader  *Loader
	metrics *prometheus.Registry // of the loader
	status  Status               // without a loader
	since   time.Time            // the time since which there has been no loader
}

// openBound is how long a table may take to be opened before the group is no longer ready.
const openBound = time.Minute

// NewGroup returns a group of loaders with that id. wrap adds labels to their metrics.
func NewGroup(id string, tables []Member, wrap func(prometheus.Registerer) prometheus.Registerer, log *slog.Logger) *Group {
	g := &Group{id: id, wrap: wrap, log: log}
	for _, t := range tables {
		m := &member{Member: t, since: time.Now(), status: newStatus(t.Table, id)}
		m.status.Opening = true
		g.members = append(g.members, m)
	}
	return g
}

// Run runs the loaders until ctx ends. An error of Open ends all of them.
func (g *Group) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make([]error, len(g.members))
	var running sync.WaitGroup
	for i, m := range g.members {
		running.Go(func() {
			if ends[i] = g.keep(ctx, m); ends[i] != nil {
				cancel()
			}
		})
	}
	running.Wait()
	return errors.Join(ends...)
}

// keep runs a table's loader, and opens it again after a panic, until ctx ends.
func (g *Group) keep(ctx context.Context, m *member) error {
	for panics := 1; ; panics++ {
		panicked, err := g.once(ctx, m)
		if !panicked {
			return err
		}
		m.give(fmt.Errorf("the loader has panicked %d times; the log has the cause", panics))
		if backoff.Sleep(ctx, retries.Wait(panics)) != nil {
			return nil
		}
	}
}

// once opens a table's loader and runs it. A panic ends its context, so that nothing of it goes on. What it was doing is as
// after a crash, of which the next loader looks at the table.
func (g *Group) once(ctx context.Context, m *member) (panicked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		if cause := recover(); cause != nil {
			panicked = true
			g.log.Error("the loader of a table panicked and is started again", logkey.Table, m.Table,
				logkey.Error, fmt.Sprintf("panic: %s\n%s", record.Panicked(cause).Message, debug.Stack()))
		}
	}()
	metrics := prometheus.NewRegistry()
	l, err := m.Open(ctx, g.wrap(metrics))
	if err != nil {
		if ctx.Err() != nil {
			return false, nil // it was waiting
		}
		return false, err
	}
	m.take(l, metrics)
	g.log.Info("loader started", logkey.Table, m.Table, "loader", g.id)
	return false, l.Run(ctx)
}

func (m *member) take(l *Loader, metrics *prometheus.Registry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loader, m.metrics = l, metrics
}

// give notes that there is no loader any more. Its metrics are gone, too: whoever sums them up sees that a counter begins anew.
func (m *member) give(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loader, m.metrics = nil, nil
	m.since = time.Now()
	m.status.Problem, m.status.ProblemSince = why.Error(), m.since
}

func (m *member) now() (l *Loader, status Status, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loader, m.status, m.since
}

// Status returns what the loader of the table is doing.
func (m *member) Status() Status {
	l, status, _ := m.now()
	if l == nil {
		if err := m.waits(); err != nil && status.Problem == "" {
			status.Problem = err.Error()
		}
		return status
	}
	return l.Status()
}

// Health returns an error if the table's loader does not get on.
func (m *member) Health() error {
	l, status, since := m.now()
	switch {
	case l != nil:
		return l.Health()
	case status.Problem != "":
		return errors.New(status.Problem)
	case time.Since(since) > openBound:
		if err := m.waits(); err != nil {
			return fmt.Errorf("it cannot be opened: %w", err)
		}
		return errors.New("it cannot be opened; the log has the cause")
	}
	return nil
}

func (m *member) waits() error {
	if m.Waits == nil {
		return nil
	}
	return m.Waits()
}

// Alive returns an error if the table's loader hangs.
func (m *member) Alive() error {
	if l, _, _ := m.now(); l != nil {
		return l.Alive()
	}
	return nil
}

// Gather returns the metrics of all loaders.
func (g *Group) Gather() (families []*dto.MetricFamily, err error) {
	var all prometheus.Gatherers
	for _, m := range g.members {
		m.mu.Lock()
		if m.metrics != nil {
			all = append(all, m.metrics)
		}
		m.mu.Unlock()
	}
	return all.Gather()
}

// Handler serves one page for all tables, with the metrics of the loaders and those of the process.
func (g *Group) Handler(process prometheus.Gatherer) http.Handler {
	tables := make([]Table, len(g.members))
	for i, m := range g.members {
		tables[i] = m
	}
	return Handler(prometheus.Gatherers{process, g}, tables...)
}
