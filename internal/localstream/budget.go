package localstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// budget limits the memory of the records of all shards. It does not take any stream's lock, and takes a shard's lock
// only while it holds no other shard's, so that puts may request memory while they hold their stream.
type budget struct {
	max    int64
	policy Policy
	used   atomic.Int64
	// reclaiming lets one caller at a time look for segments to drop.
	reclaiming sync.Mutex

	mu     sync.Mutex
	shards map[*shard]struct{} // those that hold or held segments
	// refused is closed when a put does not fit; nil if nobody waits for that.
	refused chan struct{}
}

func newBudget(max int64, policy Policy) *budget {
	return &budget{max: max, policy: policy, shards: map[*shard]struct{}{}}
}

// maxArena is the largest arena for several records: small enough that some segments always fit.
func (b *budget) maxArena() int { return int(min(maxArenaBytes, b.max/8)) }

// grow reserves memory for a segment of a shard, and frees some by the policy if necessary.
func (b *budget) grow(target *shard, bytes int64, now time.Time) bool {
	b.mu.Lock()
	b.shards[target] = struct{}{}
	b.mu.Unlock()
	if b.reserve(bytes) {
		return true
	}
	b.reclaiming.Lock()
	defer b.reclaiming.Unlock()
	members := b.members()
	for _, sh := range members {
		sh.mu.Lock()
		b.release(sh.expire(now))
		sh.mu.Unlock()
	}
	for !b.reserve(bytes) {
		if !b.dropOldest(members) {
			return false
		}
	}
	return true
}

// reserve reserves bytes if they are available.
func (b *budget) reserve(bytes int64) bool {
	for {
		used := b.used.Load()
		if used+bytes > b.max {
			return false
		}
		if b.used.CompareAndSwap(used, used+bytes) {
			return true
		}
	}
}

func (b *budget) release(bytes int64) { b.used.Add(-bytes) }

// pressure returns a channel that is closed when a put does not fit.
func (b *budget) pressure() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refused == nil {
		b.refused = make(chan struct{})
	}
	return b.refused
}

// refuse signals that a put did not fit.
func (b *budget) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refused != nil {
		close(b.refused)
		b.refused = nil
	}
}

func (b *budget) members() []*shard {
	b.mu.Lock()
	defer b.mu.Unlock()
	members := make([]*shard, 0, len(b.shards))
	for sh := range b.shards {
		members = append(members, sh)
	}
	return members
}

// dropOldest drops the segment with the oldest record among those that the policy allows. It reports false if there is
// none.
func (b *budget) dropOldest(members []*shard) bool {
	var found *shard
	var oldest int64
	for _, sh := range members {
		sh.mu.Lock()
		arrival, ok := sh.oldest(b.policy == TrimOldest)
		sh.mu.Unlock()
		if ok && (found == nil || arrival < oldest) {
			found, oldest = sh, arrival
		}
	}
	if found == nil {
		return false
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	if _, ok := found.oldest(b.policy == TrimOldest); ok {
		b.release(found.dropFirst())
	}
	return true
}

// forget drops all records of a shard that no longer exists.
func (b *budget) forget(sh *shard) {
	b.mu.Lock()
	delete(b.shards, sh)
	b.mu.Unlock()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for len(sh.segments) > 0 {
		b.release(sh.dropFirst())
	}
}
