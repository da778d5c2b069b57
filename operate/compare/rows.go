package compare

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record/schema"
)

// parquetMagic is at the beginning and at the end of a Parquet file.
const parquetMagic = "PAR1"

// rowsAtOnce is how many rows are taken from a file at a time.
const rowsAtOnce = 64

// eachRow calls do for each row of a Parquet file, as a JSON object that is valid during the call. Columns that are null
// are left out; the members that are kept in the column _extra are put back.
func eachRow(f *os.File, size int64, do func(row []byte) error) (err error) {
	// parquet-go can panic on damaged files: report that as an error of the file.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("parquet: %v", p)
		}
	}()
	file, err := parquet.OpenFile(f, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	w := rowWriter{root: file.Root(), leaves: make(map[*parquet.Column]int)}
	w.countLeaves(w.root)
	buffer := make([]parquet.Row, rowsAtOnce)
	for _, group := range file.RowGroups() {
		if err := w.eachOf(group.Rows(), buffer, do); err != nil {
			return err
		}
	}
	return nil
}

func (w *rowWriter) eachOf(rows parquet.Rows, buffer []parquet.Row, do func([]byte) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		n, err := rows.ReadRows(buffer)
		for _, row := range buffer[:n] {
			text, err := w.row(row)
			if err != nil {
				return err
			}
			if err := do(text); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("parquet: %w", err)
		}
	}
}

// rowWriter writes rows as JSON, by the levels of their values (parquet-format, README.md, "Nested Encoding").
type rowWriter struct {
	root   *parquet.Column
	leaves map[*parquet.Column]int // below each column
	out    []byte
	stack  []levels
}

// levels are the values of one leaf column within the instance of a column under way.
type levels []parquet.Value

func (w *rowWriter) countLeaves(c *parquet.Column) int {
	n := 0
	for _, child := range c.Columns() {
		n += w.countLeaves(child)
	}
	if c.Leaf() {
		n = 1
	}
	w.leaves[c] = n
	return n
}

func (w *rowWriter) row(row parquet.Row) ([]byte, error) {
	w.out, w.stack = w.out[:0], w.stack[:0]
	row.Range(func(_ int, values []parquet.Value) bool {
		w.stack = append(w.stack, values)
		return true
	})
	w.out = append(w.out, '{')
	var extra []byte
	at := 0
	for _, c := range w.root.Columns() {
		n := w.leaves[c]
		runs := w.stack[at : at+n : at+n]
		if at += n; c.Name() == schema.ExtraColumn && c.Leaf() && c.Type().Kind() == parquet.ByteArray {
			if v := runs[0][0]; !v.IsNull() {
				extra = v.ByteArray()
			}
			continue
		}
		w.member(c, runs, 0, 0)
	}
	w.end('}')
	if len(extra) == 0 {
		return w.out, nil
	}
	return mergeExtra(w.out, extra)
}

// end closes an object or array whose members have a comma after each.
func (w *rowWriter) end(closing byte) {
	if last := len(w.out) - 1; w.out[last] == ',' {
		w.out[last] = closing
		return
	}
	w.out = append(w.out, closing)
}

// member writes a member with a comma, unless it is null. def and rep are the levels of the group that has it.
func (w *rowWriter) member(c *parquet.Column, runs []levels, def, rep int) {
	if isNull(c, runs, def) {
		return
	}
	w.text(c.Name())
	w.out = append(w.out, ':')
	w.column(c, runs, def, rep)
	w.out = append(w.out, ',')
}

func isNull(c *parquet.Column, runs []levels, def int) bool {
	return c.Optional() && runs[0][0].DefinitionLevel() <= def
}

// column writes one column of a group.
func (w *rowWriter) column(c *parquet.Column, runs []levels, def, rep int) {
	switch {
	case isNull(c, runs, def):
		w.out = append(w.out, "null"...)
		return
	case c.Repeated(): // without an annotation
		w.list(c, c, runs, def+1, rep+1)
		return
	case c.Optional():
		def++
	}
	w.value(c, runs, def, rep)
}

