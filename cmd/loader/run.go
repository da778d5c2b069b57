package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/serve"
	"aws-streaming-pipeline/internal/version"
	"aws-streaming-pipeline/loader"
)

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "load batches until SIGTERM; the default",
		Long: `Loads published batches into the tables of TABLE, a commit each LOAD_INTERVAL, until SIGTERM. A table that is down does not hold the
other one up. Any number of loaders may run: they elect one for each table. "consumer policy --loader" prints the permissions
that it needs.

Exit code: 0 stopped, 1 failed, 2 the settings are wrong.`,
		Example: "STREAM_NAME=trips BUCKET=my-bucket FORMAT=parquet SCHEMA=trips.schema.json TABLE=glue://lake/trips loader run",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLoader(cmd.Context()) },
	}
}

func runLoader(ctx context.Context) (err error) {
	defer func() { err = command.StartFailed("loader", err) }()
	cfg, err := loadSettings()
	if err != nil {
		return err
	}
	limitMemory()
	s, err := newSite(ctx, cfg, awshttp.LogTo(consumer.NewLogger(cfg)))
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// run runs a loader for each table, and their status page, which shows from the start on what the loaders wait for.
func (s *site) run(ctx context.Context) (err error) {
	lists, err := consumer.OpenSink(s.cfg, s.bucket, s.log)
	if err != nil {
		return err
	}
	process := prometheus.NewRegistry()
	labelled := func(reg prometheus.Registerer) prometheus.Registerer {
		return metrics.ForApplication(reg, s.cfg.Application)
	}
	labelled(process).MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	id := loaderID()
	for _, warning := range s.cfg.Warnings() {
		s.log.Warn(warning)
	}
	s.patience = consumer.NewPatience(s.log)
	var members []loader.Member
	for _, uri := range s.cfg.Tables() {
		own := *s // each table waits by itself
		own.patience = consumer.NewPatience(s.log)
		members = append(members, loader.Member{
			Table: uri.String(),
			Open: func(ctx context.Context, reg prometheus.Registerer) (*loader.Loader, error) {
				own.store = s.store
				to, err := own.open(ctx, uri)
				if err != nil {
					return nil, err
				}
				return loader.New(loader.Config{
					ID: id, Interval: s.cfg.LoadInterval, Batches: s.cfg.LoadBatches, Evolve: s.cfg.TableEvolve, Grace: s.cfg.ShutdownGrace,
				}, loader.Parts{Destination: to, Store: s.store, Lists: lists, Log: s.log, Registerer: reg})
			},
			Waits: func() error { return cmp.Or(s.patience.Waits(), own.patience.Waits()) }, // the table of checkpoints first
		})
	}
	group := loader.NewGroup(id, members, labelled, s.log)
	port, err := serve.Open(s.cfg.LoaderHTTPAddress, group.Handler(process), s.log)
	if err != nil {
		return consumer.PortTaken("LOADER_HTTP_ADDRESS", s.cfg.LoaderHTTPAddress, err)
	}
	defer port.Close()
	if err := s.openStore(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	s.patience.Over()
	s.log.Info("program started", logkey.Application, s.cfg.Application, "loader", id, "version", version.String())
	if err := group.Run(ctx); err != nil {
		return err
	}
	s.log.Info("loader stopped")
	return nil
}

// loaderID differs for each start of a process: a loader that has started again must not be mistaken for its predecessor.
func loaderID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "loader"
	}
	return host + "-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
}

// limitMemory keeps the heap below the container's limit, unless GOMEMLIMIT is set. A tenth is left for what the Go runtime does
// not count.
func limitMemory() {
	container, err := memlimit.FromCgroup()
	if err != nil || os.Getenv("GOMEMLIMIT") != "" {
		return // no limit, or one of the operator's own
	}
	debug.SetMemoryLimit(int64(container / 10 * 9))
}
