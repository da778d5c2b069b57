package care_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/iceberg/care"
	"aws-streaming-pipeline/loader/manifests"
	"aws-streaming-pipeline/operate/objects"
	definition "aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
	"aws-streaming-pipeline/writers/writerstest"
)

const (
	bucket    = "lake"
	tableName = "glue://lake/trips"
)

// site is a bucket with manifests and a table, in a catalog of files.
type site struct {
	t       *testing.T
	catalog *folder
	client  *s3.Client
	outbox  outbox
	sealed  time.Time // of the next batch
	files   []string  // paths, of all batches
}

// outbox is what Audit reads of the store.
type outbox struct {
	checkpoint.Tables
	batches []checkpoint.Batch
}

func (o *outbox) Outbox(context.Context) ([]checkpoint.Batch, []checkpoint.UnknownBatch, error) {
	return o.batches, nil, nil
}

func newSite(t *testing.T) *site {
	t.Helper()
	schema := iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "fare", Type: iceberg.PrimitiveTypes.Int64})
	s := &site{t: t, catalog: newFolder(t, schema, iceberg.UnpartitionedSpec), sealed: time.Now().Add(-60 * time.Hour).Truncate(time.Second)}
	endpoint, _ := writerstest.LocalBucket(t, bucket)
	s.client = writerstest.Client(endpoint, "key", "secret", nil)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) load(ctx context.Context) (*table.Table, error) {
	return s.catalog.LoadTable(ctx, nil)
}

func (s *site) table() *table.Table {
	s.t.Helper()
	t, err := s.load(s.t.Context())
	must(s.t, err)
	return t
}

// batch writes the manifest of a batch with two files for the table and one of error records.
func (s *site) batch() checkpoint.Batch {
	s.t.Helper()
	s.sealed = s.sealed.Add(time.Minute)
	n := len(s.files) + 1
	b := checkpoint.Batch{
		ID: idAt(s.sealed.Add(-time.Minute), n), Worker: "worker", Created: s.sealed.UTC(), Tables: []string{tableName},
		Ranges: []checkpoint.Range{{Shard: "shard-0", Start: checkpoint.Position(fmt.Sprint(n)), End: checkpoint.Position(fmt.Sprint(n + 2)), LeaseOwner: "worker"}},
	}
	for i := range 3 {
		f := checkpoint.File{Bucket: bucket, Key: layout.File{Name: "data/trips", Clock: s.sealed, Batch: b.ID, Number: i, Extension: ".parquet"}.Key(), Rows: 10, Bytes: 1000}
		if i == 2 {
			f.Error = true
		} else {
			f.Table = []byte(`{"u":"u"}`)
			s.files = append(s.files, pathOf(f))
		}
		b.Files = append(b.Files, f)
	}
	body, err := layout.EncodeManifest(b)
	must(s.t, err)
	key := layout.ManifestPlace(b, bucket, "manifests/").Key
	_, err = s.client.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: new(bucket), Key: &key, Body: bytes.NewReader(body)})
	must(s.t, err)
	return b
}

// skip writes the note that the table goes without the batch.
func (s *site) skip(b checkpoint.Batch, table string) {
	s.t.Helper()
	note := layout.Skip{Batch: b.ID, Table: table, At: s.sealed, By: "op@host", Reason: "a test"}
	body, err := note.Encode()
	must(s.t, err)
	key := note.Key("manifests/", "attempt")
	_, err = s.client.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: new(bucket), Key: &key, Body: bytes.NewReader(body)})
	must(s.t, err)
}

// idAt returns a batch id of that time.
func idAt(at time.Time, n int) string {
	ms := at.UnixMilli()
	return fmt.Sprintf("%08x-%04x-7000-8000-%012x", ms>>16, ms&0xffff, n)
}

func pathOf(f checkpoint.File) string { return "s3://" + f.Bucket + "/" + f.Key }

// append adds the files of a batch to the table, with so many rows each.
func (s *site) append(b checkpoint.Batch, rows int64) {
	s.t.Helper()
	must(s.t, appendTo(s.t.Context(), s.table(), b, rows))
}

