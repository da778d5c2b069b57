package infra_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/consumer"
)

// containers returns the containers of a task, including those under a condition of the template.
func containers(tpl template, task string) []node {
	var all []node
	for _, c := range list(tpl.resources[task].properties["ContainerDefinitions"]) {
		if choice, ok := c.(node)["Fn::If"]; ok {
			c = choice.([]any)[1]
		}
		all = append(all, c.(node))
	}
	return all
}

// container returns a container of the consumer stack.
func container(t *testing.T, tpl template, task, name string) node {
	t.Helper()
	for _, c := range containers(tpl, task) {
		if c["Name"] == name {
			return c
		}
	}
	t.Fatalf("task %s has no container %s", task, name)
	return nil
}

func environment(c node) map[string]any {
	variables := make(map[string]any)
	for _, v := range list(c["Environment"]) {
		variables[v.(node)["Name"].(string)] = v.(node)["Value"]
	}
	return variables
}

func TestConsumerTask_HasTheSettingsOfTheProgram(t *testing.T) {
	tpl := load(t, "consumer-ecs")
	variables := environment(container(t, tpl, "ConsumerTask", "consumer"))
	loader := container(t, tpl, "ConsumerTask", "loader")
	for name, value := range environment(loader) {
		if of, both := variables[name]; both && !reflect.DeepEqual(of, value) {
			t.Errorf("%s is %v in the daemon and %v in the loader", name, of, value)
		}
		variables[name] = value
	}
	variables["TABLE_TOKEN"] = "a secret"
	left := asNode(tpl.metadata["SettingsLeftAtDefault"])
	defaults := make(map[string]string)
	for _, s := range consumer.Settings() {
		defaults[s.Name] = s.Default
		_, set := variables[s.Name]
		_, out := left[s.Name]
		switch {
		case set && out:
			t.Errorf("%s is set and said to be left at its default", s.Name)
		case !set && !out:
			t.Errorf("%s is a setting of the program; the template neither sets it nor says in SettingsLeftAtDefault why not: run make generate", s.Name)
		case s.Required && !set:
			t.Errorf("%s is required and not set", s.Name)
		}
	}
	for name := range maps.Keys(left) {
		if _, known := defaults[name]; !known {
			t.Errorf("SettingsLeftAtDefault has %s, which the program does not know", name)
		}
	}
	for name, value := range variables {
		want, known := defaults[name]
		if !known {
			t.Errorf("the task sets %s, which the program does not know", name)
			continue
		}
		parameter, ok := asNode(value)["Ref"].(string)
		if !ok || tpl.parameters[parameter] == nil {
			continue
		}
		if got := tpl.parameters[parameter]["Default"]; got != want {
			t.Errorf("%s is %q unless set, the program's %s is %q", parameter, got, name, want)
		}
		if !strings.HasPrefix(tpl.parameters[parameter]["Description"].(string), name) {
			t.Errorf("the description of %s does not begin with %s", parameter, name)
		}
		if camel(name) != parameter {
			t.Errorf("%s is set by %s, want %s", name, parameter, camel(name))
		}
	}
}

// camel turns COMMIT_INTERVAL into CommitInterval.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(strings.ToLower(name), "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// Values that the template accepts are values that the program accepts.
func TestConsumerTask_TakesNoSettingThatTheProgramRefuses(t *testing.T) {
	tpl := load(t, "consumer-ecs")
	t.Setenv("STREAM_NAME", "trips")
	t.Setenv("BUCKET", "bucket")
	variables := environment(container(t, tpl, "ConsumerTask", "consumer"))
	maps.Copy(variables, environment(container(t, tpl, "ConsumerTask", "loader")))
	for name, value := range variables {
		parameter, ok := asNode(value)["Ref"].(string)
		if !ok || tpl.parameters[parameter]["AllowedValues"] == nil {
			continue
		}
		switch name { // some settings are for one format or kind of table only
		case "POSTGRES_AUTH", "POSTGRES_TLS", "POSTGRES_UNIQUE", "POSTGRES_PARTITION":
			t.Setenv("FORMAT", "jsonl")
			t.Setenv("TABLE", "postgres://db.example.com/lake/trips")
		case "BACKUP_FORMAT":
			t.Setenv("BACKUP_PREFIX", "backup/")
		case "APPEND_DELIMITER":
			t.Setenv("FORMAT", "firehose")
		case "PARQUET_ENCODING":
			t.Setenv("FORMAT", "parquet")
		case "TABLE_SIGNING":
			t.Setenv("FORMAT", "parquet")
			t.Setenv("TABLE", "rest://catalog.example/lake.trips")
		default:
			t.Setenv("FORMAT", "jsonl")
		}
		for _, allowed := range list(tpl.parameters[parameter]["AllowedValues"]) {
			t.Setenv(name, allowed.(string))
			if _, err := consumer.LoadConfig(); err != nil {
				t.Errorf("%s=%s: %v", name, allowed, err)
			}
		}
		t.Setenv(name, tpl.parameters[parameter]["Default"].(string))
		t.Setenv("TABLE", "")
		t.Setenv("BACKUP_PREFIX", "")
	}
}

