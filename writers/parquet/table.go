package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"

	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
)

// tableFormat writes files for one state of a table.
type tableFormat struct {
	*Format
	view    *table.View
	vectors *vectors
}

// For returns the format of files for one state of a table. They have the columns that the view gives them, whose names are
// those of the records' members.
//
// Without a schema, what is learned from members without a column becomes wanted columns of the files' descriptions.
func (f *Format) For(v *table.View) (writers.Format, error) {
	if err := errors.Join(badNames(v.Schema.Fields)...); err != nil {
		return nil, err
	}
	return &tableFormat{f, v, newVectors(v.Schema, true)}, nil
}

// NewLayout begins a file.
func (f *tableFormat) NewLayout() writers.Layout {
	l := &layout{format: f.Format, offset: int64(len(magic)), vectors: f.vectors}
	if f.inferred != nil {
		l.extras = table.Extras{}
	}
	return &tableLayout{l, f.view}
}

// tableLayout encodes one file for a table.
type tableLayout struct {
	*layout
	view *table.View
}

// Describe describes the file after End.
func (l *tableLayout) Describe() table.Description {
	d := table.Description{UUID: l.view.UUID, Schema: l.view.Definition.Schema, Spec: l.view.Spec.ID, Wanted: l.view.Wanted}
	tree := l.vectors.get()
	defer l.vectors.put(tree)
	for i, c := range tree.Columns() {
		m := newMetrics(c)
		for _, g := range l.groups {
			m.add(g.chunks[i])
		}
		d.Columns = append(d.Columns, m.result())
	}
	for _, g := range l.groups {
		d.Splits = append(d.Splits, g.offset)
	}
	if len(l.extras) > 0 {
		d.Wanted = append(d.Wanted[:len(d.Wanted):len(d.Wanted)], l.view.WantedBy(l.format.inferred.schema(), l.extras)...)
	}
	return d
}

// metrics are collected from the chunks of a column.
type metrics struct {
	table.Metrics
	column   *shred.Column
	bounds   *bounds // compares values
	min, max []byte  // bounds of the chunks so far, in the plain encoding; nil if there is no value
	bounded  bool
}

func newMetrics(c *shred.Column) *metrics {
	// The specification has no bounds of columns in lists and maps.
	return &metrics{Metrics: table.Metrics{ID: c.Field.ID}, column: c, bounds: newBounds(c), bounded: c.MaxRep == 0}
}

func (m *metrics) add(chunk *encodedChunk) {
	stats := &chunk.meta.Statistics
	m.Size += chunk.meta.TotalCompressedSize
	m.Values += chunk.meta.NumValues
	m.Nulls += stats.NullCount
	m.NaNs += chunk.nans
	m.bounded = m.bounded && chunk.nans == 0
	if stats.MinValue == nil {
		return
	}
	if m.min == nil || m.bounds.compare(m.value(stats.MinValue), m.value(m.min)) < 0 {
		m.min = stats.MinValue
	}
	if m.max == nil || m.bounds.compare(m.value(stats.MaxValue), m.value(m.max)) > 0 {
		m.max = stats.MaxValue
	}
}

// value reads the plain encoding of a value.
func (m *metrics) value(plain []byte) value {
	switch kind := m.column.Field.Kind; {
	case m.column.Bytes():
		return value{text: plain}
	case kind == schema.Float:
		return value{double: float64(math.Float32frombits(binary.LittleEndian.Uint32(plain)))}
	case kind == schema.Double:
		return value{double: math.Float64frombits(binary.LittleEndian.Uint64(plain))}
	case len(plain) == 1:
		return value{number: int64(plain[0])}
	case len(plain) == 4:
		return value{number: int64(int32(binary.LittleEndian.Uint32(plain)))}
	}
	return value{number: int64(binary.LittleEndian.Uint64(plain))}
}

func (m *metrics) result() table.Metrics {
	if m.bounded && m.min != nil {
		m.Lower, m.Upper = m.lower(), m.upper()
	}
	return m.Metrics
}

// maxBoundPoints is the length in code points to which text in descriptions is cut, as in Iceberg's own libraries
// (write.metadata.metrics.default: truncate(16)). Bounds of the file itself have at least as many.
const maxBoundPoints = 16

func (m *metrics) lower() []byte {
	if m.column.Field.Kind.Text() {
		return bytes.Clone(firstPoints(m.min))
	}
	return m.single(m.min)
}

func (m *metrics) upper() []byte {
	if !m.column.Field.Kind.Text() {
		return m.single(m.max)
	}
	first := bytes.Clone(firstPoints(m.max))
	if len(first) == len(m.max) {
		return first
	}
	return successor(first)
}

// firstPoints returns the first code points of a text.
func firstPoints(text []byte) []byte {
	n := 0
	for range maxBoundPoints {
		if n == len(text) {
			break
		}
		_, size := utf8.DecodeRune(text[n:])
		n += size
	}
	return text[:n]
}

// single turns the plain encoding of a value into the one of single values (Iceberg table specification, appendix D), which
// differs for decimals alone.
func (m *metrics) single(plain []byte) []byte {
	switch {
	case m.column.Field.Kind != schema.Decimal:
		return bytes.Clone(plain)
	case m.column.WideDecimal():
		return table.AppendDecimal(nil, plain)
	}
	return table.AppendDecimal(nil, binary.BigEndian.AppendUint64(nil, uint64(m.value(plain).number)))
}
