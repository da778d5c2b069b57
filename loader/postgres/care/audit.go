package care

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Kind is what is wrong with rows of a batch.
type Kind string

// Findings: the table is not as exactly-once loading leaves it.
const (
	Missing Kind = "missing-row" // a row of a loaded batch is not in the table, and was not refused
	Double  Kind = "double-row"  // a row is in the table more often than in the files
	Stale   Kind = "stale-row"   // of a key, the table has an older row than the files, or none
)

// Warnings: somebody else has done it.
const (
	Foreign Kind = "foreign-row"   // a row that arrived in the window is in no file
	Skipped Kind = "skipped-batch" // an operator had the table go without the batch
)

func (k Kind) warns() bool { return k == Foreign || k == Skipped }

// Finding is a fault of some rows of a batch.
type Finding struct {
	Kind  Kind   `json:"kind"`
	Batch string `json:"batch,omitempty"`
	// Rows is how many rows it is about, and EventID is that of one of them.
	Rows    int64  `json:"rows"`
	EventID string `json:"event_id,omitempty"`
	Message string `json:"message"`
}

// Report is the result of an audit.
type Report struct {
	Table string    `json:"table"`
	From  time.Time `json:"from,omitzero"`
	To    time.Time `json:"to"`
	// Sound means that there are no findings. Warnings do not count.
	Sound bool `json:"sound"`

	Batches int64 `json:"batches"` // of the window, that were loaded
	Waiting int64 `json:"waiting"` // of the window, that are still to be loaded
	Files   int64 `json:"files"`   // of Batches
	Rows    int64 `json:"rows"`    // of Files
	Refused int64 `json:"refused"` // of Rows, by the database
	Present int64 `json:"present"` // event ids of the window's files that are in the table
	// Superseded are those of Rows that a later row of the same key has replaced; 0 without POSTGRES_KEY.
	Superseded int64 `json:"superseded"`

	Findings []Finding      `json:"findings"`
	Warnings []Finding      `json:"warnings"`
	Counts   map[Kind]int64 `json:"counts"` // of rows; of skipped batches
}

// maxListed is how many findings of one kind are listed. Rows of further ones are only counted.
const maxListed = 200

func (r *Report) add(f Finding) {
	before := 0
	list := &r.Findings
	if f.Kind.warns() {
		list = &r.Warnings
	}
	for _, other := range *list {
		if other.Kind == f.Kind {
			before++
		}
	}
	r.Counts[f.Kind] += max(f.Rows, 1)
	if before < maxListed {
		*list = append(*list, f)
	}
}

// Audit proves that each row of the files that the manifests of the window name for the table is in it once, unless the database has
// refused it, and, with a key, that the table has the newest row of each key. It looks for rows of that time that are in no file.
func Audit(ctx context.Context, s *Site) (*Report, error) {
	r := &Report{Table: s.Table.String(), From: s.Window.From, To: s.Window.To, Findings: []Finding{}, Warnings: []Finding{}, Counts: map[Kind]int64{}}
	batches, err := s.read(ctx)
	if err != nil {
		return r, err
	}
	c, err := s.compare(ctx, batches, true)
	if err != nil {
		return r, err
	}
	c.judge(r, len(s.Key) > 0)
	return r, nil
}

// judge says what has become of the rows of each batch.
func (c *comparison) judge(r *Report, keyed bool) {
	byID := slices.Clone(c.batches)
	sortByID(byID)
	for _, b := range byID {
		if b.waiting() {
			r.Waiting++
			continue
		}
		if b.skipped && b.missing > 0 {
			r.add(Finding{Skipped, b.id, b.missing, b.example, "an operator had the table go without the batch"})
			continue
		}
		r.Batches++
		r.Files += int64(len(b.files))
		r.Rows += b.rows
		r.Refused += b.refused
		switch {
		case keyed && b.stale > 0:
			r.add(Finding{Stale, b.id, b.stale, b.example, fmt.Sprintf(
				"for %d keys the table has neither the batch's row nor a later one: if the database was restored, \"loader reload\" loads the batch again", b.stale)})
		case !keyed && b.missing > 0:
			r.add(Finding{Missing, b.id, b.missing, b.example, b.lacks()})
		}
		if keyed {
			r.Superseded += b.missing
		}
	}
	r.Present = c.present
	for _, d := range c.doubles {
		r.add(Finding{Double, c.batches[d.batch].id, d.count, d.example, fmt.Sprintf("the table has %d rows too many with event ids of the batch", d.count)})
	}
	if f := c.foreign; f.count > 0 {
		r.add(Finding{Foreign, "", f.count, f.example, fmt.Sprintf("%d rows that arrived in this time are in no file: another program has written them", f.count)})
	}
	r.Sound = len(r.Findings) == 0
}

// lacks says what a batch lacks.
func (b *batch) lacks() string {
	switch {
	case b.whole() && !b.named:
		return fmt.Sprintf("none of its %d rows is in the table, and neither outbox nor ledger has the batch: \"loader reload\" loads it again", b.rows)
	case b.whole():
		return fmt.Sprintf("none of its %d rows is in the table, although the ledger names the batch: they were deleted", b.rows)
	}
	return fmt.Sprintf("%d of its %d rows are not in the table and were not refused: they were deleted", b.missing, b.rows)
}

// WriteText writes the report for a terminal.
func (r *Report) WriteText(out io.Writer) error {
	for _, f := range slices.Concat(r.Findings, r.Warnings) {
		word := "FINDING"
		if f.Kind.warns() {
			word = "warning"
		}
		of := ""
		if f.Batch != "" {
			of = "batch " + f.Batch + ": "
		}
		fmt.Fprintf(out, "%s %s: %s%s, such as event_id %s\n", word, f.Kind, of, f.Message, f.EventID)
	}
	listed := map[Kind]int64{}
	for _, f := range slices.Concat(r.Findings, r.Warnings) {
		listed[f.Kind] += max(f.Rows, 1)
	}
	for kind, n := range r.Counts {
		if n > listed[kind] {
			fmt.Fprintf(out, "%d rows of kind %s in all\n", n, kind)
		}
	}
	fmt.Fprintf(out, "table %s\n", r.Table)
	fmt.Fprintf(out, "%d batches loaded with %d files and %d rows: %d event ids in the table, %d rows refused, %d superseded; %d batches are still to be loaded\n",
		r.Batches, r.Files, r.Rows, r.Present, r.Refused, r.Superseded, r.Waiting)
	verdict := "sound: each row of a loaded batch is in the table exactly once, or was refused"
	switch {
	case !r.Sound:
		verdict = "NOT SOUND"
	case r.Superseded > 0:
		verdict = "sound: the table has the newest row of each key, or a later one"
	}
	_, err := fmt.Fprintln(out, verdict)
	return err
}
