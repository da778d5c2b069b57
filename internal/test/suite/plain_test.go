package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goroutines lists the places of a file that start goroutines, and those that may, since they have others call back: servers and
// parallel tests. A test that says so in its name is left out.
func goroutines(fset *token.FileSet, file *ast.File) (found []string) {
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && strings.Contains(f.Name.Name, concurrent) {
			continue
		}
		ast.Inspect(declaration, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				found = append(found, fmt.Sprintf("%s: a go statement", fset.Position(n.Pos())))
			case *ast.SelectorExpr:
				if slices.Contains([]string{"Go", "AfterFunc", "Parallel", "RunParallel", "Serve", "ListenAndServe", "NewServer", "NewUnstartedServer", "NewTLSServer"}, n.Sel.Name) {
					found = append(found, fmt.Sprintf("%s: %s", fset.Position(n.Pos()), n.Sel.Name))
				}
			}
			return true
		})
	}
	return found
}

func TestPlain_PackagesStartNoGoroutines(t *testing.T) {
	marked := 0
	for _, p := range plain {
		files, err := filepath.Glob(filepath.Join("../../..", p, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("package %s has no files: %v", p, err)
		}
		for _, path := range files {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, place := range goroutines(fset, file) {
				t.Errorf("%s: take %s out of the plain packages, or, in a test, name it for %s", place, p, concurrent)
			}
			for _, declaration := range file.Decls {
				if f, ok := declaration.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") && strings.Contains(f.Name.Name, concurrent) {
					marked++
				}
			}
		}
	}
	if marked == 0 {
		t.Errorf("no test is named for %s, so none of the plain packages runs with the race detector", concurrent)
	}
}

// What the check above looks for is found, and only there.
func TestGoroutines_AreFound(t *testing.T) {
	for body, want := range map[string]int{
		"go f()": 1, "wait.Go(f)": 1, "group.Go(f)": 1, "t.Parallel()": 1, "b.RunParallel(f)": 1, "time.AfterFunc(1, f)": 1,
		"httptest.NewServer(nil)": 1, "start := wait.Go; start(f)": 1, "if true { defer func() { go f() }() }": 1,
		"f()": 0, "lock.Lock()": 0, "goods()": 0,
	} {
		for name, want := range map[string]int{"TestX_Works": want, "TestX_" + concurrent: 0} {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, "x.go", "package x\nfunc "+name+"() {\n"+body+"\n}\n", 0)
			if err != nil {
				t.Fatal(err)
			}
			if found := goroutines(fset, file); len(found) != want {
				t.Errorf("%s in %s: found %q, want %d", body, name, found, want)
			}
		}
	}
}

// Each package is tested once, and by the race detector in full or in part.
func TestSteps_TestEachPackageWithTheRaceDetector(t *testing.T) {
	all := []string{module + "consumer", module + "record", module + "record/registry", module + "writers/parquet"}
	for name, packages := range map[string][]string{"all": all, "plain": {module + "record"}, "others": {module + "consumer"}, "none": nil} {
		whole, raced := make(map[string]int), make(map[string]int)
		for _, args := range steps(packages) {
			race := slices.Contains(args, "-race")
			part := slices.Contains(args, "-run="+concurrent)
			for _, p := range args {
				if !strings.HasPrefix(p, module) {
					continue
				}
				if !part {
					whole[p]++
				}
				if race {
					raced[p]++
				}
				if race && !part && slices.Contains(plain, strings.TrimPrefix(p, module)) {
					t.Errorf("%s: %s runs with the race detector in full", name, p)
				}
			}
		}
		for _, p := range packages {
			if whole[p] != 1 || raced[p] != 1 {
				t.Errorf("%s: %s runs %d times in full and %d times with the race detector", name, p, whole[p], raced[p])
			}
		}
	}
}

// A failure of one step does not hide the others, and is not forgotten.
func TestRun_FailsIfAPackageDoes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module aws-streaming-pipeline\n\ngo 1.26\n",
		"record/x_test.go": "package record\n\nimport \"testing\"\n\nfunc TestX(t *testing.T) { t.Fatal() }\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	if err := run(t.Context(), []string{"./..."}); err == nil || strings.Contains(err.Error(), "-race") || !strings.Contains(err.Error(), "(1 packages)") {
		t.Errorf("error %v, want that of the step without the race detector alone", err)
	}
	if err := run(t.Context(), []string{"./nowhere"}); err == nil {
		t.Error("a package that does not exist is tested")
	}
}