func appendTo(ctx context.Context, t *table.Table, b checkpoint.Batch, rows int64) error {
	var files []iceberg.DataFile
	for _, f := range b.Files {
		if f.Error {
			continue
		}
		built, err := iceberg.NewDataFileBuilder(t.Spec(), iceberg.EntryContentData, pathOf(f), iceberg.ParquetFile, nil, nil, nil, rows, f.Bytes)
		if err != nil {
			return err
		}
		files = append(files, built.Build())
	}
	txn := t.NewTransaction()
	if err := txn.AddDataFiles(ctx, files, nil); err != nil {
		return err
	}
	_, err := txn.Commit(ctx)
	return err
}

func (s *site) window() manifests.Window {
	return manifests.Window{Bucket: objects.Bucket{API: s.client, Name: bucket}, Prefix: "manifests/", Table: tableName, To: time.Now()}
}

func (s *site) audit() *care.AuditReport {
	s.t.Helper()
	r, err := care.Audit(s.t.Context(), s.window(), &s.outbox, s.load)
	must(s.t, err)
	return r
}

func (s *site) commit(change func(*table.Transaction) error) {
	s.t.Helper()
	txn := s.table().NewTransaction()
	must(s.t, change(txn))
	_, err := txn.Commit(s.t.Context())
	must(s.t, err)
}

// state is a State of the site's table for Reload. Its ledger is not kept: Reload is told what is there by the table.
type state struct {
	table  *table.Table
	ledger []string
	err    error // of Append
	unfit  error // of Check
}

func (s *state) Table() *table.Table                { return s.table }
func (s *state) Ledger() []string                   { return s.ledger }
func (s *state) Definition() *definition.Definition { return nil }
func (s *state) Append(ctx context.Context, a loader.Addition) error {
	for _, b := range a.Batches {
		if slices.Contains(a.Keep, b.ID) {
			return fmt.Errorf("ledger: batch %s occurs twice", b.ID)
		}
		if err := appendTo(ctx, s.table, b, b.Files[0].Rows); err != nil {
			return err
		}
		if err := s.table.Refresh(ctx); err != nil {
			return err
		}
	}
	return s.err
}
func (s *state) Check(*checkpoint.File) ([]definition.Column, error) {
	return nil, s.unfit
}
func (s *state) Evolve(context.Context, []definition.Column) (bool, []definition.Column, error) {
	return false, nil, nil
}

func TestAudit_FindsNothingInASoundTable(t *testing.T) {
	s := newSite(t)
	if r := s.audit(); !r.Sound || r.Batches != 0 {
		t.Errorf("an empty table: %+v", r)
	}
	s.append(s.batch(), 10)
	s.append(s.batch(), 10)
	waits := s.batch()
	s.outbox.batches = []checkpoint.Batch{{ID: waits.ID, Tables: waits.Tables}}
	r := s.audit()
	if !r.Sound || len(r.Counts) > 0 || r.Batches != 2 || r.Waiting != 1 || r.Files != 4 || r.Live != 4 || r.Rows != 40 || r.TableRows != 40 {
		t.Errorf("%+v", r)
	}
}

