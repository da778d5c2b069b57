package table

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

// Partitioner computes the partition tuples of records. It is safe for concurrent use.
//
// A value of a tuple is computed from the value that the record has in its file's column, null included: where a payload
// has a value that its column cannot hold, the tuple has null.
type Partitioner struct {
	fields []partition
	files  *schema.Schema // the columns of files
	spread shred.Spread
	// leaves are those of files that fields need. sources has only these; it is nil if there are none.
	leaves  []*schema.Field
	sources *schema.Schema
	cursors sync.Pool // *cursor
}

// partition computes one value of a tuple.
type partition struct {
	name      string // of the field
	transform Transform
	typ       Type // of the source
	from      source
	column    int // among the leaves, if from is payload
}

// source is where a value comes from.
type source int

const (
	nothing source = iota // is always null
	arrival
	eventID
	payload
)

// NewPartitioner returns the Partitioner for files of a view. A partition field whose column nothing in the records fills is
// always null.
func NewPartitioner(v *View) (*Partitioner, error) {
	p := &Partitioner{files: v.Schema, spread: shred.SpreadOf(v.Schema)}
	p.cursors.New = func() any { return new(cursor) }
	for _, f := range v.Spec.Fields {
		field, err := newPartition(v, f)
		field.name = f.Name
		if err != nil {
			return nil, fmt.Errorf("partition field %s: %w", f.Name, err)
		}
		if leaf := leafOf(v.Schema.Fields, f.Source); field.from == nothing && leaf != nil {
			field.from, field.column = payload, p.add(leaf)
		}
		p.fields = append(p.fields, field)
	}
	if len(p.leaves) > 0 {
		p.sources = &schema.Schema{Name: v.Schema.Name, Fields: only(v.Schema.Fields, p.leaves), Coerce: v.Schema.Coerce, Lenient: v.Schema.Lenient, IgnoreCase: v.Schema.IgnoreCase}
	}
	return p, nil
}

// add adds a leaf unless it is there, and returns its index.
func (p *Partitioner) add(leaf *schema.Field) int {
	if i := slices.Index(p.leaves, leaf); i >= 0 {
		return i
	}
	p.leaves = append(p.leaves, leaf)
	return len(p.leaves) - 1
}

// newPartition returns how a partition field is computed, but for values of payloads.
func newPartition(v *View, f PartitionField) (p partition, err error) {
	source := columnWith(v.Columns, f.Source)
	if source == nil {
		return p, fmt.Errorf("its source is column %d: want a column that is not in a list or map", f.Source)
	}
	if p.typ, err = ParseType(source.Type); err != nil {
		return p, err
	}
	if p.transform, err = ParseTransform(f.Transform); err != nil {
		return p, err
	}
	switch f.Source {
	case v.Schema.Own.ArrivedAt:
		p.from = arrival
	case v.Schema.Own.EventID:
		p.from = eventID
	case v.Schema.Own.Extra:
		return p, fmt.Errorf("its source is %s: want another column", schema.ExtraColumn)
	}
	_, err = p.transform.Result(p.typ)
	return p, err
}

// columnWith returns the column with an id, at the top or inside structs; nil if there is none.
func columnWith(columns []Column, id int) *Column {
	for i := range columns {
		if columns[i].ID == id {
			return &columns[i]
		}
		if below := columnWith(columns[i].Fields, id); below != nil {
			return below
		}
	}
	return nil
}

// leafOf returns the field with single values that fills a column; nil if there is none.
func leafOf(fields []*schema.Field, column int) *schema.Field {
	for _, f := range fields {
		if f.ID == column && f.Kind.Scalar() && f.Place == schema.InColumn {
			return f
		}
		if below := leafOf(f.Fields, column); below != nil {
			return below
		}
	}
	return nil
}

// only returns the fields that are or hold one of the leaves.
func only(fields, leaves []*schema.Field) (kept []*schema.Field) {
	for _, f := range fields {
		if slices.Contains(leaves, f) {
			kept = append(kept, f)
			continue
		}
		if below := only(f.Fields, leaves); len(below) > 0 {
			group := *f
			group.Fields, group.Closed = below, false
			kept = append(kept, &group)
		}
	}
	return kept
}

// maxTuple bounds the values of a tuple, in bytes. They are stored with every file, in memory, in the outbox and in the table's
// metadata for as long as the file is in the table, and producers choose them.
const maxTuple = 1024

// Tuple returns the tuple of a record in an opaque form: two are equal if and only if they are the same tuple. What cannot be
// read of a payload is null; its fault is found when the record is appended to its file. The only fault is a tuple that is
// too long.
func (p *Partitioner) Tuple(r *record.Record) (string, *record.Fault) {
	c := p.cursors.Get().(*cursor)
	defer p.cursors.Put(c)
	if p.sources != nil {
		c.read(p, r)
	}
	c.tuple = c.tuple[:0]
	size := 0
	for i := range p.fields {
		f := &p.fields[i]
		value, ok := c.valueOf(f, r)
		if !ok || f.transform.Name == Void {
			c.tuple = append(c.tuple, 0)
			continue
		}
		c.result = f.transform.Append(c.result[:0], value, f.typ)
		size += len(c.result)
		c.tuple = append(binary.AppendUvarint(c.tuple, uint64(len(c.result))+1), c.result...)
	}
	c.columns = nil
	if size > maxTuple {
		c.value, c.result, c.tuple = nil, nil, nil
		return "", &record.Fault{
			Type: record.ProcessingFailed, Code: CodeTupleTooLong,
			Message: fmt.Sprintf("the values by which the table is partitioned take more than %d bytes", maxTuple),
		}
	}
	if string(c.tuple) != c.last {
		c.last = string(c.tuple)
	}
	return c.last, nil
}

