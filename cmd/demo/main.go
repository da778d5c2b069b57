// Command demo runs the whole pipeline in one process on this machine: an embedded Kinesis stream, the producer, the
// consumer daemon and a bucket that is a folder. The producer and the daemon are those of production; only endpoints
// and the checkpoint store differ.
//
// It checks its own result, and exits with 1 if a record is missing or duplicated. With --table or --postgres it also runs the loader,
// and checks the table.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/loader/postgres"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// options are the command line.
type options struct {
	records     int64
	shards      int
	seed        uint64
	format      string
	compression string
	fileSize    string
	out         string
	address     string
	table       bool
	postgres    string // connection string; empty for none
	services    bool
	keepRunning bool
	verbose     bool
}

func main() { command.Main(root()) }

func root() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "demo", Short: "run the whole pipeline on this machine",
		Long: `Runs the whole pipeline in one process on this machine: an embedded Kinesis stream, the producer, the consumer daemon and a bucket that
is a folder. It then checks that each record was delivered once. It needs no AWS account.`,
		Example: "go run ./cmd/demo\ngo run ./cmd/demo --format parquet --shards 16\ngo run ./cmd/demo --postgres postgres://postgres:demo@localhost/postgres\ngo run ./cmd/demo --services",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags().Changed); err != nil {
				return command.Usage(err)
			}
			if o.services {
				return serve(cmd.Context(), o, cmd.OutOrStdout())
			}
			if o.table && openLake == nil {
				return saidWhy(again(cmd.Context(), os.Args[1:], cmd.OutOrStdout(), cmd.ErrOrStderr()))
			}
			return run(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	o.add(cmd.Flags())
	return cmd
}

// saidWhy gives the error of a program that was run and has failed that program's exit code: it has said why.
func saidWhy(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return &command.ExitError{Code: exit.ExitCode()}
	}
	return err
}

func (o *options) add(f *pflag.FlagSet) {
	f.Int64Var(&o.records, "records", 20_000, "trips to send")
	f.IntVar(&o.shards, "shards", 2, "shards of the stream, 1 to 100")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the generated trips")
	f.StringVar(&o.format, "format", "jsonl", "file format: jsonl, parquet or firehose")
	f.StringVar(&o.compression, "compression", "", "none, gzip or zstd; for Parquet also snappy; default: gzip for jsonl, zstd for parquet, none for firehose")
	f.StringVar(&o.fileSize, "file-size", "128MiB", "encoded `size` at which a file is closed")
	f.StringVar(&o.out, "out", filepath.Join("demo-output", time.Now().Format("2006-01-02-150405")), "`folder` for the bucket and the checkpoints; must not exist yet")
	f.StringVar(&o.address, "http", "127.0.0.1:8080", "`address` of the status page; another port is used if this one is taken")
	f.BoolVar(&o.table, "table", false, "also load the files, which are Parquet then, into an Apache Iceberg table in the bucket")
	f.StringVar(&o.postgres, "postgres", "", "also load the records into a new table of the PostgreSQL database with this `connection string`, such as postgres://user:password@localhost/database")
	f.BoolVar(&o.keepRunning, "keep-running", false, "check, then keep the daemon running until interrupted, to look at the status page and send more, and check again")
	f.BoolVar(&o.services, "services", false, "run only the stream and the bucket, for a daemon and a producer that you start by hand with the commands that are printed")
	f.BoolVar(&o.verbose, "verbose", false, "show the daemon's log")
}

// check completes the options, and returns what is wrong with them. given says whether the command line has a flag.
func (o *options) check(given func(name string) bool) error {
	if o.table && !given("format") {
		o.format = "parquet"
	}
	var faults []error
	check := func(ok bool, name string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("--%s=%v: want %s", name, value, want))
		}
	}
	check(!o.table || o.format == "parquet", "format", o.format, "parquet with --table")
	check(!o.table || o.postgres == "", "table", o.table, "only one of --table and --postgres")
	if o.postgres != "" {
		_, _, err := postgres.TableAt(o.postgres, databaseTable)
		if err != nil {
			faults = append(faults, fmt.Errorf("--postgres: %w", err)) // without the value, which may hold a password
		}
	}
	check(o.records >= 1 && o.records <= 1_000_000, "records", o.records, "1 to 1000000: the embedded stream is held in memory")
	o.checkFiles(check)
	if o.services {
		for _, other := range []string{"table", "postgres", "keep-running", "format", "compression", "file-size", "http", "verbose"} {
			check(!given(other), other, "...", "only --out, --shards and --records with --services: the settings of the daemon are yours")
		}
	}
	check(o.shards >= 1 && o.shards <= 100, "shards", o.shards, "1 to 100")
	return errors.Join(faults...)
}

// checkFiles checks the options that say what files are like: the demo writes only what it can read back.
func (o *options) checkFiles(check func(ok bool, name string, value any, want string)) {
	compressions := []string{"none", "gzip", "zstd"}
	switch o.format {
	case parquet.Kind.Name:
		compressions = append(compressions, "snappy")
	case jsonl.Kind.Name, jsonl.FirehoseKind.Name:
	default:
		check(false, "format", o.format, "jsonl, parquet or firehose")
		return
	}
	check(o.compression == "" || slices.Contains(compressions, o.compression), "compression", o.compression, settings.Either(compressions)+" with --format="+o.format)
	var size consumer.Bytes
	err := size.Decode(o.fileSize)
	check(err == nil && size >= 1<<10, "file-size", o.fileSize, "a size of 1KiB or more, such as 128MiB")
}
