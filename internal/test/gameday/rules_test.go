package gameday

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	alertsFile = "../../../helm/consumer/files/alerts.yaml"
	// usual is the factor by which rules are faster.
	usual = 120
)

// factors are those of rules that a factor of 120 leaves too slow, or makes faster than what they watch.
var factors = map[string]float64{
	"ConsumerUploadsExpire":    86400 / 6, // three days are 18 seconds
	"ConsumerTableCommitsLost": 720,       // six hours are 30 seconds
	"ConsumerBatchesDropped":   30,        // a batch takes seconds, however short the rule is
	"ConsumerKinesisThrottled": 20,        // a worker that is refused waits for seconds
	"ConsumerLeasesMove":       20,        // a hand-over takes a second, however short the rule is
}

func factor(alert string) float64 {
	if f, ok := factors[alert]; ok {
		return f
	}
	return usual
}

// rule is an alert as Prometheus reads it.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

var (
	window    = regexp.MustCompile(`\[([0-9]+[smhd])\]`)
	threshold = regexp.MustCompile(`\b(300|600|900|1800|86400)\b`) // seconds; other numbers are not times
)

// faster returns the rule with its times divided by its factor.
func faster(r rule) rule {
	f := factor(r.Alert)
	r.Expr = window.ReplaceAllStringFunc(r.Expr, func(w string) string {
		return fmt.Sprintf("[%dms]", max(1500, int64(duration(w[1:len(w)-1]).Seconds()*1000/f))) // three scrapes at least
	})
	r.Expr = threshold.ReplaceAllStringFunc(r.Expr, func(s string) string {
		n, _ := strconv.ParseFloat(s, 64) // it is digits
		return strconv.FormatFloat(n/f, 'g', 6, 64)
	})
	if r.For != "" {
		r.For = fmt.Sprintf("%dms", int64(duration(r.For).Seconds()*1000/f))
	}
	return r
}

// duration reads a duration of Prometheus with one unit.
func duration(text string) time.Duration {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	n, err := strconv.Atoi(text[:len(text)-1])
	if err != nil {
		panic(fmt.Sprintf("duration %q: %v", text, err))
	}
	return time.Duration(n) * units[text[len(text)-1]]
}

// delay is how much longer than here the rule takes to fire, and to end, with the chart's times: the part of its windows, thresholds and
// "for" that the factor has taken away.
func delay(r rule) (fire, end time.Duration) {
	for _, m := range window.FindAllStringSubmatch(r.Expr, -1) {
		end = max(end, duration(m[1]))
	}
	if r.Alert == "ConsumerAbsent" {
		end = 0 // its window only remembers that there was an application
	}
	for _, m := range threshold.FindAllStringSubmatch(r.Expr, -1) {
		n, _ := strconv.Atoi(m[1]) // it is digits
		fire = max(fire, time.Duration(n)*time.Second)
	}
	if r.Alert == "ConsumerUploadsExpire" {
		fire *= 3 // days
	}
	if r.For != "" {
		fire += duration(r.For)
	}
	share := 1 - 1/factor(r.Alert)
	return time.Duration(float64(fire) * share), time.Duration(float64(end) * share)
}

func TestFaster_DividesTimesAndNothingElse(t *testing.T) {
	r := faster(rule{Alert: "X", For: "10m", Expr: "increase(a[1h]) > 10 + 4 * 600 and b > 0.5 and c > 80 * 1024"})
	if want := "increase(a[30000ms]) > 10 + 4 * 5 and b > 0.5 and c > 80 * 1024"; r.Expr != want || r.For != "5000ms" {
		t.Errorf("%s for %s, want %s", r.Expr, r.For, want)
	}
}
