package compare

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestTexts_SplitsWhateverIsBetweenTheRecords(t *testing.T) {
	long := `{"a":"` + strings.Repeat("é", 200_000) + `"}`
	for _, test := range []struct {
		name, text string
		raw        bool
		want       []string
	}{
		{"nothing", "", false, nil},
		{"white space", " \n\t", false, nil},
		{"concatenated", `{"a":1}{"b":{}}[1]`, false, []string{`{"a":1}`, `{"b":{}}`, `[1]`}},
		{"lines", "{\"a\":1}\n{\"a\":2}\r\n\n{\"a\":3}", false, []string{`{"a":1}`, `{"a":2}`, `{"a":3}`}},
		{"a record in several lines", "{\"a\":\n1}{}\n", false, []string{"{\"a\":\n1}", `{}`}},
		{"byte order marks", "\ufeff{}\ufeff{}\n\ufeff{}", false, []string{`{}`, `{}`, `{}`}},
		{"long records", long + `{"b":1}` + long, false, []string{long, `{"b":1}`, long}},
		{"raw", "some text\n{\"a\":1}{\"b\":2} rest \n\n {\"c\n42\r\n\"x\"", true,
			[]string{"raw some text", `{"a":1}`, `{"b":2}`, "raw  rest ", "raw  {\"c", "raw 42\r", `raw "x"`}},
		{"raw without a line feed", long[:len(long)-2], true, []string{"raw " + long[:len(long)-2]}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, in := range map[string]io.Reader{"at once": strings.NewReader(test.text), "by halves": iotest.HalfReader(strings.NewReader(test.text)), "by bytes": iotest.OneByteReader(strings.NewReader(test.text))} {
				if got, err := split(t, in, test.raw); err != nil || !slices.Equal(got, test.want) {
					t.Errorf("%s: got %d %.300q, %v; want %d", name, len(got), got, err, len(test.want))
				}
			}
		})
	}
}

// Wherever the buffer ends, the records are the same.
func TestTexts_ReadsOnWhereTheBufferEnds(t *testing.T) {
	for shift := range 40 {
		text := strings.Repeat(" ", 64<<10-shift) + `{"é":"\ud83d\ude00😀","b":[true,-1.5e3,null]}` + "\ufeff{}" + `{"c":1}`
		got, err := split(t, strings.NewReader(text), false)
		if err != nil || len(got) != 3 || got[2] != `{"c":1}` {
			t.Fatalf("%d bytes before the end: %q, %v", shift, got, err)
		}
	}
}

func TestTexts_SaysWhereSomethingIsNotJSON(t *testing.T) {
	for text, where := range map[string]string{
		`{"a":1} x`:                        "byte 8",
		`{"a":1}{"b":`:                     "byte 7",
		`42`:                               "byte 0",
		"{}\n{\"a\":\"\xff\"}":             "byte 3",
		strings.Repeat(" ", 1<<20) + "{}]": fmt.Sprint("byte ", 1<<20+2),
	} {
		got, err := split(t, strings.NewReader(text), false)
		if !errors.Is(err, errNotJSON) || !strings.Contains(err.Error(), where+" ") {
			t.Errorf("%.20q: %v, want an error at %s; %d records", text, err, where, len(got))
		}
	}
}

// A compressed file that is cut off is damage, not the end.
func TestTexts_TellsDamageFromTheEnd(t *testing.T) {
	in := io.MultiReader(strings.NewReader(`{"a":1}{"b"`), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got, err := split(t, in, true); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v", got, err)
	}
}