// The daemon gets SIGTERM and is killed after StopTimeout. It must end by then, whatever ShutdownGrace is.
func TestConsumerTask_IsNotKilledWhileItStops(t *testing.T) {
	tpl := load(t, "consumer-ecs")
	stop := number(t, container(t, tpl, "ConsumerTask", "consumer")["StopTimeout"])
	const fargateLimit = 120 // Amazon ECS Developer Guide, "Container timeouts"
	if stop > fargateLimit {
		t.Errorf("Fargate has no stop timeout of %d s", stop)
	}
	pattern := regexp.MustCompile(tpl.parameters["ShutdownGrace"]["AllowedPattern"].(string))
	cfg := consumer.Defaults()
	for seconds := range 1000 {
		cfg.ShutdownGrace = time.Duration(seconds) * time.Second
		fits := seconds > 0 && cfg.StopsWithin() <= time.Duration(stop)*time.Second
		if takes := pattern.MatchString(strconv.Itoa(seconds) + "s"); takes != fits {
			t.Errorf("ShutdownGrace takes %d s: %v, with which the daemon stops within %v of %d s", seconds, takes, cfg.StopsWithin(), stop)
		}
	}
}

// A task whose daemon hangs is replaced. Its health check is a command of the program.
func TestConsumerTask_IsAskedWhetherItIsAlive(t *testing.T) {
	check := asNode(container(t, load(t, "consumer-ecs"), "ConsumerTask", "consumer")["HealthCheck"])
	if want := []any{"CMD", "/usr/local/bin/consumer", "probe"}; !reflect.DeepEqual(check["Command"], want) {
		t.Errorf("the health check runs %v, want %v", check["Command"], want)
	}
	if !slices.Contains(literals(t, "../cmd/consumer/probe.go"), "probe") {
		t.Error("the program has no command probe")
	}
}

// The producer's flags exist in its program.
func TestProducerTask_HasTheFlagsOfTheProgram(t *testing.T) {
	c := container(t, load(t, "consumer-ecs"), "ProducerTask", "producer")
	flags := literals(t, "../cmd/producer/settings.go")
	seen := 0
	for _, word := range list(c["Command"]) {
		if name, ok := strings.CutPrefix(fmt.Sprint(word), "--"); ok {
			seen++
			if !slices.Contains(flags, name) {
				t.Errorf("the producer has no flag --%s", name)
			}
		}
	}
	if seen != 2 {
		t.Errorf("looked at %d flags", seen)
	}
}

// The functions' variables are settings that their sources read.
func TestFunctions_HaveTheSettingsOfTheirPrograms(t *testing.T) {
	tpl := load(t, "stream")
	shared := variablesOf(t, "../internal/lambdas")
	for id, folder := range map[string]string{"WriteToS3Function": "write-to-s3", "SendToFirehoseFunction": "send-to-firehose", "ScaleStreamFunction": "scale-stream"} {
		own := variablesOf(t, "../cmd/"+folder)
		set := asNode(asNode(tpl.resources[id].properties["Environment"])["Variables"])
		for name := range set {
			if _, known := own[name]; !known && !shared[name].known {
				t.Errorf("%s sets %s, which cmd/%s does not read", id, name, folder)
			}
		}
		for name, v := range own {
			if _, is := set[name]; v.required && !is {
				t.Errorf("%s does not set %s, which cmd/%s requires", id, name, folder)
			}
		}
		if !reflect.DeepEqual(tpl.resources[id].properties["Handler"], "bootstrap") || tpl.resources[id].properties["Runtime"] != "provided.al2023" {
			t.Errorf("%s does not run a bootstrap", id)
		}
	}
	for _, name := range []string{"MinShards", "MaxShards"} {
		if got, want := tpl.parameters[name]["Default"], variablesOf(t, "../cmd/scale-stream")[snake(name)].value; got != want {
			t.Errorf("%s is %v unless set, in scale-stream it is %v", name, got, want)
		}
	}
}

func snake(name string) string {
	return strings.ToUpper(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_$2"))
}

type variable struct {
	known, required bool
	value, meaning  string
}

// Functions and daemon open payloads by the same settings, with the same descriptions.
func TestFunctions_OpenPayloadsByTheDaemonsSettings(t *testing.T) {
	shared := variablesOf(t, "../internal/lambdas")
	for _, s := range consumer.Settings() {
		switch s.Name {
		case "OPEN_GZIP", "SPLIT_RECORDS", "SPLIT_LOG_EVENTS", "LOG_LEVEL":
			if got := shared[s.Name]; got.meaning != s.Meaning || got.value != s.Default {
				t.Errorf("%s of the functions: %q, default %q; of the daemon: %q, default %q", s.Name, got.meaning, got.value, s.Meaning, s.Default)
			}
		}
	}
}

// variablesOf lists the environment variables that the tags of a package's structs name.
func variablesOf(t *testing.T, folder string) map[string]variable {
	t.Helper()
	found := make(map[string]variable)
	for _, file := range sources(t, folder) {
		ast.Inspect(file, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || field.Tag == nil {
				return true
			}
			text, err := strconv.Unquote(field.Tag.Value)
			if err != nil {
				t.Fatal(err)
			}
			tag := reflect.StructTag(text)
			if name := tag.Get("envconfig"); name != "" {
				found[name] = variable{true, tag.Get("required") == "true", tag.Get("default"), tag.Get("desc")}
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatalf("%s reads no variables", folder)
	}
	return found
}

// sources parses the files of a package that are not tests.
func sources(t *testing.T, folder string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		t.Fatalf("there are no sources in %s", folder)
	}
	return files
}

// literals lists the string literals of a file.
func literals(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	ast.Inspect(file, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if text, err := strconv.Unquote(l.Value); err == nil {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}
