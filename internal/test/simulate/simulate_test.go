package simulate

import (
	"encoding/json"
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
	out    = flag.String("simulate.out", "", "folder for the results")
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
	hour := rest(time.Hour)
	if *before {
		hour = rest(time.Minute) // it scans so much that an hour takes hours
	}
	return []Course{
		{"life", 1, 2, []Phase{start(), hour}},
		{"life", 3, 4, []Phase{start(), hour, lose("loss of a worker", 0), loseLeader()}},
		{"life", 10, 1000, []Phase{start(), hour, lose("loss of a worker", 0), lose("loss of a tenth", 0.1), loseLeader(),
			brownOut("outage", 1, 0), brownOut("brown-out", 0.5, time.Second), scale(0.5)}},
		{"life", 200, 10000, []Phase{start(), hour, lose("loss of a worker", 0), lose("loss of a tenth", 0.1), loseLeader()}},
		{"trouble", 200, 10000, []Phase{start(), brownOut("outage", 1, 0), brownOut("brown-out", 0.5, time.Second), scale(0.2)}},
		{"restart", 10, 1000, []Phase{start(), restart(true), restart(false)}},
		{"restart", 200, 10000, []Phase{start(), restart(true), restart(false)}},
		{"reshard", 10, 1000, []Phase{start(), reshard()}},
		{"reshard", 200, 10000, []Phase{start(), reshard()}},
		{"balance", 10, 1000, []Phase{start(), balance(30*time.Minute, 3*time.Hour)}},
		{"balance", 20, 1000, []Phase{start(), balance(30*time.Minute, 3*time.Hour)}},
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
				err = os.WriteFile(filepath.Join(*out, c.title()+".json"), text, 0o644)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A small fleet goes through what the large ones do.
func TestFleet_LivesThroughEverything(t *testing.T) {
	Course{"small", 10, 100, []Phase{start(), rest(6 * time.Minute), brownOut("outage", 1, 0), scale(0.5), reshard()}}.run(t, true)
}
