package budget_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
)

// acquire starts an Acquire and returns a function that reports whether it is through.
func acquire(t *testing.T, ctx context.Context, b *budget.Budget, n int64) (done func() bool, result <-chan error) {
	t.Helper()
	var through atomic.Bool
	c := make(chan error, 1)
	go func() {
		c <- b.Acquire(ctx, n)
		through.Store(true)
	}()
	return func() bool {
		synctest.Wait()
		return through.Load()
	}, c
}

func starved(b *budget.Budget) bool {
	select {
	case <-b.Starved():
		return true
	default:
		return false
	}
}

func TestAcquire_WaitsForRoomInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100, nil)
		b.Add(budget.Encoding, 90)
		large, _ := acquire(t, t.Context(), b, 30)
		if large() {
			t.Fatal("30 bytes got into 10")
		}
		small, _ := acquire(t, t.Context(), b, 5)
		if small() {
			t.Fatal("a small one went past a large one that came first")
		}
		if !b.Over() {
			t.Fatal("nobody is told that somebody waits")
		}
		b.Release(budget.Encoding, 20)
		if !large() || small() {
			t.Fatalf("of 30 bytes held for the first, through are: large %t, small %t", large(), small())
		}
		b.Release(budget.Encoding, 5)
		if !small() {
			t.Fatal("5 bytes did not get into 5")
		}
		if b.Used() != 100 || b.Held(budget.Received) != 35 {
			t.Fatalf("%d bytes are used, %d received", b.Used(), b.Held(budget.Received))
		}
	})
}

// What is received becomes blocks and parts while it is still held: it must leave them their room.
func TestAcquire_LeavesRoomForWhatBecomesOfTheReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(800, nil)
		if first, _ := acquire(t, t.Context(), b, 300); !first() {
			t.Fatal("three eighths were not let in")
		}
		second, _ := acquire(t, t.Context(), b, 1)
		if second() {
			t.Fatal("more than three eighths are received")
		}
		b.Release(budget.Received, 1)
		if !second() {
			t.Fatal("a byte did not get into one")
		}
	})
}

func TestAcquire_LetsInWhatIsLargerThanTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100, nil)
		b.Add(budget.Block, 51)
		huge, _ := acquire(t, t.Context(), b, 1000)
		if huge() {
			t.Fatal("it got in while more than half was taken")
		}
		b.Release(budget.Block, 1)
		if !huge() {
			t.Fatal("it did not get in with half the budget free")
		}
	})
}

func TestAcquireSpare_LeavesRoomAndTakesNobodysTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100, nil) // 36 of it for what is received
		if !b.AcquireSpare(18) || b.Over() {
			t.Error("half of the share is refused, or is time to seal blocks")
		}
		if b.AcquireSpare(10) {
			t.Error("the room of another answer is taken for what may as well come later")
		}
		b.Release(budget.Received, 18)
		b.Add(budget.Block, 60)
		if b.AcquireSpare(16) {
			t.Error("the last quarter is taken for what may as well come later")
		}
		waits, result := acquire(t, t.Context(), b, 50)
		if waits() || b.AcquireSpare(1) {
			t.Error("room is given past somebody who waits")
		}
		b.Release(budget.Block, 60)
		if err := <-result; err != nil || b.Held(budget.Received) != 50 {
			t.Errorf("%v, %d bytes held", err, b.Held(budget.Received))
		}
		b.Release(budget.Received, 50)
		if !b.AcquireSpare(18) {
			t.Error("room that is to spare is refused")
		}
	})
}

func TestAcquire_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100, nil)
		b.Add(budget.Sending, 90)
		ctx, cancel := context.WithCancelCause(t.Context())
		first, result := acquire(t, ctx, b, 50)
		if first() {
			t.Fatal("50 bytes got into 10")
		}
		behind, _ := acquire(t, t.Context(), b, 10)
		if behind() {
			t.Fatal("a small one went past a large one that came first")
		}
		stopped := errors.New("stopped")
		cancel(stopped)
		if err := <-result; err != stopped {
			t.Fatalf("acquire gave %v", err)
		}
		if !behind() {
			t.Fatal("who fits still waits behind one that has left")
		}
		if b.Held(budget.Received) != 10 {
			t.Fatalf("%d bytes are received", b.Held(budget.Received))
		}
	})
}

