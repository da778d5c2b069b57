package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// longest bounds waits in phases. What takes longer is a fault, whatever the bounds are.
const longest = 10 * time.Minute

// allRead waits until every shard is read, evenly if wanted, and returns how long that took.
func (f *Fleet) allRead(evenly bool) time.Duration {
	f.t.Helper()
	return f.within(longest, "every shard is read", func() bool {
		reading, fewest, most := f.Readers.state()
		return reading == f.shards && (!evenly || most-fewest <= 1)
	})
}

// start starts all workers at once.
func start() Phase {
	return Phase{"start", func(f *Fleet) []Figure {
		f.startAll(f.size)
		read := f.allRead(false)
		even := read + f.allRead(true)
		c := f.Table.meter.read()
		sum := c.sum(false)
		histogram, _ := f.Readers.moved()
		return []Figure{
			seconds("all shards read after", read, time.Minute),
			seconds("spread evenly after", even, time.Minute),
			{"moves until then", float64(moves(histogram)), "", 0},
			{"requests until then", float64(sum.Calls), "", 0},
			{"throttled until then", float64(sum.Refused), "", 0},
			{"read units until then", sum.Read, "", 0},
			{"write units until then", sum.Write, "", 0},
		}
	}}
}

// Prices are those of cmd/cost, in dollars per million units.
type Prices struct{ ReadsPer1M, DynamoWritesPer1M float64 }

var prices Prices

const minutesPerMonth = 365 * 24 * 60 / 12

// monthly is the price of a month at so many units per minute.
func monthly(t Tally, minutes float64) float64 {
	return (t.Read*prices.ReadsPer1M + t.Write*prices.DynamoWritesPer1M) / 1e6 / minutes * minutesPerMonth
}

// rest does nothing for a while, after a minute in which the fleet comes to rest.
func rest(d time.Duration) Phase {
	return Phase{"rest", func(f *Fleet) []Figure {
		time.Sleep(time.Minute)
		f.Readers.reset()
		before := f.Table.meter.read()
		time.Sleep(d)
		c := f.Table.meter.read().since(before)
		sharing, delivering := c.sum(false), c.sum(true)
		histogram, _ := f.Readers.moved()
		minutes := d.Minutes()
		figures := []Figure{
			{"requests", float64(sharing.Calls) / minutes, "per minute", 0},
			{"throttled", float64(sharing.Refused) / minutes, "per minute", 0},
			{"read units", sharing.Read / minutes, "per minute", 0},
			{"write units", sharing.Write / minutes, "per minute", 0},
			{"price", monthly(sharing, minutes), "USD per month", 0},
			{"price of commits", monthly(delivering, minutes), "USD per month", 0},
			{"moves", float64(moves(histogram)), "", 0},
		}
		for _, kind := range slices.Sorted(maps.Keys(c)) {
			t := c[kind]
			figures = append(figures, Figure{kind, float64(t.Calls) / minutes, fmt.Sprintf("per minute, %.4g read and %.4g write units", t.Read/minutes, t.Write/minutes), 0})
		}
		return figures
	}}
}

func moves(histogram map[int]int) (n int) {
	for times, shards := range histogram {
		n += times * shards
	}
	return n
}

// lose kills workers that do not lead.
func lose(name string, share float64) Phase {
	return Phase{name, func(f *Fleet) []Figure {
		leader := f.leader()
		var victims []*Worker
		for _, w := range f.running() {
			if w != leader && len(victims) < max(1, int(share*float64(f.size))) {
				victims = append(victims, w)
			}
		}
		limit := 2 * f.Failover
		if len(victims) > 1 {
			limit = 3 * f.Failover
		}
		return f.heal(victims, limit)
	}}
}

// heal kills workers and waits until their shards are read again, then until the fleet is at rest.
func (f *Fleet) heal(victims []*Worker, limit time.Duration) []Figure {
	f.Readers.reset()
	last := time.Now()
	for _, w := range victims {
		if at := f.lastBeat(w); at.Before(last) {
			last = at
		}
		f.kill(w)
	}
	reading, _, _ := f.Readers.state()
	lost := float64(f.shards - reading)
	f.allRead(false)
	read := time.Since(last)
	f.allRead(true)
	even := time.Since(last)
	time.Sleep(2 * f.Failover)
	histogram, _ := f.Readers.moved()
	return []Figure{
		{"moves, as a multiple of the lost shards", float64(moves(histogram)) / lost, "", 0},
		seconds("all shards read again after the last heartbeat", read, limit),
		seconds("spread evenly after the last heartbeat", even, 0),
	}
}

// loseLeader kills the worker that leads.
func loseLeader() Phase {
	return Phase{"loss of the leader", func(f *Fleet) []Figure {
		leader := f.leader()
		if leader == nil {
			f.t.Fatal("nobody leads")
		}
		if !f.hasLeader() {
			return f.heal([]*Worker{leader}, 3*f.Failover)
		}
		last, led := f.lastBeat(leader), make(chan time.Duration, 1)
		go func() {
			f.within(longest, "another worker leads", func() bool { w := f.leader(); return w != nil && w != leader })
			led <- time.Since(last)
		}()
		figures := f.heal([]*Worker{leader}, 3*f.Failover)
		return append(figures, seconds("another leader after the last heartbeat", <-led, f.Failover))
	}}
}

// restart restarts all workers one after another: with surge, a new one is ready before an old one stops.
func restart(surge bool) Phase {
	name := "restart, stop then start"
	if surge {
		name = "restart, start then stop"
	}
	return Phase{name, func(f *Fleet) []Figure {
		f.Readers.reset()
		began := time.Now()
		for _, old := range f.running() {
			if !surge {
				f.halt(old)
			}
			f.awaitReady(f.start())
			if surge {
				f.halt(old)
			}
		}
		took := time.Since(began)
		f.allRead(true)
		time.Sleep(2 * f.Failover)
		return append([]Figure{seconds("duration", took, 0)}, f.interruptions(2)...)
	}}
}

