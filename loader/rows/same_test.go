package rows_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	benchrows "aws-streaming-pipeline/internal/test/bench/rows"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// documents makes records whose members come from few names, so that one member has many types, columns appear late, and names repeat.
type documents struct {
	*rand.Rand
	names []string
	wild  float64 // share of values of any type
	twice bool    // names may repeat
}

func (d *documents) record(i int) record.Record {
	return record.Record{
		SequenceNumber: fmt.Sprintf("%056d", i), Data: []byte(d.object(0)), Arrival: time.UnixMilli(1_700_000_000_123 + int64(i)),
	}
}

func (d *documents) object(depth int) string {
	var members []string
	names := slices.Clone(d.names)
	d.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names[:d.IntN(len(names)>>(2*min(depth, 1))+1)] {
		members = append(members, d.quoted(name)+d.space()+":"+d.space()+d.value(name, depth))
		if d.twice && d.IntN(8) == 0 {
			members = append(members, d.quoted(name)+":"+d.value(name, depth))
		}
	}
	return "{" + d.space() + strings.Join(members, d.space()+","+d.space()) + d.space() + "}"
}

func (d *documents) space() string { return []string{"", "", "", " ", "\t "}[d.IntN(5)] }

// value returns a value of the name's own type, or of any.
func (d *documents) value(name string, depth int) string {
	shape := int(name[len(name)-1]) % 7
	if d.Float64() < d.wild {
		shape = d.IntN(9)
	}
	if depth > 2 && shape >= 4 && shape <= 6 {
		shape = 1
	}
	switch shape {
	case 0:
		return strconv.FormatInt(int64(d.Uint64())>>d.IntN(63), 10)
	case 1:
		return d.text()
	case 2:
		return strconv.FormatBool(d.IntN(2) == 0)
	case 3:
		return strconv.FormatFloat(math.Round(d.NormFloat64()*1e4)/100, 'f', 2, 64)
	case 4:
		return d.object(depth + 1)
	case 5:
		var elements []string
		for range d.IntN(4) {
			elements = append(elements, d.value(name[:1]+"x", depth+1))
		}
		return "[" + strings.Join(elements, ",") + "]"
	case 6:
		return `[` + strings.Repeat(d.object(depth+1)+",", d.IntN(3)) + d.object(depth+1) + `]`
	case 7:
		return []string{"1e400", "-0", "1e-7", "123456789012345678901234567890", "0.30000000000000004", "1.0", "12E2"}[d.IntN(7)]
	}
	return "null"
}

func (d *documents) text() string {
	return []string{`""`, `"plain"`, `"42"`, `"true"`, `"\u00e9\ud83d\ude00 \n\"\\\/"`, `"é𝄞"`, `"\ud800"`, `"\u0000"`, `"[1,2]"`, `"2024-02-29"`,
		`"` + strings.Repeat("long ", d.IntN(50)) + `"`}[d.IntN(11)]
}

// quoted sometimes spells a name with an escape.
func (d *documents) quoted(name string) string {
	b, _ := json.Marshal(name)
	if d.IntN(50) == 0 && name[0] < 0x80 && name[0] != '/' {
		return fmt.Sprintf(`"\u%04x%s`, name[0], b[2:])
	}
	return string(b)
}

// readAll returns the normal forms of a file's rows.
func readAll(tb testing.TB, data []byte, count int, members []string) []string {
	tb.Helper()
	b := newBucket(data)
	r, err := rows.Open(tb.Context(), b, b.file(count), members)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	}()
	var all []string
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, normal(tb, row, members))
	}
}

// normal writes a row without what Parquet's columns do not keep: null members, the order of members, and how numbers are written. What
// a record itself has under event_id is in the columns only.
func normal(tb testing.TB, row *rows.Row, members []string) string {
	tb.Helper()
	lines := []string{fmt.Sprintf("row %d event %s arrival %d", row.Number, row.EventID, row.ArrivedAt.UnixMilli())}
	for i, v := range row.Values {
		lines = append(lines, fmt.Sprintf("%q=%s", members[i], normalJSON(tb, v.AppendJSON(nil))))
	}
	if row.Rest != nil {
		if rest := normalJSON(tb, row.Rest); rest != "{" { // with null members alone
			lines = append(lines, "rest="+rest)
		}
	}
	return strings.Join(lines, "\n")
}

func normalJSON(tb testing.TB, text []byte) string {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	s, err := normalValue(d)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	if _, err := d.Token(); err != io.EOF {
		tb.Fatalf("%s: more than one value", text)
	}
	return s
}

