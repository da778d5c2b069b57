package checkpointtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

func testLead(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	wantLead(t, s, checkpoint.Lead{})
	first, err := s.TakeLead(ctx, checkpoint.Lead{}, "w1")
	must(t, err)
	if want := (checkpoint.Lead{Worker: "w1", Term: 1}); first != want {
		t.Errorf("TakeLead returned %+v, want %+v", first, want)
	}
	wantLead(t, s, first)
	second, err := s.TakeLead(ctx, first, "w2")
	must(t, err)
	wantLead(t, s, second)
	for name, was := range map[string]checkpoint.Lead{
		"nobody": {}, "an earlier leader": first, "another worker of this term": {Worker: "w1", Term: second.Term},
		"nobody in this term": {Term: second.Term}, "the leader in another term": {Worker: "w2", Term: second.Term + 1},
	} {
		_, err := s.TakeLead(ctx, was, "w3")
		wantConflict(t, "TakeLead from "+name, err)
		if was.Worker != "" {
			wantConflict(t, "Resign as "+name, s.Resign(ctx, was))
		}
	}
	wantLead(t, s, second)

	must(t, s.Resign(ctx, second))
	vacant := checkpoint.Lead{Term: second.Term + 1}
	wantLead(t, s, vacant)
	for name, was := range map[string]checkpoint.Lead{"who resigned": second, "nobody ever": {}, "the term before": {Term: second.Term}} {
		_, err := s.TakeLead(ctx, was, "w3")
		wantConflict(t, "TakeLead from "+name, err)
	}
	third, err := s.TakeLead(ctx, vacant, "w3")
	must(t, err)
	wantLead(t, s, third)
	wantConflict(t, "Resign after another took the lead", s.Resign(ctx, second))
	wantLead(t, s, checkpoint.Lead{Worker: "w3", Term: 4})

	if _, err := s.TakeLead(ctx, third, ""); err == nil || errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("TakeLead by nobody: %v, want an error of the argument", err)
	}
	if err := s.Resign(ctx, checkpoint.Lead{Term: third.Term}); err == nil || errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("Resign of nobody: %v, want an error of the argument", err)
	}
}

func wantLead(t *testing.T, s checkpoint.Store, want checkpoint.Lead) {
	t.Helper()
	if got, err := s.Lead(t.Context()); err != nil || got != want {
		t.Errorf("Lead returned %+v, %v, want %+v", got, err, want)
	}
	if got := scan(t, s).Lead; got != want {
		t.Errorf("Scan returned the lead %+v, want %+v", got, want)
	}
}

func testWorkerByID(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	none := func(id string) {
		t.Helper()
		if got, err := s.Worker(ctx, id); !errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("Worker(%q) returned %+v, %v, want ErrNotFound", id, got, err)
		}
	}
	none("w1")
	fleet := checkpoint.Fleet{Term: 1 << 60, Number: 12, Leases: 100, Free: 2, Trimmed: 1, Workers: 3, Lost: 4,
		Complete: checkpoint.Complete{UpTo: arrival}, Finished: arrival.Add(time.Hour).In(time.FixedZone("CET", 3600))}
	leader := checkpoint.Worker{ID: "w1", Beat: 7, Address: "10.0.0.1:8080", Version: "v1.2.3", Complete: arrival, Leases: 1<<63 + 5, Follows: true, Fleet: &fleet}
	must(t, s.Heartbeat(ctx, leader))
	must(t, s.Heartbeat(ctx, checkpoint.Worker{ID: "w2", Follows: true, MaxLeases: 7}))
	must(t, s.Heartbeat(ctx, checkpoint.Worker{ID: "w3", Beat: 1}))
	kept := fleet.Normalized()
	fleet.Workers = 99 // the store keeps no memory of its callers
	leader.Fleet = &kept
	want := []checkpoint.Worker{leader, {ID: "w2", Follows: true, MaxLeases: 7}, {ID: "w3", Beat: 1}}
	for _, w := range want {
		if got, err := s.Worker(ctx, w.ID); err != nil || !reflect.DeepEqual(got, w) {
			t.Errorf("Worker returned %+v, %v, want %+v", got, err, w)
		}
	}
	if got := scan(t, s).Workers; !reflect.DeepEqual(got, want) {
		t.Errorf("Scan returned %+v, want %+v", got, want)
	}
	none("w4")
	none("")
	leader.Fleet = nil // it leads no more
	must(t, s.Heartbeat(ctx, leader))
	if got, err := s.Worker(ctx, "w1"); err != nil || got.Fleet != nil {
		t.Errorf("Worker returned %+v, %v, want no summary", got, err)
	}
	must(t, s.Leave(ctx, "w1"))
	none("w1")
}

