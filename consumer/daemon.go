// Package consumer is the daemon: it reads the shards of a Kinesis stream and delivers every record exactly once to large
// files in S3.
//
// A Daemon wires the parts together, and starts and stops them in order; each part is described in its own package.
// docs/design.md describes how they keep the promise.
package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/consumer/kcl"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/consumer/source"
	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/internal/emf"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/serve"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// Kinesis is the part of *kinesis.Client that the daemon calls.
type Kinesis interface {
	shardmap.API
	source.Client
}

// Store keeps leases, checkpoints and the outbox. Health returns an error if its recent requests failed.
type Store interface {
	checkpoint.Store
	Health() error
}

// Sink makes files durable. Health returns an error if its recent requests failed.
type Sink interface {
	writers.Sink
	writers.Versions
	Health() error
}

// Services are the dependencies of a Daemon. All but Metrics, Output, Schema, SchemaRegistry, Transform and Version are required.
type Services struct {
	Kinesis Kinesis
	Store   Store
	Sink    Sink
	// Budget bounds the bytes in memory; the sink uses it, too.
	Budget *budget.Budget
	// Metrics are registered with Registry, which /metrics shows.
	Metrics  *metrics.Metrics
	Registry prometheus.Gatherer
	Log      *slog.Logger
	// Output is where CLOUDWATCH_NAMESPACE writes; nil for standard output.
	Output io.Writer
	// Schema describes the records; nil for none.
	Schema *schema.Schema
	// SchemaRegistry has the schemas that payloads name; nil if payloads are not decoded by a registry.
	SchemaRegistry registry.Service
	// Transform changes records before the query of the settings does; nil for none.
	Transform transform.Stage
	// Function calls the function of TRANSFORM; nil without.
	Function function.Client
	// Version is shown on the status page and with the heartbeat.
	Version string
	// Region is that of the account, for diagnoses.
	Region string
}

// Daemon is one worker.
type Daemon struct {
	cfg      Config
	log      *slog.Logger
	worker   string
	address  string // of the status page, for other workers' pages
	version  string
	region   string
	started  time.Time
	registry prometheus.Gatherer
	metrics  *metrics.Metrics
	budget   *budget.Budget
	sink     Sink
	store    Store
	stream   *shardmap.Lister

	keeper   *lease.Keeper
	pipeline *batch.Pipeline
	engine   *kcl.Engine
	shards   *shards
	patience *Patience
	port     *serve.Port // nil until it is open, and without HTTP_ADDRESS
	trouble  trouble
	history  history
	bucket   *bucketWatch
	overview overview
	announce *announcer          // nil without COMPLETE_PREFIX
	table    *tableWatch         // nil without an Iceberg table
	schemas  *registry.Registry  // nil without a schema registry
	function *function.Transform // nil without TRANSFORM
	emf      *emf.Writer         // nil without a namespace in CloudWatch

	mu       sync.Mutex
	stopping bool
	scan     lease.Scan
}

// New wires a daemon from valid settings. It makes no requests before Run.
func New(cfg Config, svc Services) (*Daemon, error) {
	d := &Daemon{
		cfg: cfg, version: svc.Version, region: svc.Region, started: time.Now(), worker: workerID(), store: svc.Store, sink: svc.Sink,
		registry: svc.Registry, metrics: metrics.Or(svc.Metrics), budget: svc.Budget,
	}
	d.address = advertised(cfg.HTTPAddress, net.InterfaceAddrs)
	d.overview.failover = cfg.Failover
	d.overview.scan = func(ctx context.Context) (checkpoint.Snapshot, error) { return svc.Store.Scan(ctx) }
	d.log = svc.Log.With(logkey.Worker, d.worker)
	d.patience = NewPatience(d.log)
	if cfg.CloudWatch != "" {
		out := svc.Output
		if out == nil {
			out = os.Stdout
		}
		d.emf = emf.New(emf.Config{Namespace: cfg.CloudWatch, Application: cfg.Application, Worker: d.worker, Converts: cfg.kind().Columns, Backs: cfg.BackupPrefix != ""}, d.registry, out, d.log)
	}
	d.bucket = newBucketWatch(cfg.Bucket, d.sink.Check, d.log)
	d.metrics.CommitInterval.Set(cfg.CommitInterval.Seconds())
	if cfg.TableConfig.Table != "" {
		d.metrics.LoadInterval.Set(cfg.LoadInterval.Seconds())
	}
	if _, ok := cfg.PostgresTable(); ok {
		d.metrics.Failover.Set(cfg.PostgresFailover.Seconds())
	}
	for _, code := range faultCodes() {
		d.metrics.Faults.WithLabelValues(code) // at 0, so that its first increase is seen
	}
	for _, wire := range []func(Services) error{d.wirePipeline, d.wireKeeper, d.wireEngine} {
		if err := wire(svc); err != nil {
			return nil, err
		}
	}
	var err error
	if d.announce, err = newAnnouncer(&cfg, svc.Store, d.sink, d.metrics, d.log); err != nil {
		return nil, err
	}
	return d, nil
}

