package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

// Kind is what is wrong. docs/operations.md describes what to do for each.
type Kind string

// Findings: the manifests or the bucket are not as exactly-once delivery leaves them.
const (
	Gap         Kind = "gap"             // no manifest covers a part of a shard
	Overlap     Kind = "overlap"         // two manifests cover the same part of a shard
	BadManifest Kind = "bad-manifest"    // a manifest that a batch cannot have written
	WrongCount  Kind = "wrong-count"     // the files of a batch have another number of rows than its ranges have records
	MissingFile Kind = "missing-file"    // a file that a manifest names does not exist
	WrongSize   Kind = "wrong-size"      // a file has another size than its manifest says
	Replaced    Kind = "replaced-file"   // a file has another content: its ETag differs
	ForeignFile Kind = "foreign-file"    // a file was written by another batch, or by none
	Unreadable  Kind = "unreadable-file" // the content of a file is damaged (deep)
	WrongRows   Kind = "wrong-rows"      // a file has more or fewer rows than its manifest says (deep)
	Double      Kind = "double-record"   // an event id occurs more often than it may (deep)
	OutOfRange  Kind = "out-of-range"    // a record is outside every range of its batch (deep)
)

// Warnings: they do not disprove exactly-once delivery.
const (
	Unnamed   Kind = "unnamed-file"   // a file of the pipeline that no manifest names
	Unknown   Kind = "unknown-object" // an object whose key the pipeline does not create
	OldOutbox Kind = "old-outbox"     // the file list of a batch that should have left the outbox
)

// warns reports whether findings of this kind are only warnings.
func (k Kind) warns() bool { return k == Unnamed || k == Unknown || k == OldOutbox }

