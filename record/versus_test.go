package record_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
)

// pythonLoop is how such a pipeline is written in Python: load, add the id, dump. It prints the CPU seconds that it took.
const pythonLoop = `
import json, sys, time
lines = open(sys.argv[1]).read().splitlines()
began = time.process_time()
out = []
for n, line in enumerate(lines):
    record = json.loads(line)
    record["event_id"] = "4963953425361845216349502158214906348" + str(n)
    out.append(json.dumps(record))
body = "\n".join(out)
print(time.process_time() - began)
`

// BenchmarkAppendJSONLine_VersusPython reports how many times as much a CPU second brings as in Python, on the same rows
// in the same run.
func BenchmarkAppendJSONLine_VersusPython(b *testing.B) {
	python, err := exec.LookPath("python3")
	if err != nil {
		b.Skip("LEFT OUT: the comparison with Python: ", err)
	}
	for name, row := range map[string]func(int) []byte{"taxi": taxiRow, "narrow": narrowRow} {
		b.Run(name, func(b *testing.B) {
			const rows = 40_000
			var text bytes.Buffer
			records := make([]record.Record, rows)
			for n := range rows {
				records[n] = record.Record{SequenceNumber: sequence, Data: row(n)}
				text.Write(records[n].Data)
				text.WriteByte('\n')
			}
			file, script := filepath.Join(b.TempDir(), "rows"), filepath.Join(b.TempDir(), "loop.py")
			for path, body := range map[string][]byte{file: text.Bytes(), script: []byte(pythonLoop)} {
				if err := os.WriteFile(path, body, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			out, err := exec.Command(python, script, file).Output()
			if err != nil {
				b.Fatal(err)
			}
			pythonSeconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, 2*text.Len())
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			began := cpuTime(b)
			for b.Loop() {
				dst = dst[:0]
				for n := range records {
					if dst, err = record.AppendJSONLine(dst, &records[n]); err != nil {
						b.Fatal(err)
					}
				}
			}
			ours := (cpuTime(b) - began).Seconds() / float64(b.N)
			b.ReportMetric(pythonSeconds/ours, "x_python")
			b.ReportMetric(float64(text.Len())/1e6/pythonSeconds, "python_MB/cpu-s")
		})
	}
}

// cpuTime is the CPU time of this process, user and system.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
