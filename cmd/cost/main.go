// Command cost prints docs/cost.md: what delivering a stream costs with the daemon and with Amazon Data Firehose.
//
//	go run ./cmd/cost > docs/cost.md
//
// What the daemon takes is measured (measured.json, written by "go run ./internal/test/bench -cost cmd/cost/measured.json");
// prices are inputs with a date (prices.json); the assumptions are constants of this file and stand in the text.
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"strings"

	"aws-streaming-pipeline/cmd/cost/measured"
)

//go:embed measured.json
var measuredJSON []byte

//go:embed prices.json
var pricesJSON []byte

// prices are list prices in US dollars.
type prices struct {
	Region string
	// Known is when these prices were noted; Pages is where they stand.
	Known string
	Pages []string

	FargateVCPUHour, FargateGBHour float64
	EC2Type                        string
	EC2VCPUs                       int
	EC2OnDemandHour, EC2SpotShare  float64

	S3PutsPer1000, S3GetsPer1000  float64
	DynamoWritesPer1M, ReadsPer1M float64

	FirehoseIngestGB, FirehoseConversionGB       float64
	FirehosePartitioningGB, FirehoseObjects1000  float64
	FirehoseJQHour, FirehoseBillingUnitKilobytes float64
}

// Assumptions.
const (
	megabytesASecond = 10.0 // of payload, all the time
	shards           = 10.0
	busy             = 0.5 // share of the daemon's cores that is in use; the rest is for catching up
	workers          = 2.0 // so that one may fail
	leastVCPU        = 0.25
	memoryGB         = 0.5         // a worker
	month            = 2_628_000.0 // seconds
	objectBytes      = 128 << 20
	heartbeats       = 18.0 // writes a minute and worker, at the default FAILOVER_TIME
	scans            = 12.0 // reads a minute and worker, each of half a unit for a table of so few shards
)

func main() {
	if err := sheet(os.Stdout); err != nil {
		log.Fatal("cost: ", err)
	}
}

func sheet(w io.Writer) error {
	var m measured.Measured
	var p prices
	if err := json.Unmarshal(measuredJSON, &m); err != nil {
		return fmt.Errorf("measured.json: %w", err)
	}
	if err := json.Unmarshal(pricesJSON, &p); err != nil {
		return fmt.Errorf("prices.json: %w", err)
	}
	_, err := io.WriteString(w, text(m, p))
	return err
}

