package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// line is the result in benchstat's format.
func (r result) line() string {
	return fmt.Sprintf("BenchmarkEndToEnd/set=%s/program=%s/format=%s/shards=%d/cores=%d 1 %d ns/op %.1f MB/cpu-s %.1f MB/s %.3f allocs/record %.1f peak-MB %.2f gc-%% %.1f requests/GB %.3f out/in",
		r.Set, r.Program, r.Format, r.Shards, r.Cores, r.CPU.Nanoseconds(), r.rate(), float64(r.Payload)/1e6/r.Wall.Seconds(),
		r.allocsPerRecord(), float64(r.Peak)/1e6, 100*r.gcShare(), r.requestsPerGB(), float64(r.Output)/float64(r.Payload))
}

// header is the configuration in benchstat's format.
func header() string {
	return fmt.Sprintf("goos: %s\ngoarch: %s\npkg: aws-streaming-pipeline/internal/test/bench\n", runtime.GOOS, runtime.GOARCH)
}

func (r result) requestsPerGB() float64 {
	var sum int64
	for _, n := range r.Requests {
		sum += n
	}
	return r.perGB(sum)
}

// title is the name of a program in tables and plots.
var title = map[string]string{
	daemon:  "the daemon",
	before:  "the daemon of -against",
	sdk:     "AWS SDK, goccy, parquet-go",
	library: "vmware-go-kcl-v2, goccy, parquet-go",
	python:  "Python: json.loads, json.dumps",
	flink:   "Apache Flink 1.19.2",
	spark:   "Apache Spark 4.0.1",
	polars:  "Polars 2.1.0",
	duckdb:  "DuckDB 2.0.0",
	limit:   "receiving and uploading the same bytes alone",
}

// best keeps the fastest result of each load, in the order of their first results.
func best(results []result) []result {
	var kept []result
	for _, r := range results {
		same := func(k result) bool { return k.String() == r.String() }
		switch i := slices.IndexFunc(kept, same); {
		case i < 0:
			kept = append(kept, r)
		case r.rate() > kept[i].rate():
			kept[i] = r
		}
	}
	return kept
}

// find returns the result of a program on a set in a format.
func find(results []result, set, program, format string) (result, bool) {
	i := slices.IndexFunc(results, func(r result) bool {
		return r.Set == set && r.Program == program && r.Format == format
	})
	if i < 0 {
		return result{}, false
	}
	return results[i], true
}

// kind is a column of the table that compares programs: what they were measured on.
type kind struct{ set, format string }

func (k kind) title() string { return k.set + " to " + formatTitle(k.format) }

// kinds returns those of the results, in the order in which they appear.
func kinds(results []result) []kind {
	var all []kind
	for _, r := range results {
		if k := (kind{r.Set, r.Format}); !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

// overview is the table that compares programs: a row for each, with its speed on each kind and in brackets the daemon's lead.
func overview(results []result) string {
	var b strings.Builder
	columns := kinds(results)
	b.WriteString("| MB per CPU second |")
	for _, k := range columns {
		fmt.Fprintf(&b, " %s |", k.title())
	}
	b.WriteString(" peak MB |\n|---|" + strings.Repeat("---|", len(columns)) + "---|\n")
	for _, program := range programs(results) {
		fmt.Fprintf(&b, "| %s |", way(program))
		most := int64(0)
		for _, k := range columns {
			r, ok := find(results, k.set, program, k.format)
			ours, known := find(results, k.set, daemon, k.format)
			most = max(most, r.Peak)
			switch {
			case !ok:
				b.WriteString(" |")
			case program == daemon:
				fmt.Fprintf(&b, " **%.0f** |", r.rate())
			case known:
				fmt.Fprintf(&b, " %.0f (%.1f) |", r.rate(), ours.rate()/r.rate())
			default:
				fmt.Fprintf(&b, " %.0f |", r.rate())
			}
		}
		fmt.Fprintf(&b, " %.0f |\n", float64(most)/1e6)
	}
	return b.String()
}

// programs returns those of the results, those that start from a file last.
func programs(results []result) []string {
	var all []string
	for _, r := range results {
		if !slices.Contains(all, r.Program) {
			all = append(all, r.Program)
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(fromFile(a), fromFile(b)) })
	return all
}

// fromFile is 1 for programs that start from a file instead of the stream, otherwise 0.
func fromFile(program string) int {
	if p, isPeer := peers[program]; program == python || isPeer && !p.streams {
		return 1
	}
	return 0
}

// way is a program and what it was spared.
func way(program string) string {
	if fromFile(program) == 1 {
		return title[program] + ", from a file to a file"
	}
	return title[program]
}

// table returns all that was measured of each load as a Markdown table.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| load | program | MB per CPU second | CPU seconds | of that start and warm-up | seconds | size of files | allocations per record | peak MB | garbage collection | requests per GB |\n")
	b.WriteString("|---" + strings.Repeat("|---", 10) + "|\n")
	last := kind{}
	for _, r := range results {
		k, name := kind{r.Set, r.Format}, ""
		if k != last {
			name, last = k.title(), k
		}
		cold, allocs, gc, requests := "", "", "", ""
		if r.Cold.CPU > 0 {
			cold = fmt.Sprintf("%.1f, with the first %.0f MB", r.Cold.CPU.Seconds(), float64(r.Cold.Payload)/1e6)
		}
		if r.Mallocs > 0 {
			allocs, gc = fmt.Sprintf("%.2f", r.allocsPerRecord()), fmt.Sprintf("%.1f %%", 100*r.gcShare())
		}
		if len(r.Requests) > 0 {
			requests = fmt.Sprintf("%.0f", r.requestsPerGB())
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f | %.2f | %s | %.1f | %.2f | %s | %.0f | %s | %s |\n", name, title[r.Program], r.rate(), r.CPU.Seconds(), cold,
			r.Wall.Seconds(), float64(r.Output)/float64(r.Payload), allocs, float64(r.Peak)/1e6, gc, requests)
	}
	return b.String()
}

// leftOut says what was not measured, and why.
func leftOut(missing map[string]error) string {
	var b strings.Builder
	for _, program := range slices.Sorted(maps.Keys(missing)) {
		reason, _, _ := strings.Cut(missing[program].Error(), "\n")
		fmt.Fprintf(&b, "\n**Left out in this run**: %s: %s.\n", title[program], reason)
	}
	return b.String()
}

func formatTitle(format string) string {
	name, codec, _ := strings.Cut(format, "-")
	name = map[string]string{"parquet": "Parquet", "jsonl": "JSON lines"}[name]
	if codec == "none" {
		return name
	}
	return name + " " + codec
}

// stageTable shows how profiles divide into stages, by set and format.
func stageTable(names []string, shares [][]share) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| stage | %s |\n|---%s|\n", strings.Join(names, " | "), strings.Repeat("|---", len(names)))
	for i := range shares[0] {
		fmt.Fprintf(&b, "| %s |", shares[0][i].stage)
		for _, s := range shares {
			fmt.Fprintf(&b, " %.0f %% |", 100*s[i].part)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// replaceMarked puts text between two marks of a file, <!-- name --> and <!-- /name -->.
func replaceMarked(path, name, text string) error {
	begin, end := "<!-- "+name+" -->", "<!-- /"+name+" -->"
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no %s and %s", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+"\n"+text+end+after), 0o644)
}

// machine describes the machine and the versions that were measured.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	python := "python3"
	if out, err := exec.Command("python3", "--version").Output(); err == nil {
		python = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %d cores, %s, %s", model, runtime.NumCPU(), cmp.Or(runtime.Version(), "go"), python)
}
