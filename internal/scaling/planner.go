// Package scaling decides how many shards a Kinesis stream should have.
//
// A Planner is pure: from the time, the shard count, the last hour's metrics and the last day's changes, it makes a
// Decision. The caller carries it out and stores the changes.
//
// # Rules of the service
//
// From "UpdateShardCount" of the Kinesis Data Streams API Reference and "Quotas and limits" of its Developer Guide:
//
//   - not more than 10 changes in a rolling 24 hours for each stream;
//   - not more than twice, not less than half the open shards;
//   - only in provisioned mode, and only while the stream is ACTIVE;
//   - targets that are a multiple of 25% of the present count are reached fastest;
//   - a shard accepts 1 MiB and 1,000 records per second.
//
// # Policy
//
// Up at once, down slowly. A stream grows when the last two minutes, with what was refused counted as asked for, fill it
// beyond UpAt, by the smallest quarter that brings it below that again. It shrinks to what the busiest minute of the
// last DownWindow needs, if that saves a fifth or more. Both look Ahead along the trend of that window, so that a slow
// rise is climbed in few steps and nothing is given up that will be needed soon. The changes of a day are few: the fewer
// are left, the more has to be saved by shrinking, and the last Reserve are for growing alone.
//
// Metrics only describe the past minute. So a stream doubles if more than a fiftieth of the records was refused, or if the
// load has jumped by a quarter from one minute to the next and does not fit: nobody knows yet how far it will rise.
//
// Decreasing refusals after a change do not trigger another: producers are sending their backlog, and send records several
// times, so refusals say little about the load.
//
// In the simulations of the tests, with metrics that are 20 seconds late and shards that are there after 30, a doubling of
// the traffic throttles producers for less than 2 minutes: one to be measured, and these. Later metrics and slower shards
// add what they are slower by, and no cost. Producers that send again what was refused are refused some of it for up to ten
// minutes, although the shards suffice for what is new after the same two. Weeks whose days swing up to threefold, with a
// sudden doubling every day, cost 1.1 to 1.3 times the shard hours of somebody who foresees each hour. Wider swings cost
// more: ten changes a day do not follow them.
//
// Lag of the readers grows the stream only where reads are throttled, since more shards read no faster otherwise.
package scaling

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// What a shard takes, and what UpdateShardCount allows.
const (
	ShardBytesPerSecond   = 1 << 20
	shardRecordsPerSecond = 1000
	changesPerDay         = 10
	day                   = 24 * time.Hour
)

// Planner holds the policy. Default returns one that the tests try on weeks of traffic.
type Planner struct {
	MinShards, MaxShards int
	// Changes is how many a rolling day may have, changesPerDay at most unless AWS has raised the limit.
	Changes int
	// Reserve is how many of them are never used for shrinking.
	Reserve int
	// UpAt is the share of the stream's capacity beyond which it grows.
	UpAt float64
	// Ahead is how far the trend of DownWindow is carried on: the stream grows to what the load will be then.
	Ahead time.Duration
	// DownTo is the share of the capacity that the busiest minute may fill after shrinking.
	DownTo float64
	// Settle is how long after a change throttling is still that of the old shard count.
	Settle time.Duration
	// DownWindow is how long the stream must have been too large.
	DownWindow time.Duration
	// DownAfter is the shortest time from any change to the next shrinking.
	DownAfter time.Duration
	// LagLimit is the age of the last record read beyond which readers lag. They keep the stream from shrinking.
	LagLimit time.Duration
	// LagAfter is the shortest time from any change to the next growing because of lag.
	LagAfter time.Duration
}

// Default is the policy that is simulated.
func Default() Planner {
	return Planner{
		MinShards: 1, MaxShards: 100,
		Changes: changesPerDay, Reserve: 2,
		UpAt: 0.95, Ahead: 2 * time.Hour, DownTo: 0.9,
		Settle: 30 * time.Second, DownWindow: 30 * time.Minute, DownAfter: 50 * time.Minute,
		LagLimit: 5 * time.Minute, LagAfter: 15 * time.Minute,
	}
}

