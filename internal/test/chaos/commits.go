package chaos

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// recent is how long after its last commit a shard counts as owned by the daemon that made it.
const recent = 10 * time.Second

// commits records which daemon committed each shard last, and how long after a daemon's death the next commit takes.
type commits struct {
	mu    sync.Mutex
	last  map[string]commit    // by shard
	since map[string]time.Time // death of the owner, by shard
	took  []time.Duration      // from a death to the next commit
	count int
}

type commit struct {
	worker int
	at     time.Time
}

func newCommits() *commits {
	return &commits{last: map[string]commit{}, since: map[string]time.Time{}}
}

// made records a commit that the store has accepted.
func (c *commits) made(worker int, shards []string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	for _, shard := range shards {
		if died, waiting := c.since[shard]; waiting {
			delete(c.since, shard)
			c.took = append(c.took, now.Sub(died))
		}
		c.last[shard] = commit{worker, now}
	}
}

// died records that a daemon was killed.
func (c *commits) died(worker int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for shard, last := range c.last {
		if _, waiting := c.since[shard]; !waiting && last.worker == worker && now.Sub(last.at) < recent {
			c.since[shard] = now
		}
	}
}

// recovery describes the times from a daemon's death to the next commit of the same shards.
func (c *commits) recovery() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.took) == 0 {
		return "none"
	}
	slices.Sort(c.took)
	at := func(q float64) time.Duration {
		return c.took[int(q*float64(len(c.took)-1))].Round(10 * time.Millisecond)
	}
	return fmt.Sprintf("%d shards, median %v, 95%% %v, longest %v", len(c.took), at(0.5), at(0.95), at(1))
}
