package simulate

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Readers knows which worker reads which shard, as somebody sees it who sees all workers.
type Readers struct {
	mu      sync.Mutex
	by      map[string]string // the worker that reads a shard
	last    map[string]string // the worker that was the last to begin it
	freed   map[string]time.Time
	members map[string]int // shards by worker, for those that run
	moves   map[string]int // by shard, since the last reset
	gaps    []time.Duration
}

func newReaders() *Readers {
	r := &Readers{by: make(map[string]string), last: make(map[string]string), freed: make(map[string]time.Time), members: make(map[string]int)}
	r.reset()
	return r
}

// reset begins to count moves and gaps anew.
func (r *Readers) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moves, r.gaps = make(map[string]int), nil
}

func (r *Readers) join(worker string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[worker] = 0
}

// leave notes that a worker is not to have shards any more. It may still read some.
func (r *Readers) leave(worker string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, worker)
}

func (r *Readers) begin(shard, worker string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, ok := r.by[shard]; ok { // it has lost the lease, and does not know it yet
		r.endLocked(shard, before)
	}
	r.by[shard] = worker
	if _, runs := r.members[worker]; runs {
		r.members[worker]++
	}
	if at, ok := r.freed[shard]; ok {
		r.gaps = append(r.gaps, time.Since(at))
	}
	if before := r.last[shard]; before != "" && before != worker {
		r.moves[shard]++
	}
	r.last[shard] = worker
}

func (r *Readers) end(shard, worker string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by[shard] == worker {
		r.endLocked(shard, worker)
	}
}

func (r *Readers) endLocked(shard, worker string) {
	delete(r.by, shard)
	r.freed[shard] = time.Now()
	if _, runs := r.members[worker]; runs {
		r.members[worker]--
	}
}

// lose notes that a worker is gone, with everything that it read.
func (r *Readers) lose(worker string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for shard, by := range r.by {
		if by == worker {
			r.endLocked(shard, worker)
		}
	}
}

// state returns how many shards are read by workers that run, and the fewest and the most shards of one.
func (r *Readers) state() (reading, fewest, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.members) == 0 {
		return 0, 0, 0
	}
	counts := slices.Collect(maps.Values(r.members))
	for _, n := range counts {
		reading += n
	}
	return reading, slices.Min(counts), slices.Max(counts)
}

// moved returns how many shards moved how often, and the gaps in which a shard was not read, in order.
func (r *Readers) moved() (histogram map[int]int, gaps []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	histogram = make(map[int]int)
	for _, n := range r.moves {
		histogram[n]++
	}
	return histogram, slices.Sorted(slices.Values(r.gaps))
}

// loads returns the sum of a rate over the shards of each worker that runs.
func (r *Readers) loads(rate func(shard string) float64) map[string]float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	sums := make(map[string]float64, len(r.members))
	for worker := range r.members {
		sums[worker] = 0
	}
	for shard, worker := range r.by {
		if _, runs := sums[worker]; runs {
			sums[worker] += rate(shard)
		}
	}
	return sums
}
