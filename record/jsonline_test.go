package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
)

const sequence = "49590338271490256608559692538361571095921575989136588898"

func TestAppendJSONLine_AddsTheEventIDAndTouchesNothingElse(t *testing.T) {
	id := `"` + sequence + `"`
	tests := []struct{ name, payload, want string }{
		{"one member", `{"a":1}`, `{"a":1,"event_id":` + id + `}`},
		{"no member", `{}`, `{"event_id":` + id + `}`},
		{"no member, with space", `{ }`, `{ "event_id":` + id + `}`},
		{"space before the brace", `{"a":1 }`, `{"a":1 ,"event_id":` + id + `}`},
		{"white space around", " \r\n\t{\"a\":1}\n\n ", `{"a":1,"event_id":` + id + `}`},
		{"byte order mark", "\xef\xbb\xbf {\"a\":1}", `{"a":1,"event_id":` + id + `}`},
		{"number spelled oddly", `{"a":-0.0E+00,"b":1e400}`, `{"a":-0.0E+00,"b":1e400,"event_id":` + id + `}`},
		{"member twice", `{"a":1,"a":2}`, `{"a":1,"a":2,"event_id":` + id + `}`},
		{"line breaks between tokens", "{\r\n\t\"a\":\n[1,\n2]\r}", "{  \t\"a\": [1, 2] ,\"event_id\":" + id + `}`},
		{"line breaks in strings", `{"a\n":"\r\n"}`, `{"a\n":"\r\n","event_id":` + id + `}`},
		{"not ASCII", `{"é":"日本 \ud83d\ude00 😀"}`, `{"é":"日本 \ud83d\ude00 😀","event_id":` + id + `}`},
		{"half a surrogate pair", `{"a":"\ud800"}`, `{"a":"\ud800","event_id":` + id + `}`},
		{"event id there", `{"event_id":{"x":[1]},"b":2}`, `{"event_id":` + id + `,"b":2}`},
		{"event id last", `{"b":2, "event_id" : null }`, `{"b":2, "event_id" : ` + id + ` }`},
		{"event id escaped", `{"\u0065vent\u005Fid":1}`, `{"\u0065vent\u005Fid":` + id + `}`},
		{"event id escaped all over", `{"\u0065\u0076\u0065\u006e\u0074\u005f\u0069\u0064":1}`, `{"\u0065\u0076\u0065\u006e\u0074\u005f\u0069\u0064":` + id + `}`},
		{"event id twice", `{"event_id":1,"a":2,"event_id":3}`, `{"event_id":` + id + `,"a":2,"event_id":` + id + `}`},
		{"event id further down", `{"a":{"event_id":1},"b":[{"event_id":2}]}`, `{"a":{"event_id":1},"b":[{"event_id":2}],"event_id":` + id + `}`},
		{"names like it", `{"Event_id":1,"event_i":2,"event_idd":3,"event-id":4,"event_i\u0065":5,"\\u0065vent_i":6,"event_\tabcde":7}`,
			`{"Event_id":1,"event_i":2,"event_idd":3,"event-id":4,"event_i\u0065":5,"\\u0065vent_i":6,"event_\tabcde":7,"event_id":` + id + `}`},
		{"long string", `{"a":"` + strings.Repeat("[-8.618643,41.141412],", 50) + `"}`, `{"a":"` + strings.Repeat("[-8.618643,41.141412],", 50) + `","event_id":` + id + `}`},
		{"deepest nesting", `{"a":` + strings.Repeat("[", jsonscan.MaxDepth-1) + strings.Repeat("]", jsonscan.MaxDepth-1) + `}`,
			`{"a":` + strings.Repeat("[", jsonscan.MaxDepth-1) + strings.Repeat("]", jsonscan.MaxDepth-1) + `,"event_id":` + id + `}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload := []byte(tt.payload)
			line, err := record.AppendJSONLine([]byte("before\n"), &record.Record{SequenceNumber: sequence, Data: payload})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(line); got != "before\n"+tt.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if string(payload) != tt.payload {
				t.Errorf("the payload has become %s", payload)
			}
		})
	}
}

func TestAppendArrivalLine_AddsTheTimeOfTheArrival(t *testing.T) {
	arrival := time.Date(2026, 1, 31, 11, 0, 0, 123_999_999, time.FixedZone("", 3600))
	const id, at = `"` + sequence + `"`, `"2026-01-31T10:00:00.123Z"`
	const both = `"event_id":` + id + `,"_arrived_at":` + at
	for payload, want := range map[string]string{
		`{"a":1}`:                   `{"a":1,` + both + `}`,
		`{}`:                        `{` + both + `}`,
		"{\n}":                      `{ ` + both + `}`,
		`{"event_id":1}`:            `{"event_id":` + id + `,"_arrived_at":` + at + `}`,
		`{"_arrived_at":{"x":[1]}}`: `{"_arrived_at":` + at + `,"event_id":` + id + `}`,
		`{"_arrived_at":1,"a":2, "event_id" : null ,"_arrived_at":3}`:                                  `{"_arrived_at":` + at + `,"a":2, "event_id" : ` + id + ` ,"_arrived_at":` + at + `}`,
		`{"\u005farrived\u005Fat":1}`:                                                                  `{"\u005farrived\u005Fat":` + at + `,"event_id":` + id + `}`,
		`{"\u005f\u0061\u0072\u0072\u0069\u0076\u0065\u0064\u005f\u0061\u0074":1,"a":2}`:               `{"\u005f\u0061\u0072\u0072\u0069\u0076\u0065\u0064\u005f\u0061\u0074":` + at + `,"a":2,"event_id":` + id + `}`,
		`{"event\u005fid":1}`:                                                                          `{"event\u005fid":` + id + `,"_arrived_at":` + at + `}`,
		`{"a":{"_arrived_at":1},"_Arrived_at":2,"_arrived_at2":3,"arrived_at":4,"_arrived\u0020at":5}`: `{"a":{"_arrived_at":1},"_Arrived_at":2,"_arrived_at2":3,"arrived_at":4,"_arrived\u0020at":5,` + both + `}`,
	} {
		line, err := record.AppendArrivalLine([]byte("before\n"), &record.Record{SequenceNumber: sequence, Arrival: arrival, Data: []byte(payload)})
		if got := string(line); err != nil || got != "before\n"+want+"\n" {
			t.Errorf("%s: got %s, %v\nwant %s", payload, got, err, want)
		}
	}
	if line, err := record.AppendArrivalLine([]byte("before\n"), &record.Record{Data: []byte(`{"_arrived_at":1,"a":}`)}); err == nil || string(line) != "before\n" {
		t.Errorf("a faulty record gives %q, %v", line, err)
	}
	line, err := record.AppendJSONLine(nil, &record.Record{SequenceNumber: sequence, Arrival: arrival, Data: []byte(`{"_arrived_at":1,"\u005farrived_at":2}`)})
	if want := `{"_arrived_at":1,"\u005farrived_at":2,"event_id":` + id + "}\n"; err != nil || string(line) != want {
		t.Errorf("without the arrival: got %s, %v; want %s", line, err, want)
	}
}

func TestAppendJSONLine_NamesTheUserRecordOfAnAggregate(t *testing.T) {
	r := record.Record{SequenceNumber: "7", Aggregated: true, SubSequence: 12, Split: true, Part: 3, Data: []byte(`{"a":1}`)}
	line, err := record.AppendJSONLine(nil, &r)
	if want := `{"a":1,"event_id":"7-12-3"}` + "\n"; err != nil || string(line) != want {
		t.Fatalf("got %q, %v; want %q", line, err, want)
	}
}

func TestAppendJSONLine_RefusesWhatIsNoObject(t *testing.T) {
	deep := `{"a":` + strings.Repeat("[", jsonscan.MaxDepth)
	tests := []struct{ name, payload, code, place string }{
		{"nothing", "", record.CodeJSONEmpty, "0 bytes"},
		{"white space", " \r\n\t", record.CodeJSONEmpty, "4 bytes"},
		{"byte order mark", "\xef\xbb\xbf", record.CodeJSONEmpty, "3 bytes"},
		{"two byte order marks", "\xef\xbb\xbf\xef\xbb\xbf{}", record.CodeJSONMalformed, "byte 3"},
		{"array", ` [1,2]`, record.CodeJSONNotAnObject, "byte 1"},
		{"string", `"{}"`, record.CodeJSONNotAnObject, "byte 0"},
		{"null", `null`, record.CodeJSONNotAnObject, "byte 0"},
		{"CSV", `1,2,3`, record.CodeJSONNotAnObject, "byte 0"},
		{"text", `hello`, record.CodeJSONMalformed, "byte 0"},
		{"array with a fault", `[1,]`, record.CodeJSONMalformed, "byte 3"},
		{"gzip", "\x1f\x8b\x08\x00", record.CodeJSONMalformed, "byte 0"},
		{"form feed is not white space", "\f{}", record.CodeJSONMalformed, "byte 0"},
		{"cut in the name", `{"a`, record.CodeJSONTruncated, "byte 3"},
		{"cut before the colon", `{"a" `, record.CodeJSONTruncated, "byte 5"},
		{"cut before the value", `{"a":`, record.CodeJSONTruncated, "byte 5"},
		{"cut in a literal", `{"a":tru`, record.CodeJSONTruncated, "byte 8"},
		{"cut in a number", `{"a":-`, record.CodeJSONTruncated, "byte 6"},
		{"cut in a fraction", `{"a":1.`, record.CodeJSONTruncated, "byte 7"},
		{"cut in an exponent", `{"a":1e+`, record.CodeJSONTruncated, "byte 8"},
		{"cut in an escape", `{"a":"\`, record.CodeJSONTruncated, "byte 7"},
		{"cut in a long escape", `{"a":"\u12`, record.CodeJSONTruncated, "byte 10"},
		{"cut after a member", `{"a":1`, record.CodeJSONTruncated, "byte 6"},
		{"cut after a comma", `{"a":1,`, record.CodeJSONTruncated, "byte 7"},
		{"cut in an array", `{"a":[1`, record.CodeJSONTruncated, "byte 7"},
		{"opening brace", `{`, record.CodeJSONTruncated, "byte 1"},
		{"comma at the end", `{"a":1,}`, record.CodeJSONMalformed, "byte 7"},
		{"comma at the beginning", `{,"a":1}`, record.CodeJSONMalformed, "byte 1"},
		{"no colon", `{"a" 1}`, record.CodeJSONMalformed, "byte 5"},
		{"no comma", `{"a":1 "b":2}`, record.CodeJSONMalformed, "byte 7"},
		{"name without quotes", `{a:1}`, record.CodeJSONMalformed, "byte 1"},
		{"single quotes", `{'a':1}`, record.CodeJSONMalformed, "byte 1"},
		{"comment", `{"a":1/**/}`, record.CodeJSONMalformed, "byte 6"},
		{"leading zero", `{"a":01}`, record.CodeJSONMalformed, "byte 6"},
		{"leading plus", `{"a":+1}`, record.CodeJSONMalformed, "byte 5"},
		{"leading point", `{"a":.5}`, record.CodeJSONMalformed, "byte 5"},
		{"no digit behind the point", `{"a":5.}`, record.CodeJSONMalformed, "byte 7"},
		{"no digit in the exponent", `{"a":5e}`, record.CodeJSONMalformed, "byte 7"},
		{"minus without digits", `{"a":-x}`, record.CodeJSONMalformed, "byte 6"},
		{"NaN", `{"a":NaN}`, record.CodeJSONMalformed, "byte 5"},
		{"True", `{"a":True}`, record.CodeJSONMalformed, "byte 5"},
		{"nul", `{"a":nul}`, record.CodeJSONMalformed, "byte 8"},
		{"unknown escape", `{"a":"\x41"}`, record.CodeJSONMalformed, "byte 7"},
		{"bad hex digit", `{"a":"\u00g0"}`, record.CodeJSONMalformed, "byte 10"},
		{"bad last hex digit", `{"a":"\u000x"}`, record.CodeJSONMalformed, "byte 11"},
		{"line feed in a string", "{\"a\":\"x\ny\"}", record.CodeJSONMalformed, "byte 7"},
		{"NUL in a string", "{\"a\":\"x\x00y\"}", record.CodeJSONMalformed, "byte 7"},
		{"control character late in a string", "{\"a\":\"" + strings.Repeat("x", 70) + "\x1f\"}", record.CodeJSONMalformed, "byte 76"},
		{"wrong bracket", `{"a":[1}}`, record.CodeJSONMalformed, "byte 7"},
		{"Latin-1", "{\"a\":\"caf\xe9 au lait\"}", record.CodeJSONInvalidUTF8, "byte 9"},
		{"cut UTF-8 sequence", "{\"a\":\"\xe6\x97\"}", record.CodeJSONInvalidUTF8, "byte 6"},
		{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", record.CodeJSONInvalidUTF8, "byte 6"},
		{"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}", record.CodeJSONInvalidUTF8, "byte 6"},
		{"invalid UTF-8 in a name", "{\"\xff\":1}", record.CodeJSONInvalidUTF8, "byte 2"},
		{"not ASCII between tokens", "{\u00a0\"a\":1}", record.CodeJSONMalformed, "byte 1"},
		{"too deep", deep, record.CodeJSONTooDeep, "byte 1004"},
		{"too deep in objects", strings.Repeat(`{"a":`, jsonscan.MaxDepth+1), record.CodeJSONTooDeep, "byte 5000"},
		{"two objects", `{"a":1} {"b":2}`, record.CodeJSONTrailingData, "byte 8"},
		{"brace too many", `{"a":1}}`, record.CodeJSONTrailingData, "byte 7"},
		{"NUL behind the object", "{\"a\":1}\x00", record.CodeJSONTrailingData, "byte 7"},
		{"fault behind an event id", `{"event_id":1,"a":}`, record.CodeJSONMalformed, "byte 18"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dst := append(make([]byte, 0, 4096), "before\n"...)
			line, err := record.AppendJSONLine(dst, &record.Record{SequenceNumber: sequence, Data: []byte(tt.payload)})
			fault, ok := errors.AsType[*record.Fault](err)
			if !ok {
				t.Fatalf("got error %v and %q, want a fault", err, line)
			}
			if fault.Code != tt.code || fault.Type != record.ProcessingFailed {
				t.Errorf("got %s of %s, want %s", fault.Code, fault.Type, tt.code)
			}
			if !strings.HasSuffix(fault.Message, tt.place) && !strings.Contains(fault.Message, tt.place+" ") && !strings.Contains(fault.Message, tt.place+",") {
				t.Errorf("message %q does not name %s", fault.Message, tt.place)
			}
			if string(line) != "before\n" {
				t.Errorf("dst came back as %q", line)
			}
		})
	}
}

func TestAppendJSONLine_GivesTheFaultThatARecordCarries(t *testing.T) {
	want := &record.Fault{Type: record.ProcessingFailed, Code: record.CodeGzipCorrupt}
	line, err := record.AppendJSONLine(nil, &record.Record{SequenceNumber: "1", Data: []byte(`{}`), Fault: want})
	if !errors.Is(err, want) || len(line) != 0 {
		t.Fatalf("got %q, %v", line, err)
	}
}

func TestAppendJSONLine_AllocatesNothingInASteadyState(t *testing.T) {
	dst := make([]byte, 0, 8<<10)
	for name, payload := range shapes() {
		r := record.Record{SequenceNumber: sequence, Aggregated: true, SubSequence: 3, Data: payload}
		if n := testing.AllocsPerRun(100, func() {
			if _, err := record.AppendJSONLine(dst, &r); err != nil {
				t.Fatal(err)
			}
			if _, err := record.AppendArrivalLine(dst, &r); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a record", name, n)
		}
	}
}

// A stop of the string scan must be found wherever it stands in a word, and whatever stands before it.
func TestAppendJSONLine_FindsTheEndOfAStringAtAnyOffset(t *testing.T) {
	for n := range 100 {
		for _, tail := range []string{`"`, `\n"`, `é"`, `日本"`} {
			payload := `{"a":"` + strings.Repeat("x", n) + tail + `}`
			if _, err := record.AppendJSONLine(nil, &record.Record{Data: []byte(payload)}); err != nil {
				t.Errorf("%q: %v", payload, err)
			}
		}
		for _, tail := range []string{"\x00\"}", "\x1f\"}", "\x80\"}", "\xff\"}", `\q"}`, ""} {
			payload := `{"a":"` + strings.Repeat("x", n) + tail
			if _, err := record.AppendJSONLine(nil, &record.Record{Data: []byte(payload)}); err == nil {
				t.Errorf("%q was accepted", payload)
			}
		}
	}
}

// Every sequence of two bytes, and every beginning of three and four, is judged as package utf8 judges it.
func TestAppendJSONLine_JudgesUTF8AsPackageUTF8Does(t *testing.T) {
	for first := 0x80; first <= 0xff; first++ {
		for _, second := range []byte{0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff} {
			for _, tail := range []string{"", "\x80", "\xbf", "\x80\x80", "\xbf\xbf", "\xbf\xc0", "x"} {
				payload := append([]byte(`{"a":"`), byte(first), second)
				payload = append(payload, tail...)
				payload = append(payload, `"}`...)
				_, err := record.AppendJSONLine(nil, &record.Record{Data: payload})
				if (err == nil) != utf8.Valid(payload) {
					t.Fatalf("%q: %v", payload, err)
				}
			}
		}
	}
}

// FuzzAppendJSONLine holds AppendJSONLine to encoding/json. It accepts exactly what json.Valid and utf8.Valid accept
// and what is an object, with two differences that are meant: a byte order mark in front, and nesting beyond MaxDepth.
func FuzzAppendJSONLine(f *testing.F) {
	for _, payload := range shapes() {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := record.Record{SequenceNumber: sequence, Data: payload}
		before := bytes.Clone(payload)
		line, err := record.AppendJSONLine([]byte("x"), &r)
		if !bytes.Equal(payload, before) {
			t.Fatal("the payload was changed")
		}
		object := bytes.Trim(bytes.TrimPrefix(payload, []byte("\xef\xbb\xbf")), " \t\r\n")
		valid := json.Valid(object) && utf8.Valid(object) && object[0] == '{'
		if fault, ok := errors.AsType[*record.Fault](err); ok {
			if string(line) != "x" {
				t.Fatalf("dst came back as %q", line)
			}
			if valid && (fault.Code != record.CodeJSONTooDeep || bytes.Count(object, []byte("["))+bytes.Count(object, []byte("{")) <= jsonscan.MaxDepth) {
				t.Fatalf("refused %q: %v", payload, fault)
			}
			return
		}
		if !valid {
			t.Fatalf("accepted %q as %q", payload, line)
		}
		checkLine(t, object, line[1:])
		line, err = record.AppendArrivalLine(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		checkArrivalLine(t, object, line)
	})
}

// checkLine compares a line with the object that it was made of, as encoding/json reads them.
func checkLine(t *testing.T, object, line []byte) {
	t.Helper()
	if bytes.IndexByte(line, '\n') != len(line)-1 || bytes.IndexByte(line, '\r') >= 0 {
		t.Fatalf("not one line: %q", line)
	}
	want, got := decode(t, object), decode(t, line)
	_, had := want["event_id"]
	want["event_id"] = sequence
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q became %q", object, line)
	}
	if had {
		return
	}
	flat := strings.NewReplacer("\n", " ", "\r", " ").Replace(string(object[:len(object)-1]))
	comma := ","
	if len(want) == 1 {
		comma = ""
	}
	if string(line) != flat+comma+`"event_id":"`+sequence+"\"}\n" {
		t.Fatalf("bytes were touched: %q became %q", object, line)
	}
}

// checkArrivalLine compares a line with the arrival, at time zero, with the object that it was made of.
func checkArrivalLine(t *testing.T, object, line []byte) {
	t.Helper()
	want, got := decode(t, object), decode(t, line)
	want["event_id"], want["_arrived_at"] = sequence, "0001-01-01T00:00:00.000Z"
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q became %q", object, line)
	}
}

func decode(t *testing.T, object []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%q: %v", object, err)
	}
	return m
}

// shapes are the two kinds of rows for which figures are given: one long string of digits and brackets among a few
// fields, and twenty short fields of mixed types.
func shapes() map[string][]byte {
	return map[string][]byte{"taxi": taxiRow(0), "narrow": narrowRow(0)}
}

func taxiRow(n int) []byte {
	var line strings.Builder
	for i := range 34 + n*7%20 {
		fmt.Fprintf(&line, "[-8.%06d,41.%06d],", 618643+(n+i)*397, 141412+(n+i)*211)
	}
	return fmt.Appendf(nil, `{"TRIP_ID":"1372636858620%06d","CALL_TYPE":"%c","ORIGIN_CALL":"%s","ORIGIN_STAND":"%s","TAXI_ID":"2000%04d",`+
		`"TIMESTAMP":"13726%05d","DAY_TYPE":"A","MISSING_DATA":"False","POLYLINE":"[%s]"}`,
		n, 'A'+rune(n%3), []string{"", "24007"}[n%2], []string{"7", "", "53"}[n%3], n, n*37, strings.TrimSuffix(line.String(), ","))
}

func narrowRow(n int) []byte {
	return fmt.Appendf(nil, `{"id":%d,"ts":"2026-03-14T15:09:%02d.%03dZ","sid":"%06x","user":"u-%d","ok":%t,"n1":%d,"n2":%d,"n3":%d,`+
		`"price":%.2f,"ratio":%.4f,"lat":%.6f,"lon":%.5f,"country":"%s","city":"%s","dev":"%s","ver":"4.%d.%d",`+
		`"err":%s,"retry":%t,"score":%.1f,"tag":"%s"}`,
		100000+n*n*7919, n%60, n*17%1000, n*7877, n*n*13, n%3 > 0, n%10, 17-n*31%90, n*n*41, float64(n*n)/8+1, float64(n)/4096,
		41+float64(n)/997, -8-float64(n)/1009, []string{"PT", "DE", "FR"}[n%3], []string{"Porto", "Frankfurt am Main", "Lyon", "Köln"}[n%4],
		[]string{"ios", "android", "web"}[n*5%3], n%12, n%7, []string{"null", `"timeout"`}[n*3%5/4], n%4 == 0, float64(n%1000)/10,
		[]string{"promo", "", "loyal customer", "new"}[n*7%4])
}

// cyrillicRow is mostly text that is not ASCII.
func cyrillicRow(n int) []byte {
	return fmt.Appendf(nil, `{"id":%d,"text":"%s"}`, n, strings.Repeat("съешь же ещё этих мягких французских булок, да выпей чаю. ", 1+n%5))
}

// rows are enough of a kind that the processor does not learn them by heart.
func rows(kind func(int) []byte) (rows []record.Record, size int64) {
	for n := range 500 {
		rows = append(rows, record.Record{SequenceNumber: sequence, Data: kind(n)})
		size += int64(len(rows[n].Data))
	}
	return rows, size
}

// BenchmarkAppendJSONLine takes 500 rows a turn.
func BenchmarkAppendJSONLine(b *testing.B) {
	for _, shape := range []struct {
		name string
		row  func(int) []byte
	}{{"taxi", taxiRow}, {"narrow", narrowRow}, {"cyrillic", cyrillicRow}} {
		rows, size := rows(shape.row)
		run := func(name string, do func(r *record.Record) error) {
			b.Run(shape.name+"/"+name, func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				for b.Loop() {
					for i := range rows {
						if err := do(&rows[i]); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
		dst := make([]byte, 0, 4<<10)
		run("AppendJSONLine", func(r *record.Record) error {
			_, err := record.AppendJSONLine(dst, r)
			return err
		})
		run("AppendArrivalLine", func(r *record.Record) error {
			_, err := record.AppendArrivalLine(dst, r)
			return err
		})
		run("json.Valid", func(r *record.Record) error {
			if !json.Valid(r.Data) {
				return errors.New("invalid")
			}
			return nil
		})
		run("map", func(r *record.Record) error {
			var m map[string]any
			if err := json.Unmarshal(r.Data, &m); err != nil {
				return err
			}
			m["event_id"] = r.EventID()
			_, err := json.Marshal(m)
			return err
		})
	}
}
