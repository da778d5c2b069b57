package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/record/jsonscan"
)

func form(r Rules, text string) string { return string(newCanonizer(r).form([]byte(text))) }

func TestForm_IsTheSameForWhatIsEqual(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"white space", " {\t\"a\" :\r\n[ 1 , 2 ] } ", `{"a":[1,2]}`},
		{"byte order mark", "\ufeff{\"a\":1}", `{"a":1}`},
		{"order of members", `{"b":1,"a":{"d":[],"c":{}}}`, `{"a":{"c":{},"d":[]},"b":1}`},
		{"order of elements", `[2,1]`, `[2,1]`},
		{"one name begins with the other", `{"ab":1,"a":2,"a!":3}`, `{"a":2,"a!":3,"ab":1}`},
		{"members of the same name keep their order", `{"b":0,"a":2,"a":1}`, `{"a":2,"a":1,"b":0}`},
		{"escapes", `{"\u0061":"\u00e9\/\ud83d\ude00\t\u0009\u001F\"\\"}`, `{"a":"é/😀\t\t\u001f\"\\"}`},
		{"half a surrogate pair", `["\ud83d","\uD83Dx","\ude00\ud83d"]`, "[\"\xed\xa0\xbd\",\"\xed\xa0\xbdx\",\"\xed\xb8\x80\xed\xa0\xbd\"]"},
		{"numbers as written", `[1,1.0,1e0,-0,0.10]`, `[1,1.0,1e0,-0,0.10]`},
		{"null is a value", `{"a":null}`, `{"a":null}`},
		{"texts are what they are", `["2026-01-31 00:00:00","{\"b\":1, \"a\":2}"]`, `["2026-01-31 00:00:00","{\"b\":1, \"a\":2}"]`},
		{"the pipeline's members", `{"event_id":"7","_arrived_at":"t","a":{"event_id":1},"_extra":2}`, `{"_extra":2,"a":{"event_id":1}}`},
		{"the pipeline's members, in escapes", `{"a":1,"event_\u0069d":"7"}`, `{"a":1}`},
		{"only the pipeline's members", `{"event_id":"7"}`, `{}`},
		{"literals", `[true,false,null,"",{}]`, `[true,false,null,"",{}]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := form(Rules{}, test.text); got != test.want {
				t.Errorf("%s becomes %s, want %s", test.text, got, test.want)
			}
		})
	}
}

func TestForm_ComparesColumnsByValue(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"numbers", `[1,1.0,10e-1,0.1e1,1E+0,100,-0.0,0e5,12.50,9007199254740993]`, `[1,1,1,1,1,1e2,0,0,125e-1,9007199254740993]`},
		{"fractions beyond a double", `[0.10000000000000001,0.1,0.1000000000000000055]`, `[1e-1,1e-1,1e-1]`},
		{"fractions that a double returns", `[0.123456789012345,0.123456789012346]`, `[123456789012345e-15,123456789012346e-15]`},
		{"integers beyond 64 bits", `[123456789012345678901234567891,123456789012345678901234567892]`, `[123456789012345678901234567891,123456789012345678901234567892]`},
		{"exponents beyond reason", `[1e99999999999999999999]`, `[1e99999999999999999999]`},
		{"null", `{"a":null,"b":{"c":null},"d":[null]}`, `{"b":{},"d":[null]}`},
		{"instants", `["2026-01-31T01:00:00\u002b02:00","2026-01-30T23:00:00Z","2026-01-30 23:00:00","2026-01-30T23:00:00.000","2026-01-30T23:00:00.120Z"]`,
			`["2026-01-30T23:00:00Z","2026-01-30T23:00:00Z","2026-01-30T23:00:00Z","2026-01-30T23:00:00Z","2026-01-30T23:00:00.12Z"]`},
		{"what looks like an instant", `["2026-01-31","2026-02-31T00:00:00Z","2026-01-31T00:00:00+2:00","0000-00-00 00:00:00","1234-67-90 2345678901"]`,
			`["2026-01-31","2026-02-31T00:00:00Z","2026-01-31T00:00:00+2:00","0000-00-00 00:00:00","1234-67-90 2345678901"]`},
		{"JSON in texts", `["{\"b\":1.0,\"a\":[null]}","[1,2]","1.50","-1","true","\"x\"","\u0031","{\"a\":\"[\\\"b\\\"]\"}"]`, `[{"a":[null],"b":1},[1,2],15e-1,-1,true,"x",1,{"a":["b"]}]`},
		{"what looks like JSON in texts", `["{\"a\"","{} x","null","01","1 ","-","truth","\"","","+1"]`, `["{\"a\"","{} x","null","01","1 ","-","truth","\"","","+1"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := form(Rules{Columns: true}, test.text); got != test.want {
				t.Errorf("%s becomes %s, want %s", test.text, got, test.want)
			}
		})
	}
}

