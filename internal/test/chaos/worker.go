package chaos

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// daemon is the place of a daemon, as strikes see it.
type daemon interface {
	victim
	place() int
	// alive reports whether a daemon runs here and is awake.
	alive() bool
	// restart ends the daemon gracefully; another starts.
	restart()
	// step sets the error of its clock.
	step(time.Duration) error
	// shut refuses connections to a service until open.
	shut(Service) error
	open(Service) error
}

// worker is the place of a daemon, or of another program: its proxies, and one process after another that uses them.
type worker struct {
	crew    crew
	number  int
	storm   *storm
	proxies map[Service]*proxy
	clock   clock

	mu      sync.Mutex
	current *process
	bucket  string // of the current process
	starts  int
	closing bool
	ended   sync.WaitGroup // the supervisor
}

func newWorker(s *storm, number int, crew crew) (*worker, error) {
	clock, err := newClock(filepath.Join(s.cfg.Dir, fmt.Sprintf("clock-%d", number)))
	if err != nil {
		return nil, err
	}
	w := &worker{crew: crew, number: number, storm: s, proxies: map[Service]*proxy{}, clock: clock}
	for service, backend := range s.cfg.Backends {
		if !slices.Contains(crew.Services, service) {
			continue
		}
		parsed, err := url.Parse(backend)
		if err != nil {
			return nil, err
		}
		p := &proxy{
			worker: number, service: service, backend: parsed, meet: s.weather.meet, victim: w,
			rewrite: s.cfg.Rewrite, allow: s.allowed, applied: s.applied,
		}
		if err := p.start(); err != nil {
			return nil, errors.Join(err, w.closeProxies())
		}
		w.proxies[service] = p
	}
	return w, nil
}

// supervise keeps a daemon running until stop is called.
func (w *worker) supervise() {
	w.ended.Go(func() {
		for {
			p, err := w.launch()
			if err != nil {
				w.storm.fail("%s: %v", w, err)
				return
			}
			if p == nil {
				return
			}
			<-p.exited
			w.storm.buried(w, p)
			time.Sleep(w.storm.dice.upTo(1500 * time.Millisecond))
		}
	})
}

// launch starts the next process, or none if the worker is closing.
func (w *worker) launch() (*process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return nil, nil
	}
	w.starts++
	log := w.log(w.starts)
	before := w.bucket
	w.bucket = w.storm.bucket()
	if before != "" && before != w.bucket {
		w.storm.weather.count(Moved, w.bucket)
	}
	p, err := launch(w.crew.binary(w.storm.upgraded.Load()), log, w.storm.environment(w), w.crew.Args...)
	if err != nil {
		return nil, err
	}
	w.current = p
	return p, nil
}

// log returns the log file of the n-th process in this place.
func (w *worker) log(n int) string {
	return filepath.Join(w.storm.cfg.Dir, fmt.Sprintf("%s-%d-%03d.log", w.crew.Name, w.number, n))
}

// started returns how many processes have run in this place.
func (w *worker) started() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.starts
}

func (w *worker) process() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

func (w *worker) String() string             { return fmt.Sprintf("%s %d", w.crew.Name, w.number) }
func (w *worker) place() int                 { return w.number }
func (w *worker) step(d time.Duration) error { return w.clock.step(d) }

// shut implements daemon.
func (w *worker) shut(service Service) error {
	if p, calls := w.proxies[service]; calls {
		return p.shut()
	}
	return nil
}

// open implements daemon.
func (w *worker) open(service Service) error {
	if p, calls := w.proxies[service]; calls {
		return p.open()
	}
	return nil
}

// restart implements daemon.
func (w *worker) restart() {
	if p := w.process(); p != nil {
		// How it ends in a storm does not matter.
		_ = p.terminate(w.storm.cfg.Grace)
	}
}

// alive implements daemon.
func (w *worker) alive() bool {
	p := w.process()
	return p != nil && p.running()
}

// kill implements victim.
func (w *worker) kill(why string) {
	if p := w.process(); p != nil && p.kill(why) {
		w.storm.commits.died(w.number, time.Now())
	}
}

// freeze implements victim.
func (w *worker) freeze() bool {
	p := w.process()
	return p != nil && p.freeze()
}

// thaw implements victim. The frozen process may have been killed and replaced.
func (w *worker) thaw() {
	if p := w.process(); p != nil {
		p.thaw()
	}
}

// stop ends the worker gracefully. It returns an error if its daemon did not end properly.
func (w *worker) stop(grace time.Duration) error {
	w.mu.Lock()
	w.closing = true
	p := w.current
	w.mu.Unlock()
	var err error
	if p != nil {
		if err = p.terminate(grace); err != nil {
			err = fmt.Errorf("%s did not stop properly: %w\n%s", w, err, p.tail())
		}
	}
	w.ended.Wait()
	return err
}

// abandon ends the worker at once.
func (w *worker) abandon() {
	w.mu.Lock()
	w.closing = true
	p := w.current
	w.mu.Unlock()
	if p != nil {
		p.kill("the end")
		p.thaw()
	}
	w.ended.Wait()
}

func (w *worker) closeProxies() error {
	var faults []error
	for _, p := range w.proxies {
		faults = append(faults, p.close())
	}
	return errors.Join(faults...)
}