// Minute is what CloudWatch tells about one minute of the stream (Developer Guide, "Monitoring Kinesis Data Streams with
// CloudWatch": IncomingBytes, IncomingRecords, WriteProvisionedThroughputExceeded, GetRecords.IteratorAgeMilliseconds,
// ReadProvisionedThroughputExceeded).
type Minute struct {
	Start time.Time
	// Bytes and Records were accepted; Rejected records were not, because of throttling.
	Bytes, Records, Rejected float64
	// Lag is the age of the oldest record that was read.
	Lag time.Duration
	// ReadsThrottled counts GetRecords calls that were refused.
	ReadsThrottled float64
}

// demand is the number of shards that the minute would have filled, with what was refused. A producer may have sent a
// refused record several times, so it is an upper bound then.
func (m Minute) demand() float64 {
	asked := 1.0
	if m.Rejected > 0 && m.Records > 0 {
		asked += m.Rejected / m.Records
	}
	shards := max(m.Bytes/(60*ShardBytesPerSecond), m.Records/(60*shardRecordsPerSecond)) * asked
	if m.Rejected > 0 && m.Records == 0 {
		return math.Inf(1)
	}
	return shards
}

// skewed is the share of the capacity below which refused writes do not depend on the shard count.
const skewed = 0.25

// bounded is the demand of a minute that was throttled under another shard count, as far as it must be believed: well
// below twice of what was accepted. So a doubling of the shards is not followed by another for the same minute.
func (m Minute) bounded() float64 {
	m.Rejected = min(m.Rejected, believed*m.Records)
	return m.demand()
}

// believed is the share of the accepted records up to which refused ones tell how much was asked for. Beyond it nobody
// knows: the load may have doubled, or producers may have sent the same records again and again.
const believed = 0.8

// throttled reports whether more writes were refused than in a stray burst: more than one record in a thousand.
func (m Minute) throttled() bool { return m.Rejected > m.Records/1000 }

// Stream is what is known of a stream.
type Stream struct {
	// Shards counts the open ones.
	Shards int
	// Active is false while the stream is being created, changed or deleted.
	Active bool
	// OnDemand streams scale themselves.
	OnDemand bool
	// Minutes are metrics in the order of time, DownWindow and a few minutes of them. A minute of which CloudWatch tells
	// nothing at all is left out, since that is no proof of silence. What it does not tell of the others is 0.
	Minutes []Minute
	// Changes are those of the last day, in the order of time.
	Changes []time.Time
}

// Decision is a shard count with its reason. The count is the present one if nothing is to be done.
type Decision struct {
	Shards int
	// Reason is a stable word for logs and metrics.
	Reason Reason
	// Detail says the numbers behind it.
	Detail string
}

// Reason says why a decision was taken.
type Reason string

const (
	GrowLoad      Reason = "grow-load"      // writes fill the stream
	GrowThrottled Reason = "grow-throttled" // writes are refused
	GrowLag       Reason = "grow-lag"       // reads are refused and readers lag
	Grow          Reason = "grow-minimum"   // fewer shards than the minimum
	Shrink        Reason = "shrink"         // more than the last while needed
	KeepFits      Reason = "keep-fits"      // the load fits
	KeepLimit     Reason = "keep-maximum"   // more are needed than the maximum allows
	KeepSpent     Reason = "keep-spent"     // the day's changes are used up
	KeepSaving    Reason = "keep-saving"    // shrinking would use up changes kept for growing
	KeepBusy      Reason = "keep-busy"      // the stream is not active
	KeepOnDemand  Reason = "keep-on-demand" // the stream scales itself
	KeepUnknown   Reason = "keep-unknown"   // there are no metrics
	KeepLag       Reason = "keep-lag"       // readers lag, or writes were refused: no time to shrink
	KeepSkewed    Reason = "keep-skewed"    // writes are refused although the stream is nearly empty: a hot key
)

// Plan returns a decision. It never requests a change that UpdateShardCount would refuse.
func (p Planner) Plan(now time.Time, s Stream) Decision {
	switch {
	case s.OnDemand:
		return Decision{s.Shards, KeepOnDemand, "the stream is in on-demand mode"}
	case !s.Active:
		return Decision{s.Shards, KeepBusy, "the stream is being changed"}
	}
	used := p.used(now, s.Changes)
	if d, ok := p.grow(now, s); ok {
		if d.Shards > s.Shards && used >= p.Changes {
			return Decision{s.Shards, KeepSpent, fmt.Sprintf("%s to %d shards, but there were %d changes within 24 hours", d.Reason, d.Shards, used)}
		}
		return d
	}
	return p.shrink(now, s, p.Changes-used)
}