func TestForm_SetsAsideWhatTheRulesName(t *testing.T) {
	r := Rules{Ignore: []string{"day", "\"\n"}, FoldNames: true}
	if got, want := form(r, `{"Zeta":{"day":1},"aLPHA":1,"Day":3,"\u0022\u000a":4,"ÄÖ":5}`), `{"alpha":1,"zeta":{"day":1},"äö":5}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// One byte more or less is another record.
func TestHash_TellsApartWhatDiffers(t *testing.T) {
	texts := []string{
		`{}`, `[]`, `[{}]`, `{"a":1}`, `{"a":1.0}`, `{"a":10}`, `{"a":"1"}`, `{"a":null}`, `{"a":[1]}`, `{"a":[1,1]}`, `{"a":{"a":1}}`, `{"b":1}`, `{"a":1,"b":1}`,
		`{"a":1,"a":1}`, `{"A":1}`, `{"a ":1}`, `{"a":"x"}`, `{"a":"x "}`, `{"a":"\u0078\u0000"}`, `{"a":"\\u0078"}`, `{"a":"\ud83d"}`, `{"a":"\ufffd"}`, `{"a":true}`, `{"a":"true"}`,
		`{"a":-1}`, `{"a":"é"}`, `{"a":"e\u0301"}`,
	}
	c, seen := newCanonizer(Rules{}), make(map[Hash]string)
	for _, text := range texts {
		h := c.hash([]byte(text))
		if other, known := seen[h]; known {
			t.Errorf("%s and %s have the same hash", text, other)
		}
		seen[h] = text
	}
}

// tree is a JSON value as encoding/json reads it, with members in order and numbers as they are written.
type tree any

type treeMember struct {
	name  string
	value tree
}

func parseTree(t *testing.T, text []byte) tree {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := readTree(d)
	if err != nil {
		t.Fatalf("encoding/json reads %q: %v", text, err)
	}
	return v
}

func readTree(d *json.Decoder) (tree, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []tree{}
		for d.More() {
			v, err := readTree(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	case json.Delim('{'):
		members := []treeMember{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := readTree(d)
			if err != nil {
				return nil, err
			}
			members = append(members, treeMember{name.(string), v})
		}
		_, err = d.Token()
		return members, err
	}
	return token, nil
}

// sortTree is the canonical form, made in the plainest way, with names sorted as they read.
func sortTree(v tree, top bool) string {
	switch v := v.(type) {
	case []tree:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = sortTree(v[i], false)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case []treeMember:
		v = slices.DeleteFunc(slices.Clone(v), func(m treeMember) bool { return top && (m.name == "event_id" || m.name == "_arrived_at") })
		slices.SortStableFunc(v, func(a, b treeMember) int { return strings.Compare(a.name, b.name) })
		parts := make([]string, len(v))
		for i, m := range v {
			parts[i] = fmt.Sprintf("%q:%s", m.name, sortTree(m.value, false))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case json.Number, nil, bool:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%q", v)
}

func valid(text []byte) bool {
	i := jsonscan.Start(text)
	if i == len(text) || text[i] != '{' && text[i] != '[' {
		return false
	}
	end, p := jsonscan.Value(text, i, 0)
	return p == jsonscan.None && jsonscan.Space(text, end) == len(text)
}

// FuzzForm compares the form with the plain model of it, and checks that it is stable, and valid JSON of the same value.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		`{"b":[1.0,{"d":null,"c":"x"}],"a":"é","event_id":"7"}`, `[]`, `{"a":{"a":{"a":{}}},"a":1}`, "{\"a\" : 1e5 ,\n\"A\":-0.0}", `{"\u0061\ud800":"\n\u0001"}`, `{"z":1,"y":[2],"x":{"w":3}}`,
	} {
		f.Add([]byte(seed), uint64(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		if !valid(text) {
			return
		}
		for _, columns := range []bool{false, true} {
			c := newCanonizer(Rules{Columns: columns})
			got := bytes.Clone(c.form(text))
			if !valid(got) {
				if !bytes.Contains(got, []byte("\xed")) {
					t.Fatalf("%q becomes %q, which is not JSON and has no half of a surrogate pair", text, got)
				}
				return
			}
			if again := c.form(got); !bytes.Equal(again, got) {
				t.Fatalf("%q becomes %q, and that %q", text, got, again)
			}
			want := parseTree(t, text[jsonscan.Start(text):])
			if a, b := sortTree(parseTree(t, got), true), sortTree(want, true); !columns && a != b {
				t.Fatalf("%q becomes %q, which means %s, not %s", text, got, a, b)
			}
			if len(text) > 1000 { // spell takes its time
				return
			}
			other := spell(want, rand.New(rand.NewPCG(seed, 1)))
			if form := c.form([]byte(other)); !bytes.Equal(form, got) {
				t.Fatalf("%q becomes %q, and %q becomes %q", text, got, other, form)
			}
		}
	})
}

// spell writes a value with other white space, other escapes, and members in another order, except those of the same name.
func spell(v tree, r *rand.Rand) string {
	space := func() string { return strings.Repeat([]string{" ", "\n", "\t"}[r.IntN(3)], r.IntN(2)) }
	switch v := v.(type) {
	case []tree:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = space() + spell(v[i], r) + space()
		}
		return "[" + space() + strings.Join(parts, ",") + "]"
	case []treeMember:
		v = slices.Clone(v)
		r.Shuffle(len(v), func(i, j int) {
			lo, hi := min(i, j), max(i, j)
			for _, m := range v[lo : hi+1] { // nothing of the same name may be passed
				if m.name == v[lo].name && lo != hi && countName(v[lo:hi+1], m.name) > 1 {
					return
				}
				if m.name == v[hi].name && countName(v[lo:hi+1], m.name) > 1 {
					return
				}
			}
			v[i], v[j] = v[j], v[i]
		})
		parts := make([]string, len(v))
		for i, m := range v {
			parts[i] = space() + spellText(m.name, r) + space() + ":" + space() + spell(m.value, r) + space()
		}
		return "{" + space() + strings.Join(parts, ",") + "}"
	case string:
		return spellText(v, r)
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

func countName(members []treeMember, name string) (n int) {
	for _, m := range members {
		if m.name == name {
			n++
		}
	}
	return n
}

func spellText(s string, r *rand.Rand) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c < 0x10000 && r.IntN(3) == 0, c < ' ', c == '"', c == '\\':
			fmt.Fprintf(&b, `\u%04x`, c)
		case c == '/' && r.IntN(2) == 0:
			b.WriteString(`\/`)
		default:
			b.WriteRune(c)
		}
	}
	return b.String() + `"`
}

