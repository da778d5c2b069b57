package route

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// WriteText writes the report for people: a line for each user record, and the counts.
func (r *Report) WriteText(w io.Writer) error {
	out := &printer{w: w}
	for i := range r.Sent {
		out.sent(&r.Sent[i])
	}
	if len(r.Sent) > 0 {
		out.printf("\n")
	}
	out.summary(&r.Summary)
	for _, note := range r.Notes {
		out.printf("note: %s\n", note)
	}
	return out.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) sent(s *Sent) {
	name := fmt.Sprintf("line %d", s.Line)
	if s.Line == 0 {
		name = s.Shard + " " + s.Sequence
	}
	if len(s.Steps) > 0 {
		p.printf("%s: %d bytes, arrived %s\n", name, s.Bytes, s.Arrival.UTC().Format("2006-01-02T15:04:05.000Z"))
		p.steps(s.Steps)
	}
	for i, r := range s.Records {
		record := name
		if len(s.Records) > 1 {
			record = fmt.Sprintf("%s, %d of %d", name, i+1, len(s.Records))
		}
		p.printf("%s: %s\n", record, r.text())
		p.steps(r.Steps)
		if r.Payload != nil {
			p.steps([]string{"payload: " + printable(r.Payload)})
		}
	}
}

func (p *printer) steps(steps []string) {
	for _, step := range steps {
		p.printf("    %s\n", step)
	}
}

// text says what happens to a record.
func (r *Routed) text() string {
	switch r.Outcome {
	case ToError:
		return fmt.Sprintf("error %s: %s\n    %s", r.Code, r.Reason, r.Key)
	case Dropped, Unknown:
		return string(r.Outcome) + ": " + r.Reason
	}
	text := r.Key
	for _, v := range r.Table {
		text += fmt.Sprintf("\n    table partition %s=%s", v.Field, v.Text)
	}
	return text
}

// printable is a payload that cannot disturb a terminal.
func printable(payload []byte) string {
	control := func(c rune) bool { return c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 }
	if utf8.Valid(payload) && !strings.ContainsFunc(string(payload), control) {
		return string(payload)
	}
	return fmt.Sprintf("%q", payload)
}

func (p *printer) summary(s *Summary) {
	p.printf("%s from %s: %d to data files in %s, %d to the error prefix, %d dropped", count(s.Records, "record"), count(s.Samples, "sample"),
		s.Files, count(len(s.Folders), "folder"), s.Errors, s.Dropped)
	if s.Unknown > 0 {
		p.printf(", %d unknown", s.Unknown)
	}
	p.printf("\n")
	p.counts(s.Folders)
	p.counts(s.Codes)
}

// mostFolders is how many folders and codes the text names.
const mostFolders = 20

func (p *printer) counts(of map[string]int) {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		if of[a] != of[b] {
			return of[b] - of[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		if i == mostFolders {
			p.printf("%8s and %d more\n", "", len(names)-i)
			return
		}
		shown := name
		if shown == "" {
			shown = "(the root of the bucket)"
		}
		p.printf("%8d %s\n", of[name], shown)
	}
}
