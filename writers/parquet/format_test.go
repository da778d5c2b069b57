package parquet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	parquetgo "github.com/parquet-go/parquet-go"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/writers"
)

func newRecord(i int, data string) *record.Record {
	return &record.Record{SequenceNumber: sequence(i), Data: []byte(data)}
}

func TestNew_NamesEveryWrongOption(t *testing.T) {
	_, err := New(Options{
		Schema:      mustParse(t, `{"properties":{"a":{"type":"boolean"}}}`),
		Compression: "lzo", RowGroupBytes: -1, InferRows: -1, Bloom: []string{"b", "a"},
	})
	for _, want := range []string{`"lzo"`, "-1 bytes", "-1 records to infer columns from", `"b": no such column`, `"a": booleans`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %s", err, want)
		}
	}
}

// Bad records between good ones must not change a byte of the file: neither values, nor levels, nor page boundaries.
func TestBlock_BadRecordsLeaveNoTrace(t *testing.T) {
	bad := []string{
		``, `[]`, `{`, `{"text":"a"`, `{"text":"a"}}`, `{"text":"a","text":"b"}`, `{"text":"\x"}`, "{\"text\":\"\xff\"}",
		`{"text":"x","int32":2147483648}`, `{"int64":1.5}`, `{"small":1.234}`, `{"wide":1e40}`, `{"double":1e999}`,
		`{"day":"2023-02-29"}`, `{"micros":"yesterday"}`, `{"flag":"maybe"}`, `{"unix":"soon"}`,
		`{"group":{"a":1,"b":"x","deep":{"days":["2024-01-01","2024-01-32"]}}}`, `{"group":7}`,
		`{"texts":["a","b",{"c":}]}`, `{"matrix":[[1,2],[3,"x"]]}`, `{"lines":[{"sku":"a","labels":{"k":"v","k":"w"}}]}`,
		`{"counts":{"a":1,"b":[]}}`, `{"places":{"x":{"seen":["2024-01-01T00:00:00Z",false]}}}`,
		`{"text":"` + strings.Repeat("long ", 250_000) + `","int64":true}`,
		`{"texts":["` + strings.Repeat("long ", 250_000) + `"],"int64":true}`,
	}
	s := mustParse(t, corpusDocument)
	list, _ := corpus{rows: 200, nulls: 0.2, long: 60_000}.generate(s.Fields)
	clean := writeFile(t, mustFormat(t, Options{Schema: s}), list)

	f := mustFormat(t, Options{Schema: s})
	l := f.NewLayout()
	file := bytes.Clone(l.Begin())
	block := l.NewBlock()
	refused := make([]int, len(bad))
	for i := range list {
		at := i % len(bad)
		rows := block.Rows()
		var fault *record.Fault
		if err := block.Append(newRecord(i, bad[at])); !errors.As(err, &fault) {
			t.Fatalf("append %.60q: got %v, want a fault", bad[at], err)
		}
		refused[at]++
		if block.Rows() != rows {
			t.Fatalf("append %.60q: %d rows, want %d", bad[at], block.Rows(), rows)
		}
		if err := block.Append(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range refused {
		if n == 0 {
			t.Errorf("bad record %.60q was never tried", bad[i])
		}
	}
	var rows int64
	file = append(file, place(t, l, block, &rows)...)
	end, err := l.End()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(file, end...), clean) {
		t.Error("the file differs from one without the bad records")
	}
}

func TestBlock_SameRecordsGiveTheSameBytesWhateverMemoryIsUsedAgain(t *testing.T) {
	s := mustParse(t, corpusDocument)
	list, _ := corpus{rows: 200, nulls: 0.1, long: 60_000}.generate(s.Fields)
	other, _ := corpus{rows: 15, nulls: 0.3, long: 1_000_000}.generate(s.Fields)
	f := mustFormat(t, Options{Schema: s})
	first := writeFile(t, f, list)
	for range 3 {
		writeFile(t, f, other)
		if !bytes.Equal(writeFile(t, f, list), first) {
			t.Fatal("the second file of a format differs from its first")
		}
	}
}

// A reader reuses the memory of its records after Append returns, including strings.
func TestBlock_KeepsNothingOfARecord(t *testing.T) {
	for _, o := range []Options{{InferRows: 10}, {Schema: mustParse(t, `{"properties":{"a":{"type":"string"}}}`)}} {
		var want, got []byte
		for _, file := range []struct {
			out   *[]byte
			reuse bool
		}{{&want, false}, {&got, true}} {
			layout := mustFormat(t, o).NewLayout()
			block := layout.NewBlock()
			buffer := make([]byte, 200)
			for i := range 25 {
				r := newRecord(i, fmt.Sprintf(`{"a":"value %d"}`, i))
				if file.reuse {
					n := copy(buffer, r.SequenceNumber)
					m := copy(buffer[n:], r.Data)
					r.SequenceNumber, r.Data = unsafe.String(&buffer[0], n), buffer[n:n+m]
				}
				if err := block.Append(r); err != nil {
					t.Fatal(err)
				}
				clear(buffer)
			}
			var rows int64
			*file.out = place(t, layout, block, &rows)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%+v: the row group changes with the memory of its records", o)
		}
	}
}

func TestBlock_IsFullByItsMemory(t *testing.T) {
	f := mustFormat(t, Options{Schema: mustParse(t, `{"properties":{"a":{"type":"string"}}}`), RowGroupBytes: 100_000})
	block := f.NewLayout().NewBlock()
	n := 0
	for ; !block.Full(); n++ {
		if err := block.Append(newRecord(n, `{"a":"`+strings.Repeat("x", 936)+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if n < 80 || n > 110 {
		t.Errorf("a block of 100 kB took %d records of 1 kB", n)
	}
	// Rows of nulls take memory too.
	block = f.NewLayout().NewBlock()
	for n = 0; !block.Full(); n++ {
		if err := block.Append(newRecord(n, `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if n > 1500 {
		t.Errorf("a block of 100 kB took %d empty records, each with an event id of 56 bytes", n)
	}
}

func TestBloom_KnowsEveryValue(t *testing.T) {
	s := mustParse(t, `{"properties":{"s":{"type":"string"},"n":{"type":"integer"},"d":{"type":"string","format":"date"}}}`)
	f := mustFormat(t, Options{Schema: s, Bloom: []string{"s", "n", "d", "event_id"}})
	var list []record.Record
	for i := range 5000 {
		list = append(list, *newRecord(i, fmt.Sprintf(`{"s":"value %d","n":%d,"d":"20%02d-01-01"}`, i, i*7, i%100)))
	}
	data := writeFile(t, f, list)
	file, err := parquetgo.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	columns := file.RowGroups()[0].ColumnChunks()
	check := func(column int, v parquetgo.Value) bool {
		t.Helper()
		ok, err := columns[column].BloomFilter().Check(v)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	wrong := 0
	for i := range 5000 {
		if !check(0, parquetgo.ValueOf(fmt.Sprintf("value %d", i))) || !check(1, parquetgo.ValueOf(int64(i*7))) ||
			!check(4, parquetgo.ValueOf(sequence(i))) {
			t.Fatalf("row %d is not in its Bloom filters", i)
		}
		if check(0, parquetgo.ValueOf(fmt.Sprintf("other %d", i))) {
			wrong++
		}
	}
	if wrong > 150 {
		t.Errorf("%d of 5000 values that are not there pass the filter", wrong)
	}
}

func TestBounds_OfLongTextAreCutAndStillHold(t *testing.T) {
	f := mustFormat(t, Options{Schema: mustParse(t, `{"x-extra":false,"properties":{"s":{"type":"string"}}}`)})
	long := strings.Repeat("é", 40)
	highest := strings.Repeat("\U0010FFFF", 20)
	for _, c := range []struct{ name, least, most, wantMin, wantMax string }{
		{"short", "a", "b", "a", "b"},
		{"cut between code points", "a" + long, "b" + long, "a" + long[:62], "b" + long[:60] + "ê"},
		{"nothing is greater", "a", highest, "a", highest},
		{"empty", "", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var list []record.Record
			for i, text := range []string{c.most, c.least} {
				list = append(list, *newRecord(i, `{"s":`+quoteJSON(text)+`}`))
			}
			data := writeFile(t, f, list)
			file, err := parquetgo.OpenFile(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			stats := file.Metadata().RowGroups[0].Columns[0].MetaData.Statistics
			if string(stats.MinValue) != c.wantMin || string(stats.MaxValue) != c.wantMax {
				t.Errorf("bounds are %q and %q, want %q and %q", stats.MinValue, stats.MaxValue, c.wantMin, c.wantMax)
			}
			index := file.ColumnIndexes()[0]
			if string(index.MinValues[0]) != c.wantMin || string(index.MaxValues[0]) != c.wantMax {
				t.Errorf("page bounds are %q and %q", index.MinValues[0], index.MaxValues[0])
			}
		})
	}
}

func TestPageIndex_FindsEveryPage(t *testing.T) {
	f := mustFormat(t, Options{Schema: mustParse(t, `{"properties":{"n":{"type":"integer"},"s":{"type":"string"}}}`)})
	var list []record.Record
	for i := range 150_000 {
		list = append(list, *newRecord(i, fmt.Sprintf(`{"n":%d,"s":"%032d"}`, i, i)))
	}
	data := writeFile(t, f, list)
	file, err := parquetgo.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	chunks := file.RowGroups()[0].ColumnChunks()
	for i, least := range []int{2, 4} {
		offsets, err := chunks[i].OffsetIndex()
		if err != nil {
			t.Fatal(err)
		}
		bounds, err := chunks[i].ColumnIndex()
		if err != nil {
			t.Fatal(err)
		}
		if offsets.NumPages() < least || bounds.NumPages() != offsets.NumPages() || !bounds.IsAscending() {
			t.Fatalf("column %d: %d pages in the offset index, %d in the column index", i, offsets.NumPages(), bounds.NumPages())
		}
		for p := range offsets.NumPages() {
			first := offsets.FirstRowIndex(p)
			want := parquetgo.ValueOf(first)
			if i == 1 {
				want = parquetgo.ValueOf(fmt.Sprintf("%032d", first))
			}
			if !parquetgo.Equal(bounds.MinValue(p), want) {
				t.Errorf("column %d page %d begins with %v, want %v", i, p, bounds.MinValue(p), want)
			}
		}
	}
}

// Without a schema everything is kept: in a column or in _extra.
func TestInferred_LosesNothingAndRefusesNoObject(t *testing.T) {
	f := mustFormat(t, Options{InferRows: 3})
	early := []string{
		`{"a":1,"b":"x","c":{"d":true,"e":[1,2]},"f":null}`,
		`{"a":2,"b":"2024-01-01","c":{"d":false},"g":[{"h":1.5}]}`,
		`{"a":3}`,
	}
	late := []string{
		`{"a":"text","b":7,"new":{"x":1}}`,
		`{"c":{"d":"no","e":[1,"two",3],"z/~":[]},"g":[{"h":2,"i":"é"},5]}`,
		`{"a":4,"a":5,"f":null,"f":1,"event_id":"mine","A":9}`,
		`{"c":[],"b":"\ud800"}`,
	}
	var list []record.Record
	for i, data := range append(append([]string{}, early...), late...) {
		list = append(list, *newRecord(i, data))
	}
	got := readWithParquetGo(t, writeFile(t, f, list))
	id := func(i int) string { return `,"event_id":"` + sequence(i) + `"}` }
	compareRows(t, got, []string{
		`{"a":1,"b":"x","c":{"d":true,"e":[1,2]},"g":null,"_extra":null` + id(0),
		`{"a":2,"b":"2024-01-01","c":{"d":false,"e":null},"g":[{"h":1.5}],"_extra":null` + id(1),
		`{"a":3,"b":null,"c":null,"g":null,"_extra":null` + id(2),
		`{"a":null,"b":null,"c":null,"g":null,"_extra":"{\"a\":\"text\",\"b\":7,\"new\":{\"x\":1}}"` + id(3),
		`{"a":null,"b":null,"c":{"d":null,"e":[1,null,3]},"g":[{"h":2.0},null],"_extra":` +
			quoteJSON(`{"/c/d":"no","/c/e/1":"two","/c/z~1~0":[],"/g/0/i":"é","/g/1":5}`) + id(4),
		`{"a":4,"b":null,"c":null,"g":null,"_extra":` + quoteJSON(`{"a":5,"f":1,"event_id":"mine","A":9}`) + id(5),
		`{"a":null,"b":null,"c":null,"g":null,"_extra":` + quoteJSON(`{"c":[],"b":"\ud800"}`) + id(6),
	})

	// The next file has columns for the new members, and unchanged old ones.
	next := readWithParquetGo(t, writeFile(t, f, []record.Record{*newRecord(0, late[0]), *newRecord(1, `{"f":2,"c":{"z/~":"w"}}`)}))
	compareRows(t, next, []string{
		`{"a":null,"b":null,"c":null,"f":null,"g":null,"new":{"x":1},"_extra":"{\"a\":\"text\",\"b\":7}"` + id(0),
		`{"a":null,"b":null,"c":{"d":null,"e":null,"z/~":"\"w\""},"f":2,"g":null,"new":null,"_extra":null` + id(1),
	})
}

func TestInferred_RefusesWhatIsNoObject(t *testing.T) {
	block := mustFormat(t, Options{InferRows: 2}).NewLayout().NewBlock()
	for i, data := range []string{`7`, `{"a":1}`, `{"a":}`, `{"a":2}`, `[]`, ``, `{"a":3}`} {
		err := block.Append(newRecord(i, data))
		if bad := !json.Valid([]byte(data)) || data[0] != '{'; (err != nil) != bad {
			t.Errorf("append %q: %v", data, err)
		}
	}
	if block.Rows() != 3 {
		t.Errorf("block has %d rows, want 3", block.Rows())
	}
}

func TestInferred_FileWithoutRecordsIsAFile(t *testing.T) {
	f := mustFormat(t, Options{})
	l := f.NewLayout()
	file := bytes.Clone(l.Begin())
	end, err := l.End()
	if err != nil {
		t.Fatal(err)
	}
	if got := readWithParquetGo(t, append(file, end...)); len(got) != 0 {
		t.Errorf("read %v", got)
	}
}

func TestInferred_EmptyBlocksSettleNoColumns(t *testing.T) {
	f := mustFormat(t, Options{})
	l := f.NewLayout()
	file := bytes.Clone(l.Begin())
	var rows int64
	file = append(file, place(t, l, l.NewBlock(), &rows)...)
	block := l.NewBlock()
	if err := block.Append(newRecord(0, `{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	file = append(file, place(t, l, block, &rows)...)
	file = append(file, place(t, l, l.NewBlock(), &rows)...)
	end, err := l.End()
	if err != nil {
		t.Fatal(err)
	}
	compareRows(t, readWithParquetGo(t, append(file, end...)), []string{`{"a":1,"_extra":null,"event_id":"` + sequence(0) + `"}`})
}

// Files of one format are written in parallel, and so are the blocks of one file.
func TestFormat_IsSafeForConcurrentUse(t *testing.T) {
	s := mustParse(t, corpusDocument)
	list, _ := corpus{rows: 300, nulls: 0.2}.generate(s.Fields)
	for _, o := range []Options{{Schema: s, RowGroupBytes: 20_000}, {RowGroupBytes: 20_000, InferRows: 10, Compression: Zstd}} {
		f := mustFormat(t, o)
		var files sync.WaitGroup
		for range 3 {
			files.Go(func() {
				l := f.NewLayout()
				block := l.NewBlock()
				var encoding sync.WaitGroup
				var encoded []*writers.Encoded
				seal := func() {
					sealed, place := block, new(writers.Encoded)
					encoded = append(encoded, place)
					encoding.Go(func() {
						var err error
						if *place, err = sealed.Encode(); err != nil {
							t.Error(err)
						}
					})
					block = l.NewBlock()
				}
				for i := range list {
					if err := block.Append(&list[i]); err != nil {
						t.Error(err)
					}
					if block.Full() {
						seal()
					}
				}
				seal()
				encoding.Wait()
				file := bytes.Clone(l.Begin())
				for _, e := range encoded {
					p, err := l.Place(*e)
					if err != nil {
						t.Error(err)
					}
					file = append(file, p...)
					if e.Release != nil {
						e.Release()
					}
				}
				end, err := l.End()
				if err != nil {
					t.Error(err)
				}
				if rows := readWithParquetGo(t, append(file, end...)); len(rows) != len(list) || len(encoded) < 3 {
					t.Errorf("read %d rows of %d blocks, want %d", len(rows), len(encoded), len(list))
				}
			})
		}
		files.Wait()
	}
}

func TestInferred_BlocksThatFillSideBySideHaveTheSameColumns(t *testing.T) {
	f := mustFormat(t, Options{InferRows: 2})
	l := f.NewLayout()
	file := bytes.Clone(l.Begin())
	one, two := l.NewBlock(), l.NewBlock()
	for i, data := range []string{`{"a":1}`, `{"a":2}`, `{"a":3}`} {
		if err := one.Append(newRecord(i, data)); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // the second block has a waiting record when the first settles the columns
			if err := two.Append(newRecord(9, `{"b":1}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var rows int64
	file = append(file, place(t, l, one, &rows)...)
	file = append(file, place(t, l, two, &rows)...)
	end, err := l.End()
	if err != nil {
		t.Fatal(err)
	}
	got := readWithParquetGo(t, append(file, end...))
	if len(got) != 4 || !strings.Contains(got[3], `"a":null,"_extra":"{\"b\":1}"`) {
		t.Errorf("read %v", got)
	}
}

func TestBlock_StrictSchemaRefusesWithTheRule(t *testing.T) {
	f := mustFormat(t, Options{Schema: mustParse(t, `{"required":["n"],"properties":{"n":{"type":"integer","minimum":3}}}`)})
	err := f.NewLayout().NewBlock().Append(newRecord(0, `{"n":2}`))
	var fault *record.Fault
	if !errors.As(err, &fault) || fault.Code != schema.CodeViolation || fault.Type != record.ProcessingFailed ||
		!strings.Contains(fault.Message, `"/n"`) || !strings.Contains(fault.Message, "minimum") {
		t.Errorf("got %v", err)
	}
}
