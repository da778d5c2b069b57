package producer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

// readAll returns the rows of a CSV as text: cells in brackets with the line in front, bad rows as "! " and the error.
func readAll(t testing.TB, r io.Reader) []string {
	t.Helper()
	source := CSV(r)
	if _, err := source.Columns(); err != nil {
		return []string{"!! " + err.Error()}
	}
	var rows []string
	for {
		row, err := source.Next()
		var bad *BadRow
		switch {
		case err == io.EOF:
			return rows
		case errors.As(err, &bad):
			rows = append(rows, "! "+err.Error())
		case err != nil:
			return append(rows, "!! "+err.Error())
		default:
			rows = append(rows, fmt.Sprintf("%d %q", row.Line, row.Cells))
		}
	}
}

func TestCSV_ReadsRows(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"plain", "a,b\n1,2\n", []string{`2 ["1" "2"]`}},
		{"no line end at the end", "a,b\n1,2", []string{`2 ["1" "2"]`}},
		{"CRLF", "a,b\r\n1,2\r\n3,\"4\"\r\n", []string{`2 ["1" "2"]`, `3 ["3" "4"]`}},
		{"CR at the end", "a,b\n1,2\r", []string{`2 ["1" "2"]`}},
		{"CR inside", "a,b\n1\r,2\n", []string{`2 ["1\r" "2"]`}},
		{"quoted and unquoted mixed", "\"a\",b\n\"1\",2\n1,\"2\"\n", []string{`2 ["1" "2"]`, `3 ["1" "2"]`}},
		{"comma in quotes", "a,b\n\"[[-8.6,41.1],[-8.6,41.2]]\",x\n", []string{`2 ["[[-8.6,41.1],[-8.6,41.2]]" "x"]`}},
		{"doubled quotes", "a\n\"say \"\"hi\"\"\"\n\"\"\"\"\n\"\"\n", []string{`2 ["say \"hi\""]`, `3 ["\""]`, `4 [""]`}},
		{"line breaks in quotes", "a,b\n\"1\n\n2\",x\n3,y\n", []string{`2 ["1\n\n2" "x"]`, `5 ["3" "y"]`}},
		{"empty cells and NA", "a,b,c\n,,\nNA,\"\",\n", []string{`2 ["" "" ""]`, `3 ["NA" "" ""]`}},
		{"blanks are kept in cells", "a,b\n 1 ,2 \n", []string{`2 [" 1 " "2 "]`}},
		{"empty lines are passed over", "\n\r\na\n\n1\n\r\n\n2\n\n\r", []string{`5 ["1"]`, `8 ["2"]`}},
		{"byte order mark", "\xEF\xBB\xBFa\n1\n", []string{`2 ["1"]`}},
		{"header only", "a,b\n", nil},
		{"too few cells", "a,b\n1\n2,3\n", []string{"! line 2: 1 cells, the header has 2", `3 ["2" "3"]`}},
		{"too many cells", "a,b\n1,2,\n2,3\n", []string{"! line 2: 3 cells, the header has 2", `3 ["2" "3"]`}},
		{"text after a quote", "a,b\n1,\"2\"x\n3,4\n", []string{"! line 2: cell 2 goes on after its closing quote", `3 ["3" "4"]`}},
		{"CR behind a quote", "a\n\"1\"\rx\n2\n", []string{"! line 2: cell 1 goes on after its closing quote", `3 ["2"]`}},
		{"quote in an unquoted cell", "a,b\n1,x\"y\n3,4\n", []string{"! line 2: cell 2 has a quote and is not quoted", `3 ["3" "4"]`}},
		{"a missing quote costs one line", "a,b\n1,\"x\n3,\"4\"\n5,6\n",
			[]string{"! line 2: cell 2 goes on after its closing quote", `3 ["3" "4"]`, `4 ["5" "6"]`}},
		{"a missing quote without another one behind", "a,b\n1,\"x\n3,4\n5,6\n",
			[]string{"! line 2: cell 2 has no closing quote", `3 ["3" "4"]`, `4 ["5" "6"]`}},
		{"a missing quote in the last line", "a\n1\n\"2", []string{`2 ["1"]`, "! line 3: cell 1 has no closing quote"}},
		{"no rows at all", "", []string{"!! read CSV header: the file is empty"}},
		{"a column twice", "a,b,a\n", []string{`!! read CSV header: column "a" is there twice`}},
		{"faulty header", "a,\"b\"c\n", []string{"!! read CSV header: line 1: cell 2 goes on after its closing quote"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for how, reader := range map[string]io.Reader{
				"at once":             strings.NewReader(test.text),
				"byte by byte":        iotest.OneByteReader(strings.NewReader(test.text)),
				"error with the data": iotest.DataErrReader(strings.NewReader(test.text)),
			} {
				if got := readAll(t, reader); !slices.Equal(got, test.want) {
					t.Errorf("read %s: %v\nwant %v", how, got, test.want)
				}
			}
		})
	}
}

