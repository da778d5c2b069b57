package parquet

import (
	"runtime"
	"testing"

	"aws-streaming-pipeline/consumer/record/schema/shred"
)

// BenchmarkWrite makes row groups of the default size out of records, on one core.
func BenchmarkWrite(b *testing.B) {
	for _, s := range streams {
		lines := records(s.lines(32 << 20))
		for _, codec := range []Compression{Snappy, Zstd, Uncompressed} {
			b.Run(s.name+"/"+string(codec), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				f, err := New(Options{Schema: s.schema(), Compression: codec})
				if err != nil {
					b.Fatal(err)
				}
				size := 0
				for i := range lines {
					size += len(lines[i].Data)
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				out := 0
				for b.Loop() {
					l := f.NewLayout()
					block := l.NewBlock()
					for i := range lines {
						if err := block.Append(&lines[i]); err != nil {
							b.Fatal(err)
						}
					}
					e, err := block.Encode()
					if err != nil {
						b.Fatal(err)
					}
					p, err := l.Place(e)
					if err != nil {
						b.Fatal(err)
					}
					out = len(p)
					e.Release()
				}
				b.ReportMetric(float64(out)/float64(size), "out/in")
			})
		}
	}
}

// BenchmarkShred takes records apart into vectors and leaves them there.
func BenchmarkShred(b *testing.B) {
	for _, s := range streams {
		lines := records(s.lines(16 << 20))
		b.Run(s.name, func(b *testing.B) {
			shredder := shred.New(s.schema(), true)
			size := 0
			for i := range lines {
				size += len(lines[i].Data)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				shredder.Reset()
				for i := range lines {
					if fault := shredder.Append(&lines[i]); fault != nil {
						b.Fatal(fault)
					}
				}
			}
		})
	}
}
