// Package jsonl writes files of JSON lines, plain or compressed.
//
// A block is a run of whole lines. Compressed, each block is a gzip member (RFC 1952, section 2.2), a Zstandard frame
// (RFC 8878, section 3) or a run of Snappy chunks of its own. All of them may follow one another in one file, and every
// reader of the formats goes through them as if they were one. An open file therefore holds no state of a codec:
// hundreds can be open, blocks of one file can be compressed side by side, and what is lost in ratio at a block size of
// a mebibyte is under a percent.
//
// With AppendPayload for the lines, files hold payloads as they came, in the way of Amazon Data Firehose.
package jsonl

import (
	"errors"
	"fmt"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// defaultBlockSize is the number of bytes of lines after which a block is compressed.
const defaultBlockSize = 1 << 20

// linesType is the content type of JSON lines.
const linesType = "application/x-ndjson"

// Labels say how objects are named and labelled.
type Labels string

const (
	// AsFiles labels objects as what their bytes are: ".jsonl.gz" and application/gzip, without a Content-Encoding.
	// Query engines (Athena, Spark, DuckDB) go by the extension and read the stored bytes.
	AsFiles Labels = ""
	// AsLines labels objects as JSON lines in a Content-Encoding: ".jsonl.gz", application/x-ndjson, gzip. HTTP clients
	// that honour it (browsers, Python's requests, Go's Transport for gzip) hand out plain bytes, under a name that
	// still ends in ".gz".
	AsLines Labels = "lines"
	// AsFirehose labels objects as Amazon Data Firehose does: ".gz" or no extension, application/octet-stream, and a
	// Content-Encoding if they are compressed.
	AsFirehose Labels = "firehose"
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
	// BlockSize is the number of bytes of lines in a block; 0 is 1 MiB.
	BlockSize int
	// Labels are AsFiles by default.
	Labels Labels
}

// Format is safe for concurrent use. Make it with New.
type Format struct {
	config Config
	codec  codec
	object writers.Object
}

var _ writers.Format = (*Format)(nil)

// New checks the configuration and returns its format.
func New(c Config) (*Format, error) {
	if c.Append == nil {
		return nil, errors.New("json lines: no function that makes the lines")
	}
	if c.BlockSize < 0 {
		return nil, fmt.Errorf("json lines: block size %d is negative", c.BlockSize)
	}
	if c.BlockSize == 0 {
		c.BlockSize = defaultBlockSize
	}
	k, err := newCodec(c.Compression)
	if err != nil {
		return nil, fmt.Errorf("json lines: %w", err)
	}
	object, err := label(c.Labels, k)
	if err != nil {
		return nil, fmt.Errorf("json lines: %w", err)
	}
	return &Format{config: c, codec: k, object: object}, nil
}

func label(l Labels, k codec) (writers.Object, error) {
	switch l {
	case AsFiles:
		return writers.Object{Extension: ".jsonl" + k.extension, ContentType: k.contentType}, nil
	case AsLines:
		return writers.Object{Extension: ".jsonl" + k.extension, ContentType: linesType, ContentEncoding: k.encoding}, nil
	case AsFirehose:
		return writers.Object{Extension: k.extension, ContentType: "application/octet-stream", ContentEncoding: k.encoding}, nil
	}
	return writers.Object{}, fmt.Errorf("labels %q are none of files (empty), lines, firehose", l)
}

// Object is writers.Format's.
func (f *Format) Object() writers.Object { return f.object }

// NewLayout is writers.Format's. A file is its blocks, behind the header of a framing that has one.
func (f *Format) NewLayout() writers.Layout { return layout{f} }

type layout struct{ format *Format }

func (l layout) NewBlock() writers.Block                 { return &block{format: l.format} }
func (l layout) Begin() []byte                           { return []byte(l.format.codec.begin) }
func (l layout) Place(e writers.Encoded) ([]byte, error) { return e.Data, nil }
func (l layout) End() ([]byte, error)                    { return nil, nil }
