package consumer

import (
	"context"
	"net/http"
	"time"

	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/record/registry"
)

// start is a daemon that is being opened.
type start struct {
	cfg      *Config
	services *Services // filled in on the way
	began    time.Time
	patience *Patience
}

// reach opens what the settings name. What reads comes before what writes.
func (s *start) reach(ctx context.Context, account Account) (err error) {
	cfg, svc := s.cfg, s.services
	if err := cfg.inRegion(account.Region); err != nil {
		return err
	}
	bucket := account.s3(cfg.PathStyle)
	svc.Schema, err = LoadSchema(ctx, cfg.Schema, SchemaServices{AWS: account.Config, S3: bucket}, func(f func() error) error {
		return s.patience.Await(ctx, "read the schema "+cfg.Schema, cfg.AboutSchema(account.Region), f)
	})
	if err != nil {
		return err
	}
	if err := cfg.fits(svc.Schema); err != nil {
		return wrongSetting("SCHEMA", err)
	}
	if svc.Sink, err = cfg.openSink(bucket, *svc); err != nil {
		return wrongSetting("SPOOL_DIR", err)
	}
	if cfg.SchemaRegistry == "glue" {
		if svc.SchemaRegistry, err = registry.NewGlue(ctx, account.Config); err != nil {
			return err
		}
	}
	if arn, ok := cfg.Function(); ok {
		svc.Function = function.NewClient(account.Config, arn)
	}
	err = s.patience.Await(ctx, "describe stream "+cfg.Stream, cfg.AboutStream(account.Region), func() error {
		_, err := shardmap.NewLister(svc.Kinesis, cfg.StreamID()).Describe(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.checkBucket(ctx, account.Region); err != nil {
		return err
	}
	return s.patience.Await(ctx, "open table "+cfg.Table(), cfg.AboutTable(account.Region), func() (err error) {
		svc.Store, err = OpenStore(ctx, *cfg, account.Config, svc.Metrics, svc.Log)
		return err
	})
}

// checkBucket returns why the bucket can never be used. A bucket that is out of reach for now holds nothing up: the daemon reads on
// until its memory is full.
func (s *start) checkBucket(ctx context.Context, region string) error {
	s.patience.at("check bucket "+s.cfg.Bucket, "")
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	err := s.services.Sink.Check(ctx)
	if about := s.cfg.AboutBucket(region); diagnosis.Of(err, about).Final {
		return diagnosis.Explain(err, about)
	}
	return nil
}

// checks is the only check of a daemon that is being opened.
func (s *start) checks() []Check { return []Check{startCheck(s.patience)} }

// startCheck fails until the daemon has started.
func startCheck(p *Patience) Check { return Check{Name: "start", Problem: problem(p.Waits())} }

// handler shows what the start waits for. The program is alive, and not ready.
func (s *start) handler() http.Handler {
	return handler(views{
		status: func(context.Context) any {
			return Status{
				Application: s.cfg.Application, Stream: s.cfg.Stream, Bucket: s.cfg.Bucket, Version: s.services.Version, Now: time.Now(), Started: s.began,
				State: "starting: waiting to " + s.patience.now(), Checks: s.checks(), Shards: []ShardStatus{}, Workers: []WorkerStatus{}, History: []Sample{},
				FileSize: int64(s.cfg.FileSize), MemoryBudget: s.services.Budget.Limit(),
			}
		},
		registry: s.services.Registry,
		observe:  func() { observe(s.services.Metrics, s.checks()) },
		healthz: func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusOK, map[string]string{"status": "alive"})
		},
		readyz: func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusServiceUnavailable, map[string]any{"checks": s.checks(), "stopping": false})
		},
	})
}
