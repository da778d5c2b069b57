package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// part is a benchmark of one part of the daemon, whose results are a table of docs/benchmarks-details.md.
type part struct {
	mark    string // of the table
	pack    string
	bench   string
	time    string // -benchtime
	columns []column
}

// column is a metric of a benchmark.
type column struct {
	unit, title string
	// base, if set, is the last part of the name of the case that this one is divided into, for a further column.
	base, times string
}

var parts = []part{
	{"receive", "./consumer/source", "GetRecords", "60x", []column{
		{"cpu-ms/MB", "CPU ms per MB of payload", "stock", "times the SDK"}, {"B/op", "bytes allocated per answer", "", ""}, {"allocs/op", "allocations per answer", "", ""}}},
	{"fan-out", "./consumer/source", "SubscribeToShard", "20x", []column{
		{"cpu-ms/MB", "CPU ms per MB of payload", "stock", "times the SDK"}, {"B/op", "bytes allocated", "", ""}, {"allocs/op", "allocations", "", ""}}},
	{"routing", "./record/prefix", "Partition|Query", "1s", []column{{"ns/op", "ns per record", "", ""}, {"allocs/op", "allocations", "", ""}}},
	{"lines", "./record", "VersusPython", "1s", []column{{"MB/s", "MB/s", "", ""}, {"x_python", "times Python", "", ""}}},
	{"compression", "./writers/jsonl", "Block", "1s", []column{{"MB/s", "MB/s", "", ""}, {"out/in", "size, compressed", "", ""}}},
	{"zstd", "./writers/jsonl", "VersusCompressor", "3x", []column{{"MB/cpu-s", "MB per CPU second", "", ""}, {"x-alone", "of the compressor's speed alone", "", ""}}},
	{"parquet", "./writers/parquet", "VersusDuckDB", "3x", []column{
		{"MB/cpu-s", "MB of JSON per CPU second", "", ""}, {"x-duckdb", "times DuckDB", "", ""}, {"out-ratio", "size against DuckDB's file", "", ""}}},
	{"snappy", "./writers/parquet", "Snappy", "1s", []column{{"MB/s", "MB/s", "", ""}, {"out/in", "size, compressed", "", ""}}},
	{"validation", "./writers/parquet", "Validate", "1s", []column{{"us/record", "µs per record, with rules", "", ""}, {"added-us/record", "of that added by them", "", ""}}},
}

// measureParts runs the benchmarks on one core, and writes their tables into a page; then the tests that measure memory. One that fails
// leaves its table as it was, and the others go on.
func measureParts(ctx context.Context, page string) error {
	var faults []error
	for _, p := range parts {
		args := []string{"test", "-run", "^$", "-bench", p.bench, "-benchtime", p.time, "-benchmem", p.pack}
		out, err := goTest(ctx, args, "GOMAXPROCS=1")
		if err != nil {
			faults = append(faults, err)
			continue
		}
		text := fmt.Sprintf("`GOMAXPROCS=1 go test -run '^$' -bench '%s' -benchtime %s -benchmem %s`\n\n", p.bench, p.time, p.pack)
		if cases := readCases(out); len(cases) > 0 {
			text += p.table(cases)
		} else {
			fmt.Printf("LEFT OUT: %s\n", p.mark)
			text = "Left out: what it compares with is not on this machine.\n"
		}
		faults = append(faults, replaceMarked(page, p.mark, text))
	}
	for _, m := range memoryTests {
		args := []string{"test", "-count=1", "-v", "-run", m.test, m.pack}
		out, err := goTest(ctx, args)
		if err == nil {
			err = replaceMarked(page, m.mark, fmt.Sprintf("`go %s`\n\n%s", strings.Join(args, " "), logTable(out)))
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// goTest runs the go command with some more environment, shows its output and returns it.
func goTest(ctx context.Context, args []string, env ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	fmt.Printf("%s", out)
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// memoryTests log what they measure, case by case.
var memoryTests = []struct{ mark, pack, test string }{
	{"memory of the daemon", "./cmd/consumer", "TestConsumer_KeepsToItsMemory"},
	{"memory of the writers", "./writers", "TestFiles_ParquetHoldsTheBudget"},
}

// logLine is a line of go test -v that a test logged.
var logLine = regexp.MustCompile(`^\s+\w+_test\.go:\d+: (.*)`)

// logTable makes a table of what the cases of a test logged.
func logTable(out string) string {
	var b strings.Builder
	b.WriteString("| case | measured |\n|---|---|\n")
	name := ""
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "===" {
			_, name, _ = strings.Cut(fields[2], "/")
		}
		if m := logLine.FindStringSubmatch(line); m != nil {
			fmt.Fprintf(&b, "| %s | %s |\n", strings.ReplaceAll(name, "_", " "), m[1])
		}
	}
	return b.String()
}

// measuredCase is a line of a benchmark's output.
type measuredCase struct {
	name    string
	metrics map[string]float64 // by unit
}

// readCases reads the output of go test -bench on one core. Cases keep their names without that of the benchmark, and are sorted by them.
func readCases(out string) []measuredCase {
	var all []measuredCase
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		_, name, _ := strings.Cut(fields[0], "/")
		c := measuredCase{name, make(map[string]float64)}
		for pair := range slices.Chunk(fields[2:], 2) {
			if n, err := strconv.ParseFloat(pair[0], 64); err == nil && len(pair) == 2 {
				c.metrics[pair[1]] = n
			}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b measuredCase) int { return strings.Compare(a.name, b.name) })
	return all
}

func (p part) table(cases []measuredCase) string {
	head, rule := "| case |", "|---|"
	for _, c := range p.columns {
		head, rule = head+" "+c.title+" |", rule+"---|"
		if c.base != "" {
			head, rule = head+" "+c.times+" |", rule+"---|"
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", head, rule)
	for _, m := range cases {
		fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(strings.ReplaceAll(m.name, "/", ", "), "_", " "))
		for _, c := range p.columns {
			n, ok := m.metrics[c.unit]
			b.WriteString(" " + figure(n, ok) + " |")
			if c.base == "" {
				continue
			}
			base, found := baseOf(cases, m.name, c.base)
			times := base.metrics[c.unit] / n
			b.WriteString(" " + figure(times, found && base.name != m.name) + " |")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// baseOf returns the case whose name differs in its last part only, which is base.
func baseOf(cases []measuredCase, name, base string) (measuredCase, bool) {
	group := name[:strings.LastIndexByte(name, '/')+1]
	i := slices.IndexFunc(cases, func(m measuredCase) bool { return strings.EqualFold(m.name, group+base) })
	if i < 0 {
		return measuredCase{}, false
	}
	return cases[i], true
}

// figure is a number with three digits that count, and thousands apart; empty if there is none.
func figure(n float64, ok bool) string {
	if !ok {
		return ""
	}
	if n < 100 {
		return strconv.FormatFloat(n, 'g', 3, 64)
	}
	text := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
