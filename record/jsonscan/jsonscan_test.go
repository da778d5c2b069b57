package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"aws-streaming-pipeline/record/jsonscan"
)

func TestValue_FindsTheEndOrTheProblem(t *testing.T) {
	deepest := strings.Repeat("[", jsonscan.MaxDepth)
	for _, c := range []struct {
		text string
		from int
		end  int
		p    jsonscan.Problem
	}{
		{`{"a":[1,"x"]} tail`, 0, 13, jsonscan.None},
		{`{"a":[1,"x"]}`, 5, 12, jsonscan.None},
		{`-1.5e3,`, 0, 6, jsonscan.None},
		{`"\u00e9"`, 0, 8, jsonscan.None},
		{`nulls`, 0, 4, jsonscan.None},
		{`null`, 4, 4, jsonscan.Truncated},
		{` 1`, 0, 0, jsonscan.Malformed},
		{`nil`, 0, 1, jsonscan.Malformed},
		{`tru`, 0, 3, jsonscan.Truncated},
		{`-`, 0, 1, jsonscan.Truncated},
		{`-a`, 0, 1, jsonscan.Malformed},
		{`1.`, 0, 2, jsonscan.Truncated},
		{`1e+x`, 0, 3, jsonscan.Malformed},
		{`{"a":}`, 0, 5, jsonscan.Malformed},
		{`{"a" 1}`, 0, 5, jsonscan.Malformed},
		{`{"a":1,}`, 0, 7, jsonscan.Malformed},
		{`[1 2]`, 0, 3, jsonscan.Malformed},
		{`[1`, 0, 2, jsonscan.Truncated},
		{`"open`, 0, 5, jsonscan.Truncated},
		{`"longer than a word, and open`, 0, 29, jsonscan.Truncated},
		{`"\x"`, 0, 2, jsonscan.Malformed},
		{`"\u00g0"`, 0, 5, jsonscan.Malformed},
		{`"\u00`, 0, 5, jsonscan.Truncated},
		{"\"a\nb\"", 0, 2, jsonscan.Malformed},
		{"\"ab\xffc\"", 0, 3, jsonscan.InvalidUTF8},
		{"\"\xed\xa0\x80\"", 0, 1, jsonscan.InvalidUTF8}, // a surrogate, which UTF-8 has no place for
		{"\"\xc3", 0, 1, jsonscan.InvalidUTF8},
		{deepest + "[", 0, jsonscan.MaxDepth, jsonscan.TooDeep},
		{deepest + `{`, 0, jsonscan.MaxDepth, jsonscan.TooDeep},
		{deepest, 0, jsonscan.MaxDepth, jsonscan.Truncated},
	} {
		end, p := jsonscan.Value([]byte(c.text), c.from, 0)
		if end != c.end || p != c.p {
			t.Errorf("Value(%.40q, %d) = %d, %d: want %d, %d", c.text, c.from, end, p, c.end, c.p)
		}
	}
	if end, p := jsonscan.Value([]byte("[]"), 0, jsonscan.MaxDepth); end != 0 || p != jsonscan.TooDeep {
		t.Errorf("an array below %d others: %d, %d", jsonscan.MaxDepth, end, p)
	}
}

func TestSpace_StopsAtTheFirstOtherByte(t *testing.T) {
	if got := jsonscan.Space([]byte(" \t\r\n x"), 0); got != 5 {
		t.Errorf("got %d", got)
	}
	if got := jsonscan.Space([]byte("  "), 1); got != 2 {
		t.Errorf("got %d at the end", got)
	}
	if got := jsonscan.Space([]byte("\v"), 0); got != 0 {
		t.Errorf("got %d: a vertical tab is not white space of JSON", got)
	}
}

func TestStart_PassesOverOneByteOrderMark(t *testing.T) {
	for text, want := range map[string]int{"": 0, "{}": 0, " {}": 1, jsonscan.ByteOrderMark: 3, jsonscan.ByteOrderMark + " {}": 4, " " + jsonscan.ByteOrderMark: 1, "\xef\xbb": 0,
		jsonscan.ByteOrderMark + jsonscan.ByteOrderMark: 3} {
		if got := jsonscan.Start([]byte(text)); got != want {
			t.Errorf("Start(%q) = %d: want %d", text, got, want)
		}
	}
}