func text(m measured.Measured, p prices) string {
	gb := megabytesASecond * month / 1000
	var b strings.Builder
	fmt.Fprintf(&b, `# What it costs

Printed by `+"`go run ./cmd/cost`"+`; change the inputs in `+"`cmd/cost/`"+`, not this page. Prices are list prices of %s as
known in %s. They change: check them on the pages named below before you rely on them.

%.0f MB of payload a second, all month: %s GB (1 GB is 10^9 bytes here). US dollars a month; in brackets, for each GB.

| records | into | daemon on Fargate | daemon on EC2 spot | Firehose | times Fargate |
|---|---|---|---|---|---|
`, p.Region, p.Known, megabytesASecond, thousands(gb))
	for _, l := range m.Loads {
		o := p.ours(l, gb)
		f := p.firehose(l, gb)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.0f |\n", size(l.RecordBytes), formats[l.Format], dollars(o.fargate, gb), dollars(o.spot, gb), dollars(f, gb), f/o.fargate)
	}
	fmt.Fprintf(&b, `
The stream itself, storage and data transfer cost the same on both sides and are left out. Firehose bills each record as a
multiple of %.0f KB, also from a Kinesis stream, so small records cost as much as large ones; conversion to Parquet is billed on
the same rounded bytes. Dynamic partitioning is not in the table: it adds $%.3f a GB delivered, $%.3f for 1,000 objects and
$%.2f an hour of jq; the daemon's partitions cost nothing but their objects.

## How the daemon's side comes about

| records | into | CPU seconds a GB | cores in use | bytes out for each in | S3 writes a GB | compute, Fargate | compute, EC2 spot | S3 | DynamoDB |
|---|---|---|---|---|---|---|---|---|---|
`, p.FirehoseBillingUnitKilobytes, p.FirehosePartitioningGB, p.FirehoseObjects1000, p.FirehoseJQHour)
	for _, l := range m.Loads {
		o := p.ours(l, gb)
		fmt.Fprintf(&b, "| %s | %s | %.1f | %.2f | %.2f | %.0f | $%.2f | $%.2f | $%.2f | $%.2f |\n",
			size(l.RecordBytes), formats[l.Format], l.CPUSecondsPerGB, o.cores, l.OutputRatio, l.PutsPerGB, o.fargate-o.s3-o.dynamo, o.spot-o.s3-o.dynamo, o.s3, o.dynamo)
	}
	fmt.Fprintf(&b, `
- Measured on %s, %s. A core there is taken for a vCPU.
- %.0f workers, so that one may fail, each with %.1f GB of memory. Together they have the cores that the load takes divided by %.1f,
  at least %.2f vCPU each.
- Fargate: $%.5f a vCPU hour, $%.6f a GB hour. EC2: the share of a %s (%d vCPU, $%.4f an hour on demand) by vCPU, spot taken at
  %.0f %% of the price on demand.
- S3: $%.4f for 1,000 writes, $%.4f for 1,000 reads, as the benchmark counted them with short loads, which make more of them.
- DynamoDB on demand, $%.3f for a million writes and $%.3f for a million reads: %.0f shards, a transaction (two units for each shard and
  for the batch) and a delete for each object of %d MiB; %.0f heartbeats and %.0f scans a minute and worker.
- Firehose: $%.3f a GB taken in, $%.3f a GB converted, no discount for volume.
- Prices: %s.
`, m.Date, m.Machine, workers, memoryGB, busy, leastVCPU, p.FargateVCPUHour, p.FargateGBHour, p.EC2Type, p.EC2VCPUs, p.EC2OnDemandHour, 100*p.EC2SpotShare,
		p.S3PutsPer1000, p.S3GetsPer1000, p.DynamoWritesPer1M, p.ReadsPer1M, shards, objectBytes>>20, heartbeats, scans,
		p.FirehoseIngestGB, p.FirehoseConversionGB, strings.Join(p.Pages, ", "))
	return b.String()
}

var formats = map[string]string{"jsonl-gzip": "JSON lines, gzip", "parquet-zstd": "Parquet, zstd"}

// bill is the daemon's month in dollars; fargate and spot are all of it.
type bill struct{ cores, fargate, spot, s3, dynamo float64 }

func (p prices) ours(l measured.Load, gb float64) bill {
	var b bill
	hours := month / 3600
	b.cores = megabytesASecond / 1000 * l.CPUSecondsPerGB
	vcpu := max(b.cores/busy, workers*leastVCPU)
	b.s3 = gb/1000*(l.PutsPerGB*p.S3PutsPer1000) + gb/1000*(l.GetsPerGB*p.S3GetsPer1000)
	objects := gb * 1e9 * l.OutputRatio / objectBytes
	writes := objects*(2*(shards+1)+1) + workers*heartbeats*month/60
	reads := workers * scans * month / 60 / 2
	b.dynamo = writes/1e6*p.DynamoWritesPer1M + reads/1e6*p.ReadsPer1M
	b.fargate = hours*(vcpu*p.FargateVCPUHour+workers*memoryGB*p.FargateGBHour) + b.s3 + b.dynamo
	b.spot = hours*vcpu/float64(p.EC2VCPUs)*p.EC2OnDemandHour*p.EC2SpotShare + b.s3 + b.dynamo
	return b
}

// firehose is Firehose's month in dollars.
func (p prices) firehose(l measured.Load, gb float64) float64 {
	unit := p.FirehoseBillingUnitKilobytes * 1024
	billed := gb * math.Ceil(float64(l.RecordBytes)/unit) * unit / float64(l.RecordBytes)
	perGB := p.FirehoseIngestGB
	if strings.HasPrefix(l.Format, "parquet") {
		perGB += p.FirehoseConversionGB
	}
	return billed * 1e9 / (1 << 30) * perGB // Firehose's GB has 2^30 bytes
}

func dollars(sum, gb float64) string {
	return fmt.Sprintf("$%s ($%.4f)", thousands(sum), sum/gb)
}

// thousands writes a number with its thousands apart.
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

func size(bytes int) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f KB", float64(bytes)/1000)
}
