package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var codeForm = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*\.[A-Z][A-Za-z0-9]+$`)

// codesIn returns the error codes in a source file: constants called Code..., and texts assigned to a field Code.
func codesIn(t *testing.T, path string, source any) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	add := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if text, err := strconv.Unquote(l.Value); err == nil && codeForm.MatchString(text) {
				found = append(found, text)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if strings.HasPrefix(strings.ToLower(name.Name), "code") && i < len(n.Values) {
					add(n.Values[i])
				}
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
				add(n.Value)
			}
		}
		return true
	})
	return found
}

// The page is generated from lists in the code. This test checks that every code is in one of them.
func TestErrorCodes_AreThoseOfTheProgram(t *testing.T) {
	text, err := os.ReadFile("errors.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = true
	}
	used := make(map[string]string) // by code
	for _, folder := range []string{"record", "checkpoint", "writers", "consumer", "loader", "operate", "internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if entry.IsDir() && path == filepath.Join(root, "internal", "test") {
				return filepath.SkipDir
			}
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, code := range codesIn(t, path, nil) {
				used[code] = path
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for code, path := range used {
		if !documented[code] {
			t.Errorf("%s uses %s, which docs/errors.md lacks: add it to the package's list of codes and run make generate", path, code)
		}
	}
	for code := range documented {
		if used[code] == "" {
			t.Errorf("docs/errors.md has %s, which no code uses", code)
		}
	}
	if len(used) < 30 {
		t.Errorf("only %d codes found: %v", len(used), slices.Sorted(maps.Keys(used)))
	}
}

func TestErrorCodes_AreFoundWhereverTheyAreNamed(t *testing.T) {
	const source = `package p
const codeOne = "A.One"
var two = record.Fault{Code: "A.Two"}
const three = "not.A.Code"`
	if got := codesIn(t, "p.go", source); !slices.Equal(got, []string{"A.One", "A.Two"}) {
		t.Errorf("found %v", got)
	}
}
