package prefix

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
)

// sameQueries are programs of all kinds, for every function that is available.
var sameQueries = []string{
	`.`, `.[]?`, `..`, `[..]`, `[.[]?]`, `.a`, `.a?`, `.a.b?`, `.a.b.c?`, `.a[0]`, `.a[0]?`, `.a[-1]?`, `.a[1:]?`, `.a[:2]?`, `.a[.n]?`, `.a["x"]?`, `.["a"]`, `."a"`, `.[(.k)]?`, `.a[.k]?`, `.a[0].b?`,
	`[.a[]?]`, `.a[]?.b?`, `.a[1:3][0]?`, `(.a,.b)?`, `(.a|tonumber)?`, `try (.a|tonumber) catch "none"`, `try error("x") catch .`, `try error({a:1}) catch .a`, `.a??`, `."a\(.n)"?`, `.a[(.k|ascii_downcase)]?`, `[.[]?|.a?]`,
	`.a+.b`, `.a-.b`, `.a*.b`, `.a/.b`, `.a%.b`, `.a+1`, `.a-1`, `.a*2`, `.a/2`, `.a%3`, `1+.a`, `"x"*.a`, `.a*"x"`, `.a*0`, `.a+"x"`, `"x"+.a`, `.a/","`, `.a+null`, `.a+[1]`, `.a-[1]`, `.a+{z:1}`, `.a*{z:{y:1}}`, `-.a`, `-(.n)`, `+.n`,
	`.a==.b`, `.a!=.b`, `.a<.b`, `.a<=.b`, `.a>.b`, `.a>=.b`, `.a=="x"`, `.a<1`, `.a and .b`, `.a or .b`, `.a//.b`, `.a//"none"`, `(.a,.b)+(.n,.k)`, `[(1,2)*(3,4)]`, `[(1,2)-(3,4)]`, `[("a","b")+("c","d")]`,
	`.a=1`, `.a.b=1`, `.a[0]=1`, `.a[5]=1`, `.a[1:2]=[9,9]`, `.[]=1`, `.a[]=1`, `.a|=tostring`, `.[]|=tostring`, `(.a,.b)|=tostring`, `..|=.`, `.a|=empty`, `.a[]?|=empty`, `.a+=1`, `.a-=1`, `.a*=2`, `.a/=2`, `.a%=2`, `.a//=7`, `.a+=(1,2)`,
	`.a[]+=1`, `(.a|select(type=="array")|.[0])=5`, `(..|select(type=="number"))|=.+1`, `(..|strings)|=ascii_upcase`, `.a[.n]?=1`, `[.[]?|strings]|.[0]="z"`, `.a[-1]=3`, `def f:.a; f=1`, `def f(x):x|=1; f(.a)`, `(.a|.b)=2`, `first(.a[]?)=3`,
	`getpath(["a","b"])?`, `getpath(["a",0])?`, `[paths]`, `[paths(type=="number")]`, `[path(..)]`, `path(.a)`, `[path(.a[]?)]`, `setpath(["a"];1)`, `setpath(["a",3];1)`, `setpath([];1)`, `delpaths([["a"]])`, `delpaths([["a",0],["b"]])`, `del(.a)`, `del(.a[0]?)`,
	`del(.[]?)`, `del(..|select(.=="x"))`, `to_entries`, `with_entries(.value|=tostring)`, `with_entries(select(.key!="a"))`, `map_values(.)`, `map_values(empty)`, `map(tostring)`, `[.[]?|tostring]`, `walk(if type=="number" then .+1 else . end)`, `pick(.a)`, `pick(.a.b)?`,
	`[tostream]`, `fromstream(tostream)`, `[1|truncate_stream([[0],1],[[1,0],2],[[1,0]],[[1]])]`, `keys`, `has("a")`, `length`, `[.[]?|length]`, `utf8bytelength`, `.a|utf8bytelength`, `add`, `[.[]?]|add`, `add(.[]?)`, `any`, `all`, `[.[]?|type]`, `[.[]?]|any(.=="x")`, `[.[]?]|all(.!="x")`,
	`flatten`, `[.[]?]|flatten`, `[.[]?]|flatten(1)`, `[.[]?]|sort`, `[.[]?]|sort_by(type)`, `[.[]?]|group_by(type)`, `[.[]?]|unique`, `[.[]?]|unique_by(type)`, `[.[]?]|min`, `[.[]?]|max`, `[.[]?]|min_by(type)`, `[.[]?]|max_by(type)`, `[.[]?]|reverse`, `[.[]?]|bsearch("x")`, `[[1,2],[3]]|transpose`,
	`[range(5)]`, `[range(1;5)]`, `[range(5;1;-2)]`, `[limit(2;.[]?)]`, `[first(.[]?)]`, `[last(.[]?)]`, `[nth(1;.[]?)]`, `[skip(1;.[]?)]`, `isempty(.[]?)`, `[.[]?]|first,last,nth(1)`, `[until(true;.)]`, `[5|while(.>0;.-1)]`, `[limit(3;repeat(1))]`, `[recurse(if type=="array" then .[] else empty end)]`, `[2|recurse(if .<20 then .*. else empty end; .<100)]`,
	`[[1,2],[3,4]]|[combinations]`, `[[0,1]|combinations(2)]`, `reduce .[]? as $x (0;.+1)`, `reduce .[]? as $x ("";.+($x|tostring))`, `[foreach .[]? as $x (0;.+1;[.,$x])]`, `[foreach .[]? as $x (0;.+1)]`, `. as {a:$x} | $x`, `. as {$a,b:[$y]} | [$a,$y]`, `. as [$x] ?// $x | [$x]`, `label $f | .[]? | ., break $f`,
	`if .a then 1 else 2 end`, `if .a then 1 end`, `if .n>1 then "big" elif .n==1 then "one" else "none" end`, `{a,b}`, `{a:1,b:.b}`, `{(.k):1}?`, `{"x\(.n)":1}`, `{a:(1,2)}`, `{$__loc__}?`, `[.a,.b]`, `.a as $x | .b as $y | [$x,$y]`, `def f(x;$y): x+$y; f(.n;1)`, `def length: 7; length`, `def f(length): length; f(3)`, `def fac: if .<2 then 1 else .*(.-1|fac) end; 10|fac`,
	`def map(f): 3; map(.)`, `def f: def g: 3; g; f`, `def select(f): 9; [.[]?|select(false)]`, `"x\(.a)y\(.b)"`, `"\(1,2)-\(3,4)"`, `@base64 "x\(.a)"`, `@json "x\(.a)"`, `@text`, `@json`, `@html`, `@uri`, `@base64`, `.a|@base64d`, `[.[]?|scalars]|@csv`, `[.[]?|scalars]|@tsv`, `[.[]?|scalars]|@sh`, `.a|@sh`, `.a|@uri`, `.a|@urid`, `.a|@html`, `format("json")`, `.a|format("csv")`,
	`tojson`, `tostring`, `.a|tostring`, `.a|tojson|fromjson`, `.a|fromjson`, `.a|tonumber`, `.n|tonumber`, `"12"|tonumber`, `"1e3"|tonumber`, `"nan"|tonumber`, `.a|ascii_downcase`, `.a|ascii_upcase`, `.a|explode`, `.a|explode|implode`, `.a|trim`, `.a|ltrim`, `.a|rtrim`, `.a|ltrimstr("x")`, `.a|rtrimstr("x")`, `.a|trimstr("x")`, `.a|ltrimstr(.)`, `.a|startswith("x")`, `.a|endswith("x")`,
	`.a|split(",")`, `.a|split("")`, `.a|split(",";null)`, `.a|split("[,x]";"g")`, `.a|join(",")`, `[.[]?|strings]|join("-")`, `.a|contains("x")`, `.a|contains(["x"])`, `.|contains({a:"x"})`, `.a|inside("xyz")`, `.a|index("x")`, `.a|rindex("x")`, `.a|indices("x")`, `.a|indices("")`, `.a|indices(1)`, `.a|indices([1])`, `.a|index(",")`, `.a|index([1,2])`, `.a as $a | .b | contains($a)`, `.a as $a | $a | indices($a)`,
	`.a|ascii`, `.n|floor`, `.n|sqrt`, `.n|pow(.;2)`, `.n|log2`, `.n|exp10`, `.n|significand`, `.n|frexp`, `.n|modf`, `.n|ldexp(.;2)`, `.n|fma(.;2;1)`, `.n|abs`, `.n|round`, `.n|isnan`, `.n|isinfinite`, `.n|isnormal`, `infinite|tostring`, `nan|isnan`, `[nan]|sort`, `.n|todate`, `.n|strftime("%Y-%m-%dT%H:%M:%SZ")`, `.n|gmtime`, `.n|gmtime|mktime`, `.n|strftime("%A, %B %d, %Y")`, `.at|fromdate`, `.at|strptime("%Y-%m-%dT%H:%M:%SZ")`, `.at|strptime("%Y-%m-%dT%H:%M:%SZ")|mktime`, `.at|fromdateiso8601|todate`, `.at[0:10]`, `.at[11:13]`, `.at[-3:]`,
	`.a|arrays`, `.a|objects`, `.a|iterables`, `.a|booleans`, `.a|numbers`, `.a|strings`, `.a|nulls`, `.a|values`, `.a|scalars`, `.a|finites`, `.a|normals`, `.a|not`, `.a|type`, `.a|toboolean`, `error`, `error(.a)`, `try error catch .`, `env`, `$ENV`, `empty`, `[.[]?|select(.!=null)]`, `input_line_number`, `INDEX(.[]?;.)`, `[.[]?]|INDEX(type)`, `[.[]?]|JOIN({};.|tostring)`, `.a|IN("x","y")`, `IN(.[]?;"x","y")`, `"a" | IN("a","b")`, `[.[]?|in({"x":1})?]`, `.a|in({"x":1})?`, `halt_error`, `limit(0;1)`, `limit(-1;1)`, `skip(-1;1)`, `nth(-1;1)`,
	`9007199254740993+1`, `10000000000*10000000000`, `-9223372036854775808-1`, `100000000000000000000-1`, `1e1000`, `5/0`, `5%0`, `[.[]?]-[null]`, `getpath(["a","b","c"])`, `try getpath(["a","b"]) catch "bad"`, `[getpath(["a"],["b"])]`, `paths(..)`, `[paths(..)]`, `ltrimstr(1)`, `splits("x")`, `min_by(.a)?`, `.[0]?`, `.["a","b"]?`, `.[("a","b")]?`, `[.a[0,1]?]`, `.a[1.5]?`, `.a[null]?`, `.a[[1]]?`, `.a[{"start":0,"end":1}]?`,
}