// faultCodes are the codes of error records.
func faultCodes() []string {
	var codes []string
	for _, c := range slices.Concat(schema.Codes(), record.Codes(), prefix.Codes(), table.Codes(), transform.Codes(), function.Codes()) {
		codes = append(codes, c.Name)
	}
	return codes
}

// workerID is unique for each start of a process: a restarted process must not be mistaken for its predecessor.
func workerID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	return host + "-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
}

func (d *Daemon) wirePipeline(svc Services) error {
	zone, err := prefix.LoadZone(d.cfg.TimeZone)
	if err != nil {
		return err
	}
	parts, err := d.cfg.filling(svc.Schema, svc.Version, d.budget, d.metrics)
	if err != nil {
		return err
	}
	if parts.Backup, err = d.cfg.backup(); err != nil {
		return err
	}
	parts.Store, parts.Sink, parts.Log = svc.Store, d.sink, d.log
	var iceberg string
	var databases []string
	if uri, ok := d.cfg.IcebergTable(); ok {
		iceberg = uri.String()
		d.table = newTableWatch(iceberg, svc.Store.Table, opener(parts.Data, svc.Schema), d.log)
		parts.Table = d.table.current.Load
	}
	if uri, ok := d.cfg.PostgresTable(); ok {
		databases = []string{uri.String()}
	}
	d.pipeline = batch.New(batch.Config{
		Worker: d.worker, Stream: d.cfg.Stream, Table: iceberg, Databases: databases, Bucket: d.cfg.Bucket, ManifestPrefix: d.cfg.ManifestPrefix, Zone: zone,
		Limits: batch.Limits{
			FileBytes: int64(d.cfg.FileSize), Bytes: int64(d.cfg.CommitSize), Interval: d.cfg.CommitInterval, OpenFiles: d.cfg.MaxOpenFiles,
		},
		NewID: layout.NewBatchID,
	}, parts)
	return nil
}

// filling returns the parts of a pipeline that decide in which file a record is stored: router and formats. The schema may be nil.
func (c *Config) filling(s *schema.Schema, version string, memory *budget.Budget, m *metrics.Metrics) (parts batch.Parts, err error) {
	parts.Metrics = m
	if parts.Router, err = c.router(); err != nil {
		return parts, err
	}
	if parts.Data, err = c.dataFormat(s, version, m); err != nil {
		return parts, err
	}
	if parts.Errors, err = c.errorFormat(); err != nil {
		return parts, err
	}
	parts.Shared, err = writers.NewShared(memory, 0)
	return parts, err
}

func (d *Daemon) wireKeeper(svc Services) error {
	var err error
	d.stream = shardmap.NewLister(svc.Kinesis, d.cfg.StreamID())
	d.keeper, err = lease.New(lease.Config{
		Worker: d.worker, Address: d.address, Version: d.version, Application: d.cfg.Application,
		Initial: d.cfg.StartPosition.Position(), Failover: d.cfg.Failover, MaxLeases: d.cfg.MaxLeases, Grace: d.cfg.ShutdownGrace,
		Stop: d.cfg.StopPosition.Time,
	}, svc.Store, d.stream, svc.Log, d.metrics)
	if err != nil {
		return err
	}
	d.keeper.OnScan(d.scanned)
	return nil
}

// Position returns where shards without a checkpoint begin.
func (p StartPosition) Position() checkpoint.Position {
	switch {
	case p.Latest:
		return lease.Latest
	case !p.Time.IsZero():
		return checkpoint.AtTimestamp(p.Time)
	}
	return checkpoint.TrimHorizon
}

