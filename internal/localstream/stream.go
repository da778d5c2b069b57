package localstream

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// stream is a set of shards. The open ones cover the hash ring without gaps or overlaps.
type stream struct {
	name    string
	serial  uint64
	created time.Time

	retention atomic.Int64 // nanoseconds

	mu            sync.RWMutex
	onDemand      bool
	maxRecord     int      // bytes
	shards        []*shard // by index
	open          []*shard // by first hash key
	status        string   // what the stream is doing until settled
	settled       time.Time
	minimumSecond uint64
	// consumers are the registered consumers by name, and the last one of each name that is gone.
	consumers map[string]*consumer
}

// Values of StreamStatus.
const (
	statusCreating = "CREATING"
	statusUpdating = "UPDATING"
	statusDeleting = "DELETING"
	statusActive   = "ACTIVE"
)

// statusLocked returns the StreamStatus. The caller holds the lock for reading at least.
func (s *stream) statusLocked(now time.Time) string {
	if now.Before(s.settled) {
		return s.status
	}
	return statusActive
}

// addShard opens a shard. The caller holds the lock, and sorts the open shards when all are added.
func (s *stream) addShard(first, last wide, now time.Time, ordinal uint64, parents ...*shard) *shard {
	second := max(uint64(now.Unix()), s.minimumSecond)
	s.minimumSecond = second
	stamp := shardStamp{second: second, index: uint32(len(s.shards))}
	added := &shard{
		stamp:     stamp,
		id:        shardID(len(s.shards)),
		first:     first,
		last:      last,
		parents:   parents,
		created:   now,
		startsAt:  ordinal,
		startText: stamp.sequence(ordinal).String(),
		newest:    ordinal,
		retention: &s.retention,
	}
	s.shards = append(s.shards, added)
	s.open = append(s.open, added)
	return added
}

func (s *stream) sortOpen() {
	slices.SortFunc(s.open, func(a, b *shard) int { return a.first.compare(b.first) })
}

// route returns the open shard that owns a hash key. The caller holds the lock for reading at least.
func (s *stream) route(key wide) *shard {
	i := sort.Search(len(s.open), func(i int) bool { return s.open[i].first.compare(key) > 0 })
	return s.open[i-1]
}

// split closes a shard and opens two: up to the key, and from the key on. The caller holds the lock.
func (s *stream) split(parent *shard, at wide, now time.Time, next func() uint64) {
	end := next()
	low := s.addShard(parent.first, at.minusOne(), now, next(), parent)
	high := s.addShard(at, parent.last, now, next(), parent)
	s.retire(parent, now, end, low, high)
	s.sortOpen()
}

// merge closes two neighbours, left before right on the hash ring, and opens one in their place. The first argument of
// MergeShards is the parent, the other the adjacent parent, in either order. The caller holds the lock.
func (s *stream) merge(parent, adjacent *shard, now time.Time, next func() uint64) *shard {
	left, right := parent, adjacent
	if right.first.compare(left.first) < 0 {
		left, right = right, left
	}
	end := next()
	child := s.addShard(left.first, right.last, now, next(), parent, adjacent)
	s.retire(parent, now, end, child)
	s.retire(adjacent, now, end, child)
	s.sortOpen()
	return child
}

func (s *stream) retire(parent *shard, now time.Time, ordinal uint64, children ...*shard) {
	parent.close(ordinal, now, children...)
	s.open = slices.DeleteFunc(s.open, func(o *shard) bool { return o == parent })
}

// rescale splits and merges until count equal shards are open. If old and new borders differ, some shards exist only
// during this call, as the API reference of UpdateShardCount describes. The caller holds the lock.
func (s *stream) rescale(count int, now time.Time, next func() uint64) {
	for i := 1; i < count; i++ {
		border := hashBoundary(i, count)
		if owner := s.route(border); owner.first != border {
			s.split(owner, border, now, next)
		}
	}
	for i := range count {
		first := hashBoundary(i, count)
		last := maxHashKey
		if i+1 < count {
			last = hashBoundary(i+1, count).minusOne()
		}
		for merged := s.route(first); merged.last != last; {
			merged = s.merge(merged, s.route(merged.last.plusOne()), now, next)
		}
	}
}

// find returns a shard by its id if it is not expired. The caller holds the lock for reading at least.
func (s *stream) find(id string, now time.Time) (*shard, bool) {
	i := sort.Search(len(s.shards), func(i int) bool { return s.shards[i].id >= id })
	if i == len(s.shards) || s.shards[i].id != id || s.expired(s.shards[i], now) {
		return nil, false
	}
	return s.shards[i], true
}

// expired reports whether all records of a closed shard are older than the retention period, so that it is no longer
// listed.
func (s *stream) expired(sh *shard, now time.Time) bool {
	closed, at, _ := sh.ending()
	return closed && now.Sub(at) > time.Duration(s.retention.Load())
}
