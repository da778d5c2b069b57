package infra_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
)

// finding is a linter's finding about a template.
type finding struct {
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	Resource string `json:"resource"`
	Path     string `json:"path"`
	Line     int    `json:"line"`
	Message  string `json:"message"`
}

// explained lists findings that are not faults, each with its reason. An entry without a finding is a fault.
var explained = []struct{ template, rule, resource, reason string }{
	{"consumer-ecs", "E3047", "ConsumerTask", "it pairs each CPU with each memory of a mapping, and both are taken from one row: TestTaskSizes_AreThoseOfFargate"},
	{"consumer-ecs", "E1150", "SecurityGroup", "the rule that names the database's group is there only if the parameter is not empty"},
	{"consumer-ecs", "W2509", "PostgresSecret", "it is the ARN of a secret, and no secret itself"},
	{"", "I9001", "", "it reports properties whose change replaces the resource; names are never changed"},
}

func TestTemplates_PassTheValidatorOfAWS(t *testing.T) {
	t.Parallel()
	used := make(map[int]bool)
	for name, findings := range validate(t, append(plainSettings(t), importTemplates(t)...)...) {
		for _, f := range findings {
			if !isExplained(name, f, used) {
				t.Errorf("%s.yml:%d: %s %s: %s %s: %s", name, f.Line, f.Severity, f.Rule, f.Resource, f.Path, f.Message)
			}
		}
	}
	for i, e := range explained {
		if !used[i] {
			t.Errorf("%s of %s %s is explained and does not come up", e.rule, e.template, e.resource)
		}
	}
}

func TestTemplates_PassCfnLint(t *testing.T) {
	t.Parallel()
	if findings := cfnLint(t, append(append(paths(), samExample), importTemplates(t)...)...); findings != "" {
		t.Errorf("cfn-lint:\n%s", findings)
	}
}

