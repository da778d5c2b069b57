package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// config describes a storm. Fields are required unless they say otherwise.
type config struct {
	Seed     uint64
	Duration time.Duration
	// Goals must be met before the storm ends, which may take up to Overtime longer. Optional.
	Goals    []goal
	Overtime time.Duration
	Workers  int
	Rate     int // Kinesis records per second

	Binary  string // the daemon
	Earlier string // the daemon of an earlier release, which runs in the first half of the storm; optional
	Dir     string // for the daemons' logs
	// Settings returns the daemon's environment without the bucket and AWS's variables, anew at each start.
	Settings func(pick func(choices ...string) string) []string
	// Loaders load the daemons' files into a table. Optional.
	Loaders crew
	// Grace is how long a daemon may take to stop.
	Grace time.Duration

	// Backends are the endpoints behind the proxies.
	Backends map[Service]string
	// Credentials and region are variables of the AWS SDK.
	Account []string
	Stream  string
	Buckets []string        // a daemon starts with one of them
	Kinesis *kinesis.Client // past the proxies
	S3      *s3.Client      // past the proxies

	// Reshard is the time between two changes of the stream's shards, 0 for none; Shards is the number of shards at the
	// beginning, and about the least.
	Reshard time.Duration
	Shards  int
	// Counts says whether the stream supports UpdateShardCount.
	Counts bool

	// Tidy sends only records that can be delivered. Optional.
	Tidy bool
	// Grows is the time after which records get another member, again and again. Optional.
	Grows time.Duration
	// Strikes hit daemons at any moment.
	Strikes []Kind
	// Steps are the operations at which daemons are killed and frozen; Actions say how.
	Steps   []string
	Actions []action
	// Traps is how many strikes last at the same time, not counting gentle ones; more than the daemons to spare leave none alone.
	Traps int
	// Silenced are the operations that are left unanswered, one request at a time. Optional.
	Silenced []string
	// Permitted are the operations whose permission is revoked, one at a time. Optional without such strikes.
	Permitted []string
	// Times are the times between strikes and their lengths.
	Times times
	// Quiet injects no faults other than these. Optional.
	Quiet bool
	// Rewrite changes requests on their way. Optional.
	Rewrite func(c call, body []byte) []byte
	// Allow reports whether daemons may make a request. Other requests are denied, and fail the storm. Optional.
	Allow func(service Service, r *http.Request, body []byte) bool
}

// times are the mean times between strikes, and the lengths of lasting faults.
type times struct {
	Strike     time.Duration
	Silence    time.Duration // from one request without an answer to the next
	Freeze     time.Duration // at least; mostly long enough for others to take over
	Recovery   time.Duration // of a restarted daemon, before another strike may hit it
	Outage     time.Duration // from the end of one to the next
	Part       time.Duration // of a slow upload
	Completion time.Duration // of an upload, if slow
	Spell      time.Duration // without a permission or with expired credentials, at most
	Throttle   time.Duration
	Batch      time.Duration // how long it is refused
}

// storm is a run.
type storm struct {
	cfg     config
	weather *weather
	dice    *dice
	commits *commits
	load    *load
	workers []*worker
	fleet   []daemon // the same, as strikes see them
	began   time.Time
	// upgraded means that processes that start now are of the current release.
	upgraded atomic.Bool
	blew     time.Duration // how long the last storm took
	met      time.Duration // when all goals were met

	mu     sync.Mutex
	faults []error
	exits  []string // daemons that ended by themselves
	starts int
	// meanwhile is the number of batches that were published while another one was refused.
	meanwhile int
	reshards  map[string]int
}

func newStorm(cfg config) *storm {
	w := newWeather(cfg.Seed)
	w.quiet, w.goals = cfg.Quiet, cfg.Goals
	return &storm{
		cfg: cfg, weather: w, dice: newDice(cfg.Seed, 2), commits: newCommits(),
		reshards: map[string]int{},
		load: &load{
			client: cfg.Kinesis, stream: cfg.Stream, rate: cfg.Rate, tidy: cfg.Tidy, grows: cfg.Grows, dice: newDice(cfg.Seed, 3),
			accepted: map[string]place{},
		},
	}
}

