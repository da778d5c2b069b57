package lease_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer/lease"
)

// An application runs from any START_POSITION while the stream is resharded, sometimes while no worker runs, and
// through everything that changes its table: shards that are moved back or given up, a backup that is restored, rows
// written by an earlier release. In the end everything is delivered that was not given up. As long as nothing was moved
// or restored, it is delivered once, and nothing from before START_POSITION is delivered.
func TestKeeper_DeliversEverythingWhateverHappenedToTheTable(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if lost, more, about := vicissitudes(t, seed, false); lost > 0 || more > 0 {
					t.Errorf("%d records lost, %d delivered that should not have been: %s", lost, more, about)
				}
			})
		})
	}
}

// The control: children begin at the application's initial position.
func TestKeeper_ChildrenAtTheFirstPositionLose(t *testing.T) {
	lost := 0
	for seed := uint64(0); lost == 0; seed++ {
		if seed == 400 {
			t.Fatal("nothing is lost: the test does not notice the fault")
		}
		synctest.Test(t, func(t *testing.T) { lost, _, _ = vicissitudes(t, seed, true) })
	}
}

// owed is what must be delivered, given the records and what was done to the table.
type owed struct {
	initial checkpoint.Position
	moves   []move
	given   map[int]bool // records that were given up
	again   bool         // records may come more than once, and from before the first position
}

// move is a shard that was moved back: what follows is wanted again, also of descendants that had no row then.
type move struct {
	p     *past
	to    checkpoint.Position
	known map[string]checkpoint.Lease
}

func (m move) wants(h *history, p *past, wanted map[int]bool) {
	for _, r := range h.after(p, m.to) {
		wanted[r.number] = true
	}
	for _, child := range p.children {
		if _, known := m.known[shardID(child.n)]; !known {
			m.wants(h, child, wanted)
		}
	}
}

func (o *owed) clone() *owed {
	c := *o
	c.moves, c.given = slices.Clone(o.moves), maps.Clone(o.given)
	return &c
}

// compare counts what is missing, and what was delivered without a reason.
func (o *owed) compare(h *history) (lost, more int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wanted := make(map[int]bool)
	for _, m := range o.moves {
		m.wants(h, m.p, wanted)
	}
	for _, p := range h.shards {
		for _, r := range h.after(p, o.initial) {
			wanted[r.number] = true
		}
	}
	for number := 1; number <= h.put; number++ {
		switch n := h.delivered[number]; {
		case n == 0 && wanted[number] && !o.given[number]:
			lost++
		case n > 1 && !o.again, n > 0 && !o.again && !wanted[number]:
			more++
		}
	}
	return lost, more
}

func vicissitudes(t *testing.T, seed uint64, control bool) (lost, more int, about string) {
	random := rand.New(rand.NewPCG(seed, 11))
	f := newFleet(t, 0)
	defer f.end()
	now := time.Now()
	h := newHistory(random, 1+random.IntN(3), now.Add(-3*time.Hour))
	for at := now.Add(-3 * time.Hour); at.Before(now.Add(-time.Second)); at = at.Add(time.Duration(1+random.IntN(900)) * time.Second) {
		h.step(at)
	}
	h.show(f.stream)
	start := startPosition(random, now)
	if random.IntN(2) == 0 { // a future one distinguishes children from parents that were moved back
		start = checkpoint.AtTimestamp(now.Add(time.Duration(2+random.IntN(8)) * time.Minute))
	}
	o := &owed{initial: start, given: make(map[int]bool)}
	var running []*worker
	run := func() {
		w := f.prepare(fmt.Sprint("w", len(f.workers)), func(c *lease.Config) { c.Initial = o.initial })
		w.deliver = func(hold *lease.Hold) { h.read(f, hold) }
		if control {
			w.store.rewrite = f.atInitial
		}
		f.run(w)
		running = append(running, w)
	}
	halt := func() {
		for _, w := range running {
			w.stop()
			<-w.done
			w.ending.Wait()
		}
		running = nil
	}
	// Half of the runs see no move and no backup, and must be exact.
	kinds := 6
	if random.IntN(2) == 0 {
		kinds = 12
	}
	var backup map[string]checkpoint.Lease
	var then *owed
	run()
	time.Sleep(30 * time.Second)
	for range 40 {
		time.Sleep(time.Duration(1+random.IntN(10)) * time.Second)
		switch kind := random.IntN(kinds); {
		case kind == 0:
			halt()
		case kind == 1:
			run()
		case kind < 6:
			h.step(time.Now())
			h.show(f.stream)
		case kind == 6:
			backup, then = f.rows(), o.clone()
		case kind == 7 && backup != nil:
			halt()
			f.restore(backup, random.IntN(2) == 0)
			o = then.clone()
			o.again = true
		case kind > 7:
			f.meddle(h, o)
		}
	}
	run()
	time.Sleep(15 * time.Minute)
	lost, more = o.compare(h)
	return lost, more, fmt.Sprintf("it began at %s; moved or restored: %v", o.initial, o.again)
}

// restore makes the table what it was, or what an earlier release would have made of it.
func (f *fleet) restore(rows map[string]checkpoint.Lease, earlier bool) {
	f.t.Helper()
	snap, err := f.table.Scan(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	var free []checkpoint.Lease
	for _, row := range rows {
		row.Owner = ""
		if earlier {
			row.Begin = ""
		}
		free = append(free, row)
	}
	f.table = local.OpenMemory()
	_, err = f.table.Bind(context.Background(), snap.Application)
	if err == nil {
		err = f.table.CreateLeases(context.Background(), free)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// meddle moves a shard back, or gives up a closed one.
func (f *fleet) meddle(h *history, o *owed) {
	f.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	rows := f.rows()
	if len(rows) == 0 {
		return
	}
	row := rows[slices.Sorted(maps.Keys(rows))[h.random.IntN(len(rows))]]
	n, _ := strconv.Atoi(row.Shard[len("shardId-"):])
	p := h.shards[n]
	left := h.after(p, row.Checkpoint)
	if h.random.IntN(3) == 0 && !p.closed.IsZero() {
		if f.move(row, checkpoint.ShardEnd) {
			for _, r := range left {
				o.given[r.number] = true
			}
		}
		return
	}
	to := checkpoint.TrimHorizon
	if t := time.Now().Add(-time.Duration(h.random.IntN(150)) * time.Minute); h.random.IntN(2) == 0 {
		to = checkpoint.AtTimestamp(t)
	}
	again := h.after(p, to)
	if len(again) < len(left) {
		return // that is ahead
	}
	if !f.move(row, to) {
		return
	}
	o.again = true
	o.moves = append(o.moves, move{p, to, rows})
	for _, r := range again {
		delete(o.given, r.number)
	}
}

// move moves a shard, and reports whether it did: it does not if a commit came between the read of its row and the
// move.
func (f *fleet) move(row checkpoint.Lease, to checkpoint.Position) bool {
	f.t.Helper()
	_, err := f.table.Rewind(context.Background(), row, to)
	if err != nil && !errors.Is(err, checkpoint.ErrConflict) {
		f.t.Fatal(err)
	}
	return err == nil
}
