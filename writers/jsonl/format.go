// Package jsonl writes files of JSON lines, plain or compressed.
//
// A block is a sequence of whole lines. Compressed, each block is a separate gzip member (RFC 1952, section 2.2), a
// Zstandard frame (RFC 8878, section 3), a sequence of Snappy chunks, or a part of the deflate stream of a ZIP archive. These
// can be concatenated in one file, and every reader of the formats reads them as one stream. An open file therefore holds no codec state: hundreds of files can be
// open, blocks of one file can be compressed in parallel, and with a block size of a mebibyte the loss of compression
// ratio is under one percent.
//
// With AppendPayload for the lines, files hold unmodified payloads, as Amazon Data Firehose writes them.
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

// Labels says how objects are named and labelled.
type Labels string

const (
	// AsFiles labels objects by their stored bytes: ".jsonl.gz" and application/gzip, without a Content-Encoding. Query
	// engines (Athena, Spark, DuckDB) go by the extension and read the stored bytes.
	AsFiles Labels = ""
	// AsLines labels objects as JSON lines with a Content-Encoding: ".jsonl.gz", application/x-ndjson, gzip. HTTP clients
	// that honour it (browsers, Python's requests, Go's Transport for gzip) return plain bytes, although the name still
	// ends in ".gz".
	AsLines Labels = "lines"
	// AsFirehose labels objects as Amazon Data Firehose does: ".gz" or no extension, application/octet-stream, and a
	// Content-Encoding if they are compressed.
	AsFirehose Labels = "firehose"
)

// AppendFunc appends one record to dst as a line with its line feed. On error, which is always a *record.Fault, it
// returns dst with its original length. For data, use record.AppendJSONLine.
type AppendFunc func(dst []byte, r *record.Record) ([]byte, error)

// Config says what a Format writes. Fields other than Append may be zero, which means their defaults.
type Config struct {
	// Append formats the lines.
	Append AppendFunc
	// Compression defaults to None.
	Compression Compression
	// BlockSize is the number of bytes of lines in a block; 0 means 1 MiB.
	BlockSize int
	// Labels defaults to AsFiles.
	Labels Labels
}

// Format implements writers.Format. It is safe for concurrent use. Create it with New.
type Format struct {
	config Config
	codec  codec
	object writers.Object
}

var _ writers.Format = (*Format)(nil)

// New returns the format, or an error if the configuration is invalid.
func New(c Config) (*Format, error) {
	if c.Append == nil {
		return nil, errors.New("json lines: Append is not set")
	}
	if c.BlockSize < 0 {
		return nil, fmt.Errorf("json lines: block size %d: want 0 or more", c.BlockSize)
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
	return writers.Object{}, fmt.Errorf("labels %q: want lines, firehose or empty for files", l)
}

// Object implements writers.Format.
func (f *Format) Object() writers.Object { return f.object }

// NewLayout implements writers.Format. A file consists of its blocks, after a header if the framing has one, unless it is an archive.
func (f *Format) NewLayout() writers.Layout {
	if f.codec.archive {
		return newArchive(f)
	}
	return layout{f}
}

type layout struct{ format *Format }

func (l layout) NewBlock() writers.Block                 { return &block{format: l.format} }
func (l layout) Begin() []byte                           { return []byte(l.format.codec.begin) }
func (l layout) Place(e writers.Encoded) ([]byte, error) { return e.Data, nil }
func (l layout) End() ([]byte, error)                    { return nil, nil }