// begin starts the daemons. The caller ends them with stop or abandon, and then calls close.
func (s *storm) begin() error {
	s.began = time.Now()
	for _, crew := range []crew{s.cfg.daemons(), s.cfg.Loaders} {
		for range crew.Workers {
			w, err := newWorker(s, len(s.workers), crew)
			if err != nil {
				return err
			}
			s.workers, s.fleet = append(s.workers, w), append(s.fleet, w)
		}
	}
	for _, w := range s.workers {
		w.supervise()
	}
	return nil
}

// blow sends records and injects faults until the duration is over and all goals are met. When it returns, the weather is calm.
func (s *storm) blow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
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
	if s.cfg.Earlier != "" {
		wg.Go(func() { s.upgrade(ctx) })
	}
	s.rage(ctx)
	cancel()
	wg.Wait()
}

// upgrade replaces the daemons of an earlier release, one after another, from the middle of the storm.
func (s *storm) upgrade(ctx context.Context) {
	sleep(ctx, s.cfg.Duration/2)
	s.upgraded.Store(true)
	for _, w := range s.workers {
		w.restart()
		sleep(ctx, s.cfg.Times.Recovery)
	}
}

// rage strikes the fleet until the duration is over and all goals are met, and settles the weather.
func (s *storm) rage(ctx context.Context) {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	if !s.cfg.Quiet {
		wg.Go(func() { s.outagesUntil(ctx) })
	}
	wg.Go(func() { s.play(ctx, s.strikes, s.cfg.Traps, s.cfg.Times.Strike) })
	if len(s.cfg.Silenced) > 0 {
		wg.Go(func() { s.play(ctx, s.silences, 1, s.cfg.Times.Silence) })
	}
	s.last(ctx, began)
	cancel()
	wg.Wait()
	s.weather.settle()
	s.blew = time.Since(began)
}

// last waits until the storm may end.
func (s *storm) last(ctx context.Context, began time.Time) {
	for sleep(ctx, 100*time.Millisecond) {
		passed, unmet := time.Since(began), len(s.weather.unmet(s.cfg.Goals))
		if unmet == 0 && s.met == 0 {
			s.met = passed
		}
		if passed >= s.cfg.Duration+s.cfg.Overtime || passed >= s.cfg.Duration && unmet == 0 {
			return
		}
	}
}

// play carries out the strikes of a deck until ctx ends, and deals another deck when it is used up. A strike that has met
// nothing is repeated. The number of strikes that last at the same time is limited, except for those that leave daemons at
// work: a storm in which nothing gets done tests nothing.
func (s *storm) play(ctx context.Context, deal func() []strike, most int, pace time.Duration) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, most)
	var d deck
	for sleep(ctx, s.dice.between(pace/2, pace*3/2)) {
		if d.empty() {
			d.put(deal()...)
		}
		unmet := s.weather.unmet(s.cfg.Goals)
		next, ok := d.draw(unmet, func(next strike) bool {
			// A trap that serves a goal may wait for its slot.
			waits := next.operation != "" && next.servesAny(unmet) && s.weather.waiting() < most
			return (waits || next.kind.gentle() || len(slots) < most) && !s.weather.waits(next)
		})
		if !ok {
			continue
		}
		wg.Go(func() { d.putUnless(s.happen(ctx, next, slots), next) })
	}
}

// happen carries out a strike in a slot, and reports whether it has met anything.
func (s *storm) happen(ctx context.Context, what strike, slots chan struct{}) (met bool) {
	switch {
	case what.operation != "":
		met = s.lay(ctx, newTrap(what, s.freeze(), slots))
	case what.kind.gentle():
		return s.hit(ctx, what)
	default:
		select {
		case slots <- struct{}{}:
		default:
			return false // a trap was faster
		}
		met = s.hit(ctx, what)
	}
	if what.operation == "" || met {
		if what.kind.ends() {
			sleep(ctx, s.cfg.Times.Recovery)
		}
		<-slots
	}
	return met
}

