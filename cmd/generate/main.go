// Command generate updates the generated files: the documents of the settings and the error codes, the chart's values, schema and
// README, the parameters of the ECS stack, the dashboard, and docs/cost.md.
//
//	go run ./cmd/generate   # make generate
//
// It runs in the root of the repository. A test compares the files with their sources, so that neither changes alone.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
)

// file is a file that is generated, whole or in part.
type file struct {
	path string
	// render returns the new content, given the present one: parts of it may be written by hand.
	render func(present []byte) ([]byte, error)
}

// files are in the order of generation: one may be the source of the next.
var files = []file{
	{"docs/settings.md", settingsPage},
	{"docs/errors.md", func(present []byte) ([]byte, error) { return fill(present, "codes", codes()) }},
	{"README.md", func(present []byte) ([]byte, error) { return fill(present, "settings", firstSettings()) }},
	{"docs/permissions.md", permissionsPage},
	{"helm/consumer/values.yaml", chartValues},
	{"helm/consumer/values.schema.json", chartSchema},
	{"helm/consumer/files/settings.json", chartRules},
	{"helm/consumer/README.md", chartReadme},
	{"infra/consumer-ecs.yml", template},
}

// printed are files that another program prints. Tests of those programs compare them.
var printed = map[string][]string{
	"helm/consumer/files/dashboard.json": {"./helm/observe"},
	"docs/cost.md":                       {"./cmd/cost", "--page"},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("generate: ")
	if err := generate(); err != nil {
		log.Fatal(err)
	}
}

func generate() error {
	for _, f := range files {
		_, want, err := f.compare()
		if err == nil {
			err = write(f.path, want)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	for path, program := range printed {
		text, err := exec.Command("go", append([]string{"run"}, program...)...).Output()
		if err == nil {
			err = write(path, text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// compare returns the file as it is and as it should be. A missing file is empty.
func (f file) compare() (present, want []byte, err error) {
	present, err = os.ReadFile(f.path)
	if err != nil && !os.IsNotExist(err) {
		return nil, nil, err
	}
	want, err = f.render(present)
	return present, want, err
}

func write(path string, text []byte) error {
	if present, err := os.ReadFile(path); err == nil && bytes.Equal(present, text) {
		return nil
	}
	log.Print("wrote ", path)
	return os.WriteFile(path, text, 0o644)
}

// fill puts a text between the marks of a name in a Markdown document.
func fill(document []byte, name, text string) ([]byte, error) {
	return between(document, "<!-- "+name+" -->\n", text, "<!-- /"+name+" -->\n")
}

// between replaces what is between two marks, which stay.
func between(document []byte, open, text, end string) ([]byte, error) {
	before, rest, opens := bytes.Cut(document, []byte(open))
	_, after, ends := bytes.Cut(rest, []byte(end))
	if !opens || !ends {
		return nil, fmt.Errorf("want the marks %q and %q, with only generated text between them", open, end)
	}
	return []byte(string(before) + open + text + end + string(after)), nil
}
