package consumer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/writerstest"
)

func TestConfig_DecidesHowObjectsAreNamedAndLabelled(t *testing.T) {
	const lines, unknown, parquet = "application/x-ndjson", "application/octet-stream", "application/vnd.apache.parquet"
	tests := []struct {
		config       FormatConfig
		data, errors writers.Object
	}{
		{FormatConfig{Format: "jsonl"},
			writers.Object{Extension: ".jsonl.gz", ContentType: "application/gzip"},
			writers.Object{Extension: ".jsonl.gz", ContentType: "application/gzip"}},
		{FormatConfig{Format: "jsonl", ContentEncoding: true, FileExtension: ".json"},
			writers.Object{Extension: ".json", ContentType: lines, ContentEncoding: "gzip"},
			writers.Object{Extension: ".jsonl.gz", ContentType: lines, ContentEncoding: "gzip"}},
		{FormatConfig{Format: "jsonl", Compression: "hadoop-snappy"},
			writers.Object{Extension: ".jsonl.snappy", ContentType: unknown},
			writers.Object{Extension: ".jsonl.gz", ContentType: "application/gzip"}},
		{FormatConfig{Format: "parquet", FileExtension: ".pq"},
			writers.Object{Extension: ".pq", ContentType: parquet},
			writers.Object{Extension: ".jsonl.gz", ContentType: "application/gzip"}},
		{FormatConfig{Format: "firehose"},
			writers.Object{ContentType: unknown},
			writers.Object{Extension: ".jsonl", ContentType: lines}},
		{FormatConfig{Format: "firehose", Compression: "snappy"},
			writers.Object{Extension: ".snappy", ContentType: unknown, ContentEncoding: "snappy-java"},
			writers.Object{Extension: ".jsonl.gz", ContentType: "application/gzip"}},
		{FormatConfig{Format: "firehose", Compression: "zip"},
			writers.Object{Extension: ".zip", ContentType: unknown, ContentEncoding: "zip"},
			writers.Object{Extension: ".jsonl.gz", ContentType: "application/gzip"}},
		{FormatConfig{Format: "firehose", Compression: "gzip", FileExtension: ".json.gz"},
			writers.Object{Extension: ".json.gz", ContentType: unknown, ContentEncoding: "gzip"},
			writers.Object{Extension: ".jsonl.gz", ContentType: "application/gzip"}},
	}
	for _, test := range tests {
		c := Config{FormatConfig: test.config}
		c.RowGroupSize = Defaults().RowGroupSize
		data, err := c.dataFormat(nil, "test", nil)
		if err != nil {
			t.Errorf("%+v: %v", test.config, err)
			continue
		}
		errors, err := c.errorFormat()
		if err != nil {
			t.Errorf("%+v: %v", test.config, err)
			continue
		}
		if got := data.Object(); got != test.data {
			t.Errorf("%s %q: data are %+v, want %+v", c.Format, c.Compression, got, test.data)
		}
		if got := errors.Object(); got != test.errors {
			t.Errorf("%s %q: errors are %+v, want %+v", c.Format, c.Compression, got, test.errors)
		}
	}
}

func TestConfig_RefusesSettingsOfAnotherFormat(t *testing.T) {
	for want, adjust := range map[string]func(*Config){
		"SCHEMA=":                       func(c *Config) { c.Format, c.Schema = "firehose", "trips.json" },
		"APPEND_DELIMITER=":             func(c *Config) { c.AppendDelimiter = true },
		"CONTENT_ENCODING=":             func(c *Config) { c.Format, c.ContentEncoding = "parquet", true },
		"COMPRESSION=\"zip\"":           func(c *Config) { c.Format, c.Compression = "parquet", "zip" },
		"COMPRESSION=\"lzo\"":           func(c *Config) { c.Format, c.Compression = "firehose", "lzo" },
		"PARQUET_ENCODING=\"plain\"":    func(c *Config) { c.ParquetEncoding = "plain" },
		"PARQUET_ENCODING=\"dense\"":    func(c *Config) { c.Format, c.ParquetEncoding = "parquet", "dense" },
		"COMPRESSION=\"hadoop-snappy\"": func(c *Config) { c.Format, c.Compression = "parquet", "hadoop-snappy" },
		"FILE_EXTENSION=":               func(c *Config) { c.FileExtension = ".JSON" },
	} {
		c := Defaults()
		c.Stream, c.Bucket = "s", "files"
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		adjust(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want a fault of %s, got %v", want, err)
		}
	}
}