func TestCSV_TrimsBlanksAroundNamesInTheHeader(t *testing.T) {
	columns, err := CSV(strings.NewReader("TRIP_ID, CALL_TYPE ,\n")).Columns()
	if err != nil || !slices.Equal(columns, []string{"TRIP_ID", "CALL_TYPE", ""}) {
		t.Errorf("%q, %v", columns, err)
	}
}

func TestCSV_ReadsCellsOfAMebibyte(t *testing.T) {
	long := strings.Repeat("[-8.618643,41.141412],", 50_000)
	text := "id,line\n1,\"" + long + "\"\n2,[]\n3,\"" + long + long + "\"\n4," + strings.Repeat("x", 200_000) + "\n"
	source := CSV(strings.NewReader(text))
	var lengths []int
	for {
		row, err := source.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		lengths = append(lengths, len(row.Cells[1]))
	}
	if want := []int{len(long), 2, 2 * len(long), 200_000}; !slices.Equal(lengths, want) {
		t.Errorf("lengths %v, want %v", lengths, want)
	}
}

func TestCSV_ARowWithoutEndIsGivenUpInBoundedMemory(t *testing.T) {
	endless := strings.Repeat("x", 1<<20)
	for name, line := range map[string]string{"unquoted": "", "quoted": "\""} {
		t.Run(name, func(t *testing.T) {
			readers := []io.Reader{strings.NewReader("a\n1\n" + line)}
			for range 2 * maxRowBytes >> 20 {
				readers = append(readers, strings.NewReader(endless))
			}
			readers = append(readers, strings.NewReader("\n2\n"))
			source := CSV(io.MultiReader(readers...)).(*csvSource)
			var got []string
			for {
				row, err := source.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					got = append(got, err.Error())
					continue
				}
				got = append(got, string(row.Cells[0]))
			}
			want := []string{"1", fmt.Sprintf("line 3: no end of the row within %d bytes", maxRowBytes), "2"}
			if !slices.Equal(got, want) {
				t.Errorf("got %.80q, want %q", got, want)
			}
			if len(source.buf) > maxRowBytes {
				t.Errorf("a buffer of %d bytes", len(source.buf))
			}
		})
	}
}

