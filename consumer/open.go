package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/version"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/writers/s3sink"
	"aws-streaming-pipeline/writers/spool"
)

// Account is the AWS configuration for the services that the settings name.
type Account struct {
	aws.Config
	// KinesisEndpoint and S3Endpoint override the configuration's endpoints unless they are empty.
	KinesisEndpoint, S3Endpoint string
}

// Open creates a daemon and opens what its settings name: bucket, schema, table and schema registry. The settings must be
// valid. Open waits for unavailable services until ctx ends (see Patiently). Call Close to release the resources.
func Open(ctx context.Context, cfg Config, account Account, log *slog.Logger) (*Daemon, error) {
	collected := prometheus.NewRegistry()
	labelled := metrics.ForApplication(collected, cfg.Application)
	labelled.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := metrics.New(labelled)
	svc := Services{
		Kinesis: account.kinesis(), Budget: budget.New(int64(cfg.MemoryBudget), m),
		Metrics: m, Registry: collected, Log: log, Version: version.String(),
	}
	bucket := account.s3(cfg.PathStyle)
	var err error
	svc.Schema, err = LoadSchema(ctx, cfg.Schema, SchemaServices{AWS: account.Config, S3: bucket}, func(f func() error) error {
		return Patiently(ctx, log, "read the schema "+cfg.Schema, f)
	})
	if err != nil {
		return nil, err
	}
	if err := cfg.fits(svc.Schema); err != nil {
		return nil, err
	}
	if svc.Sink, err = cfg.openSink(bucket, svc); err != nil {
		return nil, err
	}
	if cfg.SchemaRegistry == "glue" {
		if svc.SchemaRegistry, err = registry.NewGlue(ctx, account.Config); err != nil {
			return nil, err
		}
	}
	if arn, ok := cfg.Function(); ok {
		svc.Function = function.NewClient(account.Config, arn)
	}
	if svc.Store, err = OpenStore(ctx, cfg, account.Config, m, log); err != nil {
		return nil, err
	}
	d, err := New(cfg, svc)
	if err != nil {
		return nil, errors.Join(err, svc.Store.Close())
	}
	return d, nil
}

func (a *Account) kinesis() *kinesis.Client {
	return kinesis.NewFromConfig(a.Config, func(o *kinesis.Options) {
		if a.KinesisEndpoint != "" {
			o.BaseEndpoint = &a.KinesisEndpoint
		}
	})
}

func (a *Account) s3(pathStyle bool) *s3.Client {
	return s3.NewFromConfig(a.Config, func(o *s3.Options) {
		o.UsePathStyle = pathStyle
		if a.S3Endpoint != "" {
			o.BaseEndpoint = &a.S3Endpoint
		}
	})
}

// OpenSink returns the bucket of the settings for programs beside the daemon, which write small objects alone.
func OpenSink(cfg Config, bucket *s3.Client, log *slog.Logger) (Sink, error) {
	cfg.SpoolDir = ""
	return cfg.openSink(bucket, Services{Budget: budget.New(int64(cfg.MemoryBudget), nil), Log: log})
}

func (c *Config) openSink(bucket *s3.Client, svc Services) (Sink, error) {
	to, err := c.sinkConfig(svc)
	if err != nil {
		return nil, err
	}
	return s3sink.New(bucket, to)
}

func (c *Config) sinkConfig(svc Services) (s3sink.Config, error) {
	to := s3sink.Config{
		Bucket: c.Bucket, PartSize: int64(c.PartSize), Concurrency: c.UploadConcurrency,
		KMSKeyID: c.KMSKey, Budget: svc.Budget, Metrics: svc.Metrics, Log: svc.Log,
	}
	if c.Encryption != "none" {
		to.Encryption = types.ServerSideEncryption(c.Encryption)
	}
	if c.SpoolDir == "" {
		return to, nil
	}
	var err error
	if to.Spool, err = spool.New(c.SpoolDir, int64(c.SpoolSize), svc.Budget); err != nil {
		return to, fmt.Errorf("SPOOL_DIR=%q: %w", c.SpoolDir, err)
	}
	return to, nil
}

// OpenStore opens the store of leases and checkpoints that the settings name: a file, or a DynamoDB table, for which it waits
// until ctx ends (see Patiently).
func OpenStore(ctx context.Context, cfg Config, account aws.Config, m *metrics.Metrics, log *slog.Logger) (store Store, err error) {
	if cfg.CheckpointFile != "" {
		return local.Open(cfg.CheckpointFile)
	}
	err = Patiently(ctx, log, "open table "+cfg.Table(), func() (err error) {
		store, err = dynamo.Open(ctx, dynamo.Config{AWS: account, Table: cfg.Table(), Create: cfg.CheckpointCreate, Metrics: m, Log: log})
		return err
	})
	return store, err
}
