package layout_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/layout"
	"aws-streaming-pipeline/writers/parquet"
)

const id = "01a20527-214f-712e-bae4-36df22ed3c71"

var clock = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Readers of the bucket rely on this form.
func TestFile_HasFirehosesFormWithTheBatchInTheIDsPlace(t *testing.T) {
	f := layout.File{Name: "data/trips", Clock: clock, Batch: id, Number: 7, Extension: ".jsonl.gz"}
	if want := "data/trips-1-2026-01-02-03-04-05-" + id + "-007.jsonl.gz"; f.Key() != want {
		t.Errorf("got %s, want %s", f.Key(), want)
	}
}

// A name of the pipeline with a prefix and a stream that look like other parts of a key.
var names = []string{
	"", "trips", "a.b_c-1", "data/year=2026/month=01/trips", "/", "data//trips", "täglich/💾/trips", "a\nb/trips",
	"trips-1-2026-01-02-03-04-05-" + id + "-000",                              // a stream named like a file of Firehose's
	"trips-1-2026-01-02-03-04-05-" + id + "-000.json",                         // a stream named like a file
	"data/trips-1-2026-01-02-03-04-05-" + id + "-000.jsonl.gz/trips",          // a prefix named like a file
	"manifests/2026/01/02/03/" + id + ".json/trips", "-1-2026-01-02-03-04-05", // and like a manifest
}

var extensions = []string{
	"", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".gz", ".snappy", ".json_v2", ".json!", ".a-b", ".it's", ".(copy)", ".*",
	"..", ".1", ".000", ".-1-2026-01-02-03-04-05", ".x-1-2026-01-02-03-04-05-" + id, "." + strings.Repeat("z", 127),
}

func TestParseFile_TakesApartWhatKeyMakes(t *testing.T) {
	for _, name := range names {
		for _, extension := range extensions {
			for _, n := range []int{0, 7, 999, 1000, 123456} {
				if err := prefix.ValidateExtension(extension); err != nil || layout.IsFileEnding(extension) {
					t.Fatalf("extension %q is not allowed: %v", extension, err)
				}
				f := layout.File{Name: name, Clock: clock, Batch: id, Number: n, Extension: extension}
				if got, ok := layout.ParseFile(f.Key()); !ok || got != f {
					t.Fatalf("%q: got %+v, %v, want %+v", f.Key(), got, ok, f)
				}
			}
		}
	}
}

// The names of data and error files in every format.
func TestParseFile_TakesApartTheFilesOfEveryFormat(t *testing.T) {
	formats := []writers.Format{&parquet.Format{}}
	for _, compression := range []jsonl.Compression{jsonl.None, jsonl.Gzip, jsonl.Zstd, jsonl.Snappy, jsonl.HadoopSnappy, jsonl.SnappyFramed, jsonl.Zip} {
		for _, labels := range []jsonl.Labels{jsonl.AsFiles, jsonl.AsLines, jsonl.AsFirehose} {
			format, err := jsonl.New(jsonl.Config{Append: record.AppendJSONLine, Compression: compression, Labels: labels})
			if err != nil {
				t.Fatal(err)
			}
			formats = append(formats, format)
		}
	}
	for _, format := range formats {
		f := layout.File{Name: "data/trips", Clock: clock, Batch: id, Number: 7, Extension: format.Object().Extension}
		if got, ok := layout.ParseFile(f.Key()); !ok || got != f {
			t.Errorf("%q: got %+v, %v, want %+v", f.Key(), got, ok, f)
		}
	}
}

// Names and extensions put together at random from pieces of keys: parsing a key returns its parts, or settings reject
// the extension.
func TestParseFile_TakesApartWhateverTheNameAndTheExtension(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"-1-", "2026-01-02-03-04-05", "-", id, "000", "0007", ".", "json", "-1-2026-13-02-03-04-05-" + id + "-000", "/", "x", "-1-2026-01-02-03-04-05-" + id + "-000", "7"}
	random := func() string {
		var b strings.Builder
		for range rng.IntN(7) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		return b.String()
	}
	refused := 0
	for range 10_000 {
		f := layout.File{Name: random(), Clock: clock, Batch: layout.NewBatchID(), Number: rng.IntN(1100)}
		if rng.IntN(4) > 0 {
			f.Extension = "." + strings.ReplaceAll(random(), "/", "_") + "j"
		}
		got, ok := layout.ParseFile(f.Key())
		switch {
		case prefix.ValidateExtension(f.Extension) != nil:
		case layout.IsFileEnding(f.Extension):
			refused++
		case !ok || got != f:
			t.Fatalf("%q: got %+v, %v, want %+v", f.Key(), got, ok, f)
		}
	}
	if refused == 0 {
		t.Error("no extension looked like the end of a key")
	}
}

func TestParseFile_KnowsNoOtherKeys(t *testing.T) {
	for _, key := range []string{
		"", "data/notes.txt", "data/",
		"data/trips-1-2026-01-02-03-04-05-" + id,                // Firehose's
		"data/trips-1-2026-01-02-03-04-05-" + id + ".gz",        // Firehose's, with an extension
		"data/trips-1-2026-01-02-03-04-05-" + id + "-7.jsonl",   // no number of ours
		"data/trips-1-2026-01-02-03-04-05-" + id + "-0007.json", // neither
		"data/trips-1-2026-01-02-03-04-05-" + id + "-007jsonl",
		"data/trips-1-2026-01-02-03-04-05-" + id + "-007.",
		"data/trips-1-2026-01-02-03-04-05-" + id + "-007.JSON",
		"data/trips-1-2026-01-02-03-04-05-" + id + "-007.json/x",
		"data/trips-2-2026-01-02-03-04-05-" + id + "-007.jsonl",
		"data/trips-1-2026-13-02-03-04-05-" + id + "-007.jsonl",
		"data/trips-1-2026-02-30-03-04-05-" + id + "-007.jsonl",
		"data/trips-1-2026-01-02-03-04-05-b-007.jsonl",
		"data/trips-1-2026-01-02-03-04-05-01a20527-214f-412e-bae4-36df22ed3c71-007.jsonl", // a random UUID, of version 4
		"data/trips-1-2026-01-02-03-04-05-01A20527-214F-712E-BAE4-36DF22ED3C71-007.jsonl",
		"data/trips-1-2026-01-02-03-04-05-" + id + "-99999999999999999999.jsonl",
		manifestKey("manifests/", clock), layout.OutboxKey("manifests/", id), move.Key("manifests/", id),
	} {
		if f, ok := layout.ParseFile(key); ok {
			t.Errorf("%q is taken for %+v", key, f)
		}
	}
}

func TestBatchTime_IsWhenTheIDWasMade(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	got, ok := layout.BatchTime(layout.NewBatchID())
	if !ok || got.Before(before) || got.After(time.Now()) {
		t.Errorf("got %v, %v; made between %v and %v", got, ok, before, time.Now())
	}
	for _, other := range []string{"", "batch", id + "0", "01a20527-214f-412e-bae4-36df22ed3c71"} {
		if _, ok := layout.BatchTime(other); ok {
			t.Errorf("%q is taken for a batch's", other)
		}
	}
}
