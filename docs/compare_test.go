package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	sourceDefinition = regexp.MustCompile(`(?m)^\[([a-z0-9-]+)\]: (https://\S+) "([^"]+)"$`)
	sourceUse        = regexp.MustCompile(`\]\[([a-z0-9-]+)\]`)
	pageLink         = regexp.MustCompile(`\]\(([^)#:]+\.md|[^)#:]*LICENSE)(#[^)]*)?\)`)
)

// claims returns what is wrong with the tables of a comparison: the first column has the subject, the second is about this project, and
// the others are about other products.
func claims(text string) (faults []string, rows int) {
	sources := make(map[string]string)
	for _, m := range sourceDefinition.FindAllStringSubmatch(text, -1) {
		sources[m[1]] = m[3]
	}
	used := make(map[string]bool)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| |") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i, cell := range cells {
			cell = strings.TrimSpace(cell)
			names := sourceUse.FindAllStringSubmatch(cell, -1)
			for _, name := range names {
				if used[name[1]] = true; sources[name[1]] == "" {
					faults = append(faults, "no source "+name[1])
				}
			}
			switch {
			case i == 1 && strings.HasPrefix(cell, "yes") && !pageLink.MatchString(cell):
				faults = append(faults, "a yes of ours without a page: "+cell)
			case i > 1 && len(names) == 0 && !slices.Contains([]string{"", "yours", "a service", "nothing"}, cell):
				faults = append(faults, "a claim about others without a source: "+cell)
			}
		}
	}
	for name := range sources {
		if !used[name] {
			faults = append(faults, "a source of nothing: "+name)
		}
	}
	return faults, rows
}

func TestComparison_NamesASourceForEachClaim(t *testing.T) {
	text, err := os.ReadFile("compare.md")
	if err != nil {
		t.Fatal(err)
	}
	faults, rows := claims(string(text))
	for _, fault := range faults {
		t.Error(fault)
	}
	if rows < 25 {
		t.Errorf("looked at %d rows", rows)
	}
	for _, m := range pageLink.FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.FromSlash(m[1])); err != nil {
			t.Errorf("there is no page %s", m[1])
		}
	}
	if !regexp.MustCompile(`in [A-Z][a-z]+ 20\d\d`).Match(text) {
		t.Error("the page does not say as of when it is")
	}

	const sound = "| | this | other |\n|---|---|---|\n| a | yes: [x](x.md) | [no][s] |\n\n[s]: https://example.org/ \"Example: s\"\n"
	if faults, rows := claims(sound); len(faults) > 0 || rows != 1 {
		t.Errorf("%q has %d rows and the faults %q", sound, rows, faults)
	}
	for _, wrong := range [][2]string{
		{"[no][s]", "no"}, {"[no][s]", "[no][t]"}, {"yes: [x](x.md)", "yes"}, {"[no][s]", ""}, {"https://example.org/", "example.org"}, {` "Example: s"`, ""},
	} {
		if faults, _ := claims(strings.Replace(sound, wrong[0], wrong[1], 1)); len(faults) == 0 {
			t.Errorf("%q instead of %q is not noticed", wrong[1], wrong[0])
		}
	}
}
