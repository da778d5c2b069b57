package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Three workers fight over four shards while calls of the store and the bucket fail, arrive late and lose their answers,
// leases move between the workers at any time, and workers die and come back. At the end each record is there once, and every
// worker knows what has become of each record that it read.
func TestPipeline_DeliversOnceUnderRandomFaults(t *testing.T) {
	seeds := 20
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStorm(t, uint64(seed))
				s.run()
				if lost, double := s.count(); lost+double > 0 || !s.finished() {
					t.Errorf("lost %d, double %d of %d; all shards at their end and published: %v; faults %v",
						lost, double, stormShards*s.sent, s.finished(), s.hits)
				}
				if lost, double := s.keptTwiceOrNot(); lost+double > 0 {
					t.Errorf("of the backup, lost %d, double %d of %d; faults %v", lost, double, stormShards*s.sent, s.hits)
				}
				if len(s.hits) < 8 {
					t.Errorf("only these faults were hit: %v", s.hits)
				}
			})
		})
	}
}

// The storm must be able to show that something is wrong: a pipeline that takes every failed commit for not committed
// loses records.
func TestStorm_ShowsTheLossWhenNobodyAsksWhatBecameOfACommit(t *testing.T) {
	for seed := range uint64(20) {
		var lost int
		synctest.Test(t, func(t *testing.T) {
			s := newStorm(t, seed)
			s.given = hasty{s.store}
			s.run()
			lost, _ = s.count()
		})
		if lost > 0 {
			return
		}
	}
	t.Error("20 storms over a pipeline that is wrong have lost nothing")
}

// hasty believes that a commit without an answer has failed.
type hasty struct{ checkpoint.Store }

func (h hasty) Commit(ctx context.Context, b checkpoint.Batch) error {
	if h.Store.Commit(ctx, b) != nil {
		return checkpoint.ErrConflict
	}
	return nil
}

func (hasty) Bury(context.Context, string, string) (bool, error) { return false, nil }

// storm is a world in which everything goes wrong for a while.
type storm struct {
	*world
	mu      sync.Mutex
	rng     *rand.Rand
	calm    bool
	hits    map[string]int
	sent    int // records a shard
	workers map[string]func()
	started int
	plants  []func(*Parts)
}

const stormShards = 4

func newStorm(t *testing.T, seed uint64) *storm {
	s := &storm{world: newWorld(t), rng: rand.New(rand.NewPCG(seed, 7)), hits: make(map[string]int), sent: 300, workers: make(map[string]func())}
	if seed%2 == 1 {
		s.room = 1 // all files are listed in objects
	}
	if seed%4 > 1 {
		s.crowd = 1500 // of two or three files
	}
	s.limits = Limits{FileBytes: 2000, Bytes: 8000, Interval: 10 * time.Second}
	s.plants = append(s.plants, backedUp(t))
	s.faults(s.strike)
	s.bucket.plant(func(operation, _ string, applied bool) error { return s.strike(operation, applied) })
	return s
}

// strike fails some calls and delays others. Leases and scans are the test's own.
func (s *storm) strike(operation string, applied bool) error {
	if operation == "create leases" || operation == "lease" || operation == "acquire" || operation == "scan" {
		return nil
	}
	s.mu.Lock()
	chance, pause := s.rng.IntN(100), time.Duration(s.rng.IntN(12000))*time.Millisecond
	calm := s.calm
	if !calm && chance < 8 {
		s.hits[fmt.Sprint(operation, " applied ", applied)]++
	}
	s.mu.Unlock()
	switch {
	case calm:
		return nil
	case chance < 4:
		return errPlanted
	case chance < 8:
		time.Sleep(pause) // late: others act in between
	}
	return nil
}

// roll draws a number below n.
func (s *storm) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// run lets workers take the shards from each other, and then in calm weather finish.
func (s *storm) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { s.lives(ctx) })
	}
	time.Sleep(10 * time.Minute)
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	deadline := time.Now().Add(2 * time.Hour)
	for !s.finished() && time.Now().Before(deadline) {
		time.Sleep(time.Second)
	}
	cancel()
	all.Wait()
}

