package firehose

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const templateType = "AWS::KinesisFirehose::DeliveryStream"

// fromTemplate reads a resource of a CloudFormation template (AWS CloudFormation Template Reference,
// "AWS::KinesisFirehose::DeliveryStream"). Its properties have the API's names, with Configuration for Description.
func fromTemplate(document map[string]any, resource string) (*Description, error) {
	t := &template{resources: objects(document["Resources"]), parameters: objects(document["Parameters"]), assumed: make(map[string]any)}
	var ids []string
	for id, r := range t.resources {
		if r["Type"] == templateType {
			ids = append(ids, id)
		}
	}
	id, err := choose(ids, resource, templateType, func(id string) bool { return id == resource })
	if err != nil {
		return nil, err
	}
	resolved, err := t.resolve(t.resources[id]["Properties"], false)
	if err != nil {
		return nil, fmt.Errorf("resource %s: %w", id, err)
	}
	properties, ok := resolved.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("resource %s: want Properties", id)
	}
	root := arrange(newNode(properties, ""))
	name := root.get("DeliveryStreamName").text()
	if name == "" {
		name = id
	}
	root.get("DeliveryStreamName").skip() // it may be an expression
	root.get("Tags").skip()
	// A template that has this property turns encryption on. The API describes a status.
	if encryption := root.members["DeliveryStreamEncryptionConfigurationInput"]; encryption != nil {
		delete(root.members, "DeliveryStreamEncryptionConfigurationInput")
		root.members["DeliveryStreamEncryptionConfiguration"] = &node{at: encryption.at, members: map[string]*node{
			"Status": {at: encryption.at, value: "ENABLED"},
		}}
	}
	d := &Description{Name: name, root: root}
	for _, parameter := range slices.Sorted(maps.Keys(t.assumed)) {
		d.assumed = append(d.assumed, Remark{"Parameters." + parameter, fmt.Sprintf("its default %q is taken; the deployed stack may have another value", fmt.Sprint(t.assumed[parameter]))})
	}
	return d, nil
}

// arrange moves sources and destinations, which a template has side by side, to where the API has them.
func arrange(root *node) *node {
	source, destination := &node{members: make(map[string]*node)}, &node{members: make(map[string]*node)}
	for name, n := range root.members {
		of, is := strings.CutSuffix(name, "Configuration")
		switch {
		case !is:
			continue
		case strings.HasSuffix(of, "Destination"):
			destination.members[of+"Description"] = n
		case strings.HasSuffix(of, "Source"):
			source.members[of+"Description"] = n
		default:
			continue
		}
		delete(root.members, name)
		if backup := n.members["S3BackupConfiguration"]; backup != nil {
			delete(n.members, "S3BackupConfiguration")
			n.members["S3BackupDescription"] = backup
		}
	}
	root.members["Source"] = source
	root.members["Destinations"] = &node{elements: []*node{destination}}
	return root
}

// objects returns the members of an object that are objects themselves.
func objects(v any) map[string]map[string]any {
	found := make(map[string]map[string]any)
	all, _ := v.(map[string]any)
	for name, member := range all {
		if o, ok := member.(map[string]any); ok {
			found[name] = o
		}
	}
	return found
}

// template resolves the intrinsic functions whose values are in the template: the defaults of parameters, and the names that
// resources are given.
type template struct {
	resources, parameters map[string]map[string]any
	depth, resolved       int
	assumed               map[string]any // defaults of parameters, of which the deployed stack may have others
}

// named says in which property a resource has the name that Ref returns ("Return values" of the resource types).
var named = map[string][]string{
	"AWS::S3::Bucket":      {"BucketName"},
	"AWS::Kinesis::Stream": {"Name"},
	"AWS::Glue::Database":  {"DatabaseInput", "Name"},
	"AWS::Glue::Table":     {"TableInput", "Name"},
}

// arns are the ARNs of resources by their names, as far as this package reads them.
var arns = map[string]string{"AWS::S3::Bucket": "arn:aws:s3:::", "AWS::Kinesis::Stream": "arn:aws:kinesis:::stream/"}

// A template whose names refer to one another without end, or to very many others, is refused.
const maxDepth, maxResolved = 100, 100_000

// resolve returns a value with its intrinsic functions resolved, or an unresolved. Within an ARN, the region and the account of the
// stack are empty.
func (t *template) resolve(v any, inARN bool) (any, error) {
	t.depth++
	defer func() { t.depth-- }()
	if t.resolved++; t.depth > maxDepth || t.resolved > maxResolved {
		return nil, fmt.Errorf("want at most %d values within one another and %d in all", maxDepth, maxResolved)
	}
	switch v := v.(type) {
	case map[string]any:
		if function, argument, ok := intrinsic(v); ok {
			return t.call(function, argument, inARN)
		}
		resolved := make(map[string]any, len(v))
		for name, member := range v {
			r, err := t.resolve(member, false)
			if err != nil {
				return nil, err
			}
			resolved[name] = r
		}
		return resolved, nil
	case []any:
		resolved := make([]any, len(v))
		for i, element := range v {
			r, err := t.resolve(element, false)
			if err != nil {
				return nil, err
			}
			resolved[i] = r
		}
		return resolved, nil
	}
	return v, nil
}

// intrinsic returns the function that an object calls.
func intrinsic(object map[string]any) (function string, argument any, ok bool) {
	if len(object) != 1 {
		return "", nil, false
	}
	for name, argument := range object {
		if name == "Ref" || strings.HasPrefix(name, "Fn::") {
			return strings.TrimPrefix(name, "Fn::"), argument, true
		}
	}
	return "", nil, false
}

