package record_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/recordtest"
)

func newDecoder(t testing.TB, o record.DecoderOptions) *record.Decoder {
	t.Helper()
	d, err := record.NewDecoder(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// appended are the user records of a Kinesis record.
func appended(t testing.TB, d *record.Decoder, raw record.Record) []record.Record {
	t.Helper()
	records, err := d.Append(t.Context(), nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func gzipped(t testing.TB, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// summary writes each record as "id data", or "id code data" if it has a fault.
func summary(records []record.Record) []string {
	var out []string
	for i := range records {
		line := strings.TrimPrefix(records[i].EventID(), sequence)
		if f := records[i].Fault; f != nil {
			line += " " + f.Code
		}
		out = append(out, line+" "+string(records[i].Data))
	}
	return out
}

const envelope = `{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"group","logStream":"stream",` +
	`"subscriptionFilters":["filter"],"logEvents":[` +
	`{"id":"1","timestamp":1510109208016,"message":"plain"}, {"id":"2","timestamp":1510109208017,"message":"{\"a\":\"\\n\ud83d\ude00\ud800\"}" }]}`

const control = `{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],` +
	`"logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]}`

func TestDecoder_TakesPayloadsApart(t *testing.T) {
	inflate := record.DecoderOptions{Inflate: true}
	values := record.DecoderOptions{Split: record.SplitJSON}
	lines := record.DecoderOptions{Split: record.SplitLines}
	messages := record.DecoderOptions{Inflate: true, LogEvents: record.LogEventsMessage}
	events := record.DecoderOptions{Inflate: true, LogEvents: record.LogEventsObject}
	aggregate := func(payloads ...string) string {
		var sent []record.Record
		for _, p := range payloads {
			sent = append(sent, record.Record{PartitionKey: "k", Data: []byte(p)})
		}
		return string(recordtest.AppendAggregate(nil, sent))
	}
	zip := func(data string) string { return string(gzipped(t, data)) }
	added := `,"owner":"123456789012","logGroup":"group","logStream":"stream"}`
	tests := []struct {
		name    string
		options record.DecoderOptions
		payload string
		want    []string
	}{
		{"nothing switched on", record.DecoderOptions{}, zip(`{"a":1}`), []string{" " + zip(`{"a":1}`)}},
		{"nothing switched on, values", record.DecoderOptions{}, `{"a":1}{"a":2}`, []string{` {"a":1}{"a":2}`}},
		{"aggregate", record.DecoderOptions{}, aggregate("1", "2"), []string{"-0 1", "-1 2"}},

		{"gzip", inflate, zip(`{"a":1}`), []string{` {"a":1}`}},
		{"gzip of nothing", inflate, zip(""), []string{" "}},
		{"two gzip members", inflate, zip(`{"a":`) + zip(`1}`), []string{` {"a":1}`}},
		{"not gzip", inflate, `{"a":1}`, []string{` {"a":1}`}},
		{"gzip in an aggregate", inflate, aggregate(zip("1"), "2", zip("3")), []string{"-0 1", "-1 2", "-2 3"}},
		{"gzip cut off", inflate, zip(`{"a":1}`)[:20], []string{" Gzip.Corrupt " + zip(`{"a":1}`)[:20]}},
		{"gzip header cut off", inflate, "\x1f\x8b\x08", []string{" Gzip.Corrupt \x1f\x8b\x08"}},
		{"gzip with a wrong checksum", inflate, wrongChecksum(zip(`{"a":1}`)), []string{" Gzip.Corrupt " + wrongChecksum(zip(`{"a":1}`))}},
		{"gzip with something behind", inflate, zip(`{"a":1}`) + "x", []string{" Gzip.Corrupt " + zip(`{"a":1}`) + "x"}},
		{"gzip corrupt among others", inflate, aggregate("1", "\x1f\x8b\x08", "3"), []string{"-0 1", "-1 Gzip.Corrupt \x1f\x8b\x08", "-2 3"}},
		{"gzip as large as allowed", record.DecoderOptions{Inflate: true, MaxOpenedBytes: 10}, zip("0123456789"), []string{" 0123456789"}},
		{"gzip too large", record.DecoderOptions{Inflate: true, MaxOpenedBytes: 9}, zip("0123456789"), []string{" Gzip.TooLarge " + zip("0123456789")}},
		{"gzip too large together", record.DecoderOptions{Inflate: true, MaxOpenedBytes: 15}, aggregate(zip("0123456789"), zip("0123456789"), zip("01234")),
			[]string{"-0 0123456789", "-1 Gzip.TooLarge " + zip("0123456789"), "-2 01234"}},

		{"one value", values, `{"a":1}`, []string{` {"a":1}`}},
		{"values without space", values, `{"a":1}{"a":"}{"}[3]4"5"`, []string{`-0 {"a":1}`, `-1 {"a":"}{"}`, `-2 [3]`, `-3 4`, `-4 "5"`}},
		{"values in lines", values, "{\"a\":\n1}\r\n{\"a\":2}\n", []string{"-0 {\"a\":\n1}", `-1 {"a":2}`}},
		{"values and a fault", values, `{"a":1} {"a":2} {"a" {"a":4}`, []string{`-0 {"a":1}`, `-1 {"a":2}`, `-2 Json.Malformed {"a" {"a":4}`}},
		{"values and a cut one", values, `{"a":1}{"a":`, []string{`-0 {"a":1}`, `-1 Json.Truncated {"a":`}},
		{"a fault alone", values, ` {"a"`, []string{` Json.Truncated {"a"`}},
		{"no value", values, " \n", []string{"  \n"}},
		{"values in an aggregate", values, aggregate("1 2", "3", "4 x"), []string{"-0-0 1", "-0-1 2", "-1 3", "-2-0 4", "-2-1 Json.Malformed x"}},
		{"values in gzip", record.DecoderOptions{Inflate: true, Split: record.SplitJSON}, zip("1 2"), []string{"-0 1", "-1 2"}},
		{"too many values", record.DecoderOptions{Split: record.SplitJSON, MaxRecords: 2}, "1 2 3", []string{" Split.TooManyRecords 1 2 3"}},
		{"too many values together", record.DecoderOptions{Split: record.SplitJSON, MaxRecords: 3}, aggregate("1 2", "3 4", "5"),
			[]string{"-0-0 1", "-0-1 2", "-1 Split.TooManyRecords 3 4", "-2 5"}},
		{"aggregate of too many", record.DecoderOptions{MaxRecords: 1}, aggregate("1", "2"), []string{" Aggregate.TooManyRecords " + aggregate("1", "2")}},

		{"lines", lines, "{\"a\":1}\r\n\n  \n not JSON\t\n{\"a\":2}", []string{`-0 {"a":1}`, `-1 not JSON`, `-2 {"a":2}`}},
		{"one line", lines, "{\"a\":1}\n", []string{` {"a":1}`}},
		{"blank lines", lines, "\n\r\n", []string{" \n\r\n"}},
		{"too many lines", record.DecoderOptions{Split: record.SplitLines, MaxRecords: 1}, "1\n2\n", []string{" Split.TooManyRecords 1\n2\n"}},

		{"messages", messages, zip(envelope), []string{"-0 plain", "-1 {\"a\":\"\\n😀\uFFFD\"}"}},
		{"messages not compressed", messages, envelope, []string{"-0 plain", "-1 {\"a\":\"\\n😀\uFFFD\"}"}},
		{"events", events, zip(envelope), []string{
			`-0 {"id":"1","timestamp":1510109208016,"message":"plain"` + added,
			`-1 {"id":"2","timestamp":1510109208017,"message":"{\"a\":\"\\n\ud83d\ude00\ud800\"}" ` + added}},
		{"one event", messages, strings.Replace(envelope, `{"id":"1","timestamp":1510109208016,"message":"plain"}, `, "", 1), []string{" {\"a\":\"\\n😀\uFFFD\"}"}},
		{"no event", messages, envelope[:strings.Index(envelope, "[{")] + "[ ]}", []string{" " + envelope[:strings.Index(envelope, "[{")] + "[ ]}"}},
		{"control message", messages, control, []string{" " + control}},
		{"an event without message", messages, strings.Replace(envelope, `"message":"plain"`, `"text":"plain"`, 1), []string{" " + strings.Replace(envelope, `"message":"plain"`, `"text":"plain"`, 1)}},
		{"an event that is not an object", events, strings.Replace(envelope, `[{"id":"1"`, `[7,{"id":"1"`, 1), []string{" " + strings.Replace(envelope, `[{"id":"1"`, `[7,{"id":"1"`, 1)}},
		{"envelope without owner", events, strings.Replace(envelope, `"owner"`, `"owned"`, 1), []string{" " + strings.Replace(envelope, `"owner"`, `"owned"`, 1)}},
		{"cut envelope", events, envelope[:len(envelope)-1], []string{" " + envelope[:len(envelope)-1]}},
		{"envelope with something behind", events, envelope + "x", []string{" " + envelope + "x"}},
		{"other objects", events, `{"a":1}`, []string{` {"a":1}`}},
		{"other objects to split", record.DecoderOptions{LogEvents: record.LogEventsMessage, Split: record.SplitJSON}, `{"a":1}{"a":2}`, []string{`-0 {"a":1}`, `-1 {"a":2}`}},
		{"too many events", record.DecoderOptions{LogEvents: record.LogEventsMessage, MaxRecords: 1}, envelope, []string{" Split.TooManyRecords " + envelope}},
		{"events too large", record.DecoderOptions{LogEvents: record.LogEventsObject, MaxOpenedBytes: 200}, envelope, []string{" Split.TooLarge " + envelope}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := kinesisRecord([]byte(tt.payload))
			got, err := newDecoder(t, tt.options).Append(t.Context(), []record.Record{{SequenceNumber: "before"}}, raw)
			if err != nil {
				t.Fatal(err)
			}
			if got[0].SequenceNumber != "before" {
				t.Error("dst was overwritten")
			}
			if s := summary(got[1:]); !slices.Equal(s, tt.want) {
				t.Errorf("got\n%q\nwant\n%q", s, tt.want)
			}
			whole := newDecoder(t, tt.options).Whole([]byte(tt.payload))
			if whole && (len(got) != 2 || !reflect.DeepEqual(got[1], raw)) || !whole && tt.options == (record.DecoderOptions{}) && len(got) == 2 && got[1].Fault == nil {
				t.Errorf("whole: %t", whole)
			}
			for i := range got {
				if got[i].Split && cap(got[i].Data) != len(got[i].Data) {
					t.Errorf("appending to %s would overwrite the next", got[i].EventID())
				}
			}
			if string(raw.Data) != tt.payload {
				t.Error("the payload was changed")
			}
		})
	}
}

func wrongChecksum(gzip string) string {
	b := []byte(gzip)
	b[len(b)-5] ^= 1
	return string(b)
}

// A small payload that inflates to much must cost no more memory than the bound, whatever size it states.
func TestDecoder_StopsInflatingAtTheBound(t *testing.T) {
	const limit = 1 << 18
	d := newDecoder(t, record.DecoderOptions{Inflate: true, MaxOpenedBytes: limit})
	bomb := gzipped(t, strings.Repeat("0", 16*limit))
	for _, stated := range []string{"", "\xff\xff\xff\xff", "\x00\x00\x00\x00"} {
		payload := append(bytes.Clone(bomb[:len(bomb)-len(stated)]), stated...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := appended(t, d, kinesisRecord(payload))
		runtime.ReadMemStats(&after)
		if got[0].Fault == nil || got[0].Fault.Code != record.CodeGzipTooLarge {
			t.Fatalf("got fault %v", got[0].Fault)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 4*limit {
			t.Errorf("stated size %x: %d bytes allocated for a bound of %d", stated, n, limit)
		}
	}
}

// Only an aggregate that lies entirely within the shard's range is kept; other payloads always are.
func TestDecoder_DropsAggregatesOfOtherShards(t *testing.T) {
	lower, err := record.ParseHashRange("0", "170141183460469231731687303715884105727")
	if err != nil {
		t.Fatal(err)
	}
	upper := record.HashRange{First: record.HashKey{High: 1 << 63}, Last: lastHashKey}
	aggregate := func(users ...record.Record) record.Record {
		return kinesisRecord(recordtest.AppendAggregate(nil, users))
	}
	low, high := record.Record{ExplicitHashKey: "1"}, record.Record{ExplicitHashKey: maxHashKey}
	byKey := record.Record{PartitionKey: "message digest"} // its MD5 begins with f9
	odd := record.Record{ExplicitHashKey: "none"}
	tests := []struct {
		name         string
		raw          record.Record
		lower, upper int // user records kept
	}{
		{"all low", aggregate(low, low), 2, 0},
		{"all high", aggregate(high, byKey), 0, 2},
		{"last one elsewhere", aggregate(low, low, high), 0, 0},
		{"first one elsewhere", aggregate(byKey, low), 0, 0},
		{"hash key that is not a number", aggregate(odd), 1, 1},
		{"no aggregate", kinesisRecord([]byte(`{}`)), 1, 1},
		{"corrupt aggregate", kinesisRecord(sealed([]byte{1})), 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDecoder(t, record.DecoderOptions{})
			if n := len(appended(t, d.WithRange(lower), tt.raw)); n != tt.lower {
				t.Errorf("%d user records in the lower half, want %d", n, tt.lower)
			}
			if n := len(appended(t, d.WithRange(upper), tt.raw)); n != tt.upper {
				t.Errorf("%d user records in the upper half, want %d", n, tt.upper)
			}
			if n := len(appended(t, d, tt.raw)); n == 0 {
				t.Error("dropped without a range")
			}
		})
	}
}

// A record of one Kinesis record takes up hundreds of bytes beside its payload, so their number is bounded by its size.
func TestDecoder_TakesOutNoMoreThanThePayloadsSizeAllows(t *testing.T) {
	const many = 20_000
	tiny := make([]record.Record, many)
	longKey := make([]record.Record, many)
	small := make([]record.Record, many)
	random := rand.New(rand.NewPCG(1, 2))
	var readings strings.Builder
	for i := range many {
		fmt.Fprintf(&readings, "{\"v\":%d}\n", random.IntN(3))
		tiny[i] = record.Record{PartitionKey: "k"}
		longKey[i] = record.Record{PartitionKey: strings.Repeat("k", 5000), Data: []byte(`{"a":1}`)}
		small[i] = record.Record{PartitionKey: "k", Data: []byte(`{"a":1}`)}
	}
	event := func(message string) string {
		return `{"id":"` + strings.Repeat("7", 56) + `","timestamp":1700000000000,"message":"` + message + `"}`
	}
	envelope := func(owner string, events ...string) string {
		return `{"messageType":"DATA_MESSAGE","owner":"` + owner + `","logGroup":"g","logStream":"s","logEvents":[` + strings.Join(events, ",") + `]}`
	}
	events := slices.Repeat([]string{event("")}, many)
	short := slices.Repeat([]string{`{"message":"{}"}`}, many)
	for name, tt := range map[string]struct {
		options record.DecoderOptions
		data    []byte
		code    string
	}{
		"aggregate of records without data":   {data: recordtest.AppendAggregate(nil, tiny), code: record.CodeAggregateTooManyRecords},
		"aggregate with one long key for all": {data: recordtest.AppendAggregate(nil, longKey), code: record.CodeAggregateTooManyRecords},
		"aggregate of small records":          {data: recordtest.AppendAggregate(nil, small)},
		"lines of a byte":                     {record.DecoderOptions{Split: record.SplitLines}, bytes.Repeat([]byte("0\n"), many), record.CodeSplitTooManyRecords},
		"small lines":                         {record.DecoderOptions{Split: record.SplitLines}, bytes.Repeat([]byte("{\"a\":1}\n"), many), ""},
		"a few lines of a byte":               {record.DecoderOptions{Split: record.SplitLines}, bytes.Repeat([]byte("0\n"), 60), ""},
		"values of a byte":                    {record.DecoderOptions{Split: record.SplitJSON}, bytes.Repeat([]byte("0 "), many), record.CodeSplitTooManyRecords},
		"small values":                        {record.DecoderOptions{Split: record.SplitJSON}, bytes.Repeat([]byte(`{"a":1}`), many), ""},
		"inflated lines of a byte":            {record.DecoderOptions{Inflate: true, Split: record.SplitLines}, gzipped(t, strings.Repeat("0\n", many)), record.CodeSplitTooManyRecords},
		"inflated readings, much alike":       {record.DecoderOptions{Inflate: true, Split: record.SplitLines}, gzipped(t, readings.String()), ""},
		"a minute of one line, inflated":      {record.DecoderOptions{Inflate: true, Split: record.SplitLines}, gzipped(t, strings.Repeat(`{"level":"INFO","msg":"healthy","host":"ip-10-0-0-1"}`+"\n", 1000)), ""},
		"events":                              {record.DecoderOptions{LogEvents: record.LogEventsObject}, []byte(envelope("123456789012", events...)), ""},
		"events of a long owner":              {record.DecoderOptions{LogEvents: record.LogEventsObject}, []byte(envelope(strings.Repeat("1", 5000), events...)), record.CodeSplitTooLarge},
		"events shorter than CloudWatch's":    {record.DecoderOptions{LogEvents: record.LogEventsMessage}, []byte(envelope("123456789012", short...)), record.CodeSplitTooManyRecords},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newDecoder(t, tt.options).Append(t.Context(), nil, kinesisRecord(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			switch whole := got[0]; {
			case tt.code == "":
				if whole.Fault != nil {
					t.Errorf("refused: %v", whole.Fault)
				}
			case len(got) != 1 || whole.Fault == nil || whole.Fault.Code != tt.code:
				t.Errorf("%d records, the first with the fault %v: want one with %s", len(got), whole.Fault, tt.code)
			}
		})
	}
}

func TestDecoder_InflatesNoMoreThanThePayloadsSizeAllows(t *testing.T) {
	d := newDecoder(t, record.DecoderOptions{Inflate: true})
	for zeros, code := range map[int]string{10_000: "", 64 << 10: "", 1 << 20: record.CodeGzipTooLarge, 50 << 20: record.CodeGzipTooLarge} {
		got, err := d.Append(t.Context(), nil, kinesisRecord(gzipped(t, strings.Repeat("0", zeros))))
		if err != nil {
			t.Fatal(err)
		}
		if f := got[0].Fault; (f == nil) != (code == "") || f != nil && f.Code != code {
			t.Errorf("%d zeros: fault %v, want %q", zeros, f, code)
		}
	}
}

func TestNewDecoder_NamesEveryFaultOfItsOptions(t *testing.T) {
	_, err := record.NewDecoder(record.DecoderOptions{Split: "words", LogEvents: "all", MaxOpenedBytes: -1, MaxRecords: -2})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"words", "all", "-1", "-2"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
}

// FuzzDecoder holds for any payload and any switches: nothing is lost, ids are unique, the answer is the same each
// time, and what is JSON before splitting is JSON behind it.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte(envelope), uint8(0xff))
	f.Add([]byte(control), uint8(0x3))
	f.Add([]byte(`{"a":1}{"b":2} x`), uint8(2))
	f.Add([]byte("1\n2\r\n\n"), uint8(4))
	f.Add(gzipped(f, envelope), uint8(9))
	f.Add(recordtest.AppendAggregate(nil, userRecords()), uint8(0xff))
	f.Fuzz(func(t *testing.T, payload []byte, switches uint8) {
		o := record.DecoderOptions{
			Inflate:        switches&1 != 0,
			Split:          []record.SplitMode{"", record.SplitNone, record.SplitJSON, record.SplitLines}[switches>>1&3],
			LogEvents:      []record.LogEventMode{"", record.LogEventsNone, record.LogEventsMessage, record.LogEventsObject}[switches>>3&3],
			MaxOpenedBytes: 1 << 16,
			MaxRecords:     1000,
		}
		d := newDecoder(t, o)
		got := appended(t, d, kinesisRecord(payload))
		if len(got) == 0 {
			t.Fatal("the record is lost")
		}
		if again := appended(t, d, kinesisRecord(payload)); !reflect.DeepEqual(again, got) {
			t.Fatal("a replay gives something else")
		}
		if !o.Inflate && (o.LogEvents == "" || o.LogEvents == record.LogEventsNone) && !got[0].Aggregated {
			var parts []byte
			for i := range got {
				parts = append(parts, got[i].Data...)
			}
			if want := solid(payload); !bytes.Equal(solid(parts), want) {
				t.Fatalf("%q of %q is left", solid(parts), want)
			}
		}
		ids := make(map[string]bool)
		for i := range got {
			if id := got[i].EventID(); ids[id] {
				t.Fatalf("%s is there twice", id)
			} else {
				ids[id] = true
			}
			if got[i].Split && got[i].Fault == nil && o.Split == record.SplitJSON && o.LogEvents != record.LogEventsMessage && !json.Valid(got[i].Data) && len(got[i].Data) < jsonscan.MaxDepth {
				t.Fatalf("split into %q", got[i].Data)
			}
		}
	})
}

// solid drops what splitting may drop, and so much more that the rest can be compared.
func solid(payload []byte) []byte {
	payload = bytes.TrimPrefix(payload, []byte("\xef\xbb\xbf"))
	return slices.DeleteFunc(bytes.Clone(payload), func(c byte) bool {
		return c == ' ' || c == '\t' || c == '\r' || c == '\n'
	})
}

// FuzzLogMessage holds the unescaping of messages to encoding/json.
func FuzzLogMessage(f *testing.F) {
	f.Add(`plain`)
	f.Add(`\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00`)
	f.Add(`\ud800\ud800\udc00\udc00x\ud800\n\ud800`)
	f.Fuzz(func(t *testing.T, text string) {
		var want string
		if err := json.Unmarshal([]byte(`"`+text+`"`), &want); err != nil || strings.ToValidUTF8(text, "") != text {
			return
		}
		payload := fmt.Sprintf(`{"messageType":"DATA_MESSAGE","owner":"o","logGroup":"g","logStream":"s","logEvents":[{"message":"%s"}]}`, text)
		got := appended(t, newDecoder(t, record.DecoderOptions{LogEvents: record.LogEventsMessage}), kinesisRecord([]byte(payload)))
		if len(got) != 1 || string(got[0].Data) != want {
			t.Fatalf("%q became %q, want %q", text, got[0].Data, want)
		}
	})
}

// starred are payloads that begin with a star; they wait for a schema until their context ends if they ask for it.
type starred struct{}

func (starred) Framed(payload []byte) bool { return len(payload) > 0 && payload[0] == '*' }

func (starred) Open(ctx context.Context, payload []byte, limit int, _ *int) ([]byte, *record.Fault, error) {
	switch text := payload[1:]; {
	case string(text) == "wait":
		<-ctx.Done()
		return nil, nil, ctx.Err()
	case len(text) > limit:
		return nil, &record.Fault{Code: "TooLarge"}, nil
	default:
		return text, nil, nil
	}
}

// A framed payload is opened after it is inflated, and is one record whatever is in it.
func TestDecoder_OpensFrames(t *testing.T) {
	for name, tt := range map[string]struct {
		options record.DecoderOptions
		raw     record.Record
		want    []string
	}{
		"framed":          {record.DecoderOptions{Frames: starred{}}, kinesisRecord([]byte(`*{"a":1}`)), []string{` {"a":1}`}},
		"not framed":      {record.DecoderOptions{Frames: starred{}}, kinesisRecord([]byte(`{"a":1}`)), []string{` {"a":1}`}},
		"compressed":      {record.DecoderOptions{Frames: starred{}, Inflate: true}, kinesisRecord(gzipped(t, `*{"a":1}`)), []string{` {"a":1}`}},
		"not to split":    {record.DecoderOptions{Frames: starred{}, Split: record.SplitLines}, kinesisRecord([]byte("*1\n2")), []string{" 1\n2"}},
		"to split":        {record.DecoderOptions{Frames: starred{}, Split: record.SplitLines}, kinesisRecord([]byte("1\n*2")), []string{"-0 1", "-1 *2"}},
		"in an aggregate": {record.DecoderOptions{Frames: starred{}, MaxOpenedBytes: 8}, kinesisRecord(recordtest.AppendAggregate(nil, []record.Record{{Data: []byte(`*{"a":1}`)}, {Data: []byte(`*{"a":2}`)}})), []string{`-0 {"a":1}`, `-1 TooLarge *{"a":2}`}},
	} {
		if got := summary(appended(t, newDecoder(t, tt.options), tt.raw)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newDecoder(t, record.DecoderOptions{Frames: starred{}}).Append(ctx, nil, kinesisRecord([]byte("*wait"))); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that ends gives %v", err)
	}
}

// Most streams hold plain records, and each passes through here.
func TestDecoder_AllocatesNothingForAPlainRecord(t *testing.T) {
	d := newDecoder(t, record.DecoderOptions{})
	dst := make([]record.Record, 0, 1)
	raw := kinesisRecord(shapes()["narrow"])
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Append(t.Context(), dst, raw); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkDecoder(b *testing.B) {
	var events strings.Builder
	for i := range 100 {
		fmt.Fprintf(&events, `{"id":"%056d","timestamp":1510109208016,"message":"{\"level\":\"info\",\"n\":%d,\"text\":\"request served\"}"},`, i, i)
	}
	logs := strings.Replace(envelope, `{"id":"1"`, events.String()+`{"id":"1"`, 1)
	lines := bytes.Repeat(append(shapes()["narrow"], '\n'), 100)
	for _, bb := range []struct {
		name    string
		options record.DecoderOptions
		payload []byte
		size    int // of what comes out
	}{
		{"plain", record.DecoderOptions{}, shapes()["narrow"], len(shapes()["narrow"])},
		{"values", record.DecoderOptions{Split: record.SplitJSON}, lines, len(lines)},
		{"lines", record.DecoderOptions{Split: record.SplitLines}, lines, len(lines)},
		{"gzip", record.DecoderOptions{Inflate: true}, gzipped(b, string(lines)), len(lines)},
		{"gzip/events", record.DecoderOptions{Inflate: true, LogEvents: record.LogEventsObject}, gzipped(b, logs), len(logs)},
		{"gzip/messages", record.DecoderOptions{Inflate: true, LogEvents: record.LogEventsMessage}, gzipped(b, logs), len(logs)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			d := newDecoder(b, bb.options)
			dst := make([]record.Record, 0, 200)
			b.SetBytes(int64(bb.size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Append(b.Context(), dst, kinesisRecord(bb.payload)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
