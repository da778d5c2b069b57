package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 5 && os.Args[1] == "surroundings" {
		err = surroundingsFromArgs(os.Args[2:])
	} else {
		err = benchmark(ctx)
	}
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

func surroundingsFromArgs(args []string) error {
	limits, err := strconv.ParseBool(args[1])
	if err != nil {
		return err
	}
	memory, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	return serveSurroundings(args[0], limits, memory)
}

// options are the flags.
type options struct {
	megabytes, rounds, shards, cores, seconds int
	only, settings                            string
	docs, check, scale                        bool
	cost, without, against                    string
}

func parseFlags() options {
	var o options
	flag.IntVar(&o.megabytes, "mb", 512, "megabytes of payload a load")
	flag.IntVar(&o.rounds, "rounds", 2, "times that each load is measured, in turn; the best counts")
	flag.IntVar(&o.shards, "shards", 32, "shards of the stream; the KCL library gets 16 at most")
	flag.IntVar(&o.cores, "cores", 1, "cores of the program that is measured (GOMAXPROCS)")
	flag.IntVar(&o.seconds, "seconds", 90, "with -scale: length of the steady load")
	flag.StringVar(&o.only, "only", "", "measure only loads whose name (set/program/format) holds this")
	flag.StringVar(&o.settings, "env", "", "more settings of the daemon, NAME=value separated by blanks")
	flag.StringVar(&o.without, "without", "", "products that are not measured, separated by commas: flink, spark, polars, duckdb; or all")
	flag.StringVar(&o.against, "against", "", "Git revision whose daemon is measured too, in the same rounds; only the daemon's loads are then measured, unless -docs is set")
	flag.BoolVar(&o.docs, "docs", false, "write the table and the plot into docs/")
	flag.BoolVar(&o.check, "check", false, "measure little, and fail where the daemon has fallen behind: see bars")
	flag.BoolVar(&o.scale, "scale", false, "measure shards, cores, memory over time and catching up")
	flag.StringVar(&o.cost, "cost", "", "write what a gigabyte takes to this file, for cmd/cost")
	flag.Parse()
	return o
}

func benchmark(ctx context.Context) error {
	o := parseFlags()
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir); err != nil {
		return err
	}
	if o.against != "" {
		if err := buildBefore(ctx, o.against, dir); err != nil {
			return err
		}
	}
	c, err := startSurroundings(ctx, dir, o.scale, 6<<30)
	if err != nil {
		return err
	}
	b := &bench{client: c, bin: dir}
	switch {
	case o.check:
		return b.check(ctx, o)
	case o.scale:
		return b.scale(ctx, o)
	case o.cost != "":
		return b.writeCost(ctx, o)
	}
	fmt.Print(header())
	wanted := o.selected(loads)
	if o.against != "" && !o.docs {
		wanted = slices.DeleteFunc(wanted, func(l load) bool { return l.Program != daemon })
	}
	if wanted, err = b.prepare(ctx, o.without, wanted); err != nil {
		return err
	}
	results, err := b.measureAll(ctx, o, wanted)
	if o.against != "" {
		fmt.Printf("\n%s", againstTable(results))
	}
	if err != nil || !o.docs {
		return err
	}
	return b.writeDocs(ctx, o, results)
}

// loads are the loads that the tables show.
var loads = []load{
	{Set: "narrow", Program: daemon, Format: "parquet-snappy"},
	{Set: "narrow", Program: sdk, Format: "parquet-snappy"},
	{Set: "narrow", Program: library, Format: "parquet-snappy"},
	{Set: "narrow", Program: flink, Format: "parquet-snappy"},
	{Set: "narrow", Program: spark, Format: "parquet-snappy"},
	{Set: "narrow", Program: polars, Format: "parquet-snappy"},
	{Set: "narrow", Program: duckdb, Format: "parquet-snappy"},
	{Set: "taxi", Program: daemon, Format: "parquet-snappy"},
	{Set: "taxi", Program: sdk, Format: "parquet-snappy"},
	{Set: "taxi", Program: library, Format: "parquet-snappy"},
	{Set: "taxi", Program: flink, Format: "parquet-snappy"},
	{Set: "taxi", Program: spark, Format: "parquet-snappy"},
	{Set: "taxi", Program: polars, Format: "parquet-snappy"},
	{Set: "taxi", Program: duckdb, Format: "parquet-snappy"},
	{Set: "narrow", Program: daemon, Format: "jsonl-none"},
	{Set: "narrow", Program: limit, Format: "jsonl-none"},
	{Set: "narrow", Program: flink, Format: "jsonl-none"},
	{Set: "narrow", Program: python, Format: "jsonl-none"},
	{Set: "taxi", Program: daemon, Format: "jsonl-none"},
	{Set: "taxi", Program: limit, Format: "jsonl-none"},
	{Set: "taxi", Program: flink, Format: "jsonl-none"},
	{Set: "taxi", Program: python, Format: "jsonl-none"},
}

