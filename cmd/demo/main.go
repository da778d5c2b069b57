// Command demo runs the whole pipeline in one process on this machine: an embedded Kinesis stream, the producer, the
// consumer daemon and a bucket that is a folder. The producer and the daemon are those of production; only endpoints
// and the checkpoint store differ.
//
// It checks its own result, and exits with 1 if a record is missing or duplicated. With -table or -postgres it also runs the loader,
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
	"syscall"
	"time"

	"aws-streaming-pipeline/loader/postgres"
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
	chosen := false // the format
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(usage)
	f.Int64Var(&o.records, "records", 20_000, "trips to send")
	f.IntVar(&o.shards, "shards", 2, "shards of the stream, 1 to 100")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the generated trips")
	f.StringVar(&o.format, "format", "jsonl", "file format: jsonl or parquet")
	f.StringVar(&o.compression, "compression", "", "none, gzip or zstd; for Parquet also snappy; default: gzip for JSON Lines, zstd for Parquet")
	f.StringVar(&o.fileSize, "file-size", "128MiB", "encoded size at which a file is closed")
	f.StringVar(&o.out, "out", filepath.Join("demo-output", time.Now().Format("2006-01-02-150405")), "folder for the bucket and the checkpoints; must not exist yet")
	f.StringVar(&o.address, "http", "127.0.0.1:8080", "address of the status page; another port is used if this one is taken")
	f.BoolVar(&o.table, "table", false, "also load the files, which are Parquet then, into an Apache Iceberg table in the bucket")
	f.StringVar(&o.postgres, "postgres", "", "also load the records into a new table of the PostgreSQL database with this `connection string`, such as postgres://user:password@localhost/database")
	f.BoolVar(&o.keepRunning, "keep-running", false, "keep the daemon running until interrupted, to look at the status page and send more, then check")
	f.BoolVar(&o.verbose, "verbose", false, "show the daemon's log")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	f.Visit(func(set *flag.Flag) { chosen = chosen || set.Name == "format" })
	if o.table && !chosen {
		o.format = "parquet"
	}
	var faults []error
	check := func(ok bool, name string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("-%s=%v: want %s", name, value, want))
		}
	}
	check(f.NArg() == 0, "", f.Args(), "only flags")
	check(!o.table || o.format == "parquet", "format", o.format, "parquet with -table")
	check(!o.table || o.postgres == "", "table", o.table, "only one of -table and -postgres")
	if o.postgres != "" {
		_, _, err := postgres.TableAt(o.postgres, databaseTable)
		if err != nil {
			faults = append(faults, fmt.Errorf("-postgres: %w", err)) // without the value, which may hold a password
		}
	}
	check(o.records >= 1 && o.records <= 1_000_000, "records", o.records, "1 to 1000000: the embedded stream is held in memory")
	check(o.shards >= 1 && o.shards <= 100, "shards", o.shards, "1 to 100")
	return o, errors.Join(faults...)
}
