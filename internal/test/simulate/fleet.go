package simulate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/consumer/lease"
)

// Fleet is a table, a stream, and the workers that share them, in one bubble of virtual time.
type Fleet struct {
	t        *testing.T
	Table    *Table
	Stream   *Stream
	Readers  *Readers
	Failover time.Duration
	// Rate is what arrives in a shard, in bytes per second, and Noise by which share that varies from batch to batch.
	Rate  func(shard string) float64
	Noise float64

	// connect returns the configuration of a worker's client of the table.
	connect func(*Worker) aws.Config

	size    int // workers at the start
	shards  int // that are to be read
	began   time.Time
	mu      sync.Mutex
	workers []*Worker // all that were ever started
}

func newFleet(t *testing.T, shards int) *Fleet {
	f := &Fleet{
		t: t, Table: newTable(), Readers: newReaders(), Failover: 10 * time.Second, began: time.Now(),
		Rate: func(string) float64 { return 100e3 }, shards: shards,
	}
	f.connect = func(w *Worker) aws.Config { return account(w.reached(f.Table.Serve)) }
	f.Stream = newStream(&f.Table.meter, shards)
	t.Cleanup(f.end)
	return f
}

// start starts a worker.
func (f *Fleet) start() *Worker {
	f.mu.Lock()
	n := len(f.workers)
	f.mu.Unlock()
	w := f.newWorker(fmt.Sprintf("consumer-5d8c7b9f4-%05d-%08x", n, n*2654435761%(1<<32)))
	f.mu.Lock()
	f.workers = append(f.workers, w)
	f.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	f.Readers.join(w.id)
	w.running.Go(func() {
		defer close(w.done)
		w.err = w.run(ctx)
	})
	return w
}

func (f *Fleet) startAll(n int) {
	for range n {
		f.start()
	}
}

// running are the workers that have been neither stopped nor killed.
func (f *Fleet) running() (running []*Worker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workers {
		if !w.stopped {
			running = append(running, w)
		}
	}
	return running
}

// halt stops a worker as SIGTERM does, and waits for its end.
func (f *Fleet) halt(w *Worker) {
	f.retire(w)
	w.stop()
	w.running.Wait()
}

// kill takes a worker off the network and ends it.
func (f *Fleet) kill(w *Worker) {
	f.retire(w)
	w.away.Store(true)
	w.stop()
	f.Readers.lose(w.id)
}

func (f *Fleet) retire(w *Worker) {
	f.mu.Lock()
	w.stopped = true
	f.mu.Unlock()
	f.Readers.leave(w.id)
}

// end stops all workers, so that the bubble can end.
func (f *Fleet) end() {
	f.Table.hurt(0, 0)
	for _, w := range f.running() {
		f.retire(w)
		w.away.Store(true)
		w.stop()
	}
	for _, w := range f.workers {
		w.running.Wait()
		if w.err != nil && !w.away.Load() {
			f.t.Errorf("worker %s: %v", w.id, w.err)
		}
	}
}

// within waits until a condition holds, and returns how long that took, in steps of a tenth of a second.
func (f *Fleet) within(limit time.Duration, what string, holds func() bool) time.Duration {
	f.t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) >= limit {
			f.t.Errorf("%s: not within %v", what, limit)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(began)
}

// named returns the worker that the table names as the leader; ok is false in releases without that item.
func (f *Fleet) named() (id string, ok bool) {
	f.Table.mu.Lock()
	defer f.Table.mu.Unlock()
	it := f.Table.at("#leader").now
	if worker, named := it["worker"].(*types.AttributeValueMemberS); named {
		id = worker.Value
	}
	return id, it != nil
}

func (f *Fleet) hasLeader() bool {
	_, ok := f.named()
	return ok
}

// leader returns the worker that leads, nil if none does; in releases without a named leader the one with the least id.
func (f *Fleet) leader() *Worker {
	id, named := f.named()
	running := f.running()
	slices.SortFunc(running, func(a, b *Worker) int { return strings.Compare(a.id, b.id) })
	for _, w := range running {
		if !named || w.id == id {
			return w
		}
	}
	return nil
}

// lastBeat returns when the heartbeat of a worker was last written.
func (f *Fleet) lastBeat(w *Worker) time.Time {
	f.Table.mu.Lock()
	defer f.Table.mu.Unlock()
	return f.Table.at("#worker/" + w.id).since
}

// reached is a service as a worker reaches it that may be off the network.
func (w *Worker) reached(serve service) service {
	return func(ctx context.Context, in any) (any, error) {
		if w.away.Load() {
			return nil, errAway
		}
		return serve(ctx, in)
	}
}

func (f *Fleet) config(id string) lease.Config {
	return lease.Config{Worker: id, Application: "trips-to-lake", Address: "10.20.30.40:8080", Version: "1.18.0", Failover: f.Failover}
}

var discard = slog.New(slog.DiscardHandler)
