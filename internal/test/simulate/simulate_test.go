package simulate

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	full   = flag.Bool("simulate", false, "run all courses, which takes many minutes")
	only   = flag.String("simulate.only", "", "run only the courses whose name begins with this")
	before = flag.Bool("simulate.before", false, "measure an earlier release: no bounds, and a short rest")
	out    = flag.String("simulate.out", "", "folder for the results; it keeps those of other runs")
	docs   = flag.Bool("simulate.docs", false, "write the tables and plots of docs/scale.md from the results in the folder")
)

func TestMain(m *testing.M) {
	text, err := os.ReadFile("../../../cmd/cost/prices.json")
	if err == nil {
		err = json.Unmarshal(text, &prices)
	}
	if err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// courses are those that docs/scale.md shows.
func courses() []Course {
	hour, while := rest(time.Hour), rest(5*time.Minute)
	if *before {
		while = rest(30 * time.Second) // each worker scans so much that a minute takes minutes
	}
	one, tenth, leader := lose("loss of a worker", 0), lose("loss of a tenth", 0.1), loseLeader()
	outage, brown := brownOut("outage", 1, 0), brownOut("brown-out", 0.5, time.Second)
	return []Course{
		{"life", 1, 2, []Phase{start(), hour}},
		{"life", 3, 4, []Phase{start(), hour, one, leader}},
		{"life", 10, 1000, []Phase{start(), hour, one, tenth, leader}},
		{"life", 200, 10000, []Phase{start(), while, one, tenth, leader}},
		{"trouble", 10, 1000, []Phase{start(), one, outage, brown}},
		{"trouble", 200, 10000, []Phase{start(), one, outage, brown}},
		{"scale", 10, 1000, []Phase{start(), scale(0.5)}},
		{"scale", 200, 10000, []Phase{start(), scale(0.2)}},
		{"restart", 10, 1000, []Phase{start(), restart(true), restart(false)}},
		{"restart", 200, 10000, []Phase{start(), restart(true), restart(false)}},
		{"reshard", 10, 1000, []Phase{start(), reshard()}},
		{"reshard", 200, 10000, []Phase{start(), reshard()}},
		{"balance", 10, 1000, []Phase{start(), balance(20*time.Minute, time.Hour)}},
		{"balance", 20, 1000, []Phase{start(), balance(20*time.Minute, time.Hour)}},
	}
}

// TestScale runs the courses of docs/scale.md. It needs a build without the race detector, which bears 8,128 goroutines.
func TestScale(t *testing.T) {
	if !*full {
		t.Skip("-simulate runs it: make simulate")
	}
	for _, c := range courses() {
		if !strings.HasPrefix(c.title(), *only) {
			continue
		}
		t.Run(c.title(), func(t *testing.T) {
			r := c.run(t, !*before)
			if *out == "" {
				return
			}
			text, err := json.Marshal(r)
			if err == nil {
				err = errors.Join(os.MkdirAll(*out, 0o755), os.WriteFile(filepath.Join(*out, c.title()+".json"), text, 0o644))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	if *docs {
		writeDocs(t)
	}
}

func writeDocs(t *testing.T) {
	earlier, err := readResults("testdata")
	results, readErr := readResults(*out)
	if err = errors.Join(err, readErr); err == nil {
		err = Report{before: earlier, now: results}.write("../../../docs")
	}
	if err != nil {
		t.Error(err)
	}
}

// A small fleet goes through what the large ones do.
func TestFleet_LivesThroughEverything(t *testing.T) {
	Course{"small", 10, 100, []Phase{
		start(), rest(6 * time.Minute), lose("loss of a worker", 0), lose("loss of a fifth", 0.2), loseLeader(), brownOut("outage", 1, 0),
		scale(0.5), restart(true), reshard(),
	}}.run(t, true)
}
