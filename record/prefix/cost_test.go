package prefix

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"testing"
	"time"

	"github.com/itchyny/gojq"

	"aws-streaming-pipeline/record"
)

// costlyShapes make values of about n bytes, each of them the worst case of something.
var costlyShapes = []struct {
	name string
	make func(n int) string
}{
	{"letters", func(n int) string { return asJSON(strings.Repeat("a", n)) }},
	{"commas", func(n int) string { return asJSON(strings.Repeat(",", n)) }},
	{"words", func(n int) string { return asJSON(strings.Repeat("ab cd-", n/6)) }},
	{"not ASCII", func(n int) string { return asJSON(strings.Repeat("é", n/2)) }},
	{"digits", func(n int) string { return asJSON(strings.Repeat("9", n)) }},
	{"escapes", func(n int) string { return asJSON(strings.Repeat(`"<`, n/3)) }},
	{"JSON in a text", func(n int) string { return asJSON("[" + strings.Repeat("1,", n/2) + "1]") }},
	{"pattern", func(n int) string { return asJSON(strings.Repeat("(a|b){9}", n/8)) }},
	{"groups", func(n int) string { return asJSON(strings.Repeat("()", n/2)) }},
	{"formats", func(n int) string { return asJSON(strings.Repeat("%999Y", n/5)) }},
	{"numbers", func(n int) string { return "[" + strings.Repeat("1,", n/2) + "1]" }},
	{"different numbers", func(n int) string {
		return list(n/8, func(i int) string { return fmt.Sprint(1_000_000 + i*7919%900_000) })
	}},
	{"long numbers", func(n int) string { return list(n/400, func(int) string { return strings.Repeat("9", 399) }) }},
	{"texts", func(n int) string { return list(n/12, func(i int) string { return fmt.Sprintf(`"a,b%07d"`, i) }) }},
	{"objects", func(n int) string {
		return list(n/32, func(i int) string { return fmt.Sprintf(`{"a":"x%07d","b":%d,"k":"k"}`, i, i) })
	}},
	{"empty arrays", func(n int) string { return list(n/3, func(i int) string { return "[]" }) }},
	{"one long row", func(n int) string { return "[[" + strings.Repeat("1,", n/4) + "1]" + strings.Repeat(",[]", n/6) + "]" }},
	{"deep arrays", func(n int) string { d := min(n/2, maxDepth-1); return strings.Repeat("[", d) + strings.Repeat("]", d) }},
	{"deep objects", func(n int) string {
		d := min(n/6, maxDepth-1)
		return strings.Repeat(`{"a":`, d) + "1" + strings.Repeat("}", d)
	}},
	{"members", func(n int) string {
		return "{" + strings.Trim(list(n/16, func(i int) string { return fmt.Sprintf(`"k%08d":%d`, i, i%10) }), "[]") + "}"
	}},
	{"a large number", func(int) string { return "1e9" }},
	{"a number", func(int) string { return "40" }},
}

func asJSON(s string) string { b, _ := json.Marshal(s); return string(b) }

func list(n int, element func(i int) string) string {
	elements := make([]string, n)
	for i := range elements {
		elements[i] = element(i)
	}
	return "[" + strings.Join(elements, ",") + "]"
}

// costlyPayload is a payload of n bytes of two shapes.
func costlyPayload(a, b, n int) string {
	return `{"a":` + costlyShapes[a].make(n/2) + `,"b":` + costlyShapes[b].make(n/2) + `,"n":3,"k":"a"}`
}