func (d *Daemon) wireEngine(svc Services) error {
	options := d.cfg.decoderOptions()
	if svc.SchemaRegistry != nil {
		d.schemas = registry.New(svc.SchemaRegistry, d.log, func(result string) { d.metrics.SchemaLookups.WithLabelValues(result).Inc() })
		options.Frames = d.schemas
	}
	decoder, err := record.NewDecoder(options)
	if err != nil {
		return err
	}
	if d.function = d.cfg.function(svc, d.streamARN); d.function != nil {
		svc.Transform = d.function
	}
	stage, err := d.cfg.stage(svc.Transform)
	if err != nil {
		return err
	}
	d.shards = &shards{
		log:      d.log,
		metrics:  d.metrics,
		keeper:   d.keeper,
		pipeline: d.pipeline,
		stage:    stage,
		budget:   d.budget,
		open:     make(map[string]*session),
		source: source.New(source.Config{
			Stream: d.cfg.StreamID(), JSON: d.cfg.Protocol == "json", MinInterval: d.cfg.ReadInterval, Consumer: streams.ConsumerID(d.cfg.FanOutConsumer), Raw: d.cfg.BackupPrefix != "", Budget: d.budget, Trouble: d.trouble.kinesis,
			Decoder: func(shard string) (source.Decoder, error) { return d.decoder(decoder, shard) },
			Closed:  d.keeper.Closed,
			Until:   d.cfg.StopPosition.Time,
		}, svc.Kinesis, d.log, d.metrics),
	}
	d.engine = kcl.New(kcl.Config{Application: d.cfg.Application, Stream: d.cfg.Stream, Worker: d.worker, Logger: d.log, Panicked: d.panicked}, d.shards)
	return nil
}

// streamARN returns the ARN of the stream; empty if it is neither set nor known yet.
func (d *Daemon) streamARN() string { return cmp.Or(d.cfg.StreamARN, d.keeper.Snapshot().Stream.ARN) }

// panicked records a panic of a shard's session.
func (d *Daemon) panicked(shard, what string) {
	d.pipeline.Panicked(shard, d.shards.checkpoint(shard), what)
}

// decoder returns the decoder for a shard. With KPL_HASH_FILTER it drops records that belong to another shard, and fails as
// long as the shard's hash key range is unknown: without the range, records would be delivered twice.
func (d *Daemon) decoder(all *record.Decoder, shard string) (*record.Decoder, error) {
	if !d.cfg.KPLHashFilter {
		return all, nil
	}
	listed, ok := d.keeper.Listed(shard)
	if !ok {
		return nil, errors.New("KPL_HASH_FILTER=true: the shard's hash key range is not known until the stream's shards have been listed")
	}
	hashes, err := record.ParseHashRange(listed.HashStart, listed.HashEnd)
	if err != nil {
		return nil, fmt.Errorf("KPL_HASH_FILTER=true: hash key range %q to %q: %w", listed.HashStart, listed.HashEnd, err)
	}
	return all.WithRange(hashes), nil
}

// Close closes the store and the status page. Run must have returned, if it was called.
func (d *Daemon) Close() error {
	d.port.Close()
	return d.store.Close()
}

// Store returns the store of checkpoints, for what runs beside the daemon in its process. Close closes it.
func (d *Daemon) Store() Store { return d.store }

// Run delivers records until ctx ends. Then it stops reading, commits and publishes what was read, releases its leases, and
// returns nil if it did all of this within the grace period. Records that are not committed by then are read again by the
// next owners of the leases.
//
// With STOP_POSITION it ends by itself when everything before that is delivered, by whichever worker, and returns nil.
// If ctx ends earlier, it returns ErrInterrupted.
func (d *Daemon) Run(ctx context.Context) error {
	if d.port == nil {
		var err error
		if d.port, err = d.cfg.openPort(d.Handler(), d.log); err != nil {
			return err
		}
	}
	d.port.Show(d.Handler())
	defer d.port.Close()
	defer d.watchBucket(ctx)()
	if err := d.checkRange(ctx); err != nil {
		return err
	}
	err := d.patience.Await(ctx, "bind the table to the stream", d.cfg.AboutStream(d.region), func() error {
		_, err := d.keeper.Bind(ctx)
		return err
	})
	if err != nil {
		return err
	}
	d.patience.Over()
	if d.table != nil && !d.table.await(ctx) {
		d.log.Info("consumer stopped, nothing was read")
		return d.outcome()
	}
	d.log.Info("consumer started", logkey.Stream, d.cfg.Stream, logkey.Bucket, d.cfg.Bucket, logkey.Application, d.cfg.Application)

	// The parts stop in this order, each after the one before: leases (drained by the engine's sessions), engine, pipeline.
	base := context.WithoutCancel(ctx)
	engineCtx, stopEngine := context.WithCancel(base)
	pipelineCtx, stopPipeline := context.WithCancel(base)
	defer stopEngine()
	defer stopPipeline()

	var pipeline, engine, rest sync.WaitGroup
	var engineErr error
	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	pipeline.Go(func() { d.pipeline.Run(pipelineCtx) })
	engine.Go(func() {
		if engineErr = d.engine.Run(engineCtx); engineErr != nil {
			fail(engineErr)
		}
	})
	rest.Go(func() { d.observe(pipelineCtx) })
	if d.table != nil {
		rest.Go(func() { d.table.run(pipelineCtx) })
	}
	if d.emf != nil {
		rest.Go(func() { d.emf.Run(pipelineCtx) })
	}
	if d.announce != nil {
		rest.Go(func() { d.announce.run(pipelineCtx, d.lead, d.finished) })
	}
	rest.Go(func() { d.announceStop(failed) })

	keeperErr := d.keeper.Run(failed)
	fail(nil)
	stopEngine()
	engine.Wait()
	publishedErr := d.awaitPublished(base)
	stopPipeline()
	pipeline.Wait()
	rest.Wait()
	err = errors.Join(keeperErr, engineErr, publishedErr)
	if err != nil {
		return err
	}
	d.log.Info("consumer stopped, everything read is committed")
	return d.outcome()
}

