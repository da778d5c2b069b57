package writers_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
)

// nowhere is a sink that accepts everything at once.
type nowhere struct{ writers.Sink }

func (nowhere) Begin(context.Context, writers.ObjectSpec) (writers.Upload, error) {
	return nowhere{}, nil
}
func (nowhere) Write(p []byte) (int, error)                     { return len(p), nil }
func (nowhere) Finish(context.Context) (checkpoint.File, error) { return checkpoint.File{}, nil }
func (nowhere) Abandon() checkpoint.File                        { return checkpoint.File{} }

// BenchmarkFile appends records from as many shards as there are cores: the cost of the lock, the accounts and the
// hand-over of blocks on top of that of the format (jsonl.BenchmarkBlock).
func BenchmarkFile(b *testing.B) {
	for _, compression := range []jsonl.Compression{jsonl.None, jsonl.Gzip, jsonl.Zstd} {
		for _, files := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/files=%d", compression, files), func(b *testing.B) {
				held := budget.New(256<<20, nil)
				shared := newShared(b, held, 0)
				format := newFormat(b, compression, 0)
				open := make([]*writers.File, files)
				for i := range open {
					open[i] = writers.OpenFile(b.Context(), fileSpec(format, nowhere{}), shared)
				}
				records := make([]*record.Record, 1000)
				for i := range records {
					records[i] = trip(i%7, i)
				}
				b.SetBytes(int64(len(records[500].Data)))
				b.ReportAllocs()
				var shards atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for i := int(shards.Add(1)) * 333; pb.Next(); i++ {
						if err := open[i%files].Append(records[i%len(records)]); err != nil {
							b.Error(err)
							return
						}
					}
				})
				for _, f := range open {
					if _, err := f.Finish(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