// Each fault is planted in a sound table and must be found.
func TestAudit_Finds(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(s *site)
		want  care.Kind
		count int64
		sound bool
	}{
		{"a batch that was loaded twice", func(s *site) {
			b := s.batch()
			s.append(b, 10)
			again := s.table().NewTransaction()
			var files []iceberg.DataFile
			for _, f := range b.Files[:2] {
				built, err := iceberg.NewDataFileBuilder(s.table().Spec(), iceberg.EntryContentData, pathOf(f), iceberg.ParquetFile, nil, nil, nil, 10, 1000)
				must(s.t, err)
				files = append(files, built.Build())
			}
			// The library refuses a path that is there, so the second time is planted as another writer would do it.
			must(s.t, plantAgain(s.t.Context(), again, files))
		}, care.Double, 2, false},
		{"a batch that was forgotten before it was loaded", func(s *site) { s.batch() }, care.Missing, 2, false},
		{"a batch that an operator has skipped", func(s *site) { s.skip(s.batch(), tableName) }, care.Skipped, 2, true},
		{"a batch that an operator has skipped for another table", func(s *site) { s.skip(s.batch(), "glue://lake/other") }, care.Missing, 2, false},
		{"another number of rows", func(s *site) { s.append(s.batch(), 9) }, care.Rows, 2, false},
		{"a file that no manifest names", func(s *site) {
			b := s.batch()
			b.ID = idAt(s.sealed, 99)
			for i := range b.Files {
				b.Files[i].Key = layout.File{Name: "data/trips", Clock: s.sealed, Batch: b.ID, Number: i, Extension: ".parquet"}.Key()
			}
			s.append(b, 10)
			s.outbox.batches = []checkpoint.Batch{{ID: idAt(s.sealed.Add(-time.Minute), len(s.files)-1), Tables: b.Tables}}
		}, care.Unnamed, 2, false},
		{"a rollback", func(s *site) {
			s.append(s.batch(), 10)
			before := s.table().CurrentSnapshot().SnapshotID
			s.append(s.batch(), 10)
			s.commit(func(txn *table.Transaction) error { return txn.RollbackToSnapshot(before) })
		}, care.Missing, 2, false},
		{"rows that somebody deleted", func(s *site) {
			b := s.batch()
			s.append(b, 10)
			s.append(s.batch(), 10)
			s.commit(func(txn *table.Transaction) error {
				return txn.ReplaceDataFilesWithDataFiles(s.t.Context(), []iceberg.DataFile{fileOf(s.table(), pathOf(b.Files[0]))}, nil, nil)
			})
		}, care.Deleted, 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			test.plant(s)
			r := s.audit()
			if r.Counts[test.want] != test.count || len(r.Counts) != 1 || r.Sound != test.sound {
				t.Errorf("counts %v, sound %t; want %d %s alone\n%+v", r.Counts, r.Sound, test.count, test.want, r)
			}
		})
	}
}

// plantAgain adds files whose paths the table has.
func plantAgain(ctx context.Context, txn *table.Transaction, files []iceberg.DataFile) error {
	if err := txn.AddDataFiles(ctx, files, nil, table.WithoutDuplicateCheck()); err != nil {
		return err
	}
	_, err := txn.Commit(ctx)
	return err
}

func fileOf(t *table.Table, path string) iceberg.DataFile {
	tasks, err := t.Scan().PlanFiles(context.Background())
	if err != nil {
		panic(err)
	}
	i := slices.IndexFunc(tasks, func(task table.FileScanTask) bool { return task.File.FilePath() == path })
	return tasks[i].File
}

// A file that was compacted was in the table: it is not missing.
func TestAudit_KnowsCompactedFiles(t *testing.T) {
	s := newSite(t)
	b := s.batch()
	s.append(b, 10)
	merged, err := iceberg.NewDataFileBuilder(s.table().Spec(), iceberg.EntryContentData, "s3://lake/compacted.parquet", iceberg.ParquetFile, nil, nil, nil, 20, 2000)
	must(t, err)
	s.commit(func(txn *table.Transaction) error {
		return txn.NewRewrite(nil).DeleteFile(fileOf(s.table(), s.files[0])).DeleteFile(fileOf(s.table(), s.files[1])).AddDataFile(merged.Build()).Commit(t.Context())
	})
	if r := s.audit(); !r.Sound || r.Compacted != 2 || len(r.Counts) > 0 || r.TableRows != 20 {
		t.Errorf("%+v", r)
	}
}

func TestExpire_KeepsTheNewestAndTheYoung(t *testing.T) {
	s := newSite(t)
	for range 6 {
		s.append(s.batch(), 10)
	}
	for _, step := range []struct {
		age           time.Duration
		keep, expired int
	}{{time.Hour, 1, 0}, {0, 6, 0}, {0, 4, 2}, {0, 1, 3}} {
		time.Sleep(2 * time.Millisecond) // ages are whole milliseconds
		n, after, err := care.Expire(t.Context(), s.table(), step.age, step.keep)
		if err != nil || n != step.expired || len(after.Metadata().Snapshots()) != len(s.table().Metadata().Snapshots()) {
			t.Errorf("age %s, keep %d: %d expired, error %v; want %d", step.age, step.keep, n, err, step.expired)
		}
	}
	if s.catalog.removed > 0 {
		t.Errorf("%d files were removed; another reader may need them", s.catalog.removed)
	}
	if r := s.audit(); !r.Sound || r.Live != 12 {
		t.Errorf("after expiry: %+v", r)
	}
}