// lives starts workers one after the other, each of which reads until it dies.
func (s *storm) lives(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		s.started++
		name := fmt.Sprint("worker-", s.started)
		life := time.Duration(5+s.rng.IntN(120)) * time.Second
		if s.calm {
			life = 10 * time.Minute
		}
		s.mu.Unlock()
		dies, kill := context.WithTimeout(ctx, life)
		p, stop := s.worker(name, s.plants...)
		var readers sync.WaitGroup
		for shard := range stormShards {
			readers.Go(func() { s.read(dies, p, name, fmt.Sprint("shard-", shard)) })
		}
		readers.Go(func() { s.sweepUntil(dies, p) })
		<-dies.Done()
		stop() // before the readers know: a crash
		readers.Wait()
		if missing, inFlight := p.parts.Metrics.Balance.Unaccounted(); missing != 0 || inFlight != 0 {
			s.t.Errorf("%s has ended: %d records unaccounted for, %d in flight", name, missing, inFlight)
		}
		kill()
	}
}

// read acquires the shard now and then, whoever has it, and reads a while under that lease.
func (s *storm) read(ctx context.Context, p *Pipeline, worker, shard string) {
	for sleep(ctx, time.Duration(s.roll(40))*time.Second) {
		h, ok := s.tryAcquire(shard, worker)
		if !ok {
			continue
		}
		c := p.Open(h)
		at := place(h.Lease().Checkpoint)
		for ctx.Err() == nil && !h.wasRestarted() && at < s.sent {
			n := min(s.sent, at+1+s.roll(20))
			in := intake(string(rune('a'+s.roll(3))), at+1, n)
			in.End = n == s.sent
			for i := range in.Records {
				in.Records[i].Data = fmt.Appendf(nil, `{"shard":%q,"n":%d}`, shard, at+1+i)
			}
			p.parts.Metrics.Balance.Read(len(in.Records))
			in = withRaw(in)
			for i := range in.Raw {
				in.Raw[i].Shard = shard
			}
			if c.Append(ctx, in) != nil {
				break
			}
			at = n
			if s.roll(10) == 0 {
				drain, cancel := context.WithTimeout(ctx, time.Minute)
				_ = c.Drain(drain) // may fail: the shard is read again then
				cancel()
			}
			if !sleep(ctx, time.Duration(s.roll(3000))*time.Millisecond) {
				break
			}
		}
		if at >= s.sent {
			drain, cancel := context.WithTimeout(ctx, 5*time.Minute)
			_ = c.Drain(drain)
			cancel()
		}
		c.Close()
	}
}

func (s *storm) tryAcquire(shard, worker string) (*hold, bool) {
	ctx := context.Background()
	if err := s.store.CreateLeases(ctx, []checkpoint.Lease{{Shard: shard, Checkpoint: checkpoint.TrimHorizon}}); err != nil {
		return nil, false
	}
	row, err := s.store.Lease(ctx, shard)
	if err != nil || row.Checkpoint == checkpoint.ShardEnd {
		return nil, false
	}
	row, err = s.store.Acquire(ctx, row, worker)
	return &hold{row: row}, err == nil
}

// sweepUntil takes every other worker for dead, the living included.
func (s *storm) sweepUntil(ctx context.Context, p *Pipeline) {
	for sleep(ctx, time.Duration(5+s.roll(20))*time.Second) {
		snap, err := s.store.Scan(ctx)
		if err == nil {
			p.Sweep(snap, func(checkpoint.Batch) bool { return true })
		}
	}
}

func (s *storm) finished() bool {
	snap, err := s.store.Scan(context.Background())
	if err != nil || len(snap.Batches)+len(snap.Published) > 0 || len(snap.Leases) < stormShards {
		return false
	}
	for _, l := range snap.Leases {
		if l.Checkpoint != checkpoint.ShardEnd {
			return false
		}
	}
	return true
}

// count returns how many records are not in the bucket, and how many are there more than once.
func (s *storm) count() (lost, double int) {
	seen := make(map[string]int)
	for _, line := range s.bucket.lines("data/") {
		var r struct {
			Shard string
			N     int
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Fatalf("line %q: %v", line, err)
		}
		seen[fmt.Sprint(r.Shard, "/", r.N)]++
	}
	return s.tally(seen)
}

// tally returns how many records were not seen, and how many more than once.
func (s *storm) tally(seen map[string]int) (lost, double int) {
	for shard := range stormShards {
		for n := range s.sent {
			switch seen[fmt.Sprint("shard-", shard, "/", n+1)] {
			case 0:
				lost++
			case 1:
			default:
				double++
			}
		}
	}
	return lost, double
}

// place is the number of the record at a position.
func place(p checkpoint.Position) int {
	seq, ok := p.SequenceNumber()
	if !ok {
		return 0
	}
	var n int
	fmt.Sscan(seq, &n)
	return n - 100000
}

// sleep waits, and returns false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
