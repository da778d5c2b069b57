package helm_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/consumer"
)

var update = flag.Bool("update", false, "write the generated parts of the chart")

// ownDefaults are settings whose default in the chart is not the program's, with the reason.
var ownDefaults = map[string]struct{ value, reason string }{
	"SPOOL_DIR": {"/spool", "pods have a volume for it"},
}

// camel makes commitInterval of COMMIT_INTERVAL.
func camel(name string) string {
	var b strings.Builder
	for i, word := range strings.Split(strings.ToLower(name), "_") {
		if i > 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		b.WriteString(word)
	}
	return b.String()
}

// settingsBlock is the part of values.yaml that follows from the program.
func settingsBlock() string {
	var b strings.Builder
	for _, s := range consumer.Settings() {
		value, meaning := s.Default, s.Meaning
		if own, ok := ownDefaults[s.Name]; ok {
			value = own.value
			meaning += " The chart has a default of its own: " + own.reason + "."
		}
		if s.Required {
			meaning += " Required."
		}
		if !regexp.MustCompile(`^(true|false|[0-9]+)$`).MatchString(value) {
			quoted, _ := json.Marshal(value) // a string has a JSON form
			value = string(quoted)
		}
		fmt.Fprintf(&b, "  # %s\n  %s: %s\n", meaning, camel(s.Name), value)
	}
	return b.String()
}

const valuesFile = "consumer/values.yaml"

func withSettings(values []byte) []byte {
	const open, end = "  # <settings>\n", "  # </settings>\n"
	before, rest, _ := bytes.Cut(values, []byte(open))
	_, after, _ := bytes.Cut(rest, []byte(end))
	return []byte(string(before) + open + settingsBlock() + end + string(after))
}

// value is one entry of values.yaml.
type value struct {
	path    string // of keys, joined by dots
	about   string
	content *yaml.Node
	schema  map[string]any // what the comment says beyond the type
}

// entries lists the values below a mapping. The comment in front of a key is its description.
func entries(t *testing.T, mapping *yaml.Node, at string) []value {
	t.Helper()
	var list []value
	for i := 0; i < len(mapping.Content); i += 2 {
		key, content := mapping.Content[i], mapping.Content[i+1]
		v := value{path: at + key.Value, content: content}
		comment := key.HeadComment
		if i := strings.LastIndex(comment, "\n\n"); i >= 0 {
			comment = comment[i+2:] // what stands apart is about the file
		}
		var words []string
		for line := range strings.SplitSeq(comment, "\n") {
			line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
			if text, ok := strings.CutPrefix(line, "@schema "); ok {
				if err := json.Unmarshal([]byte(text), &v.schema); err != nil {
					t.Fatalf("%s: @schema: %v", v.path, err)
				}
			} else if line != "" && !strings.HasPrefix(line, "<") {
				words = append(words, line)
			}
		}
		v.about = strings.Join(words, " ")
		list = append(list, v)
	}
	return list
}

var (
	sizeForm     = `^[0-9]+(\.[0-9]+)? *([KMGT]iB|[kKMGT]?B)?$`
	durationForm = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
)

// schemaOf describes a value by its default. Mappings that have keys take no others, so that a name with a mistake in it
// is refused.
func schemaOf(t *testing.T, v value) map[string]any {
	t.Helper()
	s := make(map[string]any)
	if v.about != "" {
		s["description"] = v.about
	}
	switch n := v.content; {
	case n.Kind == yaml.MappingNode && len(n.Content) > 0:
		s["type"] = "object"
		properties := make(map[string]any)
		for _, e := range entries(t, n, v.path+".") {
			properties[e.path[len(v.path)+1:]] = schemaOf(t, e)
		}
		s["properties"] = properties
		// Kubernetes's own objects have more members than the chart sets.
		open := strings.HasSuffix(v.path, "ecurityContext") || strings.Contains(v.path, "esources") ||
			strings.Contains(v.path, "ecurityContext.") || strings.Contains(v.path, ".behavior") || v.path == "dashboard.labels"
		s["additionalProperties"] = open
	case n.Kind == yaml.MappingNode:
		s["type"] = "object"
	case n.Kind == yaml.SequenceNode:
		s["type"] = "array"
	case n.Tag == "!!bool":
		s["type"] = "boolean"
	case n.Tag == "!!int":
		s["type"] = "integer"
	default:
		s["type"] = "string"
		if strings.HasPrefix(v.path, "settings.") {
			if regexp.MustCompile(durationForm).MatchString(n.Value) {
				s["pattern"] = durationForm
			} else if regexp.MustCompile(sizeForm).MatchString(n.Value) {
				s["pattern"], s["type"] = sizeForm, []string{"string", "integer"}
			}
		}
	}
	if strings.HasPrefix(v.path, "settings.") {
		switch kind := s["type"].(type) { // null leaves the variable out
		case string:
			s["type"] = []string{kind, "null"}
		case []string:
			s["type"] = append(kind, "null")
		}
	}
	for key, more := range v.schema {
		s[key] = more
	}
	return s
}

