package lease

import (
	"math"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

const (
	// weighEvery is the time between two weighings: no weight changes in between.
	weighEvery = 2 * time.Minute
	// Loads are averaged over the time that they are about the same, up to steadyFor, so that what remains of the noise moves nothing. A
	// load that is more than changed times the average, or less than that part of it, counts for half after changedHalfLife, and begins
	// a new average.
	changed         = 1.5
	changedHalfLife = 2 * time.Minute
	steadyFor       = 30 * time.Minute
	// A shard of which nothing is committed for idleAfter, although its worker commits records of other shards that
	// arrived that much later, loses half of its load every idleHalfLife.
	idleAfter, idleHalfLife = 30 * time.Minute, 15 * time.Minute

	// ordinary is how many times more, or less, than the usual load a shard that weighs oneShard may have.
	ordinary = 1.5
	// drifted is how much a load must differ from a weight other than oneShard for the weight to change.
	drifted = 1.2
	// idlePart is the part of the mean load that a shard without traffic counts for: it is polled all the same.
	idlePart = 0.1
	// littleLoad, in bytes per second, is what any shard counts for at least: of less, chance and the rounding to whole bytes say too much.
	littleLoad = 1000
	// stepsPerDouble is how many weights there are between one and twice as much.
	stepsPerDouble = 8
)

// weighing is what is known of the load of a shard.
type weighing struct {
	weight     float64       // in use; zero before the first weighing
	load       float64       // bytes per second, averaged; zero if it is not known
	span       time.Duration // over which it is averaged
	checkpoint checkpoint.Position
	moved      time.Time // when the checkpoint was first seen where it is
}

// weigh sets the weights of the leases: their loads, as multiples of the usual one. That is the median, or a tenth of the mean
// if that is more, because most shards may be idle. Most shards of a stream differ little, and weigh the same: then leases are shared by
// count. A load that is not known counts as the median.
func (a *assigner) weigh(v fleetView) {
	weight := float64(1)
	a.observe(v.now)
	if a.renewed.IsZero() || v.now.Sub(a.renewed) >= weighEvery {
		a.renewed = v.now
		a.renew(v.now)
	}
	mixed := slices.ContainsFunc(v.members, func(m member) bool { return !m.follows })
	for i := range a.leases {
		l := &a.leases[i]
		if l.memory.weight == 0 {
			l.memory.weight = oneShard
		}
		if weight = l.memory.weight; mixed {
			weight = oneShard
		}
		l.weight = weight
	}
}

// observe follows the loads that the rows show.
func (a *assigner) observe(now time.Time) {
	took := now.Sub(a.observed)
	a.observed = now
	for i := range a.leases {
		row, m := a.leases[i].row, a.leases[i].memory
		if m.checkpoint != row.Checkpoint || m.moved.IsZero() {
			m.checkpoint, m.moved = row.Checkpoint, now
		}
		switch load := float64(row.Load); {
		case load <= 0:
		case m.load == 0:
			m.load, m.span = load, 0
		case load > m.load*changed || load < m.load/changed:
			m.load += (load - m.load) * (1 - math.Exp2(-float64(took)/float64(changedHalfLife)))
			m.span = 0
		default:
			m.span = min(m.span+took, steadyFor)
			m.load += (load - m.load) * min(1, float64(took)/float64(max(m.span, 1)))
		}
	}
}

// renew computes the weights from the loads.
func (a *assigner) renew(now time.Time) {
	newest := make(map[string]time.Time) // arrival, by worker
	for i := range a.leases {
		if row := a.leases[i].row; row.Arrival.After(newest[row.Owner]) {
			newest[row.Owner] = row.Arrival
		}
	}
	var known []float64
	for i := range a.leases {
		l := &a.leases[i]
		l.load = l.memory.load * l.activity(now, newest[l.row.Owner])
		if l.load > 0 {
			l.load = max(l.load, littleLoad)
			known = append(known, l.load)
		}
	}
	if len(known) == 0 {
		for i := range a.leases {
			a.leases[i].memory.weight = oneShard
		}
		return
	}
	slices.Sort(known)
	median, sum := known[len(known)/2], 0.0
	for i := range a.leases {
		l := &a.leases[i]
		if l.load == 0 {
			l.load = median * l.activity(now, newest[l.row.Owner])
		}
		sum += l.load
	}
	mean := sum / float64(len(a.leases))
	usual := max(median, mean/10)
	for i := range a.leases {
		m := a.leases[i].memory
		m.weight = reweigh(m.weight, max(a.leases[i].load, idlePart*mean)/usual)
	}
}

// activity is the part of its load that a shard still has, if nothing of it is committed for long while its worker commits records that
// arrived later.
func (l *lease) activity(now, newest time.Time) float64 {
	if newest.IsZero() {
		return 1
	}
	idle := now.Sub(l.memory.moved)
	if !l.row.Arrival.IsZero() {
		idle = min(idle, newest.Sub(l.row.Arrival))
	}
	return math.Exp2(-float64(max(0, idle-idleAfter)) / float64(idleHalfLife))
}

// reweigh returns the weight of a shard with so many times the usual load. The weight that was in use stays until the load
// has clearly left it.
func reweigh(weight, ratio float64) float64 {
	within := func(center, factor float64) bool { return ratio <= center*factor && ratio >= center/factor }
	switch {
	case (weight == 0 || weight == oneShard) && within(oneShard, ordinary), within(oneShard, drifted):
		return oneShard
	case weight != 0 && weight != oneShard && within(weight, drifted):
		return weight
	}
	return math.Exp2(math.Round(math.Log2(ratio)*stepsPerDouble) / stepsPerDouble)
}
