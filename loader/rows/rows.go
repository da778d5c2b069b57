// Package rows reads the rows of published data files, for destinations that copy records rather than add files: JSON Lines in any
// compression, and Parquet. It streams, so its memory does not grow with the file.
//
// Both formats of the same records give the same rows, as far as Parquet's columns hold what the records had. They do not tell null from
// a missing member, and they do not keep how a number, a time or an escape was written, nor the order of members. A member that SCHEMA does
// not declare, in an object that is the value of a map, is in the rest, because the map's key is not kept.
package rows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Row is a row of a file. It is valid until the next one is read.
type Row struct {
	// Number is that of the row in its file, from 0.
	Number int64
	// EventID is the value of event_id; empty if the file does not have it.
	EventID []byte
	// ArrivedAt is when Kinesis received the record; zero if the file does not have it.
	ArrivedAt time.Time
	// Values are those of the members asked for, in that order.
	Values []Value
	// Rest has the members that were not asked for, with those of _extra, as a JSON object; nil if there are none. If a record has
	// several members of a name that was asked for, the first that is not null is the value, and Rest has the others.
	Rest []byte
}

// Kind is the kind of a Value.
type Kind uint8

// The kinds of values.
const (
	Null    Kind = iota // null, or no such member
	Bool                // Int is 0 or 1
	Integer             // Int, of a Parquet column
	Double              // Float, of a Parquet column
	Number              // Text is a JSON number, as it was written
	Decimal             // Text is a decimal number, of a Parquet column: a JSON number, too
	String              // Text is its UTF-8 text, unescaped
	JSON                // Text is a JSON object or array
	Date                // Int is in days since 1970, of a Parquet column
	Instant             // Int is in microseconds since 1970 UTC, of a Parquet column
)

// Value is a value of a record.
type Value struct {
	Kind  Kind
	Int   int64
	Float float64
	Text  []byte
}

// Errors of a file itself. Any other error is one of the way to it, and the file may be read later.
var (
	ErrMissing  = errors.New("there is no such object")
	ErrReplaced = errors.New("the object is not the one that was published")
	ErrTorn     = errors.New("the file cannot be read")
)

// torn is an error of the file's contents. It never shows them.
func torn(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrTorn, fmt.Errorf(format, args...))
}

// Reader reads the rows of a file. It is used by one goroutine at a time, and must be closed.
type Reader struct {
	file   *checkpoint.File
	object *object
	source source
	row    Row
	read   int64
}

// source reads the rows of one format.
type source interface {
	// next fills a row, except for its number. Its error is io.EOF after the last row.
	next(*Row) error
	close() error
}

// Open opens a published file. members are the names of the top-level members whose values are wanted, different from one another and
// without event_id, _arrived_at and _extra. It holds some MiB of JSON Lines, and of Parquet up to maxHeld bytes of a row group and the pages
// under way.
func Open(ctx context.Context, bucket Bucket, file *checkpoint.File, members []string) (*Reader, error) {
	r := &Reader{file: file, object: &object{ctx: ctx, bucket: bucket, file: file, size: file.Bytes, etag: file.ETag}}
	r.row.Values = make([]Value, len(members))
	var err error
	if r.source, err = r.open(members); err != nil {
		return nil, r.explain(err)
	}
	return r, nil
}

// open recognises the format by the first bytes.
func (r *Reader) open(members []string) (source, error) {
	s := &stream{object: r.object, end: r.object.size}
	first := make([]byte, len(parquetMagic))
	n, err := io.ReadFull(s, first)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || r.object.broken != nil {
		return nil, errors.Join(err, s.Close())
	}
	if string(first) == parquetMagic {
		return openParquet(s, first, members)
	}
	return openLines(s, first[:n], members)
}

// Next returns the next row, and io.EOF after the last one. The row is the Reader's own.
func (r *Reader) Next() (*Row, error) {
	r.row.Number = r.read
	err := r.source.next(&r.row)
	switch {
	case err == io.EOF && r.read < r.file.Rows:
		return nil, r.explain(torn("it has %d rows: want %d", r.read, r.file.Rows))
	case err == io.EOF:
		return nil, io.EOF
	case err != nil:
		return nil, r.explain(err)
	case r.read == r.file.Rows:
		return nil, r.explain(torn("it has more rows than %d", r.file.Rows))
	}
	r.read++
	return &r.row, nil
}

// explain names the file, and prefers the error of a request to what a decoder made of it.
func (r *Reader) explain(err error) error {
	if r.object.broken != nil {
		err = r.object.broken
	}
	return fmt.Errorf("read s3://%s/%s: %w", r.file.Bucket, r.file.Key, err)
}

// Close ends the reading. After it, no row is valid.
func (r *Reader) Close() error { return r.source.close() }
