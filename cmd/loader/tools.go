package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/loader/iceberg"
	"aws-streaming-pipeline/loader/manifests"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/record/table"
)

// loadSettings returns the daemon's settings, which must be valid and name a table.
func loadSettings() (consumer.Config, error) {
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return cfg, command.InvalidSettings(err)
	}
	if cfg.TableConfig.Table == "" {
		return cfg, command.InvalidSettings(errors.New(`TABLE="": want the table to load, such as glue://database/table`))
	}
	return cfg, nil
}

// site is what the program works on.
type site struct {
	cfg     consumer.Config
	log     *slog.Logger
	account aws.Config
	bucket  *s3.Client
	store   consumer.Store
	// patience waits for services that are down; nil for commands, which make one attempt.
	patience *consumer.Patience
}

// newSite returns the site of the settings, without its store. The options are those of awshttp.Account.
func newSite(ctx context.Context, cfg consumer.Config, options ...func(*config.LoadOptions) error) (s *site, err error) {
	s = &site{cfg: cfg, log: consumer.NewLogger(cfg)}
	if s.account, err = awshttp.Account(ctx, options...); err != nil {
		return nil, err
	}
	s.bucket = bucketClient(s.account, cfg)
	return s, nil
}

// openStore opens the checkpoint store of the settings. Close it.
func (s *site) openStore(ctx context.Context) error {
	return s.await(ctx, "open table "+s.cfg.Table(), s.cfg.AboutTable(s.account.Region), func() (err error) {
		s.store, err = consumer.OpenStore(ctx, s.cfg, s.account, nil, s.log)
		return err
	})
}

// await calls f, again and again if the program has patience.
func (s *site) await(ctx context.Context, step string, about diagnosis.Subject, f func() error) error {
	if s.patience == nil {
		return diagnosis.Explain(f(), about)
	}
	return s.patience.Await(ctx, step, about, f)
}

func bucketClient(account aws.Config, cfg consumer.Config) *s3.Client {
	return s3.NewFromConfig(account, func(o *s3.Options) {
		o.UsePathStyle = cfg.PathStyle
		// Files that other programs wrote need not have a checksum, and the SDK would log that for each one read.
		o.DisableLogOutputChecksumValidationSkipped = true
	})
}

func (s *site) window(uri table.URI, from, to command.Moment) manifests.Window {
	return manifests.Window{
		Bucket: objects.Bucket{API: s.bucket, Name: s.cfg.Bucket}, Prefix: s.cfg.ManifestPrefix, Table: uri.String(), From: from.Time, To: to.Time,
	}
}

// withSite runs a command on the site of the settings.
func withSite(ctx context.Context, run func(*site) error) (err error) {
	cfg, err := loadSettings()
	if err != nil {
		return err
	}
	cfg.CheckpointCreate = false // what does not exist has nothing to be looked at
	s, err := newSite(ctx, cfg)
	if err == nil {
		err = s.openStore(ctx)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	return run(s)
}

// withIceberg runs a command that is for Iceberg tables alone.
func withIceberg(ctx context.Context, name string, run func(*site, *iceberg.Table) error) error {
	return withSite(ctx, func(s *site) error {
		uri, ok := s.cfg.IcebergTable()
		if !ok {
			return command.Undone(fmt.Errorf("TABLE=%q: loader %s is for Apache Iceberg tables; PostgreSQL takes care of its tables itself", s.cfg.TableConfig.Table, name))
		}
		to, err := s.openIceberg(ctx, uri)
		if err != nil {
			return err
		}
		return run(s, to)
	})
}

// tableUsage is the usage of the flag --table.
const tableUsage = "`URI` of the table, one of those in TABLE"

// choose returns the tables that a command works on: the one that is named, or all.
func (s *site) choose(name string) ([]table.URI, error) {
	all := s.cfg.Tables()
	if name == "" {
		return all, nil
	}
	named, err := table.ParseURI(name)
	if err != nil {
		return nil, command.Usagef("--table: %w", err)
	}
	for _, uri := range all {
		if uri.String() == named.String() {
			return []table.URI{uri}, nil
		}
	}
	return nil, command.Usagef("--table %s: want one of those in TABLE=%q", named, s.cfg.TableConfig.Table)
}

// chooseOne is choose for a command that works on one table.
func (s *site) chooseOne(name string) (table.URI, error) {
	chosen, err := s.choose(name)
	if err == nil && len(chosen) > 1 {
		names := make([]string, len(chosen))
		for i, uri := range chosen {
			names[i] = uri.String()
		}
		err = command.Usagef("TABLE names several tables: choose one with --table, %s", strings.Join(names, " or "))
	}
	if err != nil {
		return table.URI{}, err
	}
	return chosen[0], nil
}

// item returns the item of a table in the store; it has no version if there is none.
func (s *site) item(ctx context.Context, name string) (checkpoint.Table, error) {
	item, err := s.store.Table(ctx, name)
	if errors.Is(err, checkpoint.ErrNotFound) {
		return checkpoint.Table{Name: name}, nil
	}
	return item, err
}

// confirm asks the operator. A nil ask means yes.
func confirm(ask io.Reader, out io.Writer) error {
	if ask == nil || command.Confirmed(ask, out) {
		return nil
	}
	return errors.New("nothing was changed")
}
