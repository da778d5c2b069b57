package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each row of the tables names what enforces it, and that exists: tests, or files with a line.
func TestSecurity_NamesWhatHoldsEachRow(t *testing.T) {
	page, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t)
	if faults := unheld(string(page), tests); len(faults) > 0 {
		t.Error(strings.Join(faults, "\n"))
	}
	head := "| attempt | result | held by |\n|---|---|---|\n"
	for _, row := range []string{
		"| a | b | somebody |", "| a | b | |", "| a | b | `TestNobody_WroteThis` |", "| a | b | `docs/nothing.md` |", "| a | b | `go.mod: a line that is not there` |",
	} {
		if len(unheld(head+row+"\n", tests)) == 0 {
			t.Errorf("%s is accepted", row)
		}
	}
	if n := strings.Count(string(page), "\nNot held: "); n != strings.Count(string(page), head) {
		t.Errorf("%d of %d tables say what is not held", n, strings.Count(string(page), head))
	}
}

// unheld returns the rows of the page that name nothing that enforces them, or something that does not exist.
func unheld(page string, tests map[string]bool) (faults []string) {
	rows := 0
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) == 3 && strings.TrimSpace(cells[2]) == "held by" {
			continue
		}
		rows++
		names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(cells) != 3 || len(names) == 0 {
			faults = append(faults, fmt.Sprintf("nothing holds %q", line))
		}
		for _, m := range names {
			if strings.HasPrefix(m[1], "Test") {
				if !tests[m[1]] {
					faults = append(faults, fmt.Sprintf("there is no test %s", m[1]))
				}
				continue
			}
			path, text, _ := strings.Cut(m[1], ": ")
			file, err := os.ReadFile(filepath.Join(root, path))
			if err != nil || !strings.Contains(string(file), text) {
				faults = append(faults, fmt.Sprintf("%s does not have %q: %v", path, text, err))
			}
		}
	}
	if rows == 0 {
		faults = append(faults, "the page has no rows")
	}
	return faults
}

// testNames returns the names of all tests of the repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	names := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
