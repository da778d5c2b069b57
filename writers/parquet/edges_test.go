package parquet

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

// edgeDocument has the columns of edges, including names that need care.
const edgeDocument = `{"type":"object","properties":{
	"i32":{"type":"integer","x-parquet":"int32"},"i64":{"type":"integer"},
	"f":{"type":"number","x-parquet":"float"},"d":{"type":"number"},
	"small":{"type":"number","x-parquet":"decimal(7,2)"},"medium":{"type":"number","x-parquet":"decimal(18,4)"},
	"wide":{"type":"number","x-parquet":"decimal(38,10)"},"whole":{"type":"number","x-parquet":"decimal(38,0)"},
	"day":{"type":"string","format":"date"},"micros":{"type":"string","format":"date-time"},
	"millis":{"type":"string","format":"date-time","x-parquet":"timestamp-millis"},
	"unix":{"type":"number","x-parquet":"timestamp-micros","x-timestamp-unit":"s"},
	"flag":{"type":"boolean"},"text":{"type":"string"},"any":{},
	"group":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"object","properties":{"c":{"type":"string"}}}}},
	"list":{"type":"array","items":{"type":["integer","null"]}},
	"matrix":{"type":"array","items":{"type":["array","null"],"items":{"type":["string","null"]}}},
	"groups":{"type":"array","items":{"type":["object","null"],"properties":{"x":{"type":"integer"}}}},
	"map":{"type":"object","additionalProperties":{"type":["string","null"]}},
	"a.b":{"type":"integer"},"quote\"d \\ key":{"type":"integer"},"schlüssel/~":{"type":"integer"},"日本":{"type":"string"}}}`

