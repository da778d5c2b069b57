package prefix

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// golden is what Java makes of a pattern: see testdata/javatime/Golden.java, which wrote the file by hand of Java 17.
type golden struct{ pattern, zone, instant, text string }

func readGolden(t testing.TB) []golden {
	t.Helper()
	f, err := os.Open("testdata/javatime/golden.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []golden
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 4 {
			t.Fatalf("golden line %q: want four fields", lines.Text())
		}
		rows = append(rows, golden{fields[0], fields[1], fields[2], fields[3]})
	}
	return rows
}

func TestTimePattern_WritesWhatJavaWrites(t *testing.T) {
	rows := readGolden(t)
	if len(rows) < 5000 {
		t.Fatalf("the golden file has %d rows only", len(rows))
	}
	faults := 0
	for _, row := range rows {
		pattern, err := compilePattern(row.pattern)
		if refused := err != nil; refused != (row.text == "!refused") {
			t.Errorf("pattern %q: error %v, Java gives %q", row.pattern, err, row.text)
			continue
		}
		if err != nil {
			continue
		}
		zone, err := time.LoadLocation(row.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, row.instant)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(pattern.appendTo(nil, at.In(zone))); got != row.text {
			if faults++; faults < 50 {
				t.Errorf("%q at %s in %s: %q, Java gives %q", row.pattern, row.instant, row.zone, got, row.text)
			}
		}
	}
}

func TestTimePattern_GoldenFileHasEveryLetterThatIsTaken(t *testing.T) {
	rows := readGolden(t)
	for letter := range most {
		if !slices.ContainsFunc(rows, func(g golden) bool {
			return g.pattern[:min(1, len(g.pattern))] == string(letter) && g.text != "!refused"
		}) {
			t.Errorf("no row for %q", letter)
		}
	}
}

func TestTimePattern_RefusesLettersOfUncertainMeaningWithTheReason(t *testing.T) {
	for letter, reason := range refused {
		if _, taken := most[letter]; taken {
			t.Errorf("%q is both taken and refused", letter)
		}
		_, err := compilePattern("yyyy" + string(letter))
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: got %v, want %q", letter, err, reason)
		}
	}
	if _, err := compilePattern("YYYY"); err == nil || !strings.Contains(err.Error(), "use yyyy") {
		t.Errorf("YYYY: got %v", err)
	}
}

func TestTimePattern_KnowsYearsBeforeTheCommonEraAndOfFiveDigits(t *testing.T) {
	// As DateTimeFormatter of Java 17 writes them.
	for _, c := range []struct {
		pattern string
		year    int
		want    string
	}{
		{"yyyy G", 0, "0001 BC"}, {"uuuu", 0, "0000"}, {"yyyy GGGG", -4, "0005 Before Christ"}, {"u", -4, "-4"}, {"uuuu", -4, "-0004"},
		{"yyyy", 12345, "+12345"}, {"yyyyy", 12345, "12345"}, {"y", 12345, "12345"}, {"yy", 12345, "45"}, {"GGGGG", 0, "B"},
	} {
		p, err := compilePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p.appendTo(nil, time.Date(c.year, 6, 15, 0, 0, 0, 0, time.UTC))); got != c.want {
			t.Errorf("%q of year %d: %q, want %q", c.pattern, c.year, got, c.want)
		}
	}
}

// FuzzTimePattern holds that no pattern upsets the parser, and that what it takes is written without surprises.
func FuzzTimePattern(f *testing.F) {
	for _, row := range readGolden(f) {
		if row.zone == "UTC" && row.instant == "2014-08-14T00:00:00Z" {
			f.Add(row.pattern, int64(1407974400123))
		}
	}
	zone, err := time.LoadLocation("America/St_Johns")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, pattern string, ms int64) {
		p, err := compilePattern(pattern)
		if err != nil {
			return
		}
		at := time.UnixMilli(ms % 250e12).In(zone)
		text := string(p.appendTo(nil, at))
		if again := string(p.appendTo([]byte("x"), at)); again != "x"+text {
			t.Errorf("%q: %q behind x, %q alone", pattern, again, text)
		}
		if step := p.step(); step > 0 && at.Nanosecond() == 0 {
			if later := string(p.appendTo(nil, at.Truncate(time.Second).Add(time.Second-1))); later != text {
				t.Errorf("%q: %q at the beginning and %q at the end of a second, step %v", pattern, text, later, step)
			}
		}
	})
}
