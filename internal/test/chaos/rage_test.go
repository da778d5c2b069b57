package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// puppet makes a daemon's requests, in their order and about as often, and exposes them to the weather as the proxy does. It
// tests storms in virtual time.
type puppet struct {
	number  int
	storm   *storm
	weather *weather
	dice    *dice
	bucket  string // of the life that goes on

	mu     sync.Mutex
	cancel context.CancelFunc // of the life that goes on
	frozen bool
	shuts  map[Service]int
	begun  int // batches
	done   int // batches published
}

func (p *puppet) place() int               { return p.number }
func (p *puppet) step(time.Duration) error { return nil }

func (p *puppet) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cancel != nil && !p.frozen
}

func (p *puppet) kill(string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
		p.cancel = nil
	}
}

func (p *puppet) freeze() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.frozen
	p.frozen = true
	return !before
}

func (p *puppet) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = false
}

func (p *puppet) restart() {
	for _, operation := range []string{Acquire, "DeleteItem worker"} {
		p.call(context.Background(), DynamoDB, operation)
	}
	p.kill("")
}

func (p *puppet) shut(service Service) error { p.change(service, 1); return nil }
func (p *puppet) open(service Service) error { p.change(service, -1); return nil }

func (p *puppet) change(service Service, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shuts[service] += by
}

// held reports whether a request has to wait: the process is frozen, or the service is out of reach.
func (p *puppet) held(service Service) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen || p.shuts[service] > 0
}

// call makes a request until it is answered. It reports whether the service has agreed.
func (p *puppet) call(life context.Context, service Service, operation string) bool {
	for life.Err() == nil {
		if p.held(service) {
			sleep(life, 100*time.Millisecond)
			continue
		}
		c := call{worker: p.number, service: service, operation: operation}
		if service == S3 && operation != Put && operation != "HeadBucket" { // manifests are other objects
			c.object = fmt.Sprintf("bucket/%d-%d", p.number, p.begun)
		}
		f := p.weather.meet(c)
		if f.trap != nil {
			p.spring(life, service, f.trap)
			continue
		}
		pause := 300 * time.Millisecond
		switch f.kind {
		case "":
			return sleep(life, 5*time.Millisecond)
		case SlowPart, SlowComplete:
			f.wait()
			return true
		case Doubled, Echoed, SlowAnswer:
			return true
		case Conflict:
			return false
		case LateAnswer:
			pause = f.delay
		case Expired, Forbidden, Barred:
			if service == S3 {
				pause = p.dice.between(10*time.Second, 20*time.Second)
			}
		}
		sleep(life, pause)
	}
	return false
}

func (p *puppet) spring(life context.Context, service Service, t *trap) {
	defer close(t.over)
	switch t.action.kind() {
	case KillIn:
		p.kill("")
	case FreezeIn:
		p.freeze()
		time.Sleep(t.freeze)
		p.thaw()
	case Silent:
		bound := 30 * time.Second
		if service == DynamoDB {
			bound = 5 * time.Second
		}
		sleep(life, bound)
	}
}

// live starts one life after another until ctx ends.
func (p *puppet) live(ctx context.Context) {
	for ctx.Err() == nil {
		before := p.bucket
		p.bucket = p.storm.bucket()
		if before != "" && before != p.bucket {
			p.weather.count(Moved, p.bucket)
		}
		life, cancel := context.WithCancel(ctx)
		p.mu.Lock()
		p.cancel = cancel
		p.mu.Unlock()
		var wg sync.WaitGroup
		for _, work := range []func(context.Context){p.beat, p.look, p.watch, p.read, p.write} {
			wg.Go(func() { work(life) })
		}
		wg.Wait()
		sleep(ctx, p.dice.upTo(1500*time.Millisecond))
	}
}

func (p *puppet) beat(life context.Context) {
	for sleep(life, 500*time.Millisecond) {
		p.call(life, DynamoDB, Heartbeat)
	}
}

func (p *puppet) look(life context.Context) {
	for n := 1; sleep(life, time.Second); n++ {
		p.call(life, DynamoDB, "Scan")
		p.call(life, Kinesis, "ListShards")
		if p.number == 0 && n%5 == 0 { // one worker of the fleet states what is complete
			p.call(life, DynamoDB, State)
		}
		p.call(life, DynamoDB, Look)
	}
}

