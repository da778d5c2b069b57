package consumer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/registry"
)

// framed are records of encoders that are not ours, by the schemas of package registry's tests, which moto keeps.
type framed struct {
	service registry.Service
	records []struct {
		Payload []byte
		Want    string // the JSON of what the encoder was given
	}
}

// frame has each of some schemas write so many records.
func frame(t *testing.T, each int, files map[string]types.DataFormat) framed {
	t.Helper()
	account := aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), BaseEndpoint: aws.String(emulator.Moto(t).URL),
	}
	client := glue.NewFromConfig(account)
	const folder = "record/registry/testdata"
	args := []string{"7", fmt.Sprint(each)}
	for name, format := range files {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		created, err := client.CreateSchema(t.Context(), &glue.CreateSchemaInput{
			SchemaName: aws.String(strings.ReplaceAll(name, ".", "-")), DataFormat: format, Compatibility: types.CompatibilityNone, SchemaDefinition: aws.String(string(text)),
		})
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, name+"="+*created.SchemaVersionId)
	}
	out, err := emulator.Encoders(t, filepath.Join(folder, "encode.py"), args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var f framed
	if f.service, err = registry.NewGlue(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		f.records = append(f.records, struct {
			Payload []byte
			Want    string
		}{})
		if err := d.Decode(&f.records[len(f.records)-1]); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// deliver has a daemon write payloads, and returns the files of the bucket by the beginning of their keys.
func deliver(t *testing.T, service registry.Service, payloads [][]byte, adjust func(*Config)) map[string][]string {
	t.Helper()
	st := newStage(t, 1, localstream.Options{})
	st.schemas = service
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
	eventually(t, time.Minute, "everything is taken in", func() bool { return d.Taken() == int64(len(payloads)) })
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

// rows are the JSON objects of a text.
func rows(t *testing.T, text []byte) []map[string]any {
	t.Helper()
	var all []map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for d.More() {
		var row map[string]any
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

// same compares values; numbers are the same if their exact values are.
func same(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for k, w := range want {
			if v, ok := g[k]; !ok || !same(v, w) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for i, w := range want {
			if !same(g[i], w) {
				return false
			}
		}
		return true
	case json.Number:
		g, ok := got.(json.Number)
		a, ok1 := new(big.Rat).SetString(string(g))
		b, ok2 := new(big.Rat).SetString(string(want))
		return ok && ok1 && ok2 && a.Cmp(b) == 0
	}
	return got == want
}

// Framed records of three formats, and one without a frame, are delivered as JSON lines with the values that their encoders
// were given. A frame of no schema goes to the error prefix, with its bytes.
func TestDaemon_DeliversFramedRecordsAsLines(t *testing.T) {
	const each = 100
	f := frame(t, each, map[string]types.DataFormat{
		"everything.avsc": types.DataFormatAvro, "everything.proto": types.DataFormatProtobuf, "trip.json": types.DataFormatJson,
	})
	unknown := append([]byte("\x03\x00no such version!"), 0)
	payloads := [][]byte{unknown, []byte(`{"no":"frame"}`)}
	want := []map[string]any{{"no": "frame"}}
	for _, r := range f.records {
		payloads = append(payloads, r.Payload)
		want = append(want, rows(t, []byte(r.Want))...)
	}
	if len(payloads) != 3*each+2 {
		t.Fatalf("%d payloads", len(payloads))
	}
	files := deliver(t, f.service, payloads, func(*Config) {})
	if len(files["data"]) != 1 || len(files["errors"]) != 1 {
		t.Fatalf("files %v", files)
	}
	text, err := os.ReadFile(files["data"][0])
	if err != nil {
		t.Fatal(err)
	}
	got := rows(t, text)
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i, row := range got {
		if id, _ := row["event_id"].(string); id == "" {
			t.Fatalf("line %d has no event id", i)
		}
		delete(row, "event_id")
		if !same(row, want[i]) {
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
	f := frame(t, each, map[string]types.DataFormat{"trip.avsc": types.DataFormatAvro})
	var payloads [][]byte
	for _, r := range f.records {
		payloads = append(payloads, r.Payload)
	}
	files := deliver(t, f.service, payloads, func(c *Config) { c.Format, c.Compression = "parquet", "zstd" })
	if len(files["data"]) != 1 || len(files["errors"]) != 0 {
		t.Fatalf("files %v", files)
	}
	out, err := emulator.Python(t, "testdata/rows.py", files["data"]...).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := rows(t, out)
	if len(got) != each {
		t.Fatalf("%d rows", len(got))
	}
	for i, row := range got {
		delete(row, "event_id")
		for _, want := range rows(t, []byte(f.records[i].Want)) {
			for name, w := range want {
				if !same(row[name], w) {
					t.Fatalf("row %d: %s is %v, want %v; all is %v", i, name, row[name], w, row)
				}
			}
		}
	}
}
