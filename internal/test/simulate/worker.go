package simulate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/metrics"
)

const (
	commitEvery = 5 * time.Minute // COMMIT_INTERVAL
	// sealing is how long the last parts of a batch take to upload.
	sealing = time.Second
	// lookEvery is how often the engine looks for leases without a reader.
	lookEvery = 500 * time.Millisecond
)

var errAway = errors.New("the network is away")

// Worker is a process: the real keeper over the real store, with readers and a pipeline that commits what they read.
type Worker struct {
	id     string
	fleet  *Fleet
	keeper *lease.Keeper
	store  *dynamo.Store

	stop    context.CancelFunc
	done    chan struct{}
	running sync.WaitGroup
	err     error       // after done
	away    atomic.Bool // its calls get nowhere
	ready   atomic.Bool // it has a keeper
	stopped bool        // guarded by Fleet.mu

	mu     sync.Mutex
	holds  map[string]*reading // by shard
	coming chan struct{}       // closed when the commit that begins next is done
	flush  chan struct{}       // asks for it at once
}

// reading is a shard that is being read.
type reading struct {
	hold  *lease.Hold
	ended bool      // the last record of the shard was read
	since time.Time // of the last commit
}

func (f *Fleet) newWorker(id string) *Worker {
	return &Worker{
		id: id, fleet: f, done: make(chan struct{}), holds: make(map[string]*reading),
		coming: make(chan struct{}), flush: make(chan struct{}, 1),
	}
}

// patience is how the daemon waits for services at its start, see consumer.Patience.
var patience = backoff.Policy{First: 500 * time.Millisecond, Longest: 10 * time.Second}

// open makes the calls of a daemon that starts, until they succeed.
func (w *Worker) open(ctx context.Context) error {
	lister := shardmap.NewLister(kinesis.NewFromConfig(account(w.reached(w.fleet.Stream.Serve))), streamName)
	steps := []func() error{
		func() error {
			_, err := lister.Describe(ctx)
			return err
		},
		func() (err error) {
			w.store, err = dynamo.Open(ctx, dynamo.Config{AWS: w.fleet.connect(w), Table: "trips-to-lake", Create: true})
			return err
		},
		func() (err error) {
			w.keeper, err = lease.New(w.fleet.config(w.id), w.store, lister, discard, metrics.New(prometheus.NewRegistry()))
			return err
		},
		func() error {
			_, err := w.keeper.Bind(ctx)
			return err
		},
	}
	for _, step := range steps {
		if err := patience.Retry(ctx, func(error) bool { return true }, step); err != nil {
			return err
		}
	}
	return nil
}

// run runs the worker until ctx ends.
func (w *Worker) run(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return nil // it was stopped before
	}
	w.ready.Store(true)
	ended := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { w.engine(ended) })
	others.Go(func() { w.deliver(ended) })
	err := w.keeper.Run(ctx)
	close(ended)
	others.Wait()
	return err
}

// health returns nil if the worker is ready.
func (w *Worker) health() error {
	if !w.ready.Load() {
		return errors.New("it has not started yet")
	}
	return w.keeper.Health()
}

// engine starts a reader for each lease that has none.
func (w *Worker) engine(ended <-chan struct{}) {
	var readers sync.WaitGroup
	defer readers.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		for _, shard := range w.keeper.Shards() {
			if h, ok := w.keeper.Take(shard); ok {
				readers.Go(func() { w.read(shard, h) })
			}
		}
	}
}

// read reads a shard until its end, or until its lease is wanted elsewhere.
func (w *Worker) read(shard string, h *lease.Hold) {
	r := &reading{hold: h, since: time.Now()}
	w.mu.Lock()
	w.holds[shard] = r
	w.mu.Unlock()
	if !w.away.Load() {
		w.fleet.Readers.begin(shard, w.id)
	}
	select {
	case <-h.Context().Done():
	case <-h.Draining():
		w.drain(h)
	case <-w.fleet.Stream.ended(shard):
		w.mu.Lock()
		r.ended = true
		w.mu.Unlock()
		w.drain(h)
	}
	w.mu.Lock()
	if w.holds[shard] == r {
		delete(w.holds, shard)
	}
	w.mu.Unlock()
	w.fleet.Readers.end(shard, w.id)
	h.Release(context.Background())
}

