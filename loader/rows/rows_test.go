package rows_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
	"aws-streaming-pipeline/writers/writerstest"
)

// numbered returns records with their numbers.
func numbered(n int) (list []record.Record) {
	for i := range n {
		list = append(list, record.Record{
			SequenceNumber: fmt.Sprintf("%056d", i), Data: fmt.Appendf(nil, `{"n":%d,"name":"name of %d","rest":[%d]}`, i, i, i), Arrival: time.UnixMilli(int64(i)),
		})
	}
	return list
}

// numberedTable is a format for numbered records, with row groups of some kilobytes.
func numberedTable(tb testing.TB) writers.Format {
	return forTable(tb, nil, []table.Column{
		column("n", "long"), column("name", "string"), column("event_id", "string"), column("_arrived_at", "timestamptz"), column("_extra", "string"),
	})
}

// drain reads all rows of numbered records, and returns how many there are.
func drain(ctx context.Context, b rows.Bucket, f *checkpoint.File) (n int, err error) {
	r, err := rows.Open(ctx, b, f, []string{"n"})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
		if v := string(row.Values[0].AppendText(nil)); v != fmt.Sprint(n) || row.Number != int64(n) || string(row.EventID) != fmt.Sprintf("%056d", n) {
			return n, fmt.Errorf("row %d has n=%s, number %d, event %s", n, v, row.Number, row.EventID)
		}
		n++
	}
}

// formats are a file of each, with the same records.
func formats(tb testing.TB, count int) map[string][]byte {
	files := map[string][]byte{}
	for _, c := range []jsonl.Compression{jsonl.None, jsonl.Gzip, jsonl.Zstd, jsonl.Snappy, jsonl.HadoopSnappy, jsonl.SnappyFramed, jsonl.Zip} {
		files[string(c)], _, _ = written(tb, mustLines(tb, c), numbered(count))
	}
	files["parquet"], _, _ = written(tb, numberedTable(tb), numbered(count))
	return files
}

func TestReader_ReadsEveryCompression(t *testing.T) {
	for name, data := range formats(t, 500) {
		b := newBucket(data)
		if n, err := drain(t.Context(), b, b.file(500)); n != 500 || err != nil {
			t.Errorf("%s: %d rows: %v", name, n, err)
		}
		if len(b.requests) != 1 {
			t.Errorf("%s: requests %q, want one", name, b.requests)
		}
	}
}

func TestReader_ReadsThroughTheSDK(t *testing.T) {
	endpoint, folder := writerstest.LocalBucket(t, "bucket")
	client := writerstest.Client(endpoint, "key", "secret", nil)
	for name, data := range formats(t, 300) {
		if err := os.MkdirAll(filepath.Join(folder, "bucket", "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "bucket", "data", "file"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		f := &checkpoint.File{Bucket: "bucket", Key: "data/file", Rows: 300, Bytes: int64(len(data))}
		if n, err := drain(t.Context(), client, f); n != 300 || err != nil {
			t.Errorf("%s: %d rows: %v", name, n, err)
		}
		f.Key = "data/none"
		if _, err := drain(t.Context(), client, f); !errors.Is(err, rows.ErrMissing) {
			t.Errorf("%s: an object that is not there: %v", name, err)
		}
	}
}

func TestReader_GoesOnWhereABodyBroke(t *testing.T) {
	for name, data := range formats(t, 5000) {
		for _, silent := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := newBucket(data)
				b.breaks, b.silent = len(data)/5, silent
				if n, err := drain(t.Context(), b, b.file(5000)); n != 5000 || err != nil {
					t.Errorf("%s: %d rows: %v", name, n, err)
				}
				if len(b.requests) < 5 || !slices.Contains(b.requests, fmt.Sprintf("%d-", b.breaks)) {
					t.Errorf("%s: requests %q, want some that go on", name, b.requests)
				}
			})
		}
	}
}

