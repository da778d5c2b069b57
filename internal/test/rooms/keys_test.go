package rooms

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// keyPart matches what only a key of the bucket contains: folders next to the manifests, the hours of manifests and the days of
// notes, the time in a file's name, and the line numbers in markers.
var keyPart = regexp.MustCompile(`moves/|outbox/|redriven/|2006/01/02|-1-(%|\(|\\d|\[0-9)|2006-01-02-15-|%09d\.json|\.json\.zst`)

// makesKeys reports whether a source file contains a text that only keys contain.
func makesKeys(t *testing.T, path string, source any) (text string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		l, ok := n.(*ast.BasicLit)
		if !ok || l.Kind != token.STRING {
			return true
		}
		if s, err := strconv.Unquote(l.Value); err == nil && keyPart.MatchString(s) {
			text = s
		}
		return true
	})
	return text
}

// Code outside writers/layout that makes or parses keys would define the layout a second time.
func TestKeys_AreMadeAndParsedInOnePackage(t *testing.T) {
	const root = "../../.."
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		folder := filepath.ToSlash(filepath.Dir(name))
		switch {
		case entry.IsDir() && (name == "internal/test" || strings.HasPrefix(entry.Name(), ".") && name != "." || strings.HasSuffix(name, "test")):
			return fs.SkipDir // an independent reader must not rely on our layout
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text := makesKeys(t, path, nil)
		if text == "" {
			return nil
		}
		if folder == "writers/layout" {
			found++
			return nil
		}
		t.Errorf("%s: %q belongs to a key: writers/layout makes and parses them", name, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 4 {
		t.Errorf("only %d files of writers/layout make keys", found)
	}
}

func TestMakesKeys(t *testing.T) {
	for source, want := range map[string]bool{
		"package p; const s = \"manifests/\"":                     false,
		"package p; var s = x + \"outbox/\"":                      true,
		"package p; // moves/ in a comment":                       false,
		"package p; var r = m(`^(.*)-1-(\\d{4})`)":                true,
		"package p; var s = t.Format(\"2006/01/02/15/\")":         true,
		"package p; var s = f(\"%s%09d.json\", a, b)":             true,
		"package p; var s = t.Format(\"2006-01-02T15:04:05Z\")":   false,
		"package p; var s = t.Format(\"2006_01_02_15_\") + a + b": false, // of the Lambda functions' objects
	} {
		if got := makesKeys(t, "p.go", source); (got != "") != want {
			t.Errorf("%s: %q", source, got)
		}
	}
}
