package lease

import (
	"slices"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

func TestWatch_JudgesByHowLongABeatStoodStillOnItsOwnClock(t *testing.T) {
	type look struct {
		at   int // seconds
		beat int64
		dead bool
	}
	for _, test := range []struct {
		name  string
		looks []look
	}{
		{"a moving beat lives", []look{{0, 1, false}, {5, 2, false}, {10, 3, false}, {15, 4, false}}},
		{"a beat that stands still dies at the failover time", []look{{0, 1, false}, {5, 1, false}, {9, 1, false}, {10, 1, true}}},
		{"a beat that moves again lives", []look{{0, 1, false}, {5, 1, false}, {10, 1, true}, {15, 2, false}}},
		{"a beat that goes back has moved", []look{{0, 5, false}, {5, 5, false}, {10, 4, false}}},
		{"standing still while nobody looked does not count", []look{{0, 1, false}, {5, 1, false}, {300, 1, false}, {305, 1, false}, {310, 1, true}}},
		{"the dead stay dead while nobody looks", []look{{0, 1, false}, {5, 1, false}, {10, 1, true}, {300, 1, true}, {305, 2, false}}},
		{"looks that are always slow count", []look{{0, 1, false}, {30, 1, false}, {60, 1, true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWatch(10*time.Second, 5*time.Second)
			start := time.Now()
			for _, l := range test.looks {
				at := start.Add(time.Duration(l.at) * time.Second)
				w.observe(at, at, checkpoint.Snapshot{Workers: []checkpoint.Worker{{ID: "x", Beat: l.beat}}})
				if w.dead("x") != l.dead {
					t.Errorf("after %d s: dead = %v, want %v", l.at, w.dead("x"), l.dead)
				}
				if live := w.live("self"); slices.Contains(live, "x") == l.dead {
					t.Errorf("after %d s: live = %v", l.at, live)
				}
			}
		})
	}
}

func TestWatch_AScanThatTakesLongCountsFromItsEndToTheNextOnesBegin(t *testing.T) {
	w := newWatch(10*time.Second, 5*time.Second)
	start := time.Now()
	snap := checkpoint.Snapshot{Workers: []checkpoint.Worker{{ID: "x", Beat: 1}}}
	w.observe(start, start.Add(4*time.Second), snap)
	w.observe(start.Add(9*time.Second), start.Add(13*time.Second), snap)
	w.observe(start.Add(13*time.Second), start.Add(20*time.Second), snap)
	if w.dead("x") {
		t.Error("dead after 9 s between the looks")
	}
	w.observe(start.Add(20*time.Second), start.Add(20*time.Second), snap)
	if !w.dead("x") {
		t.Error("alive after 16 s between the looks")
	}
}

func TestWatch_OwnersWithoutAHeartbeatAreNeitherLiveNorDeadAtOnce(t *testing.T) {
	w := newWatch(10*time.Second, 5*time.Second)
	start := time.Now()
	snap := checkpoint.Snapshot{
		Leases:  []checkpoint.Lease{{Shard: "s", Owner: "gone"}},
		Batches: []checkpoint.Batch{{ID: "b", Worker: "older"}},
	}
	for _, seconds := range []int{0, 5, 10} {
		at := start.Add(time.Duration(seconds) * time.Second)
		w.observe(at, at, snap)
		for _, id := range []string{"gone", "older"} {
			if w.dead(id) != (seconds == 10) {
				t.Errorf("after %d s: dead(%s) = %v", seconds, id, w.dead(id))
			}
		}
		if live := w.live("self"); !slices.Equal(live, []string{"self"}) {
			t.Errorf("live = %v", live)
		}
	}
	w.observe(start.Add(15*time.Second), start.Add(15*time.Second), checkpoint.Snapshot{})
	if len(w.seen) != 0 {
		t.Errorf("still watched: %v", w.seen)
	}
}
