package kcl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	chk "github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
)

// ErrShardEnd is returned by Session.Next when the shard's end is committed and nothing is left to do.
var ErrShardEnd = errors.New("the shard is at its end")

// Driver says which shards to read and opens them. Its methods are called by one goroutine, the event loop, and must
// not block: meanwhile no shard starts.
type Driver interface {
	// Shards returns the shards whose lease this worker holds. A shard that is no longer returned keeps its session
	// until the session ends by itself.
	Shards() []string
	// Open begins to read a shard. False means that it should not be read now; Open is called again at a later tick. No
	// session of the shard is open when Open is called.
	Open(shard string) (Session, bool)
}

// Session is one shard from Open to Close. Its methods are called one at a time. After Open come any number of pairs of
// Next and Process, and finally one Close, on every path; a session may also be closed before its first Next.
type Session interface {
	// Next waits for records, and also returns nil if none came, so that Process can check the time. It may wait for as
	// long as it honours ctx. An error ends the session: ErrShardEnd when the shard is done, any other error to abandon
	// it (lease lost, drained, to be restarted).
	Next(ctx context.Context) error
	// Process handles what Next read. It is called after each Next that returned nil, so timers belong here, too. An
	// error ends the session.
	Process(ctx context.Context) error
	// Close frees what the session holds. The shard is not opened again before Close has returned.
	Close()
}

const (
	defaultTick       = 50 * time.Millisecond
	defaultStopWithin = 10 * time.Second

	// minCycle is the minimum time of one GetRecords and ProcessRecords. The library makes five calls in one second and
	// then sleeps until the second is over, without checking anything.
	minCycle = 205 * time.Millisecond

	// renewEvery is the interval at which the library asks whether a lease is still held. The session reports a lost
	// lease sooner, so the library asks rarely.
	renewEvery = time.Hour

	// region is for the library's configuration, which requires one; no request is ever sent there.
	region = "none"
)

// Config names the parts of the engine for the library and sets its pace.
type Config struct {
	Application string // as the library logs it
	Stream      string // as the library logs it
	Worker      string // id of this worker process
	Logger      *slog.Logger
	// Tick is the mean time between two rounds of the event loop, each of which starts at most one shard; 50 ms if
	// zero, and at least 1 ms.
	Tick time.Duration
	// Panicked, if set, is called for each panic of a session or of Driver.Open, with a description that contains no
	// payload. The session ends, and the shard is opened again.
	Panicked func(shard, what string)
	// StopWithin bounds the time from the end of Run's context to its return; 10 s if zero.
	StopWithin time.Duration
}

func (c Config) validate() error {
	var errs []error
	for _, f := range []struct{ name, value string }{
		{"Application", c.Application}, {"Stream", c.Stream}, {"Worker", c.Worker},
	} {
		if strings.TrimSpace(f.value) == "" {
			errs = append(errs, fmt.Errorf("%s is empty", f.name))
		}
	}
	if c.Tick != 0 && c.Tick < time.Millisecond {
		errs = append(errs, fmt.Errorf("field Tick is %v: want at least 1ms", c.Tick))
	}
	if c.StopWithin < 0 {
		errs = append(errs, fmt.Errorf("field StopWithin is %v: want 0 or more", c.StopWithin))
	}
	return errors.Join(errs...)
}

// Engine runs the library's worker on a Driver.
type Engine struct {
	cfg Config
	reg *registry
	ran sync.Once

	// Tests intercept the calls between the library and the registry here.
	checkpointer chk.Checkpointer
	renewEvery   time.Duration
}

// New makes an engine. It does nothing until Run.
func New(cfg Config, driver Driver) *Engine {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Tick == 0 {
		cfg.Tick = defaultTick
	}
	if cfg.StopWithin == 0 {
		cfg.StopWithin = defaultStopWithin
	}
	reg := newRegistry(driver, cfg)
	return &Engine{cfg: cfg, reg: reg, checkpointer: checkpointer{reg}, renewEvery: renewEvery}
}

// Run drives the shards until ctx ends, and returns when all sessions are closed. It can be called once.
//
// A session notices the end by the context of its Next and Process. If sessions are still open after Config.StopWithin,
// Run returns an error that names their shards; they cannot be stopped except by ending the process.
func (e *Engine) Run(ctx context.Context) error {
	err := errors.New("run engine: it has already run")
	e.ran.Do(func() { err = e.run(ctx) })
	return err
}

func (e *Engine) run(ctx context.Context) error {
	if err := e.cfg.validate(); err != nil {
		return fmt.Errorf("run engine: %w", err)
	}
	muteGlobalLogger()
	e.reg.ctx = ctx
	w := worker.NewWorker(factory{e.reg}, e.settings()).
		WithKinesis(newClient(e.reg.answer)).
		WithCheckpointer(e.checkpointer)
	if err := w.Start(); err != nil {
		return fmt.Errorf("run engine: start worker: %w", err)
	}
	<-ctx.Done()

	stopped := make(chan struct{})
	go func() { // Shutdown has no deadline; it is called once, here
		defer close(stopped)
		w.Shutdown()
	}()
	bound := time.NewTimer(e.cfg.StopWithin)
	defer bound.Stop()
	select {
	case <-stopped:
		return nil
	case <-bound.C:
		return fmt.Errorf("run engine: sessions still open %v after the stop: %s",
			e.cfg.StopWithin, strings.Join(e.reg.open(), ", "))
	}
}

// settings returns the library's configuration. Its defaults apply to what is not set; most of its settings have no
// effect with our Checkpointer and client.
func (e *Engine) settings() *config.KinesisClientLibConfiguration {
	c := config.NewKinesisClientLibConfig(e.cfg.Application, e.cfg.Stream, region, e.cfg.Worker).
		WithLogger(libraryLogger{e.cfg.Logger}).
		WithMonitoringService(nil). // measures nothing
		WithShardSyncIntervalMillis(max(1, int(e.cfg.Tick.Milliseconds()))).
		WithLeaseRefreshWaitTime(max(1, int(e.renewEvery.Milliseconds()))).
		WithCallProcessRecordsEvenForEmptyRecordList(true).
		WithIdleTimeBetweenReadsInMillis(1).
		WithMaxLeasesForWorker(math.MaxInt32).
		WithMaxRecords(10_000).
		WithLeaseStealing(false)
	c.EnableEnhancedFanOutConsumer = false
	return c
}

// muteGlobalLogger silences the default logger of logrus. The library's renewal writes to it and not to the given
// logger, and reports only that one of our own refusals was an error.
var muteGlobalLogger = sync.OnceFunc(func() { logrus.StandardLogger().SetOutput(io.Discard) })
