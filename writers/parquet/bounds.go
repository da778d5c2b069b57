package parquet

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

// maxBoundBytes is the length to which text in statistics and indexes is cut.
const maxBoundBytes = 64

// value is a value of any column, for comparison.
type value struct {
	number int64
	double float64
	text   []byte
}

// bounds finds the minimum and maximum of each page and of the whole chunk.
type bounds struct {
	column *shred.Column
	kind   schema.Kind

	some     bool  // the chunk has a value that is not null
	nans     int64 // values without order
	min, max value
	nulls    int64
	pages    []pageBounds
	used     []bool // entries of a dictionary that the page has
}

type pageBounds struct {
	some     bool
	min, max value
	nulls    int64
}

func newBounds(c *shred.Column) *bounds { return &bounds{column: c, kind: c.Field.Kind} }

func (b *bounds) compare(x, y value) int {
	switch {
	case b.column.WideDecimal():
		// Two's complement: with the sign bit inverted, the order is that of unsigned bytes.
		if c := int(x.text[0]^0x80) - int(y.text[0]^0x80); c != 0 {
			return c
		}
		return bytes.Compare(x.text, y.text)
	case b.column.Bytes():
		return bytes.Compare(x.text, y.text)
	case b.kind == schema.Float || b.kind == schema.Double:
		return order(x.double, y.double)
	}
	return order(x.number, y.number)
}

func order[T int64 | float64](x, y T) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// addPage adds a page's values.
func (b *bounds) addPage(e *encoder, s span, dictionary bool) {
	p := pageBounds{some: s.valuesEnd > s.values, nulls: int64(s.nulls())}
	if p.some {
		p.min, p.max = b.extremes(e, s, dictionary)
		if math.IsNaN(p.min.double) {
			b.nans += countNaNs(b.column.Doubles[s.values:s.valuesEnd])
		}
		if !b.some || b.compare(p.min, b.min) < 0 {
			b.min = p.min
		}
		if !b.some || b.compare(p.max, b.max) > 0 {
			b.max = p.max
		}
		b.some = true
	}
	b.nulls += p.nulls
	b.pages = append(b.pages, p)
}

func (b *bounds) extremes(e *encoder, s span, dictionary bool) (least, most value) {
	c := b.column
	switch {
	case c.Bytes() && dictionary:
		return b.entryExtremes(e, s)
	case c.WideDecimal():
		return b.wideExtremes(s.text)
	case c.Bytes():
		return textExtremes(s.text)
	case b.kind == schema.Boolean:
		low, high := extremes(c.Bools[s.values:s.valuesEnd])
		return value{number: int64(low)}, value{number: int64(high)}
	case b.kind == schema.Float || b.kind == schema.Double:
		low, high := extremes(c.Doubles[s.values:s.valuesEnd])
		return value{double: low}, value{double: high}
	}
	low, high := extremes(c.Ints[s.values:s.valuesEnd])
	return value{number: low}, value{number: high}
}

