package pgproxy

import (
	"context"
	"regexp"
	"slices"
	"sync"
)

// Point is a place on the way of a request and its answer.
type Point int

// The points.
const (
	// Before the request: the server has none of it.
	Before Point = iota + 1
	// Inside the request: the server has half of its bytes, and so runs what is complete in them.
	Inside
	// After the request: the server has answered it, and the client has nothing of the answer. Data of a COPY is not answered, only
	// sent.
	After
)

// Effect is what happens at a point.
type Effect int

// The effects.
const (
	// Pass lets the request and its answer go on.
	Pass Effect = iota
	// Cut ends the connections, first that of the server: when the client sees it, the server has seen it.
	Cut
	// Freeze stops the connection in both directions until Planned.Release. Requests to cancel its query are lost.
	Freeze
	// Late cuts the client's connection. The server's stays open, and the request goes on at Planned.Release. Requests to cancel it
	// are lost.
	Late
	// Double, at After, plays the client's transaction again on a connection of its own, and gives the client the second answer, or
	// the first if the second transaction failed before that request.
	Double
)

// Fault is what happens to one request.
type Fault struct {
	// Statement is what a statement that the request runs must match; nil for any.
	Statement *regexp.Regexp
	// CopyData chooses the n-th message with data, from 1, of a COPY whose statement matches.
	CopyData int

	At   Point
	Then Effect
	// Do, unless it is nil, is called at the point, before the effect.
	Do func()
}

// Planned is a fault that was planned. It happens once.
type Planned struct {
	fault      Fault
	proxy      *Proxy
	statements []string

	happened chan struct{}
	release  chan struct{}
	releases sync.Once
	done     chan struct{} // the request was answered, or never will be
}

// Happened is closed when the point is reached, before the client can notice. Do has returned by then.
func (p *Planned) Happened() <-chan struct{} { return p.happened }

// Hit reports whether the fault has happened.
func (p *Planned) Hit() bool {
	select {
	case <-p.happened:
		return true
	default:
		return false
	}
}

// Statements returns what the request runs that the fault has happened to.
func (p *Planned) Statements() []string {
	if !p.Hit() {
		return nil
	}
	return slices.Clone(p.statements)
}

// Release lets a frozen or late request go on, and returns when the server has answered it or has ended the connection. It does
// nothing if the fault has not happened.
func (p *Planned) Release(ctx context.Context) error {
	if !p.Hit() {
		return nil
	}
	p.releases.Do(func() { close(p.release) })
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Cancel drops the fault, unless it has happened.
func (p *Planned) Cancel() {
	p.proxy.mu.Lock()
	defer p.proxy.mu.Unlock()
	p.proxy.planned = slices.DeleteFunc(p.proxy.planned, func(o *Planned) bool { return o == p })
}

// matches reports whether a request is the one that the fault is planned for.
func (f *Fault) matches(r *request, copied string, nth int) bool {
	if f.CopyData > 0 {
		return r.copyData && nth == f.CopyData && (f.Statement == nil || f.Statement.MatchString(copied))
	}
	return len(r.statements) > 0 && (f.Statement == nil || slices.ContainsFunc(r.statements, f.Statement.MatchString))
}
