package parquet

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

// corpusDocument has a column of every kind, on its own and in every kind of nesting.
const corpusDocument = `{"type":"object","properties":{
	"text":{"type":"string"},"city":{"type":"string"},"int32":{"type":"integer","x-parquet":"int32"},
	"int64":{"type":"integer"},"serial":{"type":"integer"},"float":{"type":"number","x-parquet":"float"},
	"double":{"type":"number"},"flag":{"type":"boolean"},
	"small":{"type":"number","x-parquet":"decimal(7,2)"},"medium":{"type":"number","x-parquet":"decimal(18,4)"},
	"wide":{"type":"number","x-parquet":"decimal(38,10)"},
	"day":{"type":"string","format":"date"},"micros":{"type":"string","format":"date-time"},
	"millis":{"type":"string","format":"date-time","x-parquet":"timestamp-millis"},
	"unix":{"type":"integer","x-parquet":"timestamp-micros","x-timestamp-unit":"s"},
	"any":{},"never":{"type":"integer"},
	"group":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},
		"deep":{"type":"object","properties":{"c":{"type":"number"},"d":{"type":"boolean"},
			"days":{"type":"array","items":{"type":["string","null"],"format":"date"}}}}}},
	"texts":{"type":"array","items":{"type":["string","null"]}},
	"matrix":{"type":"array","items":{"type":["array","null"],"items":{"type":["integer","null"]}}},
	"lines":{"type":"array","items":{"type":["object","null"],"properties":{"sku":{"type":"string"},
		"prices":{"type":"array","items":{"type":["number","null"],"x-parquet":"decimal(20,3)"}},
		"labels":{"type":"object","additionalProperties":{"type":"string"}}}}},
	"counts":{"type":"object","additionalProperties":{"type":"integer"}},
	"places":{"type":"object","additionalProperties":{"type":"object","properties":{
		"lat":{"type":"number"},"seen":{"type":"array","items":{"type":["string","null"],"format":"date-time"}}}}}
}}`

// generator makes records together with what must be read back. The expected values are made with the standard
// library, from the value and not from the record's text: integers and doubles as JSON numbers, decimals as text,
// dates as days and timestamps as microseconds since 1970, maps as lists of pairs.
type generator struct {
	*rand.Rand
	nulls float64 // share of values that are null
	long  int     // length of the longest text
}

// row returns a record and its expected row.
func (g *generator) row(fields []*schema.Field, i int) (data, want string) {
	members, expected := g.members(fields, i)
	extra := "null"
	if g.Float64() < 0.05 {
		value, _ := g.text(12)
		members = append(members, `"unknown":`+value)
		extra = quoteJSON(`{"unknown":` + value + `}`)
	}
	g.Shuffle(len(members), func(i, j int) {
		if g.nulls > 0 && g.IntN(3) == 0 {
			members[i], members[j] = members[j], members[i]
		}
	})
	expected = append(expected, `"_extra":`+extra, `"event_id":`+quoteJSON(sequence(i)))
	space := g.space()
	return space + "{" + space + strings.Join(members, g.space()+","+g.space()) + "}" + g.space(), "{" + strings.Join(expected, ",") + "}"
}

func (g *generator) members(fields []*schema.Field, i int) (members, expected []string) {
	for _, f := range fields {
		value, want := "", "null"
		switch {
		case f.Name == "never" || g.Float64() < g.nulls:
			if g.IntN(2) == 0 {
				value = "null"
			}
		case f.Name == "serial":
			value, want = strconv.Itoa(1000+3*i), strconv.Itoa(1000+3*i)
		default:
			value, want = g.value(f)
		}
		if value != "" {
			members = append(members, g.key(f.Name)+g.space()+":"+g.space()+value)
		}
		expected = append(expected, quoteJSON(f.Name)+":"+want)
	}
	return members, expected
}

// key sometimes spells a name with escapes.
func (g *generator) key(name string) string {
	if g.IntN(200) == 0 {
		return fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
	}
	return quoteJSON(name)
}

func (g *generator) space() string {
	return []string{"", "", "", "", "", " ", "\n\t", " \r "}[g.IntN(8)]
}