// value writes a value of a column that is there, at levels that count the column.
func (w *rowWriter) value(c *parquet.Column, runs []levels, def, rep int) {
	if c.Leaf() {
		w.scalar(c.Type(), runs[0][0])
		return
	}
	if inner := c.Columns(); len(inner) == 1 && inner[0].Repeated() {
		switch annotationOf(c) {
		case isMap:
			w.entries(inner[0], runs, def+1, rep+1)
			return
		case isList:
			w.list(inner[0], elementOf(c, inner[0]), runs, def+1, rep+1)
			return
		}
	}
	w.group(c, runs, def, rep)
}

func (w *rowWriter) group(c *parquet.Column, runs []levels, def, rep int) {
	w.out = append(w.out, '{')
	at := 0
	for _, child := range c.Columns() {
		n := w.leaves[child]
		w.member(child, runs[at:at+n:at+n], def, rep)
		at += n
	}
	w.end('}')
}

type annotation int

const (
	isGroup annotation = iota
	isList
	isMap
)

func annotationOf(c *parquet.Column) annotation {
	if l := c.Type().LogicalType(); l != nil {
		switch l.Value.(type) {
		case *format.ListType:
			return isList
		case *format.MapType:
			return isMap
		}
	}
	if converted := c.Type().ConvertedType(); converted != nil {
		switch *converted {
		case deprecated.List:
			return isList
		case deprecated.Map, deprecated.MapKeyValue:
			return isMap
		}
	}
	return isGroup
}

// elementOf returns the column of a list's elements: the repeated one, or the only one in it (parquet-format,
// LogicalTypes.md, "Lists", with the rules for files of old writers).
func elementOf(list, repeated *parquet.Column) *parquet.Column {
	inner := repeated.Columns()
	if repeated.Leaf() || len(inner) != 1 || repeated.Name() == "array" || repeated.Name() == list.Name()+"_tuple" {
		return repeated
	}
	return inner[0]
}

// list writes the elements of a repeated column. Each is the repeated column itself, or a column in it.
func (w *rowWriter) list(repeated, element *parquet.Column, runs []levels, def, rep int) {
	w.out = append(w.out, '[')
	w.each(runs, def, rep, func(one []levels) {
		if element == repeated {
			w.value(element, one, def, rep)
		} else {
			w.column(element, one, def, rep)
		}
		w.out = append(w.out, ',')
	})
	w.end(']')
}

// entries writes the pairs of a map as members of an object.
func (w *rowWriter) entries(pair *parquet.Column, runs []levels, def, rep int) {
	w.out = append(w.out, '{')
	w.each(runs, def, rep, func(one []levels) {
		key := pair.Columns()[0]
		n := w.leaves[key]
		start := len(w.out)
		w.column(key, one[:n], def, rep)
		if w.out[start] != '"' {
			w.out = append(slices.Insert(w.out, start, '"'), '"')
		}
		w.out = append(w.out, ':')
		if len(pair.Columns()) > 1 {
			w.column(pair.Columns()[1], one[n:], def, rep)
		} else {
			w.out = append(w.out, "null"...)
		}
		w.out = append(w.out, ',')
	})
	w.end('}')
}

// each calls do with the values of each instance of a repeated column, whose levels are def and rep.
func (w *rowWriter) each(runs []levels, def, rep int, do func([]levels)) {
	if runs[0][0].DefinitionLevel() < def {
		return
	}
	base := len(w.stack)
	w.stack = append(w.stack, runs...) // what is left
	for len(w.stack[base]) > 0 {
		for i := range runs {
			left := w.stack[base+i]
			n := 1
			for n < len(left) && left[n].RepetitionLevel() > rep {
				n++
			}
			w.stack = append(w.stack, left[:n])
			w.stack[base+i] = left[n:]
		}
		one := w.stack[base+len(runs):]
		do(one[:len(runs):len(runs)])
		w.stack = w.stack[:base+len(runs)]
	}
	w.stack = w.stack[:base]
}