// target picks a daemon that is awake, waiting for one. It returns nil if ctx ends before.
func (s *storm) target(ctx context.Context) daemon {
	for {
		var awake []daemon
		for _, w := range s.fleet {
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

const (
	// patience is how long a trap waits for its request, and a spell for its first request.
	patience = 8 * time.Second
	// nudge is how long a request may take to come by itself. After that it is provoked, and again after nudgeAgain.
	nudge      = 1500 * time.Millisecond
	nudgeAgain = 4 * time.Second
)

// lay sets a trap and waits up to patience until it has sprung, and until the request has met its fate. It reports whether the
// trap has sprung, in which case it has taken its slot.
func (s *storm) lay(ctx context.Context, t *trap) bool {
	s.weather.arm(t)
	within, late := time.After(patience), time.NewTimer(nudge)
	defer late.Stop()
	for {
		select {
		case <-t.sprung:
			t.wait(ctx)
			return true
		case <-late.C:
			s.provoke(ctx, t.operation)
			late.Reset(nudgeAgain)
			continue
		case <-ctx.Done():
		case <-within:
		}
		s.weather.disarm(t)
		select {
		case <-t.sprung: // just now
			t.wait(ctx)
			return true
		default:
			return false
		}
	}
}

// provoke brings about a request that comes only after another event.
func (s *storm) provoke(ctx context.Context, operation string) {
	switch operation {
	case Tombstone, Abort:
		s.hit(ctx, strike{kind: Conflict})
	case Acquire, "DeleteItem worker", "DescribeTable", "GetItem application", "DescribeStreamSummary", "DescribeStreamConsumer", Order, Obey, TakeLead:
		// A daemon releases its leases when it stops, and another one takes them. If it led, another one does so then.
		s.hit(ctx, strike{kind: Restart})
	case "GetItem batch":
		// A daemon that finds the batch of a dead one reads it.
		s.hit(ctx, strike{kind: Killed})
	}
}

func (s *storm) freeze() time.Duration {
	return s.dice.between(s.cfg.Times.Freeze, s.cfg.Times.Freeze*8/5)
}

// hit carries out a strike at no particular moment, and reports whether it has happened.
func (s *storm) hit(ctx context.Context, what strike) bool {
	w := s.target(ctx)
	if w == nil {
		return false
	}
	where := fmt.Sprintf("daemon %d", w.place())
	switch what.kind {
	case Killed:
		s.weather.count(Killed, where)
		w.kill("kill -9 at random")
	case Frozen:
		if !w.freeze() {
			return false
		}
		s.weather.count(Frozen, where)
		sleep(ctx, s.freeze())
		w.thaw()
	case Restart:
		s.weather.count(Restart, where)
		w.restart()
	case Stepped:
		// Farther than most clocks ever jump, in both directions; AWS refuses signatures that are off by more than 15 minutes.
		by := s.dice.between(10*time.Second, 30*time.Minute)
		if s.dice.below(2) == 0 {
			by = -by
		}
		s.weather.count(Stepped, where)
		s.step(w, by)
		sleep(ctx, s.dice.between(2*time.Second, 15*time.Second))
		s.step(w, 0)
	case Refused:
		services := s.cfg.services()
		service := services[s.dice.below(len(services))]
		s.weather.count(Refused, string(service))
		s.refuse(ctx, service, s.dice.between(500*time.Millisecond, 4*time.Second), w)
	default:
		return s.enchant(ctx, what.kind, w.place())
	}
	return true
}

// enchant casts a spell of a kind, waits up to patience until it has met a request, and then until it is over. It reports whether
// it has met any.
func (s *storm) enchant(ctx context.Context, kind Kind, worker int) bool {
	sp, lasts := s.spellOf(kind, worker)
	s.weather.cast(sp)
	defer s.weather.lift(sp)
	select {
	case <-sp.met:
		sleep(ctx, lasts)
		return true
	case <-ctx.Done():
	case <-time.After(patience):
	}
	return false
}

// spellOf returns the next spell of a kind, and how long it lasts from the first request that it meets.
func (s *storm) spellOf(kind Kind, worker int) (sp *spell, lasts time.Duration) {
	sp = &spell{kind: kind, worker: anyWorker}
	t := s.cfg.Times
	switch kind {
	case Expired:
		sp.worker = worker
		return sp, s.dice.between(t.Spell/4, t.Spell)
	case Forbidden:
		sp.operation = s.dice.pick(s.cfg.Permitted...)
		return sp, s.dice.between(t.Spell/4, t.Spell)
	case Barred:
		sp.operation, sp.binds = Complete, true
		return sp, t.Batch
	case Exhausted:
		sp.service, sp.share = DynamoDB, 7./8
		if s.dice.below(2) == 0 {
			sp.worker = worker
		}
		return sp, t.Throttle
	case SlowPart:
		sp.operation, sp.delay, sp.times = Part, t.Part, 1
		return sp, t.Part
	case SlowComplete:
		sp.operation, sp.delay, sp.times = Complete, t.Completion, 1
		return sp, t.Completion
	case LateError, FalseError:
		sp.operation, sp.times = Complete, 1
		return sp, 0
	case Conflict:
		sp.operation, sp.times = Commit, 1
		return sp, 0
	}
	panic("no spell is of the kind " + string(kind))
}

// step sets the error of a daemon's clock to d.
func (s *storm) step(w daemon, d time.Duration) {
	if err := w.step(d); err != nil {
		s.fail("step the clock of daemon %d: %w", w.place(), err)
	}
}

// outagesUntil makes one service after another unreachable for all daemons.
func (s *storm) outagesUntil(ctx context.Context) {
	services := s.cfg.services()
	shuffle(s.dice, services)
	for i := 0; sleep(ctx, s.dice.between(s.cfg.Times.Outage*4/5, s.cfg.Times.Outage*6/5)); i++ {
		service := services[i%len(services)]
		s.weather.count(Outage, string(service))
		s.refuse(ctx, service, s.dice.between(2*time.Second, 4*time.Second), s.fleet...)
	}
}

// refuse refuses daemons' connections to a service for some time.
func (s *storm) refuse(ctx context.Context, service Service, d time.Duration, fleet ...daemon) {
	for _, w := range fleet {
		if err := w.shut(service); err != nil {
			s.fail("%w", err)
		}
	}
	sleep(ctx, d)
	for _, w := range fleet {
		if err := w.open(service); err != nil {
			s.fail("%w", err)
		}
	}
}

// stop ends all daemons gracefully. In calm weather each of them must succeed.
func (s *storm) stop() error {
	faults := make([]error, len(s.workers))
	var wg sync.WaitGroup
	for i, w := range s.workers {
		wg.Go(func() { faults[i] = w.stop(s.cfg.Grace) })
	}
	wg.Wait()
	return errors.Join(faults...)
}

// abandon kills all running daemons.
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

// bucket returns the bucket of the next daemon to start.
func (s *storm) bucket() string { return s.dice.pick(s.cfg.Buckets...) }

// environment returns the variables for a new daemon.
func (s *storm) environment(w *worker) []string {
	s.mu.Lock()
	s.starts++
	s.mu.Unlock()
	env := append([]string{
		"AWS_EC2_METADATA_DISABLED=true", "HOME=" + s.cfg.Dir, "GOMAXPROCS=2", w.clock.environment(),
		"BUCKET=" + w.bucket,
	}, s.cfg.Account...)
	for service, p := range w.proxies {
		env = append(env, addresses[service]+"="+p.url())
	}
	return append(env, w.crew.Settings(s.dice.pick)...)
}

// applied is called by the proxies for requests that a service has accepted.
func (s *storm) applied(c call) {
	switch {
	case c.operation == Commit:
		s.commits.made(c.worker, c.shards, time.Now())
	case c.operation == Forget && s.weather.under(Barred):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.meanwhile++
	}
}

// allowed reports whether a daemon may make a request. If not, the policy is at fault.
func (s *storm) allowed(c call, r *http.Request, body []byte) bool {
	if s.cfg.Allow == nil || s.cfg.Allow(c.service, r, body) {
		return true
	}
	s.fail("daemon %d is not allowed to call %s of %s", c.worker, c.operation, c.service)
	return false
}

// buried records how a daemon ended.
func (s *storm) buried(w *worker, p *process) {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended != "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exits = append(s.exits, fmt.Sprintf("%s after %v: %v\n%s", w, time.Since(s.began).Round(time.Second), p.err, p.tail()))
}

// fail records that the run cannot prove anything.
func (s *storm) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Errorf(format, args...))
}

// err returns what fail recorded.
func (s *storm) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.faults...)
}

// sleep waits, and reports whether ctx has not ended.
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
