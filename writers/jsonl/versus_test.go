package jsonl_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/jsonl"
)

// BenchmarkZstd_VersusCompressorAlone makes blocks of zstd out of records, and compresses the same blocks of lines with
// nothing but the compressor, in turns and on one core. x-alone is the share of the compressor's speed that is left.
func BenchmarkZstd_VersusCompressorAlone(b *testing.B) {
	for name, row := range map[string]func(*rand.Rand, int) *record.Record{"taxi": ride, "narrow": narrow} {
		b.Run(name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			const rows = 20_000
			records, r := make([]*record.Record, rows), rand.New(rand.NewPCG(7, 11))
			for i := range records {
				records[i] = row(r, i)
			}
			compressor, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
			if err != nil {
				b.Fatal(err)
			}
			blocks := plainBlocks(b, records)
			size := 0
			for _, block := range blocks {
				size += len(block)
			}
			layout := newFormat(b, jsonl.Config{Compression: jsonl.Zstd}).NewLayout()
			alone, ours := math.Inf(1), math.Inf(1)
			var dst []byte
			for b.Loop() {
				began := cpuSeconds(b)
				for _, block := range blocks {
					dst = compressor.EncodeAll(block, dst[:0])
				}
				between := cpuSeconds(b)
				block := layout.NewBlock()
				for i, r := range records {
					if err := block.Append(r); err != nil {
						b.Fatal(err)
					}
					if !block.Full() && i < rows-1 {
						continue
					}
					encoded, err := block.Encode()
					if err != nil {
						b.Fatal(err)
					}
					encoded.Release()
					block = layout.NewBlock()
				}
				alone, ours = min(alone, between-began), min(ours, cpuSeconds(b)-between)
			}
			b.ReportMetric(alone/ours, "x-alone")
			b.ReportMetric(float64(size)/1e6/ours, "MB/cpu-s")
		})
	}
}

// plainBlocks returns the lines of the records in the blocks of a format without compression.
func plainBlocks(b *testing.B, records []*record.Record) (blocks [][]byte) {
	layout := newFormat(b, jsonl.Config{Compression: jsonl.None}).NewLayout()
	block := layout.NewBlock()
	for i, r := range records {
		if err := block.Append(r); err != nil {
			b.Fatal(err)
		}
		if !block.Full() && i < len(records)-1 {
			continue
		}
		encoded, err := block.Encode()
		if err != nil {
			b.Fatal(err)
		}
		blocks = append(blocks, append([]byte(nil), encoded.Data...))
		block = layout.NewBlock()
	}
	return blocks
}

// ride is a record like the trips of Porto's taxis: a path of a random number of places, each near the one before.
func ride(r *rand.Rand, n int) *record.Record {
	data := fmt.Appendf(nil, `{"TRIP_ID":"%d620%06d","CALL_TYPE":"B","TAXI_ID":"%d","TIMESTAMP":"%d","POLYLINE":"[`,
		1372636858+n*38, r.IntN(980), 20000000+r.IntN(980), 1372636858+n*38)
	longitude, latitude := -8.6+r.NormFloat64()*0.02, 41.15+r.NormFloat64()*0.02
	for place := range 5 + int(r.ExpFloat64()*42) {
		if place > 0 {
			data = append(data, ',')
		}
		longitude, latitude = longitude+r.NormFloat64()*0.001, latitude+r.NormFloat64()*0.001
		data = fmt.Appendf(data, "[%.6f,%.6f]", longitude, latitude)
	}
	return &record.Record{SequenceNumber: fmt.Sprintf("4964%052d", n), Data: append(data, `]"}`...)}
}

// narrow is a record of about 300 bytes with many short members.
func narrow(r *rand.Rand, n int) *record.Record {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	return &record.Record{
		SequenceNumber: fmt.Sprintf("4964%052d", n),
		Data: fmt.Appendf(nil, `{"id":%d,"ts":"2026-03-14T15:%02d:%02d.%03dZ","user":"u%07d","sid":"%016x","event":"%s","country":"%s",`+
			`"city":"city-%d","ok":%t,"code":%d,"dur":%d,"bytes":%d,"price":%.2f,"lat":%.6f,"lon":%.6f,"ref":"https://example.com/p/%d","n":%d,"new":%t}`,
			1000000+n, n/3600%60, n/60%60, r.IntN(1000), r.IntN(3000000), r.Uint64(), pick("view", "click", "login", "search"),
			pick("DE", "US", "PT", "FR", "GB", "JP"), r.IntN(800), r.IntN(20) > 0, 200+100*r.IntN(4), int(r.ExpFloat64()*300), int(r.ExpFloat64()*20000),
			float64(r.IntN(50000))/100, r.Float64()*180-90, r.Float64()*360-180, r.IntN(5000), r.IntN(100), r.IntN(2) == 0),
	}
}

func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
