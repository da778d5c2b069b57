package main

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// autoscaler is the part of a HorizontalPodAutoscaler (autoscaling/v2) that docs/sizing.md shows.
type autoscaler struct {
	Min     int `yaml:"minReplicas"`
	Max     int `yaml:"maxReplicas"`
	Metrics []struct {
		External struct {
			Metric struct{ Name string }
			Target struct {
				Type         string
				Value        string
				AverageValue string `yaml:"averageValue"`
			}
		}
	}
	Behavior struct {
		ScaleUp   scalingRules `yaml:"scaleUp"`
		ScaleDown scalingRules `yaml:"scaleDown"`
	}
	// rate is the range that the query for bytes looks back over.
	rate time.Duration
}

type scalingRules struct {
	Window   int `yaml:"stabilizationWindowSeconds"`
	Policies []struct {
		Type   string
		Value  int
		Period int `yaml:"periodSeconds"`
	}
}

// documented reads the autoscaler of docs/sizing.md.
func documented(t *testing.T) (a autoscaler) {
	t.Helper()
	text, err := os.ReadFile("../../docs/sizing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "<!-- autoscaling -->\n```yaml\n")
	block, _, found := strings.Cut(block, "```\n<!-- /autoscaling -->")
	if !found {
		t.Fatal("docs/sizing.md has no block of autoscaling")
	}
	if err := yaml.Unmarshal([]byte(block), &a); err != nil {
		t.Fatal(err)
	}
	_, window, _ := strings.Cut(string(text), "- **Bytes**: `sum(rate(consumer_read_bytes_total[")
	window, _, _ = strings.Cut(window, "]))`")
	if a.rate, err = time.ParseDuration(window); err != nil {
		t.Fatal(err)
	}
	if len(a.Metrics) != 2 || a.Max == 0 || len(a.Behavior.ScaleDown.Policies) != 1 {
		t.Fatalf("docs/sizing.md has another autoscaler than this test knows: %+v", a)
	}
	return a
}

// The simulated environment. A worker reads 20 MB/s, Kinesis delivers 2 MB/s per shard. The autoscaler looks every 15
// seconds (its default) at metrics that are half a minute old; a new worker starts to read a minute after it was
// requested; a shard that moves is not read for 15 seconds.
const (
	simStep     = 15 * time.Second
	simShards   = 100
	workerRate  = 20e6
	shardRate   = 2e6
	metricsLate = 2 // steps
	startTakes  = 4 // steps
	daySteps    = int(24 * time.Hour / simStep)
)

// change is a decision that changed the number of workers.
type change struct{ step, from, to int }

// day is a simulated day.
type day struct {
	hpa             autoscaler
	outage          [2]int // steps in which nothing can be read
	load            []float64
	replicas        int
	asked           []int // replicas that were asked for, by step
	recommendations []int
	changes         []change

	owner   []int // of each shard
	paused  []int // until when each shard is not read, a step
	arrived []float64
	read    []float64 // of each shard, in all
	oldest  []int     // of each shard: the step whose arrivals are being read
	rates   []float64
	lags    []float64
}

// diurnal is a day's load in bytes per second, one value per step: a night of 15 MB/s, an afternoon of 80, noise and ten bursts.
func diurnal(seed uint64) []float64 {
	random := rand.New(rand.NewPCG(seed, 1))
	load := make([]float64, daySteps)
	for i := range load {
		hour := float64(i) * simStep.Hours()
		wave := math.Pow((1-math.Cos(2*math.Pi*(hour-3)/24))/2, 1.5)
		load[i] = (15e6 + 65e6*wave) * (0.9 + 0.2*random.Float64())
	}
	for range 10 {
		begin := random.IntN(daySteps - 8)
		for i := begin; i < begin+8; i++ {
			load[i] *= 1.5
		}
	}
	return load
}

func simulate(hpa autoscaler, load []float64, outage [2]int) *day {
	d := &day{
		hpa: hpa, outage: outage, load: load, replicas: hpa.Min, owner: make([]int, simShards), paused: make([]int, simShards),
		read: make([]float64, simShards), oldest: make([]int, simShards),
	}
	for s := range d.owner {
		d.owner[s] = s % hpa.Min
	}
	for step := range daySteps {
		d.asked = append(d.asked, d.replicas)
		d.share(step)
		d.work(step)
		d.decide(step)
	}
	return d
}

// running returns the workers that have started and were not removed.
func (d *day) running(step int) int {
	return slices.Min(d.asked[max(0, step-startTakes):])
}

// share reassigns the shards of removed workers and fills up new ones, moving no more than fair shares require, as
// TestKeeper_ScalingMovesOnlyWhatFairSharesDemand shows for the real ones.
func (d *day) share(step int) {
	workers := d.running(step)
	least, most := simShards/workers, (simShards+workers-1)/workers
	held := make([]int, workers)
	var homeless []int
	for s, w := range d.owner {
		if w >= workers || held[w] == most {
			homeless = append(homeless, s)
		} else {
			held[w]++
		}
	}
	fill := func(w, up int) {
		for held[w] < up && len(homeless) > 0 {
			d.owner[homeless[0]], d.paused[homeless[0]] = w, step+1
			homeless = homeless[1:]
			held[w]++
		}
	}
	for w := range held {
		fill(w, least)
		for s, o := range d.owner { // from those who have one more
			if held[w] < least && o < workers && held[o] > least {
				held[o]--
				homeless = append(homeless, s)
				fill(w, least)
			}
		}
	}
	for w := range held {
		fill(w, most)
	}
}

// work reads for a step.
func (d *day) work(step int) {
	seconds := simStep.Seconds()
	total := d.load[step] * seconds / simShards
	if step > 0 {
		total += d.arrived[step-1]
	}
	d.arrived = append(d.arrived, total) // of each shard, in all
	wanted := make([]float64, simShards)
	of := make(map[int]float64)
	for s := range wanted {
		if step < d.paused[s] || step >= d.outage[0] && step < d.outage[1] {
			continue
		}
		wanted[s] = min(shardRate*seconds, total-d.read[s])
		of[d.owner[s]] += wanted[s]
	}
	sum, worst := 0.0, 0
	for s := range wanted {
		if w := of[d.owner[s]]; w > workerRate*seconds {
			wanted[s] *= workerRate * seconds / w
		}
		d.read[s] += wanted[s]
		sum += wanted[s]
		for d.oldest[s] <= step && d.arrived[d.oldest[s]] <= d.read[s]+1 {
			d.oldest[s]++
		}
		worst = max(worst, step+1-d.oldest[s])
	}
	d.rates = append(d.rates, sum/seconds)
	d.lags = append(d.lags, float64(worst)*seconds)
}

// tolerance is that of the autoscaler: a metric this close to its target changes nothing.
const tolerance = 0.1

// decide is the autoscaler (Kubernetes documentation, "Horizontal Pod Autoscaling": algorithm details, and configurable
// scaling behavior).
func (d *day) decide(step int) {
	if step < metricsLate {
		return
	}
	seen := step - metricsLate
	window := d.rates[max(0, seen+1-int(d.hpa.rate/simStep)) : seen+1]
	rate := 0.0
	for _, r := range window {
		rate += r / float64(len(window))
	}
	desired := 0
	for _, m := range d.hpa.Metrics {
		switch target := m.External.Target; target.Type {
		case "AverageValue":
			desired = max(desired, average(d.replicas, rate, number(target.AverageValue)))
		case "Value":
			desired = max(desired, value(d.replicas, d.running(step), d.lags[seen], number(target.Value)))
		}
	}
	desired = min(max(desired, d.hpa.Min), d.hpa.Max)
	d.recommendations = append(d.recommendations, desired)

	from := d.replicas
	if keep := steps(d.hpa.Behavior.ScaleDown.Window); desired < from {
		desired = min(from, slices.Max(d.recommendations[max(0, len(d.recommendations)-1-keep):]))
	}
	switch {
	case desired > from:
		d.replicas = min(desired, d.limit(step, d.hpa.Behavior.ScaleUp, 1))
	case desired < from:
		d.replicas = max(desired, d.limit(step, d.hpa.Behavior.ScaleDown, -1))
	}
	if d.replicas != from {
		d.changes = append(d.changes, change{step, from, d.replicas})
	}
}

func average(replicas int, usage, target float64) int {
	if math.Abs(1-usage/(target*float64(replicas))) <= tolerance {
		return replicas
	}
	return int(math.Ceil(usage / target))
}

func value(replicas, ready int, usage, target float64) int {
	if math.Abs(1-usage/target) <= tolerance {
		return replicas
	}
	return int(math.Ceil(float64(ready) * usage / target))
}

// limit returns how far the policies let the number move in a direction.
func (d *day) limit(step int, rules scalingRules, direction int) int {
	furthest := d.replicas
	for _, p := range rules.Policies {
		start := d.replicas
		for _, c := range d.changes {
			if (c.to-c.from)*direction > 0 && step-c.step < steps(p.Period) {
				start -= c.to - c.from
			}
		}
		allowed := p.Value
		if p.Type == "Percent" {
			allowed = int(math.Ceil(float64(start) * float64(p.Value) / 100))
		}
		if to := start + direction*allowed; (to-furthest)*direction > 0 {
			furthest = to
		}
	}
	return furthest
}

func steps(seconds int) int { return int(time.Duration(seconds) * time.Second / simStep) }

func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return f
}

