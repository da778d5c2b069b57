package main

import (
	"cmp"
	"fmt"
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
	sdk:     "AWS SDK, goccy, parquet-go",
	library: "vmware-go-kcl-v2, goccy, parquet-go, one file per shard",
	python:  "Python: json.loads, json.dumps",
}

// best keeps the fastest result of each load, in the order of their first results.
func best(results []result) []result {
	var kept []result
	for _, r := range results {
		same := func(k result) bool { return k.String() == r.String() }
		switch i := slices.IndexFunc(kept, same); {
		case i < 0:
			kept = append(kept, r)
		case r.CPU < kept[i].CPU:
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

// table returns the results as a Markdown table.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| rows, into | program | MB per CPU second | the daemon is faster | allocations per record | peak MB | garbage collection | requests per GB |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|\n")
	last := ""
	for _, r := range results {
		group := r.Set + ", " + formatTitle(r.Format)
		name := group
		if group == last {
			name = ""
		}
		last = group
		times := ""
		if ours, ok := find(results, r.Set, daemon, r.Format); ok && r.Program != daemon {
			times = fmt.Sprintf("%.1f times", ours.rate()/r.rate())
		}
		allocs, gc, requests := fmt.Sprintf("%.2f", r.allocsPerRecord()), fmt.Sprintf("%.1f %%", 100*r.gcShare()), fmt.Sprintf("%.0f", r.requestsPerGB())
		if r.Program == python {
			allocs, gc, requests = "", "", ""
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f | %s | %s | %.0f | %s | %s |\n",
			name, title[r.Program], r.rate(), times, allocs, float64(r.Peak)/1e6, gc, requests)
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

// The markers enclose the part of a text that this program writes.
const (
	beginMark = "<!-- end to end -->"
	endMark   = "<!-- /end to end -->"
)

// replaceMarked puts text between the markers of a file.
func replaceMarked(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), beginMark)
	_, after, closed := strings.Cut(rest, endMark)
	if !ok || !closed {
		return fmt.Errorf("%s has no %s and %s", path, beginMark, endMark)
	}
	return os.WriteFile(path, []byte(before+beginMark+"\n"+text+endMark+after), 0o644)
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
