package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/checkpoint/local"
)

// Ten daemons start at once on a stream of a thousand shards, with the default failover time: within half a minute each
// reads a hundred. At rest they write their heartbeats, the leader scans the table, and the others read its heartbeat.
func TestDaemons_ShareAThousandShardsEvenlyWithinHalfAMinute(t *testing.T) {
	inBubble(t, "", "", silence{}, (*trial).share)
}

func (c *trial) share() {
	const workers, shards = 10, 1000
	var resting atomic.Bool
	var requests sync.Map // of *atomic.Int64 by operation, while resting
	memory := local.OpenMemory()
	defer memory.Close()
	store := checkpointtest.Hooked(memory, func(operation string, applied bool) error {
		if resting.Load() && !applied {
			n, _ := requests.LoadOrStore(operation, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		}
		return nil
	})
	if err := c.stream.CreateStream("wide", shards); err != nil {
		c.Fatal(err)
	}
	ctx, stop := context.WithCancel(c.Context())
	var running sync.WaitGroup
	var daemons []*Daemon
	for range workers {
		d := c.daemon(healthyStore{store}, func(c *Config) {
			// Reading is not what is tested here: a shard that was just opened reserves ten megabytes.
			c.Stream, c.ReadInterval, c.MemoryBudget = "wide", 20*time.Second, 2<<30
		})
		daemons = append(daemons, d)
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				c.Errorf("run: %v", err)
			}
		})
	}
	defer func() {
		stop()
		running.Wait()
	}()

	open := func() (counts []int, total, apart int) {
		for _, d := range daemons {
			n := len(d.shards.behind())
			counts, total = append(counts, n), total+n
		}
		return counts, total, slices.Max(counts) - slices.Min(counts)
	}
	began := time.Now()
	for {
		counts, total, apart := open()
		if total == shards && apart <= 1 {
			c.Logf("1000 shards on 10 workers after %v", time.Since(began).Round(100*time.Millisecond))
			break
		}
		if time.Since(began) > 30*time.Second {
			c.Fatalf("after 30 s the workers read %v shards", counts)
		}
		time.Sleep(100 * time.Millisecond)
	}

	time.Sleep(2 * time.Second) // what the first balance has left to do
	resting.Store(true)
	time.Sleep(10 * time.Second)
	resting.Store(false)
	text := ""
	requests.Range(func(operation, n any) bool {
		text += fmt.Sprintf(" %s %d", operation, n.(*atomic.Int64).Load())
		if n := n.(*atomic.Int64).Load(); operation == "raise complete" && n <= 2 {
			return true // one worker's
		}
		most := map[any]int64{"scan": 4, "heartbeat": 5 * workers, "worker": 8 * workers}[operation]
		if n := n.(*atomic.Int64).Load(); n > most {
			c.Errorf("%d calls of %s in ten seconds at rest, want at most %d", n, operation, most)
		}
		return true
	})
	c.Logf("calls of the store in 10 s at rest, 10 workers:%s", text)
	if counts, _, apart := open(); apart > 1 {
		c.Errorf("at rest the workers read %v shards", counts)
	}
}