// edges are records with extreme values, and the columns that must be read back from them. All others are null.
var edges = []struct{ data, want string }{
	{`{}`, `{}`},
	{`{"i32":2147483647,"i64":9223372036854775807}`, `{"i32":2147483647,"i64":9223372036854775807}`},
	{`{"i32":-2147483648,"i64":-9223372036854775808}`, `{"i32":-2147483648,"i64":-9223372036854775808}`},
	{`{"i32":"-2147483648.0","i64":"9223372036854775807.000"}`, `{"i32":-2147483648,"i64":9223372036854775807}`},
	{`{"i32":-0,"i64":9.223372036854775807e18}`, `{"i32":0,"i64":9223372036854775807}`},
	{`{"f":-0.0,"d":-0.0}`, `{"f":-0.0,"d":-0.0}`},
	{`{"f":0,"d":0}`, `{"f":0.0,"d":0.0}`},
	{`{"f":-0,"d":-0e99}`, `{"f":-0.0,"d":-0.0}`},
	{`{"f":3.4028234663852886e38,"d":1.7976931348623157e308}`, `{"f":3.4028234663852886e38,"d":1.7976931348623157e308}`},
	{`{"f":-3.4028234663852886e38,"d":-1.7976931348623157e308}`, `{"f":-3.4028234663852886e38,"d":-1.7976931348623157e308}`},
	{`{"f":1e-45,"d":5e-324}`, `{"f":1.401298464324817e-45,"d":5e-324}`},
	{`{"f":-1e-45,"d":-3e-324}`, `{"f":-1.401298464324817e-45,"d":-5e-324}`},
	{`{"f":16777217,"d":9007199254740993}`, `{"f":16777216.0,"d":9007199254740992.0}`},
	{`{"f":0.1,"d":0.1}`, `{"f":0.10000000149011612,"d":0.1}`},
	{`{"small":99999.99,"medium":99999999999999.9999,"wide":9999999999999999999999999999.9999999999,"whole":99999999999999999999999999999999999999}`,
		`{"small":"99999.99","medium":"99999999999999.9999","wide":"9999999999999999999999999999.9999999999","whole":"99999999999999999999999999999999999999"}`},
	{`{"small":-99999.99,"medium":-99999999999999.9999,"wide":-9999999999999999999999999999.9999999999,"whole":-99999999999999999999999999999999999999}`,
		`{"small":"-99999.99","medium":"-99999999999999.9999","wide":"-9999999999999999999999999999.9999999999","whole":"-99999999999999999999999999999999999999"}`},
	{`{"small":1e2,"medium":12.5E-3,"wide":1e-10,"whole":1e37}`,
		`{"small":"100.00","medium":"0.0125","wide":"0.0000000001","whole":"1` + zeros(37) + `"}`},
	{`{"small":-0.0,"medium":-0e-9,"wide":0e999999999999,"whole":-0}`, `{"small":"0.00","medium":"0.0000","wide":"0.0000000000","whole":"0"}`},
	{`{"small":"+0001.50","medium":1.50000000000,"wide":"-1","whole":1.2e1}`, `{"small":"1.50","medium":"1.5000","wide":"-1.0000000000","whole":"12"}`},
	{`{"whole":18446744073709551616,"wide":-1844674407.3709551616}`, `{"whole":"18446744073709551616","wide":"-1844674407.3709551616"}`},
	{`{"day":"1970-01-01","micros":"1970-01-01T00:00:00Z","millis":"1970-01-01T00:00:00Z","unix":0}`, `{"day":0,"micros":0,"millis":0,"unix":0}`},
	{`{"day":"1969-12-31","micros":"1969-12-31T23:59:59.999999Z","millis":"1969-12-31T23:59:59.999Z","unix":-1}`,
		`{"day":-1,"micros":-1,"millis":-1000,"unix":-1000000}`},
	// Digits finer than the column are cut off towards the past, even before 1970.
	{`{"micros":"1969-12-31T23:59:59.9999999Z","millis":"1969-12-31T23:59:59.9999Z","unix":-1.5}`, `{"micros":-1,"millis":-1000,"unix":-1500000}`},
	{`{"day":"1900-02-28","micros":"1900-03-01T00:30:00+01:00","millis":"1582-10-04T12:00:00Z"}`, `{"day":-25509,"micros":-2203893000000000,"millis":-12220200000000000}`},
	{`{"day":"0001-01-01","micros":"0001-01-01T00:00:00Z","millis":"0001-01-01T00:00:00Z"}`, `{"day":-719162,"micros":-62135596800000000,"millis":-62135596800000000}`},
	{`{"day":"9999-12-31","micros":"9999-12-31T23:59:59.999999Z","millis":"9999-12-31T23:59:59.999Z"}`, `{"day":2932896,"micros":253402300799999999,"millis":253402300799999000}`},
	{`{"day":"2024-02-29","micros":"2024-02-29 23:59:59","millis":"2024-02-29t00:00:00z"}`, `{"day":19782,"micros":1709251199000000,"millis":1709164800000000}`},
	{`{"flag":true}`, `{"flag":true}`},
	{`{"flag":"FALSE"}`, `{"flag":false}`},
	{`{"i32":"","i64":"","f":"","d":"","small":"","wide":"","day":"","micros":"","flag":"","text":"","any":""}`, `{"text":"","any":"\"\""}`},
	{`{"text":"\u0000","any":"\u0000"}`, `{"text":"\u0000","any":"\"\\u0000\""}`},
	{`{"text":"\ud83d\ude00\ud83d \ude00"}`, `{"text":"😀� �"}`},
	{`{"text":"` + strings.Repeat("x", 64) + `"}`, `{"text":"` + strings.Repeat("x", 64) + `"}`},
	{`{"text":"` + strings.Repeat("x", 65) + `"}`, `{"text":"` + strings.Repeat("x", 65) + `"}`},
	{`{"text":"` + strings.Repeat("\U0010FFFF", 20) + `"}`, `{"text":"` + strings.Repeat("\U0010FFFF", 20) + `"}`},
	{`{"text":` + strings.Repeat("[", 10) + strings.Repeat("]", 10) + `,"any":{"a" : [1,2.50]}}`, `{"text":"[[[[[[[[[[]]]]]]]]]]","any":"{\"a\" : [1,2.50]}"}`},
	{`{"any":null,"text":null,"group":null,"list":null,"map":null}`, `{}`},
	{`{"any":0,"group":{}}`, `{"any":"0","group":{"a":null,"b":null}}`},
	{`{"group":{"b":{}}}`, `{"group":{"a":null,"b":{"c":null}}}`},
	{`{"group":{"a":null,"b":{"c":""}}}`, `{"group":{"a":null,"b":{"c":""}}}`},
	{`{"list":[],"matrix":[],"groups":[],"map":{}}`, `{"list":[],"matrix":[],"groups":[],"map":[]}`},
	{`{"list":[null],"matrix":[null],"groups":[null],"map":{"":null}}`, `{"list":[null],"matrix":[null],"groups":[null],"map":[["",null]]}`},
	{`{"list":[null,7,null],"matrix":[[]],"groups":[{}],"map":{"k":""}}`, `{"list":[null,7,null],"matrix":[[]],"groups":[{"x":null}],"map":[["k",""]]}`},
	{`{"matrix":[[null],null,[],["","é",null]],"groups":[{"x":1},null,{"x":null}]}`, `{"matrix":[[null],null,[],["","é",null]],"groups":[{"x":1},null,{"x":null}]}`},
	{`{"map":{"\u006b":"1","K":"2","k\"":"3","日":"4"}}`, `{"map":[["k","1"],["K","2"],["k\"","3"],["日","4"]]}`},
	{`{"a.b":1,"quote\"d \\ key":2,"schlüssel/~":3,"日本":"4"}`, `{"a.b":1,"quote\"d \\ key":2,"schlüssel/~":3,"日本":"4"}`},
	{`{"a\u002eb":1,"quote\u0022d \u005c key":2,"schl\u00FCssel\/~":3,"\u65e5\u672C":"4"}`, `{"a.b":1,"quote\"d \\ key":2,"schlüssel/~":3,"日本":"4"}`},
	{`{"a":{"b":1},"A.B":2,"new\n":"\ud800"}`, `{"_extra":"{\"a\":{\"b\":1},\"A.B\":2,\"new\\n\":\"\\ud800\"}"}`},
	{`{"group":{"z":1,"b":{"a/b~":[null]}}}`, `{"group":{"a":null,"b":{"c":null}},"_extra":"{\"/group/z\":1,\"/group/b/a~1b~0\":[null]}"}`},
	{"\xef\xbb\xbf { \"i64\" :\t1 } \r\n", `{"i64":1}`},
}

