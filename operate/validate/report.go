package validate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/version"
)

// Report is what all checks have found.
type Report struct {
	Program string `json:"program"`
	Version string `json:"version"`
	// Passed means that no check has failed.
	Passed bool   `json:"passed"`
	Lines  []Line `json:"checks"`
}

// misconfigured reports whether it is the settings, or the region, that are wrong, so that the rest could not be checked.
func (r *Report) misconfigured() bool {
	for _, l := range r.Lines {
		if l.Outcome == Fail && (l.Check == settingsCheck || l.Check == regionCheck) {
			return true
		}
	}
	return false
}

// Print does the checks of a program and prints what they find: a line each as soon as it is known, or the report as JSON. Its error has
// the exit code of the command: 1 if a check has failed, 2 if that is because of the settings or the region.
func Print(ctx context.Context, out io.Writer, asJSON bool, program string, checks []Check) error {
	var failed error
	show := func(l Line) {
		if _, err := fmt.Fprintln(out, l); err != nil {
			failed = err
		}
	}
	if asJSON {
		show = func(Line) {}
	}
	r := Report{Program: program, Version: version.String(), Lines: Run(ctx, checks, show)}
	r.Passed = !has(r.Lines, Fail)
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		failed = e.Encode(r)
	}
	switch {
	case ctx.Err() != nil:
		return &command.ExitError{Code: command.ExitInterrupted, Err: context.Cause(ctx)}
	case failed != nil:
		return failed
	case r.misconfigured():
		return &command.ExitError{Code: command.ExitUndone}
	case !r.Passed:
		return &command.ExitError{Code: command.ExitFindings}
	}
	return nil
}

// String returns the line as people read it.
func (l Line) String() string {
	outcome := string(l.Outcome)
	if l.Outcome == Fail {
		outcome = "FAIL"
	}
	text := l.Text
	if l.Advice != "" {
		text += ": " + l.Advice
	}
	return fmt.Sprintf("%-5s %-12s %s", outcome, l.Check, text)
}
