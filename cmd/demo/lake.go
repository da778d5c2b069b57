package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/loader"
)

const (
	// tablePrefix is where the table is in the bucket. DuckDB finds the files of a table that was moved, as from a bucket to a
	// folder, only if they are in data/ there.
	tablePrefix = "tables/trips"
	tableURI    = "s3://" + bucketName + "/" + tablePrefix
)

// lake is a table that the files are loaded into.
type lake interface {
	// Run loads batches until ctx ends.
	Run(ctx context.Context) error
	// problem says why batches are not loaded; empty if nothing is known.
	problem() string
	// contents reads the table as a query would.
	contents(ctx context.Context) (holdings, error)
}

// holdings are what a table holds.
type holdings interface {
	// print describes them, and says how to query the table. The folder is that of the bucket.
	print(out io.Writer, folder string)
	// verdict returns an error unless the table has each file of the bucket once, and all of their rows.
	verdict(out io.Writer, delivered int64, files int) error
}

// openTable opens the table of the settings.
type openTable func(ctx context.Context, st *stage, cfg consumer.Config, store consumer.Store, log *slog.Logger) (lake, error)

// openLake is nil in a program that was built without the tag table.
var openLake openTable

// destination opens the table that the options ask for; nil without one.
func (o options) destination() openTable {
	switch {
	case o.table:
		return openLake
	case o.postgres != "":
		return openDatabase
	}
	return nil
}

// newLoader returns the loader of a table.
func newLoader(to loader.Destination, st *stage, cfg consumer.Config, store consumer.Store, log *slog.Logger) (*loader.Loader, error) {
	lists, err := consumer.OpenSink(cfg, st.s3(), log)
	if err != nil {
		return nil, err
	}
	return loader.New(loader.Config{
		ID: uuid.NewString(), Interval: cfg.LoadInterval, Batches: cfg.LoadBatches, Evolve: cfg.TableEvolve, Grace: cfg.ShutdownGrace,
	}, loader.Parts{Destination: to, Store: store, Lists: lists, Log: log})
}

// problemOf says why a loader does not load; empty if nothing is known.
func problemOf(l *loader.Loader) string {
	s := l.Status()
	if s.Problem == "" && len(s.Stuck) > 0 {
		return fmt.Sprintf("%+v", s.Stuck[0])
	}
	return s.Problem
}

// loading is a lake while batches are loaded into it.
type loading struct {
	lake
	stop func() error // may be called again
}

func startLoading(ctx context.Context, l lake) loading {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	var err error
	running.Go(func() { err = l.Run(ctx) })
	return loading{l, sync.OnceValue(func() error {
		cancel()
		running.Wait()
		return err
	})}
}

// loaded waits until all batches are loaded, and reads the table.
func (l loading) loaded(ctx context.Context, store consumer.Store) (holdings, error) {
	if err := l.await(ctx, store); err != nil {
		return nil, err
	}
	return l.contents(ctx)
}

func (l loading) await(ctx context.Context, store consumer.Store) error {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		batches, _, err := store.Outbox(ctx)
		if err != nil || len(batches) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d batches are not in the table after %v: %s", len(batches), patience, cmp.Or(l.problem(), "see its log with --verbose"))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// contents are what an Iceberg table holds.
type contents struct {
	files     []string // a file that is there twice is named twice
	rows      int64
	snapshots []snapshot
}

// snapshot is a state of the table.
type snapshot struct {
	id          int64
	at          time.Time
	operation   string
	files, rows string // added
}

func (c contents) print(out io.Writer, folder string) {
	fmt.Fprintf(out, "\nThe table %s has %d rows. Its snapshots:\n\n", tableURI, c.rows)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  id\tat\toperation\tfiles added\trows added")
	for _, s := range c.snapshots {
		fmt.Fprintf(w, "  %d\t%s\t%s\t%s\t%s\n", s.id, s.at.UTC().Format(time.DateTime), s.operation, s.files, s.rows)
	}
	w.Flush()
	fmt.Fprintf(out, "\nThe bucket is the folder %s. Query the table there with DuckDB:\n\n", folder)
	fmt.Fprintf(out, "  duckdb -c \"INSTALL iceberg; LOAD iceberg; SELECT CALL_TYPE, count(*) AS trips, count(DISTINCT event_id) AS ids FROM iceberg_scan('%s/%s', allow_moved_paths = true) GROUP BY ALL\"\n\n",
		filepath.ToSlash(folder), tablePrefix)
	fmt.Fprint(out, "pyiceberg reads it while the demo runs: add --keep-running. For tables on AWS, see docs/tables.md.\n\n")
}

func (c contents) verdict(out io.Writer, delivered int64, files int) error {
	distinct := len(slices.Compact(slices.Sorted(slices.Values(c.files))))
	fmt.Fprintf(out, "%d of %d in the table, %d files twice\n", c.rows, delivered, len(c.files)-distinct)
	var faults []error
	if c.rows != delivered || distinct != files {
		faults = append(faults, fmt.Errorf("the table has %d of %d rows and %d of %d files", c.rows, delivered, distinct, files))
	}
	if distinct != len(c.files) {
		faults = append(faults, errors.New("files are in the table more than once"))
	}
	return errors.Join(faults...)
}