// Values returns the values of a tuple, one for each field of the spec, encoded as single values of their result types. A nil
// value is null.
func (p *Partitioner) Values(tuple string) [][]byte {
	values := make([][]byte, len(p.fields))
	rest := []byte(tuple)
	for i := range values {
		size, n := binary.Uvarint(rest)
		if rest = rest[n:]; size > 0 {
			values[i] = rest[: size-1 : size-1]
			rest = rest[size-1:]
		}
	}
	return values
}

// cursor is the memory for one record at a time.
type cursor struct {
	sources *reader         // of Partitioner.sources; nil at first and after a panic
	files   *reader         // of Partitioner.files; nil until it is needed
	columns []*shred.Column // of the record that was read, in the order of leaves; nil if it could not be read
	text    shred.Text

	value, result, tuple []byte
	last                 string // tuple
}

// reader reads leaves out of payloads.
type reader struct {
	shredder *shred.Shredder
	columns  []*shred.Column // in the order of leaves
}

func newReader(s *schema.Schema, eventID bool, leaves []*schema.Field) *reader {
	r := &reader{shredder: shred.New(s, eventID)}
	for _, leaf := range leaves {
		columns := r.shredder.Columns()
		r.columns = append(r.columns, columns[slices.IndexFunc(columns, func(c *shred.Column) bool { return c.Field == leaf })])
	}
	return r
}

// read takes the sources from a payload. If that panics, so will the file's format, where it is dealt with.
func (c *cursor) read(p *Partitioner, r *record.Record) {
	defer func() {
		if recover() != nil {
			c.sources, c.files = nil, nil
		}
	}()
	from := c.reader(p, r.Data)
	from.shredder.Reset()
	if from.shredder.Append(r) == nil {
		c.columns = from.columns
	}
	if from.shredder.Memory() > maxKept {
		c.sources, c.files = nil, nil
	}
}

// maxKept is the memory that a cursor keeps for further records, in bytes.
const maxKept = 1 << 20

// reader returns the one that finds in a payload what its file will find.
func (c *cursor) reader(p *Partitioner, data []byte) *reader {
	if p.files.Lenient && p.spread.MayBeTooLarge(data) {
		// Whether it is too large shows only with all columns. If so, the record will be in _extra as a whole.
		if c.files == nil {
			c.files = newReader(p.files, true, p.leaves)
		}
		return c.files
	}
	if c.sources == nil {
		c.sources = newReader(p.sources, false, p.leaves)
	}
	return c.sources
}

// valueOf returns the value of a partition field's source, which is valid until the next call. ok is false for null.
func (c *cursor) valueOf(f *partition, r *record.Record) (value []byte, ok bool) {
	switch f.from {
	case arrival:
		c.value = appendLong(c.value[:0], r.Arrival.UnixMicro())
	case eventID:
		c.value = r.AppendEventID(c.value[:0])
	case payload:
		if c.columns == nil || c.columns[f.column].Values() == 0 {
			return nil, false
		}
		c.value = appendFirst(c.value[:0], c.columns[f.column], f.typ, &c.text)
	default:
		return nil, false
	}
	return c.value, true
}

// fits returns an error unless values of a field can be values of a type.
func fits(f *schema.Field, typ Type) error {
	types := map[schema.Kind][]string{
		schema.JSON: {String}, schema.String: {String}, schema.Int32: {Int, Long}, schema.Int64: {Long}, schema.Float: {Float, Double},
		schema.Double: {Double}, schema.Boolean: {Boolean}, schema.Decimal: {Decimal}, schema.Date: {Date},
		schema.TimestampMillis: {Timestamp, TimestampTZ}, schema.TimestampMicros: {Timestamp, TimestampTZ},
	}
	if !slices.Contains(types[f.Kind], typ.Name) || typ.Name == Decimal && (f.Scale != typ.Scale || f.Precision > typ.Precision) {
		return fmt.Errorf("%s is of type %s, which the member's type %s does not fit", f.Name, typ, f.Kind)
	}
	return nil
}

// appendFirst appends a column's first value as a single value of a type.
func appendFirst(dst []byte, c *shred.Column, typ Type, text *shred.Text) []byte {
	switch kind := c.Field.Kind; {
	case c.WideDecimal():
		return appendMinimal(dst, text.Chunks(c)[0].Data[shred.Headroom:])
	case kind == schema.Decimal:
		var number [8]byte
		binary.BigEndian.PutUint64(number[:], uint64(c.Ints[0]))
		return appendMinimal(dst, number[:])
	case c.Bytes():
		return append(dst, text.Chunks(c)[0].Data[shred.Headroom+4:]...)
	case kind == schema.Boolean:
		return append(dst, c.Bools[0])
	case typ.Name == Float:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(c.Doubles[0])))
	case typ.Name == Double:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.Doubles[0]))
	case kind == schema.TimestampMillis:
		return appendLong(dst, 1000*c.Ints[0])
	case typ.Name == Int || typ.Name == Date:
		return appendInt(dst, int32(c.Ints[0]))
	}
	return appendLong(dst, c.Ints[0])
}
