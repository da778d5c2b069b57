// Package parquet writes Apache Parquet files.
//
// A block is a row group: package shred decodes JSON records into column vectors as they arrive, and the block is encoded
// into pages later. This package writes the pages itself; the Thrift structures come from
// github.com/parquet-go/parquet-go/format, and its encodings do the bit packing.
//
// Properties of the files (Parquet format, version 2.9 and later):
//
//   - every column is optional, except event_id and _arrived_at; lists have three levels, maps have string keys;
//   - timestamps are UTC milliseconds or microseconds, never nanoseconds, which Athena does not read;
//   - JSON text is annotated as a string, as Athena has no JSON columns;
//   - data pages are of version 1 and hold at most 20,000 rows and about 1 MiB before compression, each with a CRC-32;
//   - a column chunk is dictionary encoded if that makes it smaller; otherwise integers and timestamps are
//     DELTA_BINARY_PACKED (unless switched off) and everything else PLAIN;
//   - chunks have statistics, pages have a column index and an offset index, and text in them is cut to 64 bytes;
//   - chosen columns have split-block Bloom filters, sized by their distinct values;
//   - if a column has a zero, its filter and its dictionary have the zeros of both signs, which are equal in SQL;
//   - the footer's metadata names the schema under the key aws-streaming-pipeline.schema.
//
// Without a schema, columns are inferred from the first records of a file. See Format.
//
// Files for a table have its columns instead, as the Apache Iceberg table specification maps them to Parquet (appendix A):
// each with its field id, and timestamps in microseconds. Only a decimal of more than 18 digits takes 16 bytes, not the
// fewest. See Format.For.
package parquet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/writers"
)

// Compression is the codec of all pages of a file.
type Compression string

// The codecs that Athena reads. Zstandard makes files a third smaller than Snappy and costs half as much CPU time again.
const (
	Snappy       Compression = "snappy"
	Zstd         Compression = "zstd"
	Gzip         Compression = "gzip"
	Uncompressed Compression = "none"
)

var codecs = map[Compression]format.CompressionCodec{
	Snappy: format.Snappy, Zstd: format.Zstd, Gzip: format.Gzip, Uncompressed: format.Uncompressed,
}

const (
	// defaultRowGroupBytes is the default size of a row group's vectors in memory.
	defaultRowGroupBytes = 64 << 20
	// defaultInferRows is the default number of records from which the columns of a file without a schema are inferred.
	defaultInferRows = 1000
)

// Options says how files are written. The zero value infers the columns and compresses with Snappy.
type Options struct {
	// Schema defines the columns. Without it, they are inferred.
	Schema *schema.Schema
	// Compression defaults to Snappy.
	Compression Compression
	// RowGroupBytes closes a row group when its vectors take this much memory; 0 means 64 MiB. A row group is the minimum
	// that a reader reads, and the maximum that a writer holds.
	RowGroupBytes int
	// PlainIntegers writes integers and timestamps without a dictionary as PLAIN, for readers that misread
	// DELTA_BINARY_PACKED.
	PlainIntegers bool
	// ArrivedAt adds the column _arrived_at, the time at which Kinesis received the record. Files for a table have the columns
	// of the table instead.
	ArrivedAt bool
	// Bloom lists the columns, by dotted path, that get a Bloom filter. It helps to look up single values in columns with
	// very many distinct values, such as event_id.
	Bloom []string
	// InferRows is the number of records from which columns are inferred; 0 means 1000.
	InferRows int
	// Rounded, if not nil, is called for each row group in which numbers were rounded, with their count; see
	// shred.Shredder.Rounded. Several goroutines may call it at the same time.
	Rounded func(numbers int)
	// Misfits, if not nil, is called for each row group with values that the columns of a table cannot hold, with their count;
	// see shred.Shredder.Misfits. Several goroutines may call it at the same time.
	Misfits func(values int)
	// CreatedBy is the version of the program, for the footer.
	CreatedBy string
}

// Format is the file format. With a schema, all files have its columns, and records that do not fit are rejected.
//
// Without a schema, no JSON object is rejected. The columns of a file are inferred from its first records and those of
// earlier files. Later values that have no column, or do not fit theirs, are kept in the column _extra; the next file has
// columns for new members. A column keeps its type for the life of the process, so that the files of a table agree.
type Format struct {
	options  Options
	codec    format.CompressionCodec
	free     *vectors // of the schema's columns; nil without a schema
	inferred *inferred
	outputs  sync.Pool // *[]byte with row groups that have been written

	mu       sync.Mutex
	encoders []*encoder // idle ones; never more than have worked at the same time
}

