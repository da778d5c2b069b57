package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/version"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/writers/s3sink"
	"aws-streaming-pipeline/writers/spool"
)

func runDaemon(ctx context.Context, _ []string, _ io.Writer) (err error) {
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return fmt.Errorf("settings are wrong:\n%w", err)
	}
	log := newLogger(cfg)
	limitMemory(cfg, log)
	account, err := loadAccount(ctx)
	if err != nil {
		return err
	}
	collected := prometheus.NewRegistry()
	labelled := metrics.ForApplication(collected, cfg.Application)
	labelled.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := metrics.New(labelled)
	b := budget.New(int64(cfg.MemoryBudget), m)
	bucket := s3.NewFromConfig(account, func(o *s3.Options) { o.UsePathStyle = cfg.PathStyle })
	records, err := loadSchema(ctx, cfg.Schema, bucket, func(f func() error) error {
		return consumer.Patiently(ctx, log, "read the schema "+cfg.Schema, f)
	})
	if err != nil {
		return err
	}
	sink, err := openBucket(cfg, bucket, b, m, log)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, cfg, account, m, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	schemas, err := openRegistry(ctx, cfg, account)
	if err != nil {
		return err
	}
	daemon, err := consumer.New(cfg, consumer.Services{
		Kinesis: kinesis.NewFromConfig(account), Store: store, Sink: sink,
		Budget: b, Metrics: m, Registry: collected, Log: log, Schema: records, SchemaRegistry: schemas, Version: version.String(),
	})
	if err != nil {
		return err
	}
	return daemon.Run(ctx)
}

func newLogger(cfg consumer.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo // Validate has refused anything else
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}

// openStore opens the table of leases and checkpoints: DynamoDB, or a file.
func openStore(ctx context.Context, cfg consumer.Config, account aws.Config, m *metrics.Metrics, log *slog.Logger) (consumer.Store, error) {
	if cfg.CheckpointFile != "" {
		return local.Open(cfg.CheckpointFile)
	}
	var store *dynamo.Store
	err := consumer.Patiently(ctx, log, "open table "+cfg.Table(), func() (err error) {
		store, err = dynamo.Open(ctx, dynamo.Config{AWS: account, Table: cfg.Table(), Create: cfg.CheckpointCreate, Metrics: m, Log: log})
		return err
	})
	if err != nil {
		return nil, err
	}
	return store, nil
}

func openBucket(cfg consumer.Config, client *s3.Client, b *budget.Budget, m *metrics.Metrics, log *slog.Logger) (consumer.Sink, error) {
	c := s3sink.Config{
		Bucket: cfg.Bucket, PartSize: int64(cfg.PartSize), Concurrency: cfg.UploadConcurrency,
		KMSKeyID: cfg.KMSKey, Budget: b, Metrics: m, Log: log,
	}
	if cfg.Encryption != "none" {
		c.Encryption = types.ServerSideEncryption(cfg.Encryption)
	}
	if cfg.SpoolDir != "" {
		var err error
		if c.Spool, err = spool.New(cfg.SpoolDir, int64(cfg.SpoolSize), b); err != nil {
			return nil, fmt.Errorf("SPOOL_DIR=%q: %w", cfg.SpoolDir, err)
		}
	}
	return s3sink.New(client, c)
}

// openRegistry is the registry of the schemas that payloads name; nil for none.
func openRegistry(ctx context.Context, cfg consumer.Config, account aws.Config) (registry.Service, error) {
	if cfg.SchemaRegistry == "none" {
		return nil, nil
	}
	return registry.NewGlue(ctx, account)
}

// settings lists the environment variables by subject.
func settings(_ context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("settings takes no argument %q", args[0])
	}
	w := bufio.NewWriter(out)
	for _, g := range consumer.SettingGroups() {
		fmt.Fprintf(w, "%s\n", g.Title)
		for _, s := range g.Settings {
			fmt.Fprintf(w, "  %s\n      %s\n", s.Name, s.Help())
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
