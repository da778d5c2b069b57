package care

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader/manifests"
	"aws-streaming-pipeline/writers/layout"
)

// Kind is what is wrong with a file.
type Kind string

// Findings: the table is not as exactly-once loading leaves it.
const (
	Double  Kind = "double-file"  // the file is in the table more than once
	Missing Kind = "missing-file" // the file of a loaded batch was never in the table
	Rows    Kind = "wrong-rows"   // the table counts other rows in the file than its manifest does
	Unnamed Kind = "unnamed-file" // the table has a file of the pipeline that no manifest names
)

// Warnings: somebody else has done it, or it cannot be known any more.
const (
	Skipped Kind = "skipped-file" // an operator had the table go without the file's batch
	Deleted Kind = "deleted-file" // the rows of the file were deleted or overwritten
	Expired Kind = "expired"      // the file is not in the table, and the snapshots that would tell why have expired
)

func (k Kind) warns() bool { return k == Deleted || k == Expired || k == Skipped }

// Finding is one fault.
type Finding struct {
	Kind    Kind   `json:"kind"`
	Batch   string `json:"batch,omitempty"`
	File    string `json:"file"`
	Message string `json:"message"`
}

// AuditReport is the result of an audit.
type AuditReport struct {
	Table    string    `json:"table"`
	Snapshot int64     `json:"snapshot_id,omitempty"`
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to"`
	// Sound means that there are no findings. Warnings do not count.
	Sound bool `json:"sound"`

	Batches   int64 `json:"batches"`    // of the window, that were loaded
	Waiting   int64 `json:"waiting"`    // of the window, that are still to be loaded
	Files     int64 `json:"files"`      // of Batches
	Rows      int64 `json:"rows"`       // of Files
	Live      int64 `json:"live"`       // of Files, as they were written
	Compacted int64 `json:"compacted"`  // of Files, rewritten by a compaction
	TableRows int64 `json:"table_rows"` // of all files of the table, less those that position deletes may hide

	Findings []Finding      `json:"findings"`
	Warnings []Finding      `json:"warnings"`
	Counts   map[Kind]int64 `json:"counts"`
}

// maxListed is how many findings of one kind are listed. Further ones are only counted.
const maxListed = 200

func (r *AuditReport) add(f Finding) {
	r.Counts[f.Kind]++
	switch {
	case r.Counts[f.Kind] > maxListed:
	case f.Kind.warns():
		r.Warnings = append(r.Warnings, f)
	default:
		r.Findings = append(r.Findings, f)
	}
}

// expected is a file that should be in the table.
type expected struct {
	batch     string
	sealed    time.Time
	rows      int64
	live      int   // how often it is in the current snapshot
	counted   int64 // rows, by the table
	compacted bool  // a compaction has replaced it
	deletedBy int64 // snapshot, 0 if none
	operation table.Operation
	added     bool // a snapshot that has not expired added it
	missing   bool // as judge has found
	described checkpoint.File
}

// Audit proves that each file that the manifests of the window name for the table was added to it exactly once, and that
// the table has no other file of the pipeline from that time.
//
// It reads the manifests, then the outbox, then the table: a batch that is not in the outbox any more was loaded before
// the table is read, or skipped, of which a note was written before. Its memory grows with the files of the window, by about 400 bytes each.
func Audit(ctx context.Context, w manifests.Window, outbox checkpoint.Tables, load Load) (*AuditReport, error) {
	a, err := audit(ctx, w, outbox, load)
	return a.report, err
}

func audit(ctx context.Context, w manifests.Window, outbox checkpoint.Tables, load Load) (*auditor, error) {
	r := &AuditReport{Table: w.Table, From: w.From, To: w.To, Findings: []Finding{}, Warnings: []Finding{}, Counts: map[Kind]int64{}}
	a := &auditor{window: w, report: r, files: map[string]*expected{}, waiting: map[string]bool{}}
	for _, step := range []func() error{
		func() error { return w.Each(ctx, a.expect) },
		func() error { return a.readOutbox(ctx, outbox) },
		func() error { return a.readTable(ctx, load) },
		func() (err error) { a.skipped, err = w.Skipped(ctx); return err },
	} {
		if err := step(); err != nil {
			return a, err
		}
	}
	a.judge()
	r.Sound = len(r.Findings) == 0
	return a, nil
}

type auditor struct {
	window  manifests.Window
	report  *AuditReport
	files   map[string]*expected // by path
	batches []string
	waiting map[string]bool // batches
	skipped map[string]bool // batches
	oldest  time.Time       // commit of the oldest snapshot of the ancestry; zero if there is none
	whole   bool            // the ancestry goes back to the first snapshot
}

func (a *auditor) expect(m layout.Manifest) error {
	a.batches = append(a.batches, m.Batch)
	for _, f := range m.Files {
		if len(f.Table) == 0 {
			continue
		}
		a.files["s3://"+f.Bucket+"/"+f.Key] = &expected{
			batch: m.Batch, sealed: m.Created, rows: f.Rows,
			described: checkpoint.File{Bucket: f.Bucket, Key: f.Key, Rows: f.Rows, Bytes: f.Bytes, ETag: f.ETag, Partition: f.Partition, Table: f.Table},
		}
	}
	return nil
}

// readOutbox notes which batches are still to be loaded.
func (a *auditor) readOutbox(ctx context.Context, outbox checkpoint.Tables) error {
	batches, _, err := outbox.Outbox(ctx)
	if err != nil {
		return fmt.Errorf("read the outbox: %w", err)
	}
	for _, b := range batches {
		if slices.Contains(b.Tables, a.window.Table) && !slices.Contains(b.Loaded, a.window.Table) {
			a.waiting[b.ID] = true
		}
	}
	return nil
}