func normalValue(d *json.Decoder) (string, error) {
	token, err := d.Token()
	if err != nil {
		return "", err
	}
	switch v := token.(type) {
	case json.Number:
		return normalNumber(string(v)), nil
	case json.Delim:
		var parts []string
		for d.More() {
			name := ""
			if v == '{' {
				key, err := d.Token()
				if err != nil {
					return "", err
				}
				name = fmt.Sprintf("%q:", key)
			}
			part, err := normalValue(d)
			if err != nil {
				return "", err
			}
			if v == '[' || part != "<nil>" {
				parts = append(parts, name+part)
			}
		}
		if v == '{' {
			parts = slices.DeleteFunc(parts, func(p string) bool { return strings.HasPrefix(p, `"event_id":`) })
			slices.Sort(parts)
		}
		_, err := d.Token()
		return string(rune(v)) + strings.Join(parts, ","), err
	case string:
		return strconv.Quote(v), nil
	}
	return fmt.Sprint(token), nil
}

// normalNumber returns an integer of 64 bits exactly, and of other numbers the nearest double, or their own text if there is none.
func normalNumber(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	switch {
	case !strings.ContainsAny(mantissa, "123456789"):
		return "0"
	case err != nil || f == 0: // its exponent may be anything
		return text
	}
	if math.Abs(f) < 1<<63 && len(text) < 100 {
		if r, ok := new(big.Rat).SetString(text); ok && r.IsInt() {
			return r.Num().String()
		}
	}
	return strconv.FormatFloat(f, 'e', -1, 64)
}

