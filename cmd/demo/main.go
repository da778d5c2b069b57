// Command demo runs the whole pipeline in one process on this machine: an embedded Kinesis stream, the producer, the
// consumer daemon and a bucket that is a folder. The producer and the daemon are those of production; only endpoints
// and the checkpoint store differ.
//
// It checks its own result, and exits with 1 if a record is missing or duplicated. With --table or --postgres it also runs the loader,
// and checks the table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"aws-streaming-pipeline/consumer"
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

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	start := func() error { return run(ctx, o, os.Stdout) }
	if o.services {
		start = func() error { return serve(ctx, o, os.Stdout) }
	}
	if o.table && openLake == nil {
		start = func() error { return again(ctx, os.Args[1:], os.Stdout, os.Stderr) }
	}
	err = start()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode()) // it has said why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	given := make(map[string]bool)
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(usage)
	f.Int64Var(&o.records, "records", 20_000, "trips to send")
	f.IntVar(&o.shards, "shards", 2, "shards of the stream, 1 to 100")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the generated trips")
	f.StringVar(&o.format, "format", "jsonl", "file format: jsonl, parquet or firehose")
	f.StringVar(&o.compression, "compression", "", "none, gzip or zstd; for Parquet also snappy; default: gzip for jsonl, zstd for parquet, none for firehose")
	f.StringVar(&o.fileSize, "file-size", "128MiB", "encoded size at which a file is closed")
	f.StringVar(&o.out, "out", filepath.Join("demo-output", time.Now().Format("2006-01-02-150405")), "folder for the bucket and the checkpoints; must not exist yet")
	f.StringVar(&o.address, "http", "127.0.0.1:8080", "address of the status page; another port is used if this one is taken")
	f.BoolVar(&o.table, "table", false, "also load the files, which are Parquet then, into an Apache Iceberg table in the bucket")
	f.StringVar(&o.postgres, "postgres", "", "also load the records into a new table of the PostgreSQL database with this `connection string`, such as postgres://user:password@localhost/database")
	f.BoolVar(&o.keepRunning, "keep-running", false, "check, then keep the daemon running until interrupted, to look at the status page and send more, and check again")
	f.BoolVar(&o.services, "services", false, "run only the stream and the bucket, for a daemon and a producer that you start by hand with the commands that are printed")
	f.BoolVar(&o.verbose, "verbose", false, "show the daemon's log")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	f.Visit(func(set *flag.Flag) { given[set.Name] = true })
	if o.table && !given["format"] {
		o.format = "parquet"
	}
	var faults []error
	check := func(ok bool, name string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("--%s=%v: want %s", name, value, want))
		}
	}
	check(f.NArg() == 0, "", f.Args(), "only flags")
	check(!o.table || o.format == "parquet", "format", o.format, "parquet with --table")
	check(!o.table || o.postgres == "", "table", o.table, "only one of --table and --postgres")
	if o.postgres != "" {
		_, _, err := postgres.TableAt(o.postgres, databaseTable)
		if err != nil {
			faults = append(faults, fmt.Errorf("--postgres: %w", err)) // without the value, which may hold a password
		}
	}
	check(o.records >= 1 && o.records <= 1_000_000, "records", o.records, "1 to 1000000: the embedded stream is held in memory")
	checkFiles(o, check)
	if o.services {
		for _, other := range []string{"table", "postgres", "keep-running", "format", "compression", "file-size", "http", "verbose"} {
			check(!given[other], other, "...", "only --out, --shards and --records with --services: the settings of the daemon are yours")
		}
	}
	check(o.shards >= 1 && o.shards <= 100, "shards", o.shards, "1 to 100")
	return o, errors.Join(faults...)
}

// checkFiles checks the options that say what files are like: the demo writes only what it can read back.
func checkFiles(o options, check func(ok bool, name string, value any, want string)) {
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
