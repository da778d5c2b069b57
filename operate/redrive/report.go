package redrive

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is the result of a run. It counts the lines that the run selects by code and arrival time.
type Report struct {
	Objects    int64 `json:"objects"`     // that were read to the end
	Sent       int64 `json:"sent"`        // by this run
	SentBefore int64 `json:"sent_before"` // by another
	Unsent     int64 `json:"unsent"`      // not yet: the run ended early, or was a dry run
	Doubt      int64 `json:"in_doubt"`    // possibly sent
	Skipped    int64 `json:"skipped"`     // given up while in doubt, by this run or another
	Refused    int64 `json:"refused"`     // by Kinesis, as invalid records
	// InFiles counts lines of records that are in data files and whose code was not named.
	InFiles    int64 `json:"in_files,omitempty"`
	Unreadable int64 `json:"unreadable"` // lines that are not error records, whatever the codes and times selected

	Codes    map[string]*Count `json:"codes"`
	Doubts   []Doubt           `json:"doubts,omitempty"`
	Problems []Problem         `json:"problems,omitempty"` // the first lines that were refused or unreadable
}

// Count counts the lines with one error code.
type Count struct {
	Lines int64 `json:"lines"`
	Bytes int64 `json:"bytes"` // of their payloads
	Sent  int64 `json:"sent"`  // by this run
}

// Doubt names lines of an object that may or may not have been sent.
type Doubt struct {
	Object string    `json:"object"`
	Lines  string    `json:"lines"` // numbered from 0, such as "0-12,15"
	Run    string    `json:"run"`   // the last to write the marker
	Since  time.Time `json:"since"`
}

// Problem is a line that cannot be sent.
type Problem struct {
	Object string `json:"object"`
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// maxNamed is how many problems and doubts are listed.
const maxNamed = 100

// Settled reports whether nothing needs an operator's attention.
func (r *Report) Settled() bool { return r.Doubt+r.Refused+r.Unreadable == 0 }

func (r *Report) code(name string) *Count {
	if r.Codes[name] == nil {
		r.Codes[name] = new(Count)
	}
	return r.Codes[name]
}

func (r *Report) problem(object string, line int, reason string) {
	if len(r.Problems) < maxNamed {
		r.Problems = append(r.Problems, Problem{object, line, reason})
	}
}

func (r *Report) unreadable(object string, line int, err error) {
	r.Unreadable++
	r.problem(object, line, err.Error())
}

func (r *Report) doubts(object string, m *marker, lines lineSet) {
	if len(lines) > 0 && len(r.Doubts) < maxNamed {
		r.Doubts = append(r.Doubts, Doubt{object, lines.String(), m.Run, m.Since})
	}
}

// WriteText writes the report for human readers.
func (r *Report) WriteText(out io.Writer) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CODE\tLINES\tBYTES\tSENT NOW")
	for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
		c := r.Codes[code]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", code, c.Lines, c.Bytes, c.Sent)
	}
	_ = w.Flush() // a strings.Builder never fails
	for _, d := range r.Doubts {
		fmt.Fprintf(&b, "in doubt  %s lines %s, since %s by run %s\n", d.Object, d.Lines, d.Since.Format(time.RFC3339), d.Run)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "problem   %s line %d: %s\n", p.Object, p.Line, p.Reason)
	}
	fmt.Fprintf(&b, "\n%d objects; %d lines sent, %d sent before, %d not sent, %d in doubt, %d skipped, %d refused, %d unreadable\n",
		r.Objects, r.Sent, r.SentBefore, r.Unsent, r.Doubt, r.Skipped, r.Refused, r.Unreadable)
	if r.InFiles > 0 {
		fmt.Fprintf(&b, "%d lines are of records that are in data files and were refused by the database: they were left alone, unless --code names theirs\n", r.InFiles)
	}
	if r.Doubt > 0 {
		b.WriteString("lines in doubt may have been sent: --in-doubt=send sends them (at least once), --in-doubt=skip gives them up (at most once)\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
