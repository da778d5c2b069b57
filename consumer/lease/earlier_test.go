package lease_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// earlier is a worker of a release without leaders, as far as others see it: it beats, scans the table, takes leases until it has
// its share of all, and hands over what it has beyond that. Its heartbeat does not say that it follows.
type earlier struct {
	id    string
	table checkpoint.Store
	dies  atomic.Bool // it ends silently
	stop  context.CancelFunc
	done  chan struct{}

	held map[string]checkpoint.Lease

	beats int64
	seen  map[string]checkpoint.Worker
	since map[string]time.Time
	scans int
}

func (f *fleet) startEarlier(id string) *earlier {
	ctx, cancel := context.WithCancel(f.t.Context())
	w := &earlier{
		id: id, table: f.table, stop: cancel, done: make(chan struct{}), held: make(map[string]checkpoint.Lease),
		seen: make(map[string]checkpoint.Worker), since: make(map[string]time.Time),
	}
	go func() {
		defer close(w.done)
		w.run(ctx)
	}()
	return w
}

func (w *earlier) run(ctx context.Context) {
	beat, scan := time.NewTicker(failover/3), time.NewTicker(period)
	defer beat.Stop()
	defer scan.Stop()
	w.beat()
	for {
		select {
		case <-ctx.Done():
			if w.dies.Load() {
				return
			}
			for _, row := range w.held {
				_ = w.table.Release(context.Background(), row)
			}
			_ = w.table.Leave(context.Background(), w.id)
			return
		case <-beat.C:
			w.beat()
		case <-scan.C:
			w.scan()
		}
	}
}

func (w *earlier) beat() {
	w.beats++
	_ = w.table.Heartbeat(context.Background(), checkpoint.Worker{ID: w.id, Beat: w.beats})
}

func (w *earlier) scan() {
	snap, err := w.table.Scan(context.Background())
	if err != nil {
		return
	}
	w.scans++
	live := []string{w.id}
	for _, other := range snap.Workers {
		if before, known := w.seen[other.ID]; !known || before.Beat != other.Beat {
			w.since[other.ID] = time.Now()
		}
		w.seen[other.ID] = other
		if other.ID != w.id && time.Since(w.since[other.ID]) < failover {
			live = append(live, other.ID)
		}
	}
	counts, total := make(map[string]int), 0
	var free []checkpoint.Lease
	for _, row := range snap.Leases {
		held, mine := w.held[row.Shard]
		if mine && row.Counter > held.Counter {
			delete(w.held, row.Shard)
			mine = false
		}
		total++
		if dead := row.Owner != "" && row.Owner != w.id && !slices.Contains(live, row.Owner); mine {
			counts[w.id]++
		} else if row.Owner == "" || dead && time.Since(w.since[row.Owner]) >= failover {
			free = append(free, row)
		} else {
			counts[row.Owner]++
		}
	}
	slices.SortFunc(live, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b)) })
	share := total / len(live)
	if slices.Index(live, w.id) < total%len(live) {
		share++
	}
	if w.scans < 2 {
		return
	}
	for _, row := range free {
		if len(w.held) >= share {
			break
		}
		if got, err := w.table.Acquire(context.Background(), row, w.id); err == nil {
			w.held[row.Shard] = got
		}
	}
	for _, shard := range slices.Sorted(maps.Keys(w.held)) {
		if len(w.held) <= share {
			break
		}
		_ = w.table.Release(context.Background(), w.held[shard])
		delete(w.held, shard)
	}
}

// A fleet is updated worker by worker, and rolled back in the same way. At each step all leases are held, equally many by each worker,
// and nothing moves once that is so.
func TestEarlier_AFleetIsUpdatedAndRolledBackWorkerByWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, shards = 4, 22
		f := newFleet(t, shards)
		defer f.end()
		var old []*earlier
		var ids []string
		rest := func(what string) {
			t.Helper()
			time.Sleep(90 * time.Second)
			f.balanced(shards, ids...)
			before := f.rows()
			time.Sleep(5 * time.Minute)
			for shard, row := range f.rows() {
				if row.Counter != before[shard].Counter {
					t.Errorf("%s: shard %s still moves from %q to %q", what, shard, before[shard].Owner, row.Owner)
				}
			}
		}
		begins := func(id string) { ids = append(ids, id) }
		ends := func(id string) { ids = slices.DeleteFunc(ids, func(other string) bool { return other == id }) }

		first := f.start("first") // a table has its rows from somebody
		time.Sleep(10 * time.Second)
		for n := range workers {
			old = append(old, f.startEarlier(fmt.Sprintf("%c-old", 'a'+2*n)))
			begins(old[n].id)
		}
		first.stop()
		<-first.done
		rest("all are of the earlier release")
		var updated []*worker
		for n, w := range old {
			w.stop()
			<-w.done
			ends(w.id)
			updated = append(updated, f.start(fmt.Sprintf("%c-new", 'b'+2*((n+2)%workers))))
			begins(updated[n].id)
			rest(fmt.Sprintf("%d of %d are updated", n+1, workers))
		}
		for n, w := range updated {
			w.stop()
			<-w.done
			ends(w.id)
			back := f.startEarlier(fmt.Sprintf("%c-back", 'a'+3*n))
			defer func() { back.stop(); <-back.done }()
			begins(back.id)
			rest(fmt.Sprintf("%d of %d are rolled back", n+1, workers))
		}
	})
}

// Dead workers of either release are replaced by those of the other.
func TestEarlier_EitherReleaseTakesOverFromTheOther(t *testing.T) {
	for _, dies := range []string{"old", "new"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, 10)
			defer f.end()
			w := f.start("new")
			time.Sleep(10 * time.Second)
			old := f.startEarlier("old")
			time.Sleep(time.Minute)
			f.balanced(10, "old", "new")
			survivor := "new"
			if dies == "old" {
				old.dies.Store(true)
				old.stop()
				<-old.done
			} else {
				survivor = "old"
				w.kill()
			}
			time.Sleep(3 * failover)
			f.balanced(10, survivor)
			if dies != "old" {
				old.stop()
				<-old.done
			}
		})
	}
}