func (g *generator) value(f *schema.Field) (value, want string) {
	switch f.Kind {
	case schema.String:
		if f.Name == "city" {
			city := quoteJSON("city " + strconv.Itoa(g.IntN(50)))
			return city, city
		}
		return g.text(g.long)
	case schema.Int32:
		return g.integer(int64(int32(g.Uint32())) >> g.IntN(31))
	case schema.Int64:
		return g.integer(int64(g.Uint64()) >> g.IntN(63))
	case schema.Float:
		v := strconv.FormatFloat(float64(float32(g.NormFloat64()*1e3)), 'g', -1, 32)
		exact, _ := strconv.ParseFloat(v, 32)
		return g.coerced(v), jsonDouble(exact)
	case schema.Double:
		return g.double()
	case schema.Boolean:
		want = strconv.FormatBool(g.IntN(2) == 0)
		return []string{want, `"` + want + `"`, `"` + strings.ToUpper(want) + `"`}[g.IntN(3)], want
	case schema.Decimal:
		return g.decimal(f)
	case schema.Date:
		at := g.time()
		return at.Format(`"2006-01-02"`), strconv.FormatInt(at.Truncate(24*time.Hour).Unix()/86400, 10)
	case schema.TimestampMillis, schema.TimestampMicros:
		return g.timestamp(f)
	case schema.JSON:
		return g.any()
	}
	return g.nested(f)
}

func (g *generator) nested(f *schema.Field) (value, want string) {
	switch f.Kind {
	case schema.Group:
		members, expected := g.members(f.Fields, 0)
		return "{" + strings.Join(members, ",") + g.space() + "}", "{" + strings.Join(expected, ",") + "}"
	case schema.List:
		var values, wants []string
		for range g.IntN(4) {
			value, want := g.element(f.Element)
			values, wants = append(values, value), append(wants, want)
		}
		return "[" + g.space() + strings.Join(values, g.space()+",") + "]", "[" + strings.Join(wants, ",") + "]"
	}
	var values, wants []string
	n := g.IntN(4)
	if g.IntN(20) == 0 {
		n = 40
	}
	for i := range n {
		key := quoteJSON(fmt.Sprintf("k%d é%d", i, g.IntN(3)))
		value, want := g.element(f.Element)
		values, wants = append(values, key+g.space()+":"+value), append(wants, "["+key+","+want+"]")
	}
	return "{" + strings.Join(values, ",") + "}", "[" + strings.Join(wants, ",") + "]"
}

func (g *generator) element(f *schema.Field) (value, want string) {
	if g.Float64() < g.nulls {
		return "null", "null"
	}
	return g.value(f)
}

func quoteJSON(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// text returns a string with escapes, in all planes of Unicode.
func (g *generator) text(longest int) (value, want string) {
	n, repeat := g.IntN(24), 1
	if longest > 24 && g.IntN(10) == 0 {
		n = 64
		repeat += g.IntN(longest) / n
	}
	var in, out strings.Builder
	for range n {
		r := rune(' ' + g.IntN(95))
		switch g.IntN(40) {
		case 0:
			r = rune(g.IntN(0x20))
		case 1:
			r = rune(0x80 + g.IntN(0x700))
		case 2:
			r = rune(0x4E00 + g.IntN(0x1000))
		case 3:
			r = rune(0x1F300 + g.IntN(0x200))
		}
		out.WriteRune(r)
		switch {
		case r == '"' || r == '\\':
			in.WriteByte('\\')
			in.WriteRune(r)
		case r < ' ':
			in.WriteString(strings.Trim(quoteJSON(string(r)), `"`))
		case g.IntN(60) == 0 && r < 0x10000:
			fmt.Fprintf(&in, `\u%04X`, r)
		case g.IntN(4) == 0 && r >= 0x10000:
			fmt.Fprintf(&in, `\u%04x\u%04x`, 0xD800+(r-0x10000)>>10, 0xDC00+(r-0x10000)&0x3FF)
		default:
			in.WriteRune(r)
		}
	}
	return `"` + strings.Repeat(in.String(), repeat) + `"`, quoteJSON(strings.Repeat(out.String(), repeat))
}

// integer writes an integer in one of the ways that coercion allows.
func (g *generator) integer(v int64) (value, want string) {
	want = strconv.FormatInt(v, 10)
	switch g.IntN(8) {
	case 0:
		return want + ".00", want
	case 1:
		return want + ".0e+0", want
	case 3:
		if v != 0 {
			return want + "0E-1", want
		}
	case 2:
		return `"` + want + `"`, want
	}
	return want, want
}

func (g *generator) coerced(number string) string {
	if g.IntN(6) == 0 {
		return `"` + number + `"`
	}
	return number
}

func (g *generator) double() (value, want string) {
	v := math.Float64frombits(g.Uint64())
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0) || g.IntN(2) == 0:
		v = math.Round(g.NormFloat64()*1e6) / 100
	case g.IntN(8) == 0:
		v = 0
	}
	return g.coerced(jsonDouble(v)), jsonDouble(v)
}

