package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/operate/route"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/table"
)

// routeOptions are the flags of route.
type routeOptions struct {
	sample, shard, as string
	last              int
	at                command.Moment
	within            time.Duration
	call, asJSON      bool
	show              route.Options
}

func routeCommand() *cobra.Command {
	var o routeOptions
	cmd := &cobra.Command{
		Use: "route", Short: "show where records would be stored: the key of their file, or the error code",
		Long: `Takes records through everything that the daemon with these settings does, up to their file, and stores nothing: opening and splitting payloads,
transforms, schema, PREFIX and PARTITION_QUERY, format. For each record it prints the key of its file, that a transform drops it, or the error code
with the reason and the key under the error prefix. {time}, {batch}, {number} and {random} in a key are known only when the file is begun.

The records come from a file, or from the stream, which is only read: no lease is taken, and nothing is written to any table. Reading takes at most
a call per shard and second of the five that Kinesis allows all readers of a shard.

Payloads are not printed unless you ask for them with --show-payloads. Keys have the values by which records are partitioned.

Permissions: none for a sample; with --last kinesis:ListShards, kinesis:GetShardIterator, kinesis:GetRecords; what reading SCHEMA, SCHEMA_REGISTRY and
the definition of TABLE needs; with --call-function lambda:InvokeFunction.

Exit code: 0 every record would be delivered or dropped; 1 a record would go to the error prefix; 2 it could not be found out.`,
		Example: "consumer route --sample payloads.jsonl --explain\n" +
			"consumer route --last 100\n" +
			"consumer route --sample errors.jsonl.gz --json\n" +
			"echo '{\"id\":7}' | consumer route --sample - --at 2026-01-31T00:00:00Z",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Undone(showRoutes(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout()))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.sample, "sample", "", "`file` with the records, compressed or not; - for standard input")
	f.StringVar(&o.as, "as", string(route.AsAuto), "`kind` of the file: lines (a payload each), payload (the file is one), errors (lines of the error prefix), backup (lines of a backup with "+
		"BACKUP_FORMAT=jsonl), or auto, which takes lines of errors and backups for such, and all other lines for payloads")
	f.IntVar(&o.last, "last", 0, "read the newest records of the stream instead, this `number` of them")
	f.StringVar(&o.shard, "shard", "", "with --last: read only this `shard`")
	f.Var(&o.at, "at", "`time` at which the records arrived: "+command.MomentForms+"; by default that of the record if it has one, otherwise now")
	f.BoolVar(&o.show.Explain, "explain", false, "show what each setting makes of a record")
	f.BoolVar(&o.show.Payloads, "show-payloads", false, "print the payloads that would be stored, which may be confidential")
	f.BoolVar(&o.call, "call-function", false, "call the function of TRANSFORM, which is billed and does what it does; otherwise its answer is unknown")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	f.DurationVar(&o.within, "within", time.Minute, "`time` after which to give up")
	return cmd
}

// check returns what is wrong with the flags.
func (o *routeOptions) check(cfg *consumer.Config) error {
	var faults []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	wrong((o.sample == "") == (o.last == 0), "--sample=%q and --last=%d: want one of them", o.sample, o.last)
	wrong(o.last < 0 || o.last > route.MaxSamples, "--last=%d: want 1 to %d", o.last, route.MaxSamples)
	wrong(!slices.Contains(route.Kinds, route.As(o.as)), "--as=%q: want auto, lines, payload, errors or backup", o.as)
	wrong(o.shard != "" && o.last == 0, "--shard=%q: want --last, too", o.shard)
	wrong(o.call && cfg.Transform == "", "--call-function: want TRANSFORM, which names the function")
	wrong(o.within <= 0, "--within=%v: want a time above 0", o.within)
	return command.Usage(errors.Join(faults...))
}

// showRoutes prints where records would be stored.
func showRoutes(ctx context.Context, o routeOptions, in io.Reader, out io.Writer) error {
	cfg, err := loadSettings()
	if err != nil {
		return err
	}
	if err := o.check(&cfg); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.within, fmt.Errorf("not done within %v", o.within))
	defer cancel()
	var account aws.Config
	if o.needsAccount(&cfg) {
		if account, err = loadAccount(ctx); err != nil {
			return err
		}
	}
	trial, notes, err := openTrial(ctx, cfg, account, o.call)
	if err != nil {
		return err
	}
	samples, more, err := o.samples(ctx, &cfg, account, in)
	if err != nil {
		return err
	}
	report, err := route.Run(ctx, trial, samples, o.show)
	if err != nil {
		return err
	}
	if cfg.KPLHashFilter && o.last == 0 {
		notes = append(notes, "KPL_HASH_FILTER drops nothing here, because the shard of a sample is not known")
	}
	report.Notes = append(notes, more...)
	if err := command.Print(out, o.asJSON, report, report.WriteText); err != nil {
		return err
	}
	if report.Summary.Errors > 0 {
		return &command.ExitError{Code: command.ExitFindings}
	}
	return nil
}

