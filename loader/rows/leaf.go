package rows

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"aws-streaming-pipeline/record/jsonscan"
)

// leaf reads the values of a leaf column, one after the other.
type leaf struct {
	kind  Kind  // of its values; JSON for text that may be any
	float bool  // of 32 bits
	short bool  // an integer of 32 bits
	times int64 // what a timestamp is to be multiplied with
	scale int   // of decimals

	pages  parquet.Pages // nil between row groups
	page   parquet.Page  // nil before the first and after the last
	reader parquet.ValueReader
	values []parquet.Value // read from the page
	at     int             // of the next one
	ended  bool            // the page has no further values
}

// peek returns the next value; nil at the end of the row group. Values that point into a page that has ended are no longer valid.
func (l *leaf) peek() (*parquet.Value, error) {
	for l.at == len(l.values) {
		if ok, err := l.fill(); !ok || err != nil {
			return nil, err
		}
	}
	return &l.values[l.at], nil
}

// take returns the next value, of which there must be one.
func (l *leaf) take() (*parquet.Value, error) {
	if l.at == len(l.values) {
		if v, err := l.peek(); err != nil {
			return nil, err
		} else if v == nil {
			return nil, errShort
		}
	}
	l.at++
	return &l.values[l.at-1], nil
}

// fill reads further values. ok is false at the end of the row group.
func (l *leaf) fill() (ok bool, err error) {
	l.values, l.at = l.values[:0], 0
	if l.page == nil || l.ended {
		if l.pages == nil {
			return false, nil
		}
		parquet.Release(l.page)
		l.page = nil
		page, err := l.pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return false, nil
		} else if err != nil {
			return false, torn("%w", err)
		}
		l.page, l.reader, l.ended = page, page.Values(), false
	}
	n, err := l.reader.ReadValues(l.values[:cap(l.values)])
	l.values = l.values[:n]
	switch {
	case err == io.EOF:
		l.ended = true
	case err != nil:
		return false, torn("%w", err)
	case n == 0:
		return false, torn("%w", io.ErrNoProgress)
	}
	return true, nil
}

// close ends the row group.
func (l *leaf) close() error {
	if l.pages == nil {
		return nil
	}
	parquet.Release(l.page)
	err := l.pages.Close()
	l.pages, l.page, l.reader, l.values, l.at = nil, nil, nil, l.values[:0], 0
	return err
}

// value turns a value that is not null into one of a record. Its text may be in the scratch.
func (t *table) value(l *leaf, p *parquet.Value, v *Value) error {
	switch v.Kind = l.kind; l.kind {
	case Bool:
		if v.Int = 0; p.Boolean() {
			v.Int = 1
		}
	case String:
		v.Text = p.ByteArray()
	case JSON:
		return t.jsonValue(p.ByteArray(), v)
	case Double:
		v.Float = p.Double()
		if l.float {
			v.Float = widened(p.Float())
		}
	case Decimal:
		begin := len(t.scratch)
		t.scratch = appendDecimal(t.scratch, p, l.scale)
		v.Text = t.scratch[begin:]
	case Instant:
		v.Int = p.Int64() * l.times
	default:
		if v.Int = p.Int64(); l.short {
			v.Int = int64(p.Int32())
		}
	}
	return nil
}

// jsonValue reads a value that a column holds as JSON text.
func (t *table) jsonValue(text []byte, v *Value) error {
	var end int
	var p jsonscan.Problem
	if *v, end, t.scratch, p = Scan(text, 0, 1, t.scratch); p != jsonscan.None || end != len(text) {
		return torn("a column of JSON has text that is not JSON at byte %d", end)
	}
	return nil
}

// widened returns the double that is written like a number of 32 bits, 0.1 rather than 0.10000000149011612: records have decimal numbers.
func widened(f float32) float64 {
	var room [32]byte
	v, err := strconv.ParseFloat(string(strconv.AppendFloat(room[:0], float64(f), 'g', -1, 32)), 64)
	if err != nil {
		return float64(f)
	}
	return v
}

// appendDecimal appends a decimal without the zeros that its scale adds at the end.
func appendDecimal(dst []byte, p *parquet.Value, scale int) []byte {
	high, low := uint64(0), uint64(0)
	switch p.Kind() {
	case parquet.Int32:
		low = uint64(int64(p.Int32()))
		high = uint64(int64(low) >> 63)
	case parquet.Int64:
		low = uint64(p.Int64())
		high = uint64(int64(low) >> 63)
	default:
		var wide [16]byte
		b := p.ByteArray()
		if len(b) > len(wide) {
			b = b[len(b)-len(wide):]
		}
		if len(b) > 0 && b[0] >= 0x80 {
			for i := range wide {
				wide[i] = 0xff
			}
		}
		copy(wide[len(wide)-len(b):], b)
		high, low = binary.BigEndian.Uint64(wide[:]), binary.BigEndian.Uint64(wide[8:])
	}
	if int64(high) < 0 {
		var borrow uint64
		low, borrow = bits.Sub64(0, low, 0)
		high, _ = bits.Sub64(0, high, borrow)
		dst = append(dst, '-')
	}
	var digits [40]byte
	n := len(digits)
	for high != 0 || low != 0 || n > len(digits)-scale-1 {
		var digit uint64
		high, digit = high/10, high%10
		low, digit = bits.Div64(digit, low, 10)
		n--
		digits[n] = '0' + byte(digit)
	}
	point := len(digits) - scale
	dst = append(dst, digits[n:point]...)
	last := len(digits)
	for last > point && digits[last-1] == '0' {
		last--
	}
	if last > point {
		dst = append(append(dst, '.'), digits[point:last]...)
	}
	return dst
}
