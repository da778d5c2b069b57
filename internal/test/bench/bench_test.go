package main

import (
	"context"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary run as the process of the surroundings, as the program itself does.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_ROLE") == "surroundings" {
		if err := surroundingsFromArgs(os.Args[2:]); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func newBench(t *testing.T, limits bool) *bench {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("LEFT OUT: loads over time: there is no /proc on this system")
	}
	dir := t.TempDir()
	if err := build(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	c, err := startSurroundings(ctx, dir, limits, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{client: c, bin: dir}
}

// 5 MB/s on 100 shards for a quarter of a minute: many commits, and nothing piles up.
func TestSteadyLoad_KeepsMemoryAndGoroutinesFlat(t *testing.T) {
	b := newBench(t, true)
	c, err := b.follow(t.Context(), steady(15), "COMMIT_INTERVAL=3s", "MEMORY_BUDGET=64MiB", "ROW_GROUP_SIZE=4MiB")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records in %d files; %s", c.Records, c.Files, c.sketch())
	if err := c.flat(); err != nil {
		t.Error(err)
	}
	if len(c.samples) < 10 || c.Files < 3 {
		t.Errorf("%d samples and %d files prove nothing", len(c.samples), c.Files)
	}
}

// A stop of ten seconds leaves a backlog of 34 MB. It is read along with new records at the rate that Kinesis allows, and no
// call is throttled.
func TestOutage_IsCaughtUpAtTheFullRateOfReading(t *testing.T) {
	b := newBench(t, true)
	o := outage(10)
	c, err := b.follow(t.Context(), o, "MEMORY_BUDGET=64MiB", "ROW_GROUP_SIZE=4MiB", "COMMIT_INTERVAL=3s")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("caught up after %v, %v at the full rate; %s", c.CaughtUp, ideal(o), c.sketch())
	if c.Refused > 0 {
		t.Errorf("%d calls were throttled", c.Refused)
	}
	const start = 6 * time.Second // leases, and the last call's turn
	if c.CaughtUp > ideal(o)*3/2+start {
		t.Errorf("caught up after %v, want %v", c.CaughtUp, ideal(o))
	}
}

func TestKeyBytes_CountsDigits(t *testing.T) {
	for records, want := range map[int64]int64{0: 0, 1: 1, 10: 10, 11: 12, 100: 190, 1000: 2890} {
		if got := keyBytes(records); got != want {
			t.Errorf("keys of %d records have %d bytes, not %d", records, got, want)
		}
	}
}

func TestCollected_SumsUpWhatTheCollectorTook(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	text := "time=now msg=started\n" +
		"gc 1 @0.01s 1%: 0.02+1.5+0.01 ms clock, 0.5+0.25/1.25/9+0.5 ms cpu, 4->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P\n" +
		"gc 2 @0.02s 1%: 0.02+1.5+0.01 ms clock, 1+0/1/0+0.5 ms cpu, 4->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)\n"
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := collected(log)
	if err != nil || got != 5*time.Millisecond {
		t.Errorf("%v, %v; want 5ms", got, err)
	}
}

func TestStageOf_GoesByTheMostTellingFunction(t *testing.T) {
	for stack, want := range map[string]string{
		"10ms runtime.memmove\n record/schema/shred.(*Shredder).Append\n aws-streaming-pipeline/consumer/batch.(*batch).append": "parse into columns",
		"10ms github.com/golang/snappy.encodeBlock\n aws-streaming-pipeline/writers/parquet.(*encoder).write":                   "compress lines, pages of numbers",
		"10ms runtime.futex": rest,
	} {
		if got := stageOf(stack); got != want {
			t.Errorf("%q counts for %q, not %q", stack, got, want)
		}
	}
}

func TestReports_ComeFromTheBestOfEachLoad(t *testing.T) {
	ours := result{load: load{Set: "narrow", Program: daemon, Format: "parquet-snappy"}, Records: 10, Payload: 300e6, CPU: 2 * time.Second}
	slower := ours
	slower.CPU *= 2
	theirs := ours
	theirs.Program, theirs.CPU = sdk, 5*time.Second
	results := best([]result{slower, theirs, ours})
	if len(results) != 2 || results[0].rate() != 150 {
		t.Fatalf("%+v", results)
	}
	if text := table(results); !strings.Contains(text, "| 60 | 2.5 times |") {
		t.Errorf("the table does not say how much faster the daemon is:\n%s", text)
	}
	drawn := xml.NewDecoder(strings.NewReader(plot(results)))
	for {
		_, err := drawn.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
