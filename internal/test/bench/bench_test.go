package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"

	"aws-streaming-pipeline/internal/test/race"
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
	race.LeaveOut(t)
	b := newBench(t, true)
	c, err := b.follow(t.Context(), daemon, steady(15), "COMMIT_INTERVAL=3s", "MEMORY_BUDGET=64MiB", "ROW_GROUP_SIZE=4MiB")
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

// timed says that the machine does nothing else, so that times can be compared.
var timed = flag.Bool("timed", false, "compare times, on a machine that does nothing else")

// A stop of ten seconds leaves a backlog of 34 MB. It is read along with new records at the rate that Kinesis allows, and no
// call is throttled. On a busy machine, calls may come late and then close together, so only the delivery counts there.
func TestOutage_IsCaughtUpAtTheFullRateOfReading(t *testing.T) {
	race.LeaveOut(t)
	b := newBench(t, true)
	o := outage(10)
	c, err := b.follow(t.Context(), daemon, o, "MEMORY_BUDGET=64MiB", "ROW_GROUP_SIZE=4MiB", "COMMIT_INTERVAL=3s")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("caught up after %v, %v at the full rate; %s", c.CaughtUp, ideal(o), c.sketch())
	if !*timed {
		t.Log("LEFT OUT: times and throttled calls, which -args -timed checks")
		return
	}
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
	if text := overview(results); !strings.Contains(text, "| **150** |") || !strings.Contains(text, "| 60 (2.5) |") {
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

func TestRate_LeavesOutWhatWarmsUp(t *testing.T) {
	r := result{Payload: 400e6, CPU: 30 * time.Second, Cold: coldRun{100e6, 15 * time.Second}}
	if r.rate() != 20 {
		t.Errorf("%v MB per CPU second; want 20", r.rate())
	}
}

func TestAgainst_ComparesWithinARound(t *testing.T) {
	run := func(program string, seconds time.Duration) result {
		return result{load: load{Set: "narrow", Program: program, Format: "parquet-snappy", Shards: 32, Cores: 1}, Records: 1, Payload: 600e6, CPU: seconds * time.Second}
	}
	results := []result{
		run(daemon, 2), run(before, 3), // 1.5
		run(before, 8), run(daemon, 2), // 4, in a round that disturbed the other
		run(daemon, 5), run(before, 10), // 2
		run(sdk, 7),
	}
	all := pairs(results)
	if len(all) != 1 {
		t.Fatalf("%d loads were compared, want 1", len(all))
	}
	if r := all[0].ratios(); median(r) != 2 || r[0] != 1.5 || r[2] != 4 {
		t.Errorf("ratios %v", r)
	}
	if text := againstTable(results); !strings.Contains(text, "| 200 | 300 | 2.00 (1.50 to 4.00) |") {
		t.Errorf("the table does not show the best of each and the ratio:\n%s", text)
	}
	if unpaired := pairs(results[:1]); len(unpaired) != 0 {
		t.Errorf("a load without its like was compared: %+v", unpaired)
	}
}

func TestReadCases_TakesWhatGoTestPrints(t *testing.T) {
	cases := readCases("goos: linux\nBenchmarkGetRecords/taxi/stock \t 60 \t 6.0 cpu-ms/MB \t 57000000 B/op\nBenchmarkGetRecords/taxi/cbor \t 60 \t 1.5 cpu-ms/MB \t 40000 B/op\nPASS\n")
	text := parts[0].table(cases)
	for _, want := range []string{"| taxi, stock | 6 |  | 57,000,000 |", "| taxi, cbor | 1.5 | 4 | 40,000 |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
}

func TestReplaceMarked_LeavesTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("a\n<!-- x -->\nold\n<!-- /x -->\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceMarked(path, "x", "new\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := replaceMarked(path, "y", ""); err == nil {
		t.Error("a page without the marks was written")
	}
}

// The make bench that renews the pages must find all its marks in them.
func TestPages_HaveTheMarks(t *testing.T) {
	marks := map[string][]string{page: {"end to end"}, detailsPage: {"loads", "stages", "before and now", "over time"}}
	for _, p := range parts {
		marks[detailsPage] = append(marks[detailsPage], p.mark)
	}
	for _, m := range memoryTests {
		marks[detailsPage] = append(marks[detailsPage], m.mark)
	}
	for name, all := range marks {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, mark := range all {
			if strings.Count(string(text), "<!-- "+mark+" -->") != 1 || strings.Count(string(text), "<!-- /"+mark+" -->") != 1 {
				t.Errorf("%s does not have one pair of marks %q", name, mark)
			}
		}
	}
}

// A stand-in for the stream that takes JSON only is called as the SDK for Java calls.
func TestInCBOR_TranslatesCallsAndAnswers(t *testing.T) {
	h := inCBOR(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"Limit":5,"StreamName":"trips","Timestamp":1.5}` || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
			t.Errorf("asked for %s, %v", body, err)
		}
		_, _ = io.WriteString(w, `{"HasMore":false,"StreamCreationTimestamp":1.5,"Shards":[{"ShardId":"a"}],"Count":2,"None":null}`)
	}))
	request := cbor.Encode(cbor.Map{"StreamName": cbor.String("trips"), "Limit": cbor.Uint(5), "Timestamp": &cbor.Tag{ID: 1, Value: cbor.Uint(1500)}})
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(request))
	r.Header.Set("Content-Type", contentTypeCBOR)
	r.Header.Set("X-Amz-Target", "Kinesis_20131202.ListShards")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	got, err := cbor.Decode(w.Body.Bytes())
	want := cbor.Map{
		"HasMore": cbor.Bool(false), "StreamCreationTimestamp": &cbor.Tag{ID: 1, Value: cbor.Uint(1500)},
		"Shards": cbor.List{cbor.Map{"ShardId": cbor.String("a")}}, "Count": cbor.Uint(2), "None": &cbor.Nil{},
	}
	if err != nil || w.Code != http.StatusOK || !reflect.DeepEqual(got, cbor.Value(want)) {
		t.Errorf("%d, %v, %v", w.Code, got, err)
	}
}

// There is nobody to ask for rows, so each load fails.
func TestMeasureAll_GoesOnWithoutAPeerThatFails(t *testing.T) {
	b := &bench{client: &client{dir: t.TempDir()}, missing: make(map[string]error)}
	o := options{rounds: 2, megabytes: 1}
	results, err := b.measureAll(t.Context(), o, []load{{Set: "narrow", Program: polars}})
	if err != nil || len(results) != 0 || b.missing[polars] == nil {
		t.Errorf("%v, %v; left out: %v", results, err, b.missing)
	}
	if _, err := b.measureAll(t.Context(), o, []load{{Set: "narrow", Program: python}}); err == nil {
		t.Error("the failure of another program was passed over")
	}
}

// Loads of a product that is not wanted are left out, with the reason, and the rest stays.
func TestPrepare_LeavesOutWhatCannotBeHad(t *testing.T) {
	b := &bench{bin: t.TempDir()}
	kept, err := b.prepare(t.Context(), "all", []load{{Set: "narrow", Program: daemon}, {Set: "narrow", Program: flink}, {Set: "taxi", Program: flink}})
	if err != nil || len(kept) != 1 || kept[0].Program != daemon {
		t.Errorf("%v, %v", kept, err)
	}
	if results, err := b.measureAll(t.Context(), options{rounds: 1, megabytes: 1}, []load{{Set: "narrow", Program: flink}}); err != nil || len(results) != 0 {
		t.Errorf("what is left out was measured: %v, %v", results, err)
	}
	if text := leftOut(b.missing); !strings.Contains(text, "Apache Flink") {
		t.Errorf("the page does not say what was left out: %q", text)
	}
}

func TestTitles_NameThePinnedVersions(t *testing.T) {
	for program, manifest := range map[string]string{flink: "flink/pom.xml", spark: "spark/requirements.txt", polars: "polars/requirements.txt", duckdb: "engines/requirements.txt"} {
		text, err := os.ReadFile(filepath.Join("..", "emulator", filepath.FromSlash(manifest)))
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(title[program])
		if version := words[len(words)-1]; !strings.Contains(string(text), version) {
			t.Errorf("%s pins another version than %s", manifest, title[program])
		}
	}
}