// StopsWithin returns the longest time that Run takes after its context has ended, even if no service responds: the grace
// period for the last commit, and again for its publishing; Failover to release leases, and again to remove the heartbeat;
// and a margin. Do not kill a daemon earlier.
func (c *Config) StopsWithin() time.Duration {
	return 2*c.ShutdownGrace + 2*c.Failover + 10*time.Second
}

func (d *Daemon) awaitPublished(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.ShutdownGrace)
	defer cancel()
	return d.pipeline.AwaitPublished(ctx)
}

// Taken returns the number of user records read since the start, whether delivered or not.
func (d *Daemon) Taken() int64 { return d.pipeline.Taken() }

func (d *Daemon) announceStop(ctx context.Context) {
	<-ctx.Done()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = true
}

// scanned stores what a turn of the keeper shows, and starts publishing what is left to this worker in the outbox.
func (d *Daemon) scanned(s lease.Scan) {
	d.mu.Lock()
	d.scan = s
	d.mu.Unlock()
	if !s.Leading {
		d.pipeline.SweepLeft(s.Left)
		return
	}
	left := make(map[string]bool, len(s.Left))
	for _, b := range s.Left {
		left[b.ID] = true
	}
	d.pipeline.Sweep(s.Snapshot, func(b checkpoint.Batch) bool { return left[b.ID] })
}

// lead reports whether this worker is the one that does what one worker is enough for, and the table, as of the last scan. When
// the run is at its end, each does it, because the others may be gone; a follower reads the table for that.
func (d *Daemon) lead(ctx context.Context) (bool, checkpoint.Snapshot, error) {
	d.mu.Lock()
	scan := d.scan
	d.mu.Unlock()
	if scan.Leading || !d.finished() {
		return scan.Leading, scan.Snapshot, nil
	}
	snap, err := d.store.Scan(ctx)
	return true, snap, err
}

// finished reports whether everything before STOP_POSITION is delivered.
func (d *Daemon) finished() bool {
	finished, _ := d.keeper.Finished()
	return finished
}

// watchBucket checks the bucket until stop is called.
func (d *Daemon) watchBucket(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	watching.Go(func() { d.bucket.run(ctx) })
	return func() {
		cancel()
		watching.Wait()
	}
}

// observe keeps the time-dependent gauges and the history of the status page up to date.
func (d *Daemon) observe(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.pipeline.Observe()
			d.history.take(d.sample)
		case <-ctx.Done():
			return
		}
	}
}

// openPort opens the port of the settings.
func (c *Config) openPort(first http.Handler, log *slog.Logger) (*serve.Port, error) {
	port, err := serve.Open(c.HTTPAddress, first, log)
	if err != nil {
		return nil, PortTaken("HTTP_ADDRESS", c.HTTPAddress, err)
	}
	return port, nil
}

// PortTaken explains an error of listening on the address of a setting.
func PortTaken(setting, address string, err error) error {
	return &diagnosis.Error{Err: err, Finding: diagnosis.Finding{
		Final: true, Exit: 2, Setting: setting, Text: fmt.Sprintf("%s=%q: %v", setting, address, err),
		Advice: "want an address of this host with a port that no other program uses; an empty value disables the status page",
	}}
}