func mustSchema(tb testing.TB, document string) *schema.Schema {
	tb.Helper()
	s, err := schema.Parse("test", []byte(document))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustParquet(tb testing.TB, o parquet.Options) *parquet.Format {
	tb.Helper()
	f, err := parquet.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func mustLines(tb testing.TB, c jsonl.Compression) writers.Format {
	tb.Helper()
	f, err := jsonl.New(jsonl.Config{Append: record.AppendArrivalLine, Compression: c})
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// forTable returns the format for a table with some columns.
func forTable(tb testing.TB, s *schema.Schema, columns []table.Column) writers.Format {
	tb.Helper()
	next := 1
	var number func(columns []table.Column)
	number = func(columns []table.Column) {
		for i := range columns {
			columns[i].ID = next
			next++
			number(columns[i].Fields)
			for _, part := range []*table.Column{columns[i].Key, columns[i].Element} {
				if part != nil {
					part.ID = next
					next++
					number(part.Fields)
				}
			}
		}
	}
	number(columns)
	v, err := table.NewView(&table.Definition{UUID: "9c12d441-03fe-4693-9a96-a0705ddf69c1", Columns: columns}, s)
	if err != nil {
		tb.Fatal(err)
	}
	o := parquet.Options{RowGroupBytes: 20_000}
	if s != nil {
		o.Schema = v.Schema
	}
	f, err := mustParquet(tb, o).For(v)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// column makes a column of a table of a type, or a struct or list of others.
func column(name, typ string, parts ...table.Column) table.Column {
	c := table.Column{Name: name, Member: name, Type: typ}
	switch typ {
	case "struct":
		c.Fields = parts
	case "list":
		c.Element = &parts[0]
		c.Element.Name, c.Element.Member = "element", ""
	case "map":
		c.Key, c.Element = &table.Column{Name: "key", Type: "string", Required: true}, &parts[0]
		c.Element.Name, c.Element.Member = "value", ""
	}
	return c
}

// difference compares the rows of JSON Lines with those of Parquet, and describes the first that is not the same in both.
func difference(t *testing.T, f writers.Format, lines, columns []record.Record, members []string) string {
	t.Helper()
	parquetFile, n, _ := written(t, f, columns)
	linesFile, m, _ := written(t, mustLines(t, jsonl.Gzip), lines)
	if n != m || n == 0 {
		t.Fatalf("%d rows of lines, %d rows of columns", m, n)
	}
	want, got := readAll(t, linesFile, n, members), readAll(t, parquetFile, n, members)
	for i := range want {
		if want[i] != got[i] {
			return fmt.Sprintf("record %d, %s:\nlines have   %s\ncolumns have %s", i, lines[i].Data, want[i], got[i])
		}
	}
	return ""
}

// same checks the rows of records that the columns can hold. The control is that a changed record is not the same.
func same(t *testing.T, f writers.Format, records []record.Record, members []string) {
	t.Helper()
	_, n, fit := written(t, f, records)
	if n < len(records)/2 {
		t.Fatalf("%d of %d records fit", n, len(records))
	}
	if wrong := difference(t, f, fit, fit, members); wrong != "" {
		t.Fatal(wrong)
	}
	changed := slices.Clone(fit)
	last := &changed[len(changed)-1]
	inner := bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimPrefix(bytes.TrimSpace(last.Data), []byte("{")), []byte("}")))
	if len(inner) > 0 {
		inner = append([]byte(","), inner...)
	}
	last.Data = fmt.Appendf(nil, `{"\u0000control":1%s}`, inner)
	if difference(t, f, changed, fit, members) == "" {
		t.Fatal("a record with another member was read as the same")
	}
}

// hard are names that pointers, quotes and the pipeline's own columns make difficult.
var hard = []string{"a0", "b1", "c2", "d3", "e4", "f4", "g5", "h6", "i~1j4", "/k/l4", "/e", "m\"n4", "_extra", "ö1", "p/q5", "A0", "r s6"}

// tableColumns are columns for some of those members, of types that many of their values do not have.
func tableColumns() []table.Column {
	return []table.Column{
		column("a0", "long"), column("b1", "string"), column("d3", "double"), column("A0", "decimal(20, 0)"), column("c2", "boolean"),
		column("e4", "struct", column("a0", "int"), column("b1", "string"), column("f4", "struct", column("d3", "double"), column("i~1j4", "string"))),
		column("f4", "map", column("", "string")), column("g5", "list", column("", "long")),
		column("i~1j4", "struct", column("p/q5", "list", column("", "string")), column("a0", "long")),
		column("h6", "list", column("", "struct", column("b1", "string"), column("e4", "struct", column("a0", "long")))),
		column("event_id", "string"), column("_arrived_at", "timestamptz"), column("_extra", "string"),
	}
}

func TestReader_BothFormatsGiveTheSameRows(t *testing.T) {
	for seed := range uint64(8) {
		d := &documents{Rand: rand.New(rand.NewPCG(seed, 1)), names: slices.Clone(hard), wild: 0.1, twice: true}
		var records []record.Record
		for i := range 100 {
			records = append(records, d.record(i))
		}
		names := slices.Clone(hard)
		d.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		members := names[:d.IntN(len(names))]
		t.Run(fmt.Sprintf("inferred %d", seed), func(t *testing.T) {
			same(t, mustParquet(t, parquet.Options{InferRows: 20, RowGroupBytes: 20_000, ArrivedAt: true}), records, members)
		})
		t.Run(fmt.Sprintf("table %d", seed), func(t *testing.T) { same(t, forTable(t, nil, tableColumns()), records, members) })
	}
}

// document has a field of every kind, on its own and nested. Its values are written as Parquet's columns return them.
const document = `{"type":"object","properties":{
	"text":{"type":"string"},"int32":{"type":"integer","x-parquet":"int32"},"int64":{"type":"integer"},
	"float":{"type":"number","x-parquet":"float"},"double":{"type":"number"},"flag":{"type":"boolean"},
	"small":{"type":"number","x-parquet":"decimal(7,2)"},"medium":{"type":"number","x-parquet":"decimal(18,4)"},"wide":{"type":"number","x-parquet":"decimal(38,10)"},
	"day":{"type":"string","format":"date"},"micros":{"type":"string","format":"date-time"},
	"millis":{"type":"string","format":"date-time","x-parquet":"timestamp-millis"},"any":{},
	"group":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},
		"deep":{"type":"object","properties":{"c":{"type":"number"},"days":{"type":"array","items":{"type":["string","null"],"format":"date"}},"any":{}}}}},
	"texts":{"type":"array","items":{"type":["string","null"]}},
	"matrix":{"type":"array","items":{"type":["array","null"],"items":{"type":["integer","null"]}}},
	"lines":{"type":"array","items":{"type":["object","null"],"properties":{"sku":{"type":"string"},
		"prices":{"type":"array","items":{"type":["number","null"],"x-parquet":"decimal(20,3)"}},
		"labels":{"type":"object","additionalProperties":{"type":"string"}}}}},
	"counts":{"type":"object","additionalProperties":{"type":"integer"}},
	"places":{"type":"object","additionalProperties":{"type":"object","properties":{"lat":{"type":"number"}}}}
}}`

// fit returns a value that fits a field.
func (d *documents) fit(f *schema.Field) string {
	at := time.UnixMicro(-62135596800_000000 + d.Int64N(315537897599_999999)).UTC() // from year 1 to 9999
	switch f.Kind {
	case schema.String:
		return strings.ReplaceAll(d.text(), `\ud800`, "")
	case schema.Int32:
		return strconv.Itoa(int(int32(d.Uint32())))
	case schema.Int64:
		return strconv.FormatInt(int64(d.Uint64())>>d.IntN(63), 10)
	case schema.Float:
		return strconv.FormatFloat(float64(float32(d.NormFloat64())), 'g', -1, 32)
	case schema.Double:
		return strconv.FormatFloat(d.NormFloat64()*math.Pow(10, float64(d.IntN(40)-20)), 'g', -1, 64)
	case schema.Boolean:
		return strconv.FormatBool(d.IntN(2) == 0)
	case schema.Decimal:
		limit := min(f.Precision, 18)
		text := fmt.Sprintf("%0*d", f.Scale+1, d.Int64N(int64(math.Pow10(limit))))
		sign := []string{"", "-"}[d.IntN(2)]
		return sign + text[:len(text)-f.Scale] + "." + text[len(text)-f.Scale:]
	case schema.Date:
		return at.Format(`"2006-01-02"`)
	case schema.TimestampMillis:
		return at.Truncate(time.Millisecond).Format(`"2006-01-02T15:04:05.999Z"`)
	case schema.TimestampMicros:
		return at.Format(`"2006-01-02T15:04:05.999999Z"`)
	case schema.List:
		var elements []string
		for range d.IntN(4) {
			elements = append(elements, d.orNull(f.Element))
		}
		return "[" + strings.Join(elements, ", ") + "]"
	case schema.Map:
		var members []string
		for i := range d.IntN(3) {
			value := d.fit(f.Element)
			if f.Element.Kind == schema.Group {
				value = d.fields(f.Element.Fields, false) // whose object it is that has a further member is not kept: the key is not
			}
			members = append(members, fmt.Sprintf(`"k/%d~\u00e9": %s`, i, value))
		}
		return "{" + strings.Join(members, ",") + "}"
	case schema.Group:
		return d.fields(f.Fields, true)
	}
	return []string{"17.50", "true", `"17.50"`, `"{}"`, `[1, {"a":"\u0000"}]`, `{"b": []}`, `""`}[d.IntN(7)]
}

func (d *documents) orNull(f *schema.Field) string {
	if f.Nullable && d.IntN(4) == 0 {
		return "null"
	}
	return d.fit(f)
}

// fields returns an object with some of the fields and, now and then, a member that is not declared.
func (d *documents) fields(fields []*schema.Field, further bool) string {
	var members []string
	for _, f := range fields {
		if d.IntN(4) > 0 {
			members = append(members, d.quoted(f.Name)+":"+d.fit(f))
		}
	}
	if further && d.IntN(8) == 0 {
		members = append(members, `"not/declared":`+d.text())
	}
	return "{" + strings.Join(members, ",") + "}"
}

func TestReader_BothFormatsGiveTheSameRowsOfASchema(t *testing.T) {
	s := mustSchema(t, document)
	var names []string
	for _, f := range s.Fields {
		names = append(names, f.Name)
	}
	d := &documents{Rand: rand.New(rand.NewPCG(3, 1))}
	var records []record.Record
	for i := range 300 {
		records = append(records, record.Record{SequenceNumber: strconv.Itoa(i), Data: []byte(d.fields(s.Fields, true)), Arrival: time.UnixMilli(int64(i))})
	}
	for name, members := range map[string][]string{"all": names, "some": {"matrix", "any", "not/declared", "wide"}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			same(t, mustParquet(t, parquet.Options{Schema: s, ArrivedAt: true, RowGroupBytes: 40_000, Compression: parquet.Zstd}), records, members)
		})
	}
}