// samePayloads are payloads of all shapes.
var samePayloads = []string{
	`{"a":"x,y","b":"z","n":3,"k":"a","at":"2014-08-14T07:00:00Z"}`, `{"a":[1,2,3],"b":[2],"n":1,"k":"b"}`, `{"a":{"b":{"c":1}},"b":{"b":{"d":2}},"n":1407974400.25,"k":"A"}`,
	`{"a":5,"b":2,"n":-7.5,"k":1}`, `{"a":null,"b":false,"n":0}`, `{"a":[{"b":1},{"b":"x"},null,[1,[2,[3]]]],"b":[],"n":12345678901234567890}`, `{"a":"é€😀x","b":"€","n":1e300}`,
	`[1,"x",null,{"a":1},[2,"x"]]`, `"x,é,x"`, `7`, `null`, `{}`, `[]`, `{"a":"","b":"x","n":9007199254740993}`, `{"a":"MTIz","b":"12","n":1.0}`, `{"a":"{\"z\":[1.0,2]}","b":{},"n":2}`, `{"a":true,"b":"true"}`, `[["a",1],["b",2]]`, `{"a":[3,1,2,1],"b":[1]}`,
}

// compareWith checks that a query has the results that the interpreter has without charges. It reports whether it compiles.
// The members of the payloads are sorted: for them the interpreter's order is jq's.
func compareWith(t *testing.T, source string, payloads ...string) (compiles bool) {
	t.Helper()
	parsed, err := gojq.Parse(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	code, err := gojq.Compile(parsed)
	q, ours := compileQuery(source, nil)
	if (err == nil) != (ours == nil) {
		t.Errorf("%s: compiled with %v, plainly with %v", source, ours, err)
	}
	if err != nil || ours != nil {
		return false
	}
	for _, payload := range payloads {
		if v, err := decode([]byte(payload)); err == nil {
			sorted, _ := gojq.Marshal(v)
			payload = string(sorted)
		}
		input := func() any {
			v, err := decode([]byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		p := q.programs.get()
		v := input()
		p.work.start([]byte(payload), v, 1<<40)
		got, want := results(p.code.RunWithContext(&p.work, v)), results(code.Run(input()))
		if got != want {
			t.Errorf("%s of %s:\n got %s\nwant %s", source, payload, got, want)
		}
	}
	return true
}

// results writes the results of a run, up to an error.
func results(iter gojq.Iter) string {
	var b strings.Builder
	for {
		v, ok := iter.Next()
		if !ok {
			return b.String()
		}
		if _, failed := v.(error); failed {
			return b.String() + "!failed"
		}
		text, err := gojq.Marshal(v)
		if err != nil {
			return b.String() + err.Error()
		}
		b.Write(append(text, ' '))
	}
}

func TestCharged_HasTheResultsOfTheInterpreter(t *testing.T) {
	compiled := 0
	for _, source := range sameQueries {
		if compareWith(t, source, samePayloads...) {
			compiled++
		}
	}
	if compiled < len(sameQueries)-10 {
		t.Errorf("only %d of %d queries compile: the test compares too little", compiled, len(sameQueries))
	}
}

// TestCharged_MatchesAsTheInterpreterDoes compares regular expressions, flags and texts that are drawn at random.
func TestCharged_MatchesAsTheInterpreterDoes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", "b", ".", "[ab]", "[^a]", "é", "^", "$", `\b`, `\B`, "a*", "b+?", "a??", "(a|ab)", "(?<n>a+)", "(?<m>b)?", ".*", ".*?b", "x{2,}", "(|a)", "a|", `\s`, `(?m:^)`, "(?<n>a)|b", "c", "(a)(b)?"}
	words := []string{"a", "b", "ab", "é", "x", " ", "\n", "😀", "c", "xx", "\u0301", "A"}
	texts := func() []string {
		list := []string{`""`}
		for range 8 {
			var b strings.Builder
			for range rnd.IntN(9) {
				b.WriteString(words[rnd.IntN(len(words))])
			}
			text, _ := json.Marshal(b.String())
			list = append(list, string(text))
		}
		return list
	}
	for range 100 {
		var re strings.Builder
		for range 1 + rnd.IntN(4) {
			re.WriteString(parts[rnd.IntN(len(parts))])
		}
		flags := []string{`null`, `"g"`, `"i"`, `"gi"`, `"gm"`, `"x"`}[rnd.IntN(6)]
		pattern, _ := json.Marshal(re.String())
		for _, form := range []string{
			`[match(%s;%s)]`, `test(%s;%s)`, `[capture(%s;%s)]`, `[scan(%s;%s)]`, `split(%s;%s)`, `[splits(%s;%s)]`, `sub(%s;"<>";%s)`, `gsub(%s;"<>";%s)`,
			`sub(%s;"<\(.n)>";%s)`, `gsub(%s;(.n//"-"),"+";%s)`, `[gsub(%s;empty;%s)]`, `[gsub(%s;.m,.n;%s)]`, `[. as $x|gsub(%s;$x;%s)]`,
		} {
			compareWith(t, fmt.Sprintf(form, pattern, flags), texts()...)
		}
	}
	for _, source := range []string{
		`[match("a","b";"g")]`, `[match(["a","g"])]`, `[scan("a"),scan("b")]`, `gsub("a","b";"c","d")`, `test("a";"b","g")`, `match(1)`, `gsub("a";1)`, `gsub("a";null)`, `gsub("(";"x")`, `.[]|gsub("a";"b")`, `sub(.;"x")`, `[match(.;"g")]`, `[.,.]|map(gsub("a";"b"))`, `test("A";"ig")`, `gsub("^";">")`, `gsub("$";"<")`, `[match("";"g").offset]`, `gsub("\\b";"|")`,
		`gsub("(?<x>[a-z])";"\(.x|ascii_upcase)")`, `[gsub("(?<x>a)|(?<y>b)";"\(.x)\(.y)")]`, `gsub("a";"b";"x")`, `gsub("a";"b";1)`, `split("a";1)`, `[splits("a+";"i")]`, `ascii_downcase|gsub("[^a-z]+";"_")`,
	} {
		compareWith(t, source, append(texts(), `1`, `null`, `["a"]`)...)
	}
}
