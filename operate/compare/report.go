package compare

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"aws-streaming-pipeline/record"
)

// Kind is a kind of difference.
type Kind string

// Kinds of differences. A record with another value is missing on both sides: as it is there, and as it is here.
const (
	MissingInOurs   Kind = "missing-in-ours"   // theirs has the record, ours does not
	MissingInTheirs Kind = "missing-in-theirs" // ours has the record, theirs does not
	DoubleInOurs    Kind = "double-in-ours"    // both have the record, ours more often
	DoubleInTheirs  Kind = "double-in-theirs"  // both have the record, theirs more often
)

var kinds = []Kind{MissingInOurs, MissingInTheirs, DoubleInOurs, DoubleInTheirs}

// Side sums up one delivery.
type Side struct {
	URL     string `json:"url"`
	Objects int64  `json:"objects"`
	Records int64  `json:"records"`
	// MarginObjects and MarginRecords are those of Objects and Records that are in the margin only.
	MarginObjects int64 `json:"margin_objects,omitempty"`
	MarginRecords int64 `json:"margin_records,omitempty"`
	// SetAside counts objects that were not read, by the reason.
	SetAside map[string]int64 `json:"set_aside"`
	// Edge is the number of records without a counterpart that may be beyond the margin. They are not findings.
	Edge int64 `json:"edge"`
}

func (s *Side) count(margin bool, records int64) {
	s.Objects++
	s.Records += records
	if margin {
		s.MarginObjects++
		s.MarginRecords += records
	}
}

// Position is where a record is.
type Position struct {
	Object string `json:"object"` // URL
	// Record is its number in the object, from 1.
	Record  int    `json:"record"`
	EventID string `json:"event_id,omitempty"`

	place place
}

// Example is a content whose counts differ.
type Example struct {
	Hash   string `json:"hash"`
	Theirs int64  `json:"theirs"` // records
	Ours   int64  `json:"ours"`
	// Positions are the first records of each side, no more than two of each.
	Positions []Position `json:"positions"`
	// Payload is the first record as it was read, if payloads are to be shown.
	Payload string `json:"payload,omitempty"`
}

// Finding is all differences of one kind.
type Finding struct {
	Kind     Kind      `json:"kind"`
	Records  int64     `json:"records"`
	Contents int64     `json:"contents"` // different ones
	Examples []Example `json:"examples"`
}

