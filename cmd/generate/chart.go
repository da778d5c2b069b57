package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/settings"
)

// The chart's values.yaml has the settings of the program, each under its name in camel case, and values of its own.
// values.schema.json and the README's table follow from it. The rules of the settings are in files/settings.json: see chartrules.go.
const valuesFile = "helm/consumer/values.yaml"

// ownDefaults are settings whose default in the chart is not the program's, with the reason.
var ownDefaults = map[string]struct{ value, reason string }{
	"SPOOL_DIR": {"/spool", "pods have a volume for it"},
}

// ofOwnValue are settings that other values of the chart set, and what those are.
var ofOwnValue = map[string]string{
	"TABLE":             "table.uri",               // which also adds the loader
	"TABLE_TOKEN":       "table.tokenSecret",       // a secret has to be in a Secret
	"POSTGRES_DSN":      "postgres.existingSecret", // likewise
	"POSTGRES_DSN_FILE": "postgres.existingSecret", // which is mounted
	"POSTGRES_SECRET":   "postgres.secretArn",      // for the loader alone
	"POSTGRES_CA_FILE":  "postgres.ca",             // which is mounted
}

// chartValues puts the settings of the program into values.yaml.
func chartValues(present []byte) ([]byte, error) {
	var b strings.Builder
	for _, g := range consumer.SettingGroups() {
		for _, s := range g.Settings {
			if ofOwnValue[s.Name] != "" {
				continue
			}
			value, meaning := s.Default, s.Meaning
			if bounds := s.Bounds(); bounds != "" {
				meaning += " Values: " + bounds + "."
			}
			if own, ok := ownDefaults[s.Name]; ok {
				value = own.value
				meaning += " The chart has a default of its own: " + own.reason + "."
			}
			if s.Required {
				meaning += " Required."
			}
			if s.Type.Kind() != reflect.Bool && s.Type != reflect.TypeFor[int]() {
				value = quoted(value)
			}
			fmt.Fprintf(&b, "  # %s\n  %s: %s\n", meaning, settings.Camel(s.Name), value)
		}
	}
	return between(present, "  # <settings>\n", b.String(), "  # </settings>\n")
}

// value is an entry of values.yaml. The comment in front of its key describes it.
type value struct {
	path    string // of keys, joined by dots
	about   string
	schema  map[string]any // what the comment says beyond the type
	content *yaml.Node
	below   []value // of a mapping
}

func (v value) key() string { return v.path[strings.LastIndex(v.path, ".")+1:] }

// values reads values.yaml.
func values() ([]value, error) {
	text, err := os.ReadFile(valuesFile)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	return entries(document.Content[0], "")
}

func entries(mapping *yaml.Node, at string) ([]value, error) {
	var list []value
	for i := 0; i < len(mapping.Content); i += 2 {
		key, content := mapping.Content[i], mapping.Content[i+1]
		v := value{path: at + key.Value, content: content}
		comment := key.HeadComment
		if i := strings.LastIndex(comment, "\n\n"); i >= 0 {
			comment = comment[i+2:] // separate paragraphs describe the file
		}
		var words []string
		for line := range strings.SplitSeq(comment, "\n") {
			line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
			if text, ok := strings.CutPrefix(line, "@schema "); ok {
				if err := json.Unmarshal([]byte(text), &v.schema); err != nil {
					return nil, fmt.Errorf("%s: @schema: %w", v.path, err)
				}
			} else if line != "" && !strings.HasPrefix(line, "<") {
				words = append(words, line)
			}
		}
		v.about = strings.Join(words, " ")
		if content.Kind == yaml.MappingNode {
			below, err := entries(content, v.path+".")
			if err != nil {
				return nil, err
			}
			v.below = below
		}
		list = append(list, v)
	}
	return list, nil
}