func zeros(n int) string { return strings.Repeat("0", n) }

// edgeSamples have the edges in one row group, and each in a row group of its own.
func edgeSamples(tb testing.TB) (list []sample) {
	s := mustParse(tb, edgeDocument)
	names := make([]string, 0, len(s.Fields)+1)
	for _, f := range s.Fields {
		names = append(names, f.Name)
	}
	names = append(names, "_extra")
	var records []record.Record
	var want []string
	for i, edge := range edges {
		records = append(records, record.Record{SequenceNumber: sequence(i), Data: []byte(edge.data)})
		var columns map[string]json.RawMessage
		if err := json.Unmarshal([]byte(edge.want), &columns); err != nil {
			tb.Fatalf("%s: %v", edge.want, err)
		}
		var row strings.Builder
		for _, name := range names {
			value := "null"
			if v, ok := columns[name]; ok {
				value = string(v)
				delete(columns, name)
			}
			row.WriteString(quoteJSON(name) + ":" + value + ",")
		}
		if len(columns) > 0 {
			tb.Fatalf("%s has columns that are not there", edge.want)
		}
		want = append(want, "{"+row.String()+`"event_id":`+quoteJSON(sequence(i))+"}")
	}
	bloom := []string{"i32", "f", "d", "small", "wide", "micros", "text"}
	for _, o := range []Options{{Bloom: bloom}, {RowGroupBytes: 1, Compression: Zstd, PlainIntegers: true}} {
		o.Schema = s
		list = append(list, sample{fmt.Sprintf("edges, row groups of %d bytes", o.RowGroupBytes), writeFile(tb, mustFormat(tb, o), records), want})
	}
	return list
}

// lateSamples are two files without a schema. In the first, new members and other types appear in the middle. They have
// columns in the second.
func lateSamples(tb testing.TB) (list []sample) {
	f := mustFormat(tb, Options{Compression: Zstd})
	for file := range 2 {
		var records []record.Record
		var want []string
		for i := range 3000 {
			id, extra := strconv.Itoa(i), ""
			data := fmt.Sprintf(`"name":"n%d","tags":[%d,null,%d],"geo":{"lat":%d.5}`, i%7, i, i+1, i%90)
			row := data
			late := "null"
			if file > 0 || i >= 1500 {
				value := fmt.Sprintf(`{"x":%d,"y":"é%d"}`, i, i%3)
				data += `,"late":` + value
				if late = value; file == 0 {
					extra = `,"late":` + value
				}
			}
			if i%97 == 96 && i > defaultInferRows {
				data = `"id":"number ` + id + `",` + data
				extra = `,"id":"number ` + id + `"` + extra
				id = "null"
			} else {
				data = `"id":` + id + "," + data
			}
			row = `{"id":` + id + "," + row
			if file > 0 {
				row += `,"late":` + late
			}
			if extra != "" {
				extra = quoteJSON("{" + extra[1:] + "}")
			} else {
				extra = "null"
			}
			records = append(records, record.Record{SequenceNumber: sequence(i), Data: []byte("{" + data + "}")})
			want = append(want, row+`,"_extra":`+extra+`,"event_id":`+quoteJSON(sequence(i))+"}")
		}
		list = append(list, sample{fmt.Sprintf("inferred columns, file %d", file+1), writeFile(tb, f, records), want})
	}
	return list
}

