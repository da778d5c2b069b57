package consumer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/internal/localstream"
)

// Ten daemons start at once on a stream of a thousand shards, with the default failover time: within half a minute each
// reads a hundred, and at rest they ask the store for nothing but scans and heartbeats.
func TestDaemons_ShareAThousandShardsEvenlyWithinHalfAMinute(t *testing.T) {
	const workers, shards = 10, 1000
	var resting atomic.Bool
	var requests sync.Map // of *atomic.Int64 by operation, while resting
	st := newStage(t, shards, localstream.Options{})
	st.store = checkpointtest.Hooked(st.store, func(operation string, applied bool) error {
		if resting.Load() && !applied {
			n, _ := requests.LoadOrStore(operation, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		}
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var daemons []*Daemon
	began := time.Now()
	for range workers {
		d := st.daemon(func(c *Config) {
			// Reading is not what is tested here: a shard that was just opened reserves ten megabytes.
			c.ReadInterval, c.MemoryBudget = 20*time.Second, 2<<30
		})
		daemons = append(daemons, d)
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	defer func() {
		stop()
		running.Wait()
	}()

	open := func() (counts []int, least, most int) {
		least = shards
		for _, d := range daemons {
			n := len(d.shards.behind())
			counts, least, most = append(counts, n), min(least, n), max(most, n)
		}
		return counts, least, most
	}
	for deadline := began.Add(30 * time.Second); ; {
		counts, least, most := open()
		total := 0
		for _, n := range counts {
			total += n
		}
		if total == shards && most-least <= 1 {
			t.Logf("1000 shards on 10 workers after %v", time.Since(began).Round(100*time.Millisecond))
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s the workers read %v shards", counts)
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
		if operation != "scan" && operation != "heartbeat" {
			t.Errorf("%d calls of %s in ten seconds at rest", n.(*atomic.Int64).Load(), operation)
		}
		return true
	})
	t.Logf("calls of the store in 10 s at rest, 10 workers:%s", text)
	if _, least, most := open(); most-least > 1 {
		t.Errorf("at rest the workers read between %d and %d shards", least, most)
	}
}
