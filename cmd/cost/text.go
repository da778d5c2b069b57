package main

import (
	"fmt"
	"slices"
	"strings"
)

// answer returns the bill of one stream as text for a terminal.
func (s *sheet) answer(st stream) string {
	p, ours, gb := s.prices, s.daemon(st), st.gb()
	var b strings.Builder
	fmt.Fprintf(&b, "%s records/s of %s on %d shards, as %s: %s, %s GB per month\n\n", number(st.recordsPerSecond), size(st.recordBytes), st.shards,
		fileNames[st.format], rate(st.bytesPerSecond()), thousands(gb))
	const columns = "%-32s %10s %10s\n"
	fmt.Fprintf(&b, columns, "US dollars", "per month", "per GB")
	row := func(name string, sum float64) {
		fmt.Fprintf(&b, columns, name, cents(sum), fmt.Sprintf("%.4f", sum/gb))
	}
	row(fmt.Sprintf("daemon on Fargate, %d workers", st.workers), ours.fargate)
	row(fmt.Sprintf("daemon on EC2 spot, %d workers", st.workers), ours.spot)
	row("Firehose to S3", p.firehose(st))
	row("Firehose to Iceberg", p.iceberg(st))
	if p.ChannelGB > 0 {
		row("Kinesis channel", p.channel(st))
	} else {
		fmt.Fprintf(&b, columns, "Kinesis channel", "unknown", "-")
	}
	fmt.Fprintf(&b, `
The daemon: %.2g cores in use, %s of compute on Fargate, %s of S3 requests, %s of DynamoDB.
Not included: the stream, storage, data transfer, and the work of running a daemon. See docs/cost.md for prices and assumptions.
`, ours.cores, "$"+cents(ours.fargate-ours.s3-ours.dynamo), "$"+cents(ours.s3), "$"+cents(ours.dynamo))
	return b.String()
}

var fileNames = map[string]string{"jsonl": "JSON lines with gzip", "parquet": "Parquet with zstd"}

// examples are the streams of docs/cost.md.
func examples(format string) []stream {
	var all []stream
	for _, bytes := range []float64{100, 1000, 10_000} {
		for _, mb := range []float64{0.5, 10} {
			shards := max(2, int(mb))
			all = append(all, stream{recordsPerSecond: mb * 1e6 / bytes, recordBytes: bytes, shards: shards, format: format, workers: 2})
		}
	}
	return all
}