func TestExpire_GivesWayToAnotherCommit(t *testing.T) {
	s := newSite(t)
	s.append(s.batch(), 10)
	s.append(s.batch(), 10)
	stale := s.table()
	s.append(s.batch(), 10)
	time.Sleep(2 * time.Millisecond)
	if n, _, err := care.Expire(t.Context(), stale, 0, 1); err == nil || n != 0 {
		t.Errorf("%d expired, error %v", n, err)
	}
	if got := len(s.table().Metadata().Snapshots()); got != 3 {
		t.Errorf("%d snapshots are left, want 3", got)
	}
}

func TestReload_AddsWhatARollbackTookOut(t *testing.T) {
	s := newSite(t)
	s.append(s.batch(), 10)
	before := s.table().CurrentSnapshot().SnapshotID
	s.append(s.batch(), 10)
	last := s.batch()
	s.append(last, 10)
	s.commit(func(txn *table.Transaction) error { return txn.RollbackToSnapshot(before) })
	waits := s.batch()
	s.outbox.batches = []checkpoint.Batch{{ID: waits.ID, Tables: waits.Tables}}

	reload := func(apply bool, failed error) (care.ReloadReport, error) {
		return care.Reload(t.Context(), s.window(), &s.outbox, func(ctx context.Context) (care.State, error) {
			return &state{table: s.table(), ledger: []string{last.ID}, err: failed}, nil
		}, apply)
	}
	if r, err := reload(false, nil); err != nil || r.Batches != 2 || r.Files != 4 || r.Rows != 40 || s.audit().Live != 2 {
		t.Errorf("a look: %+v, %v; the table has %d files", r, err, s.audit().Live)
	}
	if _, err := reload(true, fmt.Errorf("the answer is lost")); err == nil {
		t.Error("an error of the commit is hidden")
	}
	for range 2 {
		if _, err := reload(true, nil); err != nil {
			t.Fatal(err)
		}
		if r := s.audit(); !r.Sound || r.Live != 6 || r.Waiting != 1 {
			t.Errorf("%+v", r)
		}
	}
}

func TestReload_LeavesAloneWhatTheTableCannotTake(t *testing.T) {
	s := newSite(t)
	s.batch()
	r, err := care.Reload(t.Context(), s.window(), &s.outbox, func(ctx context.Context) (care.State, error) {
		return &state{table: s.table(), unfit: errors.New("no such spec")}, nil
	}, true)
	if err != nil || r.Files != 0 || r.Unfit != 2 || !strings.Contains(r.Reason, "no such spec") {
		t.Errorf("%+v, %v", r, err)
	}
}

// What was compacted is not added again, even when the snapshots that tell so have expired.
func TestReload_LeavesAloneWhatItCannotKnow(t *testing.T) {
	s := newSite(t)
	s.append(s.batch(), 10)
	merged, err := iceberg.NewDataFileBuilder(s.table().Spec(), iceberg.EntryContentData, "s3://lake/compacted.parquet", iceberg.ParquetFile, nil, nil, nil, 20, 2000)
	must(t, err)
	s.commit(func(txn *table.Transaction) error {
		return txn.NewRewrite(nil).DeleteFile(fileOf(s.table(), s.files[0])).DeleteFile(fileOf(s.table(), s.files[1])).AddDataFile(merged.Build()).Commit(t.Context())
	})
	s.append(s.batch(), 10)
	time.Sleep(2 * time.Millisecond)
	_, _, err = care.Expire(t.Context(), s.table(), 0, 1)
	must(t, err)
	r, err := care.Reload(t.Context(), s.window(), &s.outbox, func(ctx context.Context) (care.State, error) {
		return &state{table: s.table()}, nil
	}, true)
	if err != nil || r.Batches != 0 || r.Unknown != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if a := s.audit(); !a.Sound || a.Counts[care.Expired] != 2 || a.TableRows != 40 {
		t.Errorf("%+v", a)
	}
}
