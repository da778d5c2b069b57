// Package validate tries whether the daemon, or the loader, would work with its settings: every service that the settings name is
// asked for what the program needs, with the program's own credentials.
//
// Nothing is left behind. Uploads are aborted, other writes have a condition that cannot be met, no lease is taken, and no table is
// created. No call needs a permission that the program itself does not need, except for two that only warnings rest on (see
// docs/validate.md).
package validate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Outcome is how a check ended.
type Outcome string

// The outcomes.
const (
	OK   Outcome = "ok"
	Warn Outcome = "warn" // the program works, but something will hurt
	Fail Outcome = "fail"
	Skip Outcome = "skip" // the check could not be done
)

// Line is one thing that a check has found. The names of the JSON members do not change.
type Line struct {
	Check   string  `json:"check"`
	Outcome Outcome `json:"outcome"`
	// Setting is the setting or environment variable that the line is about, if it is about one.
	Setting string `json:"setting,omitempty"`
	// Text says what was found, and Advice what to do. Neither has secrets.
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
}

// Check is one subject to look at.
type Check struct {
	Name string
	// After are the names of checks that come first. If one of them fails or is skipped, so is this one. Names of checks that are not
	// in the list do not count.
	After []string
	// With are the names of checks that come first, however they end.
	With []string
	// Try looks at the subject. It ends soon after its context does.
	Try func(context.Context, *Result)
}

// Result collects the lines of a check.
type Result struct {
	ctx   context.Context
	check string
	lines []Line
}

// OK adds what was found to be fine.
func (r *Result) OK(format string, args ...any) {
	r.add(Line{Outcome: OK, Text: fmt.Sprintf(format, args...)})
}

// Warn adds what works but will hurt.
func (r *Result) Warn(setting, text, advice string) {
	r.add(Line{Outcome: Warn, Setting: setting, Text: text, Advice: advice})
}

// Fail adds what does not work.
func (r *Result) Fail(setting, text, advice string) {
	r.add(Line{Outcome: Fail, Setting: setting, Text: text, Advice: advice})
}

// Skip adds what could not be tried.
func (r *Result) Skip(text string) { r.add(Line{Outcome: Skip, Text: text}) }

func (r *Result) add(l Line) {
	l.Check = r.check
	l.Text, l.Advice = oneLine(l.Text), oneLine(l.Advice)
	r.lines = append(r.lines, l)
}

// oneLine joins the lines of a text.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' }), "; ")
}

// has reports whether a line has the outcome.
func has(lines []Line, o Outcome) bool {
	return slices.ContainsFunc(lines, func(l Line) bool { return l.Outcome == o })
}

// Failed reports whether the check has failed so far.
func (r *Result) Failed() bool { return has(r.lines, Fail) }

// limit is the time that a check has, and farewell the time that it has to clean up afterwards.
const (
	limit    = 15 * time.Second
	farewell = 5 * time.Second
)

// Run does the checks: at the same time as far as none comes after another, each within a time limit. It shows the lines in
// the order of the checks, as soon as they are known. After ctx ends, the checks that are still running clean up and are skipped.
func Run(ctx context.Context, checks []Check, show func(Line)) []Line {
	trials := make(map[string]*trial, len(checks))
	for _, c := range checks {
		trials[c.Name] = &trial{Check: c, done: make(chan struct{})}
	}
	for _, t := range trials {
		go t.run(ctx, trials)
	}
	var all []Line
	for _, c := range checks {
		t := trials[c.Name]
		<-t.done
		for _, l := range t.lines {
			show(l)
		}
		all = append(all, t.lines...)
	}
	return all
}

// trial is a check that is being done.
type trial struct {
	Check
	done   chan struct{}
	lines  []Line // when done, as is the following
	undone bool
}

func (t *trial) run(ctx context.Context, trials map[string]*trial) {
	defer close(t.done)
	for _, name := range t.After {
		before, ok := trials[name]
		if !ok {
			continue
		}
		<-before.done
		if ending := before.ending(); ending != "" {
			t.undone = true
			t.lines = []Line{{Check: t.Name, Outcome: Skip, Text: "because " + name + " " + ending}}
			return
		}
	}
	for _, name := range t.With {
		if before, ok := trials[name]; ok {
			<-before.done
		}
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := &Result{ctx: limited, check: t.Name}
	t.Try(limited, r)
	if ctx.Err() != nil && r.Failed() { // perhaps for that reason
		t.undone, r.lines = true, nil
		r.Skip("interrupted")
	}
	t.lines = r.lines
}

// ending says why checks that come after this one cannot be done; empty if they can.
func (t *trial) ending() string {
	switch {
	case t.undone:
		return "was skipped"
	case has(t.lines, Fail):
		return "failed"
	}
	return ""
}
