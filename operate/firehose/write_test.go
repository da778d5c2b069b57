package firehose_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/operate/firehose"
)

// readYAML reads a file of the repository, whose tags are not values here.
func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// A value goes under the chart's own name, with the type of the default there.
func TestWrite_HelmValuesAreThoseOfTheChart(t *testing.T) {
	var chart struct {
		Settings map[string]any
		AWS      map[string]any
	}
	readYAML(t, "../../helm/consumer/values.yaml", &chart)
	for _, path := range descriptions(t) {
		s := settings(t, path, "trips.schema.json")
		text, _ := write(t, s, firehose.Helm)
		var values struct {
			Settings map[string]any
			AWS      map[string]any
		}
		if err := yaml.Unmarshal([]byte(text), &values); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, text)
		}
		if len(values.Settings) != len(s.Lines) {
			t.Errorf("%s: %d values for %d settings", path, len(values.Settings), len(s.Lines))
		}
		for name, value := range values.Settings {
			otherwise, known := chart.Settings[name]
			_, isText := value.(string)
			_, wantText := otherwise.(string)
			if !known || isText != wantText {
				t.Errorf("%s: %s is %v, and %v in the chart", path, name, value, otherwise)
			}
		}
		if _, known := chart.AWS["region"]; !known || s.Region != "" && values.AWS["region"] != s.Region {
			t.Errorf("%s: the region is %v, want %s", path, values.AWS["region"], s.Region)
		}
		for _, l := range s.Lines { // the texts survive the quotes
			if !strings.Contains(text, l.From) || l.Value != "true" && !slices.Contains(texts(values.Settings), l.Value) {
				t.Errorf("%s: %s=%s is not in\n%s", path, l.Name, l.Value, text)
			}
		}
	}
}

func texts(values map[string]any) (list []string) {
	for _, v := range values {
		switch v := v.(type) {
		case string:
			list = append(list, v)
		case int:
			list = append(list, strconv.Itoa(v))
		}
	}
	return list
}

// A parameter is one of the consumer stack, which accepts the value. What has no parameter is named.
func TestWrite_ECSParametersAreThoseOfTheStack(t *testing.T) {
	var stack struct {
		Parameters map[string]struct {
			AllowedPattern string
			AllowedValues  []string
		} `yaml:"Parameters"`
	}
	readYAML(t, "../../infra/consumer-ecs.yml", &stack)
	for _, path := range descriptions(t) {
		s := settings(t, path, "/schema/trips.json")
		text, left := write(t, s, firehose.ECS)
		file := filepath.Join(t.TempDir(), "parameters.sh")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "bash", "-c", `. "$0"; printf '%s\0' "${parameters[@]}"`, file).Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", path, err, text)
		}
		words := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		unnamed := 0
		for _, l := range s.Lines {
			name := regexp.MustCompile(`(^|_)([A-Z])([A-Z]*)`).ReplaceAllStringFunc(l.Name, func(word string) string {
				word = strings.TrimPrefix(word, "_")
				return word[:1] + strings.ToLower(word[1:])
			})
			p, known := stack.Parameters[name]
			i := slices.Index(words, name+"="+l.Value)
			switch {
			case !known && i >= 0:
				t.Errorf("%s: %s is set, and the stack has no such parameter", path, name)
			case !known && l.Name == "APPLICATION_NAME":
			case !known:
				unnamed++
				if !strings.Contains(text, l.Name+"="+l.Value+" has no parameter: ") {
					t.Errorf("%s: %s has no parameter, and the output does not say so:\n%s", path, l.Name, text)
				}
			case i < 1 || words[i-1] != "--set":
				t.Errorf("%s: %s=%s is not in %q", path, name, l.Value, words)
			case p.AllowedPattern != "" && !regexp.MustCompile(p.AllowedPattern).MatchString(l.Value), p.AllowedValues != nil && !slices.Contains(p.AllowedValues, l.Value):
				t.Errorf("%s: the stack does not accept %s=%s", path, name, l.Value)
			}
		}
		if left != len(s.Left)+unnamed {
			t.Errorf("%s: %d parts are left, want %d", path, left, len(s.Left)+unnamed)
		}
	}
}

// Text of a description cannot leave its comment or its quotes.
func TestWrite_KeepsTextsInTheirPlaces(t *testing.T) {
	const description = `{"DeliveryStreamName": "trips\nBUCKET=other", "Destinations": [{"ExtendedS3DestinationDescription": {
		"BucketARN": "arn:aws:s3:::out", "Prefix": "it's\n$(touch x)` + "`touch y`" + `/\"",
		"What\n\u2028is this": "\u001b[31mred\nBUCKET=third", "FileExtension": ".x"}}]}`
	d, err := firehose.Parse([]byte(description), "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Settings("")
	if err != nil {
		t.Fatal(err)
	}
	s.Lines = append(s.Lines, firehose.Line{Name: "PARTITION_QUERY", Value: "{a:\n'b'}", From: "one\ntwo", Note: "three\rfour"})
	for _, form := range firehose.Forms {
		text, _ := write(t, s, form)
		for _, never := range []string{"\nBUCKET=other", "\nBUCKET=third", "\x1b", "\u2028", "\ntwo", "\r"} {
			if strings.Contains(text, never) {
				t.Errorf("%s has %q:\n%s", form, never, text)
			}
		}
	}
	text, _ := write(t, s, firehose.Env)
	file := filepath.Join(t.TempDir(), "x.env")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", `. "$0"; printf '%s|%s' "$BUCKET" "$PARTITION_QUERY"; ls`, file)
	shell.Dir = t.TempDir()
	if out, err := shell.Output(); err != nil || string(out) != "out|{a:\n'b'}" {
		t.Errorf("the shell has %q, %v", out, err)
	}
}
