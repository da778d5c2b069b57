package jsonl_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/golang/snappy"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
)

func newFormat(t testing.TB, c jsonl.Config) *jsonl.Format {
	t.Helper()
	if c.Append == nil {
		c.Append = record.AppendJSONLine
	}
	f, err := jsonl.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var compressions = []jsonl.Compression{
	jsonl.None, jsonl.Gzip, jsonl.Zstd, jsonl.Snappy, jsonl.HadoopSnappy, jsonl.SnappyFramed, jsonl.Zip,
}

// trip is one record of a taxi data set, about 1.2 KB.
func trip(n int) *record.Record {
	var line strings.Builder
	for i := range 50 {
		fmt.Fprintf(&line, "[-8.%06d,41.%06d],", (n*7919+i*104729)%1e6, (n*15485863+i*1299709)%1e6)
	}
	return &record.Record{
		SequenceNumber: fmt.Sprintf("4964%052d", n),
		Data: fmt.Appendf(nil, `{"TRIP_ID":"T%d","CALL_TYPE":"B","TIMESTAMP":"%d","POLYLINE":"[%s]"}`,
			n, 1404172787+n, strings.TrimSuffix(line.String(), ",")),
	}
}

// encode makes a file of n trips, with a new block whenever one is full, and returns it with its plain lines.
func encode(t *testing.T, f *jsonl.Format, n int) (file, lines []byte, blocks int) {
	t.Helper()
	layout := f.NewLayout()
	b := layout.NewBlock()
	file = append(file, layout.Begin()...)
	seal := func() {
		encoded, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		placed, err := layout.Place(encoded)
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, placed...)
		encoded.Release()
		blocks++
	}
	for i := range n {
		if err := b.Append(trip(i)); err != nil {
			t.Fatal(err)
		}
		lines, _ = record.AppendJSONLine(lines, trip(i))
		if b.Full() {
			seal()
			b = layout.NewBlock()
		}
	}
	if b.Rows() > 0 {
		seal()
	}
	end, err := layout.End()
	if err != nil {
		t.Fatal(err)
	}
	return append(file, end...), lines, blocks
}

func TestFormat_SaysWhatItsObjectsAre(t *testing.T) {
	const lines, unknown = "application/x-ndjson", "application/octet-stream"
	tests := []struct {
		config jsonl.Config
		want   writers.Object
	}{
		{jsonl.Config{}, writers.Object{Extension: ".jsonl", ContentType: lines}},
		{jsonl.Config{Compression: jsonl.Gzip}, writers.Object{Extension: ".jsonl.gz", ContentType: "application/gzip"}},
		{jsonl.Config{Compression: jsonl.Zstd}, writers.Object{Extension: ".jsonl.zst", ContentType: "application/zstd"}},
		{jsonl.Config{Compression: jsonl.Snappy}, writers.Object{Extension: ".jsonl.snappy", ContentType: unknown}},
		{jsonl.Config{Compression: jsonl.HadoopSnappy}, writers.Object{Extension: ".jsonl.snappy", ContentType: unknown}},
		{jsonl.Config{Compression: jsonl.SnappyFramed}, writers.Object{Extension: ".jsonl.sz", ContentType: "application/x-snappy-framed"}},
		{jsonl.Config{Compression: jsonl.Zip}, writers.Object{Extension: ".jsonl.zip", ContentType: "application/zip"}},

		{jsonl.Config{Labels: jsonl.AsLines, Compression: jsonl.None}, writers.Object{Extension: ".jsonl", ContentType: lines}},
		{jsonl.Config{Labels: jsonl.AsLines, Compression: jsonl.Gzip}, writers.Object{Extension: ".jsonl.gz", ContentType: lines, ContentEncoding: "gzip"}},
		{jsonl.Config{Labels: jsonl.AsLines, Compression: jsonl.Zstd}, writers.Object{Extension: ".jsonl.zst", ContentType: lines, ContentEncoding: "zstd"}},
		{jsonl.Config{Labels: jsonl.AsLines, Compression: jsonl.SnappyFramed}, writers.Object{Extension: ".jsonl.sz", ContentType: lines, ContentEncoding: "x-snappy-framed"}},

		// Extensions, types and encodings as the authors of floci observed them on objects of the real Firehose
		// (floci-io/floci, docs/services/firehose.md). Firehose has neither Zstandard nor framed Snappy.
		{jsonl.Config{Labels: jsonl.AsFirehose}, writers.Object{ContentType: unknown}},
		{jsonl.Config{Labels: jsonl.AsFirehose, Compression: jsonl.Gzip}, writers.Object{Extension: ".gz", ContentType: unknown, ContentEncoding: "gzip"}},
		{jsonl.Config{Labels: jsonl.AsFirehose, Compression: jsonl.Snappy}, writers.Object{Extension: ".snappy", ContentType: unknown, ContentEncoding: "snappy-java"}},
		{jsonl.Config{Labels: jsonl.AsFirehose, Compression: jsonl.HadoopSnappy}, writers.Object{Extension: ".snappy", ContentType: unknown, ContentEncoding: "hadoop-snappy"}},
		{jsonl.Config{Labels: jsonl.AsFirehose, Compression: jsonl.Zip}, writers.Object{Extension: ".zip", ContentType: unknown, ContentEncoding: "zip"}},
		{jsonl.Config{Labels: jsonl.AsFirehose, Compression: jsonl.Zstd}, writers.Object{Extension: ".zst", ContentType: unknown, ContentEncoding: "zstd"}},
		{jsonl.Config{Labels: jsonl.AsFirehose, Compression: jsonl.SnappyFramed}, writers.Object{Extension: ".sz", ContentType: unknown, ContentEncoding: "x-snappy-framed"}},
	}
	for _, test := range tests {
		if got := newFormat(t, test.config).Object(); got != test.want {
			t.Errorf("%q labelled %q gives %+v, not %+v", test.config.Compression, test.config.Labels, got, test.want)
		}
	}
}

