package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/serve"
	"aws-streaming-pipeline/internal/version"
	"aws-streaming-pipeline/loader"
)

const runUsage = `run

Loads published batches into TABLE, a commit each LOAD_INTERVAL, until SIGTERM. Any number of loaders may run: they elect one.`

func runLoader(ctx context.Context, args []string, out io.Writer) (err error) {
	if err := command.Parse(newFlags("run", runUsage, out), args); err != nil {
		return command.UnlessHelp(err)
	}
	cfg, err := loadSettings()
	if err != nil {
		return err
	}
	log := consumer.NewLogger(cfg)
	limitMemory()
	account, err := awshttp.Account(ctx)
	if err != nil {
		return err
	}
	bucket := bucketClient(account, cfg)
	store, err := consumer.OpenStore(ctx, cfg, account, nil, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	to, err := openDestination(ctx, cfg, account, bucket, log)
	if err != nil {
		return err
	}
	lists, err := consumer.OpenSink(cfg, bucket, log)
	if err != nil {
		return err
	}
	return run(ctx, cfg, loader.Parts{Destination: to, Store: store, Lists: lists, Log: log})
}

// run runs the loader and its status page.
func run(ctx context.Context, cfg consumer.Config, parts loader.Parts) error {
	collected := prometheus.NewRegistry()
	parts.Registerer = metrics.ForApplication(collected, cfg.Application)
	parts.Registerer.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	id := loaderID()
	l, err := loader.New(loader.Config{
		ID: id, Interval: cfg.LoadInterval, Batches: cfg.LoadBatches, Evolve: cfg.TableEvolve, Grace: cfg.ShutdownGrace,
	}, parts)
	if err != nil {
		return err
	}
	stop, err := servePage(cfg.LoaderHTTPAddress, l.Handler(collected), parts.Log)
	if err != nil {
		return err
	}
	defer stop()
	parts.Log.Info("loader started", logkey.Table, parts.Destination.Name(), logkey.Application, cfg.Application, "loader", id, "version", version.String())
	if err := l.Run(ctx); err != nil {
		return err
	}
	parts.Log.Info("loader stopped")
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

const (
	exchange              = 30 * time.Second // bounds a request to the status page and its response
	connectionsPerAddress = 32               // far more than a browser, the kubelet or Prometheus open
)

// servePage serves the status page, unless the address is empty.
func servePage(address string, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("LOADER_HTTP_ADDRESS=%q: %w", address, err)
	}
	server := serve.New(handler, exchange)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(serve.PerAddress(listener, connectionsPerAddress)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("status page failed", logkey.Error, err)
		}
	})
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			server.Close()
		}
		serving.Wait()
	}, nil
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
