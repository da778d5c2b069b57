package main

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"aws-streaming-pipeline/cmd/cost/measured"
)

// writeCost measures the inputs of cmd/cost: records of 0.1, 1 and 10 KB written as JSON lines and Parquet with the
// daemon's default compressions.
func (b *bench) writeCost(ctx context.Context, o options) error {
	var loads []load
	for _, format := range []string{"jsonl-gzip", "parquet-zstd"} {
		loads = append(loads,
			load{Set: "small", Program: daemon, Format: format},
			load{Set: "narrow", Program: daemon, Format: format, Record: 1000},
			load{Set: "narrow", Program: daemon, Format: format, Record: 10_000})
	}
	results, err := b.measureAll(ctx, o, loads)
	if err != nil {
		return err
	}
	m := measured.Measured{Date: time.Now().UTC().Format(time.DateOnly), Machine: machine()}
	for _, r := range best(results) {
		m.Loads = append(m.Loads, measured.Load{
			Format: r.Format, RecordBytes: int(r.Payload / r.Records), CPUSecondsPerGB: r.CPU.Seconds() / float64(r.Payload) * 1e9,
			PutsPerGB:   r.perGB(r.Requests["S3.PUT"] + r.Requests["S3.UploadPart"] + r.Requests["S3.CreateMultipartUpload"] + r.Requests["S3.CompleteMultipartUpload"]),
			GetsPerGB:   r.perGB(r.Requests["S3.HEAD"] + r.Requests["S3.GET"]),
			OutputRatio: float64(r.Output) / float64(r.Payload),
		})
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.cost, append(text, '\n'), 0o644)
}