// readyEvery is the time between two looks at whether a worker is ready; readinessPeriodSeconds in the chart.
const readyEvery = 5 * time.Second

// awaitReady waits until a worker is ready, as a readiness probe sees it.
func (f *Fleet) awaitReady(w *Worker) {
	deadline := time.Now().Add(longest)
	for time.Sleep(readyEvery); w.health() != nil; time.Sleep(readyEvery) {
		if time.Now().After(deadline) {
			f.t.Fatalf("worker %s is not ready: %v", w.id, w.health())
		}
	}
}

// interruptions are the moves since the last reset, and for how long shards were not read.
func (f *Fleet) interruptions(mostMoves float64) []Figure {
	histogram, gaps := f.Readers.moved()
	times := slices.Sorted(maps.Keys(histogram))
	most := 0
	if len(times) > 0 {
		most = times[len(times)-1]
	}
	figures := []Figure{
		{"moves of a shard, mean", float64(moves(histogram)) / float64(f.shards), "", 0},
		{"moves of a shard, most", float64(most), "", mostMoves},
	}
	for _, n := range times {
		figures = append(figures, Figure{fmt.Sprintf("shards that moved %d times", n), float64(histogram[n]), "", 0})
	}
	if len(gaps) == 0 {
		return figures
	}
	quantile := func(q float64) time.Duration { return gaps[int(q*float64(len(gaps)-1))] }
	return append(figures,
		seconds("unread at a move, median", quantile(0.5), 0),
		seconds("unread at a move, 99 %", quantile(0.99), 0),
		seconds("unread at a move, longest", quantile(1), 0),
	)
}

// scale adds workers, all at once, and stops as many.
func scale(share float64) Phase {
	return Phase{"scale out and in", func(f *Fleet) []Figure {
		f.Readers.reset()
		before := f.running()
		more := max(1, int(share*float64(len(before))))
		var added []*Worker
		for range more {
			added = append(added, f.start())
		}
		out := f.allRead(true)
		time.Sleep(2 * f.Failover)
		histogram, _ := f.Readers.moved()
		least := float64(f.shards) * float64(more) / float64(len(before)+more)
		figures := []Figure{
			seconds("out: even after", out, 0),
			{"out: moves, as a multiple of the least", float64(moves(histogram)) / least, "", 1.1},
		}
		f.Readers.reset()
		for _, w := range added {
			f.retire(w)
			w.stop()
		}
		in := f.allRead(true)
		time.Sleep(2 * f.Failover)
		histogram, _ = f.Readers.moved()
		return append(figures,
			seconds("in: even after", in, 0),
			Figure{"in: moves, as a multiple of the least", float64(moves(histogram)) / least, "", 1.1},
		)
	}}
}

// brownOut makes calls of the table fail for a minute.
func brownOut(name string, failing float64, slow time.Duration) Phase {
	return Phase{name, func(f *Fleet) []Figure {
		f.Readers.reset()
		before := f.Table.meter.read()
		f.Table.hurt(failing, slow)
		time.Sleep(time.Minute)
		f.Table.hurt(0, 0)
		time.Sleep(3 * f.Failover)
		f.allRead(true)
		c := f.Table.meter.read().since(before).sum(false)
		return append(f.interruptions(1), Figure{"read units until a moment after", c.Read, "", 0}, Figure{"write units until a moment after", c.Write, "", 0})
	}}
}

// reshard splits all shards within a minute.
func reshard() Phase {
	return Phase{"all shards split", func(f *Fleet) []Figure {
		parents := f.shards
		before := f.Table.meter.read()
		for n := range parents {
			f.Stream.split(n)
			time.Sleep(time.Minute / time.Duration(parents))
		}
		f.shards = 2 * parents
		read := f.allRead(false)
		even := read + f.allRead(true)
		c := f.Table.meter.read().since(before)
		lists := c[streamCalls+"ListShards"]
		return []Figure{
			seconds("all children read after the last split", read, time.Minute),
			seconds("spread evenly after", even, 0),
			{"calls of ListShards", float64(lists.Calls), "", 0},
			{"of these throttled", float64(lists.Refused), "", 0},
		}
	}}
}

// loadShares are the loads of the workers by bytes, as shares of their mean, in order.
func (f *Fleet) loadShares() []float64 {
	loads := slices.Sorted(maps.Values(f.Readers.loads(f.Rate)))
	sum := 0.0
	for _, l := range loads {
		sum += l
	}
	for i := range loads {
		loads[i] *= float64(len(loads)) / sum
	}
	return loads
}

// uneven gives ten of a thousand shards half of the bytes.
func uneven(f *Fleet) {
	f.Rate = func(shard string) float64 {
		if strings.HasSuffix(shard, "00") {
			return 9.9e6
		}
		return 100e3
	}
}

// balance runs the fleet with unequal loads and noise: long enough to learn them, and then for a while.
func balance(learn, d time.Duration) Phase {
	return Phase{"unequal loads", func(f *Fleet) []Figure {
		uneven(f)
		f.Noise = 0.3
		time.Sleep(learn)
		f.Readers.reset()
		worst := 0.0
		for range int(d / time.Minute) {
			time.Sleep(time.Minute)
			worst = max(worst, slices.Max(f.loadShares()))
		}
		histogram, _ := f.Readers.moved()
		return []Figure{
			{"busiest worker by bytes, as a multiple of the mean", worst, "", 1.2},
			{"moves", float64(moves(histogram)) / d.Hours(), "per hour", 2},
		}
	}}
}
