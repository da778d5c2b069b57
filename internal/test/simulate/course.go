package simulate

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Course is what happens to a fleet, phase by phase.
type Course struct {
	Name            string
	Workers, Shards int
	Phases          []Phase
}

// title names a course and its size.
func (c Course) title() string { return fmt.Sprintf("%s-%dx%d", c.Name, c.Workers, c.Shards) }

// Phase is a part of a course. It returns what it measured.
type Phase struct {
	Name string
	run  func(*Fleet) []Figure
}

// Figure is something measured.
type Figure struct {
	Name  string
	Value float64
	Unit  string
	Most  float64 `json:",omitempty"` // a larger value is a fault; 0 for no bound
}

func (f Figure) String() string {
	s := fmt.Sprintf("%s: %.4g %s", f.Name, f.Value, f.Unit)
	if f.Most > 0 {
		s += fmt.Sprintf(", at most %.4g", f.Most)
	}
	return s
}

func seconds(name string, d time.Duration, most time.Duration) Figure {
	return Figure{name, d.Seconds(), "s", most.Seconds()}
}

// Result is what a course measured.
type Result struct {
	Course          string
	Workers, Shards int
	Figures         map[string][]Figure // by phase
	Samples         []Sample
	Loads           []float64 `json:",omitempty"` // of the workers at the end, as a share of their mean
}

// Sample is the state of the fleet at a moment. Units are those since the sample before.
type Sample struct {
	At             float64 // seconds
	Reading        int
	Fewest, Most   int
	Read, Write    float64
	Calls, Refused int64
}

// run takes a fleet through the course. If the bounds count, a figure beyond its bound fails the test.
func (c Course) run(t *testing.T, bounds bool) Result {
	r := Result{Course: c.Name, Workers: c.Workers, Shards: c.Shards, Figures: make(map[string][]Figure)}
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, c.Shards)
		f.size = c.Workers
		sampled := f.sample()
		for _, phase := range c.Phases {
			began := time.Now()
			figures := phase.run(f)
			r.Figures[phase.Name] = figures
			for _, figure := range figures {
				t.Logf("%d x %d, %s, %s", c.Workers, c.Shards, phase.Name, figure)
			}
			t.Logf("%d x %d, %s took %v", c.Workers, c.Shards, phase.Name, time.Since(began).Round(time.Second))
		}
		r.Samples = sampled()
		r.Loads = f.loadShares()
	})
	for phase, figures := range r.Figures {
		for _, figure := range figures {
			if bounds && figure.Most > 0 && figure.Value > figure.Most { // after the bubble, so that a fault does not lose the result
				t.Errorf("%d x %d, %s: %s", c.Workers, c.Shards, phase, figure)
			}
		}
	}
	return r
}

// sampleEvery is the time between two samples.
const sampleEvery = time.Second

// sample samples the fleet until the returned function is called.
func (f *Fleet) sample() (stop func() []Sample) {
	quit, done := make(chan struct{}), make(chan []Sample, 1)
	go func() {
		var samples []Sample
		var before Tally
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				done <- samples
				return
			case <-tick.C:
			}
			now := f.Table.meter.read().sum(false)
			s := Sample{At: time.Since(f.began).Seconds()}
			s.Reading, s.Fewest, s.Most = f.Readers.state()
			d := now.plus(before, -1)
			s.Read, s.Write, s.Calls, s.Refused = d.Read, d.Write, d.Calls, d.Refused
			samples, before = append(samples, s), now
		}
	}()
	return func() []Sample {
		close(quit)
		return <-done
	}
}
