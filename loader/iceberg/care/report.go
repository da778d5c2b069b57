package care

import (
	"fmt"
	"io"
	"slices"
)

// WriteText writes the report for a terminal.
func (r *AuditReport) WriteText(out io.Writer) error {
	for _, f := range slices.Concat(r.Findings, r.Warnings) {
		word := "FINDING"
		if f.Kind.warns() {
			word = "warning"
		}
		fmt.Fprintf(out, "%s %s: %s: %s\n", word, f.Kind, f.File, f.Message)
	}
	for kind, n := range r.Counts {
		if n > maxListed {
			fmt.Fprintf(out, "%d of kind %s in all\n", n, kind)
		}
	}
	fmt.Fprintf(out, "table %s, snapshot %d: %d rows\n", r.Table, r.Snapshot, r.TableRows)
	fmt.Fprintf(out, "%d batches loaded with %d files and %d rows: %d files as they were written, %d compacted since; %d batches are still to be loaded\n",
		r.Batches, r.Files, r.Rows, r.Live, r.Compacted, r.Waiting)
	verdict := "sound: each file of a loaded batch is in the table exactly once"
	if !r.Sound {
		verdict = "NOT SOUND"
	}
	_, err := fmt.Fprintln(out, verdict)
	return err
}