func makeSchema(t *testing.T, root *yaml.Node) []byte {
	t.Helper()
	properties := map[string]any{"global": map[string]any{"type": "object"}}
	for _, e := range entries(t, root, "") {
		properties[e.path] = schemaOf(t, e)
	}
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart consumer",
		"type": "object", "properties": properties, "additionalProperties": false,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// makeTable is the README's table of values.
func makeTable(t *testing.T, root *yaml.Node) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| value | default | meaning |\n|---|---|---|\n")
	var walk func(*yaml.Node, string)
	walk = func(n *yaml.Node, at string) {
		for _, e := range entries(t, n, at) {
			if e.content.Kind == yaml.MappingNode && len(e.content.Content) > 0 && !strings.HasSuffix(e.path, "ontext") {
				if e.about != "" {
					fmt.Fprintf(&b, "| `%s` | | %s |\n", e.path, cell(e.about))
				}
				walk(e.content, e.path+".")
				continue
			}
			text, err := yaml.Marshal(plain(e.content))
			if err != nil {
				t.Fatal(err)
			}
			shown := strings.TrimSpace(strings.Join(strings.Fields(string(text)), " "))
			if shown == `""` {
				shown = ""
			} else {
				shown = "`" + shown + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.path, cell(shown), cell(e.about))
		}
	}
	walk(root, "")
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// plain is a node in flow style without comments.
func plain(n *yaml.Node) *yaml.Node {
	c := *n
	c.HeadComment, c.LineComment, c.FootComment = "", "", ""
	if c.Kind != yaml.ScalarNode {
		c.Style = yaml.FlowStyle
	}
	c.Content = nil
	for _, child := range n.Content {
		c.Content = append(c.Content, plain(child))
	}
	return &c
}

// fill puts a text between the marks of a name.
func fill(t *testing.T, document []byte, name, text string) []byte {
	t.Helper()
	open, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, opens := bytes.Cut(document, []byte(open))
	_, after, ends := bytes.Cut(rest, []byte(end))
	if !opens || !ends {
		t.Fatalf("there is no place for %s", name)
	}
	return []byte(string(before) + open + text + end + string(after))
}

// The settings in values.yaml follow from the program, the schema from values.yaml, and the README from both.
func TestChart_IsMadeFromItsSources(t *testing.T) {
	values := withSettings(read(t, valuesFile))
	var document yaml.Node
	if err := yaml.Unmarshal(values, &document); err != nil {
		t.Fatal(err)
	}
	root := document.Content[0]
	readme := fill(t, read(t, "consumer/README.md"), "values", makeTable(t, root))
	readme = fill(t, readme, "policy", makePolicies())
	for path, want := range map[string][]byte{
		valuesFile:                    values,
		"consumer/values.schema.json": makeSchema(t, root),
		"consumer/README.md":          readme,
	} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what its source makes: run go test ./helm -update (%s)", path, firstDifference(got, want))
		}
	}
}

func firstDifference(got, want []byte) string {
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i, line := range b {
		if i >= len(a) || a[i] != line {
			return fmt.Sprintf("line %d should be %q", i+1, line)
		}
	}
	return "it has more lines"
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every setting of the program is a value under its name, with its default, and no other is.
func TestValues_HaveTheSettingsOfTheProgram(t *testing.T) {
	var values struct {
		Settings map[string]any `yaml:"settings"`
	}
	if err := yaml.Unmarshal(read(t, valuesFile), &values); err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, s := range consumer.Settings() {
		key := camel(s.Name)
		known[key] = true
		got, there := values.Settings[key]
		want := s.Default
		if own, ok := ownDefaults[s.Name]; ok {
			want = own.value
		}
		if !there {
			t.Errorf("%s is a setting of the program and no value settings.%s: run go test ./helm -update", s.Name, key)
		} else if fmt.Sprint(got) != want {
			t.Errorf("settings.%s is %v unless set, the program's %s is %q", key, got, s.Name, want)
		}
	}
	for key := range values.Settings {
		if !known[key] {
			t.Errorf("settings.%s is no setting of the program", key)
		}
	}
	if len(known) < 40 {
		t.Errorf("looked at %d settings", len(known))
	}
}
