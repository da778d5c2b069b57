package lease

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
)

// obedient is a worker that follows "boss" in term 5, with the lease of shard "s", whose counter is 3.
type obedient struct {
	*Keeper
	t     *testing.T
	table *local.Store
	hold  *Hold
}

func newObedient(t *testing.T) *obedient {
	o := &obedient{t: t, table: local.OpenMemory()}
	t.Cleanup(func() { _ = o.table.Close() })
	k, err := New(Config{Worker: "me", Application: "app"}, o.table, nil, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Keeper = k
	o.beat(t.Context())
	o.adopt(checkpoint.Lead{Worker: "boss", Term: 5})
	row := checkpoint.Lease{Shard: "s", Checkpoint: "7"}
	err = o.table.CreateLeases(t.Context(), []checkpoint.Lease{row, {Shard: "free", Checkpoint: "7"}})
	for _, owner := range []string{"other", "other", "me"} {
		if err == nil {
			row, err = o.table.Acquire(t.Context(), row, owner)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	k.offerLocked(row)
	k.mu.Unlock()
	o.hold, _ = k.Take("s")
	return o
}

// state describes the lease in one word.
func (o *obedient) state() string {
	o.t.Helper()
	row, err := o.table.Lease(context.Background(), "s")
	if err != nil {
		o.t.Fatal(err)
	}
	o.mu.Lock()
	h := o.holds["s"]
	o.mu.Unlock()
	switch {
	case h == nil && row.Owner == "":
		return "released"
	case h == nil && row.Owner == "me":
		return "forgotten"
	case h == nil:
		return "another's"
	case errors.Is(h.cause, errLost):
		return "lost"
	case h.cause != nil:
		return "ending"
	case h.drained:
		return "draining"
	case h.row.Counter > 3:
		return "held anew"
	}
	return "held"
}

// told makes the worker read orders and obey them.
func (o *obedient) told(orders checkpoint.Orders) {
	o.t.Helper()
	if err := o.table.GiveOrders(o.t.Context(), "me", orders); err != nil {
		o.t.Fatal(err)
	}
	fleet := checkpoint.Fleet{Term: 5, Number: o.following.number + 1}
	o.obeyLeader(o.t.Context(), o.t.Context(), true, time.Now(), checkpoint.Worker{ID: "boss", Fleet: &fleet})
}

func TestObey_DoesWhatOrdersSayOfALease(t *testing.T) {
	mine := checkpoint.Order{Shard: "s", Owner: "me", Counter: 3}
	away := checkpoint.Order{Shard: "s", Owner: "me", Counter: 3, Away: true}
	other := checkpoint.Order{Shard: "free"}
	release := func(o *obedient) { o.hold.Release(context.Background()) }
	for _, test := range []struct {
		name   string
		before func(o *obedient)
		term   int64 // 5 unless it says otherwise
		orders []checkpoint.Order
		want   string
	}{
		{name: "to hold it", orders: []checkpoint.Order{mine}, want: "held"},
		{name: "to hold it, as it was before it was acquired", orders: []checkpoint.Order{{Shard: "s", Owner: "other", Counter: 2}}, want: "held"},
		{name: "to hand it over", orders: []checkpoint.Order{away}, want: "draining"},
		{name: "to hand it over, in an earlier term", term: 4, orders: []checkpoint.Order{away}, want: "held"},
		{name: "to hand it over, in a later term", term: 6, orders: []checkpoint.Order{away}, want: "draining"},
		{name: "to hand over what it was before a restart", orders: []checkpoint.Order{{Shard: "s", Owner: "me", Counter: 2, Away: true}}, want: "held"},
		{name: "that it was moved", orders: []checkpoint.Order{{Shard: "s", Counter: 4}}, want: "lost"},
		{name: "that another has it", orders: []checkpoint.Order{{Shard: "s", Owner: "other", Counter: 4, Away: true}}, want: "lost"},
		{name: "nothing, and it is its own", orders: []checkpoint.Order{other}, want: "held"},
		{name: "nothing, and another has it", before: func(o *obedient) {
			if _, err := o.table.Acquire(o.t.Context(), o.hold.Lease(), "other"); err != nil {
				o.t.Fatal(err)
			}
		}, want: "lost"},
		{name: "to hold it, and its reader has failed", before: release, orders: []checkpoint.Order{mine}, want: "held anew"},
		{name: "to hand it over, and it was released", before: release, orders: []checkpoint.Order{away}, want: "released"},
		{name: "to hold it, and it has ended", before: func(o *obedient) {
			o.hold.Committed(checkpoint.Range{Shard: "s", End: checkpoint.ShardEnd})
			release(o)
		}, orders: []checkpoint.Order{mine}, want: "released"},
		{name: "to hold it, and it has ended and was moved since", before: func(o *obedient) {
			o.hold.Committed(checkpoint.Range{Shard: "s", End: checkpoint.ShardEnd})
			release(o)
			row := o.hold.Lease()
			row.Owner, row.Checkpoint = "", "7"
			if _, err := o.table.Rewind(o.t.Context(), row, "5"); err != nil {
				o.t.Fatal(err)
			}
		}, orders: []checkpoint.Order{{Shard: "s", Counter: 4}}, want: "held anew"},
		{name: "to hold it, and it was forgotten", before: func(o *obedient) {
			o.mu.Lock()
			delete(o.holds, "s")
			o.mu.Unlock()
		}, orders: []checkpoint.Order{{Shard: "s", Owner: "other", Counter: 2}}, want: "held anew"},
		{name: "to release it, and it was forgotten", before: func(o *obedient) {
			o.mu.Lock()
			delete(o.holds, "s")
			o.mu.Unlock()
		}, orders: []checkpoint.Order{away}, want: "released"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newObedient(t)
				if test.before != nil {
					test.before(o)
				}
				if test.term == 0 {
					test.term = 5
				}
				o.told(checkpoint.Orders{Term: test.term, Number: 1, Leases: test.orders})
				if got := o.state(); got != test.want {
					t.Errorf("the lease is %s, want %s", got, test.want)
				}
				row, err := o.table.Lease(t.Context(), "free")
				if err != nil {
					t.Fatal(err)
				}
				if ordered := len(test.orders) > 0 && test.orders[0] == other; (row.Owner == "me") != ordered {
					t.Errorf("the free lease is %q's", row.Owner)
				}
			})
		})
	}
}