// extremes are NaN if any value is.
func extremes[T byte | int64 | float64](values []T) (low, high T) {
	low, high = values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

func countNaNs(values []float64) (n int64) {
	for _, v := range values {
		if math.IsNaN(v) {
			n++
		}
	}
	return n
}

// entryExtremes looks once at each dictionary entry that the page uses.
func (b *bounds) entryExtremes(e *encoder, s span) (least, most value) {
	if b.used == nil {
		b.used = make([]bool, e.dict.count)
	}
	clear(b.used)
	for _, i := range e.dict.indexes[s.values:s.valuesEnd] {
		b.used[i] = true
	}
	first := true
	for i, used := range b.used {
		if !used {
			continue
		}
		entry := e.dict.entry(int32(i))
		v := value{text: entry}
		if first || b.compare(v, least) < 0 {
			least = v
		}
		if first || b.compare(v, most) > 0 {
			most = v
		}
		first = false
	}
	return least, most
}

func textExtremes(data []byte) (least, most value) {
	for first := true; len(data) > 0; first = false {
		n := 4 + int(binary.LittleEndian.Uint32(data))
		v := data[4:n]
		data = data[n:]
		switch {
		case first:
			least.text, most.text = v, v
		case bytes.Compare(v, least.text) < 0:
			least.text = v
		case bytes.Compare(v, most.text) > 0:
			most.text = v
		}
	}
	return least, most
}

func (b *bounds) wideExtremes(data []byte) (least, most value) {
	least.text, most.text = data[:wideDecimalBytes], data[:wideDecimalBytes]
	for ; len(data) > 0; data = data[wideDecimalBytes:] {
		v := value{text: data[:wideDecimalBytes]}
		if b.compare(v, least) < 0 {
			least = v
		}
		if b.compare(v, most) > 0 {
			most = v
		}
	}
	return least, most
}

// finish writes the chunk's statistics and its column index. A chunk with a NaN has no bounds: engines sort NaN
// differently, and bounds may not be NaN (parquet.thrift, ColumnOrder).
func (b *bounds) finish(chunk *encodedChunk) {
	stats := &chunk.meta.Statistics
	stats.NullCount = b.nulls
	chunk.nans = b.nans
	if b.nans > 0 {
		return
	}
	if b.some {
		var exact bool
		stats.MinValue, exact = b.lower(b.min)
		stats.IsMinExact = thrift.New(exact)
		stats.MaxValue, exact = b.upper(b.max)
		stats.IsMaxExact = thrift.New(exact)
	}
	index := &chunk.columnIndex
	for _, p := range b.pages {
		low, high := []byte{}, []byte{}
		if p.some {
			low, _ = b.lower(p.min)
			high, _ = b.upper(p.max)
		}
		index.NullPages = append(index.NullPages, !p.some)
		index.MinValues = append(index.MinValues, low)
		index.MaxValues = append(index.MaxValues, high)
		index.NullCounts = append(index.NullCounts, p.nulls)
	}
	index.BoundaryOrder = b.order()
}

// order returns whether both bounds rise, or both fall, from page to page, ignoring pages of nulls.
func (b *bounds) order() format.BoundaryOrder {
	ascending, descending := true, true
	var last *pageBounds
	for i := range b.pages {
		p := &b.pages[i]
		if !p.some {
			continue
		}
		if last != nil {
			low, high := b.compare(last.min, p.min), b.compare(last.max, p.max)
			ascending = ascending && low <= 0 && high <= 0
			descending = descending && low >= 0 && high >= 0
		}
		last = p
	}
	switch {
	case ascending:
		return format.Ascending
	case descending:
		return format.Descending
	}
	return format.Unordered
}

// lower returns the bytes of a lower bound, and whether they are the exact value.
func (b *bounds) lower(v value) ([]byte, bool) {
	if b.column.Bytes() && len(v.text) > maxBoundBytes {
		return bytes.Clone(cut(v.text)), false
	}
	if v.double == 0 {
		v.double = math.Copysign(0, -1) // zeros are equal, so the lower bound is -0
	}
	return b.plain(v), true
}

// upper returns the bytes of an upper bound, and whether they are the exact value.
func (b *bounds) upper(v value) ([]byte, bool) {
	if b.column.Bytes() && len(v.text) > maxBoundBytes {
		if above := successor(bytes.Clone(cut(v.text))); above != nil {
			return above, false
		}
	}
	if v.double == 0 {
		v.double = 0
	}
	return b.plain(v), true
}

// cut shortens text without breaking a code point.
func cut(text []byte) []byte {
	n := maxBoundBytes
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// successor turns text into a text greater than all texts that begin with it; nil if there is none.
func successor(text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeLastRune(text)
		text = text[:len(text)-size]
		next := r + 1
		if next == 0xD800 { // UTF-8 does not encode surrogates
			next = 0xE000
		}
		if next <= utf8.MaxRune {
			return utf8.AppendRune(text, next)
		}
	}
	return nil
}

// plain returns the PLAIN encoding of a value, without the length of a text.
func (b *bounds) plain(v value) []byte {
	if b.column.Bytes() {
		return append([]byte{}, v.text...)
	}
	switch physicalType(b.column.Field) {
	case format.Boolean:
		return []byte{byte(v.number)}
	case format.Int32:
		return binary.LittleEndian.AppendUint32(nil, uint32(v.number))
	case format.Float:
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v.double)))
	case format.Double:
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v.double))
	}
	return binary.LittleEndian.AppendUint64(nil, uint64(v.number))
}
