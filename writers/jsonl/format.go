// Package jsonl writes files of JSON lines, plain or compressed.
//
// A block is a run of whole lines. Compressed, each block is a gzip member (RFC 1952, section 2.2) or a Zstandard frame
// (RFC 8878, section 3) of its own. Both formats let members and frames follow one another in one file, and every
// reader of the formats goes through them as if they were one. An open file therefore holds no state of a codec:
// hundreds can be open, blocks of one file can be compressed side by side, and what is lost in ratio at a block size of
// a mebibyte is under a percent.
package jsonl

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"aws-streaming-pipeline/consumer/record"
	"aws-streaming-pipeline/writers"
)

// Compression names a codec.
type Compression string

const (
	None Compression = "none"
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// DefaultBlockSize is the number of bytes of lines after which a block is compressed.
const DefaultBlockSize = 1 << 20

// Default levels. On JSON lines the codecs' fastest levels are near the best ratio of the library at a multiple of its
// speed: going from 1 to 6, gzip saves 5 to 13 % of the bytes for half as much CPU time again; zstd's "default" is
// slower than "fastest" and saves nothing.
const (
	DefaultGzipLevel = gzip.BestSpeed
	DefaultZstdLevel = int(zstd.SpeedFastest)
)

// AppendFunc appends one record to dst as a line with its line feed. On error, which is always a *record.Fault, it
// returns dst with the length it had. record.AppendJSONLine is the one for data.
type AppendFunc func(dst []byte, r *record.Record) ([]byte, error)

// Config says what a Format writes. The zero value of each field but Append is its default.
type Config struct {
	// Append makes the lines.
	Append AppendFunc
	// Compression is None by default.
	Compression Compression
	// Level is 1 (fast) to 9 for gzip, 1 to 4 for zstd (the four levels of klauspost/compress); 0 is the default.
	Level int
	// BlockSize is the number of bytes of lines in a block; 0 is DefaultBlockSize.
	BlockSize int
	// ContentEncoding labels compressed objects as JSON lines in a Content-Encoding, as Amazon Data Firehose does with
	// gzip, instead of as gzip or Zstandard files.
	//
	// Off is the default: query engines (Athena, Spark, DuckDB) go by the extension and read the stored bytes, while
	// HTTP clients that honour the header (browsers, Python's requests, Go's Transport for gzip) hand out inflated
	// bytes under a name that ends in ".gz".
	ContentEncoding bool
}

// Format is safe for concurrent use. Make it with New.
type Format struct {
	config Config
	encode func(src, dst []byte) ([]byte, error) // nil for no compression
	object writers.Object
}

var _ writers.Format = (*Format)(nil)

// New checks the configuration and returns its format.
func New(c Config) (*Format, error) {
	if c.Append == nil {
		return nil, fmt.Errorf("json lines: no function that makes the lines")
	}
	if c.BlockSize < 0 {
		return nil, fmt.Errorf("json lines: block size %d is negative", c.BlockSize)
	}
	if c.BlockSize == 0 {
		c.BlockSize = DefaultBlockSize
	}
	f := &Format{config: c, object: writers.Object{Extension: ".jsonl", ContentType: "application/x-ndjson"}}
	var err error
	switch c.Compression {
	case None, "":
		if c.Level != 0 {
			err = fmt.Errorf("level %d without compression", c.Level)
		}
	case Gzip:
		f.label(".gz", "application/gzip", "gzip") // RFC 6713
		f.encode, err = gzipEncoder(c.Level)
	case Zstd:
		f.label(".zst", "application/zstd", "zstd") // RFC 8878, section 7
		f.encode, err = zstdEncoder(c.Level)
	default:
		err = fmt.Errorf("compression %q is none of none, gzip, zstd", c.Compression)
	}
	if err != nil {
		return nil, fmt.Errorf("json lines: %w", err)
	}
	return f, nil
}

func (f *Format) label(extension, contentType, encoding string) {
	f.object.Extension += extension
	if f.config.ContentEncoding {
		f.object.ContentEncoding = encoding
		return
	}
	f.object.ContentType = contentType
}

// Object is writers.Format's.
func (f *Format) Object() writers.Object { return f.object }

// NewLayout is writers.Format's. A file of JSON lines is its blocks and nothing else.
func (f *Format) NewLayout() writers.Layout { return layout{f} }

type layout struct{ format *Format }

func (l layout) NewBlock() writers.Block                 { return &block{format: l.format} }
func (l layout) Begin() []byte                           { return nil }
func (l layout) Place(e writers.Encoded) ([]byte, error) { return e.Data, nil }
func (l layout) End() ([]byte, error)                    { return nil, nil }

// gzipEncoder keeps its writers in a pool: one holds some hundred KiB of tables, whatever the size of the blocks.
func gzipEncoder(level int) (func(src, dst []byte) ([]byte, error), error) {
	if level == 0 {
		level = DefaultGzipLevel
	}
	if level < gzip.BestSpeed || level > gzip.BestCompression {
		return nil, fmt.Errorf("gzip level %d is not within 1 and 9", level)
	}
	pool := sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, level) // fails for levels out of range only
		return w
	}}
	return func(src, dst []byte) ([]byte, error) {
		w := pool.Get().(*gzip.Writer)
		defer pool.Put(w)
		out := appender{dst}
		w.Reset(&out)
		if _, err := w.Write(src); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		return out.b, nil
	}, nil
}

// zstdEncoder uses one encoder, which keeps as many states as there are cores. Its window is that of a usual block:
// larger ones would only cost memory.
func zstdEncoder(level int) (func(src, dst []byte) ([]byte, error), error) {
	if level == 0 {
		level = DefaultZstdLevel
	}
	if level < int(zstd.SpeedFastest) || level > int(zstd.SpeedBestCompression) {
		return nil, fmt.Errorf("zstd level %d is not within 1 and 4", level)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevel(level)),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return func(src, dst []byte) ([]byte, error) { return enc.EncodeAll(src, dst), nil }, nil
}

// appender is a writer to the end of a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