// costlyQueries do with large values in loops what a careless author does.
var costlyQueries = []string{
	`.a|gsub("[^A-Za-z0-9]";"_")`, `.a|gsub("(?<x>.)";.x)`, `.a|gsub("a.*b|a";"")`, `.a|gsub("a*";"-")`, `[.a|scan("[a-z]+")]`, `[.a|match("";"g")]`, `.a|test("(a|a)*b")`, `.a|sub("(?<x>a+)+$";"\(.x)")`, `.a|split("a*b|a";"g")`, `. as $x|.a|test($x.b)`, `. as $x|.a|gsub($x.b;"")`, `. as $x|[.a|match($x.b;"g")]`,
	`[.a[]?|tostring|test("x")]`, `. as $x|[.a[]|contains($x.b)]`, `. as $x|[.a[]|$x.b|contains("zz")]`, `. as $x|[.a[]|$x.b|index("zz")]`, `. as $x|[.a[]|$x.b[0:1]]`, `. as $x|[.a[]|$x.b|length]`, `. as $x|[.a[]|first($x.b[])]`, `. as $x|[.a[]|$x.b.x?]`, `. as $x|[.a[]|$x.b[.]?]`, `. as $x|[.a[]|($x.b|tonumber)?]`, `. as $x|[.a[]|try ($x.b+1) catch 0]`, `. as $x|[.a[]|$x.b==$x.a]`, `. as $x|[.a[]|$x.b|tojson|length]`, `. as $x|[.a[]|"\($x.b)"|length]`, `. as $x|[.a[]|$x.b|keys|length]`,
	`reduce .a[] as $x ("";.+($x|tostring))`, `reduce .a[] as $x ([];.+[$x])`, `reduce .a[] as $x ({};.[$x|tostring]=1)`, `reduce .a[] as $x ({};.+{($x|tostring):1})`, `reduce .a[] as $x (.b;.[0]=$x)`, `reduce .a[] as $x (.b;.x=$x)`, `reduce .a[] as $x (.b;del(.[0]?))`, `reduce .a[] as $x (0;[.])|tojson`, `reduce .a[] as $x (1;.*.)`, `reduce .a[] as $x (3;.*7)`, `reduce .a[] as $x ("ab";.+.)`, `reduce .a[] as $x (1;[.,.]|add)`, `reduce .a[] as $x (1;.+.)`,
	`.a*.b`, `.a-.b`, `.a/.b`, `.a+.b`, `.a==.b`, `. as $x|.a|contains($x.b)`, `. as $x|.a|indices($x.b)`, `. as $x|.a|join($x.b)`, `. as $x|.a|index($x.b)`, `. as $x|.a|split($x.b)`, `. as $x|.a|inside($x.b)`, `. as $x|0|strftime($x.a)`, `"x"*.a`, `[range(.a)]`, `.b[.a]=1`, `setpath(["z",.a];1)`, `null|setpath([range(100000)|"a"];1)`, `.a|transpose`, `.a|flatten`, `.a|sort`, `.a|unique`, `.a|group_by(.)`, `.a|add`, `.a|min_by(.)`, `.a|explode|implode`, `.a|@base64d`, `.a|@html`, `.a|@sh`, `.a|tonumber|.+1`, `.a|fromjson`, `.a|fromjson|map(.+1)`, `.a|map(.+1)`,
	`[paths]`, `[..]`, `[.a|tostream]`, `.a|del(..)`, `..|=.`, `.a|walk(.)`, `(def r:(.[]?|r),.;r)|=.`, `.a|[paths(scalars)]`, `.a|map_values(.)`, `.a[]|=tostring`, `(.a[]|.a?)|=1`, `.a|to_entries`, `.a|with_entries(.)`, `[.a|paths(..)]|length`, `[.a,.b]|combinations`, `.a|[combinations(9)]`, `. as $x|[.a[]|IN($x.b[])]`, `[.a[]?|select(.k=="k")]|length`, `[..|.a?]|length`, `.a|INDEX(.)`, `. as $x|.a|map(select(.a==$x.k))|length`, `def f:.+f;.n|f`, `.a|[limit(3;repeat(.))]|tojson`, `.a|ltrimstr("a")|rtrimstr("a")|ascii_downcase`, `.a[100:200]`, `[.a[]?|strptime("%Y")?]`,
}

var began = time.Now()

