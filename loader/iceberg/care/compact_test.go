package care_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader/iceberg/care"
	"aws-streaming-pipeline/writers/layout"
)

// smallFiles is a table partitioned by zone, with so many files of one row in each of two zones.
func smallFiles(t *testing.T, files int) *folder {
	t.Helper()
	schema := iceberg.NewSchema(0,
		iceberg.NestedField{ID: 1, Name: "event_id", Type: iceberg.PrimitiveTypes.String},
		iceberg.NestedField{ID: 2, Name: "zone", Type: iceberg.PrimitiveTypes.Int64})
	spec := iceberg.NewPartitionSpecID(0, iceberg.PartitionField{SourceIDs: []int{2}, FieldID: 1000, Name: "zone", Transform: iceberg.IdentityTransform{}})
	f := newFolder(t, schema, &spec)
	for n := range files {
		tab, err := f.LoadTable(t.Context(), nil)
		must(t, err)
		_, err = tab.AppendTable(t.Context(), rows(n), 100, nil)
		must(t, err)
	}
	return f
}

// rows are one row in each of two zones.
func rows(n int) arrow.Table {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "event_id", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "zone", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}, nil))
	for zone := range 2 {
		b.Field(0).(*array.StringBuilder).Append(string(rune('a'+n)) + string(rune('0'+zone)))
		b.Field(1).(*array.Int64Builder).Append(int64(zone))
	}
	return array.NewTableFromRecords(b.Schema(), []arrow.RecordBatch{b.NewRecordBatch()})
}

func ids(t *testing.T, tab *table.Table) []string {
	t.Helper()
	all, err := tab.Scan().ToArrowTable(t.Context())
	must(t, err)
	var found []string
	for _, chunk := range all.Column(0).Data().Chunks() {
		for i := range chunk.Len() {
			found = append(found, chunk.ValueStr(i))
		}
	}
	slices.Sort(found)
	return found
}

func TestCompact_KeepsEachRow(t *testing.T) {
	const files = 4
	f := smallFiles(t, files)
	before, err := f.LoadTable(t.Context(), nil)
	must(t, err)
	c := care.Compaction{Target: 1 << 20, Now: time.Now()}
	plan, err := care.PlanCompaction(t.Context(), before, c)
	if err != nil || plan.Partitions != 2 || plan.Files != 2*files || plan.Left != 0 {
		t.Fatalf("plan %+v, error %v", plan, err)
	}
	result, err := care.Compact(t.Context(), before, c, plan)
	if err != nil || result.RemovedDataFiles != 2*files || result.AddedDataFiles != 2 {
		t.Fatalf("result %+v, error %v", result, err)
	}
	after, err := f.LoadTable(t.Context(), nil)
	must(t, err)
	if want, got := ids(t, before), ids(t, after); len(want) != 2*files || !slices.Equal(got, want) {
		t.Errorf("rows before %v, after %v", want, got)
	}
	if f.removed > 0 {
		t.Errorf("%d files were removed, which readers of older snapshots need", f.removed)
	}
	// What was planned for a table that has changed since is refused.
	if _, err := care.Compact(t.Context(), before, c, plan); err == nil {
		t.Error("the same files were compacted twice")
	}
	if got := ids(t, after); len(got) != 2*files {
		t.Errorf("rows after the second attempt %v", got)
	}
}

func TestPlanCompaction_BoundsARun(t *testing.T) {
	f := smallFiles(t, 3)
	tab, err := f.LoadTable(t.Context(), nil)
	must(t, err)
	plan, err := care.PlanCompaction(t.Context(), tab, care.Compaction{Target: 1 << 20, Most: 1, Now: time.Now()})
	if err != nil || plan.Files != 0 || plan.Left != 2 {
		t.Errorf("plan %+v, error %v", plan, err)
	}
}

// Partitions that the daemon still writes to are left alone.
func TestPlanCompaction_LeavesBusyPartitions(t *testing.T) {
	s := newSite(t)
	s.sealed = time.Now()
	for range 3 {
		s.append(s.batch(), 10)
	}
	for quiet, files := range map[time.Duration]int{time.Hour: 0, 0: 6} {
		plan, err := care.PlanCompaction(t.Context(), s.table(), care.Compaction{Target: 1 << 20, Quiet: quiet, Now: time.Now().Add(10 * time.Minute)})
		if err != nil || plan.Files != files {
			t.Errorf("quiet for %s: plan %+v, error %v; want %d files", quiet, plan, err, files)
		}
	}
}

