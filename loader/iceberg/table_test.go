package iceberg

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	icebergtable "github.com/apache/iceberg-go/table"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/lake"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/loadertest"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

func (r *restTable) batch(id string, n int) checkpoint.Batch {
	r.t.Helper()
	b, err := r.Write(r.t.Context(), r.load().Definition(), id, n)
	must(r.t, err)
	return b
}

func (r *restTable) live() int {
	r.t.Helper()
	live, err := r.Live(r.t.Context())
	must(r.t, err)
	n := 0
	for _, times := range live {
		n += times
	}
	return n
}

// Each control leaves out what a table's rule needs.
func TestTable_DoublesWithoutTheRule(t *testing.T) {
	s := newSite(t)
	r := s.table()
	b := r.batch("one", 2)
	r.Fail(loadertest.AnswerLost)
	if err := r.load().Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{b}}); !errors.Is(err, loader.ErrUnanswered) {
		t.Fatalf("the lost answer is %v", err)
	}
	loaded := r.load()
	if ids := loaded.Ledger(); !slices.Equal(ids, []string{"one"}) || r.live() != 2 {
		t.Fatalf("the ledger names %v, and %d files are live; want the batch with 2", ids, r.live())
	}
	// The ledger is not looked at.
	must(t, loaded.Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{b}}))
	if live := r.live(); live != 4 {
		t.Errorf("without a look %d files are live, want 4", live)
	}
}

// The table shows up to when it is complete, with the data and without, and keeps its ledger.
func TestTable_ShowsUpToWhenItIsComplete(t *testing.T) {
	s := newSite(t)
	r := s.table()
	shows := func(want time.Time) loader.Stater {
		t.Helper()
		var state loader.Stater = r.load()
		if got := state.CompleteUpTo(); !got.Equal(want) {
			t.Errorf("the table shows %s, want %s", got, want)
		}
		return state
	}
	first := time.Date(2026, 11, 28, 10, 0, 0, 123e6, time.UTC)
	before := shows(time.Time{})
	must(t, r.load().Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{r.batch("one", 1)}, CompleteUpTo: first}))
	state := shows(first)
	if err := before.StateComplete(t.Context(), first.Add(time.Hour)); !errors.Is(err, loader.ErrConflict) {
		t.Errorf("a statement on the state before: %v, want a conflict", err)
	}
	must(t, state.StateComplete(t.Context(), first.Add(time.Hour)))
	shows(first.Add(time.Hour))
	must(t, r.load().Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{r.batch("two", 1)}, Keep: []string{"one"}}))
	shows(first.Add(time.Hour))
	if ids := r.load().Ledger(); !slices.Equal(ids, []string{"one", "two"}) {
		t.Errorf("the ledger names %v", ids)
	}
}

func TestTable_TellsErrorsApart(t *testing.T) {
	s := newSite(t)
	r := s.table()
	b := r.batch("one", 1)
	for status, want := range map[int]error{
		http.StatusConflict: loader.ErrConflict, http.StatusInternalServerError: loader.ErrUnanswered,
		http.StatusBadGateway: loader.ErrUnanswered, http.StatusServiceUnavailable: loader.ErrUnanswered, http.StatusGatewayTimeout: loader.ErrUnanswered,
		http.StatusForbidden: nil, http.StatusBadRequest: nil,
	} {
		r.network.status = status
		before := r.network.sent.Load()
		l := r.load()
		loads := r.network.sent.Load() - before
		err := l.Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{b}})
		if err == nil || want != nil && !errors.Is(err, want) || want == nil && (errors.Is(err, loader.ErrConflict) || errors.Is(err, loader.ErrUnanswered)) {
			t.Errorf("%d is %v, want %v", status, err, want)
		}
		if sent := r.network.sent.Load() - before - loads; sent != 1 {
			t.Errorf("%d: the commit was sent %d times", status, sent)
		}
	}
	if live := r.live(); live != 0 {
		t.Errorf("%d files are live", live)
	}
}

