package parquet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	parquetgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record"
)

func openFile(t *testing.T, data []byte) *parquetgo.File {
	t.Helper()
	file, err := parquetgo.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Query engines answer count(*) from these numbers without reading a page.
func TestFooter_CountsTheRowsOfTheFileAndOfEachRowGroup(t *testing.T) {
	const rows = 5
	f := mustFormat(t, Options{RowGroupBytes: 1, Schema: mustParse(t, `{"x-extra":false,"properties":{"n":{"type":"integer"}}}`)})
	var list []record.Record
	for i := range rows {
		list = append(list, *newRecord(i, fmt.Sprintf(`{"n":%d}`, i)))
	}
	meta := openFile(t, writeFile(t, f, list)).Metadata()
	if meta.NumRows != rows || len(meta.RowGroups) != rows {
		t.Errorf("the file counts %d rows in %d row groups, want %d in as many", meta.NumRows, len(meta.RowGroups), rows)
	}
	for i, group := range meta.RowGroups {
		if group.NumRows != 1 || group.Columns[0].MetaData.NumValues != 1 {
			t.Errorf("row group %d counts %d rows and %d values, want 1", i, group.NumRows, group.Columns[0].MetaData.NumValues)
		}
	}
}

// An index takes another bit from 3, 5, ... 257 and 513 entries on.
func TestDictionary_IndexesOfEveryWidthAreReadBack(t *testing.T) {
	f := mustFormat(t, Options{Schema: mustParse(t, `{"x-extra":false,"properties":{"n":{"type":"integer"},"s":{"type":"string"}}}`)})
	for _, entries := range []int{1, 2, 3, 4, 5, 8, 9, 255, 256, 257, 512, 513} {
		t.Run(fmt.Sprint(entries, " entries"), func(t *testing.T) {
			var list []record.Record
			var want []string
			for i := range 4 * entries {
				n := i % entries
				row := fmt.Sprintf(`"n":%d,"s":"some text %d"`, n, n)
				list = append(list, *newRecord(i, "{"+row+"}"))
				want = append(want, "{"+row+`,"event_id":`+quoteJSON(list[i].EventID())+"}")
			}
			data := writeFile(t, f, list)
			for _, column := range openFile(t, data).Metadata().RowGroups[0].Columns {
				path := strings.Join(column.MetaData.PathInSchema, ".")
				if dictionary := slices.Contains(column.MetaData.Encoding, format.RLEDictionary); path != "event_id" && !dictionary {
					t.Errorf("column %s has no dictionary", path)
				}
			}
			compareRows(t, readWithParquetGo(t, data), want)
		})
	}
}

// Readers that look for -0 or 0 skip what the bounds exclude, and distinguish the two (parquet.thrift, ColumnOrder: a min
// of +0 must be written as -0, a max of -0 as +0).
func TestBounds_OfZeroTakeInBothZeros(t *testing.T) {
	f := mustFormat(t, Options{Schema: mustParse(t, `{"x-extra":false,"properties":{"d":{"type":"array","items":{"type":"number"}}}}`)})
	page := func(zero string) string { return `{"d":[` + zero + strings.Repeat(","+zero, pageLevels-1) + `]}` }
	negative, positive := math.Float64bits(math.Copysign(0, -1)), uint64(0)
	for name, payloads := range map[string][]string{
		"0":                       {`{"d":[0]}`},
		"-0":                      {`{"d":[-0.0]}`},
		"a page of 0, then of -0": {page("0"), page("-0.0")},
		"a page of -0, then of 0": {page("-0.0"), page("0")},
	} {
		t.Run(name, func(t *testing.T) {
			var list []record.Record
			for i, data := range payloads {
				list = append(list, *newRecord(i, data))
			}
			file := openFile(t, writeFile(t, f, list))
			least, most := [][]byte{}, [][]byte{}
			stats := file.Metadata().RowGroups[0].Columns[0].MetaData.Statistics
			least, most = append(least, stats.MinValue), append(most, stats.MaxValue)
			index := file.ColumnIndexes()[0]
			if len(index.MinValues) != len(payloads) {
				t.Fatalf("%d pages, want %d", len(index.MinValues), len(payloads))
			}
			least, most = append(least, index.MinValues...), append(most, index.MaxValues...)
			for i := range least {
				if low, high := binary.LittleEndian.Uint64(least[i]), binary.LittleEndian.Uint64(most[i]); low != negative || high != positive {
					t.Errorf("bounds %d of chunk and pages are %x and %x, want -0 and 0", i, low, high)
				}
			}
		})
	}
}

// A chunk with a NaN has neither bounds nor a column index: engines differ in whether NaN is above all numbers, and would
// skip rows by bounds that leave it out. The other column keeps its own.
func TestBounds_AreLeftOutOfAChunkWithNaN(t *testing.T) {
	f := mustFormat(t, Options{Schema: mustParse(t, `{"x-extra":false,"properties":{"d":{"type":"number","x-non-finite":true},"f":{"type":"number","x-parquet":"float","x-non-finite":true}}}`)})
	file := openFile(t, writeFile(t, f, []record.Record{*newRecord(0, `{"d":1,"f":1}`), *newRecord(1, `{"d":"NaN","f":"-Infinity"}`), *newRecord(2, `{"d":2}`)}))
	columns := file.Metadata().RowGroups[0].Columns
	nan, inf := columns[0], columns[1]
	if s := nan.MetaData.Statistics; s.MinValue != nil || s.MaxValue != nil || nan.ColumnIndexOffset != 0 || nan.OffsetIndexOffset == 0 {
		t.Errorf("the chunk with NaN has the bounds %x and %x, and the index at %d", s.MinValue, s.MaxValue, nan.ColumnIndexOffset)
	}
	if s := inf.MetaData.Statistics; binary.LittleEndian.Uint32(s.MinValue) != math.Float32bits(float32(math.Inf(-1))) || inf.ColumnIndexOffset == 0 {
		t.Errorf("the other chunk has the lower bound %x, and the index at %d", s.MinValue, inf.ColumnIndexOffset)
	}
}

// Nulls of a column are recorded by their rows in the row group: each page and each row group must find its own.
func TestFlat_NullsAreReadBackInTheirPlaces(t *testing.T) {
	f := mustFormat(t, Options{Schema: mustParse(t, `{"x-extra":false,"properties":{"n":{"type":"integer"}}}`)})
	const rows = pageLevels + 20
	null := map[int]bool{0: true, 5: true, pageLevels - 1: true, pageLevels + 3: true, rows - 1: true}
	layout := f.NewLayout()
	data := bytes.Clone(layout.Begin())
	for group := range 2 {
		block := layout.NewBlock()
		for i := range rows {
			payload := fmt.Sprintf(`{"n":%d}`, group*rows+i)
			if null[i] {
				payload = `{}`
			}
			if err := block.Append(newRecord(i, payload)); err != nil {
				t.Fatal(err)
			}
		}
		var placed int64
		data = append(data, place(t, layout, block, &placed)...)
	}
	end, err := layout.End()
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, end...)
	type row struct {
		N *int64 `parquet:"n,optional"`
	}
	read, err := parquetgo.Read[row](bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(read) != 2*rows {
		t.Fatalf("%d rows are read back, want %d", len(read), 2*rows)
	}
	for i, r := range read {
		switch want := null[i%rows]; {
		case want != (r.N == nil):
			t.Errorf("row %d is null: %t, want %t", i, r.N == nil, want)
		case r.N != nil && *r.N != int64(i):
			t.Fatalf("row %d has %d", i, *r.N)
		}
	}
}

func TestBounds_OfAChunkTakeInAllItsPages(t *testing.T) {
	f := mustFormat(t, Options{Schema: mustParse(t, `{"x-extra":false,"properties":{"n":{"type":"array","items":{"type":"integer"}}}}`)})
	list := []record.Record{
		*newRecord(0, `{"n":[5`+strings.Repeat(",5", pageLevels-1)+`]}`),
		*newRecord(1, `{"n":[9`+strings.Repeat(",9", pageLevels-1)+`]}`),
		*newRecord(2, `{"n":[1,7]}`),
	}
	file := openFile(t, writeFile(t, f, list))
	stats := file.Metadata().RowGroups[0].Columns[0].MetaData.Statistics
	least, most := binary.LittleEndian.Uint64(stats.MinValue), binary.LittleEndian.Uint64(stats.MaxValue)
	if pages := len(file.ColumnIndexes()[0].MinValues); pages != 3 || least != 1 || most != 9 {
		t.Errorf("bounds of %d pages are %d and %d, want 1 and 9 of 3", pages, least, most)
	}
}
