package table

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

var tripsSchema = mustSchema(`{"properties":{
	"text":{"type":"string"}, "json":{}, "i":{"type":"integer","x-parquet":"int32"}, "l":{"type":"integer"},
	"f":{"type":"number","x-parquet":"float"}, "d":{"type":"number"}, "b":{"type":"boolean"},
	"narrow":{"x-parquet":"decimal(9,2)"}, "wide":{"x-parquet":"decimal(38,3)"},
	"day":{"type":"string","format":"date"}, "at":{"type":"string","format":"date-time"},
	"ms":{"x-parquet":"timestamp-millis","x-timestamp-unit":"ms"},
	"in":{"type":"object","properties":{"zip":{"type":"string"},"deep":{"type":"object","properties":{"n":{"type":"integer"}}}}},
	"list":{"type":"array","items":{"type":"integer"}}}}`)

// tripsColumns are those of a table for tripsSchema, some of them wider than the members, one with another name.
var tripsColumns = []Column{
	{ID: 1, Name: "text", Member: "text", Type: "string"}, {ID: 2, Name: "json", Member: "json", Type: "string"},
	{ID: 3, Name: "i", Member: "i", Type: "int"}, {ID: 4, Name: "renamed", Member: "l", Type: "long"},
	{ID: 5, Name: "f", Member: "f", Type: "double"}, {ID: 6, Name: "d", Member: "d", Type: "double"}, {ID: 7, Name: "b", Member: "b", Type: "boolean"},
	{ID: 8, Name: "narrow", Member: "narrow", Type: "decimal(12, 2)"}, {ID: 9, Name: "wide", Member: "wide", Type: "decimal(38, 3)"},
	{ID: 10, Name: "day", Member: "day", Type: "date"}, {ID: 11, Name: "at", Member: "at", Type: "timestamptz"},
	{ID: 12, Name: "ms", Member: "ms", Type: "timestamp"},
	{ID: 13, Name: "in", Member: "in", Type: "struct", Fields: []Column{
		{ID: 14, Name: "zip", Member: "zip", Type: "string"},
		{ID: 15, Name: "deep", Member: "deep", Type: "struct", Fields: []Column{{ID: 16, Name: "n", Member: "n", Type: "long"}}},
	}},
	{ID: 17, Name: "list", Member: "list", Type: "list", Element: &Column{ID: 18, Name: "element", Type: "long"}},
	{ID: 19, Name: "foreign", Type: "string"}, {ID: 20, Name: "event_id", Member: "event_id", Type: "string", Required: true},
	{ID: 21, Name: "_arrived_at", Member: "_arrived_at", Type: "timestamptz"}, {ID: 22, Name: "_extra", Member: "_extra", Type: "string"},
}

func mustSchema(document string) *schema.Schema {
	s, err := schema.Parse("trips", []byte(document))
	if err != nil {
		panic(err)
	}
	return s
}

