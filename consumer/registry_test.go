package consumer

import (
	"bufio"
	"bytes"
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/registrytest"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/schema"
)

// framed are records in frames, and the registry that has their schemas.
type framed struct {
	service registry.Service
	records []registrytest.Record
}

// frame has each of some schemas write the given number of records.
func frame(t *testing.T, each int, files ...string) framed {
	t.Helper()
	moto := emulator.Moto(t).URL
	service, err := registry.NewGlue(t.Context(), registrytest.Account(moto))
	if err != nil {
		t.Fatal(err)
	}
	return framed{service, registrytest.Encode(t, 7, each, registrytest.Register(t, moto, files...))}
}

// deliver has a daemon write payloads, and returns the files of the bucket by the beginning of their keys.
func deliver(t *testing.T, service registry.Service, described *schema.Schema, payloads [][]byte, adjust func(*Config)) map[string][]string {
	t.Helper()
	st := newStage(t, 1, localstream.Options{})
	st.schemas, st.schema = service, described
	for _, payload := range payloads {
		if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: payload}); err != nil {
			t.Fatal(err)
		}
	}
	d := st.daemon(func(c *Config) {
		c.SchemaRegistry, c.Compression = "glue", "none"
		adjust(c)
	})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "everything is taken in", func() bool { return d.Taken() == int64(len(payloads)) })
	stop()
	running.Wait()
	files := make(map[string][]string)
	root := filepath.Join(st.folder, "bucket")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		key, err := filepath.Rel(root, path)
		kind, _, _ := strings.Cut(key, "/")
		files[kind] = append(files[kind], path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// readRows has DuckDB read Parquet files.
func readRows(t *testing.T, files []string) []map[string]any {
	t.Helper()
	cmd := emulator.Python(t, "testdata/rows.py", files...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaints.Bytes())
	}
	return registrytest.Rows(t, out)
}

// Framed records of three formats, and one without a frame, are delivered as JSON lines with the values that their encoders
// were given. A frame of no schema goes to the error prefix, with its bytes.
func TestDaemon_DeliversFramedRecordsAsLines(t *testing.T) {
	const each = 100
	f := frame(t, each, "everything.avsc", "everything.proto", "trip.json")
	unknown := append([]byte("\x03\x00no such version!"), 0)
	payloads := [][]byte{unknown, []byte(`{"no":"frame"}`)}
	want := []map[string]any{{"no": "frame"}}
	for _, r := range f.records {
		payloads = append(payloads, r.Payload)
		want = append(want, registrytest.Rows(t, []byte(r.Want))...)
	}
	if len(payloads) != 3*each+2 {
		t.Fatalf("%d payloads", len(payloads))
	}
	files := deliver(t, f.service, nil, payloads, func(*Config) {})
	if len(files["data"]) != 1 || len(files["errors"]) != 1 {
		t.Fatalf("files %v", files)
	}
	text, err := os.ReadFile(files["data"][0])
	if err != nil {
		t.Fatal(err)
	}
	got := registrytest.Rows(t, text)
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i, row := range got {
		if id, _ := row["event_id"].(string); id == "" {
			t.Fatalf("line %d has no event id", i)
		}
		delete(row, "event_id")
		if !registrytest.Same(row, want[i]) {
			t.Fatalf("line %d is %v, want %v", i, row, want[i])
		}
	}
	file, err := os.Open(files["errors"][0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Scan()
	e, err := record.ParseErrorLine(lines.Bytes())
	if err != nil || e.Record.Fault.Code != record.CodeRegistrySchemaUnknown || !bytes.Equal(e.Record.Data, unknown) || lines.Scan() {
		t.Errorf("error lines %+v, %v", e, err)
	}
}

// Framed records are delivered as Parquet, with columns inferred from what they say, and DuckDB reads the same values.
func TestDaemon_DeliversFramedRecordsAsParquet(t *testing.T) {
	const each = 300
	f := frame(t, each, "trip.avsc")
	var payloads [][]byte
	for _, r := range f.records {
		payloads = append(payloads, r.Payload)
	}
	files := deliver(t, f.service, nil, payloads, func(c *Config) { c.Format, c.Compression = "parquet", "zstd" })
	if len(files["data"]) != 1 || len(files["errors"]) != 0 {
		t.Fatalf("files %v", files)
	}
	got := readRows(t, files["data"])
	if len(got) != each {
		t.Fatalf("%d rows", len(got))
	}
	for i, row := range got {
		delete(row, "event_id")
		for _, want := range registrytest.Rows(t, []byte(f.records[i].Want)) {
			for name, w := range want {
				if !registrytest.Same(row[name], w) {
					t.Fatalf("row %d: %s is %v, want %v; all is %v", i, name, row[name], w, row)
				}
			}
		}
	}
}

// Framed records of three formats are delivered as Parquet, with the columns of their schema, by a document that the registry gives. Each
// fits its columns, and DuckDB reads the values that the encoder was given.
func TestDaemon_DeliversFramedRecordsInTheColumnsOfTheirSchema(t *testing.T) {
	const each = 300
	for file, format := range map[string]string{"everything.avsc": "AVRO", "everything.proto": "PROTOBUF", "older.proto": "PROTOBUF", "trip.json": "JSON"} {
		t.Run(file, func(t *testing.T) {
			f := frame(t, each, file)
			document, err := registry.Definition{Format: format, Text: registrytest.Definition(t, file)}.JSONSchema("")
			if err != nil {
				t.Fatal(err)
			}
			described, err := schema.Parse(file, document)
			if err != nil {
				t.Fatal(err)
			}
			if described.NeedsFull() {
				t.Error("the document has rules that cost a general validator")
			}
			var payloads [][]byte
			for _, r := range f.records {
				payloads = append(payloads, r.Payload)
			}
			files := deliver(t, f.service, described, payloads, func(c *Config) { c.Format, c.Compression = "parquet", "zstd" })
			if len(files["data"]) != 1 || len(files["errors"]) != 0 {
				t.Fatalf("files %v", files)
			}
			got := readRows(t, files["data"])
			if len(got) != each {
				t.Fatalf("%d rows", len(got))
			}
			for i, row := range got {
				want := registrytest.Rows(t, []byte(f.records[i].Want))[0]
				delete(row, "event_id")
				if extra, ok := row["_extra"].(string); ok { // the fields of another message
					maps.Copy(row, registrytest.Rows(t, []byte(extra))[0])
				}
				delete(row, "_extra")
				for name, value := range row {
					w, sent := want[name]
					if !registrytest.SameInColumns(value, w) {
						t.Fatalf("row %d: %s is %v, want %v (sent: %v)", i, name, value, w, sent)
					}
					delete(want, name)
				}
				if len(want) > 0 {
					t.Fatalf("row %d has no column for %v", i, want)
				}
			}
		})
	}
}