// drain waits until what was read is committed.
func (w *Worker) drain(h *lease.Hold) {
	w.mu.Lock()
	coming := w.coming
	w.mu.Unlock()
	select {
	case w.flush <- struct{}{}:
	default:
	}
	select {
	case <-coming:
	case <-h.Context().Done():
	}
}

// deliver commits what the readers have read, from time to time and when one of them waits for it.
func (w *Worker) deliver(ended <-chan struct{}) {
	for {
		timer := time.NewTimer(commitEvery)
		select {
		case <-ended:
			timer.Stop()
			return
		case <-timer.C:
		case <-w.flush:
			timer.Stop()
		}
		w.commit()
	}
}

// commit commits a batch for each lane of shards and forgets it, as it is once its files are published.
func (w *Worker) commit() {
	w.mu.Lock()
	done := w.coming
	w.coming = make(chan struct{})
	all := make([]*reading, 0, len(w.holds))
	for _, r := range w.holds {
		all = append(all, r)
	}
	w.mu.Unlock()
	defer close(done)
	if len(all) == 0 {
		return
	}
	time.Sleep(sealing)
	for lane := range slices.Chunk(all, checkpoint.MaxRanges) {
		w.commitLane(lane)
	}
}

// commitLane commits one batch.
func (w *Worker) commitLane(lane []*reading) {
	b, held := w.batch(lane)
	if len(held) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.store.Commit(ctx, b); err != nil && !w.committed(b.ID) {
		for _, r := range held {
			r.hold.Restart(err.Error())
		}
		return
	}
	w.mu.Lock()
	for _, r := range held {
		r.since = b.Created
	}
	w.mu.Unlock()
	for i, r := range held {
		r.hold.Committed(b.Ranges[i])
	}
	_ = w.store.Forget(ctx, b.ID) // a batch that stays only makes the table a little larger
}

// batch makes a batch of what was read of the leases that are still held.
func (w *Worker) batch(lane []*reading) (b checkpoint.Batch, held []*reading) {
	now := time.Now()
	b = checkpoint.Batch{ID: uuid.NewString(), Worker: w.id, Created: now}
	b.Manifest = checkpoint.Place{Bucket: "trips-lake-123456789012", Key: fmt.Sprintf("manifests/%s/%s.json", now.Format("2006/01/02"), b.ID)}
	b.Files = []checkpoint.File{{Bucket: b.Manifest.Bucket, Key: fmt.Sprintf("data/%s/%s-1.parquet", now.Format("2006/01/02"), b.ID), Rows: 1e6, Bytes: 100e6}}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range lane {
		if r.hold.Context().Err() != nil {
			continue
		}
		row := r.hold.Lease()
		rg := checkpoint.Range{
			Shard: row.Shard, Start: row.Checkpoint, LeaseOwner: row.Owner, LeaseCounter: row.Counter,
			Last: sequence(now), Records: 1000, FirstArrival: r.since, LastArrival: now,
			Load: w.fleet.load(row, now.Sub(r.since)),
		}
		rg.End = checkpoint.Position(rg.Last)
		if r.ended {
			rg.End = checkpoint.ShardEnd
		}
		b.Ranges, held = append(b.Ranges, rg), append(held, r)
	}
	return b, held
}

// committed finds out whether a batch was committed whose commit failed, however long that takes.
func (w *Worker) committed(batch string) bool {
	for !w.away.Load() {
		committed, err := w.store.Bury(context.Background(), batch, w.id)
		if err == nil {
			return committed
		}
		time.Sleep(time.Second)
	}
	return false
}
