package parquet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	parquetgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/writers"
)

// writeFile writes a file like the pipeline: a block begins when the one before is full.
func writeFile(tb testing.TB, f writers.Format, list []record.Record) []byte {
	tb.Helper()
	return writeLayout(tb, f.NewLayout(), list)
}

func writeLayout(tb testing.TB, l writers.Layout, list []record.Record) []byte {
	tb.Helper()
	file := bytes.Clone(l.Begin())
	block := l.NewBlock()
	rows := int64(0)
	for i := range list {
		if err := block.Append(&list[i]); err != nil {
			tb.Fatalf("append record %d %.1000s: %v", i, list[i].Data, err)
		}
		if block.Full() {
			file = append(file, place(tb, l, block, &rows)...)
			block = l.NewBlock()
		}
	}
	file = append(file, place(tb, l, block, &rows)...)
	end, err := l.End()
	if err != nil {
		tb.Fatal(err)
	}
	if rows != int64(len(list)) {
		tb.Fatalf("blocks told of %d rows, want %d", rows, len(list))
	}
	return append(file, end...)
}

// place encodes a block and returns its bytes in the file.
func place(tb testing.TB, l writers.Layout, b writers.Block, rows *int64) []byte {
	tb.Helper()
	e, err := b.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	p, err := l.Place(e)
	if err != nil {
		tb.Fatal(err)
	}
	p = bytes.Clone(p)
	if e.Release != nil {
		e.Release()
	}
	*rows += e.Rows
	return p
}

func mustParse(tb testing.TB, document string) *schema.Schema {
	tb.Helper()
	s, err := schema.Parse("test", []byte(document))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustFormat(tb testing.TB, o Options) *Format {
	tb.Helper()
	f, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// sample is a file and the rows that must be read from it, as JSON: integers and doubles are numbers, decimals text, dates
// days and timestamps microseconds since 1970, maps lists of pairs.
type sample struct {
	name string
	data []byte
	want []string
}

var allSamples struct {
	sync.Once
	list []sample
}

// samples are all files that the readers are tested with.
func samples(tb testing.TB) []sample {
	tb.Helper()
	allSamples.Do(func() { allSamples.list = makeSamples(tb) })
	return allSamples.list
}

func makeSamples(tb testing.TB) (list []sample) {
	for _, c := range corpora {
		c.options.Schema = mustParse(tb, corpusDocument)
		records, want := c.generate(c.options.Schema.Fields)
		list = append(list, sample{c.name, writeFile(tb, mustFormat(tb, c.options), records), want})
	}
	list = append(list, tableSample(tb))
	list = append(list, edgeSamples(tb)...)
	list = append(list, lateSamples(tb)...)
	list = append(list, zeroSamples(tb)...)
	list = append(list, arrivalSamples(tb)...)
	return append(list, nullPages(tb))
}

func TestFile_IsReadBackByParquetGo(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) { compareRows(t, readWithParquetGo(t, s.data), s.want) })
	}
}

// compareRows compares rows as JSON values, integers exactly and doubles by their bits.
func compareRows(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] == want[i] {
			continue
		}
		a, b := decodeRow(t, got[i]), decodeRow(t, want[i])
		if reflect.DeepEqual(a, b) {
			continue
		}
		for name := range b {
			if !reflect.DeepEqual(a[name], b[name]) {
				t.Errorf("row %d column %s: got %.300s, want %.300s", i, name, fmt.Sprint(a[name]), fmt.Sprint(b[name]))
			}
		}
		if len(a) != len(b) {
			t.Errorf("row %d has %d columns, want %d", i, len(a), len(b))
		}
		t.FailNow()
	}
}

// decodeRow reads a row with its numbers as int64 or, where they have a point or an exponent, as the bits of a double.
func decodeRow(t *testing.T, row string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(row))
	d.UseNumber()
	var members map[string]any
	if err := d.Decode(&members); err != nil {
		t.Fatalf("row %.500s: %v", row, err)
	}
	return exactNumbers(t, members).(map[string]any)
}

