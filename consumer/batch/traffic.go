package batch

import (
	"math"
	"time"
)

const (
	// trafficHalfLife is the time of arrival after which older records count half as much.
	trafficHalfLife = 5 * time.Minute
	// shortestSample is the least time for which the first records of a shard are taken: a few that arrived at once say little.
	shortestSample = time.Minute
)

// traffic is a shard's traffic as a row shows it: Load and Arrival of checkpoint.Lease.
type traffic struct {
	load    int64
	arrival time.Time
}

// after returns the load after records of the given size, which are all that arrived since: an exponential average over the
// time of arrival. So it is the traffic of the shard, however fast the records are read.
//
// Arrival times are approximate and need not ascend (Amazon Kinesis API Reference, Record). Records that arrived in no time
// add what they would have added within a short one.
func (t traffic) after(bytes int64, first, last time.Time) int64 {
	since := t.arrival
	if since.IsZero() {
		since = first
	}
	took := last.Sub(since)
	if t.load == 0 {
		return whole(float64(bytes) / max(took, shortestSample).Seconds())
	}
	took = max(took, time.Millisecond)
	kept := math.Exp2(-float64(took) / float64(trafficHalfLife))
	return whole(float64(t.load)*kept + float64(bytes)/took.Seconds()*(1-kept))
}

// whole is never 0, which means that the load is not known.
func whole(load float64) int64 { return max(1, int64(math.Round(load))) }