func TestCSV_AReaderThatBringsNothingIsAnError(t *testing.T) {
	got := readAll(t, io.MultiReader(strings.NewReader("a\n1\n"), idle{}))
	if len(got) != 2 || !strings.Contains(got[1], io.ErrNoProgress.Error()) {
		t.Errorf("%q", got)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// FuzzCSV compares with the standard library's reader: where that finds no fault, both find the same cells.
func FuzzCSV(f *testing.F) {
	sample, err := os.ReadFile("testdata/trips.csv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample[:4000])
	f.Add([]byte("a,b\n\"x\"\"y\",\"1\n2\"\n\n,\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		standard := csv.NewReader(bytes.NewReader(text))
		standard.FieldsPerRecord = -1
		want, err := standard.ReadAll()
		ours := CSV(iotest.HalfReader(bytes.NewReader(text))).(*csvSource)
		var got [][]string
		for {
			row, ourErr := ours.next()
			if ourErr == io.EOF {
				break
			}
			if ourErr != nil {
				if err == nil {
					t.Fatalf("%v, the standard library finds no fault", ourErr)
				}
				continue
			}
			var cells []string
			for _, cell := range row.Cells {
				cells = append(cells, string(cell))
			}
			got = append(got, cells)
		}
		if err != nil {
			return
		}
		for i, row := range got {
			// The standard library makes LF of CRLF inside quotes too; we keep the bytes.
			for j, cell := range row {
				row[j] = strings.ReplaceAll(cell, "\r\n", "\n")
			}
			if i >= len(want) || !slices.Equal(row, want[i]) {
				t.Fatalf("row %d is %q, want one of %q", i, row, want)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d rows, want %d", len(got), len(want))
		}
	})
}

func TestObject_RowsAsJSONAreAsTheGoldenFile(t *testing.T) {
	in, err := os.Open("testdata/rows.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	source := CSV(in)
	columns, err := source.Columns()
	if err != nil {
		t.Fatal(err)
	}
	o := newObject(columns)
	var got []byte
	for {
		row, err := source.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(o.append(got, row.Cells), '\n')
	}
	golden := filepath.Join("testdata", "rows.jsonl")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestObject_EncodingJSONReadsBackWhatWasWritten(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "\"", "\\", "\n", "\r", "\t", "\x00", "\x1f", "\x7f", "é", "\u2028", "😀", "\xff", "\xc3", "<&>", strings.Repeat("x", 40)}
	text := func() []byte {
		var b []byte
		for range random.IntN(8) {
			b = append(b, pieces[random.IntN(len(pieces))]...)
		}
		return b
	}
	for range 2000 {
		columns, cells, want := []string{}, [][]byte{}, map[string]string{}
		for i := range random.IntN(5) {
			name, cell := fmt.Sprint(i, strings.ToValidUTF8(string(text()), "\uFFFD")), text()
			columns, cells = append(columns, name), append(cells, cell)
			// Every byte that is not UTF-8 becomes one U+FFFD.
			want[name] = string([]rune(string(cell)))
		}
		object := newObject(columns).append(nil, cells)
		var got map[string]string
		if err := json.Unmarshal(object, &got); err != nil {
			t.Fatalf("%q: %v", object, err)
		}
		if !utf8.Valid(object) || len(got) != len(want) {
			t.Fatalf("%q", object)
		}
		for name, value := range want {
			if got[name] != value {
				t.Fatalf("%q became %q", value, got[name])
			}
		}
		if order := keysInOrder(t, object); !slices.Equal(order, columns) {
			t.Fatalf("keys %q, want %q", order, columns)
		}
	}
}

func keysInOrder(t *testing.T, object []byte) []string {
	decoder := json.NewDecoder(bytes.NewReader(object))
	keys := []string{}
	for i := -1; ; i++ {
		token, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		if token == json.Delim('}') {
			return keys
		}
		if i >= 0 && i%2 == 0 {
			keys = append(keys, token.(string))
		}
	}
}

func TestWriteCSV_IsReadBackTheSame(t *testing.T) {
	text := "id,v\n1,\"a\"\"b,\nc\"\n2,\n"
	var out bytes.Buffer
	if err := WriteCSV(&out, CSV(strings.NewReader(text))); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "\"id\",\"v\"\n\"1\",\"a\"\"b,\nc\"\n\"2\",\"\"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func BenchmarkCSVToJSON(b *testing.B) {
	text, err := os.ReadFile("testdata/trips.csv")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var dst []byte
	rows := 0
	for b.Loop() {
		source := CSV(bytes.NewReader(text))
		columns, err := source.Columns()
		if err != nil {
			b.Fatal(err)
		}
		o := newObject(columns)
		for {
			row, err := source.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			dst = o.append(dst[:0], row.Cells)
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