func (t *template) call(function string, argument any, inARN bool) (any, error) {
	otherwise := unresolved("!" + function)
	if text, ok := argument.(string); ok {
		otherwise = unresolved("!" + function + " " + text)
	}
	switch function {
	case "Ref":
		id, _ := argument.(string)
		if v, ok, err := t.ref(id, inARN); ok || err != nil {
			return v, err
		}
	case "GetAtt":
		if list, ok := argument.([]any); ok && len(list) == 2 {
			argument = fmt.Sprint(list[0], ".", list[1])
			otherwise = unresolved(fmt.Sprint("!GetAtt ", argument))
		}
		id, attribute, _ := strings.Cut(fmt.Sprint(argument), ".")
		begin, known := arns[fmt.Sprint(t.resources[id]["Type"])]
		if name, ok, err := t.ref(id, inARN); err != nil {
			return nil, err
		} else if text, is := name.(string); ok && is && known && attribute == "Arn" {
			return begin + text, nil
		}
	case "Sub":
		return t.sub(argument, otherwise)
	case "Join":
		return t.join(argument, otherwise)
	}
	return otherwise, nil
}

// ref returns what a logical ID refers to; false if the template does not say.
func (t *template) ref(id string, inARN bool) (v any, ok bool, err error) {
	switch {
	case id == "AWS::NoValue":
		return nil, true, nil
	case inARN && id == "AWS::Partition":
		return "aws", true, nil
	case inARN && (id == "AWS::Region" || id == "AWS::AccountId"):
		return "", true, nil
	}
	if p, is := t.parameters[id]; is {
		if v, ok = p["Default"]; ok {
			t.assumed[id] = v
		}
		return v, ok, nil
	}
	r := t.resources[id]
	path := named[fmt.Sprint(r["Type"])]
	if path == nil {
		return nil, false, nil
	}
	v = r["Properties"]
	for _, name := range path {
		o, _ := v.(map[string]any)
		v = o[name]
	}
	v, err = t.resolve(v, false)
	_, text := v.(string)
	return v, text, err
}

var variable = regexp.MustCompile(`\$\{[^}]*\}`)

// sub replaces the variables of a text.
func (t *template) sub(argument any, otherwise unresolved) (any, error) {
	text, own := argument, map[string]any(nil)
	if list, ok := argument.([]any); ok && len(list) == 2 {
		text = list[0]
		own, _ = list[1].(map[string]any)
	}
	source, ok := text.(string)
	if !ok {
		return nil, errors.New("Fn::Sub: want a text, or a text and its variables")
	}
	if otherwise == "!Sub" {
		otherwise = unresolved("!Sub " + source)
	}
	inARN, failed := strings.HasPrefix(source, "arn:"), false
	var err error
	out := variable.ReplaceAllStringFunc(source, func(match string) string {
		name := match[2 : len(match)-1]
		if literal, is := strings.CutPrefix(name, "!"); is {
			return "${" + literal + "}"
		}
		v, is := own[name]
		switch {
		case is:
		case strings.Contains(name, "."):
			v = map[string]any{"Fn::GetAtt": name}
		default:
			v = map[string]any{"Ref": name}
		}
		v, e := t.resolve(v, inARN)
		if e != nil {
			err = e
		}
		return part(v, &failed)
	})
	if failed || err != nil {
		return otherwise, err
	}
	return out, nil
}

// join joins a list of texts.
func (t *template) join(argument any, otherwise unresolved) (any, error) {
	list, _ := argument.([]any)
	if len(list) != 2 {
		return nil, errors.New("Fn::Join: want a separator and a list")
	}
	parts, ok := list[1].([]any)
	if !ok {
		return otherwise, nil
	}
	var texts []string
	failed, inARN := false, false
	for i, p := range parts {
		if text, is := p.(string); i == 0 && is {
			inARN = text == "arn" || strings.HasPrefix(text, "arn:")
		}
		v, err := t.resolve(p, inARN)
		if err != nil {
			return nil, err
		}
		texts = append(texts, part(v, &failed))
	}
	if failed {
		return otherwise, nil
	}
	return strings.Join(texts, fmt.Sprint(list[0])), nil
}

// part returns a resolved value as part of a text.
func part(v any, failed *bool) string {
	switch v := v.(type) {
	case nil, unresolved, map[string]any, []any:
		*failed = true
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// decodeYAML reads YAML as JSON would be decoded, with a function's short form as its long form. CloudFormation supports no
// aliases (AWS CloudFormation User Guide, "CloudFormation template formats").
func decodeYAML(text []byte) (any, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("want JSON or YAML: %w", err)
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, errors.New("want JSON or YAML, not an empty file")
	}
	return yamlValue(document.Content[0])
}

func yamlValue(n *yaml.Node) (v any, err error) {
	switch n.Kind {
	case yaml.MappingNode:
		object := make(map[string]any)
		for i := 0; i+1 < len(n.Content); i += 2 {
			if object[n.Content[i].Value], err = yamlValue(n.Content[i+1]); err != nil {
				return nil, err
			}
		}
		v = object
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, element := range n.Content {
			if list[i], err = yamlValue(element); err != nil {
				return nil, err
			}
		}
		v = list
	case yaml.ScalarNode:
		v = n.Value
		if n.Tag == "!!null" {
			v = nil
		}
		if n.Tag == "!!bool" {
			v = strings.ToLower(n.Value)
		}
	default:
		return nil, fmt.Errorf("line %d: want no alias", n.Line)
	}
	if name, short := strings.CutPrefix(n.Tag, "!"); short && !strings.HasPrefix(name, "!") {
		if name != "Ref" {
			name = "Fn::" + name
		}
		v = map[string]any{name: v}
	}
	return v, nil
}