func partitioner(t *testing.T, s *schema.Schema, fields ...PartitionField) *Partitioner {
	t.Helper()
	p, err := newPartitioner(tripsColumns, s, fields...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newPartitioner(columns []Column, s *schema.Schema, fields ...PartitionField) (*Partitioner, error) {
	v, err := NewView(&Definition{Columns: columns, Spec: Spec{Fields: fields}}, s)
	if err != nil {
		return nil, err
	}
	return NewPartitioner(v)
}

// tupleOf is the tuple of a record that has one.
func tupleOf(p *Partitioner, r *record.Record) string {
	tuple, fault := p.Tuple(r)
	if fault != nil {
		panic(fault)
	}
	return tuple
}

func trip(data string) *record.Record {
	return &record.Record{SequenceNumber: "4950", Arrival: time.Date(1969, 12, 31, 23, 59, 59, 999e6, time.UTC), Data: []byte(data)}
}

func TestPartitioner_ComputesTuplesOfColumns(t *testing.T) {
	const payload = `{"text":"tröt","json":{"a": 1},"i":-7,"l":"42","f":1.5,"d":-0.25,"b":"TRUE","narrow":-1.28,"wide":12345678901234567890.125,
		"day":"1969-12-31","at":"1969-12-31T23:59:59.999999Z","ms":-1,"in":{"deep":{"n":3},"zip":"10 115"},"list":[1]}`
	for _, c := range []struct {
		source    int
		transform string
		want      []byte // nil for null
	}{
		{1, "identity", []byte("tröt")},
		{1, "truncate[3]", []byte("trö")},
		{1, "void", nil},
		{2, "identity", []byte(`{"a": 1}`)},
		{3, "truncate[10]", appendInt(nil, -10)},
		{4, "identity", appendLong(nil, 42)},
		{5, "identity", []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}},
		{6, "identity", []byte{0, 0, 0, 0, 0, 0, 0xd0, 0xbf}},
		{7, "identity", []byte{1}},
		{8, "identity", []byte{0x80}},
		{9, "identity", []byte{2, 0x9d, 0x42, 0xb6, 0x4e, 0x76, 0x71, 0x42, 0x44, 0xcd}},
		{10, "identity", appendInt(nil, -1)},
		{10, "year", appendInt(nil, -1)},
		{11, "hour", appendInt(nil, -1)},
		{12, "identity", appendLong(nil, -1000)},
		{12, "day", appendInt(nil, -1)},
		{14, "identity", []byte("10 115")},
		{16, "identity", appendLong(nil, 3)},
		{19, "identity", nil},
		{20, "identity", []byte("4950")},
		{21, "day", appendInt(nil, -1)},
		{21, "identity", appendLong(nil, -1000)},
	} {
		p := partitioner(t, tripsSchema, PartitionField{1000, "x", c.source, c.transform})
		if got := p.Values(tupleOf(p, trip(payload))); len(got) != 1 || string(got[0]) != string(c.want) || (got[0] == nil) != (c.want == nil) {
			t.Errorf("%s of column %d: got %x, want %x", c.transform, c.source, got, c.want)
		}
	}
}

func TestPartitioner_HasNullForWhatItCannotRead(t *testing.T) {
	p := partitioner(t, tripsSchema, PartitionField{1000, "x", 1, "identity"}, PartitionField{1001, "y", 14, "identity"}, PartitionField{1002, "d", 21, "day"})
	null := p.Values(tupleOf(p, trip(`{}`)))
	for _, data := range []string{``, `null`, `{"text":"a"`, `{"text":"a","in":{"zip":"b"}}x`, `{"text":"a","text":"b"}`, `{"in":7}`, "{\"text\":\"\xff\"}"} {
		if got := p.Values(tupleOf(p, trip(data))); !reflect.DeepEqual(got, null) {
			t.Errorf("%s: got %x", data, got)
		}
	}
	if got := p.Values(tupleOf(p, trip(`{"text":"","in":{"zip":""}}`))); string(got[0]) != "" || got[0] == nil || got[1] == nil || got[2] == nil {
		t.Errorf("empty texts give %x", got)
	}
	faulty := trip(`{"text":"a"}`)
	faulty.Fault = &record.Fault{}
	if got := p.Values(tupleOf(p, faulty)); got[0] != nil {
		t.Errorf("a record with a fault gives %x", got)
	}
}

func TestPartitioner_RefusesLongTuples(t *testing.T) {
	p := partitioner(t, tripsSchema, PartitionField{1000, "x", 1, "identity"}, PartitionField{1001, "y", 14, "identity"})
	of := func(a, b int) *record.Record {
		return trip(fmt.Sprintf(`{"text":%q,"in":{"zip":%q}}`, strings.Repeat("a", a), strings.Repeat("b", b)))
	}
	if values := p.Values(tupleOf(p, of(1000, 24))); len(values[0]) != 1000 || len(values[1]) != 24 {
		t.Errorf("got %q", values)
	}
	for _, r := range []*record.Record{of(1000, 25), of(1<<20, 0)} {
		if tuple, fault := p.Tuple(r); fault == nil || fault.Code != CodeTupleTooLong || tuple != "" {
			t.Errorf("%d bytes: got %d bytes, %v", len(r.Data), len(tuple), fault)
		}
	}
	short := partitioner(t, tripsSchema, PartitionField{1000, "x", 1, "truncate[8]"}, PartitionField{1001, "y", 14, "bucket[8]"})
	if _, fault := short.Tuple(of(1<<20, 1<<20)); fault != nil {
		t.Error(fault)
	}
}

// Two tuples are the same string only if they are the same values.
func TestPartitioner_TellsTuplesApart(t *testing.T) {
	p := partitioner(t, tripsSchema, PartitionField{1000, "x", 1, "identity"}, PartitionField{1001, "y", 14, "identity"})
	seen := map[string]string{}
	for _, a := range []string{`null`, `""`, `"a"`, `"ab"`, `"\u0000"`, `"\u0001"`, `"\u0000\u0000"`} {
		for _, b := range []string{`null`, `""`, `"b"`, `"\u0000"`, `"\u0001"`, `"\u0001\u0001"`} {
			data := fmt.Sprintf(`{"text":%s,"in":{"zip":%s}}`, a, b)
			tuple := tupleOf(p, trip(data))
			if other, ok := seen[tuple]; ok {
				t.Errorf("%s and %s have the same tuple", data, other)
			}
			seen[tuple] = data
		}
	}
}

func TestNewPartitioner_SaysWhatItCannotDo(t *testing.T) {
	for want, field := range map[string]PartitionField{
		"want a column that is not in a list or map": {1000, "x", 18, "identity"},
		"its source is column 99":                    {1000, "x", 99, "identity"},
		`type "list": want a primitive type`:         {1000, "x", 17, "identity"},
		`transform "days": want identity`:            {1000, "x", 21, "days"},
		"day of a column of type string":             {1000, "x", 1, "day"},
		"its source is _extra":                       {1000, "x", 22, "identity"},
	} {
		_, err := newPartitioner(tripsColumns, tripsSchema, field)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "partition field x") {
			t.Errorf("%+v: got %v, want %q", field, err, want)
		}
	}
}

