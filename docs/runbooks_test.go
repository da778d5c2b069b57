package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/internal/test/emulator"
)

// parts are the headings of every runbook, in this order.
var parts = []string{"What it means", "See it", "Do", "Do not", "Wake somebody when"}

// runbooks returns the texts of the runbooks by name, and that of their index under README.
func runbooks(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("runbooks/*.md")
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d pages: %v", len(paths), err)
	}
	all := make(map[string]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".md")] = string(text)
	}
	return all
}

// fault is what is wrong with the form of a page: its parts, or where its first command is.
func fault(name, text string) error {
	var errs []error
	if !strings.HasPrefix(text, "# "+name+"\n") {
		errs = append(errs, errors.New("its title is not its name"))
	}
	var found []string
	for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	if !slices.Equal(found, parts) {
		errs = append(errs, fmt.Errorf("its parts are %q, want %q", found, parts))
	}
	_, see, _ := strings.Cut(text, "## See it\n")
	see, do, _ := strings.Cut(see, "## Do\n")
	do, _, _ = strings.Cut(do, "## Do not\n")
	if !strings.Contains(see, "```sh") || !strings.Contains(see, "```promql") {
		errs = append(errs, errors.New("See it lacks a command or a query"))
	}
	if !strings.Contains(do, "```") && !strings.Contains(do, ".md)") {
		errs = append(errs, errors.New("Do lacks a command"))
	}
	if before, _, _ := strings.Cut(text, "```"); strings.Count(before, "\n") > 12 {
		errs = append(errs, errors.New("the first command is not on the first screen"))
	}
	return errors.Join(errs...)
}

func TestRunbooks_HaveTheirParts(t *testing.T) {
	all := runbooks(t)
	for name, text := range all {
		if name != "README" {
			if err := fault(name, text); err != nil {
				t.Errorf("%s.md: %v", name, err)
			}
		}
	}
	sound := all["ConsumerAbsent"]
	for _, broken := range []string{
		strings.Replace(sound, "## Do not\n", "## Never\n", 1), strings.Replace(sound, "## Wake somebody when", "", 1),
		strings.ReplaceAll(sound, "```promql", "```sh"), strings.Replace(sound, "## See it", "\n\n\n\n\n\n\n\n\n## See it", 1),
	} {
		if fault("ConsumerAbsent", broken) == nil {
			t.Errorf("no fault is found in\n%s", broken[:200])
		}
	}
}