// zeroSamples are files whose zeros all have the same sign, with and without a dictionary.
func zeroSamples(tb testing.TB) (list []sample) {
	s := mustParse(tb, `{"x-extra":false,"properties":{"f":{"type":"number","x-parquet":"float"},"d":{"type":"number"}}}`)
	for _, zero := range []string{"0.0", "-0.0"} {
		for _, distinct := range []int{3, 1000} {
			var records []record.Record
			var want []string
			for i := range 1000 {
				data := fmt.Sprintf(`"f":%d.5,"d":-%d.5`, i%distinct, i%distinct)
				if i%distinct == 1 {
					data = `"f":` + zero + `,"d":` + zero
				}
				records = append(records, record.Record{SequenceNumber: strconv.Itoa(i), Data: []byte("{" + data + "}")})
				want = append(want, "{"+data+`,"event_id":"`+strconv.Itoa(i)+`"}`)
			}
			f := mustFormat(tb, Options{Schema: s, Bloom: []string{"f", "d"}})
			list = append(list, sample{fmt.Sprintf("zero as %s, %d values", zero, distinct), writeFile(tb, f, records), want})
		}
	}
	return list
}

// nullPages is a file with pages that hold only nulls, before, between and after others.
func nullPages(tb testing.TB) sample {
	s := mustParse(tb, `{"x-extra":false,"properties":{"n":{"type":"integer"},"list":{"type":"array","items":{"type":"integer"}}}}`)
	var records []record.Record
	var want []string
	for i := range 2*pageRows + 10 {
		data, row := "", `"n":null,"list":null`
		if page := i / pageRows; page%2 == 1 {
			data = fmt.Sprintf(`"n":%d,"list":[%d]`, i, -i)
			row = data
		}
		records = append(records, record.Record{SequenceNumber: strconv.Itoa(i), Data: []byte("{" + data + "}")})
		want = append(want, "{"+row+`,"event_id":"`+strconv.Itoa(i)+`"}`)
	}
	return sample{"pages of nulls", writeFile(tb, mustFormat(tb, Options{Schema: s}), records), want}
}

// arrivalSamples are files with the time of each record's arrival, with a schema and without. A member of that name has no
// column without a schema, in no case.
func arrivalSamples(tb testing.TB) (list []sample) {
	times := []time.Time{time.Date(2026, 1, 31, 23, 59, 59, 999_000_000, time.UTC), time.Date(1969, 12, 31, 0, 0, 0, 1_000_000, time.FixedZone("", 3600))}
	for _, s := range []*schema.Schema{nil, mustParse(tb, `{"properties":{"a":{"type":"integer"}}}`)} {
		var records []record.Record
		var want []string
		for i, at := range times {
			records = append(records, record.Record{SequenceNumber: sequence(i), Arrival: at, Data: fmt.Appendf(nil, `{"a":%d,"_ARRIVED_AT":"x"}`, i)})
			want = append(want, fmt.Sprintf(`{"a":%d,"_extra":"{\"_ARRIVED_AT\":\"x\"}","event_id":%s,"_arrived_at":%d}`, i, quoteJSON(sequence(i)), at.UnixMicro()))
		}
		format := mustFormat(tb, Options{Schema: s, ArrivedAt: true, Bloom: bloomWith(s, "_arrived_at")})
		list = append(list, sample{fmt.Sprintf("arrivals, schema %t", s != nil), writeFile(tb, format, records), want})
	}
	return list
}

// bloomWith returns Bloom columns, which need a schema.
func bloomWith(s *schema.Schema, columns ...string) []string {
	if s == nil {
		return nil
	}
	return columns
}

func TestNew_RefusesAPropertyWithTheNameOfTheArrival(t *testing.T) {
	s := mustParse(t, `{"properties":{"a":{},"_Arrived_At":{}}}`)
	if _, err := New(Options{Schema: s}); err != nil {
		t.Errorf("without the arrival: %v", err)
	}
	if _, err := New(Options{Schema: s, ArrivedAt: true}); err == nil || !strings.Contains(err.Error(), "SCHEMA has the property _Arrived_At: want another name") {
		t.Errorf("got %v", err)
	}
}
