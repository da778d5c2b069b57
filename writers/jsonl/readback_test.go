package jsonl_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/jsonl"
)

// Firehose's two kinds of Snappy and the official one, each read by the library that defines it or that Athena uses.
func TestSnappy_IsReadByTheLibrariesOfItsReaders(t *testing.T) {
	readers := []struct {
		compression jsonl.Compression
		name        string
	}{
		{jsonl.Snappy, "snappy-java"},
		{jsonl.HadoopSnappy, "aircompressor hadoop"},
		{jsonl.SnappyFramed, "snappy-java framed"},
		{jsonl.SnappyFramed, "aircompressor framed"},
	}
	folder := t.TempDir()
	var pairs []string
	want := make(map[string][]byte)
	add := func(reader, name string, file, plain []byte) {
		path := filepath.Join(folder, fmt.Sprintf("%s of %s", name, reader))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, reader, path)
		want[path] = plain
	}
	for _, reader := range readers {
		file, plain := samples(t, reader.compression)
		add(reader.name, "samples", file, plain)
		file, plain, blocks := encode(t, newFormat(t, jsonl.Config{Compression: reader.compression}), 3000)
		if blocks < 3 {
			t.Fatalf("only %d blocks", blocks)
		}
		add(reader.name, "trips", file, plain)
	}
	emulator.Unsnap(t, pairs...)
	for path, plain := range want {
		got, err := os.ReadFile(path + ".plain")
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes were read, %v, %d written", filepath.Base(path), len(got), err, len(plain))
		}
	}
}

// DuckDB and PyArrow read all members of a gzip file and all frames of a Zstandard file.
func TestFormat_IsReadByQueryEngines(t *testing.T) {
	const rows = 4000
	begin := time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC) // the rows arrive within 4 seconds
	folder := t.TempDir()
	var want []string
	for _, compression := range []jsonl.Compression{jsonl.None, jsonl.Gzip, jsonl.Zstd} {
		layout := newFormat(t, jsonl.Config{Append: record.AppendArrivalLine, Compression: compression, BlockSize: 64 << 10}).NewLayout()
		block, file, blocks := layout.NewBlock(), layout.Begin(), 0
		for n := range rows {
			r := &record.Record{
				SequenceNumber: fmt.Sprintf("4964%052d", n),
				Arrival:        begin.Add(time.Duration(n) * time.Millisecond),
				Data:           fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, n, strings.Repeat("é", n%100)),
			}
			if err := block.Append(r); err != nil {
				t.Fatal(err)
			}
			if !block.Full() && n < rows-1 {
				continue
			}
			encoded, err := block.Encode()
			if err != nil {
				t.Fatal(err)
			}
			file = append(file, encoded.Data...)
			encoded.Release()
			block, blocks = layout.NewBlock(), blocks+1
		}
		if blocks < 5 {
			t.Fatalf("only %d blocks", blocks)
		}
		name := "rows" + newFormat(t, jsonl.Config{Compression: compression}).Object().Extension
		if err := os.WriteFile(filepath.Join(folder, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, engine := range []string{"pyarrow", "duckdb"} {
			want = append(want, fmt.Sprintf("%s %s %d %d %d %d", engine, name, rows, rows, rows*(rows-1)/2, rows*begin.UnixMilli()+rows*(rows-1)/2))
		}
	}
	out, err := emulator.Python(t, filepath.Join("testdata", "readback.py"), folder).CombinedOutput()
	if err != nil {
		t.Fatalf("read back: %v\n%s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != strings.Join(want, "\n") {
		t.Errorf("read back:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}