// A drop-in for a Firehose stream: payloads of any kind are concatenated unchanged, as Firehose does, with Firehose's labels.
// Empty payloads go to the error prefix, since they would leave no trace in a file.
func TestDaemon_WritesWhatFirehoseWrites(t *testing.T) {
	payloads := []string{`{"a":1}`, "no JSON", "{\"a\":2}\n", "\x00\xff", `{"a":3}`}
	tests := map[string]struct {
		adjust   func(*Config)
		body     string
		suffix   string
		encoding string
		faults   int
	}{
		"uncompressed": {func(*Config) {}, strings.Join(payloads, ""), "-000", "", 1},
		"gzip":         {func(c *Config) { c.Compression = "gzip" }, strings.Join(payloads, ""), "-000.gz", "gzip", 1},
		"snappy, delimiter and extension": {func(c *Config) {
			c.Compression, c.AppendDelimiter, c.FileExtension = "snappy", true, ".json.sn"
		}, strings.Join(payloads, "\n") + "\n\n", "-000.json.sn", "snappy-java", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, 1, localstream.Options{})
			bucket := writerstest.NewMemory()
			st.sink = healthy{bucket}
			for _, payload := range append(payloads[:len(payloads):len(payloads)], "") {
				if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: []byte(payload)}); err != nil {
					t.Fatal(err)
				}
			}
			d := st.daemon(func(c *Config) {
				c.Format, c.CommitInterval, c.Failover = "firehose", time.Second, time.Second
				test.adjust(c)
				if err := c.Validate(); err != nil {
					t.Fatal(err)
				}
			})
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() {
				if err := d.Run(ctx); err != nil {
					t.Errorf("run: %v", err)
				}
			})
			eventually(t, "six records are taken", func() bool { return d.Taken() == 6 })
			stop()
			running.Wait()

			keys := map[string][]string{}
			for _, key := range bucket.Keys() {
				place, _, _ := strings.Cut(key, "/")
				keys[place] = append(keys[place], key)
			}
			if len(keys["data"]) != 1 || len(keys["errors"]) != test.faults {
				t.Fatalf("objects are %v, want one of data and %d of errors", bucket.Keys(), test.faults)
			}
			key := keys["data"][0]
			o := bucket.Object(key)
			if !strings.HasSuffix(key, test.suffix) {
				t.Errorf("the key is %s, want it to end in %q", key, test.suffix)
			}
			if o.ContentType != "application/octet-stream" || o.ContentEncoding != test.encoding {
				t.Errorf("labels are %q, %q, want encoding %q", o.ContentType, o.ContentEncoding, test.encoding)
			}
			if got := opened(t, o.Body); got != test.body {
				t.Errorf("the body is %q, want %q", got, test.body)
			}
			for _, key := range keys["errors"] {
				if line := opened(t, bucket.Object(key).Body); strings.Count(line, "\n") != 1 || !strings.Contains(line, `"Json.Empty"`) {
					t.Errorf("error object %s is %q", key, line)
				}
			}
		})
	}
}

func opened(t *testing.T, file []byte) string {
	t.Helper()
	r, err := jsonl.Open(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestParquetEncoding_DecidesHowIntegersAreWritten(t *testing.T) {
	columns, err := schema.Parse("t", []byte(`{"x-extra":false,"properties":{"n":{"type":"integer"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string]int)
	for _, encoding := range []string{"compact", "plain"} {
		c := Defaults()
		c.Format, c.Compression, c.ParquetEncoding = "parquet", "none", encoding
		f, err := c.dataFormat(columns, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		block := f.NewLayout().NewBlock()
		for i := range 10_000 {
			if err := block.Append(&record.Record{Data: fmt.Appendf(nil, `{"n":%d}`, i)}); err != nil {
				t.Fatal(err)
			}
		}
		e, err := block.Encode()
		if err != nil {
			t.Fatal(err)
		}
		sizes[encoding] = len(e.Data)
	}
	if sizes["plain"] < sizes["compact"]+50_000 {
		t.Errorf("10,000 integers of 8 bytes take %v bytes", sizes)
	}
}

// The time of the arrival is in files for PostgreSQL alone: all others have the bytes that they always had.
func TestConfig_AddsTheArrivalForADatabaseAlone(t *testing.T) {
	declared, err := schema.Parse("rides", []byte(ridesSchema))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		format string
		schema *schema.Schema
		sum    string // SHA-256 of the file without a database
	}{
		{"jsonl", nil, "bc9ca3ce1d655d44d3edb5adc665958fbc6c28358c64a173c1ed447bd3b4bdca"},
		{"jsonl", declared, "bc9ca3ce1d655d44d3edb5adc665958fbc6c28358c64a173c1ed447bd3b4bdca"},
		{"parquet", nil, "dcbe64fad4a0861ad2dc54e1098b1ff89b8e967c2e02b28b6d5c6e139b474f47"},
		{"parquet", declared, "58f05cc40f23837980d8b865507f5f890d54fcbb2af4d1d323370a47544c0b54"},
	} {
		var sums []string
		for _, tables := range []string{"", "postgres://db.example.com/lake/rides"} {
			c := Defaults()
			c.Format, c.Compression, c.TableConfig.Table = test.format, "none", tables
			f, err := c.dataFormat(test.schema, "test", nil)
			if err != nil {
				t.Fatal(err)
			}
			file := fileOf(t, f)
			sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(file)))
			if has := bytes.Contains(file, []byte("_arrived_at")); has != (tables != "") {
				t.Errorf("%s for %q has the arrival: %v", test.format, tables, has)
			}
		}
		if sums[0] != test.sum || sums[1] == test.sum {
			t.Errorf("%s, schema %t: got %s, and for a database %s", test.format, test.schema != nil, sums[0], sums[1])
		}
	}
}

// fileOf returns a file of one block with some records.
func fileOf(t *testing.T, f writers.Format) []byte {
	t.Helper()
	l := f.NewLayout()
	file, block := bytes.Clone(l.Begin()), l.NewBlock()
	for n, data := range []string{
		`{}`, `{"text":"a","i":1,"price":1.25,"more":{"x":[1,2]}}`, " {\"at\":\n\"2026-02-28T12:00:00+01:00\"}", `{"event_id":1,"text":"b","place":{"zip":"10115"}}`,
	} {
		r := record.Record{SequenceNumber: fmt.Sprint(100 + n), Arrival: time.Date(2026, 1, 31, 10, 0, n, 0, time.UTC), Data: []byte(data)}
		if err := block.Append(&r); err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := block.Encode()
	if err != nil {
		t.Fatal(err)
	}
	placed, err := l.Place(encoded)
	if err != nil {
		t.Fatal(err)
	}
	file = append(file, placed...)
	end, err := l.End()
	if err != nil {
		t.Fatal(err)
	}
	return append(file, end...)
}
