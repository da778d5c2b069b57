package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/internal/test/emulator"
)

const (
	alertsFile    = "../consumer/files/alerts.yaml"
	dashboardFile = "../consumer/files/dashboard.json"
	runbooks      = "../../docs/runbooks"
)

// runbookURL is where GitHub shows a runbook. HEAD is the default branch, whatever its name.
var runbookURL = regexp.MustCompile(`^https://github\.com/[^/]+/[^/]+/blob/HEAD/docs/runbooks/[A-Za-z0-9]+\.md$`)

// rule is an alert as Prometheus reads it.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

func alerts(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file ruleFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("%d alerts found", len(all))
	}
	return all
}

func TestAlerts_HaveASeverityTextsAndARunbook(t *testing.T) {
	pages := make(map[string]bool)
	entries, err := os.ReadDir(runbooks)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pages[e.Name()] = e.Name() != "README.md"
	}
	for _, r := range alerts(t) {
		if s := r.Labels["severity"]; s != "info" && s != "warning" && s != "critical" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s lacks a summary or a description", r.Alert)
		}
		if d := r.Annotations["description"]; !strings.Contains(d, " First look: ") && !strings.Contains(d, " First act: ") {
			t.Errorf("%s: the description does not say what to look at first", r.Alert)
		}
		page := r.Alert + ".md"
		if got := r.Annotations["runbook_url"]; !runbookURL.MatchString(got) || !strings.HasSuffix(got, "/"+page) {
			t.Errorf("%s: runbook_url %q", r.Alert, got)
		}
		if !pages[page] {
			t.Errorf("%s has no page in docs/runbooks", r.Alert)
		}
		delete(pages, page)
	}
	for page, belongs := range pages {
		if !belongs {
			continue // the index
		}
		t.Errorf("docs/runbooks/%s belongs to no alert", page)
	}
}

// promtool runs the unit tests on rules, and returns what it wrote and whether they passed.
func promtool(t *testing.T, rules, tests any) (output string, ok bool) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]any{"alerts.yaml": rules, "alerts_test.yaml": tests} {
		text, err := yaml.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := emulator.Promtool(t, "test", "rules", "alerts_test.yaml")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestAlerts_PassTheirUnitTests(t *testing.T) {
	var rules, tests any
	read(t, alertsFile, &rules)
	read(t, "alerts_test.yaml", &tests)
	if out, ok := promtool(t, rules, tests); !ok {
		t.Error(out)
	}
}

// If an alert is changed to fire never or always, the tests that name it fail.
func TestAlerts_AreAllTested(t *testing.T) {
	type unit struct {
		Name        string `yaml:"name"`
		Interval    string `yaml:"interval"`
		InputSeries any    `yaml:"input_series"`
		Expressions []struct {
			EvalTime   string `yaml:"eval_time"`
			Expr       string `yaml:"expr"`
			ExpSamples any    `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
	}
	type unitFile struct {
		RuleFiles          []string `yaml:"rule_files"`
		EvaluationInterval string   `yaml:"evaluation_interval"`
		Tests              []unit   `yaml:"tests"`
	}
	var all unitFile
	read(t, "alerts_test.yaml", &all)
	for _, r := range alerts(t) {
		var tests []unit
		for _, u := range all.Tests {
			if strings.HasPrefix(u.Name, r.Alert+" ") {
				tests = append(tests, u)
			}
		}
		for name, expr := range map[string]string{"never fires": "vector(0) > 0", "always fires": "group by (namespace, application) ({__name__=~\".+\"})"} {
			faulty := r
			faulty.Expr, faulty.For = expr, ""
			file := map[string]any{"groups": []any{map[string]any{"name": "faulty", "rules": []rule{faulty}}}}
			out, ok := promtool(t, file, unitFile{all.RuleFiles, all.EvaluationInterval, tests})
			if ok || !strings.Contains(out, "exp:") {
				t.Errorf("%s that %s passes its %d tests\n%s", r.Alert, name, len(tests), out)
			}
		}
	}
}