// scalar writes the value of a leaf column.
func (w *rowWriter) scalar(t parquet.Type, v parquet.Value) {
	if w.logical(t, v) {
		return
	}
	switch v.Kind() {
	case parquet.Boolean:
		w.out = strconv.AppendBool(w.out, v.Boolean())
	case parquet.Int32:
		w.out = strconv.AppendInt(w.out, int64(v.Int32()), 10)
	case parquet.Int64:
		w.out = strconv.AppendInt(w.out, v.Int64(), 10)
	case parquet.Int96:
		w.instant(int96Time(v.Int96()))
	case parquet.Float:
		w.float(float64(v.Float()), 32)
	case parquet.Double:
		w.float(v.Double(), 64)
	default:
		w.bytes(v.ByteArray())
	}
}

// logical writes a value by its annotation. It returns false if the physical type tells enough.
func (w *rowWriter) logical(t parquet.Type, v parquet.Value) bool {
	var annotated format.LogicalTypeValue
	if l := t.LogicalType(); l != nil {
		annotated = l.Value
	}
	switch a := annotated.(type) {
	case *format.DecimalType:
		w.out = appendDecimal(w.out, unscaled(v), int(a.Scale))
	case *format.DateType:
		w.text(time.Unix(int64(v.Int32())*86_400, 0).UTC().Format(time.DateOnly))
	case *format.TimestampType:
		w.instant(since(v.Int64(), a.Unit))
	case *format.TimeType:
		w.text(since(integer(v), a.Unit).Format("15:04:05.999999999"))
	case *format.IntType:
		if a.IsSigned {
			return false
		}
		if v.Kind() == parquet.Int32 {
			w.out = strconv.AppendUint(w.out, uint64(uint32(v.Int32())), 10)
		} else {
			w.out = strconv.AppendUint(w.out, uint64(v.Int64()), 10)
		}
	case *format.UUIDType:
		b := v.ByteArray()
		w.text(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
	default:
		return false
	}
	return true
}

func integer(v parquet.Value) int64 {
	if v.Kind() == parquet.Int32 {
		return int64(v.Int32())
	}
	return v.Int64()
}

// since returns the time that is so many units after 1970, in UTC.
func since(n int64, unit format.TimeUnit) time.Time {
	switch unit.Value.(type) {
	case *format.MilliSeconds:
		return time.UnixMilli(n).UTC()
	case *format.NanoSeconds:
		return time.Unix(0, n).UTC()
	}
	return time.UnixMicro(n).UTC()
}

// int96Time reads the timestamps of Hive and Impala: nanoseconds of the day, and the Julian day.
func int96Time(v deprecated.Int96) time.Time {
	const epoch = 2_440_588 // Julian day of 1970-01-01
	nanoseconds := int64(uint64(v[1])<<32 | uint64(v[0]))
	return time.Unix((int64(v[2])-epoch)*86_400, nanoseconds).UTC()
}

// unscaled returns the digits of a decimal.
func unscaled(v parquet.Value) *big.Int {
	switch v.Kind() {
	case parquet.Int32, parquet.Int64:
		return big.NewInt(integer(v))
	}
	b := v.ByteArray() // two's complement, the most significant byte first
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

func appendDecimal(dst []byte, n *big.Int, scale int) []byte {
	dst = n.Append(dst, 10)
	if scale > 0 {
		dst = strconv.AppendInt(append(dst, 'e'), int64(-scale), 10)
	}
	return dst
}

func (w *rowWriter) instant(t time.Time) { w.out = t.AppendFormat(w.out, `"`+instantForm+`"`) }

// float writes the shortest number that gives the same value. Those that JSON does not have are written as the text that
// stands for them in records.
func (w *rowWriter) float(f float64, bits int) {
	switch {
	case math.IsNaN(f):
		w.text("NaN")
	case math.IsInf(f, 1):
		w.text("Infinity")
	case math.IsInf(f, -1):
		w.text("-Infinity")
	default:
		w.out = strconv.AppendFloat(w.out, f, 'g', -1, bits)
	}
}

// bytes writes text, or base64 for bytes that are not.
func (w *rowWriter) bytes(b []byte) {
	if !utf8.Valid(b) {
		w.out = append(base64.StdEncoding.AppendEncode(append(w.out, '"'), b), '"')
		return
	}
	w.out = append(appendEscaped(append(w.out, '"'), b), '"')
}

func (w *rowWriter) text(s string) { w.bytes([]byte(s)) }
