package scaling

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const tick = 5 * time.Second

// surroundings are what a planner cannot know and nobody promises.
type surroundings struct {
	// metrics is how long after its end the metrics of a minute are there, less than a minute. The function looks then.
	metrics time.Duration
	// resharding is how long after UpdateShardCount new shards take writes.
	resharding time.Duration
	// retry has producers keep what is refused and send it again at each tick; otherwise they lose it.
	retry bool
}

// usual is what the policy was made for.
var usual = surroundings{metrics: 20 * time.Second, resharding: 30 * time.Second}

// outcome is what a simulation comes to.
type outcome struct {
	hours float64 // shard hours used
	// ideal are the shard hours of somebody who foresees the busiest moment of each hour and sets the count at each full
	// hour, without room to spare.
	ideal float64
	// strict are those of somebody who does so every five seconds, which no limit allows.
	strict float64
	// longest is the longest time without an end to throttling, short the longest in which the shards did not suffice for
	// what was new. They are the same unless producers retry: then there is throttling until the backlog is gone.
	longest, short  time.Duration
	changes         int // in all
	most            int // within any 24 hours
	grown, shrunk   int
	spent           int // times that growing was needed and the day's changes were used up
	lowest, highest int // fewest and most shards
}

// simulation is a stream under a planner.
type simulation struct {
	tb      testing.TB
	around  surroundings
	planner Planner
	now     time.Time

	shards  int
	target  int // 0 unless the stream is being changed
	ready   time.Time
	changes []time.Time
	minutes []Minute
	current Minute

	hourPeak         float64
	backlog          float64 // shards' worth of a tick
	throttled, short time.Duration
	o                outcome
}

// simulate runs a planner in the usual surroundings.
func simulate(tb testing.TB, p Planner, length time.Duration, traffic func(time.Duration) float64) outcome {
	tb.Helper()
	return simulateIn(tb, usual, p, length, traffic)
}

// simulateIn runs a planner over traffic, which is given in shards' worth, beginning with as many shards as that needs.
func simulateIn(tb testing.TB, around surroundings, p Planner, length time.Duration, traffic func(time.Duration) float64) outcome {
	tb.Helper()
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	s := &simulation{tb: tb, around: around, planner: p, shards: max(p.MinShards, int(math.Ceil(traffic(0)/p.UpAt)))}
	s.o.lowest, s.o.highest = s.shards, s.shards
	for at := time.Duration(0); at < length; at += tick {
		s.now = start.Add(at)
		if s.target != 0 && !s.now.Before(s.ready) {
			s.shards, s.target = s.target, 0
		}
		s.write(traffic(at))
		if s.now.Sub(s.now.Truncate(time.Minute)) == around.metrics {
			s.look()
		}
		if (at+tick)%time.Hour == 0 {
			s.o.ideal += math.Max(float64(p.MinShards), math.Ceil(s.hourPeak))
			s.hourPeak = 0
		}
	}
	return s.o
}

// write has producers write for a tick.
func (s *simulation) write(load float64) {
	sent := load + s.backlog
	accepted := math.Min(sent, float64(s.shards))
	refused := sent - accepted
	if s.around.retry {
		s.backlog = refused
	}
	s.throttled, s.short = s.throttled+tick, s.short+tick
	if refused == 0 {
		s.throttled = 0
	}
	if load <= float64(s.shards) {
		s.short = 0
	}
	s.o.longest, s.o.short = max(s.o.longest, s.throttled), max(s.o.short, s.short)
	s.hourPeak = math.Max(s.hourPeak, load)
	s.o.hours += float64(s.shards) * tick.Hours()
	s.o.strict += math.Max(float64(s.planner.MinShards), math.Ceil(load)) * tick.Hours()
	s.o.lowest, s.o.highest = min(s.o.lowest, s.shards), max(s.o.highest, s.shards)

	if s.current.Start.IsZero() {
		s.current.Start = s.now
	}
	const recordsPerSecond = 500 // of a shard that is full, so that bytes are what counts
	s.current.Bytes += accepted * ShardBytesPerSecond * tick.Seconds()
	s.current.Records += accepted * recordsPerSecond * tick.Seconds()
	s.current.Rejected += refused * recordsPerSecond * tick.Seconds()
	if s.now.Add(tick).Sub(s.current.Start) == time.Minute {
		s.minutes = append(s.minutes[max(0, len(s.minutes)-60):], s.current)
		s.current = Minute{}
	}
}

