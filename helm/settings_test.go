package helm_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/settings"
)

// onlyTheProgramKnows are wrong settings that the chart lets through, with the reason.
var onlyTheProgramKnows = map[string]string{
	"PREFIX=!{timestmp:yyyy}/ | ERROR_PREFIX=e/!{timestamp:qqqqqq}/!{firehose:error-output-type}/": "the letters of times: the second fault",
	"PREFIX=!{partitionKeyFromQuery:customer}/ | PARTITION_QUERY={client:.client}":                 "jq",
	"PREFIX=!{partitionKeyFromQuery:customer}/ | PARTITION_QUERY={customer:.customer":              "jq",
	"PREFIX=!{partitionKeyFromQuery:customer}/ | PARTITION_QUERY={customer:nonesuch(.a)}":          "jq",
	"TRANSFORM_QUERY=select(.a": "jq",
	"TRANSFORM_QUERY=input":     "jq",
	"TIME_ZONE=Lisbon":          "the time zone database",
	"TIME_ZONE=Local":           "the time zone database",
	"COMPLETE_PREFIX=_complete/ | COMPLETE_MARKER=_SUCCESS | PREFIX=!{firehose:random-string}/!{timestamp:yyyy/MM/dd}/": "the periods of folders",
	"COMPLETE_PREFIX=_complete/ | COMPLETE_MARKER=_SUCCESS | PREFIX=!{timestamp:HH}/":                                   "the periods of folders",
	"TABLE_PARTITION=day(_arrived_at),bucket(0,customer)":                                                               "the terms of partitions",
	"SPOOL_DIR=/does/not/exist": "pods have a volume there",
}

// ofOtherValues are variables that values beside settings set: secrets, and files that are mounted.
var ofOtherValues = []string{"TABLE_TOKEN", "POSTGRES_DSN", "POSTGRES_DSN_FILE", "POSTGRES_SECRET", "POSTGRES_CA_FILE"}

// variables are those of a row such as FORMAT=parquet | TABLE=glue://lake/trips.
func variables(row string) (names []string, values map[string]string) {
	values = make(map[string]string)
	for variable := range strings.SplitSeq(row, " | ") {
		name, value, _ := strings.Cut(variable, "=")
		names = append(names, name)
		values[name] = value
	}
	return names, values
}

// asValues are the values that set the variables.
func asValues(t *testing.T, row string) node {
	t.Helper()
	of, all := node{}, node{"settings": node{}}
	for _, s := range consumer.Settings() {
		of[s.Name] = s
	}
	_, set := variables(row)
	for name, text := range set {
		if name == "TABLE" {
			all["table"] = node{"uri": text}
			if strings.Contains(text, "postgres://") && set["POSTGRES_USER"] == "" {
				all["postgres"] = node{"existingSecret": "db"}
			}
			continue
		}
		var value any = text
		if kind := of[name].(consumer.Setting).Type.Kind().String(); kind == "bool" || kind == "int" { // which --set would read so
			if err := yaml.Unmarshal([]byte(text), &value); err != nil || value == nil {
				value = text
			}
		}
		all["settings"].(node)[settings.Camel(name)] = value
	}
	return all
}

// wrongSettings are the rows of the file, with the variables that have a fault.
func wrongSettings(t *testing.T) (rows []string, faulty map[string][]string) {
	t.Helper()
	faulty = make(map[string][]string)
	variable := regexp.MustCompile(`^    ([A-Z0-9_]+)`)
	for line := range strings.Lines(string(read(t, "../consumer/testdata/wrong-settings.txt"))) {
		line = strings.TrimSuffix(line, "\n")
		if m := variable.FindStringSubmatch(line); m != nil {
			last := rows[len(rows)-1]
			faulty[last] = append(faulty[last], m[1])
		} else if line != "" && !strings.HasPrefix(line, "#") {
			rows = append(rows, line)
		}
	}
	return rows, faulty
}

// valueOf is the value of the chart that a variable is set by.
func valueOf(variable string) string {
	if variable == "TABLE" {
		return "table.uri"
	}
	return "settings." + settings.Camel(variable)
}