// Loading reads and removes no data file, and the number of requests of a commit does not depend on the number of its files.
func TestTable_CommitsWithFewRequests(t *testing.T) {
	s := newSite(t)
	r := s.table()
	must(t, r.load().Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{r.batch("first", 1)}}))
	const batches, files = 500, 10
	var many []checkpoint.Batch
	d := r.load().Definition()
	for i := range batches {
		b, err := r.Write(t.Context(), d, fmt.Sprintf("018f2d3c-0000-7000-8000-%012d", i), files)
		must(t, err)
		many = append(many, b)
	}
	s.s3.reset()
	sent := r.network.sent.Load()
	start := time.Now()
	l := r.load()
	loaded := time.Since(start)
	must(t, l.Append(t.Context(), loader.Addition{Batches: many, Keep: []string{"first"}}))
	took := time.Since(start)
	t.Logf("%d batches of %d files: load %v, all %v, S3 %v, catalog %d requests", batches, files, loaded, took, s.s3.n, r.network.sent.Load()-sent)
	if s.s3.data != 0 || s.s3.n[http.MethodDelete] != 0 || s.s3.n[http.MethodGet] != 1 || s.s3.n[http.MethodPut] != 2 {
		t.Errorf("S3 got %v, of them %d for data files; want 1 GET and 2 PUT", s.s3.n, s.s3.data)
	}
	after := r.load()
	if removals := after.destination.files.Removals(); removals != 0 {
		t.Errorf("%d removals", removals)
	}
	if live := r.live(); live != 1+batches*files {
		t.Errorf("%d files are live, want %d", live, 1+batches*files)
	}
	size := after.Size()
	for _, m := range must2(after.table.CurrentSnapshot().Manifests(after.destination.files))(t) {
		t.Logf("manifest of %d bytes, %d files", m.Length(), m.AddedDataFiles())
	}
	t.Logf("metadata %d bytes, ledger %d bytes", size.MetadataBytes, len(after.table.Properties()[ledgerKey("trips")]))
	if size.Snapshots != 2 || size.MetadataBytes < 18_000 || size.MetadataBytes > 40_000 {
		t.Errorf("the size is %+v", size)
	}
}

func must2[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// The number of manifests stays small however often a loader commits, and no file is lost when they are merged.
func TestTable_MergesManifests(t *testing.T) {
	s := newSite(t)
	for enabled, most := range map[string]int{"true": 7, "false": 24} {
		r := s.table()
		l := r.load()
		_, _, err := l.destination.catalog.CommitTable(t.Context(), l.table.Identifier(), nil, []icebergtable.Update{
			icebergtable.NewSetPropertiesUpdate(map[string]string{"commit.manifest.min-count-to-merge": "5", "commit.manifest-merge.enabled": enabled}),
		})
		must(t, err)
		for i := range 23 {
			must(t, r.load().Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{r.batch(fmt.Sprint("b", i), 2)}}))
			if i == 10 {
				must(t, r.Foreign(t.Context()))
				must(t, r.Expire(t.Context()))
			}
		}
		manifests, _ := r.reader().Size(t)
		if manifests > most || enabled == "false" && manifests < most {
			t.Errorf("merge %s: %d manifests, want at most %d", enabled, manifests, most)
		}
		files := r.reader().Files(t, "")
		if doubles := lake.Doubles(files); r.live() != 46 || len(files) != 47 || len(doubles) > 0 {
			t.Errorf("merge %s: %d files are live, %d with the foreign one, doubled %v; want 46 and 47", enabled, r.live(), len(files), doubles)
		}
		snapshot := r.reader().Snapshots(t)
		if last := snapshot[len(snapshot)-1].Summary; last["total-data-files"] != "47" || last["total-records"] != "461" || last["aws-streaming-pipeline.batches.trips"] != "b22" {
			t.Errorf("the summary is %v", last)
		}
	}
}

