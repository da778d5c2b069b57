package parquet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

// BenchmarkVersusDuckDB converts the same JSON lines to the same columns with this package and with DuckDB, which
// converts them as fast as anything that is not written for one schema. Both run on one core and alternate; what
// counts is the CPU time of each, user and system, with reading and writing files. Run it with -benchtime 3x; the best
// of the runs is reported:
//
//	MB/cpu-s   megabytes of JSON for each second of CPU
//	x-duckdb   the same as a multiple of DuckDB's
//	out-ratio  size of the file as a multiple of DuckDB's
func BenchmarkVersusDuckDB(b *testing.B) {
	for _, s := range streams {
		source := filepath.Join(b.TempDir(), s.name+".jsonl")
		size := writeLines(b, source, s.lines(200<<20))
		for _, codec := range []Compression{Snappy, Zstd} {
			b.Run(s.name+"/"+string(codec), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				target := filepath.Join(b.TempDir(), "out.parquet")
				ours, theirs := time.Hour, time.Hour
				var ourSize, theirSize int64
				for b.Loop() {
					ours = min(ours, convert(b, s, codec, source, target))
					ourSize = fileSize(b, target)
					theirs = min(theirs, convertWithDuckDB(b, s, codec, source, target))
					theirSize = fileSize(b, target)
				}
				b.ReportMetric(float64(size)/1e6/ours.Seconds(), "MB/cpu-s")
				b.ReportMetric(float64(theirs)/float64(ours), "x-duckdb")
				b.ReportMetric(float64(ourSize)/float64(theirSize), "out-ratio")
			})
		}
	}
}

func writeLines(tb testing.TB, path string, lines [][]byte) (size int64) {
	tb.Helper()
	data := append(bytes.Join(lines, []byte{'\n'}), '\n')
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return int64(len(data))
}

func fileSize(tb testing.TB, path string) int64 {
	tb.Helper()
	info, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return info.Size()
}

// convert returns the CPU time of a conversion without event_id, which DuckDB's columns do not have.
func convert(tb testing.TB, s stream, codec Compression, source, target string) time.Duration {
	tb.Helper()
	f, err := New(Options{Schema: s.schema(), Compression: codec})
	if err != nil {
		tb.Fatal(err)
	}
	f.free = newVectors(f.options.Schema, false)
	runtime.GC()
	begin := cpuTime(tb)
	in, err := os.Open(source)
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(target)
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	l := f.NewLayout()
	write := func(p []byte, err error) {
		if err == nil {
			_, err = out.Write(p)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	write(l.Begin(), nil)
	block := l.NewBlock()
	place := func() {
		e, err := block.Encode()
		if err != nil {
			tb.Fatal(err)
		}
		write(l.Place(e))
		e.Release()
	}
	lines := bufio.NewReaderSize(in, 1<<20)
	var r record.Record
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			break
		}
		r.Data = line
		if err := block.Append(&r); err != nil {
			tb.Fatal(err)
		}
		if block.Full() {
			place()
			block = l.NewBlock()
		}
	}
	place()
	write(l.End())
	return cpuTime(tb) - begin
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func convertWithDuckDB(tb testing.TB, s stream, codec Compression, source, target string) time.Duration {
	tb.Helper()
	fields := s.schema().Fields
	cmd := emulator.Python(tb, "testdata/convert.py", source, target, string(codec), duckStruct(fields, ": '", "'"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("run DuckDB: %v", err)
	}
	var answer struct{ CPU float64 }
	if err := json.Unmarshal(out, &answer); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(answer.CPU * float64(time.Second))
}

// duckStruct writes columns for read_json, and members for STRUCT.
func duckStruct(fields []*schema.Field, before, after string) string {
	var members []string
	for _, f := range fields {
		members = append(members, `"`+f.Name+`"`+before+duckType(f)+after)
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func duckType(f *schema.Field) string {
	switch f.Kind {
	case schema.Int64:
		return "BIGINT"
	case schema.Double:
		return "DOUBLE"
	case schema.Boolean:
		return "BOOLEAN"
	case schema.TimestampMicros:
		return "TIMESTAMP"
	case schema.List:
		return duckType(f.Element) + "[]"
	case schema.Group:
		return "STRUCT" + strings.NewReplacer("{", "(", "}", ")").Replace(duckStruct(f.Fields, " ", ""))
	}
	return "VARCHAR"
}
