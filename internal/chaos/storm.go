package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// config describes a storm. All fields are required but those that say otherwise.
type config struct {
	Seed     uint64
	Duration time.Duration
	Workers  int
	Rate     int // Kinesis records a second

	Binary string // the daemon
	Dir    string // takes the daemons' logs
	// Settings are the daemon's environment beside AWS's variables, made anew at each start.
	Settings func(pick func(choices ...string) string) []string
	// Grace is how long a daemon may take to stop.
	Grace time.Duration

	// Backends are the endpoints behind the proxies.
	Backends map[Service]string
	// Credentials and region are variables of the AWS SDK.
	Account []string
	Stream  string
	Bucket  string
	Kinesis *kinesis.Client // past the proxies
	S3      *s3.Client      // past the proxies

	// Reshard is the time between two changes of the stream's shards, 0 for none; Shards is the number of shards at the
	// beginning, and about the least.
	Reshard time.Duration
	Shards  int
	// Counts tells that the stream knows UpdateShardCount.
	Counts bool

	// Tidy sends only records that can be delivered. Optional.
	Tidy bool
	// Strikes happen to daemons at any moment.
	Strikes []Kind
	// Steps are the operations at which daemons are killed and frozen, Actions how.
	Steps   []string
	Actions []action
	// Traps is how many of them wait or last at the same time; more than there are daemons to spare leave none alone.
	Traps int
	// Quiet leaves services and requests without faults other than these. Optional.
	Quiet bool
	// Rewrite changes requests on their way. Optional.
	Rewrite func(c call, body []byte) []byte
}

// storm is one run.
type storm struct {
	cfg     config
	weather *weather
	dice    *dice
	commits *commits
	load    *load
	workers []*worker
	began   time.Time

	mu       sync.Mutex
	faults   []error
	exits    []string // of daemons that ended by themselves
	starts   int
	reshards map[string]int
}

func newStorm(cfg config) *storm {
	w := newWeather(cfg.Seed)
	w.quiet = cfg.Quiet
	return &storm{
		cfg: cfg, weather: w, dice: newDice(cfg.Seed, 2), commits: newCommits(),
		reshards: map[string]int{},
		load: &load{
			client: cfg.Kinesis, stream: cfg.Stream, rate: cfg.Rate, tidy: cfg.Tidy, dice: newDice(cfg.Seed, 3),
			accepted: map[string]place{},
		},
	}
}

// begin starts the daemons. The caller ends them with stop or abandon, and then calls close.
func (s *storm) begin() error {
	s.began = time.Now()
	for number := range s.cfg.Workers {
		w, err := newWorker(s, number)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, w)
	}
	for _, w := range s.workers {
		w.supervise()
	}
	return nil
}

// blow sends records and lets everything happen until the duration is over. When it returns the weather is calm.
func (s *storm) blow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Duration)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.load.run(ctx); err != nil {
			s.fail("%w", err)
			cancel()
		}
	})
	if s.cfg.Reshard > 0 {
		wg.Go(func() { s.reshardUntil(ctx) })
	}
	if !s.cfg.Quiet {
		wg.Go(func() { s.outagesUntil(ctx) })
	}
	wg.Go(func() { s.strikeUntil(ctx) })
	wg.Wait()
	s.weather.settle()
}

// strike is one thing that happens to a daemon.
type strike struct {
	kind      Kind
	operation string // of a trap
	action    action
}

// deck is everything that can happen to daemons, shuffled: each step with each action once, and between them what
// happens at any moment. Every step comes once before one comes a second time.
func (s *storm) deck() []strike {
	rows := make([][]action, len(s.cfg.Steps))
	for i := range rows {
		rows[i] = slices.Clone(s.cfg.Actions)
		shuffle(s.dice, rows[i])
	}
	var deck []strike
	for round := range s.cfg.Actions {
		var part []strike
		for _, kind := range s.cfg.Strikes {
			part = append(part, strike{kind: kind})
		}
		for i, operation := range s.cfg.Steps {
			part = append(part, strike{kind: rows[i][round].kind(), operation: operation, action: rows[i][round]})
		}
		shuffle(s.dice, part)
		deck = append(deck, part...)
	}
	return deck
}

// strikeUntil plays the deck until ctx ends.
func (s *storm) strikeUntil(ctx context.Context) {
	slots := make(chan struct{}, s.cfg.Traps)
	var wg sync.WaitGroup
	defer wg.Wait()
	var deck []strike
	for sleep(ctx, s.dice.between(400*time.Millisecond, 1400*time.Millisecond)) {
		if len(deck) == 0 {
			deck = s.deck()
		}
		next := deck[0]
		deck = deck[1:]
		switch {
		case next.operation == Tombstone || next.operation == Abort:
			// These come only after something else went wrong: whoever makes one, as late as it may be.
			wg.Go(func() { s.lay(ctx, next, anyWorker, s.cfg.Duration) })
		case next.operation == "":
			if w := s.target(ctx); w != nil {
				wg.Go(func() { s.hit(ctx, next.kind, w) })
			}
		case len(slots) == s.cfg.Traps:
			deck = slices.Insert(deck, min(2, len(deck)), next)
		default:
			slots <- struct{}{} // this loop alone fills it
			wg.Go(func() {
				defer func() { <-slots }()
				if w := s.target(ctx); w != nil {
					s.lay(ctx, next, w.number, 8*time.Second)
				}
			})
		}
	}
}

