package record_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
)

func TestCodes_AreTheConstantsAndTheTableOfThePackage(t *testing.T) {
	var constants []string
	file := parse(t, "codes.go")
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Code") {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants = append(constants, value)
		}
		return true
	})
	var names []string
	table := parse(t, "record.go").Doc.Text()
	for _, c := range record.Codes() {
		names = append(names, c.Name)
		if !slices.ContainsFunc(strings.Split(table, "\n"), func(line string) bool {
			name, meaning, ok := strings.Cut(strings.TrimSpace(line), " ")
			return ok && name == c.Name && strings.TrimSpace(meaning) == c.Meaning
		}) {
			t.Errorf("the package's documentation does not say: %s %s", c.Name, c.Meaning)
		}
		if c.Type != record.ProcessingFailed {
			t.Errorf("%s is of type %q", c.Name, c.Type)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("not sorted: %v", names)
	}
	if slices.Sort(constants); !slices.Equal(names, constants) {
		t.Errorf("codes are %v, constants %v", names, constants)
	}
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