func (p *puppet) watch(life context.Context) {
	for p.call(life, S3, "HeadBucket"); sleep(life, 15*time.Second); {
		p.call(life, S3, "HeadBucket")
	}
}

func (p *puppet) read(life context.Context) {
	p.call(life, Kinesis, "GetShardIterator")
	p.call(life, Kinesis, "DescribeStreamConsumer")
	for sleep(life, 250*time.Millisecond) {
		p.call(life, Kinesis, Read)
		if p.dice.below(10) == 0 {
			p.call(life, Kinesis, Subscribe)
		}
	}
}

func (p *puppet) write(life context.Context) {
	for _, operation := range []string{"DescribeTable", "GetItem application"} {
		p.call(life, DynamoDB, operation)
	}
	p.call(life, Kinesis, "DescribeStreamSummary")
	sleep(life, p.dice.between(time.Second, 4*time.Second)) // until the leases of the last life are free
	p.call(life, DynamoDB, "GetItem batch")
	p.call(life, DynamoDB, TakeLead)
	p.call(life, DynamoDB, Order)
	p.call(life, DynamoDB, Obey)
	p.call(life, DynamoDB, "PutItem lease")
	p.call(life, DynamoDB, Acquire)
	for sleep(life, p.dice.between(time.Second, 2*time.Second)) {
		p.begun++
		p.call(life, S3, Create)
		p.call(life, S3, Part)
		if !p.call(life, DynamoDB, Commit) {
			p.call(life, DynamoDB, Tombstone)
			p.call(life, S3, Abort)
			continue
		}
		p.call(life, S3, Complete)
		p.call(life, S3, "HeadObject")
		p.call(life, S3, Put)
		if p.call(life, DynamoDB, Forget) {
			p.mu.Lock()
			p.done++
			p.mu.Unlock()
		}
	}
}

// rage runs a storm over puppets.
func rage(t *testing.T, c config) (s *storm, published int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s = newStorm(c)
		var puppets []*puppet
		for i := range c.Workers {
			p := &puppet{number: i, storm: s, weather: s.weather, dice: newDice(c.Seed, uint64(10+i)), shuts: map[Service]int{}}
			puppets, s.fleet = append(puppets, p), append(s.fleet, p)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, p := range puppets {
			wg.Go(func() { p.live(ctx) })
		}
		time.Sleep(time.Second)
		s.rage(ctx)
		cancel()
		wg.Wait()
		for _, p := range puppets {
			published += p.done
		}
	})
	return s, published
}

// A storm meets all of its goals and ends soon; without goals that depends on luck.
func TestRage_MeetsItsGoals(t *testing.T) {
	const storms = 40
	var took []time.Duration
	var batches []int
	lucky := 0
	for seed := range uint64(storms) {
		c := weatherOf(0)
		c.Seed = seed
		s, published := rage(t, c)
		if unmet := s.weather.unmet(c.Goals); len(unmet) > 0 {
			t.Errorf("seed %d: after %v never met:%s", seed, s.blew, describe(unmet))
		}
		took = append(took, s.blew)
		batches = append(batches, published)

		goals := c.Goals
		c.Goals, c.Duration = nil, s.blew
		if s, _ := rage(t, c); len(s.weather.unmet(goals)) == 0 {
			lucky++
		}
	}
	slices.Sort(took)
	slices.Sort(batches)
	t.Logf("storms take %v in the middle and %v at most; %d batches are published in the middle; without goals %d of %d meet them all",
		took[storms/2].Round(100*time.Millisecond), took[storms-1].Round(100*time.Millisecond), batches[storms/2], lucky, storms)
	if took[storms/2] > 35*time.Second {
		t.Errorf("a short storm takes %v", took[storms/2])
	}
	if lucky > storms/2 {
		t.Errorf("%d of %d storms meet all goals without having any: the plan is not tried", lucky, storms)
	}
}

func TestRage_MeetsTheGoalsOfTheLongForm(t *testing.T) {
	for seed := range uint64(3) {
		c := weatherOf(10 * time.Minute)
		c.Seed = seed
		s, published := rage(t, c)
		t.Logf("seed %d: %v, all met after %v, %d batches", seed, s.blew, s.met, published)
		if unmet := s.weather.unmet(c.Goals); len(unmet) > 0 {
			t.Errorf("seed %d: after %v never met:%s", seed, s.blew, describe(unmet))
		}
	}
}
