package kcl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	chk "github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	par "github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"
)

// tardy delays calls from the library: renewals, so that they arrive at any moment of a release or of the next session,
// and releases, so that the event loop sees the cleared owner first.
type tardy struct {
	chk.Checkpointer
	dice *dice

	renewals, late atomic.Int64 // late: when they arrived, the lease was no longer what it was
}

func (l *tardy) GetLease(s *par.ShardStatus, worker string) error {
	if s.GetLeaseOwner() != worker {
		return l.Checkpointer.GetLease(s, worker)
	}
	time.Sleep(l.dice.upTo(3 * time.Second))
	l.renewals.Add(1)
	if s.GetLeaseOwner() != worker {
		l.late.Add(1)
	}
	return l.Checkpointer.GetLease(s, worker)
}

func (l *tardy) RemoveLeaseOwner(shard string) error {
	time.Sleep(l.dice.upTo(time.Second))
	return l.Checkpointer.RemoveLeaseOwner(shard)
}

// dice is a source of chance for many goroutines. While it is calm, no fault happens.
type dice struct {
	mu   sync.Mutex
	rand *rand.Rand
	calm atomic.Bool
	hit  map[string]int
}

func newDice(seed uint64) *dice {
	return &dice{rand: rand.New(rand.NewPCG(seed, 1)), hit: map[string]int{}}
}

func (d *dice) upTo(t time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.rand.Int64N(int64(t)))
}

// falls reports whether the named fault happens now, with a chance in percent.
func (d *dice) falls(fault string, percent int) bool {
	if d.calm.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rand.IntN(100) >= percent {
		return false
	}
	d.hit[fault]++
	return true
}

// unruly makes a board do everything that a Driver and its sessions may do, and some things that they may not.
func unruly(b *board, d *dice) {
	b.next = func(ctx context.Context, s *boardSession) error {
		switch {
		case d.falls("lease lost", 4):
			return errors.New("lease lost")
		case d.falls("panic in Next", 1):
			panic("Next")
		case d.falls("shard end", 1):
			b.withdraw(s.shard)
			b.offer(s.shard + "'") // a child
			return ErrShardEnd
		case d.falls("slow Next", 5):
			time.Sleep(d.upTo(5 * time.Second)) // without regard to ctx
			return nil
		case d.falls("Next at once", 20):
			return nil
		}
		return waitSecond(ctx, s)
	}
	b.process = func(context.Context, *boardSession) error {
		switch {
		case d.falls("restart", 2):
			return errors.New("batch dropped")
		case d.falls("panic in Process", 1):
			panic("Process")
		case d.falls("slow Process", 10):
			time.Sleep(d.upTo(time.Second))
		}
		return nil
	}
	b.refuse = func(string) bool { return d.falls("not now", 20) }
	b.close = func(*boardSession) {
		if d.falls("slow Close", 20) {
			time.Sleep(d.upTo(2 * time.Second))
		}
	}
	b.panicClose = func() bool { return d.falls("panic in Close", 2) }
	b.panicOpen = func() bool { return d.falls("panic in Open", 2) }
}

// For a minute 200 shards are lost, restarted, ended, left out of listings and taken up again, while renewals and
// releases are late. A shard must never have two sessions. Then all calms down, and within a bounded number of ticks
// every offered shard is read again.
func TestEngine_InChaosReadsEachShardInOneSessionAndForgetsNone(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	const shards = 200
	d := newDice(seed)
	b := newBoard()
	for i := range shards {
		b.offer(fmt.Sprintf("shard-%03d", i))
	}
	unruly(b, d)
	e := New(testConfig, b)
	e.renewEvery = 20 * time.Millisecond
	late := &tardy{Checkpointer: e.checkpointer, dice: d}
	e.checkpointer = late
	stop := start(t, b, e)

	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		time.Sleep(d.upTo(200 * time.Millisecond))
		if shard := fmt.Sprintf("shard-%03d", d.upTo(shards)); b.isOffered(shard) && d.falls("left out of a listing", 50) {
			b.withdraw(shard)
			time.Sleep(d.upTo(300 * time.Millisecond))
			b.offer(shard)
		}
	}
	d.calm.Store(true)
	// 200 shards at one per tick of 75 ms, after the slowest Next and Close.
	time.Sleep(shards*75*time.Millisecond + 10*time.Second)

	missing := 0
	before := b.progress()
	time.Sleep(3 * time.Second)
	after := b.progress()
	for _, shard := range b.Shards() {
		if after[shard] <= before[shard] {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d shards offered are not read", missing, len(b.Shards()))
	}
	stop()
	time.Sleep(5 * time.Second) // the last renewals
	for _, fault := range []string{
		"lease lost", "panic in Next", "shard end", "slow Next", "Next at once", "restart", "panic in Process",
		"slow Process", "not now", "slow Close", "panic in Close", "panic in Open", "left out of a listing",
	} {
		if d.hit[fault] == 0 {
			t.Errorf("fault %q never happened", fault)
		}
	}
	if late.late.Load() == 0 {
		t.Errorf("none of %d renewals was late", late.renewals.Load())
	}
}

// The control: the chaos finds the fault of a checkpointer that follows only two of the three rules, and lets a renewal
// open what it finds closed. The dice do not determine the order of the goroutines: a single storm may miss it.
func TestChaos_FindsACheckpointerThatTrustsRenewals(t *testing.T) {
	const storms = 20
	for seed := range storms {
		found := false
		synctest.Test(t, func(*testing.T) { found = trustIsFound(uint64(seed)) })
		if found {
			return
		}
	}
	t.Errorf("no orphan and no second session was found in %d storms", storms)
}

// trustIsFound reports whether a storm leaves a shard without a session, or with two, under a checkpointer that trusts
// renewals.
func trustIsFound(seed uint64) bool {
	b := newBoard("a", "b", "c", "d")
	d := newDice(seed)
	b.next = func(ctx context.Context, s *boardSession) error {
		if d.falls("lease lost", 30) {
			return errors.New("lease lost")
		}
		return waitSecond(ctx, s)
	}
	e := New(testConfig, b)
	e.renewEvery = 20 * time.Millisecond
	e.cfg.StopWithin = time.Minute
	e.checkpointer = &tardy{Checkpointer: trusting{checkpointer{e.reg}}, dice: d}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	time.Sleep(2 * time.Minute)
	d.calm.Store(true)
	time.Sleep(10 * time.Second)
	before := b.progress()
	time.Sleep(3 * time.Second)
	after := b.progress()
	cancel()
	<-done
	time.Sleep(5 * time.Second) // the last renewals

	for _, shard := range b.Shards() {
		if after[shard] == before[shard] {
			return true
		}
	}
	return len(b.faults) > 0
}

// trusting is a Checkpointer whose statuses are reused after a release.
type trusting struct{ checkpointer }

func (c trusting) RemoveLeaseOwner(shard string) error {
	s := c.reg.session(shard)
	err := c.checkpointer.RemoveLeaseOwner(shard)
	if s != nil {
		s.status.SetCheckpoint("")
	}
	c.reg.mu.Lock()
	defer c.reg.mu.Unlock()
	clear(c.reg.omit)
	return err
}