// look has the planner decide, and holds its decision to the service's rules.
func (s *simulation) look() {
	d := s.planner.Plan(s.now, Stream{Shards: s.shards, Active: s.target == 0, Minutes: s.minutes, Changes: s.changes})
	if d.Reason == KeepSpent {
		s.o.spent++
	}
	if d.Shards == s.shards {
		return
	}
	if s.target != 0 || d.Shards > 2*s.shards || d.Shards*2 < s.shards || d.Shards < s.planner.MinShards || d.Shards > s.planner.MaxShards {
		s.tb.Fatalf("at %v: from %d to %d shards: %s", s.now, s.shards, d.Shards, d.Detail)
	}
	if d.Shards > s.shards {
		s.o.grown++
	} else {
		s.o.shrunk++
	}
	s.target, s.ready = d.Shards, s.now.Add(s.around.resharding)
	s.changes = append(s.changes, s.now)
	s.o.changes++
	if s.o.most = max(s.o.most, s.planner.used(s.now, s.changes)); s.o.most > s.planner.Changes {
		s.tb.Fatalf("at %v: %d changes within 24 hours", s.now, s.o.most)
	}
}

// days is traffic with quiet nights and peaks at 14:00, weekends of 60%, and noise of some percent a minute. Once a day,
// at any time until 20:00, it doubles from one moment to the next for half an hour to an hour.
func days(count int, night, peak float64, seed uint64) func(time.Duration) float64 {
	random := rand.New(rand.NewPCG(seed, 0))
	noise := make([]float64, count*24*60)
	for i := range noise {
		noise[i] = 1 + 0.03*math.Max(-2, math.Min(2, random.NormFloat64()/1.5))
	}
	type doubling struct{ from, to time.Duration }
	var doublings []doubling
	for d := range count {
		from := time.Duration(d)*day + time.Duration(random.Int64N(int64(20*time.Hour)))
		doublings = append(doublings, doubling{from, from + 30*time.Minute + time.Duration(random.Int64N(int64(30*time.Minute)))})
	}
	return func(at time.Duration) float64 {
		hour := math.Mod(at.Hours(), 24)
		load := night + (peak-night)*(1+math.Cos((hour-14)/24*2*math.Pi))/2
		if int(at.Hours()/24)%7 >= 5 {
			load *= 0.6
		}
		for _, d := range doublings {
			if at >= d.from && at < d.to {
				load *= 2
			}
		}
		return load * noise[int(at.Minutes())]
	}
}

// Weeks whose days swing threefold, the most for which ten changes per day are enough.
func TestPlanner_GoesThroughWeeksWithoutLongThrottlingAndWithoutMuchWaste(t *testing.T) {
	for _, swing := range []struct{ night, peak float64 }{{2, 6}, {4, 10}, {7, 20}} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprintf("from %v to %v shards, seed %d", swing.night, swing.peak, seed), func(t *testing.T) {
				o := simulate(t, Default(), 7*day, days(7, swing.night, swing.peak, seed))
				t.Logf("%.2f of the ideal (%.2f of the strict one), throttled for %v at most, %d changes, %d within a day", o.hours/o.ideal, o.hours/o.strict, o.longest, o.changes, o.most)
				if o.longest > 2*time.Minute {
					t.Errorf("producers are throttled for %v", o.longest)
				}
				if o.hours > 1.3*o.ideal {
					t.Errorf("%.0f shard hours, %.2f of the ideal", o.hours, o.hours/o.ideal)
				}
				if o.grown < 7 || o.shrunk < 7 {
					t.Errorf("only %d times grown and %d times shrunk", o.grown, o.shrunk)
				}
			})
		}
	}
}

