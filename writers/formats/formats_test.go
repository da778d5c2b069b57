package formats_test

import (
	"bytes"
	"encoding/csv"
	"io"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"

	"aws-streaming-pipeline/writers/formats"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/writerstest"
)

// A third format takes a package and one line: this one.
func init() { formats.All = append(formats.All, writerstest.CSV) }

func TestAll_KeepTheContract(t *testing.T) {
	rows := map[string]func(t *testing.T, file []byte) int{
		"jsonl": func(t *testing.T, file []byte) int { return bytes.Count(plain(t, file), []byte("\n")) },
		// Payloads are concatenated; each payload of the suite contains one of these.
		"firehose": func(t *testing.T, file []byte) int { return bytes.Count(plain(t, file), []byte(`{"n":`)) },
		"parquet": func(t *testing.T, file []byte) int {
			f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
			if err != nil {
				t.Fatal(err)
			}
			return int(f.NumRows())
		},
		"csv": func(t *testing.T, file []byte) int {
			all, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			return len(all) - 1
		},
	}
	for _, kind := range formats.All {
		t.Run(kind.Name, func(t *testing.T) { writerstest.TestFormat(t, kind, rows[kind.Name]) })
	}
}

func plain(t *testing.T, file []byte) []byte {
	t.Helper()
	r, err := jsonl.Open(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKinds_AreFoundByTheirNames(t *testing.T) {
	if kind, ok := formats.All.Find("parquet"); !ok || !kind.Columns {
		t.Errorf("parquet is %+v", kind)
	}
	if _, ok := formats.All.Find("orc"); ok {
		t.Error("there is a format orc")
	}
	if got := formats.All.Names(nil); !slices.Equal(got, []string{"jsonl", "parquet", "firehose", "csv"}) {
		t.Errorf("the formats are %q", got)
	}
}