// Report is the result of a comparison.
type Report struct {
	Agree  bool      `json:"agree"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Margin string    `json:"margin,omitempty"`
	// Columns reports whether records were compared as columns can hold them: see Rules.
	Columns  bool      `json:"columns"`
	Theirs   Side      `json:"theirs"`
	Ours     Side      `json:"ours"`
	Findings []Finding `json:"findings"`
}

func newReport(c Config) *Report {
	r := &Report{
		From: c.Window.From, To: c.Window.To, Columns: c.Rules.Columns, Findings: []Finding{},
		Theirs: Side{URL: c.Theirs.URL(), SetAside: make(map[string]int64)},
		Ours:   Side{URL: c.Ours.URL(), SetAside: make(map[string]int64)},
	}
	if r.windowed() {
		r.Margin = c.Window.Margin.String()
	}
	return r
}

func (r *Report) windowed() bool { return !r.From.IsZero() || !r.To.IsZero() }

func (r *Report) side(s side) *Side {
	if s == theirs {
		return &r.Theirs
	}
	return &r.Ours
}

// findings collects differences, and the first examples of each kind.
type findings struct {
	most  int
	kinds map[Kind]*Finding
	edge  [2]int64
}

func newFindings(most int) *findings {
	f := &findings{most: most, kinds: make(map[Kind]*Finding)}
	for _, k := range kinds {
		f.kinds[k] = &Finding{Kind: k, Examples: []Example{}}
	}
	return f
}

func (f *findings) add(h Hash, c count) {
	for _, s := range []side{theirs, ours} {
		f.edge[s] += c.edge(s)
		n := c.excess(s)
		if n == 0 {
			continue
		}
		k := f.kinds[kindOf(s, c.of(s.other()) > 0)]
		k.Records += n
		k.Contents++
		k.keep(newExample(h, c, s), f.most)
	}
}

// kindOf returns the kind of records that s has more of than the other side, which may have some.
func kindOf(s side, otherHas bool) Kind {
	switch {
	case s == theirs && otherHas:
		return DoubleInTheirs
	case s == theirs:
		return MissingInOurs
	case otherHas:
		return DoubleInOurs
	}
	return MissingInTheirs
}

// newExample returns an example, the side with more records first.
func newExample(h Hash, c count, s side) Example {
	e := Example{Hash: h.String(), Theirs: c.of(theirs), Ours: c.of(ours)}
	for _, s := range []side{s, s.other()} {
		for _, p := range c.places[s][:min(c.of(s), 2)] {
			e.Positions = append(e.Positions, Position{place: p, Record: p.record() + 1})
		}
	}
	return e
}

// keep keeps the examples that come first by their first positions, so the report does not depend on the order of hashes. It may keep more
// of them until first is called.
func (f *Finding) keep(e Example, most int) {
	if f.Examples = append(f.Examples, e); len(f.Examples) >= 2*most+100 {
		f.first(most)
	}
}

// first drops all examples but the first.
func (f *Finding) first(most int) {
	slices.SortFunc(f.Examples, func(a, b Example) int { return cmp.Compare(a.Positions[0].place, b.Positions[0].place) })
	f.Examples = f.Examples[:min(len(f.Examples), most)]
}

// finish puts the findings into the report. It reads the objects of the examples again, for what it has not kept of them.
func (m *comparison) finish(ctx context.Context, f *findings) error {
	r := m.report
	r.Theirs.Edge, r.Ours.Edge = f.edge[theirs], f.edge[ours]
	wanted := make(map[place][]wantedRecord) // by the place of the object's first record
	for _, k := range kinds {
		finding := f.kinds[k]
		if finding.Records == 0 {
			continue
		}
		finding.first(f.most)
		r.Findings = append(r.Findings, *finding)
		for i := range finding.Examples {
			e := &finding.Examples[i]
			for j := range e.Positions {
				w := wantedRecord{at: &e.Positions[j]}
				if m.Show && j == 0 {
					w.payload = &e.Payload
				}
				first := w.at.place &^ maxNumber
				wanted[first] = append(wanted[first], w)
			}
		}
	}
	r.Agree = len(r.Findings) == 0
	for _, first := range slices.Sorted(maps.Keys(wanted)) {
		if err := m.lookUp(ctx, first, wanted[first]); err != nil {
			return err
		}
	}
	return nil
}

// wantedRecord is a record of an example.
type wantedRecord struct {
	at      *Position
	payload *string // nil if it is not to be shown
}

// lookUp completes the records of one object.
func (m *comparison) lookUp(ctx context.Context, first place, list []wantedRecord) error {
	o, err := m.catalog.at(first)
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b wantedRecord) int { return cmp.Compare(a.at.Record, b.at.Record) })
	for i := range list {
		list[i].at.Object = m.url(o)
	}
	number := 0
	err = m.read(ctx, o, func(text []byte, isJSON bool) error {
		for number++; len(list) > 0 && list[0].at.Record == number; list = list[1:] {
			list[0].fill(text, isJSON)
		}
		if len(list) == 0 {
			return io.EOF
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the examples again: %w", err)
	}
	return nil
}

func (w wantedRecord) fill(text []byte, isJSON bool) {
	if isJSON {
		var id string
		if json.Unmarshal(memberOf(text, record.EventIDName), &id) == nil {
			w.at.EventID = id
		}
	}
	if w.payload != nil {
		*w.payload = string(text)
	}
}

// WriteText writes the report for human readers.
func (r *Report) WriteText(out io.Writer) error {
	var b strings.Builder
	if r.windowed() {
		fmt.Fprintf(&b, "objects stored from %s to %s, with a margin of %s\n", clock(r.From), clock(r.To), r.Margin)
	}
	if r.Columns {
		b.WriteString("some objects are in columns: numbers and times are compared by value, and null like an absent member\n")
	}
	r.Theirs.write(&b, "theirs")
	r.Ours.write(&b, "ours")
	b.WriteByte('\n')
	for _, f := range r.Findings {
		f.write(&b)
	}
	if r.Theirs.Edge+r.Ours.Edge > 0 {
		fmt.Fprintf(&b, "edge      %d records of theirs and %d of ours in the margin have no counterpart, which may be beyond it\n\n", r.Theirs.Edge, r.Ours.Edge)
	}
	verdict := "AGREE: both sides have the same records\n"
	if !r.Agree {
		verdict = "DIFFERENT\n"
	}
	b.WriteString(verdict)
	_, err := io.WriteString(out, b.String())
	return err
}

func (s *Side) write(b *strings.Builder, name string) {
	fmt.Fprintf(b, "%-8s  %s: %d objects, %d records", name, s.URL, s.Objects, s.Records)
	if s.MarginObjects > 0 {
		fmt.Fprintf(b, ", of which %d objects, %d records in the margin", s.MarginObjects, s.MarginRecords)
	}
	b.WriteByte('\n')
	for _, reason := range slices.Sorted(maps.Keys(s.SetAside)) {
		fmt.Fprintf(b, "          not read: %d %s\n", s.SetAside[reason], reason)
	}
}

func (f *Finding) write(b *strings.Builder) {
	fmt.Fprintf(b, "FINDING   %-17s  %d records (%d different)\n", f.Kind, f.Records, f.Contents)
	for _, e := range f.Examples {
		fmt.Fprintf(b, "          %s: %d in theirs, %d in ours\n", e.Hash, e.Theirs, e.Ours)
		for _, p := range e.Positions {
			fmt.Fprintf(b, "            %s record %d", p.Object, p.Record)
			if p.EventID != "" {
				b.WriteString(" event_id " + p.EventID)
			}
			b.WriteByte('\n')
		}
		if e.Payload != "" {
			fmt.Fprintf(b, "            %s\n", printable(e.Payload))
		}
	}
	if more := f.Contents - int64(len(f.Examples)); more > 0 {
		fmt.Fprintf(b, "          and %d more\n", more)
	}
	b.WriteByte('\n')
}

// printable quotes what is not one line of text.
func printable(payload string) string {
	if utf8.ValidString(payload) && !strings.ContainsFunc(payload, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return payload
	}
	return fmt.Sprintf("%q", payload)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "any time"
	}
	return t.UTC().Format(time.RFC3339)
}
