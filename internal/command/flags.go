package command

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
)

// Moment is a flag for a time: RFC 3339, a UTC day, or a duration before now.
type Moment struct{ time.Time }

// MomentForms says what a Moment may be.
const MomentForms = "an RFC 3339 time such as 2026-01-31T00:00:00Z, a day such as 2026-01-31, or how long ago, such as 36h"

func (m *Moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

// Set implements pflag.Value.
func (m *Moment) Set(text string) (err error) {
	m.Time, err = ParseMoment(text, time.Now())
	return err
}

// Type implements pflag.Value.
func (m *Moment) Type() string { return "time" }

// ParseMoment parses a Moment.
func ParseMoment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d).UTC(), nil
	}
	return time.Time{}, errors.New("want " + MomentForms)
}

// List is a flag that may be given several times.
type List []string

func (l *List) String() string { return strings.Join(*l, ",") }

// Type implements pflag.Value.
func (l *List) Type() string { return "text" }

// Set implements pflag.Value.
func (l *List) Set(text string) error {
	*l = append(*l, text)
	return nil
}

// Print writes a report as JSON or as text.
func Print(out io.Writer, asJSON bool, report any, text func(io.Writer) error) error {
	if !asJSON {
		return text(out)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(report)
}