// Nobody promises how late metrics are and how long a change takes, and producers send again what was refused. That must
// cost the time by which it is slower, and neither shards nor the day's changes.
func TestPlanner_CostsNoMoreInSlowerSurroundings(t *testing.T) {
	for _, around := range []surroundings{
		{metrics: 50 * time.Second, resharding: 30 * time.Second},
		{metrics: 20 * time.Second, resharding: 2 * time.Minute},
		{metrics: 20 * time.Second, resharding: 30 * time.Second, retry: true},
		{metrics: 50 * time.Second, resharding: time.Minute, retry: true},
	} {
		t.Run(fmt.Sprintf("metrics after %v, shards after %v, retry %v", around.metrics, around.resharding, around.retry), func(t *testing.T) {
			// What begins just after a minute did is measured when that has ended.
			bound := time.Minute + around.metrics + around.resharding + 2*tick
			for _, swing := range []struct{ night, peak float64 }{{2, 6}, {7, 20}} {
				for seed := range uint64(2) {
					o := simulateIn(t, around, Default(), 7*day, days(7, swing.night, swing.peak, seed))
					t.Logf("%.2f of the ideal, too few shards for %v at most, refusals for %v, %d changes", o.hours/o.ideal, o.short, o.longest, o.changes)
					if o.short > bound || o.longest > 12*time.Minute {
						t.Errorf("too few shards for %v, want %v at most; refusals for %v", o.short, bound, o.longest)
					}
					if o.hours > 1.3*o.ideal || o.spent > 0 {
						t.Errorf("%.2f of the ideal, %d times without changes left", o.hours/o.ideal, o.spent)
					}
				}
			}
		})
	}
}

// Where a day swings more than threefold, the ten changes are not enough to follow it: it must cost shards, not producers.
func TestPlanner_SpendsShardsWhereTheDaysChangesDoNotSuffice(t *testing.T) {
	for seed := range uint64(2) {
		o := simulate(t, Default(), 7*day, days(7, 10, 40, seed))
		raised := Default()
		raised.Changes = 20
		r := simulate(t, raised, 7*day, days(7, 10, 40, seed))
		t.Logf("ten changes: %.2f of the ideal, %v; twenty: %.2f, %v", o.hours/o.ideal, o.longest, r.hours/r.ideal, r.longest)
		if o.longest > 2*time.Minute || r.longest > 2*time.Minute || o.spent > 0 {
			t.Errorf("seed %d: producers are throttled for %v and %v, %d times without changes left", seed, o.longest, r.longest, o.spent)
		}
		if o.hours > 1.6*o.ideal || r.hours > o.hours {
			t.Errorf("seed %d: %.2f of the ideal with ten changes, %.2f with twenty", seed, o.hours/o.ideal, r.hours/r.ideal)
		}
	}
}

func TestPlanner_FollowsSingleDays(t *testing.T) {
	steady := func(load float64) func(time.Duration) float64 { return func(time.Duration) float64 { return load } }
	step := func(at time.Duration, before, after float64) func(time.Duration) float64 {
		return func(now time.Duration) float64 {
			if now < at {
				return before
			}
			return after
		}
	}
	for _, c := range []struct {
		name    string
		traffic func(time.Duration) float64
		longest time.Duration
		changes int // at most
		shards  int // at most
	}{
		{"steady traffic changes nothing", steady(5.2), 0, 0, 6},
		{"an idle stream stays at its minimum", steady(0.001), 0, 0, 1},
		{"a doubling just after a minute began", step(12*time.Hour, 5, 10), 2 * time.Minute, 1, 12},
		{"a doubling just before a minute ends", step(12*time.Hour+55*time.Second, 5, 10), 2 * time.Minute, 2, 12},
		{"ten times as much takes four doublings", step(12*time.Hour, 1, 10), 9 * time.Minute, 5, 32},
		{"traffic that ends is given up by halves", step(12*time.Hour, 20, 0.01), 0, 6, 22},
		{"a slow doubling throttles nobody", func(at time.Duration) float64 { return 5 * (1 + at.Hours()/24) }, 0, 4, 13},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := simulate(t, Default(), day, c.traffic)
			if o.longest > c.longest || o.changes > c.changes || o.highest > c.shards {
				t.Errorf("throttled for %v, %d changes, %d shards", o.longest, o.changes, o.highest)
			}
		})
	}
}

// Traffic that jumps up and down all the time uses changes up, and must not use up those kept for growing.
func TestPlanner_KeepsChangesForGrowing(t *testing.T) {
	p := Default()
	o := simulate(t, p, 3*day, func(at time.Duration) float64 {
		if int(at/(90*time.Minute))%2 == 0 {
			return 4
		}
		return 7.5
	})
	if o.longest > 2*time.Minute || o.spent > 0 {
		t.Errorf("throttled for %v, %d times without changes left", o.longest, o.spent)
	}
}
