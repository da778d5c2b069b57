package parquet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	parquetgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/consumer/record"
	"aws-streaming-pipeline/consumer/record/schema"
	"aws-streaming-pipeline/internal/emulator"
	"aws-streaming-pipeline/writers"
)

// writeFile writes a file as the pipeline does: blocks are begun when the one before is full.
func writeFile(tb testing.TB, f *Format, list []record.Record) []byte {
	tb.Helper()
	l := f.NewLayout()
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

func TestFile_IsReadBackByParquetGo(t *testing.T) {
	for _, c := range corpora {
		t.Run(c.name, func(t *testing.T) {
			c.options.Schema = mustParse(t, corpusDocument)
			list, want := c.generate(c.options.Schema.Fields)
			got := readWithParquetGo(t, writeFile(t, mustFormat(t, c.options), list))
			compareRows(t, got, want)
		})
	}
}

// compareRows compares rows as JSON values.
func compareRows(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] == want[i] {
			continue
		}
		var a, b map[string]any
		if err := json.Unmarshal([]byte(got[i]), &a); err != nil {
			t.Fatalf("row %d is %.500s: %v", i, got[i], err)
		}
		if err := json.Unmarshal([]byte(want[i]), &b); err != nil {
			t.Fatalf("expected row %d is %.500s: %v", i, want[i], err)
		}
		if reflect.DeepEqual(a, b) {
			continue
		}
		for name := range b {
			if !reflect.DeepEqual(a[name], b[name]) {
				t.Errorf("row %d column %s: got %.300v, want %.300v", i, name, a[name], b[name])
			}
		}
		if len(a) != len(b) {
			t.Errorf("row %d has %d columns, want %d", i, len(a), len(b))
		}
		t.FailNow()
	}
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

// group writes the members of a group that is there. def and rep are the group's levels.
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

// TestFile_IsReadBackByOtherEngines has PyArrow and DuckDB read the files, value by value, and look at what they take
// statistics, indexes and Bloom filters for.
func TestFile_IsReadBackByOtherEngines(t *testing.T) {
	dir := t.TempDir()
	cmd := emulator.Python(t, "testdata/readback.py", dir)
	for i, c := range corpora {
		c.options.Schema = mustParse(t, corpusDocument)
		list, want := c.generate(c.options.Schema.Fields)
		base := filepath.Join(dir, fmt.Sprint(i))
		save(t, base+".parquet", writeFile(t, mustFormat(t, c.options), list))
		save(t, base+".want", []byte(strings.Join(want, "\n")))
	}
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if n := strings.Count(string(out), "ok\n"); n != 2*len(corpora) {
		t.Fatalf("%d of %d files were read:\n%s", n, 2*len(corpora), out)
	}
	t.Logf("read %d files with PyArrow and DuckDB in %v", len(corpora), time.Since(begin))
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
