package firehose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Description is the description of a Firehose stream.
type Description struct {
	// Name is the name of the Firehose stream.
	Name string
	root *node // with the names of DeliveryStreamDescription (API reference)
	// assumed are values that are not those of the stream itself.
	assumed []Remark
}

// Parse reads the output of "aws firehose describe-delivery-stream", a CloudFormation template in JSON or YAML, or the output of
// "terraform show -json". The resource selects one of several streams in a template, state or plan: a logical ID or an address.
//
// An error says what is wrong with the text.
func Parse(text []byte, resource string) (*Description, error) {
	document, err := decode(text)
	if err != nil {
		return nil, err
	}
	root, ok := document.(map[string]any)
	if !ok {
		return nil, errors.New("want a JSON or YAML object")
	}
	_, described := root["DeliveryStreamDescription"]
	switch {
	case described:
		return describe(root["DeliveryStreamDescription"], resource)
	case root["Destinations"] != nil:
		return describe(document, resource)
	case root["Resources"] != nil:
		return fromTemplate(root, resource)
	case root["values"] != nil || root["planned_values"] != nil:
		return fromTerraform(root, resource)
	}
	return nil, fmt.Errorf("want DeliveryStreamDescription (aws firehose describe-delivery-stream), Resources (a CloudFormation template), or values or planned_values (terraform show -json), not %s", names(root))
}

// names lists the members of an object for an error.
func names(object map[string]any) string {
	if len(object) == 0 {
		return "an empty object"
	}
	return strings.Join(slices.Sorted(maps.Keys(object)), ", ")
}

// decode reads JSON, with its numbers as they are written, or YAML.
func decode(text []byte) (document any, err error) {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return decodeYAML(text)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		return nil, fmt.Errorf("want JSON: %w at byte %d", err, d.InputOffset())
	}
	return document, nil
}

// describe reads a DeliveryStreamDescription.
func describe(document any, resource string) (*Description, error) {
	if resource != "" {
		return nil, fmt.Errorf("resource %q: want none, because the file describes a single stream", resource)
	}
	root := newNode(document, "")
	name := root.get("DeliveryStreamName").text()
	if name == "" {
		return nil, errors.New("DeliveryStreamDescription: want DeliveryStreamName")
	}
	return &Description{Name: name, root: root}, nil
}

// choose returns the key of the resource that is selected: by name, or the only one. The kind names what is looked for.
func choose(keys []string, resource, kind string, matches func(key string) bool) (string, error) {
	slices.Sort(keys)
	switch i := slices.IndexFunc(keys, matches); {
	case len(keys) == 0:
		return "", fmt.Errorf("want a resource of the type %s", kind)
	case resource != "" && i < 0:
		return "", fmt.Errorf("resource %q: want one of %s", resource, strings.Join(keys, ", "))
	case resource != "":
		return keys[i], nil
	case len(keys) > 1:
		return "", fmt.Errorf("there are several Firehose streams: want one of %s to be named with --resource", strings.Join(keys, ", "))
	}
	return keys[0], nil
}