// Files of the partition spec and schema of before are appended beside those of now, in one snapshot.
func TestTable_TakesFilesOfOlderSpecs(t *testing.T) {
	s := newSite(t)
	r := s.table()
	r.Partition = must2(table.ParsePartition("day(_arrived_at)"))(t)
	older := r.batch("older", 2)
	l := r.load()
	none := iceberg.NewPartitionSpecID(1)
	_, _, err := l.destination.catalog.CommitTable(t.Context(), l.table.Identifier(), nil, []icebergtable.Update{
		icebergtable.NewAddPartitionSpecUpdate(&none, false), icebergtable.NewSetDefaultSpecUpdate(lastAdded),
	})
	must(t, err)
	newer := r.batch("newer", 3)
	now := r.load()
	if now.Definition().Spec.ID == l.Definition().Spec.ID {
		t.Fatal("the spec is the same")
	}
	for _, b := range []checkpoint.Batch{older, newer} {
		_, err := now.Check(&b.Files[0])
		must(t, err)
	}
	other, err := json.Marshal(table.Description{UUID: now.Definition().UUID, Spec: 9})
	must(t, err)
	if _, err := now.Check(&checkpoint.File{Table: other}); err == nil || !strings.Contains(err.Error(), "partition spec 9") {
		t.Errorf("a file of a spec that is not there: %v", err)
	}
	must(t, now.Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{older, newer}}))
	if live := r.live(); live != 5 || r.load().Size().Snapshots != 1 {
		t.Errorf("%d files are live, want 5 in one snapshot", live)
	}
}

// A new table has the columns of SCHEMA with all their parts, which widen and grow, and a partition of them.
func TestTable_IsCreatedFromASchema(t *testing.T) {
	s := newSite(t)
	r := s.table()
	r.Partition = must2(table.ParsePartition("bucket(4,city), day(_arrived_at)"))(t)
	r.Schema = must2(schema.Parse("trips", []byte(`{"type": "object", "properties": {
		"city": {"type": "string"}, "at": {"type": "object", "properties": {"lat": {"type": "number"}}},
		"stops": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}}}}`)))(t)
	l := r.load()
	wanted := []table.Column{
		{Name: "at", Member: "at", Type: "struct", Fields: []table.Column{{Name: "lon", Member: "lon", Type: "double"}}},
		{Name: "stops", Member: "stops", Type: "list", Element: &table.Column{Name: "element", Type: "struct", Fields: []table.Column{{Name: "name", Member: "name", Type: "string"}}}},
		{Name: "fresh", Member: "fresh", Type: "decimal(9, 2)"},
	}
	if changed, refused, err := l.Evolve(t.Context(), wanted); !changed || len(refused) > 0 || err != nil {
		t.Errorf("changed %t, refused %v, %v", changed, refused, err)
	}
	// This state is no longer the table's.
	if _, _, err := l.Evolve(t.Context(), wanted); !errors.Is(err, loader.ErrConflict) {
		t.Errorf("evolving the state of before again: %v, want a conflict", err)
	}
	d := r.load().Definition()
	const want = "city=city:string at=at:struct(lat=lat:double lon=lon:double) stops=stops:list<element=:struct(n=n:long name=name:string)> " +
		"event_id=event_id:string _arrived_at=_arrived_at:timestamptz _extra=_extra:string fresh=fresh:decimal(9, 2)"
	if got := describe(d.Columns); got != want {
		t.Errorf("the columns are\n%s, want\n%s", got, want)
	}
	if fields := d.Spec.Fields; len(fields) != 2 || fields[0].Transform != "bucket[4]" || fields[0].Source != d.Find("city").ID ||
		fields[1].Transform != "day" || fields[1].Source != d.Find("_arrived_at").ID {
		t.Errorf("the partition is %+v", fields)
	}
	if names := lake.Names(r.reader().Schema(t)); len(names) != 7 {
		t.Errorf("pyiceberg has the columns %v", names)
	}
}

// Two loaders create a table at once: both load the same one.
func TestTable_IsCreatedOnce(t *testing.T) {
	s := newSite(t)
	for range 3 {
		r := s.table()
		uuids := make(chan string, 2)
		for range 2 {
			d := r.Open()
			go func() {
				state, err := d.Load(t.Context(), nil)
				if err != nil {
					uuids <- err.Error()
					return
				}
				uuids <- state.Definition().UUID
			}()
		}
		if a, b := <-uuids, <-uuids; a != b {
			t.Errorf("one loader has %s, the other %s", a, b)
		}
	}
	r := s.table()
	r.Create = false
	if _, err := r.Open().Load(t.Context(), nil); err == nil {
		t.Error("a table was created though it must not")
	}
}