// restingEncoder is the memory in bytes that an idle encoder may keep. An encoder of that size serves row groups of any
// number of open files. Encoders that huge row groups have enlarged are dropped.
const restingEncoder = 8 << 20

// takeEncoder returns the encoder that was used last, or a new one. A sync.Pool would not do: the garbage collector runs
// often when memory is short, and would empty it just then.
func (f *Format) takeEncoder() *encoder {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.encoders)
	if n == 0 {
		return newEncoder(f)
	}
	e := f.encoders[n-1]
	f.encoders = f.encoders[:n-1]
	return e
}

func (f *Format) giveEncoder(e *encoder) {
	if e.memory() > restingEncoder {
		*e = encoder{format: f, codec: e.codec}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.encoders = append(f.encoders, e)
}

// New returns the format. An error names every invalid option.
func New(o Options) (*Format, error) {
	if o.Compression == "" {
		o.Compression = Snappy
	}
	if o.RowGroupBytes == 0 {
		o.RowGroupBytes = defaultRowGroupBytes
	}
	if o.InferRows == 0 {
		o.InferRows = defaultInferRows
	}
	codec, ok := codecs[o.Compression]
	var faults []error
	if !ok {
		faults = append(faults, fmt.Errorf("compression %q: want snappy, zstd, gzip or none", o.Compression))
	}
	if o.RowGroupBytes < 0 || o.RowGroupBytes > 1<<30 {
		faults = append(faults, fmt.Errorf("row group of %d bytes: want 1 byte to 1 GiB", o.RowGroupBytes))
	}
	if o.InferRows < 0 {
		faults = append(faults, fmt.Errorf("%d records to infer columns from: want 0 or more", o.InferRows))
	}
	f := &Format{options: o, codec: codec}
	if o.Schema != nil {
		columns := o.Schema
		if o.ArrivedAt {
			with, err := o.Schema.WithArrival()
			if err != nil {
				return nil, err
			}
			columns = with
		}
		f.free = newVectors(columns, true)
		faults = append(faults, f.unknownBloom(columns)...)
		faults = append(faults, badNames(o.Schema.Fields)...)
	} else {
		f.inferred = newInferred(o.ArrivedAt)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return f, nil
}

// badNames finds column names that readers reject or misread: DuckDB, for example, cuts a name at a NUL.
func badNames(fields []*schema.Field) (faults []error) {
	for _, f := range fields {
		if strings.Contains(f.Name, "\x00") {
			faults = append(faults, fmt.Errorf("column %q: want a name without NUL, where readers would cut it", f.Name))
		}
		for f.Element != nil {
			f = f.Element
		}
		faults = append(faults, badNames(f.Fields)...)
	}
	return faults
}

func (f *Format) unknownBloom(s *schema.Schema) (faults []error) {
	columns := shred.New(s, true).Columns()
	for _, path := range f.options.Bloom {
		i := slices.IndexFunc(columns, func(c *shred.Column) bool { return strings.Join(c.Path, ".") == path })
		switch {
		case i < 0:
			faults = append(faults, fmt.Errorf("bloom filter for column %q: no such column", path))
		case columns[i].Field.Kind == schema.Boolean:
			faults = append(faults, fmt.Errorf("bloom filter for column %q: booleans cannot have one", path))
		}
	}
	return faults
}

// Object returns how Parquet files are named and labelled.
func (f *Format) Object() writers.Object {
	return writers.Object{Extension: ".parquet", ContentType: "application/vnd.apache.parquet"}
}

// NewLayout begins a file.
func (f *Format) NewLayout() writers.Layout {
	l := &layout{format: f, offset: int64(len(magic))}
	if f.free != nil {
		l.vectors = f.free
	}
	return l
}

// vectors is a pool of Shredders for one list of columns.
type vectors struct {
	name string // of the schema
	pool sync.Pool
}

func newVectors(s *schema.Schema, eventID bool) *vectors {
	v := &vectors{name: s.Name}
	v.pool.New = func() any { return shred.New(s, eventID) }
	return v
}

func (v *vectors) get() *shred.Shredder { return v.pool.Get().(*shred.Shredder) }

// put returns a Shredder, which must be reset, to the pool.
func (v *vectors) put(s *shred.Shredder) { v.pool.Put(s) }
