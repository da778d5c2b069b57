package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/loader/iceberg"
	"aws-streaming-pipeline/loader/iceberg/care"
	"aws-streaming-pipeline/operate/objects"
)

func newFlags(name, usage string, out io.Writer) *flag.FlagSet {
	return command.Flags("loader", name, usage, out)
}

// loadSettings returns the daemon's settings, which must be valid and name a table.
func loadSettings() (consumer.Config, error) {
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return cfg, fmt.Errorf("invalid settings:\n%w", err)
	}
	if cfg.TableConfig.Table == "" {
		return cfg, errors.New(`TABLE="": want the table to load, such as glue://database/table`)
	}
	return cfg, nil
}

// site is what the commands work on.
type site struct {
	cfg    consumer.Config
	bucket *s3.Client
	store  consumer.Store
	table  *iceberg.Table
}

// openSite opens the table and the checkpoint store of the settings. Close the store.
func openSite(ctx context.Context) (*site, error) {
	cfg, err := loadSettings()
	if err != nil {
		return nil, err
	}
	cfg.CheckpointCreate = false // what does not exist has nothing to be looked at
	log := consumer.NewLogger(cfg)
	account, err := awshttp.Account(ctx)
	if err != nil {
		return nil, err
	}
	s := &site{cfg: cfg, bucket: bucketClient(account, cfg)}
	if s.table, err = openDestination(ctx, cfg, account, s.bucket, log); err != nil {
		return nil, err
	}
	if s.store, err = consumer.OpenStore(ctx, cfg, account, nil, log); err != nil {
		return nil, err
	}
	return s, nil
}

func bucketClient(account aws.Config, cfg consumer.Config) *s3.Client {
	return s3.NewFromConfig(account, func(o *s3.Options) {
		o.UsePathStyle = cfg.PathStyle
		// Files that other programs wrote need not have a checksum, and the SDK would log that for each one read.
		o.DisableLogOutputChecksumValidationSkipped = true
	})
}

func (s *site) window(from, to command.Moment) care.Window {
	return care.Window{
		Bucket: objects.Bucket{API: s.bucket, Name: s.cfg.Bucket}, Prefix: s.cfg.ManifestPrefix, Table: s.table.Name(), From: from.Time, To: to.Time,
	}
}

// withSite runs a command on the site of the settings.
func withSite(ctx context.Context, run func(*site) error) (err error) {
	s, err := openSite(ctx)
	if err != nil {
		return command.Undone(err)
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	return run(s)
}

// item returns the item of the table in the store; it has no version if there is none.
func (s *site) item(ctx context.Context) (checkpoint.Table, error) {
	item, err := s.store.Table(ctx, s.table.Name())
	if errors.Is(err, checkpoint.ErrNotFound) {
		return checkpoint.Table{Name: s.table.Name()}, nil
	}
	return item, err
}

// confirm asks the operator, unless yes is set.
func confirm(yes bool, out io.Writer) error {
	if yes || command.Confirmed(os.Stdin, out) {
		return nil
	}
	return errors.New("nothing was changed")
}