// target picks a daemon that is awake, waiting for one. It returns nil if ctx ends before.
func (s *storm) target(ctx context.Context) *worker {
	for {
		var awake []*worker
		for _, w := range s.workers {
			if w.alive() {
				awake = append(awake, w)
			}
		}
		if len(awake) > 0 {
			return awake[s.dice.below(len(awake))]
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return nil
		}
	}
}

// lay sets a trap and waits until it has sprung, for some time, and until the daemon is awake again.
func (s *storm) lay(ctx context.Context, what strike, worker int, within time.Duration) {
	t := &trap{worker: worker, operation: what.operation, action: what.action, freeze: s.freeze()}
	s.weather.arm(t)
	defer s.weather.disarm(t)
	select {
	case <-t.sprung:
		if t.action.kind() == FreezeIn {
			sleep(ctx, t.freeze)
		}
	case <-ctx.Done():
	case <-time.After(within):
	}
}

// freeze is a time after which others have taken over, mostly.
func (s *storm) freeze() time.Duration { return s.dice.between(5*time.Second, 8*time.Second) }

// hit does something to a daemon at no particular moment.
func (s *storm) hit(ctx context.Context, kind Kind, w *worker) {
	where := fmt.Sprintf("daemon %d", w.number)
	switch kind {
	case Killed:
		s.weather.count(kind, where)
		w.kill("kill -9 at random")
	case Frozen:
		if !w.freeze() {
			return
		}
		s.weather.count(kind, where)
		sleep(ctx, s.freeze())
		w.thaw()
	case Restart:
		if p := w.process(); p != nil && p.running() {
			s.weather.count(kind, where)
			// How it ends in a storm says nothing.
			_ = p.terminate(s.cfg.Grace)
		}
	case Stepped:
		// Farther than most clocks ever jump, back and forth; beyond 15 minutes AWS refuses signatures.
		by := s.dice.between(10*time.Second, 30*time.Minute)
		if s.dice.below(2) == 0 {
			by = -by
		}
		s.weather.count(kind, where)
		s.step(w, by)
		sleep(ctx, s.dice.between(2*time.Second, 15*time.Second))
		s.step(w, 0)
	case Refused:
		service := []Service{Kinesis, DynamoDB, S3}[s.dice.below(3)]
		s.weather.count(kind, string(service))
		s.refuse(ctx, service, s.dice.between(500*time.Millisecond, 4*time.Second), w)
	}
}

// step puts a daemon's clock wrong by d.
func (s *storm) step(w *worker, d time.Duration) {
	if err := w.clock.step(d); err != nil {
		s.fail("step the clock of daemon %d: %w", w.number, err)
	}
}

// outagesUntil takes one service after the other away from all daemons.
func (s *storm) outagesUntil(ctx context.Context) {
	services := []Service{Kinesis, DynamoDB, S3}
	shuffle(s.dice, services)
	for i := 0; sleep(ctx, s.dice.between(8*time.Second, 12*time.Second)); i++ {
		service := services[i%len(services)]
		s.weather.count(Outage, string(service))
		s.refuse(ctx, service, s.dice.between(2*time.Second, 4*time.Second), s.workers...)
	}
}

// refuse has workers' connections to a service refused for some time.
func (s *storm) refuse(ctx context.Context, service Service, d time.Duration, workers ...*worker) {
	for _, w := range workers {
		if err := w.proxies[service].shut(); err != nil {
			s.fail("%w", err)
		}
	}
	sleep(ctx, d)
	for _, w := range workers {
		if err := w.proxies[service].open(); err != nil {
			s.fail("%w", err)
		}
	}
}

// stop ends all daemons gracefully. In calm weather each of them has to manage.
func (s *storm) stop() error {
	faults := make([]error, len(s.workers))
	var wg sync.WaitGroup
	for i, w := range s.workers {
		wg.Go(func() { faults[i] = w.stop(s.cfg.Grace) })
	}
	wg.Wait()
	return errors.Join(faults...)
}

// abandon kills what runs.
func (s *storm) abandon() {
	for _, w := range s.workers {
		w.abandon()
	}
}

// close ends the proxies.
func (s *storm) close() error {
	var faults []error
	for _, w := range s.workers {
		faults = append(faults, w.closeProxies())
	}
	return errors.Join(faults...)
}

// environment are the variables of a daemon that starts.
func (s *storm) environment(w *worker) []string {
	s.mu.Lock()
	s.starts++
	s.mu.Unlock()
	env := append([]string{
		"AWS_ENDPOINT_URL_KINESIS=" + w.proxies[Kinesis].url(),
		"AWS_ENDPOINT_URL_DYNAMODB=" + w.proxies[DynamoDB].url(),
		"AWS_ENDPOINT_URL_S3=" + w.proxies[S3].url(),
		"AWS_EC2_METADATA_DISABLED=true", "HOME=" + s.cfg.Dir, "GOMAXPROCS=2", w.clock.environment(),
	}, s.cfg.Account...)
	return append(env, s.cfg.Settings(s.dice.pick)...)
}

// applied is told by the proxies of requests that a service has accepted.
func (s *storm) applied(c call) {
	if c.operation == Commit {
		s.commits.made(c.worker, c.shards, time.Now())
	}
}

// buried notes how a daemon has ended.
func (s *storm) buried(w *worker, p *process) {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended != "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exits = append(s.exits, fmt.Sprintf("daemon %d after %v: %v\n%s", w.number, time.Since(s.began).Round(time.Second), p.err, p.tail()))
}

// fail notes that the run can not prove anything.
func (s *storm) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Errorf(format, args...))
}

// err is what was noted by fail.
func (s *storm) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.faults...)
}

// sleep waits, and tells whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