func TestOrphans_AreWhatNoSnapshotNeeds(t *testing.T) {
	f := smallFiles(t, 3)
	load := func(ctx context.Context) (*table.Table, error) { return f.LoadTable(ctx, nil) }
	tab, err := load(t.Context())
	must(t, err)
	stray := filepath.Join(f.dir, "data", "stray.parquet")
	young := filepath.Join(f.dir, "data", "young.parquet")
	waits := filepath.Join(f.dir, layout.File{Name: "data/trips", Clock: time.Now(), Batch: idAt(time.Now(), 1), Extension: ".parquet"}.Key())
	old := time.Now().Add(-100 * time.Hour)
	must(t, os.MkdirAll(filepath.Join(f.dir, "_complete"), 0o700))
	for _, path := range []string{stray, young, waits, filepath.Join(f.dir, "data", "_SUCCESS"), filepath.Join(f.dir, "_complete", "app.json")} {
		must(t, os.WriteFile(path, []byte("stray"), 0o600))
	}
	must(t, filepath.Walk(f.dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || path == young {
			return err
		}
		return os.Chtimes(path, old, old)
	}))
	if _, err := care.Orphans(t.Context(), tab, time.Hour); err == nil {
		t.Error("files of an hour ago may belong to a commit under way")
	}
	orphans, err := care.Orphans(t.Context(), tab, 72*time.Hour)
	if err != nil || len(orphans) != 1 || orphans[0].Path != stray {
		t.Fatalf("orphans %v, error %v; want %s", orphans, err, stray)
	}
	// After expiry, the manifest lists of two snapshots are orphans, too.
	time.Sleep(2 * time.Millisecond)
	_, tab, err = care.Expire(t.Context(), tab, 0, 1)
	must(t, err)
	orphans, err = care.Orphans(t.Context(), tab, 72*time.Hour)
	if err != nil || len(orphans) != 3 {
		t.Errorf("orphans %v, error %v", orphans, err)
	}
	n, err := care.Remove(t.Context(), orphans, func(ctx context.Context) ([]table.OrphanFile, error) {
		tab, err := load(ctx)
		must(t, err)
		return care.Orphans(ctx, tab, 72*time.Hour)
	}, os.Remove)
	if err != nil || n != 3 {
		t.Errorf("%d removed, error %v", n, err)
	}
	tab, err = load(t.Context())
	must(t, err)
	if got := ids(t, tab); len(got) != 6 {
		t.Errorf("rows after the removal %v", got)
	}
}

func TestUnneeded_AreFilesThatExpiredSnapshotsHad(t *testing.T) {
	s := newSite(t)
	s.append(s.batch(), 10)
	for _, path := range s.files {
		key := path[len("s3://lake/"):]
		_, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: new(bucket), Key: &key})
		must(t, err)
	}
	merged, err := iceberg.NewDataFileBuilder(s.table().Spec(), iceberg.EntryContentData, "s3://lake/compacted.parquet", iceberg.ParquetFile, nil, nil, nil, 20, 2000)
	must(t, err)
	s.commit(func(txn *table.Transaction) error {
		return txn.NewRewrite(nil).DeleteFile(fileOf(s.table(), s.files[0])).DeleteFile(fileOf(s.table(), s.files[1])).AddDataFile(merged.Build()).Commit(t.Context())
	})
	w := s.window()
	if _, err := care.Unneeded(t.Context(), w, &s.outbox, s.table()); err == nil {
		t.Error("a window that reaches into the kept history is not refused")
	}
	w.To = s.sealed.Add(time.Second)
	if files, err := care.Unneeded(t.Context(), w, &s.outbox, s.table()); err != nil || len(files) != 0 {
		t.Errorf("the first snapshot is kept and needs them: %v, error %v", files, err)
	}
	time.Sleep(2 * time.Millisecond)
	_, after, err := care.Expire(t.Context(), s.table(), 0, 1)
	must(t, err)
	if files, err := care.Unneeded(t.Context(), w, &s.outbox, after); err != nil || len(files) != 2 {
		t.Errorf("%v, error %v; want both files", files, err)
	}
	s.outbox.batches = []checkpoint.Batch{{ID: idAt(s.sealed.Add(-time.Minute), 1), Tables: []string{tableName}}}
	if files, err := care.Unneeded(t.Context(), w, &s.outbox, after); err != nil || len(files) != 0 {
		t.Errorf("the batch is still to be loaded: %v, error %v", files, err)
	}
}
