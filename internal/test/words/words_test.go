// Package words checks the English of everything that people read: documentation, comments, help, errors, templates.
// rules_test.go lists the turns of phrase that must not come back, each with what to write instead. CONTRIBUTING.md, "English",
// has the rules for people.
package words

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// elsewhere are files that a program generates. Their words are checked at their source.
var elsewhere = []string{"docs/cost.md", "athena/ddl"}

// finding is a place that breaks a rule.
type finding struct {
	path, words, want string
	line              int
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %q: want %s", f.path, f.line, f.words, f.want)
}

// check returns the places in a file that break a rule.
func check(path string, text []byte) (found []finding) {
	for _, p := range prose(path, text) {
		for _, m := range matchers {
			for _, at := range m.find(p) {
				found = append(found, finding{path, string(p.text[at[0]:at[1]]), m.want, p.lines[at[0]]})
			}
		}
	}
	slices.SortFunc(found, func(a, b finding) int { return cmp.Compare(a.line, b.line) })
	return found
}

// readable reports whether people read the file.
func readable(path string, text []byte) bool {
	switch filepath.Ext(path) {
	case ".md", ".go", ".yaml", ".yml", ".sh", ".html", ".tpl", ".sql":
		return true
	case "":
		return bytes.HasPrefix(text, []byte("#!")) || filepath.Base(path) == "Dockerfile" || filepath.Base(path) == "Makefile"
	}
	return filepath.Base(path) == "NOTES.txt"
}

// repository returns the findings in the files of the repository.
func repository(t *testing.T) (found []finding) {
	t.Helper()
	files := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		switch base := entry.Name(); {
		case slices.Contains(elsewhere, name), entry.IsDir() && (base == "testdata" || base == "node_modules" || base == "demo-output" || base == "dist" || base == "bin" || name == "internal/test/words"):
			return skip(entry)
		case strings.HasPrefix(base, ".") && path != root && base != ".github" && base != ".ci":
			return skip(entry)
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || !readable(path, text) {
			return err
		}
		files[name] = true
		found = append(found, check(name, text)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"README.md", "docs/runbooks/ConsumerAbsent.md", "consumer/config.go", "consumer/status.html", "infra/deploy", "infra/lib.sh", "infra/stream.yml",
		"helm/consumer/values.yaml", "helm/consumer/templates/NOTES.txt", "helm/consumer/templates/_helpers.tpl", ".github/workflows/ci.yml", "Dockerfile",
		"athena/queries/exactly-once.sql",
	} {
		if !files[name] {
			t.Errorf("%s is not checked", name)
		}
	}
	return found
}

func skip(entry fs.DirEntry) error {
	if entry.IsDir() {
		return filepath.SkipDir
	}
	return nil
}

func TestTexts_ReadAsAnEngineerWouldSayThem(t *testing.T) {
	for _, f := range repository(t) {
		t.Error(f)
	}
}

// Each rule finds its wrong examples, and does not find the right ones.
func TestRules_FindWhatTheyShow(t *testing.T) {
	for _, m := range matchers {
		if len(m.no) == 0 || m.want == "" {
			t.Errorf("%s: no example, or nothing to write instead", m.bad)
		}
		found := func(text string) (words []string) {
			for _, p := range prose("a.md", []byte(text)) {
				for _, at := range m.find(p) {
					words = append(words, string(p.text[at[0]:at[1]]))
				}
			}
			return words
		}
		for _, text := range m.no {
			if len(found(text)) == 0 {
				t.Errorf("%s does not find %q", m.bad, text)
			}
		}
		for _, text := range m.yes {
			if words := found(text); len(words) > 0 {
				t.Errorf("%s finds %q in %q", m.bad, words, text)
			}
		}
	}
}

// Of each kind of file, the sentences are checked, wherever their lines break, and the code is not.
func TestProse_IsWhatPeopleRead(t *testing.T) {
	for _, c := range []struct {
		name, path, text string
		line             int
	}{
		{"a comment over two lines", "a.go", "package a\n\n// A shard can\n// not be read.\n", 3},
		{"a comment in a function", "a.go", "package a\n\nfunc f() {\n\t// It can\n\t// not be.\n}\n", 4},
		{"a message", "a.go", "package a\n\nvar text = \"it can not be\"\n", 3},
		{"a raw string", "a.go", "package a\n\nvar text = `\nit can not be`\n", 4},
		{"a name", "a.go", "package a\n\nfunc can() { not(can, not) }\n", 0},
		{"two comments", "a.go", "package a\n\nvar a int // as it can\nvar b int // not as it is\n", 0},
		{"a directive", "a.go", "package a\n\n//go:generate can not be\n", 0},
		{"a paragraph", "a.md", "It can\nnot be.\n", 1},
		{"two paragraphs", "a.md", "It can\n\nnot be.\n", 0},
		{"a list", "a.md", "- It can\n  not be.\n", 1},
		{"a generated table", "a.md", "<!-- values -->\nit can not be\n<!-- /values -->\n", 0},
		{"a comment of YAML", "a.yaml", "# It can\n# not be.\na: 1\n", 1},
		{"a description", "a.yaml", "a:\n  Description: It can not be.\n", 2},
		{"a generated part", "a.yaml", "# <settings>\n# it can not be\n# </settings>\n", 0},
		{"a comment of a script", "a.sh", "# It can\n# not be.\n", 1},
		{"a message of a script", "a.sh", "fail \"it can not be\"\n", 1},
		{"a comment of SQL", "a.sql", "-- It can\n-- not be.\n", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := check(c.path, []byte(c.text))
			if c.line == 0 && len(found) > 0 || c.line > 0 && (len(found) != 1 || found[0].line != c.line) {
				t.Errorf("found %v, want one in line %d (0: none)", found, c.line)
			}
		})
	}
}