// refusals returns the faults that the chart finds in each of several values, which come on top of the required ones: by its schema and,
// for those that the schema lets through, by its templates. All of them take one run of helm.
func refusals(t *testing.T, cases []node) [][]string {
	t.Helper()
	var defaults, required node
	for path, into := range map[string]*node{"consumer/values.yaml": &defaults, "consumer/ci/required.yaml": &required} {
		if err := yaml.Unmarshal(read(t, path), into); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := jsonschema.NewCompiler().Compile("consumer/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	found := make([][]string, len(cases))
	var open []int
	var texts bytes.Buffer
	for i, c := range cases {
		all := merged(merged(defaults, required), c)
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if fault, ok := schema.Validate(value).(*jsonschema.ValidationError); ok {
			for _, cause := range fault.Causes {
				found[i] = append(found[i], strings.Join(cause.InstanceLocation, "."))
			}
			continue
		}
		open = append(open, i)
		texts.Write(append(text, '\n'))
	}

	chart := t.TempDir()
	if err := os.CopyFS(chart, os.DirFS("consumer")); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"files/cases.txt": texts.String(),
		"templates/cases.yaml": `faults:
{{- range .Files.Lines "files/cases.txt" }}{{ if . }}
- {{ include "consumer.faults" (dict "Values" (fromJson .) "Files" $.Files "Chart" $.Chart "Release" $.Release) | trim | toJson }}
{{- end }}{{ end }}
`,
	} {
		if err := os.WriteFile(filepath.Join(chart, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := helm(t, "template", "trips", chart, "--values", "consumer/ci/required.yaml", "--kube-version", "1.37.0", "--show-only", "templates/cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rendered struct{ Faults []string }
	if err := yaml.Unmarshal(text, &rendered); err != nil || len(rendered.Faults) != len(open) {
		t.Fatalf("%d of %d cases were rendered: %v", len(rendered.Faults), len(open), err)
	}
	for i, faults := range rendered.Faults {
		for line := range strings.Lines(faults) {
			if line = strings.TrimSpace(line); line != "" {
				found[open[i]] = append(found[open[i]], line)
			}
		}
	}
	return found
}

// merged is a, overridden by b.
func merged(a, b node) node {
	all := make(node)
	for key, value := range a {
		all[key] = value
	}
	for key, value := range b {
		if below, ok := value.(node); ok {
			if had, ok := all[key].(node); ok {
				value = merged(had, below)
			}
		}
		all[key] = value
	}
	return all
}

var beginning = regexp.MustCompile(`^[A-Za-z0-9.]+`)

// What the daemon would refuse when it starts, helm refuses when it renders, as far as the chart can know.
func TestSettings_AreRefusedAtRender(t *testing.T) {
	rows, faulty := wrongSettings(t)
	var tried []string
	var cases []node
	known := make(map[string]bool)
	for _, s := range consumer.Settings() {
		known[s.Name] = !slices.Contains(ofOtherValues, s.Name)
	}
	for _, row := range rows {
		names, _ := variables(row) // the chart has no value for a misspelt name
		if !slices.ContainsFunc(names, func(name string) bool { return !known[name] }) {
			tried, cases = append(tried, row), append(cases, asValues(t, row))
		}
	}
	if len(tried) < 150 {
		t.Errorf("%d wrong settings were tried", len(tried))
	}
	for i, faults := range refusals(t, cases) {
		var want, got []string
		for _, name := range faulty[tried[i]] {
			want = append(want, valueOf(name))
		}
		for _, fault := range faults {
			got = append(got, beginning.FindString(fault))
		}
		slices.Sort(want)
		slices.Sort(got)
		same := slices.Equal(slices.Compact(got), want)
		switch reason, ok := onlyTheProgramKnows[tried[i]]; {
		case ok && same:
			t.Errorf("%s: the chart refuses it, too, although only the program is said to know %s", tried[i], reason)
		case !ok && !same:
			t.Errorf("%s: the chart refuses\n%s\nwant faults of %s", tried[i], strings.Join(faults, "\n"), want)
		}
	}
	for row := range onlyTheProgramKnows {
		if !slices.Contains(tried, row) {
			t.Errorf("%s is not among the wrong settings", row)
		}
	}
}

// Whatever the daemon takes, the chart renders.
func TestSettings_ThatAreRightAreRendered(t *testing.T) {
	var cases []node
	rows := strings.Split(strings.TrimSpace(string(read(t, "testdata/right-settings.txt"))), "\n")
	for _, row := range rows {
		cases = append(cases, asValues(t, row))
		t.Run(row, func(t *testing.T) {
			t.Setenv("STREAM_NAME", "trips")
			t.Setenv("BUCKET", "out")
			_, set := variables(row)
			for name, value := range set {
				t.Setenv(name, value)
			}
			if _, err := consumer.LoadConfig(); err != nil {
				t.Errorf("the daemon refuses it: %v", err)
			}
		})
	}
	for i, faults := range refusals(t, cases) {
		if len(faults) > 0 {
			t.Errorf("%s: the chart refuses it:\n%s", rows[i], strings.Join(faults, "\n"))
		}
	}
}

// The text of a refusal is that of the program, with the chart's names.
func TestSettings_ARefusalSaysWhatIsRight(t *testing.T) {
	for set, want := range map[string]string{
		"settings.bucket=s3://files":       `settings.bucket="s3://files": want the name of a bucket, which has 3 characters or more, without s3:// and without a key`,
		"settings.readInterval=10ms":       `settings.readInterval="10ms": want a duration from 200ms to 1m, such as 250ms`,
		"settings.partSize=1MiB":           `settings.partSize="1MiB": want a size from 5MiB to 5GiB, such as 8MiB`,
		"settings.streamArn=arn:aws:foo":   `settings.streamArn="arn:aws:foo": want the ARN of a stream such as arn:aws:kinesis:eu-west-1:123456789012:stream/trips`,
		"settings.prefix=a/!{timestamp:yy": `settings.prefix="a/!{timestamp:yy": want a closing brace after "!{timestamp:yy"`,
		"settings.bloomColumns=a":          `settings.bloomColumns="a": want nothing unless settings.format=parquet`,
		// Names that people know from other charts, or from the daemon.
		"replicaCount=3":                "replicaCount is named replicas in this chart",
		"bucket=files":                  "bucket is named settings.bucket in this chart",
		"settings.STREAM_NAME=trips":    "settings.STREAM_NAME is named settings.streamName in this chart",
		"settings.STEAM_NAME=trips":     "settings.STEAM_NAME is not a setting",
		"image.pullSecrets[0].name=reg": "image.pullSecrets is named imagePullSecrets in this chart",
		"spool.existingClaim=disk":      "spool.existingClaim does not exist: each pod needs a volume of its own. Set spool.type=claim",
		"settings.postgresDsn=hunter2":  "settings.postgresDsn is named postgres.existingSecret in this chart",
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			_, err := template(t, set)
			if err == nil || !strings.Contains(err.Error(), want+"\n") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("want a refusal that says\n%s\ngot %v", want, err)
			}
		})
	}
	_, err := template(t, "settings.readInterval=10ms", "replicaCount=3", "settings.bucket=a/b")
	if err == nil || strings.Count(err.Error(), "want ") != 2 || !strings.Contains(err.Error(), "replicaCount is named") {
		t.Errorf("want three faults at once, got %v", err)
	}
}