// Starvation is when waiting alone will never make room.
func TestStarved_OnlyWhenNothingMoves(t *testing.T) {
	for name, test := range map[string]struct {
		account budget.Account
		want    bool
	}{
		"received bytes become blocks":         {budget.Received, false},
		"open blocks stand":                    {budget.Block, true},
		"blocks are being encoded":             {budget.Encoding, false},
		"unfinished parts stand":               {budget.Part, true},
		"parts on their way to S3 will arrive": {budget.Sending, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := budget.New(100, nil)
				b.Add(test.account, 90)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if starved(b) {
					t.Fatal("starved without anybody waiting")
				}
				done, _ := acquire(t, ctx, b, 50)
				if done() {
					t.Fatal("it got in")
				}
				if got := starved(b); got != test.want {
					t.Fatalf("starved: %t", got)
				}
				// What moves comes to a stand, and then there is starvation.
				b.Move(test.account, budget.Part, 90)
				if !starved(b) {
					t.Fatal("not starved when all stands")
				}
			})
		})
	}
}

func TestAwaitRoom_WaitsOnlyForWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100, nil)
		b.Add(budget.Part, 200)
		if err := b.AwaitRoom(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Add(budget.Sending, 60)
		var through atomic.Bool
		go func() {
			if err := b.AwaitRoom(t.Context()); err != nil {
				t.Error(err)
			}
			through.Store(true)
		}()
		synctest.Wait()
		if through.Load() {
			t.Fatal("it did not wait")
		}
		b.Release(budget.Sending, 30)
		synctest.Wait()
		if through.Load() {
			t.Fatal("it did not wait for the rest")
		}
		b.Release(budget.Sending, 30)
		synctest.Wait()
		if !through.Load() {
			t.Fatal("it waits for parts that nobody sends")
		}

		// The context of an upload ends with what went wrong with it, and that is what its caller has to hear.
		gone := errors.New("the upload is gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		b.Add(budget.Sending, 60)
		time.AfterFunc(time.Second, func() { cancel(gone) })
		if err := b.AwaitRoom(ctx); err != gone {
			t.Fatalf("awaiting room gave %v", err)
		}
		b.Release(budget.Sending, 60)
		if err := b.AwaitRoom(ctx); err != gone {
			t.Fatalf("with nothing on its way, awaiting room gave %v", err)
		}
	})
}

// Whatever the order of things, the limit holds and nobody is forgotten.
func TestBudget_HoldsItsLimitUnderManyAcquirers(t *testing.T) {
	const limit, goroutines, rounds = 1000, 16, 300
	b := budget.New(limit, nil)
	var acquired atomic.Int64
	var busy sync.WaitGroup
	for g := range goroutines {
		busy.Go(func() {
			for i := range rounds {
				n := int64(1 + (g*31+i*17)%400)
				if err := b.Acquire(t.Context(), n); err != nil {
					t.Error(err)
					return
				}
				if sum := acquired.Add(n); sum > limit {
					t.Errorf("%d bytes are acquired at the same time", sum)
				}
				b.Move(budget.Received, budget.Encoding, n)
				acquired.Add(-n)
				b.Release(budget.Encoding, n)
			}
		})
	}
	busy.Wait()
	if b.Used() != 0 {
		t.Errorf("%d bytes are left", b.Used())
	}
}

func TestBudget_ShowsItselfInTheMetrics(t *testing.T) {
	m := metrics.New(prometheus.NewRegistry())
	b := budget.New(1000, m)
	b.Add(budget.Block, 10)
	b.Move(budget.Block, budget.Encoding, 4)
	b.Add(budget.Disk, 7)
	if b.Used() != 10 {
		t.Errorf("%d bytes are used: what lies on disk is none of them", b.Used())
	}
	for where, want := range map[string]float64{"block": 10, "spool": 7, "part": 0, "received": 0} {
		if got := gauge(t, m.BufferedBytes.WithLabelValues(where)); got != want {
			t.Errorf("%s shows %v, not %v", where, got, want)
		}
	}
	if got := gauge(t, m.MemoryBudget); got != 1000 {
		t.Errorf("the limit is shown as %v", got)
	}
}

func gauge(t *testing.T, g prometheus.Gauge) float64 {
	t.Helper()
	var m dto.Metric
	if err := g.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetGauge().GetValue()
}