func testOrders(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	if o, err := s.Orders(ctx, "w1"); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("Orders returned %+v, %v, want ErrNotFound", o, err)
	}
	must(t, s.Dismiss(ctx, "w1"))
	full := checkpoint.Orders{Term: 3, Number: 5,
		Leases: []checkpoint.Order{{Shard: shardID(1), Counter: 1 << 60, Owner: "w1"}, {Shard: shardID(2), Counter: 4, Owner: "w2"}, {Shard: shardID(3), Away: true}},
		Batches: []checkpoint.Batch{
			{ID: "b1", Worker: "w2", Created: arrival, Tables: []string{"glue://lake/trips", "glue://lake/trips2"}},
			{ID: "b2"},
		}}
	give := func(worker string, o checkpoint.Orders) {
		t.Helper()
		must(t, s.GiveOrders(ctx, worker, o))
		wantOrders(t, s, worker, o)
	}
	give("w1", full)
	give("w2", checkpoint.Orders{Term: 9, Number: 9})
	give("w1", full) // an answer that was lost
	for name, o := range map[string]checkpoint.Orders{
		"an earlier plan":                  {Term: 3, Number: 4},
		"a former leader":                  {Term: 2, Number: 99},
		"a former leader in its last plan": {Term: 2, Number: 5},
	} {
		wantConflict(t, "GiveOrders of "+name, s.GiveOrders(ctx, "w1", o))
	}
	wantOrders(t, s, "w1", full)
	give("w1", checkpoint.Orders{Term: 3, Number: 6})
	give("w1", checkpoint.Orders{Term: 4, Number: 0, Leases: full.Leases[:1]})
	if got, want := scan(t, s), []string{"w1", "w2"}; !reflect.DeepEqual(got.Ordered, want) || len(got.Leases)+len(got.Workers)+len(got.Batches)+len(got.Unknown) != 0 {
		t.Errorf("Scan returned %+v, want only orders of %q", got, want)
	}
	for range 2 {
		must(t, s.Dismiss(ctx, "w1"))
	}
	if o, err := s.Orders(ctx, "w1"); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("after Dismiss Orders returned %+v, %v, want ErrNotFound", o, err)
	}
	give("w1", checkpoint.Orders{Term: 1, Number: 1})
	if err := s.GiveOrders(ctx, "", full); err == nil || errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("GiveOrders to nobody: %v, want an error of the argument", err)
	}
}

func wantOrders(t *testing.T, s checkpoint.Store, worker string, want checkpoint.Orders) {
	t.Helper()
	if got, err := s.Orders(t.Context(), worker); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Orders of %s returned\n%+v, %v, want\n%+v", worker, got, err, want)
	}
}

// Orders just below the limit fit into an item, whatever surrounds them.
func testOrdersTooLarge(t *testing.T, s checkpoint.Store) {
	random := rand.New(rand.NewPCG(5, 6))
	id := func() string { return fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()) }
	o := checkpoint.Orders{Term: 1, Number: 1}
	for range 21_950 {
		o.Batches = append(o.Batches, checkpoint.Batch{ID: id()})
	}
	data, err := checkpoint.EncodeOrders(o)
	if must(t, err); len(data) < checkpoint.MaxOrders*99/100 {
		t.Fatalf("the orders have only %d bytes, the limit is %d", len(data), checkpoint.MaxOrders)
	}
	worker := id() + id()
	must(t, s.GiveOrders(t.Context(), worker, o))
	wantOrders(t, s, worker, o)
	larger := o
	larger.Number = 2
	for range 400 {
		larger.Batches = append(larger.Batches, checkpoint.Batch{ID: id()})
	}
	if err := s.GiveOrders(t.Context(), worker, larger); !errors.Is(err, checkpoint.ErrOrdersTooLarge) {
		t.Errorf("GiveOrders of more: %v, want ErrOrdersTooLarge", err)
	}
	wantOrders(t, s, worker, o)
}

func raceLead(t *testing.T, s checkpoint.Store) {
	was := checkpoint.Lead{}
	for round := range 4 {
		var winners atomic.Int64
		together(racers/4, func(i int) {
			id := fmt.Sprintf("w%d-%d", round, i)
			got, err := s.TakeLead(t.Context(), was, id)
			switch {
			case err == nil && got != was.Next(id):
				t.Errorf("%s took the lead %+v", id, got)
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, checkpoint.ErrConflict):
				t.Errorf("%s: %v", id, err)
			}
		})
		lead, err := s.Lead(t.Context())
		if must(t, err); winners.Load() != 1 || lead.Term != was.Term+1 || lead.Worker == "" {
			t.Fatalf("round %d: %d workers took the lead, which is %+v", round, winners.Load(), lead)
		}
		was = lead
	}
}

func raceOrders(t *testing.T, s checkpoint.Store) {
	together(racers, func(i int) {
		o := checkpoint.Orders{Term: int64(i / 8), Number: int64(i % 8), Leases: []checkpoint.Order{{Shard: shardID(i)}}}
		if err := s.GiveOrders(t.Context(), "w1", o); err != nil && !errors.Is(err, checkpoint.ErrConflict) {
			t.Error(err)
		}
	})
	last := racers - 1
	wantOrders(t, s, "w1", checkpoint.Orders{Term: int64(last / 8), Number: int64(last % 8), Leases: []checkpoint.Order{{Shard: shardID(last)}}})
}