// The records that benchmarks are made with, and those that once stopped a worker.
func TestReader_BothFormatsGiveTheSameRowsOfTheCorpora(t *testing.T) {
	corpora := map[string][][]byte{}
	for _, set := range benchrows.Sets {
		corpora[set.Name] = set.Lines(200_000)
	}
	for _, p := range recordtest.Upsetting() {
		corpora["upsetting"] = append(corpora["upsetting"], p.Data, []byte(`{"n":2,"price":0.5,"x":[1]}`))
	}
	for name, lines := range corpora {
		var records []record.Record
		for i, line := range lines {
			records = append(records, record.Record{SequenceNumber: strconv.Itoa(i), Data: line, Arrival: time.UnixMilli(int64(i))})
		}
		for what, members := range map[string][]string{"none": nil, "some": {"TAXI_ID", "POLYLINE", "lat", "new", "price", "x", "n", "customer", "items"}} {
			t.Run(name+"/"+what, func(t *testing.T) {
				same(t, mustParquet(t, parquet.Options{ArrivedAt: true, InferRows: 50, RowGroupBytes: 100_000}), records, members)
			})
		}
		if name == "taxi" {
			t.Run("taxi by its schema", func(t *testing.T) {
				same(t, mustParquet(t, parquet.Options{Schema: benchrows.Taxi.Schema(), ArrivedAt: true}), records, []string{"TRIP_ID", "POLYLINE"})
			})
		}
	}
}