func TestNew_RefusesWhatItCanNotDo(t *testing.T) {
	for name, c := range map[string]jsonl.Config{
		"nothing makes lines": {},
		"unknown compression": {Append: record.AppendJSONLine, Compression: "rar"},
		"unknown labels":      {Append: record.AppendJSONLine, Labels: "s3"},
		"negative block size": {Append: record.AppendJSONLine, BlockSize: -1},
	} {
		if _, err := jsonl.New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestFormat_IsReadByOtherImplementations(t *testing.T) {
	tests := map[string]struct {
		config jsonl.Config
		read   func(t *testing.T, file []byte) []byte
	}{
		"plain":                    {jsonl.Config{}, func(_ *testing.T, file []byte) []byte { return file }},
		"gzip by Go's own":         {jsonl.Config{Compression: jsonl.Gzip}, gunzip},
		"gzip by the gzip program": {jsonl.Config{Compression: jsonl.Gzip}, program("gzip", "-dc")},
		"zstd by the zstd program": {jsonl.Config{Compression: jsonl.Zstd}, program("zstd", "-dc")},
		"framed by Google's own":   {jsonl.Config{Compression: jsonl.SnappyFramed}, unframe},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.config.BlockSize = 64 << 10
			file, lines, blocks := encode(t, newFormat(t, test.config), 300)
			if blocks < 4 {
				t.Fatalf("only %d blocks", blocks)
			}
			if got := test.read(t, file); !bytes.Equal(got, lines) {
				t.Fatalf("%d bytes were read, %d written", len(got), len(lines))
			}
		})
	}
}

func gunzip(t *testing.T, file []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func unframe(t *testing.T, file []byte) []byte {
	t.Helper()
	lines, err := io.ReadAll(snappy.NewReader(bytes.NewReader(file)))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// program reads with an installed program. If CI is set, it must be installed.
func program(name string, args ...string) func(*testing.T, []byte) []byte {
	return func(t *testing.T, file []byte) []byte {
		t.Helper()
		path, err := exec.LookPath(name)
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("the program %s is missing", name)
			}
			t.Skipf("NOT TESTED: the program %s is missing", name)
		}
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Stdin = bytes.NewReader(file)
		var failure bytes.Buffer
		cmd.Stderr = &failure
		lines, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, failure.Bytes())
		}
		return lines
	}
}