func TestPartitioner_IsSafeForConcurrentUse(t *testing.T) {
	p := partitioner(t, tripsSchema, PartitionField{1000, "x", 1, "identity"})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 500 {
				want := fmt.Sprint(i, "-", j%7)
				if got := p.Values(tupleOf(p, trip(`{"text":"`+want+`"}`))); string(got[0]) != want {
					t.Errorf("got %s, want %s", got[0], want)
				}
			}
		})
	}
	all.Wait()
}

// A tuple has what the columns of all members have, for strict and inferred schemas, for records with all kinds of faults,
// and for records that are too large for their columns.
func TestPartitioner_AgreesWithTheColumnsOfFiles(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 2))
	outcomes := map[string]int{}
	inferrer := schema.NewInferrer()
	for i := range 200 {
		if err := inferrer.Add([]byte(randomTrip(random, false))); err != nil {
			t.Fatal(err)
		}
		if err := inferrer.Add(fmt.Appendf(nil, `{"many":[{"member%d":%d}]}`, i%150, i)); err != nil {
			t.Fatal(err)
		}
	}
	inferred := definitionOf(inferrer.Schema()).Columns
	for name, c := range map[string]struct {
		columns []Column
		schema  *schema.Schema
	}{"strict": {tripsColumns, tripsSchema}, "inferred": {inferred, nil}} {
		fields := identities(c.columns)
		if len(fields) < 8 {
			t.Fatalf("%s has only %d fields", name, len(fields))
		}
		for range 1500 {
			field := fields[random.IntN(len(fields))]
			v, err := NewView(&Definition{Columns: c.columns, Spec: Spec{Fields: []PartitionField{field}}}, c.schema)
			if err != nil {
				t.Fatal(err)
			}
			p, err := NewPartitioner(v)
			if err != nil {
				t.Fatal(err)
			}
			data := randomTrip(random, true)
			if random.IntN(10) == 0 && !strings.Contains(data, `"many"`) {
				data = data[:len(data)-1] + `,"many":[` + strings.Repeat(`{},`, random.IntN(3000)) + `{}]}`
			}
			r := trip(data)
			full := shred.New(v.Schema, true)
			if full.Append(r) != nil {
				outcomes[name+" refused"]++
				p.Tuple(r) // whatever it is
				continue
			}
			var want []byte
			for _, column := range full.Columns() {
				if column.Field.ID == field.Source && column.Values() > 0 {
					want = appendFirst([]byte{}, column, p.fields[0].typ, new(shred.Text))
				}
			}
			outcome := " null"
			if want != nil {
				outcome = " value"
			} else if p.sources != nil {
				if alone := newReader(p.sources, false, p.leaves); alone.shredder.Append(r) == nil && alone.columns[0].Values() > 0 {
					outcome = " in _extra as a whole" // although the source alone would have a value
				}
			}
			outcomes[name+outcome]++
			if got := p.Values(tupleOf(p, r))[0]; string(got) != string(want) || (got == nil) != (want == nil) {
				t.Fatalf("column %d, %s: the tuple has %x, the column %x", field.Source, data[:min(len(data), 1000)], got, want)
			}
		}
	}
	for _, outcome := range []string{"strict refused", "strict null", "strict value", "inferred refused", "inferred null", "inferred value", "inferred in _extra as a whole"} {
		if outcomes[outcome] == 0 {
			t.Errorf("no record was %s: %v", outcome, outcomes)
		}
	}
}