// needsAccount reports whether AWS is called.
func (o *routeOptions) needsAccount(cfg *consumer.Config) bool {
	return o.last > 0 || o.call || strings.HasPrefix(cfg.Schema, "s3://") || catalog.IsSource(cfg.Schema) || cfg.SchemaRegistry == "glue"
}

// samples reads the records. The notes say what is left out.
func (o *routeOptions) samples(ctx context.Context, cfg *consumer.Config, account aws.Config, in io.Reader) (samples []route.Sample, notes []string, err error) {
	if o.last > 0 {
		samples, notes, err = route.Newest{Stream: cfg.StreamID(), Shard: o.shard, Count: o.last}.Read(ctx, kinesis.NewFromConfig(account))
		if err != nil {
			return nil, nil, diagnosis.Explain(err, diagnosis.Subject{Thing: "stream " + cfg.Stream, Setting: "STREAM_NAME", Value: cfg.Stream, Region: account.Region})
		}
		if len(samples) < o.last && len(notes) == 0 {
			notes = []string{fmt.Sprintf("the stream has only %d records", len(samples))}
		}
	} else {
		if o.sample != "-" {
			file, err := os.Open(o.sample)
			if err != nil {
				return nil, nil, fmt.Errorf("--sample: %w", err)
			}
			defer file.Close()
			in = file
		}
		var more bool
		if samples, more, err = route.Read(in, route.As(o.as), time.Now().UTC()); err != nil {
			return nil, nil, fmt.Errorf("--sample=%q: %w", o.sample, err)
		}
		if more {
			notes = append(notes, fmt.Sprintf("only the first %d records of the sample were read", len(samples)))
		}
	}
	if !o.at.IsZero() {
		for i := range samples {
			samples[i].Record.Arrival = o.at.Time
		}
	}
	return samples, notes, nil
}

// openTrial makes a trial of the settings. The notes say what it cannot find out.
func openTrial(ctx context.Context, cfg consumer.Config, account aws.Config, call bool) (trial *consumer.Trial, notes []string, err error) {
	svc := consumer.TrialServices{Log: consumer.NewLogger(cfg)}
	svc.Schema, err = consumer.LoadSchema(ctx, cfg.Schema, consumer.SchemaServices{AWS: account, S3: bucketClient(account, cfg)}, func(f func() error) error { return f() })
	if err != nil {
		return nil, nil, err
	}
	if cfg.SchemaRegistry == "glue" {
		if svc.SchemaRegistry, err = registry.NewGlue(ctx, account); err != nil {
			return nil, nil, err
		}
	}
	if arn, ok := cfg.Function(); ok && call {
		svc.Function = function.NewClient(account, arn)
	}
	if uri, ok := cfg.IcebergTable(); ok {
		if svc.Table, err = tableDefinition(ctx, cfg, uri.String()); err != nil {
			notes = append(notes, fmt.Sprintf("the table %s is left out, because its definition cannot be read: %v", uri, err))
		}
	}
	if uri, ok := cfg.PostgresTable(); ok {
		notes = append(notes, fmt.Sprintf("rows that %s refuses are copied to the error prefix later, by the loader", uri))
	}
	trial, err = consumer.NewTrial(cfg, svc)
	return trial, notes, err
}

// definitionBound bounds reading the definition of the table: routes without it are better than none.
const definitionBound = 15 * time.Second

// tableDefinition reads the definition of the table that the loader has written to the checkpoint table.
func tableDefinition(ctx context.Context, cfg consumer.Config, name string) (d *table.Definition, err error) {
	ctx, cancel := context.WithTimeout(ctx, definitionBound)
	defer cancel()
	store, err := openTable(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	item, err := store.Table(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(item.Definition) == 0 {
		return nil, errors.New("the loader has not described the table yet")
	}
	return d, json.Unmarshal(item.Definition, &d)
}
