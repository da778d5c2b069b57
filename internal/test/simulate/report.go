package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Report compares results with those of the release before.
type Report struct{ before, now map[string]Result } // by title

// readResults reads the results in a folder.
func readResults(folder string) (map[string]Result, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	results := make(map[string]Result, len(paths))
	for _, path := range paths {
		var r Result
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		results[strings.TrimSuffix(filepath.Base(path), ".json")] = r
	}
	return results, nil
}

// write writes the plots, and the tables between the marks of scale.md.
func (r Report) write(docs string) error {
	return errors.Join(
		replaceMarked(filepath.Join(docs, "scale.md"), r.costs()+"\n"+r.events()),
		os.WriteFile(filepath.Join(docs, "scale-start.svg"), []byte(r.startPlot()), 0o644),
		os.WriteFile(filepath.Join(docs, "scale-units.svg"), []byte(r.unitsPlot()), 0o644),
		os.WriteFile(filepath.Join(docs, "scale-load.svg"), []byte(r.loadPlot()), 0o644),
	)
}

// The marks enclose the part of a text that this package writes.
const beginMark, endMark = "<!-- simulated -->", "<!-- /simulated -->"

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

// figure returns a figure of a result, or a dash.
func figure(results map[string]Result, title, phase, name string) string {
	for _, f := range results[title].Figures[phase] {
		if f.Name == name {
			return strings.TrimSpace(short(f.Value) + map[bool]string{true: " s"}[f.Unit == "s"])
		}
	}
	return "-"
}