// cpuTime is what the thread has used, or where that is not known the time since the test began.
func cpuTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD, getrusage(2) of Linux
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		return time.Since(began)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// spent runs a query and returns the units of work, the time and the memory that it took.
func spent(q *query, payload string) (units int, took time.Duration, allocated uint64, fault *record.Fault) {
	input, err := decode([]byte(payload))
	if err != nil {
		return 0, 0, 0, nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	budget := freeWork + workPerByte*len(payload)
	start := cpuTime()
	p := q.programs.get()
	p.work.start([]byte(payload), input, budget)
	results := p.code.RunWithContext(&p.work, input)
	for {
		v, ok := results.Next()
		if err, failed := v.(error); failed {
			fault = queryFault(err)
		}
		if !ok {
			break
		}
	}
	took = cpuTime() - start
	left := max(p.work.left, 0)
	p.work = work{}
	q.programs.put(p)
	runtime.ReadMemStats(&after)
	return budget - left, took, after.TotalAlloc - before.TotalAlloc, fault
}

// unitTime is what a unit of a query takes that only goes round a loop.
func unitTime() float64 {
	q, err := compileQuery(`{c:last(range(1000000))}`, nil)
	if err != nil {
		panic(err)
	}
	units, took, _, _ := spent(q, `{"x":"`+strings.Repeat("x", 65536)+`"}`)
	return float64(took) / float64(units)
}

var firstUnitTime = sync.OnceValue(unitTime)

// Bounds of what a unit of work may take: the search of the worst queries and payloads finds 15 times the time of a
// step, and 200 bytes.
const (
	maxUnitTimes = 60
	maxUnitBytes = 1000
)

// checkCost holds that the work which a query spends on a payload stands for what it takes.
func checkCost(t *testing.T, source string, q *query, payload string) {
	t.Helper()
	const start = 50_000 // units of a run that do not count, so that short ones show no noise
	step := firstUnitTime()
	for attempt := range 4 {
		if attempt > 0 { // on a machine that is busier now
			step = max(step, unitTime())
		}
		units, took, allocated, _ := spent(q, payload)
		times, bytes := float64(took)/step/float64(units+start), float64(allocated)/float64(units+start)
		if times <= maxUnitTimes && bytes <= maxUnitBytes {
			return
		}
		if attempt == 3 {
			t.Errorf("%s of %.80s (%d bytes): %d units took %v, %.0f times as long as as many steps, and %d bytes, %.0f a unit",
				source, payload, len(payload), units, took, times, allocated, bytes)
		}
	}
}

// FuzzCost_Query looks for queries and payloads that cost more than they spend.
func FuzzCost_Query(f *testing.F) {
	for i, source := range costlyQueries {
		f.Add(source, uint8(i), uint8(i/3), uint16(16384))
		f.Add(source, uint8(i/2), uint8(i), uint16(32768))
	}
	f.Fuzz(func(t *testing.T, source string, a, b uint8, size uint16) {
		if len(source) > 200 {
			return
		}
		q, err := compileQuery(source, nil)
		if err != nil {
			return
		}
		checkCost(t, source, q, costlyPayload(int(a)%len(costlyShapes), int(b)%len(costlyShapes), int(size)))
	})
}

// TestQuery_ChargesForWhatAFunctionDoes has the control of the test above: work that nothing is spent for.
func TestQuery_ChargesForWhatAFunctionDoes(t *testing.T) {
	idle := func(any, []any) any { return strings.Repeat("x", 1<<27) != "" }
	q, err := compileQuery(`{c:test("x")}`, []string{"c"}, gojq.WithFunction("_test", 2, 2, idle))
	if err != nil {
		t.Fatal(err)
	}
	units, took, allocated, _ := spent(q, `{}`)
	if float64(took)/unitTime()/float64(units+50_000) <= maxUnitTimes && allocated/uint64(units+50_000) <= maxUnitBytes {
		t.Errorf("%d units for %v and %d bytes pass", units, took, allocated)
	}
}

func TestQuery_TakesLinearTimeForALargeText(t *testing.T) {
	for _, c := range []struct {
		query string
		text  string // many times
		size  int
		want  func(text string) string
	}{
		{`{c:(.a|gsub("[^A-Za-z0-9]";"_"))}`, "-", 1_000_000, func(s string) string { return strings.Repeat("_", len(s)) }},
		{`{c:(.a|gsub("[^A-Za-z0-9]+";""))}`, "-", 1_000_000, func(s string) string { return "" }},
		{`{c:(.a|gsub("(?<x>-)";"<\(.x)>"))}`, "abcdefghijklmno-", 300_000, func(s string) string { return strings.ReplaceAll(s, "-", "<->") }},
		{`{c:(.a|[scan("[a-z]+")]|length)}`, "abcdefg-", 300_000, func(s string) string { return fmt.Sprint(len(s) / 8) }},
		{`{c:(.a|split("-";"g")|length)}`, "-", 1_000_000, func(s string) string { return fmt.Sprint(len(s) + 1) }},
		{`{c:(.a|split("-")|join("+"))}`, "-", 1_000_000, func(s string) string { return strings.Repeat("+", len(s)) }},
		{`{c:(.a|sub("-$";"!")|.[-1:])}`, "-", 1_000_000, func(string) string { return "!" }},
		{`{c:(.a|explode|map(.+1)|implode)}`, "-", 20_000, func(s string) string { return strings.Repeat(".", len(s)) }},
		{`{c:(.a|ascii_downcase|ltrimstr("-")|length)}`, "-", 1_000_000, func(s string) string { return fmt.Sprint(len(s) - 1) }},
	} {
		q, err := compileQuery(c.query, []string{"c"})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat(c.text, c.size/len(c.text))
		payload := []byte(`{"a":"` + text + `"}`)
		got := ""
		values, fault := q.values(payload, nil)
		if fault == nil {
			got = values[0].text
		}
		if want := c.want(text); got != want && !(want == "" && fault != nil && fault.Code == CodeMetadataExtractionFailed) {
			t.Errorf("%s: %.40q, %v: want %.40q", c.query, got, fault, want)
		}
	}
}

func TestQuery_RefusesWhatAPayloadMakesLarge(t *testing.T) {
	long := strings.Repeat("9", 100_000)
	for _, c := range []struct{ query, payload string }{
		{`("x"*.n)|length`, `{"n":2000000000}`},
		{`.a[.n]=1|.a|length`, `{"a":[],"n":500000000}`},
		{`setpath(["a",.n];1)|.a|length`, `{"n":500000000}`},
		{`.a|transpose|length`, `{"a":[[` + strings.Repeat("1,", 100_000) + `1]` + strings.Repeat(",[]", 100_000) + `]}`},
		{`.a|tonumber`, `{"a":"` + long + `"}`},
		{`.a|fromjson|.+1`, `{"a":"` + long + `"}`},
		{`reduce range(.n) as $i (.a;.*.)|.%10`, `{"a":3,"n":30}`},
		{`reduce range(.n) as $i (.a;.+.)|.%10`, `{"a":3,"n":20000}`},
		{`reduce range(.n) as $i (.a;.+.)|length`, `{"a":"xx","n":31}`},
		{`reduce range(.n) as $i (.a;[.,.])|tojson|length`, `{"a":"xx","n":29}`},
		{`reduce range(.n) as $i (0;[.])|tojson|length`, `{"n":20000}`},
		{`. as $x|.a|test($x.p)`, `{"a":"` + strings.Repeat("a", 100_000) + `","p":"` + strings.Repeat("(a|b){9}", 1000) + `"}`},
		{`. as $x|.a|contains($x.b)`, `{"a":[` + strings.Repeat("1,", 50_000) + `1],"b":[` + strings.Repeat("1,", 50_000) + `2]}`},
		{`.a-.b|length`, `{"a":[` + strings.Repeat("1,", 50_000) + `1],"b":[` + strings.Repeat("2,", 50_000) + `2]}`},
		{`[1|limit(3000;repeat([.])|paths)]|length`, `{}`},
		{`. as $x|[.a[]|$x.s[0:1]]|length`, `{"a":[` + strings.Repeat("1,", 50_000) + `1],"s":"` + strings.Repeat("é", 100_000) + `"}`},
		{`. as $x|[.a[]|first($x.a[])]|length`, `{"a":[` + strings.Repeat("1,", 50_000) + `1]}`},
		{`. as $x|[.a[]|($x.s+1)?]|length`, `{"a":[` + strings.Repeat("1,", 50_000) + `1],"s":"` + strings.Repeat("x", 100_000) + `"}`},
		{`.a|gsub("a.*b|a";"")`, `{"a":"` + strings.Repeat("a", 100_000) + `"}`},
	} {
		q, err := compileQuery("{c:("+c.query+")}", []string{"c"})
		if err != nil {
			t.Fatal(err)
		}
		if _, fault := q.values([]byte(c.payload), nil); fault == nil || fault.Code != CodeQueryTooExpensive {
			t.Errorf("%s of %.40s: %v: want %s", c.query, c.payload, fault, CodeQueryTooExpensive)
		}
	}
}

func TestQuery_KeepsOnlyItsOwnPatterns(t *testing.T) {
	q, err := compileQuery(`{c:(. as $x|.a|test($x.p) and test("x"))}`, []string{"c"})
	if err != nil {
		t.Fatal(err)
	}
	kept := patterns{written: map[string]bool{"x": true}, kept: make(map[patternKey]*pattern)}
	var w work
	for i := range 100 {
		if _, fault := q.values(fmt.Appendf(nil, `{"a":"x","p":"x|%d"}`, i), nil); fault != nil {
			t.Fatal(fault)
		}
		w.start(nil, nil, freeWork)
		for _, re := range []string{fmt.Sprint("x|", i), "x"} {
			if _, _, _, err := kept.of(&w, "x", re, strings.Repeat("gi", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(kept.kept) != 2 { // with and without i
		t.Errorf("%d patterns are kept", len(kept.kept))
	}
}

func TestQuery_RefusesADeepPayload(t *testing.T) {
	q, err := compileQuery(`{c:(.a|tojson|length)}`, []string{"c"})
	if err != nil {
		t.Fatal(err)
	}
	for levels, want := range map[int]string{maxDepth: "", maxDepth + 1: errTooDeep.Error()} {
		payload := `{"b":"[[[[","a":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`
		_, fault := q.values([]byte(payload), nil)
		if got := fault; (got == nil) != (want == "") || got != nil && got.Message != want {
			t.Errorf("%d levels: %v, want %q", levels, got, want)
		}
	}
	if _, fault := q.values([]byte(`{"a":`+strings.Repeat(`[[],`, 200)+"1"+strings.Repeat("]", 200)+`}`), nil); fault != nil {
		t.Errorf("many brackets, but not deep: %v", fault)
	}
}
