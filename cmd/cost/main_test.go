package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"aws-streaming-pipeline/cmd/cost/measured"
	"aws-streaming-pipeline/internal/command"
)

func sheetOf(t *testing.T) *sheet {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func near(got, want, within float64) bool { return math.Abs(got-want) <= within }

// run runs the program.
func run(out io.Writer, args ...string) error {
	return command.Execute(context.Background(), root(), args, out, io.Discard)
}

func TestPage_IsWhatTheProgramPrints(t *testing.T) {
	var want bytes.Buffer
	if err := run(&want, "--page"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/cost.md is not what this program prints: run make generate")
	}
}

// Every price of the page is dated and linked, and every page names a price.
func TestPrices_AreDatedAndLinked(t *testing.T) {
	p := sheetOf(t).prices
	amounts := p.amounts()
	for _, pg := range p.Pages {
		if pg.Known == "" || !strings.HasPrefix(pg.URL, "https://aws.amazon.com/") || amounts[pg.What] == "" {
			t.Errorf("%+v: want a price, a date and a page of AWS", pg)
		}
	}
	if len(p.Pages) != len(amounts) {
		t.Errorf("%d prices and %d pages", len(amounts), len(p.Pages))
	}
}

// Worked out by hand: 10,000 records of 1 KiB per second are billed as 5 KiB each, 125,313 GB per month.
func TestFirehose_RoundsRecordsUpAndIcebergDoesNot(t *testing.T) {
	p := sheetOf(t).prices
	p.FirehoseIcebergGB = 0.1
	for _, c := range []struct {
		format        string
		rate, bytes   float64
		want, iceberg float64
	}{
		{"jsonl", 10_000, 1024, 3634, 2506},
		{"parquet", 10_000, 1024, 5890, 2506},
		{"jsonl", 2000, 5 * 1024, 3634.0 / 5, 2506},
		{"jsonl", 2000, 5*1024 + 1, 2 * 3634.0 / 5, 2507},
		// 1,253,128 GB: 512,000 at 0.029, the rest at 0.025.
		{"jsonl", 100_000, 96, 14_848 + 18_528, 2349},
		// 12,531,281 GB: 14,848 + 38,400 + 10,483,281 at 0.020.
		{"jsonl", 1_000_000, 96, 14_848 + 38_400 + 209_666, 23_496},
	} {
		st := stream{recordsPerSecond: c.rate, recordBytes: c.bytes, shards: 10, format: c.format, workers: 2}
		if got := p.firehose(st); !near(got, c.want, 2) {
			t.Errorf("%g records/s of %g bytes as %s: $%.0f, want $%.0f", c.rate, c.bytes, c.format, got, c.want)
		}
		if got := p.iceberg(st); !near(got, c.iceberg, 1) {
			t.Errorf("%g records/s of %g bytes to Iceberg: $%.0f, want $%.0f", c.rate, c.bytes, got, c.iceberg)
		}
	}
}

// A gigabyte that takes 100 CPU seconds, at 10 MB/s, keeps one core busy: two are paid for.
func TestDaemon_PaysForTheCoresThatAreIdle(t *testing.T) {
	s := &sheet{
		prices:   prices{FargateVCPUHour: 1, EC2VCPUs: 2, EC2OnDemandHour: 4, EC2SpotShare: 0.5},
		measured: measured.Measured{Loads: []measured.Load{{Format: "jsonl-gzip", RecordBytes: 1000, CPUSecondsPerGB: 100}}},
	}
	b := s.daemon(stream{recordsPerSecond: 10_000, recordBytes: 1000, shards: 10, format: "jsonl", workers: 2})
	if b.cores != 1 || b.fargate != 2*month/3600 || b.spot != 2*month/3600 {
		t.Errorf("%+v", b)
	}
}

// Worked out by hand, for a stream with next to no data: two workers commit 8,760 batches each.
func TestDaemon_PaysForBatchesByTheClock(t *testing.T) {
	s := &sheet{
		prices:   prices{S3PutsPer1000: 1, DynamoWritesPer1M: 1},
		measured: measured.Measured{Loads: []measured.Load{{Format: "jsonl-gzip", RecordBytes: 1000}}},
	}
	s.prices.EC2VCPUs = 1
	for _, c := range []struct {
		shards            int
		batchItems, units float64
	}{
		{4, 2, 2*4 + 3*2},
		{200, 4, 2*200 + 3*4}, // more than 99 shards on a worker are two batches
	} {
		b := s.daemon(stream{recordsPerSecond: 1, recordBytes: 1000, shards: c.shards, format: "jsonl", workers: 2})
		if want := 8760 * c.batchItems * 4 / 1000; !near(b.s3, want, 1e-6) {
			t.Errorf("%d shards: $%g of S3, want $%g", c.shards, b.s3, want)
		}
		if want := (8760*c.units + 2*18*month/60) / 1e6; !near(b.dynamo, want, 1e-6) {
			t.Errorf("%d shards: $%g of DynamoDB, want $%g", c.shards, b.dynamo, want)
		}
	}
}

func TestLoad_LiesBetweenTheMeasuredSizes(t *testing.T) {
	s := &sheet{measured: measured.Measured{Loads: []measured.Load{
		{Format: "jsonl-gzip", RecordBytes: 10_000, CPUSecondsPerGB: 4}, {Format: "jsonl-gzip", RecordBytes: 100, CPUSecondsPerGB: 12},
		{Format: "parquet-zstd", RecordBytes: 1000, CPUSecondsPerGB: 99},
	}}}
	for bytes, want := range map[float64]float64{1: 12, 100: 12, 1000: 8, 10_000: 4, 1e6: 4} {
		if got := s.load(stream{recordBytes: bytes, format: "jsonl"}).CPUSecondsPerGB; !near(got, want, 1e-9) {
			t.Errorf("%g bytes: %g CPU seconds, want %g", bytes, got, want)
		}
	}
}

func TestRun_AnswersForOnesOwnNumbers(t *testing.T) {
	var out bytes.Buffer
	if err := run(&out, "--records-per-second", "1000", "--bytes", "500", "--shards", "2"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1,000 records/s of 500 B on 2 shards", "0.5 MB/s, 1,314 GB", "Firehose to S3", "Firehose to Iceberg", "unknown"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the answer lacks %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := run(&out, "--channel-per-gb", "0.03"); err != nil || strings.Contains(out.String(), "unknown") {
		t.Errorf("with a channel's price: %v\n%s", err, out.String())
	}
}

func TestRun_RefusesWhatMakesNoSense(t *testing.T) {
	for _, c := range []struct{ flag, value string }{
		{"records-per-second", "0"}, {"records-per-second", "NaN"}, {"bytes", "0"}, {"bytes", "10485761"}, {"shards", "0"}, {"workers", "-1"},
		{"format", "orc"}, {"firehose-iceberg-per-gb", "-1"}, {"channel-per-gb", "-1"},
	} {
		err := run(io.Discard, "--"+c.flag, c.value)
		if err == nil || !strings.Contains(err.Error(), "--"+c.flag+"="+c.value+": want ") {
			t.Errorf("--%s %s: %v", c.flag, c.value, err)
		}
	}
	if err := run(io.Discard, "1000"); err == nil || !strings.Contains(err.Error(), `"1000"`) {
		t.Errorf("an argument: %v", err)
	}
}
