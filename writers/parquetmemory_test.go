package writers_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/parquet"
)

// memoryRun says what a separate process writes, and returns the memory it took.
type memoryRun struct {
	Wide   bool  // records of about 1.2 KB with one long text, else of 300 B with many short members
	Files  int   // open at the same time
	Bytes  int   // of all records
	Budget int64 // in bytes

	Counted  int64 // most that the budget has counted
	Resident int64 // most that the process has held (proc(5), VmHWM)
	Idle     int64 // the same before the first record
	MinRows  int64 // of a file
	MaxRows  int64
}

// For Parquet files of records wide and narrow, many files or one, the counted bytes stay within the budget plus a tenth.
// The process follows: within a tenth plus its idle size if many files are open, within the README's 60 MiB in all if one
// large row group is encoded after another. No file has fewer records because of it: memory seals row groups but closes
// no file.
func TestFiles_ParquetHoldsTheBudget(t *testing.T) {
	race.LeaveOut(t)
	if _, err := os.Stat("/proc/self/status"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("LEFT OUT: memory of Parquet files: there is no /proc on this system")
	}
	limit := int64(256 << 20)
	size := int(limit)
	for _, run := range []memoryRun{
		{Wide: true, Files: 500, Bytes: size * 5 / 4, Budget: limit}, {Files: 500, Bytes: size, Budget: limit},
		{Wide: true, Files: 1, Bytes: size / 2, Budget: limit}, {Files: 1, Bytes: size / 2, Budget: limit},
	} {
		t.Run(fmt.Sprintf("wide=%v files=%d", run.Wide, run.Files), func(t *testing.T) {
			took := runMemory(t, run)
			const mib = 1 << 20
			t.Logf("counted %d MiB, resident %d MiB, %d MiB of it idle", took.Counted/mib, took.Resident/mib, took.Idle/mib)
			if took.Counted > limit+limit/10 {
				t.Errorf("%d bytes were counted, the budget is %d", took.Counted, limit)
			}
			// The program, the encoders' buffers and uncollected garbage are not counted. The buffers are as large as a
			// row group, which is small if many files are open.
			bound := took.Idle + limit + limit/10
			if run.Files == 1 {
				bound = limit + 60*mib
			}
			if took.Resident > bound {
				t.Errorf("the process held %d bytes, the bound is %d and the budget %d", took.Resident, bound, limit)
			}
			if took.MaxRows-took.MinRows > 1 {
				t.Errorf("files have %d to %d rows and were sent the same", took.MinRows, took.MaxRows)
			}
			if run.Files > 1 && took.Counted < limit/2 {
				t.Errorf("%d bytes were counted at most: memory was never short", took.Counted)
			}
		})
	}
}

// runMemory runs it in a separate process.
func runMemory(t *testing.T, run memoryRun) (took memoryRun) {
	t.Helper()
	order, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestParquetMemoryProcess$", "-test.v")
	cmd.Env = append(os.Environ(), "MEMORY_RUN="+string(order))
	out, err := cmd.CombinedOutput()
	answer := regexp.MustCompile(`took (\{.*\})`).FindSubmatch(out)
	if err != nil || answer == nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := json.Unmarshal(answer[1], &took); err != nil {
		t.Fatal(err)
	}
	return took
}

// TestParquetMemoryProcess is that process, not a test.
func TestParquetMemoryProcess(t *testing.T) {
	order := os.Getenv("MEMORY_RUN")
	if order == "" {
		t.Skip("is a part of TestFiles_ParquetHoldsTheBudget")
	}
	var run memoryRun
	if err := json.Unmarshal([]byte(order), &run); err != nil {
		t.Fatal(err)
	}
	run.write(t)
	answer, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("took %s\n", answer)
}

const wideDocument = `{"x-extra":false,"properties":{"id":{"type":"integer"},"kind":{"type":"string"},"stand":{"type":"string"},
	"taxi":{"type":"string"},"at":{"type":"string","format":"date-time"},"way":{"type":"string"}}}`

const shortDocument = `{"x-extra":false,"properties":{"id":{"type":"integer"},"at":{"type":"string","format":"date-time"},"user":{"type":"string"},
	"sid":{"type":"string"},"event":{"type":"string"},"country":{"type":"string"},"city":{"type":"string"},"ok":{"type":"boolean"},
	"code":{"type":"integer"},"dur":{"type":"integer"},"bytes":{"type":"integer"},"price":{"type":"number"},"lat":{"type":"number"},
	"lon":{"type":"number"},"ref":{"type":"string"},"n":{"type":"integer"},"new":{"type":"boolean"}}}`

