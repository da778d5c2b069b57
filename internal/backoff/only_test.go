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
		for _, private := range []*regexp.Regexp{random, doubled} {
			if found := private.Find(text); found != nil {
				t.Errorf("%s has %q: waits between attempts come from internal/backoff", path, found)
			}
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("%d files were read, %v", files, err)
	}
}