// short writes a number with three digits, or all of its whole ones.
func short(v float64) string {
	switch {
	case v >= 1000:
		return grouped(v)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// sizes are the fleets of the table of costs.
var sizes = []string{"1x2", "3x4", "10x1000", "200x10000"}

func sizeName(size string) string {
	workers, shards, _ := strings.Cut(size, "x")
	return workers + " × " + strings.Replace(strings.Replace(shards, "10000", "10,000", 1), "1000", "1,000", 1)
}

// costs is the table of what sharing the shards costs at rest.
func (r Report) costs() string {
	var b strings.Builder
	b.WriteString("| workers × shards | requests per minute | read units per minute | write units per minute | USD per month | before | for commits, USD per month |\n|---|---|---|---|---|---|---|\n")
	for _, size := range sizes {
		of := func(name string) string { return figure(r.now, "life-"+size, "rest", name) }
		fmt.Fprintf(&b, "| %s | %s | %s | %s | **%s** | %s | %s |\n", sizeName(size), of("requests"), of("read units"), of("write units"),
			of("price"), figure(r.before, "life-"+size, "rest", "price"), of("price of commits"))
	}
	return b.String()
}

// event is a row of the table of events.
type event struct{ title, course, phase, figure string }

var eventRows = []event{
	{"all workers start at once: every shard is read after", "life", "start", "all shards read after"},
	{"and evenly, the most minus the fewest at most 1, after", "life", "start", "spread evenly after"},
	{"a worker is lost: every shard is read again, after its last heartbeat", "life", "loss of a worker", "all shards read again after the last heartbeat"},
	{"a tenth of the workers is lost, the same", "life", "loss of a tenth", "all shards read again after the last heartbeat"},
	{"the leader is lost: another leads, after its last heartbeat", "life", "loss of the leader", "another leader after the last heartbeat"},
	{"every shard is read again, after its last heartbeat", "life", "loss of the leader", "all shards read again after the last heartbeat"},
	{"rolling restart as the chart does it, a new pod first: moves of a shard, mean", "restart", "restart, start then stop", "moves of a shard, mean"},
	{"the most moves of one shard", "restart", "restart, start then stop", "moves of a shard, most"},
	{"a shard is unread at a move, median", "restart", "restart, start then stop", "unread at a move, median"},
	{"the longest", "restart", "restart, start then stop", "unread at a move, longest"},
	{"rolling restart, the old pod stops first: moves of a shard, mean", "restart", "restart, stop then start", "moves of a shard, mean"},
	{"the most moves of one shard", "restart", "restart, stop then start", "moves of a shard, most"},
	{"a shard is unread at a move, median", "restart", "restart, stop then start", "unread at a move, median"},
	{"the longest", "restart", "restart, stop then start", "unread at a move, longest"},
	{"more workers, half as many again (a fifth of 200): even after", "scale", "scale out and in", "out: even after"},
	{"moves, as a multiple of the fewest possible", "scale", "scale out and in", "out: moves, as a multiple of the least"},
	{"and back: even after", "scale", "scale out and in", "in: even after"},
	{"moves, as a multiple of the fewest possible", "scale", "scale out and in", "in: moves, as a multiple of the least"},
	{"the table is out for a minute: moves of a shard, mean", "trouble", "outage", "moves of a shard, mean"},
	{"for a minute half of its calls fail and all take a second: moves of a shard, mean", "trouble", "brown-out", "moves of a shard, mean"},
	{"all shards split within a minute: all children are read, after the last split", "reshard", "all shards split", "all children read after the last split"},
	{"calls of ListShards, of 1,000 shards each", "reshard", "all shards split", "calls of ListShards"},
}

// events is the table of what happens when something changes.
func (r Report) events() string {
	var b strings.Builder
	b.WriteString("| event | 10 × 1,000 | before | 200 × 10,000 | before |\n|---|---|---|---|---|\n")
	for _, e := range eventRows {
		fmt.Fprintf(&b, "| %s |", e.title)
		for _, size := range []string{"10x1000", "200x10000"} {
			for _, results := range []map[string]Result{r.now, r.before} {
				fmt.Fprintf(&b, " %s |", figure(results, e.course+"-"+size, e.phase, e.figure))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n| unequal loads: ten of 1,000 shards have half of the bytes | 10 workers | before | 20 workers | before |\n|---|---|---|---|---|\n")
	for _, name := range []string{"busiest worker by bytes, as a multiple of the mean", "moves"} {
		title := name
		if name == "moves" {
			title = "moves per hour, while loads vary by 30 % from batch to batch"
		}
		fmt.Fprintf(&b, "| %s |", title)
		for _, workers := range []string{"10", "20"} {
			for _, results := range []map[string]Result{r.now, r.before} {
				fmt.Fprintf(&b, " %s |", figure(results, "balance-"+workers+"x1000", "unequal loads", name))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

const largest = "life-200x10000"

// points are those of the samples up to a moment.
func points(samples []Sample, until float64, y func(Sample) float64) (points []point) {
	for _, s := range samples {
		if s.At <= until {
			points = append(points, point{s.At, y(s)})
		}
	}
	return points
}

func (r Report) startPlot() string {
	reading := func(s Sample) float64 { return float64(s.Reading) }
	return plot{
		title: "Shards that are read, after 200 workers start at once on 10,000 shards", subtitle: "the table is new: the rows of all shards are still to be made", across: "seconds",
		lines: []line{
			{"now", colourNow, points(r.now[largest].Samples, 120, reading)},
			{"the release before", colourBefore, points(r.before[largest].Samples, 120, reading)},
		},
	}.svg()
}

func (r Report) unitsPlot() string {
	units := func(s Sample) float64 { return (s.Read + s.Write) / sampleEvery.Seconds() }
	return plot{
		title: "Read and write units per second, 200 workers and 10,000 shards", subtitle: "a start, and a fleet at rest; without commits; logarithmic", across: "seconds", logarithmic: true,
		lines: []line{
			{"now", colourNow, points(r.now[largest].Samples, 180, units)},
			{"the release before", colourBefore, points(r.before[largest].Samples, 180, units)},
		},
	}.svg()
}

func (r Report) loadPlot() string {
	loads := func(results map[string]Result) (points []point) {
		for i, l := range results["balance-20x1000"].Loads {
			points = append(points, point{float64(i + 1), l})
		}
		return points
	}
	return plot{
		title: "Bytes per worker, as a multiple of the mean, when ten of 1,000 shards have half of the bytes", subtitle: "20 workers, from the least to the most; the dashed line is the goal, 1.2", across: "workers",
		bound: 1.2,
		lines: []line{{"now, by bytes", colourNow, loads(r.now)}, {"the release before, by count", colourBefore, loads(r.before)}},
	}.svg()
}
