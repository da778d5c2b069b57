package lease_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/consumer/lease"
)

// Workers come, go, die, freeze, lose the store and lose answers, in an order that the seed decides. Whatever happened,
// in the end the fleet must be balanced, read what the table says, and come to rest.
func TestKeeper_AFleetComesToRestWhateverHappened(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { restless(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func restless(t *testing.T, random *rand.Rand) {
	const shards = 30
	f := newFleet(t, shards)
	defer f.end()
	alive := []*worker{f.start("w0"), f.start("w1"), f.start("w2")}
	var faults atomic.Int64
	// away fails one call in n, in an order of its own.
	away := func(n int) func(string) error {
		var mu sync.Mutex
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		return func(string) error {
			mu.Lock()
			defer mu.Unlock()
			if own.IntN(n) != 0 {
				return nil
			}
			faults.Add(1)
			return errAway
		}
	}
	for step := range 40 {
		time.Sleep(time.Duration(random.IntN(8000)) * time.Millisecond)
		w := alive[random.IntN(len(alive))]
		switch random.IntN(8) {
		case 0:
			alive = append(alive, f.start(fmt.Sprintf("w%d", step+3)))
		case 1, 2:
			if len(alive) == 1 {
				continue
			}
			alive = without(alive, w)
			if random.IntN(2) == 0 {
				w.stop()
			} else {
				w.kill()
			}
		case 3:
			w.freeze()
		case 4:
			w.thaw()
		case 5:
			w.store.loseAnswers(away(3))
		case 6:
			w.store.fail(away(2))
		case 7:
			for _, shard := range w.reading() {
				if h := w.reader(shard); h != nil && random.IntN(3) == 0 {
					h.Restart("the batch was dropped")
				}
			}
		}
	}
	if faults.Load() == 0 {
		t.Fatal("no fault was met")
	}

	var ids []string
	for _, w := range alive {
		w.store.fail(nil)
		w.store.loseAnswers(nil)
		w.thaw()
		ids = append(ids, w.id)
	}
	time.Sleep(2 * time.Minute)
	f.balanced(shards, ids...)
	f.consistent(alive)
	before := f.rows()
	time.Sleep(10 * time.Minute)
	for shard, row := range f.rows() {
		if row.Counter != before[shard].Counter {
			t.Errorf("shard %s still moves: %+v, before %+v", shard, row, before[shard])
		}
	}
}

func without(workers []*worker, w *worker) []*worker {
	var rest []*worker
	for _, other := range workers {
		if other != w {
			rest = append(rest, other)
		}
	}
	return rest
}

// consistent fails unless each row's owner has a reader with the row's counter, and no other worker has one.
func (f *fleet) consistent(alive []*worker) {
	f.t.Helper()
	for shard, row := range f.rows() {
		for _, w := range alive {
			h := w.reader(shard)
			switch {
			case (h != nil) != (row.Owner == w.id):
				f.t.Errorf("shard %s is %q's, and %s reads it: %v", shard, row.Owner, w.id, h != nil)
			case h != nil && h.Lease().Counter != row.Counter:
				f.t.Errorf("shard %s has counter %d, its reader %d", shard, row.Counter, h.Lease().Counter)
			}
		}
	}
}

var _ lease.Stream = (*stream)(nil)
