package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
)

func query(t testing.TB, source string) *Query {
	t.Helper()
	q, err := NewQuery(source)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// came is a record as the decoder returns it.
func came(sequence int, payload string) record.Record {
	return record.Record{
		SequenceNumber: fmt.Sprint(sequence), PartitionKey: "key", Arrival: time.UnixMilli(1_700_000_000_000), Data: []byte(payload),
	}
}

// apply runs a stage, and checks what holds for every stage and every input.
func apply(t testing.TB, s Stage, in []record.Record) Output {
	t.Helper()
	before := make([]record.Record, len(in))
	for i := range in {
		before[i] = in[i]
		before[i].Data = bytes.Clone(in[i].Data)
	}
	out, err := s.Apply(context.Background(), "shard", in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range in {
		if !bytes.Equal(before[i].Data, in[i].Data) || in[i].Fault != before[i].Fault || in[i].Pieces != before[i].Pieces {
			t.Errorf("record %d of the input was changed", i)
		}
	}
	if len(out.Records) != len(in)+out.Added-out.Dropped {
		t.Errorf("%d records of %d, %d dropped, %d added", len(out.Records), len(in), out.Dropped, out.Added)
	}
	ids := make(map[string]bool)
	at, passed := 0, 0 // the record of the input that the output is at, and how many have none
	for i := range out.Records {
		r := &out.Records[i]
		if ids[r.EventID()] {
			t.Errorf("two records have the id %s", r.EventID())
		}
		ids[r.EventID()] = true
		for at < len(in) && !sameRecord(&in[at], r) {
			at++
			passed++
		}
		if at == len(in) {
			t.Fatalf("record %s is of no record of the input, or of one before its predecessor's", r.EventID())
		}
		if r.Fault != nil && (!bytes.Equal(r.Data, in[at].Data) || r.EventID() != in[at].EventID()) {
			t.Errorf("record %s has the fault %v and is not as it came", r.EventID(), r.Fault)
		}
		if last := i+1 == len(out.Records) || !sameRecord(&in[at], &out.Records[i+1]); last {
			at++
		}
	}
	if dropped := passed + len(in) - at; dropped != out.Dropped {
		t.Errorf("%d records of the input are in the output no more, %d were counted", dropped, out.Dropped)
	}
	return out
}

func sameRecord(in, out *record.Record) bool {
	return in.SequenceNumber == out.SequenceNumber && in.SubSequence == out.SubSequence && in.Part == out.Part
}

func TestQuery_MakesRecordsOfAPayload(t *testing.T) {
	same := strings.Repeat
	for _, test := range []struct {
		name, program, payload string
		want                   []string // payloads; nil for none
		fault                  string   // its code; the record is as it came
	}{
		{"maps", `{id:.id,total:(.price*.count)}`, `{"id":"a","price":3,"count":4}`, []string{`{"id":"a","total":12}`}, ""},
		{"keeps", `select(.level=="error")`, `{"level" : "error", "n":1.0}`, []string{`{"level" : "error", "n":1.0}`}, ""},
		{"drops", `select(.level=="error")`, `{"level":"debug"}`, nil, ""},
		{"splits an array of members", `.Records[]`, `{"Records":[{"a":1},{"b":2},{"c":3}]}`, []string{`{"a":1}`, `{"b":2}`, `{"c":3}`}, ""},
		{"splits an array", `.[]`, `[{"a":1},{"b":2}]`, []string{`{"a":1}`, `{"b":2}`}, ""},
		{"splits into one", `.[]`, `[{"a":1}]`, []string{`{"a":1}`}, ""},
		{"splits into none", `.[]`, `[]`, nil, ""},
		{"splits with what all have", `.host as $h|.events[]|.host=$h`, `{"host":"h","events":[{"n":1},{"n":2}]}`, []string{`{"n":1,"host":"h"}`, `{"n":2,"host":"h"}`}, ""},
		{"redacts", `del(.card)|.email|=(split("@")|"***@"+.[1])`, `{"z":1,"card":"4111","email":"a@b.example","a":2}`, []string{`{"z":1,"email":"***@b.example","a":2}`}, ""},
		{"drops on purpose", `if .ok then . else empty end`, `{"ok":false}`, nil, ""},

		{"keeps the order of members", `.m=1`, `{"z":{"y":1,"b":2},"a":[{"d":1,"c":2}]}`, []string{`{"z":{"y":1,"b":2},"a":[{"d":1,"c":2}],"m":1}`}, ""},
		{"keeps the order that it writes", `{z:.a,a:.z}`, `{"a":1,"z":2}`, []string{`{"z":1,"a":2}`}, ""},
		{"keeps digits", `{n,f,e,m}`, `{"n":12345678901234567890123,"f":1.10,"e":1E+2,"m":-0.0}`, []string{`{"n":12345678901234567890123,"f":1.10,"e":1E+2,"m":-0.0}`}, ""},
		{"counts exactly", `{n:(.n+1),m:(.n*.n)}`, `{"n":9007199254740993}`, []string{`{"n":9007199254740994,"m":81129638414606699710187514626049}`}, ""},
		{"computes fractions as doubles", `{n:(.n/3)}`, `{"n":1}`, []string{`{"n":0.3333333333333333}`}, ""},
		{"escapes", `{t:(.t+"\"\\\n\u0001")}`, `{"t":"é\u20ac<"}`, []string{`{"t":"é€<\"\\\n\u0001"}`}, ""},
		{"ignores a byte order mark", `{a}`, "\xef\xbb\xbf" + `{"a":1}`, []string{`{"a":1}`}, ""},
		{"keeps a repeated member's last value", `.b=1`, `{"a":1,"a":2}`, []string{`{"a":2,"b":1}`}, ""},

		{"fails", `.a+1`, `{"a":"secret"}`, nil, CodeQueryFailed},
		{"fails on purpose", `error(.a)`, `{"a":"secret"}`, nil, CodeQueryFailed},
		{"fails after it has made one", `.[]|{n:(.n+1)}`, `[{"n":1},{"n":"secret"}]`, nil, CodeQueryFailed},
		{"makes no object", `.a`, `{"a":"secret"}`, nil, CodeQueryFailed},
		{"makes null", `.b`, `{"a":"secret"}`, nil, CodeQueryFailed},
		{"is not finite", `{n:infinite}`, `{"a":"secret"}`, nil, CodeQueryFailed},
		{"is not a number", `{n:nan}`, `{"a":"secret"}`, nil, CodeQueryFailed},
		{"never ends", `last(repeat({}))`, `{"a":"secret"}`, nil, CodeQueryTooExpensive},
		{"never ends to make records", `repeat({a:1})`, `{"a":"secret"}`, nil, CodeResultTooLarge},
		{"makes many of little", `range(67)|{}`, `{"a":"secret"}`, nil, CodeResultTooLarge},
		{"makes much of little", `{t:("x"*.n)}`, `{"n":100000}`, nil, CodeResultTooLarge},
		{"makes very much of little", `{t:("x"*.n)}`, `{"n":1000000000}`, nil, CodeQueryTooExpensive},
		{"a deep payload", `.`, same(`{"a":`, 300) + "1" + same("}", 300), nil, CodeQueryFailed},
		{"a long number", `.`, `{"n":` + same("9", 500) + `}`, nil, record.CodeJSONNumberTooLarge},
		{"no JSON", `.`, `secret`, nil, record.CodeJSONMalformed},
		{"torn JSON", `.`, `{"a":"secret"`, nil, record.CodeJSONTruncated},
		{"no UTF-8", `.`, "{\"a\":\"secret\xff\"}", nil, record.CodeJSONInvalidUTF8},
		{"two values", `.`, `{"a":"secret"}{"a":"secret"}`, nil, record.CodeJSONTrailingData},
		{"empty", `.`, ` `, nil, record.CodeJSONEmpty},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := apply(t, query(t, test.program), []record.Record{came(1, test.payload)})
			if test.fault != "" {
				if f := out.Records[0].Fault; f == nil || f.Code != test.fault || f.Type != record.ProcessingFailed || strings.Contains(f.Message, "secret") {
					t.Errorf("fault %v, want %s", f, test.fault)
				}
				return
			}
			var got []string
			for i := range out.Records {
				r := &out.Records[i]
				if r.Fault != nil {
					t.Errorf("fault %v", r.Fault)
				}
				want := "1"
				if len(test.want) > 1 {
					want = fmt.Sprintf("1-%d", i)
				}
				if r.EventID() != want {
					t.Errorf("id %s, want %s", r.EventID(), want)
				}
				got = append(got, string(r.Data))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// All that the decoder may hand over: aggregates, split payloads, split payloads of aggregates, faults.
func TestQuery_KeepsIDsUniqueAndOrderWhateverItMakes(t *testing.T) {
	q := query(t, `if .n==3 then error else range(.n) as $i | {i:$i,id} end`)
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(7, seed))
		var in []record.Record
		add := func(r record.Record) {
			r.Data = fmt.Appendf(nil, `{"n":%d,"id":%q}`, random.IntN(5), r.EventID())
			if random.IntN(10) == 0 {
				r.Fault = &record.Fault{Type: record.ProcessingFailed, Code: record.CodeGzipCorrupt}
			}
			in = append(in, r)
		}
		for n := range 1 + random.IntN(20) {
			r := came(1000+n, "")
			r.Aggregated = random.IntN(2) == 0
			for sub := range 1 + random.IntN(3) {
				if sub > 0 && !r.Aggregated {
					break
				}
				r.SubSequence, r.Split, r.Part = sub, random.IntN(2) == 0, 0
				for part := range 1 + random.IntN(3) {
					if part > 0 && !r.Split {
						break
					}
					r.Part = part
					add(r)
				}
			}
		}
		out := apply(t, q, in)
		delivered := make(map[string]int) // by the id of the record that they were made of
		for _, r := range out.Records {
			var made struct {
				I  int    `json:"i"`
				ID string `json:"id"`
			}
			if r.Fault != nil {
				continue
			}
			if err := json.Unmarshal(r.Data, &made); err != nil {
				t.Fatal(err)
			}
			if want := delivered[made.ID]; made.I != want || !strings.HasPrefix(r.EventID(), made.ID) {
				t.Errorf("seed %d: record %s is number %d of %s, want %d", seed, r.EventID(), made.I, made.ID, want)
			}
			delivered[made.ID]++
		}
		for i := range in {
			want := int(in[i].Data[5] - '0')
			if in[i].Fault != nil || want == 3 {
				want = 0
			}
			if got := delivered[in[i].EventID()]; got != want {
				t.Errorf("seed %d: %d records of %s, want %d", seed, got, in[i].EventID(), want)
			}
		}
		if again := apply(t, q, in); !slices.EqualFunc(out.Records, again.Records, func(a, b record.Record) bool {
			return a.EventID() == b.EventID() && bytes.Equal(a.Data, b.Data)
		}) {
			t.Errorf("seed %d: other records the second time", seed)
		}
	}
}

func TestQuery_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errPlanted)
	if _, err := query(t, ".").Apply(ctx, "shard", []record.Record{came(1, "{}")}); err != errPlanted {
		t.Errorf("error %v", err)
	}
}

func TestChain_AppliesOneStageAfterAnother(t *testing.T) {
	if Chain(nil, nil) != nil {
		t.Error("a chain of nothing is a stage")
	}
	c := Chain(query(t, "select(.n!=1)|.a=1"), nil, query(t, ".,.|.b=1"))
	out := apply(t, c, []record.Record{came(1, `{"n":1}`), came(2, `{"n":2}`), came(3, "no JSON")})
	var got []string
	for _, r := range out.Records {
		got = append(got, r.EventID()+string(r.Data))
	}
	if want := []string{`2-0{"n":2,"a":1,"b":1}`, `2-1{"n":2,"a":1,"b":1}`, "3no JSON"}; !slices.Equal(got, want) || out.Dropped != 1 || out.Added != 1 {
		t.Errorf("got %q, %d dropped, %d added", got, out.Dropped, out.Added)
	}
}

// FuzzQuery looks for payloads that a program changes in silence or that break a rule of apply.
func FuzzQuery(f *testing.F) {
	for _, payload := range []string{`{"a":[{"b":1.0}],"n":12345678901234567890}`, `[{"a":1},{"a":2}]`, `{"a":"\ud83d\ude00\u0000"}`, `{}`, `"x"`} {
		f.Add(payload)
	}
	unchanged, copied, split := query(f, "."), query(f, `with_entries(.)`), query(f, `.[]?`)
	f.Fuzz(func(t *testing.T, payload string) {
		in := []record.Record{came(1, payload)}
		apply(t, split, in)
		same, made := apply(t, unchanged, in).Records[0], apply(t, copied, in).Records[0]
		if same.Fault == nil && string(same.Data) != payload {
			t.Errorf("%q became %q", payload, same.Data)
		}
		if same.Fault != nil || made.Fault != nil || strings.Contains(payload, "key") || strings.Contains(payload, "value") {
			return
		}
		var a, b any
		if err := json.Unmarshal(made.Data, &b); err != nil {
			t.Fatalf("%q became %q: %v", payload, made.Data, err)
		}
		if json.Unmarshal([]byte(payload), &a) == nil && fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%q became %q", payload, made.Data)
		}
	})
}

var errPlanted = errors.New("planted")