func (run *memoryRun) write(t *testing.T) {
	document := shortDocument
	if run.Wide {
		document = wideDocument
	}
	columns, err := schema.Parse("memory", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	format, err := parquet.New(parquet.Options{Schema: columns})
	if err != nil {
		t.Fatal(err)
	}
	// As in the daemon, the collector should keep near the budget.
	debug.SetMemoryLimit(run.Budget + 8<<20)
	held := budget.New(run.Budget, nil)
	shared := newShared(t, held, 0)
	open := make([]*writers.File, run.Files)
	for i := range open {
		open[i] = writers.OpenFile(t.Context(), fileSpec(format, nowhere{}), shared)
	}
	run.Idle = resident(t)
	const appenders = 2
	var sent, next, peak atomic.Int64
	var appending sync.WaitGroup
	for a := range appenders {
		appending.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(a)))
			one := record.Record{SequenceNumber: strings.Repeat("4", 56)}
			for sent.Load() < int64(run.Bytes) {
				n := int(next.Add(1)) - 1
				one.Data = run.line(one.Data[:0], r, n)
				sent.Add(int64(len(one.Data)))
				if err := open[n%run.Files].Append(&one); err != nil {
					t.Error(err)
					return
				}
				raise(&peak, held.Used())
			}
		})
	}
	appending.Wait()
	for i, f := range open {
		staged, err := f.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raise(&peak, held.Used())
		if run.MaxRows = max(run.MaxRows, staged.Rows); i == 0 || staged.Rows < run.MinRows {
			run.MinRows = staged.Rows
		}
	}
	run.Counted, run.Resident = peak.Load(), resident(t)
	checkNothingHeld(t, held)
}

// line appends a record.
func (run *memoryRun) line(dst []byte, r *rand.Rand, n int) []byte {
	if run.Wide {
		dst = fmt.Appendf(dst, `{"id":%d,"kind":"%c","stand":"%d","taxi":"%d","at":"2026-03-14T15:%02d:%02dZ","way":"[`,
			n, 'A'+n%3, r.IntN(63), 20000000+r.IntN(980), n/60%60, n%60)
		for range 50 {
			dst = strconv.AppendInt(append(dst, "[-8."...), r.Int64N(1e6), 10)
			dst = append(strconv.AppendInt(append(dst, ",41."...), r.Int64N(1e6), 10), "],"...)
		}
		return append(dst, `[]]"}`...)
	}
	return fmt.Appendf(dst, `{"id":%d,"at":"2026-03-14T15:%02d:%02d.%03dZ","user":"u%07d","sid":"%016x","event":"e%d","country":"c%d","city":"city-%d",`+
		`"ok":%t,"code":%d,"dur":%d,"bytes":%d,"price":%.2f,"lat":%.6f,"lon":%.6f,"ref":"https://example.com/p/%d","n":%d,"new":%t}`,
		n, n/60%60, n%60, r.IntN(1000), r.IntN(3000000), r.Uint64(), r.IntN(8), r.IntN(15), r.IntN(800), r.IntN(20) > 0, 200+100*r.IntN(4),
		r.IntN(3000), r.IntN(90000), float64(r.IntN(50000))/100, r.Float64()*180-90, r.Float64()*360-180, r.IntN(5000), r.IntN(100), r.IntN(2) == 0)
}

// resident returns the peak memory of this process in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		t.Fatal("no VmHWM in the status of the process")
	}
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// A file of many small row groups keeps their entries in footer and indexes until it ends. The budget counts them, so that
// thousands of open files cannot hold more than it says.
func TestFile_CountsTheFooterOfAParquetFile(t *testing.T) {
	columns, err := schema.Parse("memory", []byte(shortDocument))
	if err != nil {
		t.Fatal(err)
	}
	format, err := parquet.New(parquet.Options{Schema: columns})
	if err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(*writers.File) error{
		"finished":  func(f *writers.File) error { _, err := f.Finish(t.Context()); return err },
		"abandoned": func(f *writers.File) error { f.Abandon(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			held := budget.New(64<<20, nil)
			f := writers.OpenFile(t.Context(), fileSpec(format, nowhere{}), newShared(t, held, 0))
			r, run, one := rand.New(rand.NewPCG(1, 2)), memoryRun{}, record.Record{SequenceNumber: strings.Repeat("4", 56)}
			const groups = 100
			for n := range groups {
				one.Data = run.line(one.Data[:0], r, n)
				if err := f.Append(&one); err != nil {
					t.Fatal(err)
				}
				if err := f.Seal(); err != nil { // waits for earlier ones: at most four are on their way
					t.Fatal(err)
				}
			}
			if least := int64(groups-8) * 17 * 400; held.Held(budget.Kept) < least {
				t.Errorf("%d row groups of 17 columns keep %d bytes, want %d or more", groups, held.Held(budget.Kept), least)
			}
			if err := end(f); err != nil {
				t.Fatal(err)
			}
			checkNothingHeld(t, held)
		})
	}
}