// The table of somebody else gets the pipeline's own columns, unless columns may not be added.
func TestTable_GetsTheColumnsOfThePipeline(t *testing.T) {
	s := newSite(t)
	for _, evolve := range []bool{true, false} {
		r := s.table()
		r.Evolve = evolve
		must(t, r.reader().Create([][2]string{{"id", "string"}, {"_extra", "string"}}, nil, map[string]string{"format-version": "2"}))
		l := r.load()
		want := "id=id:string _extra=_extra:string"
		if evolve {
			want += " event_id=event_id:string _arrived_at=_arrived_at:timestamptz"
		}
		if got := describe(l.Definition().Columns); got != want {
			t.Errorf("evolve %t: the columns are %s, want %s", evolve, got, want)
		}
		wanted := []table.Column{{Name: "n", Member: "n", Type: "long"}}
		changed, refused, err := l.Evolve(t.Context(), wanted)
		if err != nil || changed != evolve || (len(refused) == 0) != evolve {
			t.Errorf("evolve %t: changed %t, refused %v, %v", evolve, changed, refused, err)
		}
	}
}

func TestTable_RefusesWhatItCannotLoad(t *testing.T) {
	s := newSite(t)
	r := s.table()
	must(t, r.reader().Create([][2]string{{"id", "string"}}, nil, map[string]string{"format-version": "1"}))
	if _, err := r.Open().Load(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "format version 1: want 2") {
		t.Errorf("version 1: %v", err)
	}
	r = s.table()
	l := r.load()
	for _, ledger := range []string{"", "a,,b"} {
		_, _, err := l.destination.catalog.CommitTable(t.Context(), l.table.Identifier(), nil, []icebergtable.Update{
			icebergtable.NewSetPropertiesUpdate(map[string]string{ledgerKey("trips"): ledger}),
		})
		must(t, err)
		if _, err := r.Open().Load(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "aws-streaming-pipeline.ledger.trips: ledger: entry") {
			t.Errorf("ledger %q: %v", ledger, err)
		}
	}
}

const writeFiles = `
import sys, datetime, pyarrow as pa, pyarrow.parquet as pq
ids = dict(zip(["event_id", "_arrived_at", "_extra"], sys.argv[2:]))
kinds = {"event_id": pa.string(), "_arrived_at": pa.timestamp("us", "UTC"), "_extra": pa.string()}
schema = pa.schema([pa.field(n, kinds[n], metadata={"PARQUET:field_id": i}) for n, i in ids.items()])
for day in range(3):
    at = datetime.datetime(2026, 1, 1 + day, 12, tzinfo=datetime.timezone.utc)
    rows = [{"event_id": f"{day}-{i}", "_arrived_at": at, "_extra": None} for i in range(10)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), f"{sys.argv[1]}/{day}.parquet")
`