// A lease whose row has changed since the leader read it is left alone, until the leader has looked again.
func TestObey_TakesNothingFromTheLiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObedient(t)
		if _, err := o.table.Acquire(t.Context(), checkpoint.Lease{Shard: "free"}, "other"); err != nil {
			t.Fatal(err)
		}
		o.told(checkpoint.Orders{Term: 5, Number: 1, Leases: []checkpoint.Order{{Shard: "free"}, {Shard: "s", Owner: "me", Counter: 3}}})
		if row, _ := o.table.Lease(t.Context(), "free"); row.Owner != "other" || row.Counter != 1 {
			t.Errorf("the row of the other worker is %+v", row)
		}
		if left := o.following.orders.Leases; len(left) != 1 || left[0].Shard != "s" {
			t.Errorf("orders left are %+v", left)
		}
	})
}

// A new leader may have no orders for a worker yet. Those of the former leader no longer count.
func TestObey_ForgetsTheOrdersOfAFormerLeader(t *testing.T) {
	for _, term := range []int64{4, 5} {
		synctest.Test(t, func(t *testing.T) {
			o := newObedient(t)
			o.following = following{term: term, orders: checkpoint.Orders{Term: term, Leases: []checkpoint.Order{{Shard: "s", Owner: "me", Counter: 3, Away: true}}}}
			fleet := checkpoint.Fleet{Term: 5, Number: 1}
			o.obeyLeader(t.Context(), t.Context(), true, time.Now(), checkpoint.Worker{ID: "boss", Fleet: &fleet})
			if got, former := o.state(), term < 5; (got == "held") != former {
				t.Errorf("with orders of term %d in term 5 the lease is %s", term, got)
			}
		})
	}
}

