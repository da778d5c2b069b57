package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/version"
	"aws-streaming-pipeline/writers/s3sink"
	"aws-streaming-pipeline/writers/spool"
)

// Account is the AWS configuration for the services that the settings name.
type Account struct {
	aws.Config
	// KinesisEndpoint and S3Endpoint override the configuration's endpoints unless they are empty.
	KinesisEndpoint, S3Endpoint string
}

// Open creates a daemon and opens what its settings name: schema, stream, bucket, table and schema registry, in this order, so that
// wrong settings leave no table behind. The settings must be valid. Open waits for unavailable services until ctx ends (see Patience)
// and shows at HTTP_ADDRESS what it waits for. Call Close to release the resources.
func Open(ctx context.Context, cfg Config, account Account, log *slog.Logger) (d *Daemon, err error) {
	collected := prometheus.NewRegistry()
	labelled := metrics.ForApplication(collected, cfg.Application)
	labelled.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := metrics.New(labelled)
	svc := Services{
		Kinesis: account.kinesis(), Budget: budget.New(int64(cfg.MemoryBudget), m),
		Metrics: m, Registry: collected, Log: log, Version: version.String(), Region: account.Region,
	}
	s := &start{cfg: &cfg, services: &svc, began: time.Now(), patience: NewPatience(log)}
	port, err := cfg.openPort(s.handler(), log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			port.Close()
		}
	}()
	if err := s.reach(ctx, account); err != nil {
		return nil, err
	}
	if d, err = New(cfg, svc); err != nil {
		return nil, errors.Join(err, svc.Store.Close())
	}
	d.patience, d.port = s.patience, port
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

// OpenStore opens the store of leases and checkpoints that the settings name: a file, or a DynamoDB table. It makes one attempt, with
// the retries that each call has.
func OpenStore(ctx context.Context, cfg Config, account aws.Config, m *metrics.Metrics, log *slog.Logger) (Store, error) {
	if cfg.CheckpointFile != "" {
		store, err := local.Open(cfg.CheckpointFile)
		if err != nil {
			return nil, wrongSetting("CHECKPOINT_FILE", fmt.Errorf("CHECKPOINT_FILE=%q: %w", cfg.CheckpointFile, err))
		}
		return store, nil
	}
	store, err := dynamo.Open(ctx, dynamo.Config{AWS: account, Table: cfg.Table(), Create: cfg.CheckpointCreate, Metrics: m, Log: log})
	if errors.Is(err, checkpoint.ErrNotFound) {
		about := cfg.AboutTable(account.Region)
		return nil, &diagnosis.Error{Err: err, Finding: diagnosis.Finding{
			Final: true, Exit: 1, Setting: about.Setting,
			Text:   fmt.Sprintf("%s=%q: there is no table %s in %s", about.Setting, about.Value, cfg.Table(), account.Region),
			Advice: "correct APPLICATION_NAME, CHECKPOINT_TABLE or AWS_REGION; only a daemon or a loader with CHECKPOINT_TABLE_CREATE=true creates a table",
		}}
	}
	if err != nil {
		return nil, err
	}
	return store, nil
}
