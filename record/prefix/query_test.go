package prefix

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/itchyny/gojq"

	"aws-streaming-pipeline/record"
)

// differs lists the rows of testdata/jq16/golden.tsv where the package documentation says that results are not jq 1.6's,
// with what they are.
var differs = map[[2]string]string{
	{`{c:.a}`, `{"a":1.0}`}:                    `{"c":1.0}`,
	{`{c:.a}`, `{"a":1e3}`}:                    `{"c":1e3}`,
	{`{c:.a}`, `{"a":12345678901234567890}`}:   `{"c":12345678901234567890}`,
	{`{c:(.a+1)}`, `{"a":9007199254740993}`}:   `{"c":9007199254740994}`,
	{`{c:.a[1]}`, `{"a":"abc"}`}:               `{"c":"b"}`,
	{`{c:(.a|test("^(?!x)"))}`, `{"a":"abc"}`}: `!failed`,
	{`{c:(1e17,1e18,1e-7,0.1+0.2)}`, `{}`}:     `{"c":100000000000000000} {"c":1000000000000000000} {"c":1e-7} {"c":0.30000000000000004}`,
}

func TestQuery_GivesWhatJQ16GivesButForTheListedDifferences(t *testing.T) {
	f, err := os.Open("testdata/jq16/golden.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		row := strings.Split(lines.Text(), "\t")
		if len(row) != 3 {
			t.Fatalf("golden line %q: want three fields", lines.Text())
		}
		want, listed := differs[[2]string{row[0], row[1]}]
		if !listed {
			want = row[2]
		} else if seen++; want == row[2] {
			t.Errorf("%s of %s is listed as different, and is not", row[0], row[1])
		}
		if got := allResults(t, row[0], row[1]); got != want {
			t.Errorf("%s of %s: %s, want %s", row[0], row[1], got, want)
		}
	}
	if seen != len(differs) {
		t.Errorf("%d of %d differences are rows of the golden file", seen, len(differs))
	}
}