func TestKey_FindsTheNameAndItsValue(t *testing.T) {
	for _, c := range []struct {
		text       string
		end, value int
		escaped    bool
		p          jsonscan.Problem
	}{
		{`"a":1`, 3, 4, false, jsonscan.None},
		{`"a" : 1`, 3, 6, false, jsonscan.None},
		{`"\u0061":1`, 8, 9, true, jsonscan.None},
		{`"a name of many words":1`, 22, 23, false, jsonscan.None},
		{`a:1`, 0, 0, false, jsonscan.Malformed},
		{`"a"1`, 0, 3, false, jsonscan.Malformed},
		{`"a"  `, 0, 5, false, jsonscan.Truncated},
		{``, 0, 0, false, jsonscan.Truncated},
	} {
		end, escaped, value, p := jsonscan.Key([]byte(c.text), 0)
		if end != c.end || escaped != c.escaped || value != c.value || p != c.p {
			t.Errorf("Key(%q) = %d, %t, %d, %d: want %+v", c.text, end, escaped, value, p, c)
		}
	}
}

// texts are inside of JSON strings.
var texts = []string{
	``, `plain`, `\"\\\/\b\f\n\r\t`, `a\u00e9\u20AC`, `\ud83d\ude00`, `\ud83d`, `\ud83dx`, `\ud83d\n`, `\ud83d\u0041`, `\ude00\ud83d`, `\ud83d\ud83d\ude00`,
	`\ufffd`, `\ud83d\ufffd`, `Köln\u0000`, `a longer text \u0022 with \\ escapes, here and there, and a long end without any`, `\u00ff\ud800`,
}

func TestAppendUnescaped_ReadsAsEncodingJSONDoes(t *testing.T) {
	for _, text := range texts {
		compareUnescaped(t, []byte(text))
	}
}

func compareUnescaped(t *testing.T, text []byte) {
	t.Helper()
	var want string
	if err := json.Unmarshal([]byte(`"`+string(text)+`"`), &want); err != nil {
		t.Fatal(err)
	}
	if got := jsonscan.AppendUnescaped([]byte("before "), text); string(got) != "before "+want {
		t.Errorf("%s is %q: want %q", text, got, want)
	}
	place := bytes.Clone(text)
	got := jsonscan.AppendUnescaped(place[:0], place)
	if string(got) != want || len(got) > 0 && &got[0] != &place[0] {
		t.Errorf("%s is %q in its own place: want %q", text, got, want)
	}
}

func TestHasLoneSurrogate_TellsItFromAnEscapedU_FFFD(t *testing.T) {
	for text, want := range map[string]bool{
		`plain`: false, `\n\\ud83d`: false, `\ud83d\ude00`: false, `\ufffd`: false, "\uFFFD": false,
		`\ud83d`: true, `x\ude00`: true, `\ud83d\n`: true, `\ud83d\ud83d\ude00`: true, `\ud83d\ude00 \ud83d\u0041`: true,
	} {
		if got := jsonscan.HasLoneSurrogate([]byte(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestSeparator_FindsTheNextOrTheEnd(t *testing.T) {
	for _, c := range []struct {
		text string
		more bool
		next int
		p    jsonscan.Problem
	}{
		{`,1`, true, 1, jsonscan.None}, {" ,\n 1", true, 4, jsonscan.None}, {`,`, true, 1, jsonscan.None}, {`]`, false, 1, jsonscan.None},
		{` ]]`, false, 2, jsonscan.None}, {`}`, false, 0, jsonscan.Malformed}, {` 1`, false, 1, jsonscan.Malformed}, {` `, false, 1, jsonscan.Truncated},
	} {
		if more, next, p := jsonscan.Separator([]byte(c.text), 0, ']'); more != c.more || next != c.next || p != c.p {
			t.Errorf("Separator(%q) = %t, %d, %d: want %+v", c.text, more, next, p, c)
		}
	}
}

// FuzzValue compares with encoding/json: what is valid there, and UTF-8, and not too deep, is valid here, and nothing else.
func FuzzValue(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(`{"` + text + `":["` + text + `",1.5e-3,true,false,null,-0]}`))
	}
	for _, text := range []string{`{`, `{"a":1,}`, `[1,]`, `01`, `1.e1`, "\"\xff\"", "\"\x1f\"", `{"a":{"b":[[]]}}`, " \t\r\n1", strings.Repeat("[", 1001) + strings.Repeat("]", 1001)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		start := jsonscan.Space(text, 0)
		end, p := jsonscan.Value(text, start, 0)
		if end < start || end > len(text) {
			t.Fatalf("offset %d", end)
		}
		whole := p == jsonscan.None && jsonscan.Space(text, end) == len(text)
		if valid := json.Valid(text) && utf8.Valid(text); whole != valid && p != jsonscan.TooDeep {
			t.Fatalf("valid %t, problem %d at %d: encoding/json has %t", whole, p, end, valid)
		}
		if p != jsonscan.None || text[start] != '"' {
			return
		}
		inside := text[start+1 : end-1]
		if _, escaped, _ := jsonscan.String(text, start+1); escaped != (bytes.IndexByte(inside, '\\') >= 0) {
			t.Fatalf("escaped %t", escaped)
		}
		compareUnescaped(t, inside)
	})
}
