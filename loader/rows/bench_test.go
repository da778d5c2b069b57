package rows_test

import (
	"errors"
	"io"
	"strconv"
	"testing"
	"time"

	benchrows "aws-streaming-pipeline/internal/test/bench/rows"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// BenchmarkRead reads files with all members of the schema asked for. MB/s counts the bytes of the records.
func BenchmarkRead(b *testing.B) {
	for _, set := range []benchrows.Set{benchrows.Taxi, benchrows.Narrow, benchrows.Nested} {
		var records []record.Record
		size := 0
		for i, line := range set.Lines(16 << 20) {
			size += len(line)
			records = append(records, record.Record{SequenceNumber: strconv.Itoa(i), Data: line, Arrival: time.UnixMilli(int64(i))})
		}
		s := set.Schema()
		var members []string
		for _, f := range s.Fields {
			members = append(members, f.Name)
		}
		for _, format := range []struct {
			name    string
			format  writers.Format
			members []string
		}{
			{"jsonl", mustLines(b, jsonl.None), members},
			{"jsonl-gzip", mustLines(b, jsonl.Gzip), members},
			{"jsonl-record", mustLines(b, jsonl.None), nil},
			{"parquet", mustParquet(b, parquet.Options{Schema: s, ArrivedAt: true}), members},
			{"parquet-record", mustParquet(b, parquet.Options{Schema: s, ArrivedAt: true}), nil},
		} {
			b.Run(set.Name+"/"+format.name, func(b *testing.B) {
				data, count, _ := written(b, format.format, records)
				bucket := newBucket(data)
				file := bucket.file(count)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					r, err := rows.Open(b.Context(), bucket, file, format.members)
					if err != nil {
						b.Fatal(err)
					}
					for {
						if _, err := r.Next(); errors.Is(err, io.EOF) {
							break
						} else if err != nil {
							b.Fatal(err)
						}
					}
					if err := r.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(count)*1e9, "ns/row")
			})
		}
	}
}
