package consumer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

func TestOverview_ReadsTheTableOnlyWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scans := 0
		o := overview{failover: 10 * time.Second, scan: func(ctx context.Context) (checkpoint.Snapshot, error) {
			scans++
			if !checkpoint.IsAside(ctx) {
				t.Error("who looks can make this worker unhealthy")
			}
			return checkpoint.Snapshot{Tombstones: make([]string, scans)}, nil
		}}
		time.Sleep(time.Hour)
		if scans != 0 {
			t.Fatalf("%d scans before anybody looked", scans)
		}
		began := time.Now()
		for range 60 * 30 { // a page that is open for an hour
			if r := o.look(t.Context()); r.problem != nil || time.Since(r.at) >= overviewEvery || len(r.table.Tombstones) != scans {
				t.Fatalf("after %v the page shows %+v", time.Since(began), r)
			}
			time.Sleep(2 * time.Second)
		}
		if want := int(time.Hour / overviewEvery); scans != want {
			t.Errorf("%d scans within an hour, want %d", scans, want)
		}
	})
}

// A table that does not answer delays one of the lookers, for a moment. The others see what was read before, and so does that one.
func TestOverview_ShowsWhatWasReadBeforeIfTheTableDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		silent, scans := false, 0
		o := overview{failover: 10 * time.Second, scan: func(ctx context.Context) (checkpoint.Snapshot, error) {
			mu.Lock()
			scans++
			wait := silent
			mu.Unlock()
			if wait {
				<-ctx.Done()
				return checkpoint.Snapshot{}, ctx.Err()
			}
			return checkpoint.Snapshot{Tombstones: []string{"a"}}, nil
		}}
		first := o.look(t.Context())
		mu.Lock()
		silent = true
		mu.Unlock()
		time.Sleep(overviewEvery)
		var lookers sync.WaitGroup
		var waited []time.Duration
		for range 10 {
			lookers.Go(func() {
				gone, leave := context.WithCancel(t.Context())
				leave() // the browser that asked has closed its connection
				began := time.Now()
				r := o.look(gone)
				mu.Lock()
				defer mu.Unlock()
				if took := time.Since(began); took > 0 {
					waited = append(waited, took)
					if !errors.Is(r.problem, context.DeadlineExceeded) {
						t.Errorf("the problem is %v", r.problem)
					}
				}
				if r.at != first.at || len(r.table.Tombstones) != 1 {
					t.Errorf("the page shows %+v", r)
				}
			})
		}
		lookers.Wait()
		if len(waited) != 1 || waited[0] != overviewTimeout || scans != 2 {
			t.Errorf("lookers waited %v for %d scans", waited, scans)
		}
		silent = false
		time.Sleep(overviewEvery)
		if r := o.look(t.Context()); r.problem != nil || r.at == first.at {
			t.Errorf("after the table answered again the page shows %+v", r)
		}
	})
}

func TestOverview_KnowsTheDeadByTheirHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beats := map[string]int64{"alive": 0, "dying": 0}
		o := overview{failover: 15 * time.Second, scan: func(context.Context) (checkpoint.Snapshot, error) {
			var table checkpoint.Snapshot
			for id, beat := range beats {
				table.Workers = append(table.Workers, checkpoint.Worker{ID: id, Beat: beat})
			}
			return table, nil
		}}
		for i, want := range []bool{true, true, false, false} { // a heartbeat that is seen for the first time may move
			beats["alive"]++
			if r := o.look(t.Context()); !r.alive["alive"] || r.alive["dying"] != want || r.alive["gone"] {
				t.Errorf("look %d: alive are %v, want dying: %t", i, r.alive, want)
			}
			time.Sleep(overviewEvery)
		}
		delete(beats, "dying")
		if r := o.look(t.Context()); len(r.alive) != 1 {
			t.Errorf("alive are %v", r.alive)
		}
		time.Sleep(24 * time.Hour) // nobody looks
		beats["alive"]++
		if r := o.look(t.Context()); !r.alive["alive"] {
			t.Error("a worker that lives is taken for dead after a day in which nobody looked")
		}
	})
}