// code returns the content of the blocks of a language, which may be indented.
func code(text, language string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?ms)^ *```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// commands returns the simple commands of all runbooks: words without quotes, with variables as they are written. Code within a line counts
// if it begins with a program and a command of it, unless an ellipsis cuts it short.
func commands(text string) (all [][]string, err error) {
	for _, block := range code(text, "sh") {
		simple, err := parse(block)
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, block)
		}
		all = append(all, simple...)
	}
	plain := regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(text, "")
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(plain, -1) {
		line := strings.ReplaceAll(m[1], `\|`, "|")
		first, rest, _ := strings.Cut(line, " ")
		if slices.Contains([]string{"consumer", "loader", "aws", "kubectl", "helm"}, first) && regexp.MustCompile(`^[a-z0-9-]+( |$)`).MatchString(rest) && !strings.Contains(line, "...") {
			simple, err := parse(line)
			if err != nil {
				return nil, fmt.Errorf("%w in %s", err, line)
			}
			all = append(all, simple...)
		}
	}
	return all, nil
}

// parse splits a shell script into simple commands, without redirections.
func parse(script string) (all [][]string, err error) {
	var command []string
	var word strings.Builder
	inWord := false
	endWord := func() {
		if inWord {
			command = append(command, word.String())
		}
		word.Reset()
		inWord = false
	}
	endCommand := func() {
		endWord()
		if len(command) > 0 {
			all = append(all, command)
		}
		command = nil
	}
	runes := []rune(script)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\'' || r == '"':
			end := slices.Index(runes[i+1:], r)
			if end < 0 {
				return nil, errors.New("a quote is not closed")
			}
			word.WriteString(string(runes[i+1 : i+1+end]))
			inWord = true
			i += end + 1
		case r == '#' && !inWord:
			for i+1 < len(runes) && runes[i+1] != '\n' {
				i++
			}
		case r == '\n' || r == '|' || r == ';' || r == '&':
			endCommand()
		case r == '>':
			endWord()
			for i+1 < len(runes) && (runes[i+1] == ' ' || !strings.ContainsRune(" \n;|&", runes[i+1])) {
				i++
			}
		case r == ' ' || r == '\t':
			endWord()
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	endCommand()
	return all, nil
}

// verbs are the options of kubectl's commands in the runbooks (kubectl reference documentation).
var verbs = map[string]string{
	"get": "--selector --output --all-namespaces --field-selector", "describe": "--selector", "top": "--selector --containers",
	"logs":  "--selector --container --since --tail --previous --prefix",
	"scale": "--replicas", "rollout": "", "delete": "", "exec": "--stdin --container", "port-forward": "", "config": "--current --namespace",
}

// objects are what kubectl's commands may be about.
var objects = regexp.MustCompile(`^(pods?|events|deployments|podmonitors,servicemonitors|deployment/\$NAME|POD|restart|set-context|8080|8081|'?.*jsonpath.*)$`)

// checker says what is wrong with a command of kubectl or Helm. Those of our own programs are checked in every text, by the tests of
// the programs.
type checker struct{ values map[string]any }

func newChecker(t *testing.T) *checker {
	t.Helper()
	c := new(checker)
	text, err := os.ReadFile("../helm/consumer/values.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &c.values)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *checker) check(words []string) error {
	switch words[0] {
	case "kubectl":
		return c.kubectl(words[1:])
	case "helm":
		return c.helm(words[1:])
	}
	return nil
}

func (c *checker) kubectl(words []string) error {
	flags, ok := verbs[words[0]]
	if !ok {
		return fmt.Errorf("kubectl has no command %s here", words[0])
	}
	for i := 1; i < len(words); i++ {
		name, _, has := strings.Cut(words[i], "=")
		switch {
		case words[i] == "--":
			return nil
		case strings.HasPrefix(words[i], "-"):
			if !slices.Contains(strings.Fields(flags), name) {
				return fmt.Errorf("kubectl %s has no option %s here", words[0], name)
			}
			if !has && !slices.Contains([]string{"--containers", "--previous", "--prefix", "--stdin", "--all-namespaces", "--current"}, name) {
				i++ // its value
			}
		case !objects.MatchString(words[i]):
			return fmt.Errorf("kubectl %s: what is %s?", words[0], words[i])
		}
	}
	return nil
}

func (c *checker) helm(words []string) error {
	switch words[0] {
	case "get", "history", "list", "rollback":
		return nil
	case "upgrade":
	default:
		return fmt.Errorf("helm has no command %s here", words[0])
	}
	versioned := false
	for i := 1; i < len(words); i++ {
		switch w := words[i]; {
		case w == "--reset-then-reuse-values" || w == "$RELEASE" || w == "$CHART":
		case w == "--version" && i+1 < len(words):
			versioned = true
			i++
		case (w == "--set" || w == "--set-string") && i+1 < len(words):
			i++
			path, _, _ := strings.Cut(words[i], "=")
			if !has(c.values, strings.Split(path, ".")) {
				return fmt.Errorf("the chart has no value %s", path)
			}
		default:
			return fmt.Errorf("helm upgrade: what is %s?", w)
		}
	}
	if !versioned {
		return errors.New("helm upgrade without --version also changes to the newest chart and image")
	}
	return nil
}

// has reports whether values have a path. What an empty map of the chart may hold is Kubernetes's.
func has(values any, path []string) bool {
	if len(path) == 0 {
		return true
	}
	m, ok := values.(map[string]any)
	if !ok {
		return false
	}
	inner, ok := m[path[0]]
	if empty, isMap := inner.(map[string]any); ok && isMap && len(empty) == 0 {
		return true
	}
	return ok && has(inner, path[1:])
}

// Every command of kubectl, Helm and the AWS CLI in a runbook exists, with these options.
func TestRunbooks_ShowCommandsThatExist(t *testing.T) {
	c := newChecker(t)
	var aws [][]string
	var from []string
	seen := make(map[string]int)
	for name, text := range runbooks(t) {
		all, err := commands(text)
		if err != nil {
			t.Errorf("%s.md: %v", name, err)
		}
		for _, words := range all {
			seen[words[0]]++
			if words[0] == "aws" {
				aws, from = append(aws, words[1:]), append(from, name)
			} else if err := c.check(words); err != nil {
				t.Errorf("%s.md: %v", name, err)
			}
		}
	}
	for program, least := range map[string]int{"consumer": 40, "loader": 8, "kubectl": 40, "helm": 20, "aws": 40} {
		if seen[program] < least {
			t.Errorf("%d commands of %s were found", seen[program], program)
		}
	}
	for i, wrong := range awsFaults(t, aws) {
		if wrong != "" {
			t.Errorf("%s.md: aws %s: %s", from[i], strings.Join(aws[i], " "), wrong)
		}
	}

	for _, wrong := range []string{
		"kubectl log deployment/$NAME", `kubectl logs "deployment/$NAME" --contaner loader`, `helm upgrade "$RELEASE" "$CHART" --version "$VERSION" --reset-then-reuse-values --set settings.maxLease=0`,
		`helm upgrade "$RELEASE" "$CHART" --reset-then-reuse-values --set settings.maxLeases=0`,
	} {
		words, err := parse(wrong)
		if err != nil || c.check(words[0]) == nil {
			t.Errorf("no fault is found in %s (%v)", wrong, err)
		}
	}
	wrong := [][]string{{"kinesis", "increase-stream-retention-period", "--stream-nam", "x", "--retention-period-hours", "1"}, {"kinesis", "increase-retention"},
		{"s3api", "head-object", "--bucket", "x"}, {"s3", "ls", "--recusive"}}
	for i, fault := range awsFaults(t, wrong) {
		if fault == "" {
			t.Errorf("no fault is found in aws %v", wrong[i])
		}
	}
}

// awsFaults returns what is wrong with each command of the AWS CLI.
func awsFaults(t *testing.T, all [][]string) []string {
	t.Helper()
	var in bytes.Buffer
	for _, words := range all {
		if err := json.NewEncoder(&in).Encode(words); err != nil {
			t.Fatal(err)
		}
	}
	cmd := emulator.Tables(t, "testdata/aws_commands.py")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	faults := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(faults) != len(all) {
		t.Fatalf("%d answers for %d commands:\n%s", len(faults), len(all), out)
	}
	return faults
}

// Prometheus parses every query, and the programs export its metrics.
func TestRunbooks_ShowQueriesThatWork(t *testing.T) {
	var queries, from []string
	for name, text := range runbooks(t) {
		for _, query := range code(text, "promql") {
			queries, from = append(queries, strings.TrimSpace(query)), append(from, name)
		}
	}
	if len(queries) < 40 {
		t.Errorf("%d queries were found", len(queries))
	}
	if err := parsed(t, queries); err != nil {
		t.Error(err)
	}
	if parsed(t, []string{"sum by (application (consumer_workers)"}) == nil {
		t.Error("a query without a parenthesis is parsed")
	}
	exported := metricNames(t)
	for i, query := range queries {
		for _, metric := range regexp.MustCompile(`\b(consumer_[a-z0-9_]+)`).FindAllString(query, -1) {
			if !exported[metric] {
				t.Errorf("%s.md asks for %s, which nothing exports", from[i], metric)
			}
		}
	}
	if exported["consumer_worker"] || !exported["consumer_workers"] {
		t.Error("metrics are not told apart")
	}
}

// parsed has promtool read queries, as rules.
func parsed(t *testing.T, queries []string) error {
	t.Helper()
	var rules []map[string]string
	for i, query := range queries {
		rules = append(rules, map[string]string{"record": fmt.Sprintf("query:%d", i), "expr": query})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "queries", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := emulator.Promtool(t, "check", "rules", path).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// metricNames are the names of the metrics in the code of the programs.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, pattern := range []string{"../internal/metrics/*.go", "../loader/*.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`"(consumer_[a-z0-9_]+)"`).FindAllStringSubmatch(string(text), -1) {
				names[m[1]] = true
			}
		}
	}
	return names
}