// The leader takes a worker without a heartbeat for dead, and gives its leases to others.
func TestObey_TakesNothingWithoutAHeartbeat(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := newObedient(t)
			if late {
				time.Sleep(o.cfg.Failover)
			}
			o.told(checkpoint.Orders{Term: 5, Number: 1, Leases: []checkpoint.Order{{Shard: "free"}, {Shard: "s", Owner: "me", Counter: 3}}})
			if row, _ := o.table.Lease(t.Context(), "free"); (row.Owner == "me") == late {
				t.Errorf("late %v: the free lease is %q's", late, row.Owner)
			}
			if got := o.state(); got != "held" {
				t.Errorf("its own lease is %s", got)
			}
		})
	}
}

// Terms and numbers begin anew if the item that says who leads is deleted.
func TestObey_ObeysOrdersThatBeginAnew(t *testing.T) {
	for _, term := range []int64{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			o := newObedient(t)
			o.told(checkpoint.Orders{Term: 5, Number: 7, Leases: []checkpoint.Order{{Shard: "s", Owner: "me", Counter: 3}}})
			o.adopt(checkpoint.Lead{Worker: "boss", Term: term})
			err := o.table.Dismiss(t.Context(), "me")
			if err == nil {
				away := []checkpoint.Order{{Shard: "s", Owner: "me", Counter: 3, Away: true}}
				err = o.table.GiveOrders(t.Context(), "me", checkpoint.Orders{Term: term, Number: 2, Leases: away})
			}
			if err != nil {
				t.Fatal(err)
			}
			o.obeyLeader(t.Context(), t.Context(), true, time.Now(), checkpoint.Worker{ID: "boss", Fleet: &checkpoint.Fleet{Term: term, Number: 2}})
			if got := o.state(); got != "draining" {
				t.Errorf("from term 5 to term %d: the lease is %s, want draining", term, got)
			}
		})
	}
}

// Orders are given again only if obeying the earlier ones is not enough.
func TestCommand_GivesOrdersThatDiffer(t *testing.T) {
	order := func(spec string) checkpoint.Order {
		owner, counter, _ := strings.Cut(strings.TrimPrefix(spec, "-"), "/")
		return checkpoint.Order{Shard: "s", Owner: owner, Counter: int64(counter[0] - '0'), Away: spec[0] == '-'}
	}
	for _, test := range []struct {
		before, now string
		same, exact bool
	}{
		{before: "/1", now: "/1", same: true, exact: true},
		{before: "/1", now: "w/2", same: true},
		{before: "x/1", now: "w/2", same: true},
		{before: "w/1", now: "w/2", same: true}, // restarted
		{before: "/1", now: "w/3"},
		{before: "/1", now: "x/2"},
		{before: "/1", now: "/2"},
		{before: "/1", now: "-w/2"},
		{before: "-w/1", now: "w/1"},
		{before: "-w/1", now: "/1"},
		{before: "-w/1", now: "-w/1", same: true, exact: true},
	} {
		before, now := checkpoint.Orders{Leases: []checkpoint.Order{order(test.before)}}, checkpoint.Orders{Leases: []checkpoint.Order{order(test.now)}}
		if got := sameOrders("w", before, now, false); got != test.same {
			t.Errorf("from %s to %s: the same: %v, want %v", test.before, test.now, got, test.same)
		}
		if got := sameOrders("w", before, now, true); got != test.exact {
			t.Errorf("from %s to %s, exactly: the same: %v, want %v", test.before, test.now, got, test.exact)
		}
	}
}