// Other programs read the rows of files that were loaded, also after a column was renamed, and skip files by partition and
// bounds.
func TestTable_IsReadByOthers(t *testing.T) {
	s := newSite(t)
	r := s.table()
	r.Partition = must2(table.ParsePartition("day(_arrived_at)"))(t)
	l := r.load()
	dir := t.TempDir()
	script := filepath.Join(dir, "write.py")
	must(t, os.WriteFile(script, []byte(writeFiles), 0o600))
	id := func(member string) int { return l.Definition().Find(member).ID }
	write := emulator.Tables(t, script, dir, fmt.Sprint(id("event_id")), fmt.Sprint(id("_arrived_at")), fmt.Sprint(id("_extra")))
	write.Stderr = t.Output()
	must(t, write.Run())

	b := checkpoint.Batch{ID: "one"}
	for day := range 3 {
		content, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(day, ".parquet")))
		must(t, err)
		key := fmt.Sprintf("data/%s/%d.parquet", r.URI.Table, day)
		_, err = s.bucket.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("lake"), Key: &key, Body: strings.NewReader(string(content))})
		must(t, err)
		at := time.Date(2026, 1, 1+day, 12, 0, 0, 0, time.UTC)
		long := binary.LittleEndian.AppendUint64(nil, uint64(at.UnixMicro()))
		d := table.Description{UUID: l.Definition().UUID, Schema: l.Definition().Schema, Spec: l.Definition().Spec.ID,
			Partition: [][]byte{binary.LittleEndian.AppendUint32(nil, uint32(at.Unix()/86400))}, Splits: []int64{4},
			Columns: []table.Metrics{
				{ID: id("event_id"), Size: 100, Values: 10, Lower: fmt.Appendf(nil, "%d-0", day), Upper: fmt.Appendf(nil, "%d-9", day)},
				{ID: id("_arrived_at"), Size: 50, Values: 10, Lower: long, Upper: long},
				{ID: id("_extra"), Size: 20, Values: 10, Nulls: 10},
			}}
		text, err := json.Marshal(d)
		must(t, err)
		b.Files = append(b.Files, checkpoint.File{Bucket: "lake", Key: key, Rows: 10, Bytes: int64(len(content)), Table: text})
	}
	must(t, l.Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{b}}))
	must(t, r.reader().Rename("event_id", "id"))
	const count = "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM t"
	if got := fmt.Sprint(r.reader().Query(t, count)); got != "[map[ids:30 n:30]]" {
		t.Errorf("DuckDB counts %s", got)
	}
	if rows := r.reader().Rows(t, "id = '1-7'"); len(rows) != 1 || !strings.HasPrefix(fmt.Sprint(rows[0]["_arrived_at"]), "2026-01-02T12:00:00") {
		t.Errorf("pyiceberg reads %v", rows)
	}
	for filter, want := range map[string]int{"": 3, "_arrived_at >= '2026-01-02T00:00:00+00:00'": 2, "id = '1-7'": 1, "_extra is not null": 0} {
		if files := r.reader().Files(t, filter); len(files) != want {
			t.Errorf("pyiceberg plans %d files for %q, want %d", len(files), filter, want)
		}
	}
	if c := r.load().Definition().Find("event_id"); c == nil || c.Name != "id" {
		t.Errorf("after the renaming event_id fills %v", c)
	}
}

// A table that its owner dropped is not created again, and one that takes its place is not changed, before the owner accepts it.
func TestTable_IsNotMadeAgainWhereItWasDropped(t *testing.T) {
	r := newOpenTable(t, "s3://lake/tables/trips", func(*http.Request) bool { return false })
	l, err := r.load(t.Context())
	must(t, err)
	previous := l.Definition()
	drop := func() {
		t.Helper()
		must(t, l.destination.files.WalkDir("s3://lake/tables/trips", func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, l.destination.files.Delete(t.Context(), path))
		}))
	}
	exists := func() bool {
		t.Helper()
		return must2(l.destination.catalog.CheckTableExists(t.Context(), l.destination.URI.Identifier()))(t)
	}
	drop()
	if _, err := r.Open().Load(t.Context(), previous); !errors.Is(err, catalog.ErrNoSuchTable) || !strings.Contains(err.Error(), previous.UUID) || exists() {
		t.Errorf("load where it was dropped: %v, exists %t", err, exists())
	}
	theirs := iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "theirs", Type: iceberg.PrimitiveTypes.String})
	_, err = l.destination.catalog.CreateTable(t.Context(), l.destination.URI.Identifier(), theirs, catalog.WithProperties(created))
	must(t, err)
	columns := func(previous *table.Definition) int {
		t.Helper()
		return len(must2(r.Open().Load(t.Context(), previous))(t).Definition().Columns)
	}
	if n := columns(previous); n != 1 {
		t.Errorf("another table in its place was given %d columns", n-1)
	}
	// Controls: once nothing is bound, both are done.
	if n := columns(nil); n != 4 {
		t.Errorf("a table that is loaded first has %d columns, want 4", n)
	}
	drop()
	if columns(nil); !exists() {
		t.Error("a table that was never there is not created")
	}
}