// chartSchema is values.schema.json.
func chartSchema([]byte) ([]byte, error) {
	list, err := values()
	if err != nil {
		return nil, err
	}
	properties := map[string]any{
		"global": map[string]any{"type": "object"},
		// A chart that has this one as a dependency turns it on by such a value (Helm, "Tags and Condition fields in dependencies").
		"enabled": map[string]any{"type": "boolean", "description": "For the condition of a chart that depends on this one. Nothing else reads it."},
	}
	for _, v := range list {
		properties[v.path] = v.describe()
	}
	known, err := valueNames()
	if err != nil {
		return nil, err
	}
	others, err := hints(known)
	if err != nil {
		return nil, err
	}
	allowHints(properties, others)
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart consumer",
		"type": "object", "properties": properties, "additionalProperties": false,
	}, "", "  ")
	return append(text, '\n'), err
}

// describe is the schema of a value, by its default. Mappings that have keys take no others, so that a name with a mistake in
// it is refused.
func (v value) describe() map[string]any {
	s := make(map[string]any)
	if v.about != "" {
		s["description"] = v.about
	}
	switch n := v.content; {
	case len(v.below) > 0:
		s["type"] = "object"
		properties := make(map[string]any)
		for _, below := range v.below {
			properties[below.key()] = below.describe()
		}
		s["properties"] = properties
		if v.path == "settings" {
			s["patternProperties"] = map[string]any{"^[A-Z][A-Z0-9_]*$": map[string]any{"description": "Refused: settings are named in camel case here."}}
		}
		// Kubernetes's own objects have more members than the chart sets.
		s["additionalProperties"] = strings.HasSuffix(v.path, "ecurityContext") || strings.Contains(v.path, "esources") ||
			strings.Contains(v.path, "ecurityContext.") || strings.Contains(v.path, ".behavior") || v.path == "dashboard.labels" ||
			strings.HasPrefix(v.path, "strategy")
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
	}
	if strings.HasPrefix(v.path, "settings.") {
		v.describeSetting(s)
	}
	for key, more := range v.schema {
		s[key] = more
	}
	return s
}

// describeSetting adds what is known of a setting of the program. Null leaves the variable out.
func (v value) describeSetting(s map[string]any) {
	types := []string{s["type"].(string)}
	for _, known := range consumer.Settings() {
		if settings.Camel(known.Name) != v.key() {
			continue
		}
		switch known.Type {
		case reflect.TypeFor[consumer.Bytes]():
			types = append(types, "integer")
		case reflect.TypeFor[int]():
			for rule, bound := range map[string]string{"minimum": known.Min, "maximum": known.Max} {
				if bound != "" {
					s[rule] = json.Number(bound)
				}
			}
		}
		if len(known.OneOf) > 0 {
			allowed := []any{nil}
			for _, text := range known.OneOf {
				allowed = append(allowed, text)
			}
			s["enum"] = allowed
		}
	}
	s["type"] = append(types, "null")
}

// chartReadme fills the tables of the chart's README.
func chartReadme(present []byte) ([]byte, error) {
	list, err := values()
	if err != nil {
		return nil, err
	}
	table, err := valuesTable(list)
	if err != nil {
		return nil, err
	}
	filled, err := fill(present, "values", "| value | default | meaning |\n|---|---|---|\n"+table)
	if err != nil {
		return nil, err
	}
	return fill(filled, "policy", policies())
}

func valuesTable(list []value) (string, error) {
	var b strings.Builder
	for _, v := range list {
		if len(v.below) > 0 && !strings.HasSuffix(v.path, "ontext") {
			if v.about != "" {
				fmt.Fprintf(&b, "| `%s` | | %s |\n", v.path, cell(v.about))
			}
			below, err := valuesTable(v.below)
			if err != nil {
				return "", err
			}
			b.WriteString(below)
			continue
		}
		text, err := yaml.Marshal(plain(v.content))
		if err != nil {
			return "", fmt.Errorf("%s: %w", v.path, err)
		}
		shown := strings.Join(strings.Fields(string(text)), " ")
		if shown == `""` {
			shown = ""
		} else {
			shown = "`" + shown + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.path, cell(shown), cell(v.about))
	}
	return b.String(), nil
}

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