// jsonDouble always writes an exponent, so that the number cannot be mistaken for an integer.
func jsonDouble(v float64) string { return strconv.FormatFloat(v, 'e', -1, 64) }

func (g *generator) decimal(f *schema.Field) (value, want string) {
	digits := 1 + g.IntN(f.Precision)
	number := make([]byte, digits)
	for i := range number {
		number[i] = byte('0' + g.IntN(10))
	}
	whole := strings.TrimLeft(strings.Repeat("0", f.Precision-digits)+string(number), "0")
	whole = strings.Repeat("0", max(0, f.Scale+1-len(whole))) + whole
	point := len(whole) - f.Scale
	want = whole[:point] + "." + whole[point:]
	if g.IntN(2) == 0 && strings.Trim(want, "0.") != "" {
		want = "-" + want
	}
	return g.coerced(want), `"` + want + `"`
}

func (g *generator) time() time.Time {
	if g.IntN(2) == 0 {
		return time.UnixMicro(1700000000000000 + g.Int64N(1e13)).UTC()
	}
	first := time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC).UnixMicro()
	last := time.Date(9999, 12, 30, 0, 0, 0, 0, time.UTC).UnixMicro()
	at := time.UnixMicro(first + g.Int64N(last-first)).UTC()
	return at
}

func (g *generator) timestamp(f *schema.Field) (value, want string) {
	at := g.time()
	switch {
	case f.Unit == schema.Seconds:
		at = at.Truncate(time.Second)
		return g.coerced(strconv.FormatInt(at.Unix(), 10)), strconv.FormatInt(at.UnixMicro(), 10)
	case f.Kind == schema.TimestampMillis:
		at = at.Truncate(time.Millisecond)
	}
	zone := time.FixedZone("", (g.IntN(48)-24)*1800)
	value = []string{
		at.Format(time.RFC3339Nano), at.In(zone).Format(time.RFC3339Nano), at.Format("2006-01-02 15:04:05.999999"),
	}[g.IntN(3)]
	return `"` + value + `"`, strconv.FormatInt(at.UnixMicro(), 10)
}

// any returns a value for a JSON column, which is stored as written.
func (g *generator) any() (value, want string) {
	text, _ := g.text(0)
	value = []string{"17.50", "true", text, `[1, {"a":` + text + `}]`, `{"b": []}`}[g.IntN(5)]
	return value, quoteJSON(value)
}

// corpus is a file and what must be read from it.
type corpus struct {
	name    string
	rows    int
	nulls   float64
	long    int
	options Options
}

var corpora = []corpus{
	{name: "empty file"},
	{name: "one row", rows: 1},
	{name: "one row of nulls", rows: 1, nulls: 1},
	{name: "only nulls", rows: 1000, nulls: 1},
	{name: "no nulls", rows: 500},
	{name: "mixed", rows: 3000, nulls: 0.2},
	{name: "many row groups", rows: 1000, nulls: 0.3, options: Options{RowGroupBytes: 60_000, Compression: Zstd}},
	{name: "many pages", rows: 1500, nulls: 0.05, long: 10_000, options: Options{Compression: Gzip}},
	{name: "long texts", rows: 8, long: 1_500_000, options: Options{Compression: Uncompressed}},
	{name: "plain integers and bloom filters", rows: 1000, nulls: 0.4, options: Options{
		PlainIntegers: true, Bloom: []string{"event_id", "int64", "int32", "double", "wide", "texts.list.element", "never"}}},
}

// generate returns the records and the expected rows.
func (c corpus) generate(fields []*schema.Field) (list []record.Record, want []string) {
	g := &generator{Rand: rand.New(rand.NewPCG(1, uint64(c.rows))), nulls: c.nulls, long: c.long}
	for i := range c.rows {
		data, row := g.row(fields, i)
		list = append(list, record.Record{SequenceNumber: sequence(i), Data: []byte(data)})
		want = append(want, row)
	}
	return list, want
}
