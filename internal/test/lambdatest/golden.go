package lambdatest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Golden compares a text with the golden file testdata/<name>.
func Golden(tb testing.TB, name, text string) {
	tb.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if text != string(want) {
		tb.Errorf("%s differs; -update writes what is there now:\n%s\nwant:\n%s", path, text, want)
	}
}

var attemptTime = regexp.MustCompile(`"attemptEndingTimestamp":\d+`)

// Text returns a function's result and what it has written, in the order of the names. It masks the time of the attempt in error
// lines.
func Text(result Result, written map[string]string) string {
	var b strings.Builder
	if result.Error != nil {
		fmt.Fprintf(&b, "error %s\n", result.Error)
	} else {
		fmt.Fprintf(&b, "answer %s\n", result.Answer)
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		fmt.Fprintf(&b, "\n-- %s --\n%s", name, attemptTime.ReplaceAllString(written[name], `"attemptEndingTimestamp":0`))
	}
	return b.String()
}
