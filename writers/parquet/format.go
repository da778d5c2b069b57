// Package parquet writes Apache Parquet files.
//
// A block is a row group: JSON records are taken apart into column vectors by package shred as they come, and turned
// into pages when the block is encoded. The pages are this package's own; the Thrift structures come from
// github.com/parquet-go/parquet-go/format and its encodings do the bit packing.
//
// What a file looks like (Parquet format, version 2.9 and later):
//
//   - every column is optional but event_id, lists have three levels, maps are of string keys;
//   - timestamps are UTC milliseconds or microseconds, never nanoseconds, which Athena does not read;
//   - JSON text is annotated as a string, as Athena has no JSON columns;
//   - data pages are of version 1 and hold at most 20,000 rows and about 1 MiB before compression, each with a CRC-32;
//   - a column chunk is dictionary encoded where that pays; otherwise integers and timestamps are DELTA_BINARY_PACKED
//     (unless switched off) and everything else PLAIN;
//   - chunks have statistics, pages have a column index and an offset index, and text in them is cut to 64 bytes;
//   - chosen columns have split-block Bloom filters, sized by their distinct values;
//   - where a column has a zero, its filter and its dictionary have those of both signs, which SQL takes for equal;
//   - the footer's metadata names the schema under the key aws-streaming-pipeline.schema.
//
// Without a schema the columns come from the first records of a file. See Format.
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

// The codecs that Athena reads. Zstandard gives files that are a third smaller than Snappy's and costs half as much
// CPU again.
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
	// defaultRowGroupBytes is the size of a row group's vectors in memory.
	defaultRowGroupBytes = 64 << 20
	// defaultInferRows is the number of records that the columns of a file without a schema are inferred from.
	defaultInferRows = 1000
)

// Options say how files are written. The zero value infers the columns and writes Snappy.
type Options struct {
	// Schema has the columns. Without one they are inferred.
	Schema *schema.Schema
	// Compression is Snappy if empty.
	Compression Compression
	// RowGroupBytes closes a row group when its vectors take up so much memory; 64 MiB if 0. A row group
	// is what a reader reads at least, and what a writer holds at most.
	RowGroupBytes int
	// PlainIntegers writes integers and timestamps PLAIN where they have no dictionary, for readers that get
	// DELTA_BINARY_PACKED wrong.
	PlainIntegers bool
	// Bloom lists the columns, by their dotted paths, that get a Bloom filter. It pays for look-ups of single values
	// in columns of very many, as event_id.
	Bloom []string
	// InferRows is the number of records that columns are inferred from; 1000 if 0.
	InferRows int
	// Rounded, if there is one, is told for each row group that has them how many numbers its columns hold rounded; see
	// shred.Shredder.Rounded. It may be called by several goroutines at a time.
	Rounded func(numbers int)
	// CreatedBy is the version of the program, for the footer.
	CreatedBy string
}

// Format is the file format. With a schema, all files have its columns, and a record that does not fit is refused.
//
// Without a schema no JSON object is refused. The columns of a file are inferred from its first records and those of
// the files before it. What comes later and has no column, or does not fit its column, is kept in the column _extra;
// the next file has columns for new members. A column keeps its type as long as the process lives, so that the files
// of a table agree.
type Format struct {
	options  Options
	codec    format.CompressionCodec
	free     *vectors // of the schema's columns; nil without a schema
	inferred *inferred
	outputs  sync.Pool // *[]byte with row groups that have been written

	mu       sync.Mutex
	encoders []*encoder // that rest; never more than have been at work at the same time
}

// restingEncoder is the memory in bytes that an encoder may keep while it rests. One of that size serves row groups of any number
// of open files. What huge row groups have made larger goes.
const restingEncoder = 8 << 20

// takeEncoder returns the encoder that rested last, or a new one. The garbage collector runs often while memory is short, and
// would empty a pool of its own just then.
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

// New returns the format. An error names every option that is wrong.
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
		faults = append(faults, fmt.Errorf("compression %q is not snappy, zstd, gzip or none", o.Compression))
	}
	if o.RowGroupBytes < 0 || o.RowGroupBytes > 1<<30 {
		faults = append(faults, fmt.Errorf("row group of %d bytes is not between 1 and 1 GiB", o.RowGroupBytes))
	}
	if o.InferRows < 0 {
		faults = append(faults, fmt.Errorf("number of records to infer columns from %d is negative", o.InferRows))
	}
	f := &Format{options: o, codec: codec}
	if o.Schema != nil {
		f.free = newVectors(o.Schema, true)
		faults = append(faults, f.unknownBloom()...)
		faults = append(faults, badNames(o.Schema.Fields)...)
	} else {
		f.inferred = newInferred()
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return f, nil
}

// badNames finds columns whose names readers do not take: DuckDB, for one, cuts a name at a NUL.
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

func (f *Format) unknownBloom() (faults []error) {
	columns := shred.New(f.options.Schema, true).Columns()
	for _, path := range f.options.Bloom {
		i := slices.IndexFunc(columns, func(c *shred.Column) bool { return strings.Join(c.Path, ".") == path })
		switch {
		case i < 0:
			faults = append(faults, fmt.Errorf("bloom filter for column %q: there is no such column", path))
		case columns[i].Field.Kind == schema.Boolean:
			faults = append(faults, fmt.Errorf("bloom filter for column %q: a boolean has none", path))
		}
	}
	return faults
}

// Object tells how Parquet files are named.
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

// vectors hands out Shredders for one list of columns and takes them back with their memory.
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

// put takes a Shredder back that has been reset.
func (v *vectors) put(s *shred.Shredder) { v.pool.Put(s) }