// turns counts the changes that reverse an earlier one within half an hour.
func (d *day) turns() (n int) {
	for i, c := range d.changes[:max(0, len(d.changes)-1)] {
		next := d.changes[i+1]
		if (c.to > c.from) != (next.to > next.from) && next.step-c.step < steps(1800) {
			n++
		}
	}
	return n
}

// worst returns the greatest lag between two steps, in seconds.
func (d *day) worst(from, to int) float64 { return slices.Max(d.lags[from:to]) }

// hours returns the worker hours paid for, and those of somebody who foresees the load and needs no spare capacity.
func (d *day) hours() (paid, ideal float64) {
	for i, n := range d.asked {
		paid += float64(n) * simStep.Hours()
		ideal += math.Ceil(d.load[i]/workerRate) * simStep.Hours()
	}
	return paid, ideal
}

func TestAutoscaling_DoesNotFlap(t *testing.T) {
	hpa := documented(t)
	if want := int(min(simShards, math.Ceil(simShards*shardRate/workerRate))); hpa.Max != want {
		t.Errorf("maxReplicas is %d, more than %d workers cannot read more", hpa.Max, want)
	}
	for seed := range uint64(20) {
		d := simulate(hpa, diurnal(seed), [2]int{})
		paid, ideal := d.hours()
		if seed == 0 {
			t.Logf("a day: %d changes, 2 to %d workers, %d turns, lag up to %.0f s, %.0f worker hours where %.0f are ideal",
				len(d.changes), slices.Max(d.asked), d.turns(), d.worst(0, daySteps), paid, ideal)
		}
		if d.turns() > 0 || len(d.changes) > 12 {
			t.Errorf("seed %d: %d changes, %d of them turns: %v", seed, len(d.changes), d.turns(), d.changes)
		}
		if lag := d.worst(0, daySteps); lag > 90 {
			t.Errorf("seed %d: lag up to %.0f s", seed, lag)
		}
		if paid > 1.7*ideal {
			t.Errorf("seed %d: %.0f worker hours where %.0f are ideal", seed, paid, ideal)
		}
	}
}