// used counts the changes of the last day.
func (p Planner) used(now time.Time, changes []time.Time) int {
	n := 0
	for _, c := range changes {
		if now.Sub(c) < day {
			n++
		}
	}
	return n
}

// last is the time of the last change; long ago if there was none.
func last(changes []time.Time) time.Time {
	if len(changes) == 0 {
		return time.Time{}
	}
	return slices.MaxFunc(changes, time.Time.Compare)
}

// grow says whether more shards are needed, be it that the maximum forbids them.
func (p Planner) grow(now time.Time, s Stream) (Decision, bool) {
	if s.Shards < p.MinShards {
		return Decision{min(p.MinShards, 2*s.Shards), Grow, fmt.Sprintf("the minimum is %d", p.MinShards)}, true
	}
	changed := last(s.Changes)
	latest := lastTwo(now, s.Minutes)
	full := p.UpAt * float64(s.Shards)
	jump := jumps(latest)
	need, reason := 0.0, KeepFits
	for _, m := range latest {
		d := m.demand()
		stale := m.Start.Before(changed.Add(p.Settle))
		// What a stale minute had refused, the last change may have answered already; what it asked for still counts.
		switch {
		case stale && jump && m.bounded() > 0.9*full, stale && m.Rejected <= believed*m.Records && d > full:
			need, reason = max(need, m.bounded()), GrowLoad
		case stale || d <= full && !m.throttled():
		case !m.throttled():
			need, reason = max(need, d), GrowLoad
		case p.answered(now, changed, latest):
		case d < skewed*float64(s.Shards):
			return Decision{s.Shards, KeepSkewed, fmt.Sprintf("writes are refused, but fill only %.2f shards: is one partition key hot?", d)}, true
		case m.Rejected > m.Records/50:
			return p.upTo(s.Shards, math.Inf(1), GrowThrottled, fmt.Sprintf("%.0f of %.0f records were refused", m.Rejected, m.Rejected+m.Records))
		default:
			need, reason = max(need, d, 1.01*full), GrowThrottled
		}
	}
	if reason == KeepFits {
		return p.growLag(now, s, latest, changed)
	}
	detail := fmt.Sprintf("the load fills %.2f shards", need)
	if p.Changes-p.used(now, s.Changes) == 1 || jump {
		need = math.Inf(1) // the last change of the day has to do, and a jump is not over within its first minute
	}
	return p.upTo(s.Shards, max(need, p.expected(now, s.Minutes))/p.UpAt, reason, detail)
}

// drain is how long producers may take to work off what they held back while they were refused: two minutes of twice what
// the stream took, with a fifteenth of the shards to spare after it was doubled.
const drain = 15 * time.Minute

// answered reports whether the last change already responds to the refusals of the last two minutes: it may not have been
// effective in both, or producers are still sending their backlog, so that fewer and fewer records are refused. Then the
// same reason does not trigger another change. Refusals that begin anew do.
func (p Planner) answered(now, changed time.Time, latest []Minute) bool {
	if now.Sub(changed) > drain {
		return false
	}
	if len(latest) < 2 {
		return true
	}
	before, last := latest[0], latest[1]
	switch {
	case !before.throttled():
		return false
	case before.Start.Before(changed.Add(p.Settle)):
		return true
	}
	return last.Rejected < 0.9*before.Rejected
}

// growLag grows by a quarter if readers lag and Kinesis refuses their reads.
func (p Planner) growLag(now time.Time, s Stream, latest []Minute, changed time.Time) (Decision, bool) {
	for _, m := range latest {
		if m.Lag > p.LagLimit && m.ReadsThrottled > 0 && now.Sub(changed) >= p.LagAfter {
			return p.upTo(s.Shards, float64(s.Shards)+0.01, GrowLag, fmt.Sprintf("readers are %v behind and refused", m.Lag))
		}
	}
	return Decision{}, false
}

