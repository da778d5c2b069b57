package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
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

// Each package is tested, and by the race detector in full or in part; no test runs twice without it.
func TestPlan_TestsEachPackageWithTheRaceDetector(t *testing.T) {
	several := []string{"consumer", "record", "record/registry", "writers/parquet", "writers", "cmd/consumer", "cmd/write-to-s3"}
	for name, packages := range map[string][]string{"several": several, "plain": {"record"}, "others": {"consumer"}, "large": {"writers"}, "none": nil} {
		whole, apart, raced, partly := make(map[string]int), make(map[string]string), make(map[string]int), make(map[string]int)
		named := make([]string, len(packages))
		for i, p := range packages {
			named[i] = module + p
		}
		first, lanes := plan(named)
		for _, args := range slices.Concat(lanes...) {
			pattern := ""
			for _, arg := range args {
				if tests, ok := strings.CutPrefix(arg, "-run="); ok {
					pattern = tests
				}
			}
			for _, arg := range args {
				p, ok := strings.CutPrefix(arg, module)
				switch race := slices.Contains(args, "-race"); {
				case !ok:
				case race && pattern == "":
					raced[p]++
				case race && pattern == concurrent:
					partly[p]++
				case pattern == "":
					whole[p]++
				default:
					apart[p] += pattern
				}
			}
		}
		for _, p := range packages {
			light := slices.Contains(plain, p)
			want := large[p]
			if want == all {
				want = ""
			}
			if (raced[p] == 1) == light || (partly[p] == 1) != light || (whole[p] == 1) != (light || large[p] == all) || apart[p] != want {
				t.Errorf("%s: %s runs %d times with the race detector, %d times in part; without it %d times, and tests %q", name, p, raced[p], partly[p], whole[p], apart[p])
			}
		}
		if (first != nil) != slices.ContainsFunc(packages, func(p string) bool { return large[p] != "" }) {
			t.Errorf("%s: first %q", name, first)
		}
	}
}

// detector says which tests of a file are smaller or left out under the race detector, by their own words or those of a function of the
// package that they call.
func detector(files []*ast.File) (tests []string) {
	uses := map[string]bool{} // functions that do so
	for changed := true; changed; {
		changed = false
		for _, file := range files {
			for _, declaration := range file.Decls {
				f, ok := declaration.(*ast.FuncDecl)
				if !ok || uses[f.Name.Name] {
					continue
				}
				ast.Inspect(f, func(n ast.Node) bool {
					switch n := n.(type) {
					case *ast.SelectorExpr:
						if x, ok := n.X.(*ast.Ident); ok && x.Name == "race" && (n.Sel.Name == "Enabled" || n.Sel.Name == "LeaveOut") {
							uses[f.Name.Name] = true
						}
					case *ast.CallExpr:
						if called, ok := n.Fun.(*ast.Ident); ok && uses[called.Name] {
							uses[f.Name.Name] = true
						}
					}
					return true
				})
				changed = changed || uses[f.Name.Name]
			}
		}
	}
	for name := range uses {
		if strings.HasPrefix(name, "Test") && name != "TestMain" {
			tests = append(tests, name)
		}
	}
	slices.Sort(tests)
	return tests
}

// What the race detector leaves out runs without it.
func TestLarge_HasWhatTheDetectorLeavesOut(t *testing.T) {
	root, found := "../../..", make(map[string]int)
	err := filepath.WalkDir(root, func(dir string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name := entry.Name(); dir != root && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			return err
		}
		p, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		var files []*ast.File
		for _, path := range paths {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			files = append(files, file)
		}
		for _, test := range detector(files) {
			found[p]++
			if !slices.Contains(plain, p) && (large[p] == "" || !regexp.MustCompile(large[p]).MatchString(test)) {
				t.Errorf("the race detector leaves out some or all of %s in %s: add it to large", test, p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for p := range large {
		if found[p] == 0 {
			t.Errorf("the race detector leaves out no test of %s: take it out of large", p)
		}
	}
}

func TestDetector_FindsWhatIsLeftOut(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "x_test.go", `package x
func TestA(t *testing.T) { race.LeaveOut(t) }
func TestB(t *testing.T) { n := 10; if race.Enabled { n = 1 }; f(n) }
func TestC(t *testing.T) { t.Run("c", func(t *testing.T) { indirectly(t) }) }
func TestD(t *testing.T) { f(0) }
func indirectly(t *testing.T) { surroundings(t) }
func surroundings(t *testing.T) { race.LeaveOut(t) }
func f(int) {}
`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := detector([]*ast.File{file}); !slices.Equal(got, []string{"TestA", "TestB", "TestC"}) {
		t.Errorf("found %q", got)
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

// make runs the program without cgo, which the race detector needs.
func TestCommand_TurnsCgoOnForTheDetector(t *testing.T) {
	t.Setenv("CGO_ENABLED", "0")
	if err := command(t.Context(), []string{"build", "-race", module + "internal/logkey"}); err != nil {
		t.Error(err)
	}
}
