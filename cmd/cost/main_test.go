package main

import (
	"bytes"
	"math"
	"os"
	"testing"

	"aws-streaming-pipeline/cmd/cost/measured"
)

func TestSheet_IsWhatTheProgramPrints(t *testing.T) {
	var want bytes.Buffer
	if err := sheet(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/cost.md is not what this program prints: go run ./cmd/cost > docs/cost.md")
	}
}

// Worked out by hand: 10,000 records of 1 KiB a second are 5 KiB each on the bill.
func TestFirehose_RoundsRecordsUp(t *testing.T) {
	p := prices{FirehoseIngestGB: 0.029, FirehoseConversionGB: 0.018, FirehoseBillingUnitKilobytes: 5}
	gb := 10_000 * 1024 * month / 1e9
	for _, c := range []struct {
		format string
		bytes  int
		want   float64
	}{
		{"jsonl-gzip", 1024, 3634},
		{"parquet-zstd", 1024, 5890},
		{"jsonl-gzip", 5 * 1024, 3634.0 / 5},
		{"jsonl-gzip", 5*1024 + 1, 2 * 3634.0 / 5},
	} {
		got := p.firehose(measured.Load{Format: c.format, RecordBytes: c.bytes}, gb)
		if math.Abs(got-c.want) > 1 {
			t.Errorf("%s with %d bytes: $%.0f, want $%.0f", c.format, c.bytes, got, c.want)
		}
	}
}

// A gigabyte that takes 100 CPU seconds, at 10 MB a second, keeps one core busy: two are paid for.
func TestOurs_PaysForTheCoresThatAreIdle(t *testing.T) {
	p := prices{FargateVCPUHour: 1, EC2VCPUs: 2, EC2OnDemandHour: 4, EC2SpotShare: 0.5}
	b := p.ours(measured.Load{CPUSecondsPerGB: 100}, 1000)
	if b.cores != 1 || b.fargate != 2*month/3600 || b.spot != 2*month/3600 {
		t.Errorf("%+v", b)
	}
}
