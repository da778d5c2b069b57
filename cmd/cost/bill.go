package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"

	"aws-streaming-pipeline/cmd/cost/measured"
)

//go:embed measured.json
var measuredJSON []byte

//go:embed prices.json
var pricesJSON []byte

// Assumptions.
const (
	month          = 2_628_000.0 // seconds
	busy           = 0.5         // share of the daemon's cores in use; the rest is for catching up
	leastVCPU      = 0.25        // a worker
	memoryGB       = 0.5         // a worker
	commitSeconds  = 300.0       // COMMIT_INTERVAL
	commitBytes    = 1 << 30     // COMMIT_SIZE
	batchPuts      = 4.0         // S3 writes that a batch needs beyond those of its bytes: start, part and end of a file, manifest
	batchShards    = 99.0        // most shards in one batch; with more, a worker keeps a second batch
	heartbeats     = 18.0        // writes per minute and worker, at the default FAILOVER_TIME
	readUnits      = 12.0        // per minute and worker: a leader's 12 consistent scans of a table of few shards, or a follower's 24 looks
	kinesisGB      = 1e9         // bytes of a GB of payload
	firehoseGB     = 1 << 30     // bytes of a GB on Firehose's bill
	recordUnit     = 5 * 1024.0  // Firehose bills a record to S3 as a multiple of it
	everythingMore = math.MaxFloat64
)

// prices are list prices in US dollars.
type prices struct {
	Region string
	// Pages are the sources of the prices, with the date when each was read.
	Pages []page

	FargateVCPUHour, FargateGBHour float64
	EC2Type                        string
	EC2VCPUs                       int
	EC2OnDemandHour, EC2SpotShare  float64

	S3PutsPer1000, S3GetsPer1000  float64
	DynamoWritesPer1M, ReadsPer1M float64

	FirehoseIngest                              []tier
	FirehoseConversionGB                        float64
	FirehosePartitioningGB, FirehoseObjects1000 float64
	FirehoseJQHour, FirehoseIcebergGB           float64
	// ChannelGB is 0 if its price is unknown.
	ChannelGB float64
	// OnDemandReadGB is the price per GB for each reader of an on-demand stream.
	OnDemandReadGB float64
}

// page is a source of prices.
type page struct{ What, Known, URL, Note string }

// tier is a price per GB up to a volume per month; UpToGB is 0 in the last tier.
type tier struct{ UpToGB, PerGB float64 }

// sheet holds the inputs of the estimate.
type sheet struct {
	prices   prices
	measured measured.Measured
}

func open() (*sheet, error) {
	var s sheet
	if err := json.Unmarshal(measuredJSON, &s.measured); err != nil {
		return nil, fmt.Errorf("measured.json: %w", err)
	}
	if err := json.Unmarshal(pricesJSON, &s.prices); err != nil {
		return nil, fmt.Errorf("prices.json: %w", err)
	}
	return &s, nil
}

// stream describes the stream to deliver.
type stream struct {
	recordsPerSecond, recordBytes float64
	shards                        int
	format                        string // a key of formats
	workers                       int    // at least
}

// formats are the measured file formats, by their names on the command line.
var formats = map[string]string{"jsonl": "jsonl-gzip", "parquet": "parquet-zstd"}

func (s stream) bytesPerSecond() float64 { return s.recordsPerSecond * s.recordBytes }
func (s stream) gb() float64             { return s.bytesPerSecond() * month / kinesisGB }

// bill is the daemon's price per month in dollars; fargate and spot are totals.
type bill struct{ cores, fargate, spot, s3, dynamo float64 }

func (s *sheet) daemon(st stream) bill {
	p, l := s.prices, s.load(st)
	var b bill
	workers, hours := float64(st.workers), month/3600
	b.cores = st.bytesPerSecond() / 1e9 * l.CPUSecondsPerGB
	vcpu := max(b.cores/busy, workers*leastVCPU)

	batches := max(month/commitSeconds, st.gb()*1e9*l.OutputRatio/workers/commitBytes) // per worker
	lanes := workers * math.Ceil(float64(st.shards)/workers/batchShards)
	puts := st.gb()*l.PutsPerGB + lanes*batches*batchPuts
	b.s3 = puts/1000*p.S3PutsPer1000 + st.gb()*l.GetsPerGB/1000*p.S3GetsPer1000

	// A transaction takes two units for each shard and for the batch; the batch's item is deleted later.
	writes := batches*(2*float64(st.shards)+3*lanes) + workers*heartbeats*month/60
	reads := workers * readUnits * month / 60
	b.dynamo = writes/1e6*p.DynamoWritesPer1M + reads/1e6*p.ReadsPer1M

	b.fargate = hours*(vcpu*p.FargateVCPUHour+workers*memoryGB*p.FargateGBHour) + b.s3 + b.dynamo
	b.spot = hours*vcpu/float64(p.EC2VCPUs)*p.EC2OnDemandHour*p.EC2SpotShare + b.s3 + b.dynamo
	return b
}

// load returns the measurement for records of this size, interpolated linearly over the logarithm of the size.
func (s *sheet) load(st stream) measured.Load {
	var below, above *measured.Load
	for i := range s.measured.Loads {
		l := &s.measured.Loads[i]
		if l.Format != formats[st.format] {
			continue
		}
		if float64(l.RecordBytes) <= st.recordBytes && (below == nil || l.RecordBytes > below.RecordBytes) {
			below = l
		}
		if float64(l.RecordBytes) >= st.recordBytes && (above == nil || l.RecordBytes < above.RecordBytes) {
			above = l
		}
	}
	switch {
	case below == nil:
		return *above
	case above == nil || above == below:
		return *below
	}
	share := math.Log(st.recordBytes/float64(below.RecordBytes)) / math.Log(float64(above.RecordBytes)/float64(below.RecordBytes))
	between := func(a, b float64) float64 { return a + share*(b-a) }
	return measured.Load{
		Format:          below.Format,
		RecordBytes:     int(st.recordBytes),
		CPUSecondsPerGB: between(below.CPUSecondsPerGB, above.CPUSecondsPerGB),
		PutsPerGB:       between(below.PutsPerGB, above.PutsPerGB),
		GetsPerGB:       between(below.GetsPerGB, above.GetsPerGB),
		OutputRatio:     between(below.OutputRatio, above.OutputRatio),
	}
}

// firehose is the month of Firehose to S3 in dollars. It bills each record as a multiple of 5 KB.
func (p prices) firehose(st stream) float64 {
	billed := st.recordsPerSecond * month * math.Ceil(st.recordBytes/recordUnit) * recordUnit / firehoseGB
	sum := tiered(p.FirehoseIngest, billed)
	if st.format == "parquet" {
		sum += billed * p.FirehoseConversionGB
	}
	return sum
}

// iceberg is the month of Firehose to Iceberg tables in dollars. It does not round records up.
func (p prices) iceberg(st stream) float64 {
	return st.gb() * kinesisGB / firehoseGB * p.FirehoseIcebergGB
}

// channel is the month of a Kinesis channel in dollars.
func (p prices) channel(st stream) float64 { return st.gb() * kinesisGB / firehoseGB * p.ChannelGB }

// tiered returns the price of gb gigabytes.
func tiered(tiers []tier, gb float64) (sum float64) {
	from := 0.0
	for _, t := range tiers {
		to := t.UpToGB
		if to == 0 {
			to = everythingMore
		}
		sum += max(0, min(gb, to)-from) * t.PerGB
		from = to
	}
	return sum
}