func (a *auditor) readTable(ctx context.Context, load Load) error {
	t, err := load(ctx)
	if err != nil {
		return fmt.Errorf("read the table: %w", err)
	}
	head := t.CurrentSnapshot()
	if head == nil {
		return nil
	}
	fs, err := t.FS(ctx)
	if err != nil {
		return err
	}
	a.report.Snapshot = head.SnapshotID
	if err := entries(ctx, fs, head, a.seeLive); err != nil {
		return err
	}
	line := ancestry(t)
	last := line[len(line)-1]
	a.oldest, a.whole = time.UnixMilli(last.TimestampMs), last.ParentSnapshotID == nil
	if !a.anyGone() {
		return nil
	}
	seen := map[string]bool{}
	for i := range line {
		if err := a.readHistory(ctx, t, &line[i], seen); err != nil {
			return err
		}
	}
	return nil
}

// seeLive counts a file of the current snapshot.
func (a *auditor) seeLive(entry iceberg.ManifestEntry) {
	if entry.Status() == iceberg.EntryStatusDELETED {
		return
	}
	path, rows := entry.DataFile().FilePath(), entry.DataFile().Count()
	a.report.TableRows += rows
	if f := a.files[path]; f != nil {
		f.live++
		f.counted = rows
		return
	}
	a.seeUnnamed(path)
}

// seeUnnamed looks at a file that no manifest of the window names.
func (a *auditor) seeUnnamed(path string) {
	_, key, _ := strings.Cut(strings.TrimPrefix(path, "s3://"), "/")
	file, ours := layout.ParseFile(key)
	if !ours {
		return
	}
	// A batch is begun before it is sealed, and at most a day before: what was begun and must have been sealed inside the
	// window has a manifest there.
	began, ok := layout.BatchTime(file.Batch)
	if !ok || began.Before(a.window.From) || !began.Before(a.window.To.Add(-longestFill)) {
		return
	}
	a.report.add(Finding{Unnamed, file.Batch, path, "it is in the table, and no manifest of the window names it for the table"})
}

// longestFill is how long a batch may be open before it is sealed: a day, the longest commit interval, plus a margin.
const longestFill = 25 * time.Hour

func (a *auditor) anyGone() bool {
	for _, f := range a.files {
		if f.live == 0 {
			return true
		}
	}
	return false
}

// readHistory looks for what added or removed files in the manifests that a snapshot brought.
func (a *auditor) readHistory(ctx context.Context, t *table.Table, s *table.Snapshot, seen map[string]bool) error {
	fs, err := t.FS(ctx)
	if err != nil {
		return err
	}
	manifests, err := s.Manifests(fs)
	if err != nil {
		return fmt.Errorf("read the manifests of snapshot %d: %w", s.SnapshotID, err)
	}
	for _, m := range manifests {
		if seen[m.FilePath()] {
			continue
		}
		seen[m.FilePath()] = true
		err := manifestEntries(ctx, fs, m, func(entry iceberg.ManifestEntry) {
			f := a.files[entry.DataFile().FilePath()]
			if f == nil {
				return
			}
			if entry.Status() != iceberg.EntryStatusDELETED {
				f.added = true
				return
			}
			by := t.SnapshotByID(entry.SnapshotID())
			f.deletedBy = entry.SnapshotID()
			if by != nil && by.Summary != nil {
				f.operation = by.Summary.Operation
			}
			f.compacted = f.operation == table.OpReplace
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judge says what has become of each file.
func (a *auditor) judge() {
	r := a.report
	for _, id := range a.batches {
		if a.waiting[id] {
			r.Waiting++
		} else {
			r.Batches++
		}
	}
	for path, f := range a.files {
		waits := a.waiting[f.batch]
		if !waits {
			r.Files++
			r.Rows += f.rows
		}
		switch {
		case f.live > 1:
			r.add(Finding{Double, f.batch, path, fmt.Sprintf("it is in the table %d times", f.live)})
		case f.live == 1 && f.counted != f.rows:
			r.add(Finding{Rows, f.batch, path, fmt.Sprintf("the table counts %d rows, the manifest %d", f.counted, f.rows)})
		case f.live == 1:
			r.Live++
		case waits:
		case f.compacted:
			r.Compacted++
		case f.deletedBy != 0 && f.operation == "":
			r.add(Finding{Expired, f.batch, path, fmt.Sprintf("snapshot %d removed it, by a compaction or for good, and has expired since", f.deletedBy)})
		case f.deletedBy != 0:
			r.add(Finding{Deleted, f.batch, path, fmt.Sprintf("snapshot %d (%s) removed it", f.deletedBy, f.operation)})
		case !f.added && a.skipped[f.batch]:
			r.add(Finding{Skipped, f.batch, path, "an operator had the table go without the batch"})
		case !f.added && !a.whole && f.sealed.Before(a.oldest):
			r.add(Finding{Expired, f.batch, path, "it is not in the table, whose history begins at " + a.oldest.UTC().Format(time.RFC3339) + ", after the batch was sealed"})
		default:
			f.missing = true
			r.add(Finding{Missing, f.batch, path, "its batch is not in the outbox, and no snapshot of the table has it: if the table was rolled back, loader reload adds it again"})
		}
	}
	for _, list := range [][]Finding{r.Findings, r.Warnings} {
		slices.SortFunc(list, func(x, y Finding) int { return strings.Compare(x.File, y.File) })
	}
}