// identities are partition fields of all columns with single values that payloads fill.
func identities(columns []Column) (fields []PartitionField) {
	for _, c := range columns {
		if _, err := ParseType(c.Type); err == nil && !isOwn(c.Member) {
			fields = append(fields, PartitionField{1000 + c.ID, fmt.Sprint("f", c.ID), c.ID, "identity"})
		}
		fields = append(fields, identities(c.Fields)...)
	}
	return fields
}

// randomTrip makes a record of members of tripsSchema and of others, some of them with values that do not fit.
func randomTrip(random *rand.Rand, wrong bool) string {
	fitting := map[string][]string{
		"text": {`"a"`, `"\u00e4\n"`, `""`}, "json": {`[1,{"x":2}]`, `{"a":"b"}`}, "i": {`1`, `-70`, `"8"`}, "l": {`9007199254740993`, `-1`},
		"f": {`0.5`, `-1e3`}, "d": {`0.1`, `-2.5e10`, `7`}, "b": {`true`, `false`}, "narrow": {`1.25`, `-9999999.99`}, "wide": {`1e20`, `-0.125`},
		"day": {`"2026-02-28"`, `"1901-01-01"`}, "at": {`"2026-02-28T12:00:00+01:00"`, `"1901-01-01T00:00:00.000001Z"`}, "ms": {`1767225600000`, `-1`},
		"in": {`{"zip":"1","deep":{"n":5}}`, `{"deep":{"n":-5,"other":1}}`, `{"zip":"x"}`}, "list": {`[]`, `[1,2]`},
		"many": {`[{"a":1,"b":{"c":"d","e":[1]}}]`, `[{"f":"g","h":1.5}]`}, "more": {`"x"`, `2`},
	}
	unfit := []string{`null`, `"x"`, `3`, `1e400`, `0.1`, `12345678901234567890`, `{}`, `[]`, `true`, `"2026-13-01"`, `"\ud800"`, `{"zip":7}`, `{"deep":[]}`}
	var members []string
	for name, values := range fitting {
		switch random.IntN(6) {
		case 0:
			continue
		case 1:
			if wrong && random.IntN(3) == 0 {
				values = unfit
			}
		}
		quoted, _ := json.Marshal(name)
		if random.IntN(10) == 0 {
			quoted = fmt.Appendf(nil, `"\u%04x%s"`, name[0], name[1:])
		}
		members = append(members, string(quoted)+":"+values[random.IntN(len(values))])
	}
	if wrong && random.IntN(20) == 0 && len(members) > 0 {
		members = append(members, members[0])
	}
	if wrong && random.IntN(40) == 0 {
		members = append(members, `"broken`)
	}
	if len(members) == 0 {
		members = append(members, `"more":1`)
	}
	return "{" + strings.Join(members, ",") + "}"
}