// expected is the load that will be there after Ahead if it goes on as in DownWindow: a straight line through the
// minutes by least squares. It is 0 while there are too few to tell.
func (p Planner) expected(now time.Time, minutes []Minute) float64 {
	from := now.Add(-p.DownWindow)
	var n, sumX, sumY, sumXX, sumXY float64
	for _, m := range minutes {
		if m.Start.Before(from) || m.throttled() {
			continue
		}
		x, y := m.Start.Sub(now).Minutes(), m.demand()
		n, sumX, sumY, sumXX, sumXY = n+1, sumX+x, sumY+y, sumXX+x*x, sumXY+x*y
	}
	if n < p.DownWindow.Minutes()/2 {
		return 0
	}
	slope := (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	return (sumY-slope*sumX)/n + slope*p.Ahead.Minutes()
}

// lastTwo are the last two minutes, unless they are of long ago. Metrics come late, some seconds to a few minutes.
func lastTwo(now time.Time, minutes []Minute) []Minute {
	for i, m := range minutes {
		if now.Sub(m.Start) <= 4*time.Minute {
			return minutes[max(i, len(minutes)-2):]
		}
	}
	return nil
}

// jumps reports whether the load has risen by a quarter from one minute to the next. Earlier refusals have been responded
// to already.
func jumps(latest []Minute) bool {
	return len(latest) == 2 && !latest[0].throttled() && latest[1].demand() > 1.25*latest[0].demand()
}

// upTo is the smallest multiple of a quarter above the present count that holds need, within twice and the maximum.
func (p Planner) upTo(shards int, need float64, reason Reason, detail string) (Decision, bool) {
	target := 2 * shards
	for _, quarters := range []int{5, 6, 7} {
		if t := (shards*quarters + 3) / 4; float64(t) >= need {
			target = t
			break
		}
	}
	target = min(target, p.MaxShards)
	if target <= shards {
		return Decision{shards, KeepLimit, fmt.Sprintf("%s: %s, but the maximum is %d", reason, detail, p.MaxShards)}, true
	}
	return Decision{target, reason, detail}, true
}

// shrink says whether fewer shards would have done for all of the window, with so many changes left.
func (p Planner) shrink(now time.Time, s Stream, left int) Decision {
	if s.Shards > p.MaxShards {
		// The maximum was lowered. The load has to fit it, which only the operator can know.
		return p.downTo(s.Shards, p.MaxShards, left, fmt.Sprintf("the maximum is %d", p.MaxShards))
	}
	from := now.Add(-p.DownWindow - 2*time.Minute)
	window := s.Minutes
	for len(window) > 0 && window[0].Start.Before(from) {
		window = window[1:]
	}
	if len(window) == 0 {
		return Decision{s.Shards, KeepUnknown, "there are no metrics"}
	}
	peak := 0.0
	for _, m := range window {
		if m.throttled() || m.Lag > p.LagLimit {
			return Decision{s.Shards, KeepLag, "writes were refused or readers lag"}
		}
		peak = max(peak, m.demand())
	}
	fits := Decision{s.Shards, KeepFits, fmt.Sprintf("the busiest minute fills %.2f shards", peak)}
	if len(window) < int(p.DownWindow/time.Minute) || now.Sub(last(s.Changes)) < p.DownAfter {
		return fits
	}
	target := max(p.MinShards, int(math.Ceil(max(peak, p.expected(now, s.Minutes))/p.DownTo)), 1)
	if float64(s.Shards-target) < worth(left-p.Reserve)*float64(s.Shards) {
		return fits
	}
	return p.downTo(s.Shards, target, left, fits.Detail)
}

// worth is the share of the shards that shrinking has to save, with so many changes to spare. What is left after a
// doubling of the traffic has ended is worth the last one.
func worth(spare int) float64 {
	switch {
	case spare <= 1:
		return 0.35
	case spare <= 2:
		return 0.3
	}
	return 0.2
}

// downTo shrinks to the target, or half way there. It need not be a multiple of a quarter: shrinking is in no hurry.
func (p Planner) downTo(shards, target, left int, detail string) Decision {
	if left <= p.Reserve {
		return Decision{shards, KeepSaving, fmt.Sprintf("%s, but the %d changes left are kept for growing", detail, left)}
	}
	target = max(target, (shards+1)/2)
	return Decision{target, Shrink, detail}
}