func exactNumbers(t *testing.T, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = exactNumbers(t, v[name])
		}
	case []any:
		for i := range v {
			v[i] = exactNumbers(t, v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		double, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return math.Float64bits(double)
	}
	return v
}

// readWithParquetGo reads a file's rows as JSON objects.
func readWithParquetGo(tb testing.TB, data []byte) []string {
	tb.Helper()
	file, err := parquetgo.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		tb.Fatalf("open file: %v", err)
	}
	var rows []string
	for _, group := range file.RowGroups() {
		reader := group.Rows()
		buffer := make([]parquetgo.Row, 100)
		for {
			n, err := reader.ReadRows(buffer)
			for _, row := range buffer[:n] {
				a := assembler{row: row}
				var b strings.Builder
				a.group(&b, file.Root(), 0, 0)
				rows = append(rows, b.String())
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				tb.Fatalf("read rows: %v", err)
			}
		}
		reader.Close()
	}
	return rows
}

// assembler builds a row out of its leaf values by their levels.
type assembler struct {
	row parquetgo.Row
	at  int
}

// group writes the members of a group that is not null. def and rep are the group's levels.
func (a *assembler) group(b *strings.Builder, c *parquetgo.Column, def, rep int) {
	b.WriteByte('{')
	for i, child := range c.Columns() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quoteJSON(child.Name()) + ":")
		a.value(b, child, def, rep)
	}
	b.WriteByte('}')
}

// value writes one optional or required value.
func (a *assembler) value(b *strings.Builder, c *parquetgo.Column, def, rep int) {
	if c.Optional() {
		def++
	}
	there := a.row[a.at].DefinitionLevel() >= def
	switch {
	case !there:
		a.at += countLeaves(c)
		b.WriteString("null")
	case c.Leaf():
		writeValue(b, c, a.row[a.at])
		a.at++
	case len(c.Columns()) == 1 && c.Columns()[0].Repeated():
		a.repeated(b, c.Columns()[0], def, rep+1)
	default:
		a.group(b, c, def, rep)
	}
}

// repeated writes a list, or a map as a list of pairs. In a row, the values of one column follow each other, so the
// elements are assembled from one cursor for each column.
func (a *assembler) repeated(b *strings.Builder, c *parquetgo.Column, def, rep int) {
	leaves := countLeaves(c)
	cursors := a.columns(leaves, rep)
	b.WriteByte('[')
	for i, n := 0, cursors.elements(def+1, rep); i < n; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		element := assembler{row: cursors.element(i, rep)}
		if len(c.Columns()) == 1 {
			element.value(b, c.Columns()[0], def+1, rep)
			continue
		}
		b.WriteByte('[')
		element.value(b, c.Columns()[0], def+1, rep)
		b.WriteByte(',')
		element.value(b, c.Columns()[1], def+1, rep)
		b.WriteByte(']')
	}
	b.WriteByte(']')
}

// leafRuns are the values of neighbouring leaf columns within one list.
type leafRuns [][]parquetgo.Value

// columns takes the values of the next leaf columns, up to the end of the list at this repetition level.
func (a *assembler) columns(leaves, rep int) leafRuns {
	runs := make(leafRuns, leaves)
	for i := range runs {
		start := a.at
		a.at++
		for a.at < len(a.row) && a.row[a.at].Column() == a.row[start].Column() && a.row[a.at].RepetitionLevel() >= rep {
			a.at++
		}
		runs[i] = a.row[start:a.at]
	}
	return runs
}

func (r leafRuns) elements(def, rep int) int {
	if r[0][0].DefinitionLevel() < def {
		return 0
	}
	n := 1
	for _, v := range r[0][1:] {
		if v.RepetitionLevel() == rep {
			n++
		}
	}
	return n
}

