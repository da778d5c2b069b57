// Command cost estimates what delivering a stream to S3 costs per month: with the daemon, and with the AWS services for it.
//
//	go run ./cmd/cost --records-per-second 1000 --bytes 500 --shards 2
//	go run ./cmd/cost --page   # make generate writes it to docs/cost.md
//
// The daemon's use of resources is measured (measured.json, written by "go run ./internal/test/bench -cost cmd/cost/measured.json");
// prices are inputs with a date and a page (prices.json); the assumptions are constants of this package and part of the output.
package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"aws-streaming-pipeline/internal/command"
)

func main() { command.Main(root()) }

func root() *cobra.Command {
	s, err := open()
	if err != nil {
		panic(err) // the files are part of the program
	}
	o := options{prices: s.prices}
	cmd := &cobra.Command{
		Use: "cost", Short: "estimate what delivering a stream to S3 costs per month, in US dollars",
		Long: "Estimates what delivering your stream to S3 costs per month, in US dollars: with the daemon, and with the AWS services for it.\n\n" +
			"Prices are list prices of " + s.prices.Region + "; set your own where your Region or discount differs.\nSee docs/cost.md for all prices, with dates and links.",
		Example: "go run ./cmd/cost --records-per-second 1000 --bytes 500 --shards 2",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return command.Usage(err)
			}
			s.prices = o.prices
			text := s.answer(o.stream)
			if o.page {
				text = s.page()
			}
			_, err := io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	o.add(cmd.Flags())
	return cmd
}

// options are the command line.
type options struct {
	stream stream
	prices prices // those of the program, unless the command line names others
	page   bool
}

func (o *options) add(f *pflag.FlagSet) {
	p := &o.prices
	f.Float64Var(&o.stream.recordsPerSecond, "records-per-second", 1000, "`records` put into the stream per second, averaged over the month")
	f.Float64Var(&o.stream.recordBytes, "bytes", 1000, "average payload of a record, in `bytes`")
	f.IntVar(&o.stream.shards, "shards", 2, "`shards` of the stream")
	f.StringVar(&o.stream.format, "format", "jsonl", "file `format`: jsonl (JSON Lines, gzip) or parquet (Parquet, zstd)")
	f.IntVar(&o.stream.workers, "workers", 2, "minimum `number` of workers; two, so that one may fail")
	f.Float64Var(&p.FirehoseIcebergGB, "firehose-iceberg-per-gb", p.FirehoseIcebergGB, "`price` of Firehose to Iceberg, in US dollars per GB; depends on source and Region")
	f.Float64Var(&p.ChannelGB, "channel-per-gb", p.ChannelGB, "`price` of a Kinesis channel, in US dollars per GB; 0: unknown, left out")
	f.BoolVar(&o.page, "page", false, "print docs/cost.md")
}

// check returns what is wrong with the command line.
func (o *options) check() error {
	var faults []error
	check := func(ok bool, name string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("--%s=%v: want %s", name, value, want))
		}
	}
	between := func(n, least, most float64) bool { return n >= least && n <= most } // false for NaN
	check(between(o.stream.recordsPerSecond, 0.001, 1e9), "records-per-second", plain(o.stream.recordsPerSecond), "0.001 to 1000000000")
	check(between(o.stream.recordBytes, 1, 10<<20), "bytes", plain(o.stream.recordBytes), "1 to 10485760, the largest record of Kinesis")
	check(between(float64(o.stream.shards), 1, 100_000), "shards", o.stream.shards, "1 to 100000")
	check(between(float64(o.stream.workers), 1, 10_000), "workers", o.stream.workers, "1 to 10000")
	check(formats[o.stream.format] != "", "format", o.stream.format, "jsonl or parquet")
	check(between(o.prices.FirehoseIcebergGB, 0, math.MaxFloat64), "firehose-iceberg-per-gb", o.prices.FirehoseIcebergGB, "US dollars")
	check(between(o.prices.ChannelGB, 0, math.MaxFloat64), "channel-per-gb", o.prices.ChannelGB, "US dollars")
	return errors.Join(faults...)
}

// plain formats a number without an exponent.
func plain(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
