package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aws-streaming-pipeline/consumer"
)

// source is the daemon's code, without its tests.
func source(t *testing.T) string {
	t.Helper()
	var code strings.Builder
	for _, folder := range []string{"record", "consumer", "operate", "checkpoint", "writers", "internal/metrics", "loader", "cmd/consumer", "cmd/loader"} {
		err := filepath.WalkDir(filepath.Join("../..", folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			code.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return code.String()
}

// Runbooks refer to log lines, metrics and settings, which must exist.
func TestRunbooks_NameWhatIsThere(t *testing.T) {
	code := source(t)
	settings := map[string]bool{"GOMEMLIMIT": true} // Go's own
	for _, s := range consumer.Settings() {
		settings[s.Name] = true
	}
	var panels strings.Builder
	for _, r := range rows {
		for _, p := range r.panels {
			panels.WriteString("*" + p.title + "*")
		}
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	setting := regexp.MustCompile(`^[A-Z]+(_[A-Z]+)+$|^GOMEMLIMIT$|^FORMAT$|^PREFIX$`)
	metric := regexp.MustCompile(`^consumer_[a-z_]+$`)
	line := regexp.MustCompile(`^[a-z3]+( [a-z0-9,']+){2,}$`)
	title := regexp.MustCompile(`[^*]\*([A-Z][^*\n]+)\*[^*]`)
	pages, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	lines := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`grep -[EF] '?([a-z][^'|\n]*(?:\|[a-z][^'|\n]*)*)'? *\|`).FindAllStringSubmatch(string(text), -1) {
			for said := range strings.SplitSeq(m[1], "|") {
				if lines++; line.MatchString(said) && !strings.Contains(code, `"`+said) {
					t.Errorf("%s: the daemon logs no line %q", page, said)
				}
			}
		}
		joined := strings.Join(strings.Fields(string(text)), " ")
		for _, m := range quoted.FindAllStringSubmatch(joined, -1) {
			switch word := m[1]; {
			case strings.HasPrefix(word, "kubectl "), strings.HasPrefix(word, "aws "), strings.HasPrefix(word, "consumer "), strings.HasPrefix(word, "loader "):
			case setting.MatchString(word) && !settings[word] && !strings.HasSuffix(word, "_END") && word != "TRIM_HORIZON":
				t.Errorf("%s: there is no setting %s", page, word)
			case metric.MatchString(word) && !strings.Contains(code, `"`+word+`"`):
				t.Errorf("%s: there is no metric %s", page, word)
			case line.MatchString(word):
				lines++
				if !strings.Contains(code, `"`+word) {
					t.Errorf("%s: the daemon logs no line %q", page, word)
				}
			}
		}
		for _, m := range title.FindAllStringSubmatch(joined, -1) {
			if !strings.Contains(panels.String(), "*"+m[1]+"*") && !strings.Contains(operations(t), m[1]) {
				t.Errorf("%s: there is no panel or chapter %q", page, m[1])
			}
		}
	}
	if lines < 10 {
		t.Errorf("%d log lines found: is the pattern right?", lines)
	}
}

func operations(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ToLower(string(text)) + string(text)
}

func TestDashboard_IsWhatTheProgramPrints(t *testing.T) {
	want, err := render()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("the dashboard is not that of panels.go: run make generate")
	}
}

func TestDashboard_PanelsDoNotOverlap(t *testing.T) {
	taken := make(map[[2]int]any)
	ids := make(map[any]bool)
	for _, p := range layOut(rows) {
		pos := p["gridPos"].(object)
		x, y, w, h := pos["x"].(int), pos["y"].(int), pos["w"].(int), pos["h"].(int)
		if x+w > columns {
			t.Errorf("%v leaves the grid", p["title"])
		}
		if ids[p["id"]] {
			t.Errorf("%v has an id that is taken", p["title"])
		}
		ids[p["id"]] = true
		for i := x; i < x+w; i++ {
			for j := y; j < y+h; j++ {
				if other, ok := taken[[2]int{i, j}]; ok {
					t.Fatalf("%v lies over %v", p["title"], other)
				}
				taken[[2]int{i, j}] = p["title"]
			}
		}
	}
}
