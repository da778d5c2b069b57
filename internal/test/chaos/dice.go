package chaos

import (
	"math/rand/v2"
	"sync"
	"time"
)

// dice is a source of chance for many goroutines.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newDice(seed, stream uint64) *dice { return &dice{rng: rand.New(rand.NewPCG(seed, stream))} }

// below is a number from 0 to n-1.
func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}

func (d *dice) upTo(t time.Duration) time.Duration { return d.between(0, t) }

func (d *dice) between(low, high time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return low + time.Duration(d.rng.Int64N(int64(high-low)+1))
}

func (d *dice) pick(choices ...string) string { return choices[d.below(len(choices))] }

func shuffle[T any](d *dice, list []T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}
