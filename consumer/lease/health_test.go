package lease_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/consumer/lease"
)

// labelled reads the series of a metric with a label of this value.
func (w *worker) labelled(name, value string) float64 {
	families, _ := w.registry.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == value {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// The stream is described independently of the listings, so that a description that is not answered keeps no child from
// being found.
func TestKeeper_FindsChildrenWhileADescriptionIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(time.Minute)
		f.stream.hush("describe", true)
		time.Sleep(10 * time.Minute)
		f.stream.reshard([]int{0}, 1, 2)
		f.finish(a, 0)
		time.Sleep(time.Minute)
		f.reads(a, 1, 2)
		if err := a.Health(); err != nil {
			t.Errorf("after 11 minutes: %v", err)
		}
		time.Sleep(10 * time.Minute)
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "no description of the stream for 2") {
			t.Errorf("after 21 minutes: %v", err)
		}
		f.stream.hush("describe", false)
		time.Sleep(10 * time.Minute)
		if err := a.Health(); err != nil {
			t.Errorf("after an answer: %v", err)
		}
	})
}

// Even the very first call ends in bounded time, and is repeated by whoever starts the worker.
func TestKeeper_BindEndsWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		w := f.prepare("w")
		f.stream.hush("describe", true)
		began := time.Now()
		if _, err := w.Bind(context.Background()); err == nil || time.Since(began) != 40*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestKeeper_HealthTellsOfAListingThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		defer f.end()
		a := f.start("a")
		time.Sleep(time.Minute)
		f.stream.hush("list", true)
		hushed := time.Now()
		time.Sleep(30 * time.Second)
		if err := a.Health(); err != nil {
			t.Errorf("after half a minute: %v", err)
		}
		time.Sleep(90 * time.Second)
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "no listing of the stream's shards for") || strings.Contains(err.Error(), "heartbeat") {
			t.Errorf("after two minutes: %v", err)
		}
		if at := a.labelled("consumer_last_done_timestamp_seconds", "listing"); at > float64(hushed.UnixMilli())/1000 || at < float64(hushed.UnixMilli())/1000-30 {
			t.Errorf("the metric has %v, the last listing was just before %v", at, hushed.Unix())
		}
		for _, act := range []string{"heartbeat", "scan"} {
			if at := a.labelled("consumer_last_done_timestamp_seconds", act); float64(time.Now().Unix())-at > 10 {
				t.Errorf("the metric of the %s is %v late", act, float64(time.Now().Unix())-at)
			}
		}
		f.stream.hush("list", false)
		time.Sleep(90 * time.Second) // a call that waits ends after 40 seconds, and the next follows within 33
		if err := a.Health(); err != nil {
			t.Errorf("after an answer: %v", err)
		}
	})
}

// A shard is closed when a listing that began after the call shows it closed, or when it has left the stream.
func TestKeeper_AListingTellsWhetherAShardIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2)
		defer f.end()
		a := f.start("a")
		time.Sleep(time.Minute)
		closed := func(n int, want string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			began := time.Now()
			got, err := a.Closed(ctx, shardID(n))
			if said := fmt.Sprint(got, err != nil); said != want {
				t.Errorf("Closed(%d) = %v, %v after %v", n, got, err, time.Since(began))
			}
		}
		closed(0, "false false")
		f.stream.reshard([]int{0}, 2)
		closed(0, "true false") // the last listing is from before
		closed(1, "false false")
		f.stream.trim(1)
		closed(1, "false false") // a single listing that omits it may be wrong
		time.Sleep(time.Minute)
		closed(1, "true false")

		f.stream.hush("list", true)
		closed(2, "false true")
		f.stream.hush("list", false)
		time.Sleep(time.Minute)
		before := f.stream.listings()
		for range 100 {
			go a.Closed(t.Context(), shardID(2))
		}
		time.Sleep(10 * time.Second)
		if n := f.stream.listings() - before; n > 3 {
			t.Errorf("a hundred questions took %d listings", n)
		}
	})
}

var _ lease.Stream = (*stream)(nil)

func (s *stream) listings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}