// allResults writes the results of a query as golden.sh does.
func allResults(t *testing.T, source, payload string) string {
	t.Helper()
	q, err := compileQuery(source, nil)
	if err != nil {
		return "!failed"
	}
	input, err := decode([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	p := q.programs.get()
	p.work.start([]byte(payload), input, 1<<30)
	for results := p.code.RunWithContext(&p.work, input); ; {
		result, ok := results.Next()
		if !ok {
			return strings.Join(texts, " ")
		}
		if _, failed := result.(error); failed {
			return "!failed"
		}
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(result); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, strings.TrimSpace(b.String()))
	}
}

func TestQuery_SurvivesAPayloadThatUpsetsTheInterpreter(t *testing.T) {
	hit := 0
	q, err := compileQuery(`{c:test("x")}`, []string{"c"}, gojq.WithFunction("_test", 2, 2, func(any, []any) any {
		hit++
		panic("planted")
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, fault := q.values([]byte(`{}`), nil)
	if hit != 1 || fault == nil || fault.Code != record.CodeRecordPanicked || strings.Contains(fault.Message, "planted") ||
		!strings.Contains(fault.Message, "TestQuery_SurvivesAPayloadThatUpsetsTheInterpreter") {
		t.Errorf("%d calls, fault %v", hit, fault)
	}
}

func TestQuery_TakesTheSameNumberOfStepsEachTime(t *testing.T) {
	q, err := compileQuery("{c:last(range(1000))}", []string{"c"})
	if err != nil {
		t.Fatal(err)
	}
	object := func(steps int) bool { _, fault := q.object(nil, map[string]any{}, steps); return fault == nil }
	need := 0
	for step := 1 << 20; step > 0; step /= 2 { // the most that is too few
		if !object(need + step) {
			need += step
		}
	}
	if need < 1000 || need > freeWork {
		t.Fatalf("%d steps for a thousand numbers", need)
	}
	for range 10 {
		if object(need) || !object(need+1) {
			t.Fatal("the number of steps is another each time")
		}
	}
}

func TestQuery_KeepsTheOrderOfOddPayloads(t *testing.T) {
	q, err := compileQuery(`{c:(.a|tojson)}`, []string{"c"})
	if err != nil {
		t.Fatal(err)
	}
	for payload, want := range map[string]string{
		"\xef\xbb\xbf { \"a\" : {\"z\":1 ,\r\n\"y\" : [ {\"b\":1,\"a\":[ ]} , { } ]} } ": `{"z":1,"y":[{"b":1,"a":[]},{}]}`,
		`{"a":{"z":{"q":1,"p":2},"y":1,"z":{"p":1,"q":{"k":1,"j":2}}}}`:                  `{"z":{"p":1,"q":{"k":1,"j":2}},"y":1}`,
		`{"a":{"z":[{"q":1,"p":2}],"y":1,"z":{"q":1,"p":2}}}`:                            `{"z":{"q":1,"p":2},"y":1}`,
		`{"a":{"y":[1,2],"z":1,"y":[{"q":1,"p":2}]}}`:                                    `{"y":[{"q":1,"p":2}],"z":1}`,
		`{"a":{"\u007a":1,"\"":2,"a\\":3}}`:                                              `{"z":1,"\"":2,"a\\":3}`,
		"{\"a\":{\"z\":\"\xff\",\"y\":{\"q\":1,\"p\":2}}}":                               "{\"z\":\"\uFFFD\",\"y\":{\"q\":1,\"p\":2}}",
		"{\"a\":{\"z\":1,\"\xff\xff\":2,\"y\":3}}":                                       "{\"y\":3,\"z\":1,\"\uFFFD\uFFFD\":2}", // not known: sorted
	} {
		values, fault := q.values([]byte(payload), nil)
		if fault != nil || values[0].text != want {
			t.Errorf("%q: %v, %v: want %s", payload, values, fault, want)
		}
	}
}

func TestQuery_IsSafeForConcurrentUse(t *testing.T) {
	q, err := compileQuery(`{c:(.a|gsub("[^a]";"_")|map_values(.)? // .)}`, []string{"c"})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			payload := fmt.Appendf(nil, `{"a":"a%d"}`, i)
			for range 50 {
				runtime.GC() // takes the programs out of the pool
				if values, fault := q.values(payload, nil); fault != nil || values[0].text != "a_" {
					t.Errorf("%v, %v", values, fault)
				}
			}
		})
	}
	all.Wait()
}

func TestQuery_GivesALargePayloadMoreSteps(t *testing.T) {
	q, err := compileQuery("{c:([.a[]]|length)}", []string{"c"})
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"a":[` + strings.Repeat("1000000000,", 100_000) + `1]}`)
	values, fault := q.values(payload, nil)
	if fault != nil || values[0].text != "100001" {
		t.Errorf("got %v, %v", values, fault)
	}
}

func TestQuery_DoesNotSeeTheEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for _, source := range []string{"{c:env.AWS_SECRET_ACCESS_KEY}", "{c:$ENV.AWS_SECRET_ACCESS_KEY}"} {
		q, err := compileQuery(source, []string{"c"})
		if err != nil {
			t.Fatal(err)
		}
		if values, fault := q.values([]byte(`{}`), nil); fault == nil {
			t.Errorf("%s gives %v", source, values)
		}
	}
	for _, source := range []string{"{c:input}", `import "x" as x; {c:1}`} {
		if _, err := compileQuery(source, []string{"c"}); err == nil {
			t.Errorf("%s is taken", source)
		}
	}
}

// pathQueries are queries of paths, with the keys that a prefix uses of them.
var pathQueries = []struct {
	source string
	keys   []string
}{
	{"{a:.a}", []string{"a"}},
	{"{a}", []string{"a"}},
	{`{"a"}`, []string{"a"}},
	{"({a:.a})", []string{"a"}},
	{"{a:.a,b:.b.c}", []string{"a", "b"}},
	{"{a:.a,b:.b.c}", []string{"b"}},
	{"{a:.a.b,b:.a.c,c:.a.b}", []string{"c", "b", "a"}},
	{"{a:.a.b.c,b:.a.b}", []string{"a"}},
	{"{a:.a.b.c,b:.a}", []string{"b"}},
	{`{a:.["a"],b:."b"["c"]}`, []string{"a", "b"}},
	{"{a:(.a|.b),b:((.b).c)}", []string{"a", "b"}},
	{`{a:(.a//"none"),b:(.b.c//"none")}`, []string{"a", "b"}},
	{"{a:.a,a:.b}", []string{"a"}},
	{`{a:.a,"b c":."\u00e9 x"}`, []string{"a", "b c"}},
	{"{a:.,b:.b}", []string{"b"}},
	{"{a:.a,b:.b,c:.c,d:.d,e:.e,f:.f,g:.g,h:.h,i:.i,j:.j}", []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}},
}

func TestPaths_TakeQueriesOfPathsAndNoOthers(t *testing.T) {
	for _, c := range pathQueries {
		q, err := compileQuery(c.source, c.keys)
		if err != nil {
			t.Fatal(err)
		}
		if taken := q.paths != nil; taken == strings.HasPrefix(c.source, "{a:.,") {
			t.Errorf("%s: taken %v", c.source, taken)
		}
	}
	for _, source := range []string{
		"{a:.a[]}", "{a:.a[0]}", "{a:.a[1:2]}", "{a:.a?}", "{a:.a|tostring}", "{a:(.a//1)}", "{a:(.a//.b)}", `{a:(.a//"")}`, `{a:"x"}`, "{a:1}", "{a:-.a}",
		"{a:..}", "{(.a):.b}", `{"a\(.b)":.b}`, "{$__loc__}", "{a:.a}|.", ".", ".a", "{a:.a}.a", "{a:.a},{a:.b}", "def f:.; {a:.a}", "{a:(def f:.; .a)}",
		"{a:(. as $x|.a)}", `{a:.["a","b"]}`, `{a:."\(.b)"}`, "{a:(.a+.b)}", `{a:(.a//"\(.b)")}`, `{a:(.a//"x"|.b)}`, "[.a]", "{a:(.a,.b)}", "{a:@text}", "{a:$ENV.x}",
	} {
		q, err := compileQuery(source, nil)
		if err != nil {
			continue // neither does the interpreter
		}
		if q.paths != nil {
			t.Errorf("%s is taken for a query of paths", source)
		}
	}
}

var pathPayloads = []string{
	`{"a":"x","b":{"c":"y"}}`, `{"a":{"b":1,"c":2},"b":3}`, `{"a":{"b":{"c":true}}}`, `{"a":null,"b":null}`, `{"a":false,"b":{"c":false}}`,
	`{"a":1,"a":2}`, `{"b":{"c":1},"b":{"d":1}}`, `{"b":{"c":1},"b":null}`, `{"b":null,"b":{"c":1},"a":1}`, `{"b":{"c":1},"b":5,"a":1}`,
	`{"b":5,"b":{"c":1},"a":1}`, `{"a":{"b":{"c":1}},"a":{"b":{"d":1}}}`,
	`{"\u0061":1}`, `{"a":1,"\u0061":2}`, `{"é x":"z","a":"\u00e9\ud83d\ude00\ud83d \/\\\"\n"}`, `{"a":"\ud800","b":{"c":"\u0000"}}`,
	`{"a":1.0,"b":{"c":1e999}}`, `{"a":-0,"b":{"c":12345678901234567890123}}`, `{"a":"","b":{"c":"x"}}`, `{"a":[1],"b":{"c":{}}}`, `{"a":"x","b":[{"c":1}]}`,
	"\xef\xbb\xbf {\"a\":1,\"b\":{\"c\":2}} \n", `{"a":1}{"a":2}`, `{"a":1} x`, `[{"a":1}]`, `"a"`, `null`, ``, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`,
	`{"a":01}`, `{"a":nul}`, `{"a":n}`, `{"a":tru}`, `{"a":"x` + "\x01" + `"}`, "{\"a\":\"\xff\"}", "{\"\xff\":1,\"a\":1}", `{"a":"\x"}`, `{"a":1 "b":2}`, `{"a" 1}`, `{a:1}`,
	`{"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `,"a":1}`, `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10}`, `{}`, ` { } `,
	"{ \"a\" : \"x\" ,\r\n\t\"b\" : { \"c\" : \"y\" } }", `{"a":"\u2028","b":{"c":"` + "\u0085" + `"}}`,
}

// checkPaths holds that a query of paths takes from a payload what the interpreter takes, or leaves it to that. It reports
// whether it was taken.
func checkPaths(t *testing.T, q *query, source string, payload []byte) bool {
	t.Helper()
	before := slices.Clone(payload)
	values, ok := q.paths.values(payload, nil, len(q.keys))
	if !slices.Equal(before, payload) {
		t.Fatalf("%s: payload %q became %q", source, before, payload)
	}
	if !ok {
		return false
	}
	want, fault := q.run(payload)
	if fault != nil && (fault.Code == record.CodeJSONNumberTooLarge || fault.Message == errTooDeep.Error()) {
		return false // paths compute nothing, so they take it
	}
	if fault != nil {
		t.Fatalf("%s of %q: taken, and the interpreter says %v", source, payload, fault)
	}
	for i, key := range q.keys {
		if got, want := string(values[i].appendTo(nil, payload)), string(want[i].appendTo(nil, payload)); got != want {
			t.Errorf("%s of %q: %s is %q, and %q by the interpreter", source, payload, key, got, want)
		}
	}
	return true
}

func TestPaths_AgreeWithTheInterpreter(t *testing.T) {
	taken := 0
	for _, c := range pathQueries {
		q, err := compileQuery(c.source, c.keys)
		if err != nil {
			t.Fatal(err)
		}
		if q.paths == nil {
			continue
		}
		for _, payload := range pathPayloads {
			if checkPaths(t, q, c.source, []byte(payload)) {
				taken++
			}
		}
	}
	if taken < 100 {
		t.Errorf("only %d pairs were taken: the test compares nothing", taken)
	}
}

// FuzzPaths holds for payloads of any kind that paths and interpreter agree.
func FuzzPaths(f *testing.F) {
	for _, payload := range pathPayloads {
		f.Add([]byte(payload))
	}
	var queries []*query
	for _, c := range pathQueries {
		q, err := compileQuery(c.source, c.keys)
		if err != nil {
			f.Fatal(err)
		}
		queries = append(queries, q)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for i, q := range queries {
			if q.paths != nil {
				checkPaths(t, q, pathQueries[i].source, payload)
			}
		}
	})
}

// FuzzPathQuery holds that what is taken for a query of paths means the same to the interpreter.
func FuzzPathQuery(f *testing.F) {
	for _, c := range pathQueries {
		f.Add(c.source, []byte(pathPayloads[0]))
	}
	f.Fuzz(func(t *testing.T, source string, payload []byte) {
		if parsed, err := gojq.Parse(source); err != nil || parsed == nil {
			return
		}
		parsed, _ := gojq.Parse(source)
		made, known := madeKeys(parsed)
		if !known || len(made) == 0 {
			return
		}
		q, err := compileQuery(source, slices.Compact(slices.Sorted(slices.Values(made))))
		if err != nil || q.paths == nil {
			return
		}
		checkPaths(t, q, source, payload)
	})
}