func TestScripts_PassShellCheck(t *testing.T) {
	t.Parallel()
	scripts := emulator.ShellCheck(t, "-x", "-a", "infra/deploy", "infra/import.sh", "infra/destroy", "athena/compact-days", ".ci/run", ".github/release", ".github/make-it-yours")
	scripts.Dir = ".." // from where they name what they source
	if out, err := scripts.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	planted := filepath.Join(t.TempDir(), "planted")
	if err := os.WriteFile(planted, []byte("#!/bin/bash\nrm -rf $1/*\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := emulator.ShellCheck(t, planted).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("SC2086")) {
		t.Errorf("a variable without quotes is not found: %v\n%s", err, out)
	}
}

// Both linters find typical mistakes.
func TestLinters_FindPlantedFaults(t *testing.T) {
	t.Parallel()
	planted := []struct{ old, new, says string }{
		{"RetentionPeriodHours:", "RetentionHours:", "RetentionHours"},
		{"!GetAtt Stream.Arn", "!GetAtt Strem.Arn", "Strem"},
		{"!GetAtt DeliveryStream.Arn", "!GetAtt DeliveryStream.ARN", "'ARN' is not one of"},
		{"CompressionFormat: !Ref FirehoseCompression", "CompressionFormat: LZ4", "LZ4"},
		{"[ReportBatchItemFailures]", "[ReportFailures]", "ReportFailures"},
	}
	source, err := os.ReadFile("stream.yml")
	if err != nil {
		t.Fatal(err)
	}
	broken := string(source)
	for _, p := range planted {
		if !strings.Contains(broken, p.old) {
			t.Fatalf("stream.yml has no %q", p.old)
		}
		broken = strings.Replace(broken, p.old, p.new, 1)
	}
	file := filepath.Join(t.TempDir(), "planted.yml")
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	byValidator, byCfnLint := validate(t, file)["planted"], cfnLint(t, file)
	for _, p := range planted {
		found := slices.ContainsFunc(byValidator, func(f finding) bool {
			return f.Severity != "INFO" && strings.Contains(f.Message+f.Path, p.says)
		})
		if !found {
			t.Errorf("the validator does not see %s", p.new)
		}
		if !strings.Contains(byCfnLint, p.says) {
			t.Errorf("cfn-lint does not see %s:\n%s", p.new, byCfnLint)
		}
	}
}

func paths() []string {
	var files []string
	for _, name := range stacks {
		files = append(files, name+".yml")
	}
	return files
}

// plainSettings returns copies of the templates in which the settings of a container are literals instead of parameters.
// The validator tries each combination of their values, for half a minute, although all are just strings to it; cfn-lint
// checks the references.
func plainSettings(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	replaced := 0
	var files []string
	for _, path := range paths() {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		setting := regexp.MustCompile(`(?m)^( *- \{Name: [A-Z_]+, Value: )!Ref \w+\}$`)
		replaced += len(setting.FindAll(source, -1))
		file := filepath.Join(folder, path)
		if err := os.WriteFile(file, setting.ReplaceAll(source, []byte("${1}text}")), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if replaced < 20 {
		t.Errorf("only %d settings were replaced", replaced)
	}
	return files
}

// importTemplates writes the templates with which infra/deploy imports everything that outlives a stack.
func importTemplates(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	script := `source ./lib.sh; source ./import.sh; import_template "$1" " $(kept_resources "$1" | cut -d " " -f 1 | tr "\n" " ") "`
	var files []string
	for _, path := range paths() {
		out, err := exec.CommandContext(t.Context(), "bash", "-euc", script, "bash", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		tpl := parse(t, path, out)
		if full := load(t, strings.TrimSuffix(path, ".yml")); !reflect.DeepEqual(kept(tpl), kept(full)) || len(tpl.resources) != len(kept(full)) || len(tpl.outputs) != 0 {
			t.Errorf("%s: an import has\n%s", path, out)
		}
		file := filepath.Join(folder, "import-"+path)
		if err := os.WriteFile(file, out, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// kept returns the properties of the resources that outlive their stack.
func kept(tpl template) map[string]node {
	found := make(map[string]node)
	for id, r := range tpl.resources {
		if strings.Contains(fmt.Sprint(r.attributes["DeletionPolicy"]), "RetainExceptOnCreate") {
			found[id] = r.properties
		}
	}
	return found
}

func isExplained(name string, f finding, used map[int]bool) bool {
	for i, e := range explained {
		if e.rule == f.Rule && (e.template == "" || e.template == name) && (e.resource == "" || e.resource == f.Resource) {
			used[i] = true
			return true
		}
	}
	return false
}

// validate runs @aws/cloudformation-validate over templates, and returns its findings by their names.
func validate(t *testing.T, files ...string) map[string][]finding {
	t.Helper()
	cmd := emulator.Validator(t, "testdata/validate.cjs", files...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the validator: %v\n%s", err, stderr.String())
	}
	var found map[string][]finding
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("read the validator's findings: %v\n%s", err, out)
	}
	if len(found) != len(files) {
		t.Fatalf("the validator looked at %d of %d templates", len(found), len(files))
	}
	named := make(map[string][]finding)
	for file, findings := range found {
		named[strings.TrimSuffix(filepath.Base(file), ".yml")] = findings
	}
	return named
}

// cfnLint runs cfn-lint with all its rules over templates, and returns its findings, one per line.
func cfnLint(t *testing.T, files ...string) string {
	t.Helper()
	env, bin := emulator.Tools(t)
	args := append([]string{"--include-checks", "I", "--format", "parseable", "--regions", "eu-west-1,us-east-1", "--"}, files...)
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "cfn-lint"), args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	// 2 errors, 4 warnings, 8 informational, or a combination; any other code means that it did not run.
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode()&^14 != 0) {
		t.Fatalf("run cfn-lint: %v\n%s", err, out)
	}
	return string(out)
}
