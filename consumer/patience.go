package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/internal/logkey"
)

// patience bounds the waits between attempts of Await.
var patience = backoff.Policy{First: 500 * time.Millisecond, Longest: 10 * time.Second}

// quiet is how long an attempt may take until the start says that it has no answer. A call to a service that takes requests and does
// not answer fails after minutes only: it is tried several times, each for as long as awshttp lets it be silent.
const quiet = 10 * time.Second

// Patience is how a program that starts waits for the services that it needs. It is safe for concurrent use.
type Patience struct {
	log *slog.Logger

	mu      sync.Mutex
	step    string // what the program is doing
	problem string // why that has failed; empty if it has not
	over    bool
}

// NewPatience returns the patience of a program that begins to start.
func NewPatience(log *slog.Logger) *Patience { return &Patience{log: log, step: "read the settings"} }

// Await calls f until it succeeds, ctx ends, or f fails with an error that waiting cannot mend, which is then a *diagnosis.Error
// unless it is ours. It waits for unavailable services, as the running daemon does, and for new credentials if the present ones
// have expired. The step says what f does. If ctx ends, the error is its cause, with what Await waited for.
func (p *Patience) Await(ctx context.Context, step string, about diagnosis.Subject, f func() error) error {
	p.at(step, "")
	var last error
	again := func(err error) bool {
		if errors.Is(err, checkpoint.ErrForeignTable) {
			last = err
			return false
		}
		if ctx.Err() != nil { // f was interrupted, which is no reason of its own
			last = fmt.Errorf("%w before it could start: %w", context.Cause(ctx), p.Waits())
			return false
		}
		found := diagnosis.Of(err, about)
		if found.Final {
			last = diagnosis.Explain(err, about)
			return false
		}
		p.at(step, found.String())
		p.log.Warn("failed and will be retried: "+step, logkey.Error, err.Error(), logkey.Reason, found.String())
		return true
	}
	err := patience.Retry(ctx, again, func() error {
		late := time.AfterFunc(quiet, func() { p.unanswered(step) })
		defer late.Stop()
		return f()
	})
	if last != nil {
		return last
	}
	return err
}

func (p *Patience) at(step, problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.problem = step, problem
}

// unanswered notes that an attempt takes long, unless the start already says more.
func (p *Patience) unanswered(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.step != step || p.problem != "" {
		return
	}
	p.problem = "no answer yet"
	p.log.Warn("no answer yet: "+step, logkey.Took, quiet.String())
}

// Over notes that the program has started.
func (p *Patience) Over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// Waits returns what the start waits for, and why; nil once the program has started.
func (p *Patience) Waits() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
		return nil
	case p.problem == "":
		return errors.New(p.step)
	}
	return fmt.Errorf("%s: %s", p.step, strings.ReplaceAll(p.problem, "\n", "; "))
}

// now returns what the program is doing.
func (p *Patience) now() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.step
}
