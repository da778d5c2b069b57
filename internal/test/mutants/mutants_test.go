package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The list follows the code: a change to a line that a mutant quotes needs a change to the mutant.
func TestList_FitsTheCode(t *testing.T) {
	all, err := parse(list)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Errorf("%d mutants, want at least a hundred", len(all))
	}
	root := filepath.Join("..", "..", "..")
	for _, m := range all {
		if _, err := m.source(root); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		function, _, _ := strings.Cut(m.test, "/")
		if !declares(t, filepath.Join(root, m.pkg), function) {
			t.Errorf("%s: %s has no %s", m.name, m.pkg, function)
		}
	}
}

// declares reports whether a package's tests declare a function.
func declares(t *testing.T, folder, function string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+function+"(") {
			return true
		}
	}
	return false
}

func TestParse_NamesWhatIsWrong(t *testing.T) {
	const good = "= a fault\nfile a.go\ntest ./a TestA\n-old\n+new\n"
	for _, test := range []struct{ name, text, says string }{
		{"nothing before a name", "file a.go", "line 1"},
		{"a line of no kind", good + "what is this", "line 6"},
		{"no test", "= a fault\nfile a.go\n-old", "want a name, a file, a test"},
		{"nothing to replace", "= a fault\nfile a.go\ntest ./a TestA\n+new", "a snippet to replace"},
		{"nothing changed", "= a fault\nfile a.go\ntest ./a TestA\n-old\n+old", "changes nothing"},
		{"a name twice", good + good, "is in the list twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parse(test.text); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error with %q", err, test.says)
			}
		})
	}
	all, err := parse("# comment\n\n" + good + "-second line\n")
	if err != nil || len(all) != 1 || all[0].old != "old\nsecond line" || all[0].new != "new" || all[0].pkg != "./a" {
		t.Errorf("read %+v, %v", all, err)
	}
}

func TestTurn_GoesThroughAllMutantsAsTheSeedGrows(t *testing.T) {
	var all []mutant
	for n := range 10 {
		all = append(all, mutant{name: fmt.Sprint(n)})
	}
	seen := make(map[string]int)
	for seed := range 10 {
		picked := turn(all, 3, 1000+seed)
		if len(picked) != 3 {
			t.Fatalf("%d picked, want 3", len(picked))
		}
		for _, m := range picked {
			seen[m.name]++
		}
	}
	for _, m := range all {
		if seen[m.name] != 3 {
			t.Errorf("mutant %s was picked %d times by ten seeds, want 3", m.name, seen[m.name])
		}
	}
	if n := len(turn(all, 0, 7)); n != 10 {
		t.Errorf("%d mutants without a rotation, want all", n)
	}
}

// A module of two files shows each verdict.
func TestExamine_TellsTheKilledFromTheRest(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example\n\ngo 1.26\n",
		"a.go":      "package a\n\nfunc double(n int) int {\n\tsum := n + n\n\treturn sum\n}\n",
		"a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestDouble(t *testing.T) {\n\tif double(2) != 4 {\n\t\tt.Error(\"wrong\")\n\t}\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mutants := map[verdict]mutant{
		killed:   {old: "n + n", new: "n"},
		survived: {old: "n + n", new: "2 * n"},
		hung:     {old: "return sum", new: "return <-make(chan int, sum)"},
		crashed:  {old: "\tsum := n + n\n\treturn sum", new: "\tgo func() { panic(n) }()\n\tselect {}"},
		broken:   {old: "return sum", new: "return \"sum\""},
		lost:     {old: "sum", new: "total"},
	}
	o := options{run: regexp.MustCompile(""), parallel: 2, lab: lab{root: root, limit: 10 * time.Second}}
	var all []mutant
	for v, m := range mutants {
		m.name, m.file, m.pkg, m.test = string(v), "a.go", ".", "TestDouble"
		all = append(all, m)
	}
	var out strings.Builder
	err := examine(t.Context(), o, all, &out)
	if err == nil || !strings.Contains(err.Error(), "5 mutants were not killed") || !strings.Contains(out.String(), "6 mutants, 1 killed") {
		t.Errorf("ended with %v\n%s", err, out.String())
	}
	for v := range mutants {
		if !regexp.MustCompile(`(?m)^` + string(v) + ` .* ` + string(v) + `$`).MatchString(out.String()) {
			t.Errorf("%s is not reported\n%s", v, out.String())
		}
	}

	out.Reset()
	dead := mutants[killed]
	dead.name, dead.file, dead.pkg, dead.test = "killed", "a.go", ".", "TestDouble"
	if err := examine(t.Context(), o, []mutant{dead}, &out); err != nil || !strings.Contains(out.String(), "1 mutants, 1 killed") {
		t.Errorf("with all killed it ended with %v\n%s", err, out.String())
	}
	dead.test = "TestMissing"
	if err := examine(context.Background(), o, []mutant{dead}, &out); err == nil || !strings.Contains(err.Error(), "no test TestMissing") {
		t.Errorf("a test that is not there gave %v", err)
	}
}