// page is docs/cost.md.
func (s *sheet) page() string {
	p := s.prices
	var b strings.Builder
	asked := stream{recordsPerSecond: 1000, recordBytes: 500, shards: 2, format: "jsonl", workers: 2}
	fmt.Fprintf(&b, `# What it costs

Estimate your own costs:

`+"```console"+`
$ go run ./cmd/cost --records-per-second 1000 --bytes 500 --shards 2
%s`+"```"+`

`+"`--help`"+` lists the flags. Prices are list prices of %s, without discounts; each is dated and linked [below](#prices). They change:
check them before you rely on them.

**Not included.** The stream, storage and data transfer. The work of running a daemon, which a managed service does for you: below a few
hundred dollars per month that matters more than the figures on this page. In on-demand mode Kinesis bills reads, $%.2f per GB for each
reader; the daemon is one, and so is Firehose.

## Examples

US dollars per month, two workers. A GB is 10^9 bytes of payload.

`, s.answer(asked), p.Region, p.OnDemandReadGB)
	for _, format := range []string{"jsonl", "parquet"} {
		head := []string{fileNames[format], "stream", "GB per month", "daemon, Fargate", "daemon, EC2 spot", "Firehose to S3"}
		if format == "parquet" { // what Iceberg tables consist of
			head = append(head, "Firehose to Iceberg")
		}
		line(&b, head...)
		line(&b, slices.Repeat([]string{"---"}, len(head))...)
		for _, st := range examples(format) {
			ours := s.daemon(st)
			cells := []string{"records of " + size(st.recordBytes), fmt.Sprintf("%s, %d shards", rate(st.bytesPerSecond()), st.shards),
				thousands(st.gb()), thousands(ours.fargate), thousands(ours.spot), thousands(p.firehose(st)), thousands(p.iceberg(st))}
			line(&b, cells[:len(head)]...)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, `How each side is billed:

- **Firehose to S3** rounds each record up to a multiple of 5 KB, also from a Kinesis stream, and bills the conversion to Parquet by the
  same rounded bytes, so a GB of large records costs much less than a GB of small ones. Dynamic partitioning is not in the table: it
  adds $%.3f per GB delivered, $%.3f per 1,000 objects and $%.2f per hour of jq.
- **Firehose to Iceberg** does not round records up. It writes rows to tables, not files in your own layout.
- **Kinesis channels** to S3 or Iceberg (`+"`CreateChannel`"+`, 2026) need a stream in on-demand mode. We found no published price. `+"`--channel-per-gb`"+`
  adds yours to the estimate.
- **The daemon** is paid by the hour: its price hardly depends on the size of records, and little on the load until a core is busy.
  Partitions cost only the requests for their objects.

## How the daemon's costs are estimated

Measured on %s: %s. One of its cores counts as a vCPU.

| files | records of | CPU seconds per GB | bytes out per byte in | S3 writes per GB |
|---|---|---|---|---|
`, p.FirehosePartitioningGB, p.FirehoseObjects1000, p.FirehoseJQHour, s.measured.Date, s.measured.Machine)
	for _, format := range []string{"jsonl", "parquet"} {
		for _, l := range s.measured.Loads {
			if l.Format == formats[format] {
				fmt.Fprintf(&b, "| %s | %s | %.1f | %.2f | %.0f |\n", fileNames[format], size(float64(l.RecordBytes)), l.CPUSecondsPerGB, l.OutputRatio, l.PutsPerGB)
			}
		}
	}
	fmt.Fprintf(&b, `
Other sizes are interpolated linearly over the logarithm of the size; outside the measured range the nearest size applies.

- Compute: the cores that the load keeps busy, divided by %.1f to leave room for catching up; at least %.2f vCPU and %.1f GB of memory
  per worker. On EC2 the same vCPUs as a share of a %s (%d vCPU), at the spot price.
- S3: the measured writes and reads, and %.0f writes per batch. A worker commits a batch every %.0f minutes or GiB.
- DynamoDB on demand: a transaction per batch, with two units per shard and two for the batch, one delete, and %.0f heartbeats
  and %.0f read units per worker and minute.

## Prices

| what | US dollars | as of | source |
|---|---|---|---|
`, busy, leastVCPU, memoryGB, p.EC2Type, p.EC2VCPUs, batchPuts, commitSeconds/60, heartbeats, readUnits)
	amounts := p.amounts()
	for _, pg := range p.Pages {
		fmt.Fprintf(&b, "| %s | %s | %s | <%s>%s |\n", pg.What, amounts[pg.What], pg.Known, pg.URL, pg.Note)
	}
	b.WriteString("\nPrices are inputs of `cmd/cost/prices.json`, the measurement is `cmd/cost/measured.json`; `make cost` updates the measurement and this page.\n")
	return b.String()
}

// line writes a row of a Markdown table.
func line(b *strings.Builder, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// amounts returns the prices as text, by the name of their page.
func (p prices) amounts() map[string]string {
	channel := "not found"
	if p.ChannelGB > 0 {
		channel = fmt.Sprintf("%.3f per GB", p.ChannelGB)
	}
	return map[string]string{
		"Fargate":             fmt.Sprintf("%.5f per vCPU hour, %.6f per GB hour", p.FargateVCPUHour, p.FargateGBHour),
		"EC2":                 fmt.Sprintf("%.4f per hour of a %s on demand", p.EC2OnDemandHour, p.EC2Type),
		"EC2 spot":            fmt.Sprintf("%.0f %% of the on-demand price (assumed)", 100*p.EC2SpotShare),
		"S3":                  fmt.Sprintf("%.4f per 1,000 writes, %.4f per 1,000 reads", p.S3PutsPer1000, p.S3GetsPer1000),
		"DynamoDB":            fmt.Sprintf("%.3f per million writes, %.3f per million reads", p.DynamoWritesPer1M, p.ReadsPer1M),
		"Kinesis on demand":   fmt.Sprintf("%.3f per GB read", p.OnDemandReadGB),
		"Firehose to S3":      fmt.Sprintf("%s; %.3f per GB converted", tierText(p.FirehoseIngest), p.FirehoseConversionGB),
		"Firehose to Iceberg": fmt.Sprintf("%.3f per GB", p.FirehoseIcebergGB),
		"Kinesis channels":    channel,
	}
}

func tierText(tiers []tier) string {
	var parts []string
	for _, t := range tiers {
		if t.UpToGB == 0 {
			parts = append(parts, fmt.Sprintf("%.3f above", t.PerGB))
			continue
		}
		parts = append(parts, fmt.Sprintf("%.3f per GB up to %s TB per month", t.PerGB, thousands(t.UpToGB/1024)))
	}
	return strings.Join(parts, ", ")
}

// thousands formats a number with thousands separators.
func thousands(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// cents formats dollars, with cents for sums below 1,000.
func cents(sum float64) string {
	if sum >= 1000 {
		return thousands(sum)
	}
	return fmt.Sprintf("%.2f", sum)
}

func number(n float64) string {
	if n < 10 {
		return fmt.Sprintf("%g", n)
	}
	return thousands(n)
}

func size(bytes float64) string {
	if bytes < 1000 {
		return fmt.Sprintf("%.0f B", bytes)
	}
	return fmt.Sprintf("%g KB", float64(int(bytes/100+0.5))/10)
}

func rate(bytesPerSecond float64) string {
	if bytesPerSecond < 1e5 {
		return fmt.Sprintf("%g KB/s", float64(int(bytesPerSecond/100+0.5))/10)
	}
	return fmt.Sprintf("%g MB/s", float64(int(bytesPerSecond/1e5+0.5))/10)
}
