package writers_test

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/s3sink"
	"aws-streaming-pipeline/writers/spool"
	"aws-streaming-pipeline/writers/writerstest"
)

// 500 files are open at the same time, each with a part that is still too small for S3: 100 MB in all, for 64 MiB of
// memory. The counted bytes stay within that, and the heap shows that they are what is held.
func TestFiles_HoldNoMoreThanTheBudget(t *testing.T) {
	const files, appenders, rounds, limit = 500, 4, 100, 64 << 20
	for _, compression := range []jsonl.Compression{jsonl.None, jsonl.Zstd} {
		t.Run(string(compression), func(t *testing.T) {
			held := budget.New(limit, nil)
			disk, err := spool.New(t.TempDir(), 1<<30, held)
			if err != nil {
				t.Fatal(err)
			}
			endpoint, _ := writerstest.LocalBucket(t, "trips")
			client := writerstest.Client(endpoint, "key", "secret", nil)
			sink, err := s3sink.New(client, s3sink.Config{
				Bucket: "trips", Budget: held, Spool: disk, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			shared := newShared(t, held, 0)
			format := newFormat(t, compression, 0)
			before := heap()

			open := make([]*writers.File, files)
			for i := range open {
				spec := fileSpec(format, sink)
				spec.Key = fmt.Sprintf("trips/%03d", i)
				open[i] = writers.OpenFile(t.Context(), spec, shared)
			}
			payload := []byte(`{"text":"` + strings.Repeat("0123456789abcdef", 125) + `"}`)
			var peak atomic.Int64
			var appending sync.WaitGroup
			for appender := range appenders {
				appending.Go(func() {
					for n := range rounds * files / appenders {
						r := &record.Record{SequenceNumber: "1", Data: payload}
						if err := open[(n*7+appender)%files].Append(r); err != nil {
							t.Error(err)
							return
						}
						raise(&peak, held.Used())
					}
				})
			}
			appending.Wait()

			const bound = limit + limit/10
			if peak.Load() > bound {
				t.Errorf("up to %d bytes were held, bound is %d", peak.Load(), bound)
			}
			if compression == jsonl.None && held.Held(budget.Disk) == 0 {
				t.Error("nothing lies on disk: memory was never short of room for parts")
			}
			// Files, uploads and HTTP connections are not part of the budget: 32 KiB per file are ample.
			if grown := heap() - before; grown > bound+files*32<<10 {
				t.Errorf("the heap has grown by %d bytes, bound is %d and what is beside it", grown, bound)
			}
			t.Logf("peak %d, heap %d, disk %d", peak.Load(), heap()-before, held.Held(budget.Disk))

			var rows int64
			for _, f := range open {
				staged, err := f.Finish(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				rows += staged.Rows
			}
			if rows != rounds*files {
				t.Errorf("%d rows, not %d", rows, rounds*files)
			}
			checkNothingHeld(t, held)
		})
	}
}

// heap returns the reachable bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what lay in pools is let go by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func raise(peak *atomic.Int64, to int64) {
	for {
		seen := peak.Load()
		if to <= seen || peak.CompareAndSwap(seen, to) {
			return
		}
	}
}
