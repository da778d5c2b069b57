package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The list's format: one block per mutant, with blank lines between blocks. Lines that begin with # are comments.
//
//	= a sentence that describes the fault
//	file checkpoint/local/outbox.go
//	test ./checkpoint/local TestStore_Commit/a_subtest
//	-what occurs exactly once in the file
//	+what replaces it
//
// Several lines with - or + make a snippet of several lines. A snippet may be a part of a line.
//
//go:embed mutants.txt
var list string

// mutant is a fault in the code.
type mutant struct {
	name     string // a sentence that describes the fault
	file     string // in the repository
	old, new string
	pkg      string // whose tests notice
	test     string // the test that does, in the syntax of -run: with slashes before subtests
}

// parse reads a list. Its error names the line.
func parse(text string) ([]mutant, error) {
	var all []mutant
	var old, new []string
	end := func() {
		if len(all) > 0 {
			m := &all[len(all)-1]
			m.old, m.new = strings.Join(old, "\n"), strings.Join(new, "\n")
		}
		old, new = nil, nil
	}
	for n, line := range strings.Split(text, "\n") {
		key, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || key == "#":
			continue
		case key == "=":
			end()
			all = append(all, mutant{name: rest})
			continue
		case len(all) == 0:
			return nil, fmt.Errorf("line %d: %q comes before the first name", n+1, line)
		}
		m := &all[len(all)-1]
		switch {
		case line[0] == '-':
			old = append(old, line[1:])
		case line[0] == '+':
			new = append(new, line[1:])
		case key == "file":
			m.file = rest
		case key == "test":
			m.pkg, m.test, _ = strings.Cut(rest, " ")
		default:
			return nil, fmt.Errorf("line %d: %q: want =, file, test, -, + or #", n+1, line)
		}
	}
	end()
	seen := make(map[string]bool, len(all))
	for _, m := range all {
		switch {
		case m.name == "" || m.file == "" || m.pkg == "" || m.test == "" || m.old == "":
			return nil, fmt.Errorf("mutant %q: want a name, a file, a test and a snippet to replace", m.name)
		case m.old == m.new:
			return nil, fmt.Errorf("mutant %q: changes nothing", m.name)
		case seen[m.name]:
			return nil, fmt.Errorf("mutant %q: is in the list twice", m.name)
		}
		seen[m.name] = true
	}
	return all, nil
}

// source returns the mutated text of the file.
func (m *mutant) source(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("%s: the snippet occurs %d times, want once: %q", m.file, n, m.old)
	}
	return strings.Replace(string(text), m.old, m.new, 1), nil
}