func TestAutoscaling_CatchesUpAfterAnOutage(t *testing.T) {
	hpa := documented(t)
	begin, end := steps(14*3600), steps(15*3600)
	for seed := range uint64(20) {
		d := simulate(hpa, diurnal(seed), [2]int{begin, end})
		done := end
		for d.lags[done] > 60 {
			done++
		}
		took := time.Duration(done-end) * simStep
		// About the possible maximum: Kinesis delivers 200 MB/s, minus what arrives at first.
		possible := time.Duration((d.arrived[end]-d.arrived[begin])*simShards/(simShards*shardRate-d.load[end])) * time.Second
		if seed == 0 {
			t.Logf("an outage of an hour is caught up in %v (%v by the rate at its end) with %d workers, %d changes, %d turns", took, possible, slices.Max(d.asked), len(d.changes), d.turns())
		}
		if took > possible+10*time.Minute {
			t.Errorf("seed %d: caught up in %v, by the rate at its end %v", seed, took, possible)
		}
		if d.turns() > 0 || len(d.changes) > 20 {
			t.Errorf("seed %d: %d changes, %d of them turns: %v", seed, len(d.changes), d.turns(), d.changes)
		}
		if lag := max(d.worst(0, begin), d.worst(done, daySteps)); lag > 90 {
			t.Errorf("seed %d: lag up to %.0f s apart from the outage", seed, lag)
		}
	}
}

// Controls: lag as the only signal removes workers that are needed, and bytes of a minute without a window follow every
// burst.
func TestAutoscaling_FlapsWithoutItsParts(t *testing.T) {
	lagOnly := documented(t)
	lagOnly.Metrics = lagOnly.Metrics[1:]
	d := simulate(lagOnly, diurnal(0), [2]int{})
	t.Logf("lag alone: %d changes, %d turns, lag up to %.0f s", len(d.changes), d.turns(), d.worst(0, daySteps))
	if len(d.changes) < 30 || d.turns() == 0 {
		t.Errorf("lag alone changes the number of workers %d times a day, with %d turns", len(d.changes), d.turns())
	}
	hasty := documented(t)
	hasty.rate = time.Minute
	hasty.Behavior.ScaleDown.Window = 0
	d = simulate(hasty, diurnal(0), [2]int{})
	t.Logf("bytes of a minute, no window: %d changes, %d turns", len(d.changes), d.turns())
	if len(d.changes) < 30 || d.turns() == 0 {
		t.Errorf("without a window the number of workers changes %d times a day, with %d turns", len(d.changes), d.turns())
	}
}