// Finding is one fault.
type Finding struct {
	Kind    Kind   `json:"kind"`
	Shard   string `json:"shard,omitempty"`
	Batch   string `json:"batch,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
}

// Shard summarizes what the manifests of the window say about one shard.
type Shard struct {
	Shard   string `json:"shard"`
	Ranges  int64  `json:"ranges"`
	Records int64  `json:"records"`
	// Start and End are the ends of its chain.
	Start        checkpoint.Position `json:"start"`
	End          checkpoint.Position `json:"end"`
	FirstArrival time.Time           `json:"first_arrival,omitzero"`
	LastArrival  time.Time           `json:"last_arrival,omitzero"`
	Findings     int                 `json:"findings"`
}

// Report is the result of an audit.
type Report struct {
	Bucket string    `json:"bucket"`
	From   time.Time `json:"from,omitzero"` // zero: from the first manifest
	To     time.Time `json:"to"`
	Deep   bool      `json:"deep"`
	// Sound reports whether the audit finished without findings. Warnings do not count.
	Sound bool `json:"sound"`

	Batches  int64 `json:"batches"`
	Files    int64 `json:"files"`
	Backups  int64 `json:"backups,omitempty"` // of the files
	Bytes    int64 `json:"bytes"`
	Records  int64 `json:"records"` // data and error records, by the ranges of the manifests
	RowsRead int64 `json:"rows_read,omitempty"`
	Listed   int64 `json:"objects_listed,omitempty"` // under Config.Prefixes

	Shards []Shard `json:"shards"`
	// Moves are the moves of positions that operators noted and that explain a jump of a chain.
	Moves    []layout.Move `json:"moves,omitempty"`
	Findings []Finding     `json:"findings"`
	Warnings []Finding     `json:"warnings"`
	// Counts counts findings and warnings by kind, including those that are not listed because there are too many.
	Counts map[Kind]int64 `json:"counts"`

	ends    map[string]End
	movedTo map[checkpoint.Position]bool // by notes
}

// maxListed is how many findings of one kind are listed. Further ones are only counted.
const maxListed = 200

func (r *Report) add(f Finding) {
	r.Counts[f.Kind]++
	if r.Counts[f.Kind] > maxListed {
		return
	}
	if f.Kind.warns() {
		r.Warnings = append(r.Warnings, f)
		return
	}
	r.Findings = append(r.Findings, f)
}

// total returns the number of findings, without warnings, and the number of warnings.
func (r *Report) total() (findings, warnings int64) {
	for kind, n := range r.Counts {
		if kind.warns() {
			warnings += n
			continue
		}
		findings += n
	}
	return findings, warnings
}

// Clean reports whether there are no findings and, if strict, no warnings. An audit that did not finish may be clean, but
// is not sound.
func (r *Report) Clean(strict bool) bool {
	return len(r.Findings) == 0 && (!strict || len(r.Warnings) == 0)
}

// WriteText writes the report for human readers.
func (r *Report) WriteText(out io.Writer) error {
	var b strings.Builder
	from := "the first manifest"
	if !r.From.IsZero() {
		from = r.From.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(&b, "bucket %s, batches sealed from %s to %s\n\n", r.Bucket, from, r.To.UTC().Format(time.RFC3339))
	r.writeShards(&b)
	for _, m := range r.Moves {
		fmt.Fprintf(&b, "moved     %s by %s at %s: %s -> %s%s\n", m.Shard, m.By, m.At.UTC().Format(time.RFC3339), m.From, m.To, effect(m))
	}
	r.writeFindings(&b, "FINDING", r.Findings)
	r.writeFindings(&b, "warning", r.Warnings)
	findings, warnings := r.total()
	if listed := int64(len(r.Findings) + len(r.Warnings)); listed < findings+warnings {
		fmt.Fprintf(&b, "and %d more of these kinds\n", findings+warnings-listed)
	}
	how := "files checked by size and ETag"
	if r.Deep {
		how = fmt.Sprintf("%d rows read", r.RowsRead)
	}
	backups := ""
	if r.Backups > 0 {
		backups = fmt.Sprintf(" (%d of them backups)", r.Backups)
	}
	fmt.Fprintf(&b, "\n%d batches, %d files%s, %d bytes, %d records; %s\n", r.Batches, r.Files, backups, r.Bytes, r.Records, how)
	verdict := "sound: no gap, no overlap, every file is there"
	switch {
	case findings > 0:
		verdict = fmt.Sprintf("NOT SOUND: %d findings", findings)
	case !r.Sound:
		verdict = "NOT CHECKED to the end: nothing is proven"
	}
	if warnings > 0 {
		verdict += fmt.Sprintf("; %d warnings", warnings)
	}
	b.WriteString(verdict + "\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func (r *Report) writeShards(b *strings.Builder) {
	if len(r.Shards) == 0 {
		b.WriteString("no manifests\n")
		return
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tRANGES\tRECORDS\tFIRST ARRIVAL\tLAST ARRIVAL\tSTART\tEND\tFINDINGS")
	for _, s := range r.Shards {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%d\n", s.Shard, s.Ranges, s.Records,
			clock(s.FirstArrival), clock(s.LastArrival), short(s.Start), short(s.End), s.Findings)
	}
	_ = w.Flush() // a strings.Builder never fails
	b.WriteByte('\n')
}

// effect describes what a move did, if the positions show it.
func effect(m layout.Move) string {
	_, from := m.From.SequenceNumber()
	_, to := m.To.SequenceNumber()
	switch {
	case m.To == checkpoint.TrimHorizon, m.From == checkpoint.ShardEnd, from && to && compare(m.To, m.From) < 0:
		return ", the records between are delivered again"
	case m.To == checkpoint.ShardEnd, from && to:
		return ", the records between were skipped"
	}
	return ""
}

func (r *Report) writeFindings(b *strings.Builder, label string, list []Finding) {
	for _, f := range list {
		fmt.Fprintf(b, "%-8s  %-15s", label, f.Kind)
		for _, s := range []string{f.Shard, f.Key} {
			if s != "" {
				b.WriteString(" " + s)
			}
		}
		if f.Batch != "" && !strings.Contains(f.Key, f.Batch) {
			b.WriteString(" batch " + f.Batch)
		}
		b.WriteString(": " + f.Message + "\n")
	}
}

// sort orders findings, so that the order does not depend on timing.
func (r *Report) sort() {
	for _, list := range [][]Finding{r.Findings, r.Warnings} {
		slices.SortStableFunc(list, func(a, b Finding) int {
			return strings.Compare(string(a.Kind)+a.Shard+a.Batch+a.Key, string(b.Kind)+b.Shard+b.Batch+b.Key)
		})
	}
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// short shortens a position to fit a column: the last digits of a sequence number distinguish it from its neighbours.
func short(p checkpoint.Position) string {
	s, ok := p.SequenceNumber()
	if !ok || len(s) <= 16 {
		return string(p)
	}
	return "…" + s[len(s)-14:]
}
