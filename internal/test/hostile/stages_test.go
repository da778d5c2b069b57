package hostile

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// stage processes a Kinesis record with certain settings.
type stage struct {
	name    string
	options record.DecoderOptions
	query   string // TRANSFORM_QUERY; empty for none
	format  func(t testing.TB) writers.Format
	honest  func(size int) []byte
	grammar grammar
	known   []worst // what was found
}

// worst is a payload that a search found.
type worst struct {
	name string
	make func(g *grammar, size int) []byte
}

// filled is a payload of units in a frame.
func filled(name, before, after string, units ...string) worst {
	return worst{name, func(g *grammar, size int) []byte { return g.fill(before, after, size, units...) }}
}

// run returns a function that takes a Kinesis record from the decoder to the encoded block, and to lines of the error object.
func (s *stage) run(t testing.TB) func(payload []byte) {
	d, err := record.NewDecoder(s.options)
	if err != nil {
		t.Fatal(err)
	}
	var change transform.Stage
	if s.query != "" {
		if change, err = transform.NewQuery(s.query); err != nil {
			t.Fatal(err)
		}
	}
	good, bad := &file{format: s.format(t)}, &file{format: errorLines(t)}
	return func(payload []byte) {
		records, err := d.Append(context.Background(), nil, record.Record{
			SequenceNumber: "49590338271490256608559692538361571095921575989136588898", PartitionKey: "device-17",
			Shard: "shardId-000000000003", Arrival: time.Unix(1_700_000_000, 0), Data: payload,
		})
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			out, err := change.Apply(context.Background(), "", records)
			if err != nil {
				t.Fatal(err)
			}
			records = out.Records
		}
		for i := range records {
			err := good.append(&records[i])
			var fault *record.Fault
			if errors.As(err, &fault) {
				records[i].Fault = fault
				err = bad.append(&records[i])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(good.end(), bad.end()); err != nil {
			t.Fatal(err)
		}
	}
}

// file fills blocks as writers.File does, and drops them.
type file struct {
	format writers.Format
	block  writers.Block
}

func (f *file) append(r *record.Record) error {
	if f.block == nil {
		f.block = f.format.NewLayout().NewBlock()
	}
	if err := f.block.Append(r); err != nil || !f.block.Full() {
		return err
	}
	return f.end()
}

func (f *file) end() error {
	if f.block == nil || f.block.Rows() == 0 {
		return nil
	}
	encoded, err := f.block.Encode()
	f.block = nil
	if err == nil && encoded.Release != nil {
		encoded.Release()
	}
	return err
}

// errorLines is the format of error objects, uncompressed, as consumer.Config makes it.
func errorLines(t testing.TB) writers.Format {
	f, err := jsonl.New(jsonl.Config{Compression: jsonl.None, Append: func(dst []byte, r *record.Record) ([]byte, error) {
		return record.AppendErrorLine(dst, r, r.Fault, record.Attempt{Count: 1}), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// lines is FORMAT=jsonl, uncompressed, as consumer.Config makes it.
func lines(document string) func(t testing.TB) writers.Format {
	return func(t testing.TB) writers.Format {
		appendLine := jsonl.AppendFunc(record.AppendJSONLine)
		if document != "" {
			check := shred.New(parse(t, document), false)
			appendLine = func(dst []byte, r *record.Record) ([]byte, error) {
				defer check.Reset()
				if fault := check.Append(r); fault != nil {
					return dst, fault
				}
				return record.AppendJSONLine(dst, r)
			}
		}
		f, err := jsonl.New(jsonl.Config{Append: appendLine, Compression: jsonl.None})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

func columns(document string) func(t testing.TB) writers.Format {
	return func(t testing.TB) writers.Format {
		o := parquet.Options{Compression: parquet.Snappy}
		if document != "" {
			o.Schema = parse(t, document)
		}
		f, err := parquet.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// partitioned is a format before which the partition tuple of a table is computed, whose columns are those of a schema.
func partitioned(document, partition string) func(t testing.TB) writers.Format {
	return func(t testing.TB) writers.Format {
		columns := table.ColumnsOf(parse(t, document))
		numbered(columns, new(int))
		terms, err := table.ParsePartition(partition)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := table.NewSpec(terms, columns)
		if err != nil {
			t.Fatal(err)
		}
		v, err := table.NewView(&table.Definition{Columns: columns, Spec: spec}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := table.NewPartitioner(v)
		if err != nil {
			t.Fatal(err)
		}
		f, err := jsonl.New(jsonl.Config{Compression: jsonl.None, Append: func(dst []byte, r *record.Record) ([]byte, error) {
			if _, fault := p.Tuple(r); fault != nil {
				return dst, fault
			}
			return record.AppendJSONLine(dst, r)
		}})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// numbered gives columns ids.
func numbered(columns []table.Column, last *int) {
	for i := range columns {
		*last++
		columns[i].ID = *last
		numbered(columns[i].Fields, last)
		for _, below := range []*table.Column{columns[i].Key, columns[i].Element} {
			if below != nil {
				*last++
				below.ID = *last
				numbered(below.Fields, last)
			}
		}
	}
}

func parse(t testing.TB, document string) *schema.Schema {
	s, err := schema.Parse("hostile", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// order is an honest record with the given number of lines.
func order(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"id":"o-1842","at":"2026-01-31T09:12:44.120Z","total":1093.5,"lines":[`)
	for n := 0; n == 0 || b.Len() < size-150; n++ {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"X-%06d","name":"Cup %d","count":%d,"price":%d.%02d}`, n, 60+n%7, 1+n%5, 5+n%90, n%100)
	}
	b.WriteString(`],"tags":{"channel":"web","region":"eu"},"note":"please ring twice"}`)
	return b.Bytes()
}

// columnsDocument is a schema that the columns check.
func columnsDocument() string {
	var wide []string
	for i := range 60 {
		wide = append(wide, fmt.Sprintf(`"attribute%02d":{"type":"number"}`, i))
	}
	return `{"properties":{"id":{"type":"string","maxLength":100000000},"at":{"type":"string","format":"date-time"},"total":{"type":"number"},
	"lines":{"type":"array","items":{"type":"object","properties":{"sku":{"type":"string","pattern":"^(SKU|X)-?[0-9a-z]*$"},"name":{"type":"string"},
	"count":{"type":"integer"},"price":{"type":"number","x-parquet":"decimal(30,4)"},"gift":{"type":"boolean"},` + strings.Join(wide, ",") + `}}},
	"deep_down_in_the_record":{"type":"object","properties":{"below_it_there_is_another":{"type":"object","properties":{"and_one_more_to_make_it_long":{"type":"object","properties":{"x":{"type":"string"}}}}}}},
	"tags":{"type":"object","additionalProperties":{"type":"string"}},"maps":{"type":"array","items":{"type":"object","additionalProperties":{"type":"string"}}},"note":{"type":"string"}}}`
}

// rulesDocument is one that needs the general validator.
const rulesDocument = `{"properties":{"id":{"type":"string"},"at":{"type":"string"},"total":{"type":"number","multipleOf":0.01},
	"lines":{"type":"array","uniqueItems":true,"items":{"anyOf":[{"type":"object","required":["sku"],"properties":{"count":{"type":"integer","multipleOf":1}}},{"type":["array","string","number"]}]}},
	"tags":{"type":"object","patternProperties":{"^x-":{"type":"string"}},"propertyNames":{"maxLength":100000}},
	"tree":{"$ref":"#/$defs/tree"},"bad":{"type":"array","items":{"$ref":"#/$defs/bad"}},"numbers":{"type":"array","items":{"multipleOf":0.001,"minimum":0}},
	"some":{"type":"array","contains":{"type":"object"},"unevaluatedItems":true},"note":{"type":"string"}},
	"$defs":{"bad":{"type":["array"],"items":{"$ref":"#/$defs/bad"}},
	"tree":{"allOf":[{"properties":{"a":{"$ref":"#/$defs/tree"}}},{"type":["object","array","number"],"properties":{"a":{"$ref":"#/$defs/tree"}}}]}}}`

// oldDocument is of a draft in which only the validator would check formats.
const oldDocument = `{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"id":{"type":"string"},"at":{"type":"string","format":"date-time"},
	"lines":{"type":"array","items":{"type":"object"}},"note":{"type":"string"},
	"formats":{"type":"array","items":{"anyOf":[{"format":"regex"},{"format":"uri"},{"format":"uri-template"},{"format":"ipv6"},{"format":"email"},{"format":"json-pointer"},{"format":"duration"}]}}}}`

var jsonNests = []frame{{"[", "]"}, {`{"a":`, "}"}, {`{"a":[`, "]}"}, {`[{"b":{},"a":`, "}]"}}

var elements = []string{
	"0", "-1", "1.5", "1e-400", "1e400", "1.5e-300", strings.Repeat("9", 400), "0." + strings.Repeat("1", 398), `""`, `"#"`, `"@"`, `"@#"`,
	`"\u0000\u0001"`, `"\\\\"`, `"é日"`, "null", "true", "[]", "{}", "[[]]", "{\"a\":0}", `{"a":{}}`, `{"#":0}`, `{"event_id":0}`, "%", "#",
	`{"sku":"#"}`, `{"sku":"@"}`, `{"name":1}`, `{"x":"#","y":{}}`, `{"@#":{"#":1}}`, `"2026-01-31T00:00:00Z"`, `"1e-400"`, ` `, "\n0", `{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0}`,
	`"\\pL\\pL\\pL\\pL\\pL\\pL\\pL\\pL"`, `"((((a{9}){9}){9})"`, `"[[:^word:]]|"`, `"http://[::1]/#{a}"`, `"@@."`, `"P1Y"`,
}

var members = []string{
	`"#":0`, `"#":{}`, `"#":[]`, `"#":null`, `"#":""`, `"x-#":"@"`, `"@#":0`, `"a":0`, `"event_id":0`, `"event_i\u0064":0`, `"#":1e-400`, `"#":{"#":1}`,
	`"\u0000#":0`, `"#":"@"`, `"A#":[{}]`, `"~/#":1`, `"#":[[[[]]]]`, `"#":"#"`, `"#":true`, `"#":{"#":{"#":[1.5]}}`,
}

func framesOf(paths ...string) (all []frame) {
	for _, path := range paths {
		all = append(all, frame{`{"` + path + `":[`, "]}"})
	}
	return all
}

// arrays and objects are the grammars of JSON records.
func arrays(paths ...string) grammar {
	return grammar{frames: framesOf(paths...), nests: jsonNests, units: elements, joint: ","}
}

func objects(paths ...string) grammar {
	g := grammar{frames: []frame{{"{", "}"}}, nests: nil, units: members, joint: ","}
	for _, path := range paths {
		before, after := "", ""
		for _, name := range strings.Split(path, ".") {
			before, after = before+`{"`+name+`":`, after+"}"
		}
		g.frames = append(g.frames, frame{before + "{", "}" + after})
	}
	return g
}

func zip(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(text) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// aggregate packs a message.
func aggregate(message []byte) []byte {
	sum := md5.Sum(message)
	return append(append([]byte("\xf3\x89\x9a\xc2"), message...), sum[:]...)
}

func userRecord(partition, hash uint64, data string) string {
	m := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), partition)
	if hash > 0 {
		m = protowire.AppendVarint(protowire.AppendTag(m, 2, protowire.VarintType), hash-1)
	}
	m = protowire.AppendString(protowire.AppendTag(m, 3, protowire.BytesType), data)
	return string(protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), m))
}

// reading is a small record, as several come in one Kinesis record.
func reading(n int) []byte {
	return fmt.Appendf(nil, `{"device":"d-%d","t":%d.5,"at":%d}`, n%5000, n%40, 1_700_000_000+n)
}

func honestAggregate(size int) []byte {
	var records []record.Record
	for n := 0; n*50 < size; n++ {
		records = append(records, record.Record{PartitionKey: fmt.Sprintf("d-%d", n%5000), Data: reading(n)})
	}
	return recordtest.AppendAggregate(nil, records)
}

func honestLines(size int) []byte {
	var b bytes.Buffer
	for n := 0; b.Len() < size; n++ {
		b.Write(reading(n))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// keyed is a frame that puts a key of the given length into a table of an aggregate.
func keyed(field protowire.Number, length int) frame {
	first := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "k")
	return frame{before: string(protowire.AppendString(protowire.AppendTag(first, field, protowire.BytesType), strings.Repeat("1", length)))}
}

const envelope = `{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/lambda/orders","logStream":"2026/01/31/[$LATEST]abc","subscriptionFilters":["f"],"logEvents":[`

func honestEvents(size int) []byte {
	var b bytes.Buffer
	b.WriteString(envelope)
	for n := 0; n == 0 || b.Len() < size-200; n++ {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"3195310660696698337880902507980421114328961542429%07d","timestamp":1700000%06d,"message":"{\"level\":\"info\",\"took\":%d,\"path\":\"/orders/%d\"}"}`, n, n, n%977, n*31%10007)
	}
	b.WriteString("]}")
	return b.Bytes()
}

const deep = "deep_down_in_the_record.below_it_there_is_another.and_one_more_to_make_it_long"

const deepBefore, deepAfter = `{"deep_down_in_the_record":{"below_it_there_is_another":{"and_one_more_to_make_it_long":{`, "}}}}"

var stages = []stage{
	{name: "Scan", format: lines(""), honest: order, grammar: arrays("lines", "a"), known: []worst{
		filled("line breaks between values", `{"a":[`, "]}", "\n0"),
		{"nested as deep as allowed", func(g *grammar, size int) []byte {
			return g.fill(`{"a":`+strings.Repeat("[", 990), strings.Repeat("]", 990)+"}", size, "0")
		}},
		filled("one string of control characters", `{"a":"`, `"}`, `\u0000`),
	}},
	{name: "ScanMembers", format: lines(""), honest: order, grammar: objects("a", "a.b.c"), known: []worst{
		filled("event_id again and again", "{", "}", `"event_id":0`),
	}},
	{name: "Transform", query: `.note="none"`, format: lines(""), honest: order, grammar: arrays("lines", "a"), known: []worst{
		filled("one string of control characters", `{"a":"`, `"}`, `\u0000`),
		filled("short numbers", `{"a":[`, "]}", "0"),
		filled("empty objects", `{"a":[`, "]}", "{}"),
		filled("members of short names", `{`, "}", `"#":0`),
	}},
	{name: "TransformSplit", query: `.lines[]`, format: lines(""), honest: order, grammar: arrays("lines"), known: []worst{
		filled("empty objects", `{"lines":[`, "]}", "{}"),
		filled("small objects", `{"lines":[`, "]}", `{"a":0}`),
		filled("small objects and one that fails", `{"lines":[`, ",0]}", `{"a":0}`),
	}},
	{name: "Columns", format: lines(columnsDocument()), honest: order, grammar: arrays("lines", "id", "total", "maps", "a"), known: []worst{
		filled("empty objects with 65 columns", `{"lines":[`, "]}", "{}"),
		filled("maps of 17 keys", `{"maps":[`, "]}", elements[len(elements)-8]),
	}},
	{name: "ColumnsMembers", format: lines(columnsDocument()), honest: order, grammar: objects("tags", "deep_down_in_the_record", deep, "a"), known: []worst{
		filled("unknown members deep inside", deepBefore, deepAfter, `"#":0`),
		filled("a map of short keys", `{"tags":{`, "}}", `"#":0`),
	}},
	{name: "Rules", format: lines(rulesDocument), honest: order, grammar: arrays("lines", "bad", "numbers", "some", "tree", "a"), known: []worst{
		{"different elements of one hash", func(g *grammar, size int) []byte { return g.fill(`{"lines":[`, "]}", 4*size, "%") }},
		filled("elements that all break a rule", `{"lines":[`, "]}", "{}"),
		filled("numbers of large exponents", `{"numbers":[`, "]}", "1e-400"),
		filled("numbers of many digits", `{"numbers":[`, "]}", strings.Repeat("9", 400)),
		{"broken rules as deep as allowed", func(g *grammar, size int) []byte {
			return g.fill(`{"bad":`+strings.Repeat("[", 990), strings.Repeat("]", 990)+"}", size, "0")
		}},
	}},
	{name: "RulesTree", format: lines(rulesDocument), honest: order, grammar: grammar{frames: []frame{{`{"tree":`, "}"}}, nests: jsonNests, units: []string{"0", "[]", "{}", `{"b":{}}`, `{"a":{"a":0}}`}, joint: ","}, known: []worst{
		{"references that fan out", func(g *grammar, _ int) []byte {
			const depth = 18 // the innermost value is looked at 262,144 times
			return g.fill(`{"tree":`+strings.Repeat(`{"a":`, depth)+"[", "]"+strings.Repeat("}", depth)+"}", 1024, "0")
		}},
	}},
	{name: "RulesMembers", format: lines(rulesDocument), honest: order, grammar: objects("tags", "tree", "a"), known: []worst{
		filled("an object of short names", `{"tags":{`, "}}", `"#":0`),
	}},
	{name: "Formats", format: lines(oldDocument), honest: order, grammar: arrays("formats"), known: []worst{
		filled("regular expressions of Unicode classes", `{"formats":[`, "]}", `"\\pL\\pL\\pL\\pL\\pL\\pL\\pL\\pL"`),
	}},
	{name: "Parquet", format: columns(columnsDocument()), honest: order, grammar: arrays("lines", "id", "total", "maps", "a"), known: []worst{
		filled("empty objects with 65 columns", `{"lines":[`, "]}", "{}"),
	}},
	{name: "ParquetMembers", format: columns(columnsDocument()), honest: order, grammar: objects("tags", "deep_down_in_the_record", deep, "a"), known: []worst{
		filled("unknown members deep inside", deepBefore, deepAfter, `"#":0`),
	}},
	{name: "Infer", format: columns(""), honest: order, grammar: arrays("lines", "a"), known: []worst{
		filled("line breaks between values", `{"lines":[`, "]}", "\n0"),
	}},
	{name: "InferMembers", format: columns(""), honest: order, grammar: objects("a", "a.b.c"), known: []worst{
		filled("names that no record had before", "{", "}", `"#":{"#":{"#":[1.5]}}`),
	}},
	{name: "Partition", format: partitioned(columnsDocument(), "identity(id),bucket(16,note),truncate(4,"+deep+".x)"), honest: order, grammar: arrays("lines", "id", "maps", "a"), known: []worst{
		filled("empty objects with 65 columns", `{"lines":[`, "]}", "{}"),
		filled("an id as long as the record", `{"id":"`, `"}`, "x"),
	}},
	{name: "PartitionMembers", format: partitioned(columnsDocument(), "identity(id),bucket(16,note),truncate(4,"+deep+".x)"), honest: order, grammar: objects("tags", deep, "a"), known: []worst{
		filled("unknown members deep inside", deepBefore, deepAfter, `"#":0`),
	}},
	{name: "Inflate", options: record.DecoderOptions{Inflate: true}, format: lines(""), honest: func(size int) []byte { return zip(order(10 * size)) },
		grammar: grammar{frames: []frame{{`{"a":[`, "]}"}, {`{"a":"`, `"}`}}, units: []string{"0,0", "@", " ", "#"}, joint: ",", pack: func(text []byte) []byte { return zip(bytes.Repeat(text, 1000)) }},
		known:   []worst{{"zeros", func(_ *grammar, size int) []byte { return zip(make([]byte, min(1000*size, 256<<20))) }}}},
	{name: "InflateMembers", options: record.DecoderOptions{Inflate: true}, format: lines(""), honest: func(size int) []byte { return zip(order(10 * size)) },
		grammar: grammar{frames: []frame{{}}, units: []string{string(zip(nil)), string(zip([]byte("{}"))), string(zip([]byte(" "))), string(zip(order(300)))}},
		known:   []worst{filled("empty members", "", "", string(zip(nil)))}},
	{name: "InflateLines", options: record.DecoderOptions{Inflate: true, Split: record.SplitLines}, format: lines(""), honest: func(size int) []byte { return zip(honestLines(10 * size)) },
		grammar: grammar{frames: []frame{{}}, units: []string{"{}\n", "0\n", "\n", " \n", `{"a":0}` + "\n", "@\n"}, pack: zip},
		known:   []worst{{"lines of a byte", func(_ *grammar, size int) []byte { return zip(bytes.Repeat([]byte("0\n"), min(70*size, 25<<20))) }}}},
	{name: "Aggregate", format: lines(""), honest: honestAggregate, grammar: grammar{
		frames: []frame{keyed(1, 1), keyed(1, 250), keyed(1, 1<<14), keyed(2, 1), keyed(2, 1<<14)},
		units:  []string{userRecord(0, 0, ""), userRecord(1, 0, ""), userRecord(1, 0, "{}"), userRecord(0, 0, "{}"), userRecord(0, 1, "{}"), userRecord(0, 0, `{"a":0}`), "\x0a\x00", "\x0a\x01k", "\x12\x00", "\x20\x00"}, pack: aggregate},
		known: []worst{
			filled("one long key for many records", keyed(1, 1<<14).before, "", userRecord(1, 0, "")),
			filled("records without data", keyed(1, 1).before, "", userRecord(0, 0, "")),
			filled("keys that no record has", keyed(1, 1).before, "", userRecord(0, 0, "{}"), "\x0a\x00", "\x0a\x00"),
		}},
	{name: "SplitJSON", options: record.DecoderOptions{Split: record.SplitJSON}, format: lines(""), honest: honestLines,
		grammar: grammar{frames: []frame{{}}, nests: jsonNests, units: []string{"{}", "0 ", `{"a":0}`, "[]", "\n", `{"event_id":0}`, `"@"`}},
		known:   []worst{filled("values of a byte", "", "", "0 "), filled("empty objects", "", "", "{}"), filled("small objects", "", "", `{"a":0}`)}},
	{name: "SplitLines", options: record.DecoderOptions{Split: record.SplitLines}, format: lines(""), honest: honestLines,
		grammar: grammar{frames: []frame{{}}, units: []string{"{}\n", "0\n", "\n", " \n", `{"a":0}` + "\n", "@\n"}},
		known:   []worst{filled("lines of a byte", "", "", "0\n"), filled("short lines", "", "", "aaaaaa\n")}},
	{name: "LogMessages", options: record.DecoderOptions{LogEvents: record.LogEventsMessage}, format: lines(""), honest: honestEvents,
		grammar: grammar{frames: []frame{{envelope, "]}"}}, units: logUnits, joint: ","},
		known:   []worst{filled("empty messages", envelope, "]}", `{"message":""}`)}},
	{name: "LogEvents", options: record.DecoderOptions{LogEvents: record.LogEventsObject}, format: lines(""), honest: honestEvents,
		grammar: grammar{frames: []frame{{envelope, "]}"}, {strings.Replace(envelope, "123456789012", "@", 1), "]}"}}, units: logUnits, joint: ","},
		known: []worst{
			filled("empty messages", envelope, "]}", `{"message":""}`),
			filled("an owner of 400 bytes", strings.Replace(envelope, "123456789012", strings.Repeat("1", 400), 1), "]}", `{"message":""}`),
			filled("an owner of 2 KB", strings.Replace(envelope, "123456789012", strings.Repeat("1", 2000), 1), "]}", `{"message":""}`),
		}},
}

var logUnits = []string{`{"message":""}`, `{"message":"{}"}`, `{"message":"\u007b\u007d"}`, `{"message":"\ud83d\u0000"}`, `{"message":"","message":""}`, `{"id":"#","message":"@"}`}
