package lease

import (
	"cmp"
	"slices"
	"strings"

	"aws-streaming-pipeline/checkpoint"
)

// view is what one worker knows after a scan.
type view struct {
	self string
	live []string // this worker included, ordered
	rows []checkpoint.Lease
	held map[string]holdState // by shard
	most int                  // most leases per worker; 0 for no bound

	dead    func(worker string) bool
	open    func(row checkpoint.Lease) bool // the shard can be read: it is there, and its parents are done
	trimmed func(row checkpoint.Lease) bool // the shard has left the stream unfinished
	passed  func(row checkpoint.Lease) bool // nothing is left to be read of the shard
	stale   func(row checkpoint.Lease) bool // the row was read before this worker released it
}

// holdState is the state of a hold whose reader has not released.
type holdState struct {
	active  bool // the lease is held
	drained bool // the reader was asked to end
	returns bool // the lease is not held, but will be again once the reader has ended
}

// plan is what to do after a scan.
type plan struct {
	share   int                // leases that this worker should hold
	own     []checkpoint.Lease // rows in this worker's name that it does not hold, after an answer was lost
	free    []checkpoint.Lease // rows to be acquired, in this order
	stray   []checkpoint.Lease // own rows that cannot be worked on
	trimmed []string           // held shards that no longer exist
	lack    int                // how many to acquire; negative: how many to drain
}

// plan computes the worker's share and the steps towards it. All workers that see the same rows compute shares that add
// up and differ by at most one.
func (v *view) plan() plan {
	var p plan
	counts := make(map[string]int, len(v.live))
	total, going := 0, 0
	for _, row := range v.rows {
		hold, busy := v.held[row.Shard]
		mine := row.Owner == v.self
		switch {
		case hold.active && v.trimmed(row):
			p.trimmed = append(p.trimmed, row.Shard)
			continue
		case hold.active:
			counts[v.self]++
			going += count(hold.drained)
		case v.passed(row):
			if mine && !busy && !v.stale(row) {
				p.stray = append(p.stray, row)
			}
			continue
		case !mine && row.Owner != "" && !v.dead(row.Owner):
			counts[row.Owner]++
		case !v.open(row):
			if mine && !busy && !v.stale(row) {
				p.stray = append(p.stray, row)
			}
			continue
		case mine && v.stale(row):
			// Released since the scan; the next scan shows who owns it now.
		case busy:
			// Its reader is ending: the lease comes back after a restart, and is free otherwise.
			counts[v.self] += count(hold.returns)
		case mine:
			p.own = append(p.own, row)
		default:
			p.free = append(p.free, row)
		}
		total++
	}
	kept := counts[v.self] - going
	counts[v.self] += len(p.own)
	p.share = v.share(counts, total)
	p.lack = p.share - kept
	v.order(p.free)
	return p
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// share divides the leases among the live workers. If they do not divide evenly, those who hold most get one more, so
// that nothing moves without need; with equal counts the ids decide.
func (v *view) share(counts map[string]int, total int) int {
	ranked := slices.Clone(v.live)
	slices.SortFunc(ranked, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	share := total / len(ranked)
	if slices.Index(ranked, v.self) < total%len(ranked) {
		share++
	}
	if v.most > 0 {
		share = min(share, v.most)
	}
	return share
}

// order rotates the free rows so that each worker begins at a different place: workers that start together then do not
// all try for the same rows.
func (v *view) order(free []checkpoint.Lease) {
	slices.SortFunc(free, func(a, b checkpoint.Lease) int { return strings.Compare(a.Shard, b.Shard) })
	start := len(free) * slices.Index(v.live, v.self) / len(v.live)
	turned := slices.Concat(free[start:], free[:start])
	copy(free, turned)
}
