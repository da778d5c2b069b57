package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
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

func benchmark(ctx context.Context) error {
	size := flag.Int("mb", 256, "megabytes of payload a load")
	rounds := flag.Int("rounds", 3, "times that each load is measured; the best counts")
	only := flag.String("only", "", "measure only loads whose name holds this")
	profile := flag.String("profile", "", "write a CPU profile of the daemon to this file")
	settings := flag.String("env", "", "more settings of the daemon, NAME=value separated by blanks")
	shards := flag.Int("shards", 64, "number of shards")
	cores := flag.Int("cores", 1, "GOMAXPROCS of the programs")
	flag.Parse()

	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var tags []string
	if *profile != "" {
		tags = []string{"-tags", "profile"}
	}
	if err := build(ctx, dir, tags...); err != nil {
		return err
	}
	c, err := startSurroundings(ctx, dir, false, 6<<30)
	if err != nil {
		return err
	}
	b := &bench{client: c, bin: dir}
	for range *rounds {
		for _, l := range loads {
			l.Bytes, l.Shards, l.Cores = *size*1_000_000, *shards, *cores
			l.Profile, l.Env = *profile, strings.Fields(*settings)
			if l.Program == library {
				l.Shards = min(l.Shards, 16)
			}
			if !strings.Contains(l.String(), *only) {
				continue
			}
			r, err := b.measure(ctx, l)
			if err != nil {
				return err
			}
			fmt.Println(r.line())
		}
	}
	return nil
}

var loads = []load{
	{Set: "narrow", Program: daemon, Format: "parquet-snappy"},
	{Set: "narrow", Program: sdk, Format: "parquet-snappy"},
	{Set: "narrow", Program: library, Format: "parquet-snappy"},
	{Set: "narrow", Program: daemon, Format: "jsonl-none"},
	{Set: "narrow", Program: python, Format: "jsonl-none"},
	{Set: "taxi", Program: daemon, Format: "parquet-snappy"},
	{Set: "taxi", Program: sdk, Format: "parquet-snappy"},
	{Set: "taxi", Program: library, Format: "parquet-snappy"},
	{Set: "taxi", Program: daemon, Format: "jsonl-none"},
	{Set: "taxi", Program: python, Format: "jsonl-none"},
}
