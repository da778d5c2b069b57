package helm_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/settings"
)

// Every setting of the program is a value with its name, and there are no others: make generate writes them, and nobody
// may add others by hand.
func TestValues_HaveTheSettingsOfTheProgram(t *testing.T) {
	var values struct {
		Settings map[string]any `yaml:"settings"`
		Table    map[string]any `yaml:"table"`
	}
	if err := yaml.Unmarshal(read(t, "consumer/values.yaml"), &values); err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, s := range consumer.Settings() {
		key := settings.Camel(s.Name)
		switch s.Name { // those that have values of their own
		case "TABLE":
			if values.Table["uri"] != s.Default {
				t.Errorf("table.uri is %v unless set, the program's %s is %q", values.Table["uri"], s.Name, s.Default)
			}
			continue
		case "TABLE_TOKEN", "POSTGRES_DSN", "POSTGRES_DSN_FILE", "POSTGRES_SECRET", "POSTGRES_CA_FILE": // are secrets, or files that are mounted
			continue
		}
		known[key] = true
		got, there := values.Settings[key]
		if !there {
			t.Errorf("%s is a setting of the program and not a value settings.%s: run make generate", s.Name, key)
		} else if fmt.Sprint(got) != s.Default && s.Name != "SPOOL_DIR" { // pods have a volume for it
			t.Errorf("settings.%s is %v unless set, the program's %s is %q", key, got, s.Name, s.Default)
		}
	}
	for key := range values.Settings {
		if !known[key] {
			t.Errorf("settings.%s is not a setting of the program", key)
		}
	}
	if len(known) < 40 {
		t.Errorf("looked at %d settings", len(known))
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What is refused is refused by the file that checks values, before another one fails for the same reason.
func TestChart_RefusesValuesBeforeItRendersAnything(t *testing.T) {
	for set, want := range map[string]string{
		"settings.streamName=":  "streamName",
		"settings=null":         "settings is null, which removes its defaults: leave it out to keep them, or give it a mapping of values",
		"resources=null":        "resources is null",
		"table=null":            "table is null",
		"serviceAccount=null":   "serviceAccount is null",
		"image=null":            "image is null",
		"postgres=null":         "postgres is null",
		"settings.fileSize=abc": "settings.fileSize",
	} {
		_, err := helm(t, "template", "trips", "consumer", "--values", "consumer/ci/required.yaml", "--kube-version", "1.37.0", "--set", set)
		if err == nil || !strings.Contains(err.Error(), "consumer/templates/values/check.yaml") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "nil pointer") {
			t.Errorf("%s: want a refusal of values/check.yaml with %q, got: %v", set, want, err)
		}
	}
}