// measureAll measures the loads in turn, round by round, so that disturbances affect all of them. It returns the results of all rounds.
// A peer that fails is left out from then on.
func (b *bench) measureAll(ctx context.Context, o options, loads []load) ([]result, error) {
	loads = o.selected(loads)
	if o.against != "" {
		loads = withBefore(loads)
	}
	var results []result
	for range o.rounds {
		for _, l := range loads {
			if b.missing[l.Program] != nil {
				continue
			}
			r, err := b.measure(ctx, l)
			if _, isPeer := peers[l.Program]; isPeer && err != nil && ctx.Err() == nil {
				fmt.Printf("LEFT OUT: %s, from %v on: %v\n", title[l.Program], l, err)
				b.missing[l.Program] = err // and the others go on
				continue
			}
			if err != nil {
				return nil, err
			}
			fmt.Println(r.line())
			results = append(results, r)
		}
		slices.Reverse(loads) // what a machine does to the first of two is done to the second next time
	}
	return results, nil
}

// selected applies the flags to the loads, and keeps those that -only names.
func (o options) selected(loads []load) []load {
	var all []load
	for _, l := range loads {
		if l = o.complete(l); strings.Contains(l.String(), o.only) {
			all = append(all, l)
		}
	}
	return all
}

// complete applies the flags to a load.
func (o options) complete(l load) load {
	l.Bytes, l.Shards, l.Cores, l.Env = o.megabytes*1_000_000, o.shards, o.cores, strings.Fields(o.settings)
	if l.Program == library {
		l.Shards = min(l.Shards, 16) // it takes leases one after another
	}
	return l
}

// The pages and the plot that this program writes into, in docs/.
const (
	page        = "benchmarks.md"
	detailsPage = "benchmarks-details.md"
	plotFile    = "benchmarks.svg"
)

// writeDocs puts the results, where the daemon's time goes, and the benchmarks of its parts into docs/.
func (b *bench) writeDocs(ctx context.Context, o options, all []result) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	docs := filepath.Join(root, "docs")
	details := filepath.Join(docs, detailsPage)
	stages, err := b.stages(ctx, o)
	if err != nil {
		return err
	}
	results := slices.DeleteFunc(best(all), func(r result) bool { return r.Program == before })
	how := fmt.Sprintf("Measured by `make bench` on %s: %d MB per load on one core, the best of %d rounds.\n\n", machine(), o.megabytes, o.rounds)
	err = errors.Join(
		replaceMarked(filepath.Join(docs, page), "end to end", how+overview(results)+leftOut(b.missing)),
		os.WriteFile(filepath.Join(docs, plotFile), []byte(plot(results)), 0o644),
		replaceMarked(details, "loads", how+table(results)),
		replaceMarked(details, "stages", stages),
	)
	if o.against != "" {
		text := fmt.Sprintf("Before is revision %s, of %s, in turn with the daemon of today, in the same %d rounds.\n\n%s", o.against, commitDate(ctx, o.against), o.rounds, againstTable(all))
		err = errors.Join(err, replaceMarked(details, "before and now", text))
	}
	return errors.Join(err, measureParts(ctx, details))
}

// stages is a table of where the daemon's time goes.
func (b *bench) stages(ctx context.Context, o options) (string, error) {
	var names []string
	var shares [][]share
	for _, l := range loads {
		if l.Program != daemon {
			continue
		}
		profile, err := b.profile(ctx, o, l)
		if err != nil {
			return "", err
		}
		s, err := profileShares(ctx, filepath.Join(b.bin, binaries[daemon]), profile)
		if err != nil {
			return "", err
		}
		names, shares = append(names, l.Set+" to "+formatTitle(l.Format)), append(shares, s)
	}
	return stageTable(names, shares), nil
}

// profile measures a load once more with a CPU profile, and returns its file.
func (b *bench) profile(ctx context.Context, o options, l load) (string, error) {
	l = o.complete(l)
	l.Profile = filepath.Join(b.dir, fmt.Sprintf("%s-%s.pprof", l.Set, l.Format))
	_, err := b.measure(ctx, l)
	return l.Profile, err
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}
