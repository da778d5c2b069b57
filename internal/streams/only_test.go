package streams_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// taken is the look whether a text is an ARN.
var taken = regexp.MustCompile(`(HasPrefix|CutPrefix)\([^)]*"arn:"\)`)

// elsewhere are the files that look at ARNs of other things.
var elsewhere = []string{"internal/streams/", "internal/iam/", "internal/test/", "operate/firehose/template.go", "record/table/uri.go"}

func TestStreams_AreToldByNameOrARNHereOnly(t *testing.T) {
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
		for _, prefix := range elsewhere {
			if strings.HasPrefix(path, prefix) {
				return nil
			}
		}
		files++
		text, err := fs.ReadFile(root, path)
		if found := taken.Find(text); found != nil {
			t.Errorf("%s has %s: streams and their consumers are named by internal/streams", path, found)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("%d files were read, %v", files, err)
	}
}