func TestBlock_IsAsItWasAfterAFault(t *testing.T) {
	b := newFormat(t, jsonl.Config{}).NewLayout().NewBlock()
	var want []byte
	for n := range 20 {
		var fault *record.Fault
		torn := trip(n)
		torn.Data = torn.Data[:len(torn.Data)-1]
		if err := b.Append(torn); !errors.As(err, &fault) {
			t.Fatalf("a torn record gave %v", err)
		}
		if b.Rows() != n {
			t.Fatalf("%d rows after %d records", b.Rows(), n)
		}
		if err := b.Append(trip(n)); err != nil {
			t.Fatal(err)
		}
		want, _ = record.AppendJSONLine(want, trip(n))
	}
	encoded, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded.Data, want) || encoded.Rows != 20 {
		t.Fatalf("%d rows in %d bytes, not 20 in %d", encoded.Rows, len(encoded.Data), len(want))
	}
}

// The budget counts Size, so it must match the memory that is held: little for a file with few records, and never much
// more than the lines.
func TestBlock_SaysWhatItHolds(t *testing.T) {
	const blockSize = 256 << 10
	b := newFormat(t, jsonl.Config{BlockSize: blockSize}).NewLayout().NewBlock()
	if b.Held() != 0 || b.Full() {
		t.Fatalf("an empty block has %d bytes, full %t", b.Held(), b.Full())
	}
	lines := 0
	for n := 0; !b.Full(); n++ {
		if err := b.Append(trip(n)); err != nil {
			t.Fatal(err)
		}
		lines += len(trip(n).Data) + len(`,"event_id":""`) + 56 + 1
		if b.Held() < lines || b.Held() > max(16<<10, 2*(lines+2<<10)) {
			t.Fatalf("%d bytes are held for %d bytes of lines", b.Held(), lines)
		}
	}
	if b.Held() != blockSize {
		t.Fatalf("a full block holds %d bytes, not %d", b.Held(), blockSize)
	}
}

// A record can be larger than a block, and larger than any pooled buffer.
func TestBlock_TakesARecordOfAnySize(t *testing.T) {
	for _, compression := range []jsonl.Compression{jsonl.None, jsonl.Gzip} {
		f := newFormat(t, jsonl.Config{Compression: compression, BlockSize: 32 << 10})
		layout := f.NewLayout()
		b := layout.NewBlock()
		if err := b.Append(&record.Record{SequenceNumber: "1", Data: []byte(`{"x":"` + strings.Repeat("y", 10<<20) + `"}`)}); err != nil {
			t.Fatal(err)
		}
		if !b.Full() {
			t.Fatal("the block is not full")
		}
		encoded, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		data := encoded.Data
		if compression == jsonl.Gzip {
			data = gunzip(t, data)
		}
		if len(data) < 10<<20 || data[len(data)-1] != '\n' {
			t.Fatalf("%d bytes came out", len(data))
		}
		encoded.Release()
	}
}

// Error objects are JSON lines files too, written by a function that accepts records that are not JSON.
func TestFormat_TakesLinesFromAnyFunction(t *testing.T) {
	f := newFormat(t, jsonl.Config{Append: func(dst []byte, r *record.Record) ([]byte, error) {
		return fmt.Appendf(dst, "{\"code\":%q,\"rawData\":%q}\n", r.Fault.Code, strings.Repeat(string(r.Data), 200)), nil
	}})
	b := f.NewLayout().NewBlock()
	for range 100 {
		if err := b.Append(&record.Record{Data: []byte("torn"), Fault: &record.Fault{Code: "Json.Malformed"}}); err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(encoded.Data, []byte(`{"code":"Json.Malformed","rawData":"torntorn`)); n != 100 {
		t.Fatalf("%d lines", n)
	}
	encoded.Release()
}

func BenchmarkBlock(b *testing.B) {
	records := make([]*record.Record, 1000)
	for i := range records {
		records[i] = trip(i)
	}
	for _, compression := range compressions {
		b.Run(string(compression), func(b *testing.B) {
			layout := newFormat(b, jsonl.Config{Compression: compression}).NewLayout()
			block := layout.NewBlock()
			b.SetBytes(int64(len(records[0].Data)))
			b.ReportAllocs()
			var raw, out int
			for i := 0; b.Loop(); i++ {
				r := records[i%len(records)]
				if err := block.Append(r); err != nil {
					b.Fatal(err)
				}
				raw += len(r.Data)
				if !block.Full() {
					continue
				}
				encoded, err := block.Encode()
				if err != nil {
					b.Fatal(err)
				}
				out += len(encoded.Data)
				encoded.Release()
				block = layout.NewBlock()
			}
			if out > 0 {
				b.ReportMetric(float64(out)/float64(raw), "out/in")
			}
		})
	}
}
