package prefix_test

import (
	"os"
	"strings"
	"testing"

	"aws-streaming-pipeline/record/prefix"
)

func TestDocs_ExamplesLieWhereTheySay(t *testing.T) {
	page := readPage(t)
	_, rest, _ := strings.Cut(page, "<!-- examples -->\n")
	table, _, found := strings.Cut(rest, "<!-- /examples -->")
	if !found {
		t.Fatal("docs/prefixes.md has no examples")
	}
	rows := strings.Split(strings.TrimSpace(table), "\n")[2:]
	if len(rows) < 10 {
		t.Fatalf("docs/prefixes.md has %d examples", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(strings.ReplaceAll(row, `\|`, "\x00"), "|")
		if len(cells) != 6 {
			t.Fatalf("row %q: want four cells", row)
		}
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(strings.Trim(cell, " `"), "\x00", "|")
		}
		c := prefix.Config{Data: cells[1], Query: cells[2]}
		if strings.Contains(c.Data, "!{") {
			c.Error = errorPrefix
		}
		if got := partition(t, router(t, c), evaluated, cells[3]); got != cells[4] {
			t.Errorf("%s is under %q", row, got)
		}
	}
}

func TestDocs_ListTheCodes(t *testing.T) {
	page := readPage(t)
	for _, c := range prefix.Codes() {
		if !strings.Contains(page, "| `"+c.Name+"` | "+c.Meaning+" |\n") {
			t.Errorf("docs/prefixes.md does not say: %s %s", c.Name, c.Meaning)
		}
	}
}

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/prefixes.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}
