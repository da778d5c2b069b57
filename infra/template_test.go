package infra_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// stacks are the templates in the order in which their stacks are created: each imports from those before it.
var stacks = []string{"data-sources", "stream", "athena", "consumer-ecs"}

// template is a parsed template. Intrinsic functions are in their long form, {"Fn::Sub": ...}.
type template struct {
	name       string
	source     string
	parameters map[string]node
	conditions map[string]node
	resources  map[string]resource
	outputs    map[string]node
	metadata   node
}

type resource struct {
	kind       string
	condition  string
	properties node
	metadata   node
	attributes node // all, as DeletionPolicy
}

// node is a mapping.
type node = map[string]any

func load(t *testing.T, name string) template {
	t.Helper()
	source, err := os.ReadFile(name + ".yml")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, name, source)
}

func parse(t *testing.T, name string, source []byte) template {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	root := value(t, document.Content[0]).(node)
	made := template{
		name: name, source: string(source), resources: make(map[string]resource),
		parameters: nodes(root["Parameters"]), conditions: nodes(root["Conditions"]), outputs: nodes(root["Outputs"]), metadata: asNode(root["Metadata"]),
	}
	for id, r := range asNode(root["Resources"]) {
		attributes := r.(node)
		condition, _ := attributes["Condition"].(string)
		made.resources[id] = resource{
			kind: attributes["Type"].(string), condition: condition, attributes: attributes,
			properties: asNode(attributes["Properties"]), metadata: asNode(attributes["Metadata"]),
		}
	}
	return made
}

func loadAll(t *testing.T) []template {
	t.Helper()
	var all []template
	for _, name := range stacks {
		all = append(all, load(t, name))
	}
	return all
}

// value turns YAML into maps, slices and strings, and short forms of functions into their long ones.
func value(t *testing.T, n *yaml.Node) any {
	t.Helper()
	plain := func() any {
		switch n.Kind {
		case yaml.MappingNode:
			m := make(node)
			for i := 0; i < len(n.Content); i += 2 {
				key := n.Content[i].Value
				if _, twice := m[key]; twice {
					t.Fatalf("line %d: %s stands twice", n.Content[i].Line, key)
				}
				m[key] = value(t, n.Content[i+1])
			}
			return m
		case yaml.SequenceNode:
			list := make([]any, 0, len(n.Content))
			for _, c := range n.Content {
				list = append(list, value(t, c))
			}
			return list
		case yaml.ScalarNode:
			return n.Value
		}
		t.Fatalf("line %d: a %d has no place in a template", n.Line, n.Kind)
		return nil
	}
	switch tag := strings.TrimPrefix(n.Tag, "!"); {
	case strings.HasPrefix(tag, "!") || tag == "":
		return plain()
	case tag == "Ref" || tag == "Condition":
		return node{tag: plain()}
	case tag == "GetAtt":
		of, attribute, _ := strings.Cut(n.Value, ".")
		return node{"Fn::GetAtt": []any{of, attribute}}
	default:
		return node{"Fn::" + tag: plain()}
	}
}

// asNode returns a mapping, or an empty one if the value is not a mapping.
func asNode(v any) node {
	m, _ := v.(node)
	return m
}

func nodes(v any) map[string]node {
	m := make(map[string]node)
	for key, of := range asNode(v) {
		m[key] = of.(node)
	}
	return m
}

// walk calls visit for each value of a tree, with the path to it.
func walk(v any, path string, visit func(path string, v any)) {
	visit(path, v)
	switch v := v.(type) {
	case node:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			walk(v[key], path+"."+key, visit)
		}
	case []any:
		for i, of := range v {
			walk(of, fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

// list returns a value that may be given alone instead of in a list.
func list(v any) []any {
	if many, ok := v.([]any); ok {
		return many
	}
	return []any{v}
}

// ofKind returns the resources of a type, by their ids in order.
func (tpl template) ofKind(kind string) []string {
	var ids []string
	for id, r := range tpl.resources {
		if r.kind == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
