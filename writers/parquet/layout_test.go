package parquet

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	parquetgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record"
)

// laidOut is a file of one row group with rows that a function makes.
func laidOut(t *testing.T, o Options, rows int, row func(i int) string) *parquetgo.File {
	t.Helper()
	var list []record.Record
	for i := range rows {
		list = append(list, *newRecord(i, row(i)))
	}
	data := writeFile(t, mustFormat(t, o), list)
	file, err := parquetgo.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(file.RowGroups()); n != 1 {
		t.Fatalf("%d row groups", n)
	}
	return file
}

// In every kind of column, a page has no more rows than parquet-java would give it.
func TestPages_HaveFewRows(t *testing.T) {
	const rows = 2*pageRows + 7
	s := mustParse(t, `{"x-extra":false,"properties":{"n":{"type":"integer"},"short":{"type":"string"},"few":{"type":"string"},"flag":{"type":"boolean"},
		"never":{"type":"string"},"wide":{"type":"number","x-parquet":"decimal(38,0)"},"list":{"type":"array","items":{"type":"string"}},
		"long":{"type":"array","items":{"type":"integer"}}}}`)
	file := laidOut(t, Options{Schema: s}, rows, func(i int) string {
		return fmt.Sprintf(`{"n":%d,"short":"%d","few":"%d","flag":true,"wide":%d,"list":["%d","b"],"long":[1,2,3,4,5,6,7,8,9,%d]}`, i, i, i%3, i*i, i, i)
	})
	got := readWithParquetGo(t, fileBytes(t, file))
	for i, chunk := range file.RowGroups()[0].ColumnChunks() {
		name := file.Metadata().RowGroups[0].Columns[i].MetaData.PathInSchema[0]
		offsets, err := chunk.OffsetIndex()
		if err != nil {
			t.Fatal(err)
		}
		var firsts []int64
		for p := range offsets.NumPages() {
			firsts = append(firsts, offsets.FirstRowIndex(p))
			if p > 0 && firsts[p]-firsts[p-1] > pageRows {
				t.Errorf("column %s: page %d has %d rows", name, p-1, firsts[p]-firsts[p-1])
			}
		}
		fullBefore := name == "long" || name == "event_id"
		if !fullBefore && !slices.Equal(firsts, []int64{0, pageRows, 2 * pageRows}) {
			t.Errorf("column %s: pages begin with the rows %v", name, firsts)
		}
	}
	for _, i := range []int{0, pageRows - 1, pageRows, rows - 1} {
		want := fmt.Sprintf(`{"n":%d,"short":"%d","few":"%d","flag":true,"never":null,"wide":"%d","list":["%d","b"],"long":[1,2,3,4,5,6,7,8,9,%d],"event_id":"%s"}`,
			i, i, i%3, i*i, i, i, sequence(i))
		if got[i] != want {
			t.Errorf("row %d is %s, want %s", i, got[i], want)
		}
	}
}

func fileBytes(t *testing.T, file *parquetgo.File) []byte {
	t.Helper()
	data := make([]byte, file.Size())
	if _, err := file.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return data
}

// A filter is as large as the distinct values require, with or without a dictionary that knows their number, and still
// shows what is missing.
func TestBloom_IsSizedByDistinctValues(t *testing.T) {
	s := mustParse(t, `{"x-extra":false,"properties":{"few":{"type":"string"},"wide":{"type":"number","x-parquet":"decimal(20,0)"},
		"half":{"type":"integer"},"blocks":{"type":"integer"},"all":{"type":"integer"}}}`)
	const rows, step = 30_000, 7919
	half := func(i int) int { return i % (rows / 2) * step }
	blocks := func(i int) int { return i % 9000 / 1000 * 1000 * step } // with a dictionary
	file := laidOut(t, Options{Schema: s, Bloom: []string{"few", "wide", "half", "blocks", "all"}}, rows, func(i int) string {
		return fmt.Sprintf(`{"few":"%d","wide":%d,"half":%d,"blocks":%d,"all":%d}`, i%100, i%500, half(i), blocks(i), i*step)
	})
	for i, want := range []struct{ distinct, dictionary int }{{100, 1}, {500, 1}, {rows / 2, 0}, {9, 1}, {rows, 0}} {
		chunk := file.RowGroups()[0].ColumnChunks()[i]
		meta := file.Metadata().RowGroups[0].Columns[i].MetaData
		if slices.Contains(meta.Encoding, format.RLEDictionary) != (want.dictionary == 1) {
			t.Errorf("column %d: encodings %v", i, meta.Encoding)
		}
		size, least := chunk.BloomFilter().Size(), int64(want.distinct*bloomBits/8)
		if size < least || size > least*11/5+32 || size&(size-1) != 0 {
			t.Errorf("column %d: %d bytes for %d distinct values, want about %d", i, size, want.distinct, least)
		}
		if i == 2 || i == 4 {
			wrong := 0
			for j := range rows {
				value := j * step
				if i == 2 {
					value = half(j)
				}
				if ok, err := chunk.BloomFilter().Check(parquetgo.ValueOf(int64(value))); !ok || err != nil {
					t.Fatalf("column %d: %d is not found: %v", i, value, err)
				}
				if ok, _ := chunk.BloomFilter().Check(parquetgo.ValueOf(int64(j*step + 1))); ok {
					wrong++
				}
			}
			if wrong > rows/33 {
				t.Errorf("column %d: %d of %d values that are not there pass the filter", i, wrong, rows)
			}
		}
	}
}

func TestDictionary_HoldsWideDecimals(t *testing.T) {
	s := mustParse(t, `{"x-extra":false,"properties":{"price":{"type":"number","x-parquet":"decimal(30,2)"}}}`)
	const rows = 5000
	price := func(i int) string { return fmt.Sprintf("%d.%02d", (i%7-3)*1_000_000_007, i%100) }
	file := laidOut(t, Options{Schema: s, Compression: Uncompressed}, rows, func(i int) string { return `{"price":` + price(i) + `}` })
	meta := file.Metadata().RowGroups[0].Columns[0].MetaData
	if !slices.Contains(meta.Encoding, format.RLEDictionary) {
		t.Errorf("encodings are %v", meta.Encoding)
	}
	if meta.TotalCompressedSize > rows*wideDecimalBytes/4 {
		t.Errorf("%d values of %d bytes take %d bytes", rows, wideDecimalBytes, meta.TotalCompressedSize)
	}
	for i, row := range readWithParquetGo(t, fileBytes(t, file)) {
		if want := `{"price":"` + price(i) + `","event_id":"` + sequence(i) + `"}`; row != want {
			t.Fatalf("row %d is %s, want %s", i, row, want)
		}
	}
	bounds, err := file.RowGroups()[0].ColumnChunks()[0].ColumnIndex()
	if err != nil {
		t.Fatal(err)
	}
	if least, most := decimalText(bounds.MinValue(0), 2), decimalText(bounds.MaxValue(0), 2); least != "-3000000021.99" || most != "3000000021.99" {
		t.Errorf("bounds are %s and %s", least, most)
	}
}
