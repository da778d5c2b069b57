package registry

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// Bounds of a generation of the cache. What is in it was used since it began; there are two of them.
const (
	generationCount = 512
	generationBytes = 2 << 20 // of definitions; what is made of them takes some ten times as much
)

// forgetUnknown is how long a version that the registry does not have is taken for unknown without another look.
const forgetUnknown = time.Minute

// cache keeps the versions that were used last. It is safe for concurrent use.
type cache struct {
	mu           sync.RWMutex
	young, older map[uuid.UUID]cached
	bytes        int // of the young ones
}

type cached struct {
	*version
	bytes int
	until time.Time // zero: for ever, since a version never changes
}

// get returns a version, if it is here.
func (c *cache) get(id uuid.UUID) (*version, bool) {
	c.mu.RLock()
	v, young := c.young[id]
	old, ok := c.older[id]
	c.mu.RUnlock()
	if !young && !ok {
		return nil, false
	}
	if !young {
		v = old
		c.put(id, v) // it is in use
	}
	if !v.until.IsZero() && !time.Now().Before(v.until) {
		return nil, false
	}
	return v.version, true
}

// put keeps a version, and forgets those not used for long if there is no room.
func (c *cache) put(id uuid.UUID, v cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= generationCount || c.bytes+v.bytes > generationBytes {
		c.young, c.older, c.bytes = make(map[uuid.UUID]cached), c.young, 0
	}
	c.young[id] = v
	c.bytes += v.bytes
}