// FuzzNumber compares numbers with math/big: two have the same form exactly if they have the same value.
func FuzzNumber(f *testing.F) {
	for _, pair := range [][2]string{{"1", "1.0"}, {"-0", "0e9"}, {"100", "1e2"}, {"0.001", "1E-3"}, {"12345678901234567", "12345678901234568"}, {"1.5", "15e-1"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		var values [2]*big.Rat
		var forms [2]string
		for i, text := range []string{a, b} {
			if end, p := jsonscan.Number([]byte(text), 0); len(text) == 0 || len(text) > 50 || p != jsonscan.None || end != len(text) {
				return
			}
			d, ok := parseDecimal([]byte(text), nil)
			if !ok || d.exponent > 300 || d.exponent < -300 || len(d.digits) > doubleDigits && d.exponent < 0 {
				return
			}
			values[i], _ = new(big.Rat).SetString(text)
			forms[i] = string(appendNumber(nil, []byte(text)))
			if back, ok := new(big.Rat).SetString(forms[i]); !ok || back.Cmp(values[i]) != 0 {
				t.Fatalf("%s becomes %s", text, forms[i])
			}
		}
		if equal := values[0].Cmp(values[1]) == 0; equal != (forms[0] == forms[1]) {
			t.Fatalf("%s and %s become %s and %s", a, b, forms[0], forms[1])
		}
	})
}

const trip = `{"trip_id":"1372636858620000589","call_type":"C","origin_call":null,"origin_stand":12,"taxi_id":20000589,"timestamp":1372636858,` +
	`"day_type":"A","missing_data":false,"note":"Rua do Almada \u00e0 noite","fare":12.50,"polyline":[[-8.618643,41.141412],[-8.618499,41.141376],[-8.620326,41.14251]]}`

func BenchmarkHash(b *testing.B) {
	sorted := form(Rules{}, trip)
	for _, bench := range []struct {
		name, text string
		rules      Rules
	}{{"as written", trip, Rules{}}, {"sorted", sorted, Rules{}}, {"columns", trip, Rules{Columns: true}}} {
		b.Run(bench.name, func(b *testing.B) {
			c, text := newCanonizer(bench.rules), []byte(bench.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				c.hash(text)
			}
		})
	}
}

func TestHash_AllocatesNothing(t *testing.T) {
	for _, columns := range []bool{false, true} {
		c, text := newCanonizer(Rules{Columns: columns}), []byte(trip)
		c.hash(text)
		if n := testing.AllocsPerRun(100, func() { c.hash(text) }); n != 0 {
			t.Errorf("columns %v: %v allocations", columns, n)
		}
	}
}

func split(t *testing.T, in io.Reader, raw bool) (records []string, err error) {
	t.Helper()
	for s := newTexts(in, raw); ; {
		record, isJSON, err := s.next()
		if err == io.EOF {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		kind := "raw "
		if isJSON {
			kind = ""
		}
		records = append(records, kind+string(record))
	}
}
