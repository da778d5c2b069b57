package backoff_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A private backoff draws times by chance (random) or doubles them (doubled).
var random, doubled = regexp.MustCompile(`\brand\.N\(`), regexp.MustCompile(`time\.\w+<<|\w(Pause|Delay|Backoff)<<|wait ?= ?min\(2\*|pause ?= ?min\(2\*|(pause|wait|delay) \*= 2`)

// elsewhere are the files that do so for another reason.
var elsewhere = map[string]string{
	"consumer/lease/config.go":  "periods that must not stay in step",
	"consumer/batch/publish.go": "the file that is published first",
	"internal/backoff/":         "this package",
	"internal/test/":            "tests",
}

// private returns the first private backoff of a text.
func private(text string) string {
	for line := range strings.Lines(text) {
		// Few lines are worth the expressions, which take the race detector seconds.
		if !strings.Contains(line, "rand.N(") && !strings.Contains(line, "<<") && !strings.Contains(line, "min(2*") && !strings.Contains(line, "*= 2") {
			continue
		}
		for _, private := range []*regexp.Regexp{random, doubled} {
			if found := private.FindString(line); found != "" {
				return found
			}
		}
	}
	return ""
}

func TestPrivate_FindsABackoff(t *testing.T) {
	for text, want := range map[string]string{
		"a\nd := rand.N(time.Second)\n": "rand.N(", "time.Second<<failures": "time.Second<<", "retryPause<<n": "yPause<<", "wait = min(2*wait, longest)": "wait = min(2*",
		"pause=min(2*pause, longest)": "pause=min(2*", "delay *= 2": "delay *= 2", "1 << 20": "", "strand.New(": "", "size *= 2": "", "min(2*size, n)": "",
	} {
		if found := private(text); found != want {
			t.Errorf("%q: found %q, want %q", text, found, want)
		}
	}
}

func TestBackoff_IsInNoOtherPackage(t *testing.T) {
	root, files := os.DirFS("../.."), 0
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && path != "." && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		for prefix := range elsewhere {
			if strings.HasPrefix(path, prefix) {
				return nil
			}
		}
		files++
		text, err := fs.ReadFile(root, path)
		if found := private(string(text)); found != "" {
			t.Errorf("%s has %q: waits between attempts come from internal/backoff", path, found)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("%d files were read, %v", files, err)
	}
}
