package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// before is the daemon of the revision that -against names.
const before = "before"

// binaries are the daemon's, by program, in the folder of the programs.
var binaries = map[string]string{daemon: "consumer", before: "consumer-before"}

// buildBefore builds the daemon of a Git revision, out of the repository's work tree.
func buildBefore(ctx context.Context, revision, dir string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	source, err := os.MkdirTemp(dir, "source-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	archive := filepath.Join(source, "all.tar")
	for _, step := range []struct {
		in   string
		args []string
	}{
		{root, []string{"git", "archive", "--output", archive, revision}},
		{source, []string{"tar", "-xf", archive}},
		{source, []string{"go", "build", "-tags", "profile", "-buildvcs=false", "-o", filepath.Join(dir, binaries[before]), "./cmd/consumer"}},
	} {
		cmd := exec.CommandContext(ctx, step.args[0], step.args[1:]...)
		cmd.Dir = step.in
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the daemon of -against=%q: %s: %w: %s", revision, strings.Join(step.args[:2], " "), err, out)
		}
	}
	return nil
}

// withBefore puts the same load of the earlier daemon after each of the daemon's.
func withBefore(loads []load) []load {
	var all []load
	for _, l := range loads {
		all = append(all, l)
		if l.Program == daemon {
			l.Program = before
			all = append(all, l)
		}
	}
	return all
}

// pair is a load of both daemons, round by round.
type pair struct{ now, before []result }

// pairs finds the loads that both daemons ran, in the order of their first results.
func pairs(results []result) []pair {
	var all []pair
	for _, r := range results {
		if r.Program != daemon && r.Program != before {
			continue
		}
		same := func(p pair) bool {
			known := slices.Concat(p.now, p.before)[0].load
			known.Program = r.Program
			return known.String() == r.String()
		}
		i := slices.IndexFunc(all, same)
		if i < 0 {
			i, all = len(all), append(all, pair{})
		}
		if r.Program == daemon {
			all[i].now = append(all[i].now, r)
		} else {
			all[i].before = append(all[i].before, r)
		}
	}
	return slices.DeleteFunc(all, func(p pair) bool { return len(p.now) == 0 || len(p.now) != len(p.before) })
}

// ratios are how many times as much the daemon does per CPU second as before, in each round, sorted.
func (p pair) ratios() []float64 {
	var all []float64
	for i := range p.now {
		all = append(all, p.now[i].rate()/p.before[i].rate())
	}
	slices.Sort(all)
	return all
}

// againstTable compares the daemon with that of an earlier revision as a Markdown table.
func againstTable(results []result) string {
	var b strings.Builder
	b.WriteString("| load | MB per CPU second, before | now | ratio, median of the rounds (least to most) | allocations per record | peak MB | requests per GB |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, p := range pairs(results) {
		now, old := best(p.now)[0], best(p.before)[0]
		all := p.ratios()
		fmt.Fprintf(&b, "| %s to %s, %d shards, GOMAXPROCS=%d | %.0f | %.0f | %.2f (%.2f to %.2f) | %.2f, %.2f | %.0f, %.0f | %.0f, %.0f |\n",
			now.Set, formatTitle(now.Format), now.Shards, now.Cores, old.rate(), now.rate(), median(all), all[0], all[len(all)-1],
			old.allocsPerRecord(), now.allocsPerRecord(), float64(old.Peak)/1e6, float64(now.Peak)/1e6, old.requestsPerGB(), now.requestsPerGB())
	}
	return b.String()
}

// median of sorted numbers.
func median(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// commitDate is the day of a Git revision.
func commitDate(ctx context.Context, revision string) string {
	out, err := exec.CommandContext(ctx, "git", "show", "--no-patch", "--format=%cs", revision).Output()
	if err != nil {
		return "an unknown day"
	}
	return strings.TrimSpace(string(out))
}