// element returns the values of the i-th element as a row.
func (r leafRuns) element(i, rep int) (row parquetgo.Row) {
	for _, run := range r {
		n := -1
		for j, v := range run {
			if j == 0 || v.RepetitionLevel() == rep {
				n++
			}
			if n == i {
				row = append(row, v)
			}
		}
	}
	return row
}

func countLeaves(c *parquetgo.Column) int {
	if c.Leaf() {
		return 1
	}
	n := 0
	for _, child := range c.Columns() {
		n += countLeaves(child)
	}
	return n
}

func writeValue(b *strings.Builder, c *parquetgo.Column, v parquetgo.Value) {
	logical := c.Type().LogicalType()
	if logical != nil {
		switch l := logical.Value.(type) {
		case *format.DecimalType:
			b.WriteString(quoteJSON(decimalText(v, int(l.Scale))))
			return
		case *format.TimestampType:
			micros := v.Int64()
			if _, ok := l.Unit.Value.(*format.MilliSeconds); ok {
				micros *= 1000
			}
			fmt.Fprint(b, micros)
			return
		}
	}
	switch v.Kind() {
	case parquetgo.ByteArray:
		b.WriteString(quoteJSON(string(v.ByteArray())))
	case parquetgo.Float:
		b.WriteString(jsonDouble(float64(v.Float())))
	case parquetgo.Double:
		b.WriteString(jsonDouble(v.Double()))
	default:
		fmt.Fprint(b, v)
	}
}

// TestFile_IsReadBackByOtherEngines lets PyArrow and DuckDB read the files, value by value, with statistics, indexes and
// Bloom filters.
func TestFile_IsReadBackByOtherEngines(t *testing.T) {
	dir := t.TempDir()
	cmd := emulator.Python(t, "testdata/readback.py", dir)
	list := samples(t)
	for i, s := range list {
		base := filepath.Join(dir, fmt.Sprint(i))
		save(t, base+".parquet", s.data)
		save(t, base+".want", []byte(strings.Join(s.want, "\n")))
	}
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if n := strings.Count(string(out), "ok\n"); n != 2*len(list) {
		t.Fatalf("%d of %d files were read:\n%s", n, 2*len(list), out)
	}
	t.Logf("read %d files with PyArrow and DuckDB in %v", len(list), time.Since(begin))
}

// TestFile_IsReadBackByParquetJava lets the library of Spark and Hive read the files, value by value, and compares each
// value with the statistics, the page indexes and the Bloom filters.
func TestFile_IsReadBackByParquetJava(t *testing.T) {
	dir := t.TempDir()
	list := samples(t)
	var paths []string
	for i, s := range list {
		paths = append(paths, filepath.Join(dir, fmt.Sprintf("%d.parquet", i)))
		save(t, paths[i], s.data)
	}
	out, err := emulator.ParquetJava(t, paths...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Logf("%s", out)
	for i, s := range list {
		rows, err := os.ReadFile(paths[i] + ".rows")
		if err != nil {
			t.Fatal(err)
		}
		t.Run(s.name, func(t *testing.T) { compareRows(t, slices.Collect(lines(rows)), s.want) })
	}
	if !strings.Contains(string(out), " filters=7 ") {
		t.Error("no file had seven Bloom filters")
	}
}

// lines returns the lines of a text without their ends.
func lines(text []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(string(text)) {
			if !yield(strings.TrimSuffix(line, "\n")) {
				return
			}
		}
	}
}

func save(tb testing.TB, path string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// decimalText writes an unscaled decimal with its point.
func decimalText(v parquetgo.Value, scale int) string {
	unscaled := new(big.Int)
	switch v.Kind() {
	case parquetgo.Int32:
		unscaled.SetInt64(int64(v.Int32()))
	case parquetgo.Int64:
		unscaled.SetInt64(v.Int64())
	default:
		unscaled.SetBytes(v.ByteArray())
		if v.ByteArray()[0]&0x80 != 0 {
			unscaled.Sub(unscaled, new(big.Int).Lsh(big.NewInt(1), 128))
		}
	}
	return new(big.Rat).SetFrac(unscaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale)
}