func TestReader_GivesUpOnABodyThatBringsNothing(t *testing.T) {
	for name, data := range formats(t, 500) {
		synctest.Test(t, func(t *testing.T) {
			b := newBucket(data)
			b.breaks = 1
			b.after = 3
			_, err := drain(t.Context(), b, b.file(500))
			if err == nil || errors.Is(err, rows.ErrTorn) || !strings.Contains(err.Error(), "connection reset") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestReader_RefusesAnotherFileThanTheOneThatWasPublished(t *testing.T) {
	for name, data := range formats(t, 500) {
		for what, test := range map[string]struct {
			change func(*bucket, *checkpoint.File)
			want   error
		}{
			"missing":             {func(b *bucket, _ *checkpoint.File) { b.data = nil }, rows.ErrMissing},
			"another ETag":        {func(b *bucket, _ *checkpoint.File) { b.etag = `"def"` }, rows.ErrReplaced},
			"If-Match is ignored": {func(b *bucket, _ *checkpoint.File) { b.etag, b.ignores = `"def"`, true }, rows.ErrReplaced},
			"longer":              {func(b *bucket, _ *checkpoint.File) { b.data = append(slices.Clone(data), "{}\n"...) }, rows.ErrReplaced},
			"shorter":             {func(b *bucket, _ *checkpoint.File) { b.data = data[:len(data)-1] }, rows.ErrReplaced},
			"fewer rows":          {func(_ *bucket, f *checkpoint.File) { f.Rows++ }, rows.ErrTorn},
			"more rows":           {func(_ *bucket, f *checkpoint.File) { f.Rows-- }, rows.ErrTorn},
			"cut off":             {func(b *bucket, f *checkpoint.File) { b.data = data[:len(data)/2]; f.Bytes = int64(len(b.data)) }, rows.ErrTorn},
			"without its end":     {func(b *bucket, f *checkpoint.File) { b.data = data[:len(data)-1]; f.Bytes-- }, rows.ErrTorn},
			"empty":               {func(b *bucket, f *checkpoint.File) { b.data = []byte{}; f.Bytes = 0 }, rows.ErrTorn},
			"not empty":           {func(_ *bucket, f *checkpoint.File) { f.Bytes = 0 }, rows.ErrTorn},
		} {
			b := newBucket(data)
			f := b.file(500)
			test.change(b, f)
			if n, err := drain(t.Context(), b, f); !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), "s3://bucket/data/file") {
				t.Errorf("%s, %s: %d rows, error %v, want %v", name, what, n, err, test.want)
			}
		}
	}
}

func TestReader_KeepsWhatNobodyAskedFor(t *testing.T) {
	for line, want := range map[string]string{
		`{"a":1,"event_id":"e"}`:                              `[1 null] null`,
		`{"x":1,"a":1,"y":2,"z":3,"b":null,"event_id":"e"}`:   `[1 null] {"x":1,"y":2,"z":3}`,
		`{ "x" : 1 , "a" : 1 , "y" : [ ] }`:                   `[1 null] {"x" : 1 ,"y" : [ ]}`,
		`{"a":null,"a":1,"a":2,"a":null,"a":3}`:               `[1 null] {"a":2,"a":3}`,
		`{"\u0061":"\u0061\ud83d\ude00","\u0078":"\u0061"}`:   `["a😀" null] {"\u0078":"\u0061"}`,
		`{"b":"\ud800","_arrived_at":"2026-01-31T10:00:00Z"}`: `[null "�"] null`,
		`{"_extra":{"a":1},"/a/b":1,"":2}`:                    `[null null] {"_extra":{"a":1},"/a/b":1,"":2}`,
		`{"a":[1, {"b":[]}],"b":-1.50E+3}`:                    `[[1, {"b":[]}] -1.50E+3] null`,
		`{}`:                                                  `[null null] null`,
		`{"x":1}`:                                             `[null null] {"x":1}`,
	} {
		b := newBucket([]byte(line + "\n"))
		r, err := rows.Open(t.Context(), b, b.file(1), []string{"a", "b"})
		if err != nil {
			t.Fatal(err)
		}
		row, err := r.Next()
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		rest := "null"
		if row.Rest != nil {
			rest = string(row.Rest)
		}
		if got := fmt.Sprintf("[%s %s] %s", row.Values[0].AppendJSON(nil), row.Values[1].AppendJSON(nil), rest); got != want {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
		if strings.Contains(line, "_arrived") != !row.ArrivedAt.IsZero() || row.ArrivedAt.IsZero() == (row.ArrivedAt.Unix() == 1769853600) {
			t.Errorf("%s: arrival %v", line, row.ArrivedAt)
		}
	}
}

// A row group that is too large to be held is read in pieces: few requests, and less memory than it has.
func TestReader_ReadsALargeRowGroupInPieces(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes and reads 50 MB")
	}
	records := numbered(100_000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range records {
		records[i].Data = fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, i, digits(random, 30))
	}
	data, n, _ := written(t, mustParquet(t, parquet.Options{Compression: parquet.Uncompressed, RowGroupBytes: 1 << 30, ArrivedAt: true}), records)
	b := newBucket(data)
	if got, err := drain(t.Context(), b, b.file(n)); got != n || err != nil {
		t.Errorf("%d rows: %v", got, err)
	}
	if len(data) < 40<<20 || len(b.requests) > 40 {
		t.Errorf("%d bytes were read with %d requests: %q", len(data), len(b.requests), b.requests)
	}
}

// digits returns a text of that many random words of 16 hexadecimal digits, which no compression makes much shorter than half.
func digits(random *rand.Rand, words int) []byte {
	var text []byte
	for range words {
		text = fmt.Appendf(text, "%016x", random.Uint64())
	}
	return text
}

// Memory is measured while files of 1 and of 20 times the size are read, after a collection, so that only what is held counts.
func TestReader_HoldsNoMoreOfALongFile(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads some hundred megabytes")
	}
	for name, f := range map[string]writers.Format{
		"lines":   mustLines(t, jsonl.Zstd),
		"parquet": mustParquet(t, parquet.Options{Compression: parquet.Uncompressed, RowGroupBytes: 4 << 20, InferRows: 100}),
	} {
		file := func(count int) []byte {
			random := rand.New(rand.NewPCG(1, 2))
			records := numbered(count)
			for i := range records {
				records[i].Data = fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, i, digits(random, 20))
			}
			data, _, _ := written(t, f, records)
			return slices.Clone(data)
		}
		held := func(count int) (most uint64, size int) {
			data := file(count)
			b := newBucket(data)
			var before, during runtime.MemStats
			runtime.GC()
			runtime.GC() // empties pools
			runtime.ReadMemStats(&before)
			r, err := rows.Open(t.Context(), b, b.file(count), []string{"n"})
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; ; i++ {
				if _, err := r.Next(); err == io.EOF {
					return most, len(data)
				} else if err != nil {
					t.Fatal(err)
				}
				if i%(count/8) == count/16 {
					runtime.GC()
					runtime.ReadMemStats(&during)
					most = max(most, during.HeapAlloc-min(before.HeapAlloc, during.HeapAlloc))
				}
			}
		}
		few, fewSize := held(5_000)
		many, size := held(100_000)
		t.Logf("%s: %d KiB held of %d KiB, %d KiB of %d KiB", name, few>>10, fewSize>>10, many>>10, size>>10)
		if few == 0 || size < 10*fewSize || many > few+8<<20 {
			t.Errorf("%s: %d bytes are held of a file of %d bytes, %d of one of %d", name, many, size, few, fewSize)
		}
	}
}
