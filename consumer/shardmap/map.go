package shardmap

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// confirmations is the number of consecutive complete listings that must omit a shard before it counts as absent.
const confirmations = 3

// Map remembers the shards of a stream over successive listings. It is safe for concurrent use.
type Map struct {
	mu       sync.RWMutex
	shards   map[string]entry
	listings int
	first    time.Time // of the first listing
	last     time.Time // of the latest
}

type entry struct {
	Shard
	unseen bool      // expected, and in no listing so far
	missed int       // consecutive listings that omitted it
	gone   time.Time // time of the first of them
}

// NewMap returns a Map that has seen no listing.
func NewMap() *Map { return &Map{shards: make(map[string]entry)} }

// Update adds a complete listing that was read at the given time. It reports whether anything changed: a shard
// appeared, closed, came back or became absent.
func (m *Map) Update(at time.Time, listed []Shard) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listings == 0 {
		m.first = at
	}
	m.last = at
	m.listings++
	// Shards that were never listed become absent just by the number of listings.
	news = m.listings == confirmations

	present := make(map[string]bool, len(listed))
	for _, s := range listed {
		present[s.ID] = true
		before, known := m.shards[s.ID]
		news = news || !known || before.unseen || before.Closed != s.Closed || before.missed >= confirmations
		m.shards[s.ID] = entry{Shard: s}
	}
	for id, e := range m.shards {
		if present[id] {
			continue
		}
		if e.missed == 0 {
			e.gone = at
		}
		e.missed++
		news = news || e.missed == confirmations
		m.shards[id] = e
	}
	return news
}

// Expect names shards that other workers know of. A shard that no listing has shown may be younger than the last
// listing: it is absent only once enough further listings omit it. Expect reports whether some were unknown.
func (m *Map) Expect(ids []string) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if _, known := m.shards[id]; !known {
			m.shards[id] = entry{Shard: Shard{ID: id}, unseen: true}
			news = true
		}
	}
	return news
}

// Listed returns the shards of the latest listing, ordered by id, and the time when it was read. The time is zero
// before the first.
func (m *Map) Listed() ([]Shard, time.Time) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	listed := make([]Shard, 0, len(m.shards))
	for _, e := range m.shards {
		if e.missed == 0 && !e.unseen {
			listed = append(listed, e.Shard)
		}
	}
	slices.SortFunc(listed, func(a, b Shard) int { return strings.Compare(a.ID, b.ID) })
	return listed, m.last
}

// Shard returns the shard as the last listing that included it showed it.
func (m *Map) Shard(id string) (Shard, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, ok := m.shards[id]
	return e.Shard, ok && !e.unseen
}

// Absent reports whether the shard is confirmed not to be part of the stream: enough complete listings in a row omitted
// it. The time is that of the first of them.
func (m *Map) Absent(id string) (since time.Time, absent bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e, known := m.shards[id]; known {
		return e.gone, e.missed >= confirmations
	}
	return m.first, m.listings >= confirmations
}

// Uncertain reports whether some shard's absence is neither confirmed nor refuted, so that the next listing should come
// soon.
func (m *Map) Uncertain() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, e := range m.shards {
		if (e.missed > 0 || e.unseen) && e.missed < confirmations {
			return true
		}
		if m.listings >= confirmations {
			continue
		}
		for _, parent := range e.Parents {
			if _, known := m.shards[parent]; !known {
				return true
			}
		}
	}
	return m.listings == 0
}
