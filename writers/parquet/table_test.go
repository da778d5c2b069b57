package parquet

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
)

// number gives columns the ids from next on.
func number(columns []table.Column, next *int) []table.Column {
	for i := range columns {
		numberColumn(&columns[i], next)
	}
	return columns
}

func numberColumn(c *table.Column, next *int) {
	c.ID = *next
	*next++
	number(c.Fields, next)
	for _, part := range []*table.Column{c.Key, c.Element} {
		if part != nil {
			numberColumn(part, next)
		}
	}
}

// definitionOf returns a table with all columns of a schema. Their ids are not those of their order.
func definitionOf(s *schema.Schema) *table.Definition {
	next := 100
	columns := number(table.ColumnsOf(s), &next)
	slices.Reverse(columns)
	return &table.Definition{UUID: "9c12d441-03fe-4693-9a96-a0705ddf69c1", Schema: 3, Columns: columns, Spec: table.Spec{ID: 2}}
}

func mustView(tb testing.TB, d *table.Definition, s *schema.Schema) *table.View {
	tb.Helper()
	v, err := table.NewView(d, s)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func formatFor(tb testing.TB, o Options, v *table.View) writers.Format {
	tb.Helper()
	o.Schema = nil
	if !v.Schema.Lenient {
		o.Schema = v.Schema // so that nothing is inferred
	}
	f, err := mustFormat(tb, o).For(v)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// wideDefinition is a table with all columns of the corpus, some of them wider than the corpus has them.
func wideDefinition(tb testing.TB) *table.Definition {
	tb.Helper()
	d := definitionOf(mustParse(tb, corpusDocument))
	for member, typ := range map[string]string{
		"int32": table.Long, "float": table.Double, "small": "decimal(12, 2)", "medium": "decimal(20, 4)", "micros": table.Timestamp,
	} {
		d.Find(member).Type = typ
	}
	return d
}

// tableCorpus returns records of the corpus with times of arrival.
func tableCorpus(fields []*schema.Field) (list []record.Record, want []string) {
	list, want = corpus{rows: 1500, nulls: 0.2}.generate(fields)
	for i := range list {
		list[i].Arrival = time.UnixMilli(1700000000000 + int64(i))
		want[i] = strings.TrimSuffix(want[i], "}") + fmt.Sprintf(`,"_arrived_at":%d}`, list[i].Arrival.UnixMicro())
	}
	return list, want
}

var tableOptions = Options{RowGroupBytes: 300_000, Compression: Zstd}

func tableSample(tb testing.TB) sample {
	s := mustParse(tb, corpusDocument)
	list, want := tableCorpus(s.Fields)
	return sample{"for a table", writeFile(tb, formatFor(tb, tableOptions, mustView(tb, wideDefinition(tb), s)), list), want}
}

// measurements is a schema whose values are hard for bounds: NaNs, zeros of both signs, long texts.
const measurements = `{"properties":{
	"nan":{"type":"number","x-non-finite":true},"some":{"type":"number","x-parquet":"float","x-non-finite":true},
	"zero":{"type":"number"},"long":{"type":"string"},"highest":{"type":"string"},"in":{"type":"object","properties":{"text":{"type":"string"}}}}}`

func measured() (list []record.Record) {
	for i := range 1000 {
		text := strings.Repeat([]string{"ä", "日", "😀", "a", "\U0010ffff"}[i%5], i%40)
		highest := strings.Repeat("\U0010ffff", 20)
		list = append(list, record.Record{
			SequenceNumber: sequence(i), Arrival: time.UnixMilli(-1 - int64(i)),
			Data: fmt.Appendf(nil, `{"nan":%s,"some":%s,"zero":%s,"long":"%sz","highest":"%s","in":{"text":"%s"}}`,
				[]string{`1.5`, `"NaN"`, `-2`}[i%3], []string{`1.5`, `"Infinity"`, `"-Infinity"`}[i%3], []string{`0`, `-0.0`}[i/500], text, highest[4*(i%3):], text),
		})
	}
	return list
}

// The reader is pyarrow: it takes field ids, sizes and row groups from the footer, and counts and bounds from the values.
func TestTable_DescriptionsSayWhatPyarrowFinds(t *testing.T) {
	corpusSchema, hard := mustParse(t, corpusDocument), mustParse(t, measurements)
	list, _ := tableCorpus(corpusSchema.Fields)
	for _, c := range []struct {
		name       string
		schema     *schema.Schema
		definition *table.Definition
		records    []record.Record
		tamper     func(*table.Description)
		want       string // part of what the reader says
	}{
		{name: "corpus", schema: corpusSchema, definition: definitionOf(corpusSchema), records: list},
		{name: "wider columns", schema: corpusSchema, definition: wideDefinition(t), records: list},
		{name: "hard values", schema: hard, definition: definitionOf(hard), records: measured()},
		{name: "an id is another", schema: corpusSchema, definition: definitionOf(corpusSchema), records: list,
			tamper: func(d *table.Description) { d.Columns[3].ID += 1000 }, want: "id"},
		{name: "a lower bound is too high", schema: corpusSchema, definition: definitionOf(corpusSchema), records: list,
			tamper: func(d *table.Description) { d.Columns[3].Lower[0]++ }, want: "lower"},
		{name: "an upper bound is too low", schema: hard, definition: definitionOf(hard), records: measured(),
			tamper: func(d *table.Description) { d.Columns[1].Upper[3]-- }, want: "upper"},
		{name: "a null too few", schema: corpusSchema, definition: definitionOf(corpusSchema), records: list,
			tamper: func(d *table.Description) { d.Columns[0].Nulls-- }, want: "nulls"},
		{name: "a split is another", schema: corpusSchema, definition: definitionOf(corpusSchema), records: list,
			tamper: func(d *table.Description) { d.Splits[1]++ }, want: "splits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := formatFor(t, tableOptions, mustView(t, c.definition, c.schema)).NewLayout()
			dir := t.TempDir()
			save(t, filepath.Join(dir, "file.parquet"), writeLayout(t, l, c.records))
			d := l.(writers.Describer).Describe()
			if d.UUID != c.definition.UUID || d.Schema != 3 || d.Spec != 2 || len(d.Wanted) > 0 {
				t.Errorf("described as %+v", d)
			}
			if c.tamper != nil {
				c.tamper(&d)
			}
			about, err := json.Marshal(map[string]any{"definition": c.definition, "description": plainDescription(t, d)})
			if err != nil {
				t.Fatal(err)
			}
			save(t, filepath.Join(dir, "about.json"), about)
			out, err := emulator.Python(t, "testdata/table.py", filepath.Join(dir, "file.parquet"), filepath.Join(dir, "about.json")).CombinedOutput()
			switch {
			case c.tamper == nil && err != nil:
				t.Errorf("%v:\n%s", err, out)
			case c.tamper != nil && (err == nil || !strings.Contains(string(out), c.want)):
				t.Errorf("the reader does not notice: %v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// plainDescription is a description by its fields' names, after it has been stored and read.
func plainDescription(t *testing.T, d table.Description) any {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var read table.Description
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, d) {
		t.Errorf("read back as %+v, not %+v", read, d)
	}
	t.Logf("%d bytes describe %d columns", len(text), len(d.Columns))
	type metrics table.Metrics
	type plain struct {
		Columns []metrics
		Splits  []int64
	}
	p := plain{Splits: d.Splits}
	for _, m := range d.Columns {
		p.Columns = append(p.Columns, metrics(m))
	}
	return p
}

func TestTable_CountsNaNs(t *testing.T) {
	s := mustParse(t, measurements)
	d := definitionOf(s)
	l := formatFor(t, Options{}, mustView(t, d, s)).NewLayout()
	writeLayout(t, l, measured())
	for _, m := range l.(writers.Describer).Describe().Columns {
		want := int64(0)
		if m.ID == d.Find("nan").ID {
			want = 333
		}
		if m.NaNs != want {
			t.Errorf("column %d has %d NaNs, want %d", m.ID, m.NaNs, want)
		}
		if none := m.Lower == nil; none != (m.ID == d.Find("nan").ID || m.ID == d.Find("_extra").ID) {
			t.Errorf("column %d has the lower bound %q", m.ID, m.Lower)
		}
	}
}

// A file without SCHEMA has the columns of its table alone; members that are in _extra propose new ones.
func TestTable_LearnsFromExtra(t *testing.T) {
	misfits := 0
	base := mustFormat(t, Options{Misfits: func(n int) { misfits += n }})
	d := &table.Definition{UUID: "u", Dropped: []string{"gone", "/g/gone"}, Columns: []table.Column{
		{ID: 1, Name: "renamed", Member: "n", Type: table.Int}, {ID: 2, Name: "text", Member: "text", Type: table.String},
		{ID: 3, Name: "g", Member: "g", Type: "struct", Fields: []table.Column{{ID: 4, Name: "a", Member: "a", Type: table.Long}}},
		{ID: 5, Name: "at", Member: "at", Type: table.TimestampTZ}, {ID: 6, Name: "key", Member: "key", Type: table.UUID},
		{ID: 12, Name: "m", Member: "m", Type: "map", Key: &table.Column{ID: 13, Name: "key", Type: table.String}, Element: &table.Column{ID: 14, Name: "value", Type: table.Long}},
		{ID: 7, Name: "event_id", Member: "event_id", Type: table.String},
		{ID: 8, Name: "_extra", Member: "_extra", Type: table.String}, {ID: 9, Name: "l", Member: "l", Type: "list", Element: &table.Column{
			ID: 10, Name: "element", Type: "struct", Fields: []table.Column{{ID: 11, Name: "b", Member: "b", Type: table.String}}}},
	}}
	f, err := base.For(mustView(t, d, nil))
	if err != nil {
		t.Fatal(err)
	}
	write := func(payloads ...string) (table.Description, []string) {
		var list []record.Record
		for i, p := range payloads {
			list = append(list, record.Record{SequenceNumber: strconv.Itoa(i), Data: []byte(p), Arrival: time.UnixMilli(0)})
		}
		l := f.NewLayout()
		rows := readWithParquetGo(t, writeLayout(t, l, list))
		return l.(writers.Describer).Describe(), rows
	}
	description, rows := write(
		`{"n":7,"text":"x","g":{"a":1},"at":"2024-01-01T00:00:00Z","l":[{"b":"y"}],"m":{"k":5,"~/\u00e4":"x","z":"6"}}`,
		`{"n":3000000000,"text":1,"g":{"a":2,"new":true,"gone":1},"at":"soon","l":[{"c":1.5}],"key":"k","other":"o","gone":1,"mixed":1}`,
		`{"mixed":"x"}`)
	compareRows(t, rows, []string{
		`{"n":7,"text":"x","g":{"a":1},"at":1704067200000000,"m":[["k",5],["~/ä",null],["z",null]],"l":[{"b":"y"}],"_extra":` + quoteJSON(`{"/m/~0~1ä":"x","/m/z":"6"}`) + `,"event_id":"0"}`,
		`{"n":null,"text":null,"g":{"a":2},"at":null,"m":null,"l":[{"b":null}],"_extra":` +
			quoteJSON(`{"n":3000000000,"text":1,"/g/new":true,"/g/gone":1,"at":"soon","/l/0/c":1.5,"key":"k","other":"o","gone":1,"mixed":1}`) + `,"event_id":"1"}`,
		`{"n":null,"text":null,"g":null,"at":null,"m":null,"l":null,"_extra":` + quoteJSON(`{"mixed":"x"}`) + `,"event_id":"2"}`,
	})
	if misfits != 5 { // n, text, at and two values of m
		t.Errorf("%d misfits, want 5", misfits)
	}
	arrived := table.Column{Name: "_arrived_at", Member: "_arrived_at", Type: table.TimestampTZ}
	want := []table.Column{arrived,
		{Name: "n", Member: "n", Type: table.Long},
		{Name: "g", Member: "g", Type: "struct", Fields: []table.Column{{Name: "new", Member: "new", Type: table.Boolean}}},
		{Name: "l", Member: "l", Type: "list", Element: &table.Column{Name: "element", Type: "struct", Fields: []table.Column{{Name: "c", Member: "c", Type: table.Double}}}},
		{Name: "other", Member: "other", Type: table.String},
	}
	if !reflect.DeepEqual(description.Wanted, want) {
		t.Errorf("wanted are\n%+v, want\n%+v", description.Wanted, want)
	}
	// Another file wants only what its own records had.
	if description, _ = write(`{"n":1}`, `{"other":"p"}`); !reflect.DeepEqual(description.Wanted, []table.Column{arrived, want[4]}) {
		t.Errorf("the second file wants %+v", description.Wanted)
	}
}

func TestTable_FilesWithoutOneHaveNoIDs(t *testing.T) {
	s := mustParse(t, corpusDocument)
	list, _ := tableCorpus(s.Fields)
	l := mustFormat(t, Options{Schema: s}).NewLayout()
	writeLayout(t, l, list[:10])
	if _, ok := l.(writers.Describer); ok {
		t.Error("a file for no table describes itself")
	}
	tree := l.(*layout).vectors.get().Tree()
	for _, e := range schemaElements(tree) {
		if e.FieldID != 0 {
			t.Errorf("%s has the id %d", e.Name, e.FieldID)
		}
	}
}

func TestMetrics_CutTextAtCodePoints(t *testing.T) {
	for text, want := range map[string]string{
		"short": "short", strings.Repeat("a", 16): strings.Repeat("a", 16), strings.Repeat("a", 17): strings.Repeat("a", 15) + "b",
		strings.Repeat("\U0010ffff", 20):             "",
		strings.Repeat("日", 15) + "\U0010ffff" + "x": strings.Repeat("日", 14) + "旦" + "",
		strings.Repeat("a", 15) + "\ud7ff" + "x":     strings.Repeat("a", 15) + "\ue000",
	} {
		s := mustParse(t, `{"properties":{"t":{"type":"string"}}}`)
		l := formatFor(t, Options{}, mustView(t, definitionOf(s), s)).NewLayout()
		data, err := json.Marshal(map[string]string{"t": text})
		if err != nil {
			t.Fatal(err)
		}
		writeLayout(t, l, []record.Record{{SequenceNumber: "1", Data: data}})
		m := l.(writers.Describer).Describe().Columns[0]
		if string(m.Upper) != want || (m.Upper == nil) != (want == "") {
			t.Errorf("%q: upper bound %q, want %q", text, m.Upper, want)
		}
		if !bytes.HasPrefix([]byte(text), m.Lower) || len([]rune(string(m.Lower))) > 16 {
			t.Errorf("%q: lower bound %q", text, m.Lower)
		}
	}
}

func TestMetrics_KeepTheZerosApart(t *testing.T) {
	s := mustParse(t, `{"properties":{"z":{"type":"number"}}}`)
	l := formatFor(t, Options{}, mustView(t, definitionOf(s), s)).NewLayout()
	writeLayout(t, l, []record.Record{{SequenceNumber: "1", Data: []byte(`{"z":0}`)}, {SequenceNumber: "2", Data: []byte(`{"z":-0.0}`)}})
	m := l.(writers.Describer).Describe().Columns[0]
	if math.Signbit(doubleOf(m.Upper)) || !math.Signbit(doubleOf(m.Lower)) {
		t.Errorf("bounds are %x and %x, want -0 and 0", m.Lower, m.Upper)
	}
}

func doubleOf(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }
