package helm_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record/schema"
)

// withValues renders the chart with a file of values beside the required ones.
func withValues(t *testing.T, values string) []byte {
	t.Helper()
	text, err := helm(t, "template", "trips", "consumer", "--kube-version", "1.37.0", "--namespace", "pipeline",
		"--values", "consumer/ci/required.yaml", "--values", written(t, values))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// documents are all resources of a text.
func documents(t *testing.T, text []byte) (all []node) {
	t.Helper()
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var n node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if n != nil {
			all = append(all, n)
		}
	}
}

// metadata are those of resources and of the pods that they make.
func metadata(t *testing.T, all []node) map[string]node {
	t.Helper()
	found := make(map[string]node)
	for _, n := range all {
		name := fmt.Sprint(n["kind"], " ", at(t, n, "metadata", "name"))
		found[name] = n["metadata"].(node)
		if spec, ok := n["spec"].(node); ok && spec["template"] != nil {
			found["pods of "+name] = at(t, spec, "template", "metadata").(node)
		}
	}
	return found
}

// fullValues sets whatever people set in other charts.
const fullValues = `
nameOverride: deliver
commonLabels: {team: data, app.kubernetes.io/name: other, app.kubernetes.io/component: other}
commonAnnotations: {owner: data}
deploymentAnnotations: {reloader: "true"}
podLabels: {team: trips, tier: backend}
podAnnotations: {owner: trips}
serviceAccount: {labels: {a: b}, annotations: {c: d}}
service: {labels: {team: pages}}
initContainers: [{name: wait, image: busybox, resources: {limits: {memory: 32Mi}}}]
extraContainers: [{name: side, image: busybox, resources: {limits: {memory: 32Mi}}}]
extraVolumes: [{name: more, emptyDir: {sizeLimit: 1Mi}}]
extraVolumeMounts: [{name: more, mountPath: /more}]
extraObjects:
  - {apiVersion: v1, kind: Secret, metadata: {name: "{{ .Release.Name }}-more"}, stringData: {a: b}}
  - |
    apiVersion: v1
    kind: LimitRange
    metadata: {name: {{ include "consumer.fullname" . }}}
    spec: {limits: [{type: Pod, max: {memory: 1Gi}}]}
hostAliases: [{ip: 10.0.0.1, hostnames: [catalog]}]
dnsPolicy: None
dnsConfig: {nameservers: [10.0.0.2]}
priorityClassName: high
runtimeClassName: gvisor
schedulerName: other
topologySpreadConstraints:
  - {maxSkew: 2, topologyKey: rack, whenUnsatisfiable: DoNotSchedule}
  - {maxSkew: 1, topologyKey: row, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {rack: left}}}
terminationGracePeriodSeconds: 300
lifecycle: {preStop: {sleep: {seconds: 5}}}
strategy: {type: Recreate}
revisionHistoryLimit: 2
table: {uri: "postgres://db.example.com/lake/trips"}
postgres: {existingSecret: db}
networkPolicy: {enabled: true}
monitor: {enabled: true, scrapeTimeout: 10s, relabelings: [{action: drop, sourceLabels: [a]}], metricRelabelings: [{action: keep, sourceLabels: [b]}]}
prometheusRule: {enabled: true, runbookUrl: "https://wiki.example.com/{alert}.html"}
dashboard: {enabled: true, annotations: {grafana_folder: Streams}}
producer: {enabled: true}
autoscaling: {enabled: true, shards: 8}
schema: {document: '{"type":"object"}'}
`

func TestConventions_LabelsAndAnnotationsAreOnEverything(t *testing.T) {
	var own []node
	for _, n := range documents(t, withValues(t, fullValues)) {
		if n["kind"] != "Secret" && n["kind"] != "LimitRange" { // of extraObjects
			own = append(own, n)
		}
	}
	all := metadata(t, own)
	if len(all) < 14 {
		t.Fatalf("there are %d", len(all))
	}
	for name, m := range all {
		labels, annotations := m["labels"].(node), m["annotations"].(node)
		wantTeam, wantOwner := "data", "data"
		switch {
		case name == "pods of Deployment trips-deliver":
			wantTeam, wantOwner = "trips", "trips"
		case strings.HasPrefix(name, "Service "):
			wantTeam = "pages"
		}
		if labels["team"] != wantTeam || annotations["owner"] != wantOwner {
			t.Errorf("%s: team %v, owner %v, want %s and %s", name, labels["team"], annotations["owner"], wantTeam, wantOwner)
		}
		if labels["app.kubernetes.io/name"] != "deliver" || labels["app.kubernetes.io/component"] == "other" {
			t.Errorf("%s: common labels override those by which resources find each other: %v", name, labels)
		}
		if got := m["name"]; got != nil && !strings.HasPrefix(got.(string), "trips-deliver") {
			t.Errorf("%s is not named by nameOverride", name)
		}
	}
	kinds := resources(t, withValues(t, fullValues))
	if got := at(t, kinds["Deployment"], "metadata", "annotations"); !reflect.DeepEqual(got, node{"owner": "data", "reloader": "true"}) {
		t.Errorf("the Deployment is annotated with %v", got)
	}
	if got := at(t, kinds["ServiceAccount"], "metadata"); at(t, got, "labels", "a") != "b" || at(t, got, "annotations", "c") != "d" {
		t.Errorf("the account is %v", got)
	}
	for what, selector := range map[string]any{
		"Deployment": at(t, kinds["Deployment"], "spec", "selector", "matchLabels"), "Service": at(t, kinds["Service"], "spec", "selector"),
		"PodMonitor": at(t, kinds["PodMonitor"], "spec", "selector", "matchLabels"), "NetworkPolicy": at(t, kinds["NetworkPolicy"], "spec", "podSelector", "matchLabels"),
	} {
		for key, value := range selector.(node) {
			if at(t, kinds["Deployment"], "spec", "template", "metadata", "labels", key) != value {
				t.Errorf("%s selects by %v, which the pods do not have", what, selector)
			}
		}
	}
}

// Kubernetes takes texts alone, and YAML reads 2024 and true as something else.
func TestConventions_LabelsAndAnnotationsAreTexts(t *testing.T) {
	all := documents(t, withValues(t, `
nameOverride: "2024"
commonLabels: {team: 5, large: 1000000, left: null}
commonAnnotations: {"on": true}
podLabels: {tier: 1.5}
spool: {type: claim, annotations: {keep: false}}
monitor: {enabled: true}
networkPolicy: {enabled: true}
`))
	for name, m := range metadata(t, all) {
		for _, part := range []string{"labels", "annotations"} {
			for key, value := range m[part].(node) {
				if _, ok := value.(string); !ok {
					t.Errorf("%s: the %s have %s: %v", name, part, key, value)
				}
			}
		}
		labels := m["labels"].(node)
		if labels["team"] != "5" || labels["large"] != "1000000" || labels["app.kubernetes.io/name"] != "2024" {
			t.Errorf("%s: the labels are %v", name, labels)
		}
	}
	deployment := resources(t, withValues(t, `{nameOverride: "2024"}`))["Deployment"]
	if got := at(t, deployment, "spec", "selector", "matchLabels", "app.kubernetes.io/name"); got != "2024" {
		t.Errorf("the Deployment selects the name %v", got)
	}
}

func TestConventions_PodsTakeWhatOtherChartsTake(t *testing.T) {
	all := resources(t, withValues(t, fullValues))
	deployment := all["Deployment"]
	spec := podSpec(t, deployment)
	ours := at(t, deployment, "spec", "selector", "matchLabels")
	for what, pair := range map[string][2]any{
		"initContainers":                {at(t, spec, "initContainers", 0, "name"), "wait"},
		"extraContainers":               {at(t, spec, "containers", 2, "name"), "side"},
		"default container":             {at(t, deployment, "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/default-container"), "consumer"},
		"hostAliases":                   {at(t, spec, "hostAliases", 0, "ip"), "10.0.0.1"},
		"dnsPolicy":                     {spec["dnsPolicy"], "None"},
		"dnsConfig":                     {at(t, spec, "dnsConfig", "nameservers", 0), "10.0.0.2"},
		"priorityClassName":             {spec["priorityClassName"], "high"},
		"runtimeClassName":              {spec["runtimeClassName"], "gvisor"},
		"schedulerName":                 {spec["schedulerName"], "other"},
		"terminationGracePeriodSeconds": {spec["terminationGracePeriodSeconds"], 300},
		"lifecycle":                     {at(t, container(t, deployment), "lifecycle", "preStop", "sleep", "seconds"), 5},
		"strategy":                      {at(t, deployment, "spec", "strategy"), node{"type": "Recreate"}},
		"revisionHistoryLimit":          {at(t, deployment, "spec", "revisionHistoryLimit"), 2},
		"the daemon's selector":         {at(t, spec, "topologySpreadConstraints", 0, "labelSelector", "matchLabels"), ours},
		"a selector of its own":         {at(t, spec, "topologySpreadConstraints", 1, "labelSelector", "matchLabels"), node{"rack": "left"}},
		"relabelings":                   {at(t, all["PodMonitor"], "spec", "podMetricsEndpoints", 1, "relabelings", 0, "action"), "drop"},
		"metricRelabelings":             {at(t, all["PodMonitor"], "spec", "podMetricsEndpoints", 0, "metricRelabelings", 0, "action"), "keep"},
		"extraObjects":                  {at(t, all["Secret"], "metadata", "name"), "trips-more"},
		"extraObjects as text":          {at(t, all["LimitRange"], "metadata", "name"), "trips-deliver"},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
	if n := len(spec["topologySpreadConstraints"].([]any)); n != 2 {
		t.Errorf("there are %d constraints", n)
	}
	for _, c := range containers(t, deployment)[:2] {
		if !strings.Contains(fmt.Sprint(c["volumeMounts"]), "/more") {
			t.Errorf("%s lacks the mount", c["name"])
		}
	}
	if _, err := template(t, "terminationGracePeriodSeconds=60"); err == nil || !strings.Contains(err.Error(), "terminationGracePeriodSeconds is 60, less than the 90") {
		t.Errorf("a pod that is killed while it hands over is let through: %v", err)
	}
	// Control: without these values nothing of it is there.
	bare := podSpec(t, render(t)["Deployment"])
	for _, field := range []string{"initContainers", "hostAliases", "dnsPolicy", "dnsConfig", "priorityClassName", "runtimeClassName", "schedulerName"} {
		if bare[field] != nil {
			t.Errorf("%s is %v unless set", field, bare[field])
		}
	}
}

// A pod is put on a node that has the disk for its spool, and is not evicted before the spool is full.
func TestSpool_HasTheDiskThatItTakes(t *testing.T) {
	disk := func(sets ...string) [2]any {
		r := container(t, render(t, sets...)["Deployment"])["resources"]
		return [2]any{fmt.Sprint(at(t, r, "requests", "ephemeral-storage")), at(t, r, "limits", "ephemeral-storage")}
	}
	for set, want := range map[string][2]any{
		"settings.spoolSize=4GiB":              {"4634Mi", "5658Mi"}, // 1.1 * 4096 and 128, then 1024 for /tmp
		"settings.spoolSize=10GiB,tmpSize=2Gi": {"11392Mi", "13440Mi"},
		"settings.spoolDir=":                   {"128Mi", "1152Mi"},
		"spool.type=claim":                     {"128Mi", "1152Mi"},
		"resources.requests.ephemeral-storage=1Gi,resources.limits.ephemeral-storage=20Gi": {"1Gi", "20Gi"},
		`resources.requests.ephemeral-storage=0`:                                           {"0", "5658Mi"},
	} {
		if got := disk(set); got != want {
			t.Errorf("%s: request and limit are %v, want %v", set, got, want)
		}
	}
	if _, err := template(t, "resources.limits.ephemeral-storage=4Gi"); err == nil || !strings.Contains(err.Error(), "resources.limits.ephemeral-storage is 4Gi, too little for settings.spoolSize (4GiB)") {
		t.Errorf("a limit below the spool is let through: %v", err)
	}

	for set, says := range map[string]string{
		"resources.requests.ephemeral-storage=100Gi": "resources.requests.ephemeral-storage is 100Gi, more than the limit, 5658Mi",
		"resources.requests.memory=2Gi":              "resources.requests.memory is 2Gi, more than the limit, 389Mi",
	} {
		if _, err := template(t, set); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: a request above the limit is let through: %v", set, err)
		}
	}

	claim := at(t, podSpec(t, render(t, "spool.type=claim", "spool.storageClassName=gp3", "spool.labels.a=b", "settings.spoolSize=10GiB")["Deployment"]), "volumes", 0)
	if at(t, claim, "emptyDir") != nil || at(t, claim, "ephemeral", "volumeClaimTemplate", "spec", "storageClassName") != "gp3" ||
		at(t, claim, "ephemeral", "volumeClaimTemplate", "spec", "resources", "requests", "storage") != "11811160064" ||
		at(t, claim, "ephemeral", "volumeClaimTemplate", "metadata", "labels", "a") != "b" {
		t.Errorf("the claim is %v", claim)
	}
	if _, err := template(t, "spool.type=claim", "settings.spoolDir="); err == nil || !strings.Contains(err.Error(), "there is no spool") {
		t.Errorf("a claim that nobody mounts is let through: %v", err)
	}
}

// The document reaches every program that reads SCHEMA byte for byte, and a change of it replaces the pods.
func TestSchema_ComesFromTheValues(t *testing.T) {
	const table = "\ntable: {uri: glue://lake/trips}\nsettings: {format: parquet}\n"
	document := "{\"type\": \"object\",\n \"maximum\": 9007199254740993}\n"
	values := func(text string) string { return fmt.Sprintf("schema: {document: %q}%s", text, table) }
	all := resources(t, withValues(t, values(document)))
	if got := at(t, all["ConfigMap"], "data", "schema.json"); got != document {
		t.Errorf("the config map has %q, want %q", got, document)
	}
	name := at(t, all["ConfigMap"], "metadata", "name")
	for _, n := range []node{all["Deployment"], all["Pod"]} {
		volumes := fmt.Sprint(podSpec(t, n)["volumes"])
		if !strings.Contains(volumes, fmt.Sprintf("configMap:map[items:[map[key:schema.json path:schema.json]] name:%v]", name)) {
			t.Errorf("%v: the volumes are %s", n["kind"], volumes)
		}
		for _, c := range containers(t, n) {
			if env := environment(c); env["SCHEMA"] != "/etc/consumer/schema.json" || !strings.Contains(fmt.Sprint(c["volumeMounts"]), "mountPath:/etc/consumer ") {
				t.Errorf("%v: SCHEMA is %q, the mounts are %v", c["name"], env["SCHEMA"], c["volumeMounts"])
			}
			if n := strings.Count(fmt.Sprint(c["env"]), "name:SCHEMA "); n != 1 {
				t.Errorf("%v: SCHEMA is set %d times", c["name"], n)
			}
		}
	}
	checksum := func(text string) any {
		return at(t, resources(t, withValues(t, values(text)))["Deployment"], "spec", "template", "metadata", "annotations", "checksum/schema")
	}
	if first := checksum(document); first == nil || first != checksum(document) || first == checksum(document+" ") {
		t.Errorf("the checksum of the schema is %v", first)
	}

	theirs := render(t, "schema.existingConfigMap=trips", "schema.key=trips.json")
	if volumes := fmt.Sprint(podSpec(t, theirs["Deployment"])["volumes"]); theirs["ConfigMap"] != nil || !strings.Contains(volumes, "items:[map[key:trips.json path:schema.json]] name:trips") {
		t.Errorf("with a config map of the namespace there is %v, and the volumes are %v", theirs["ConfigMap"], volumes)
	}
	for sets, says := range map[string]string{
		"schema.document=trips.json":                                   "schema.document is not a JSON object",
		"schema.existingConfigMap=a,schema.document=x":                 "schema.document and schema.existingConfigMap are set",
		"schema.existingConfigMap=a,settings.schema=s3://b/trips.json": "settings.schema is s3://b/trips.json, and schema has a document",
		"schema.existingConfigMap=a,settings.format=firehose":          "schema: want nothing unless settings.format=jsonl or parquet",
	} {
		if _, err := template(t, sets); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: want a refusal that says %q, got %v", sets, says, err)
		}
	}
}

func TestRunbooks_AreWhereTheValueSays(t *testing.T) {
	urls := func(sets ...string) (all []string) {
		for _, r := range at(t, render(t, append(sets, "prometheusRule.enabled=true")...)["PrometheusRule"], "spec", "groups", 0, "rules").([]any) {
			url, _ := at(t, r, "annotations", "runbook_url").(string)
			all = append(all, strings.ReplaceAll(url, at(t, r, "alert").(string), "ALERT"))
		}
		return all
	}
	for set, want := range map[string]string{
		"prometheusRule.runbookUrl=https://wiki.example.com/{alert}.html": "https://wiki.example.com/ALERT.html",
		"prometheusRule.runbookUrl=https://wiki.example.com/runbooks/":    "https://wiki.example.com/runbooks/ALERT",
		"prometheusRule.runbookUrl=":                                      "",
	} {
		for _, got := range urls(set) {
			if got != want {
				t.Errorf("%s: got %s, want %s", set, got, want)
			}
		}
	}
	for _, got := range urls() {
		if !strings.HasPrefix(got, "https://github.com/") || !strings.HasSuffix(got, "/docs/runbooks/ALERT.md") {
			t.Errorf("unless set it is %s", got)
		}
	}
}

// Each example is rendered with its own values alone, and what comes out is valid.
func TestExamples_AreValid(t *testing.T) {
	paths, err := filepath.Glob("consumer/examples/*.yaml")
	if err != nil || len(paths) < 8 {
		t.Fatalf("there are %d examples: %v", len(paths), err)
	}
	readme := string(read(t, "consumer/README.md"))
	tools := emulator.KubernetesTools(t)
	newest := tools.Versions[len(tools.Versions)-1]
	var rendered, gitops []byte
	for _, path := range paths {
		if !strings.Contains(readme, "("+strings.TrimPrefix(path, "consumer/")+")") {
			t.Errorf("README.md does not mention %s", path)
		}
		text := read(t, path)
		values, kind := path, documents(t, text)
		for _, n := range kind {
			var inner any
			switch n["kind"] {
			case "Application":
				inner = at(t, n, "spec", "source", "helm", "valuesObject")
			case "HelmRelease":
				inner = at(t, n, "spec", "values")
			}
			if inner == nil {
				continue
			}
			part, err := yaml.Marshal(inner)
			if err != nil {
				t.Fatal(err)
			}
			values = written(t, string(part))
			gitops = append(append(gitops, "---\n"...), text...)
		}
		manifests, err := helm(t, "template", "trips", "consumer", "--kube-version", "1.37.0", "--values", values)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		rendered = append(rendered, manifests...)
		if filepath.Base(path) == "flux.yaml" {
			// A test that needs more than the daemon's permissions must not undo an upgrade.
			release := kind[len(kind)-1]
			check := fmt.Sprintf("%v-consumer-check", at(t, release, "metadata", "name"))
			if got := at(t, release, "spec", "test", "filters", 0); !reflect.DeepEqual(got, node{"name": check, "exclude": true}) || !strings.Contains(string(manifests), "name: "+check+"\n") {
				t.Errorf("%s leaves out the test %v, want %s", path, got, check)
			}
		}
		if filepath.Base(path) == "schema.yaml" {
			document := at(t, resources(t, manifests)["ConfigMap"], "data", "schema.json").(string)
			if _, err := schema.Parse("schema.json", []byte(document)); err != nil {
				t.Errorf("the daemon refuses the schema of the example: %v", err)
			}
		}
	}
	rendered = append(rendered, withValues(t, fullValues)...)
	if out, err := tools.Validate(t, newest, written(t, string(rendered))).CombinedOutput(); err != nil {
		t.Errorf("Kubernetes %s: %s", newest, out)
	}
	if out, err := tools.ValidateGitOps(t, newest, written(t, string(gitops))).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
	for _, field := range []string{"valuesObject", "chartRef"} {
		broken := strings.ReplaceAll(string(gitops), field+":", field+"X:")
		if out, err := tools.ValidateGitOps(t, newest, written(t, broken)).CombinedOutput(); err == nil {
			t.Errorf("the field %sX is let through: %s", field, out)
		}
	}
}

// The notes after an installation name the commands that come next, each with the names of this release.
func TestNotes_TellTheNextSteps(t *testing.T) {
	chart := t.TempDir()
	if err := os.CopyFS(chart, os.DirFS("consumer")); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"files/notes.txt":      string(read(t, "consumer/templates/NOTES.txt")),
		"templates/notes.yaml": `notes: {{ tpl (.Files.Get "files/notes.txt") . | toJson }}`,
	} {
		if err := os.WriteFile(filepath.Join(chart, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	notes := func(sets string) string {
		text, err := helm(t, "template", "trips", chart, "--namespace", "pipeline", "--kube-version", "1.37.0",
			"--values", "consumer/ci/required.yaml", "--set", sets, "--show-only", "templates/notes.yaml")
		if err != nil {
			t.Fatal(err)
		}
		return at(t, documents(t, text)[0], "notes").(string)
	}
	text := notes("settings.prefix=/raw/!{timestamp:yyyy}/,settings.commitInterval=1m,settings.httpAddress=:9000")
	for _, want := range []string{
		"trips is delivered to s3://out/.", "  kubectl --namespace pipeline rollout status deployment/trips-consumer ",
		"  kubectl --namespace pipeline port-forward deployment/trips-consumer 8080:9000\n", "  helm --namespace pipeline test trips --timeout 1h\n",
		"  aws s3 ls --recursive --human-readable s3://out//raw/ | tail\n", "begins with a slash", "appear 1m after the first record",
		"Records that cannot be delivered are under errors/ ", "-- consumer audit\n", "Nobody is told",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the notes lack %q:\n%s", want, text)
		}
	}
	if text := notes("prometheusRule.enabled=true"); strings.Contains(text, "slash") || strings.Contains(text, "Nobody is told") {
		t.Errorf("the notes warn of what is not there:\n%s", text)
	}
	if text := notes("settings.stopPosition=2026-11-24T11:00:00Z"); !strings.Contains(text, "by a Job that then ends") || strings.Contains(text, "helm test") {
		t.Errorf("the notes of a replay are\n%s", text)
	}
}

// A chart that has this one as a dependency passes it more than its own values: what is global, and whether it is on.
func TestChart_IsADependencyOfAnother(t *testing.T) {
	parent := t.TempDir()
	if err := os.CopyFS(filepath.Join(parent, "charts", "consumer"), os.DirFS("consumer")); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"Chart.yaml":  "{apiVersion: v2, name: parent, version: 1.0.0, dependencies: [{name: consumer, version: 0.0.0, alias: trips, condition: trips.enabled}, {name: consumer, version: 0.0.0, alias: clicks}]}",
		"values.yaml": "global: {imageRegistry: x}\ntrips: &own {enabled: true, settings: {streamName: trips, bucket: out}, image: {repository: r}}\nclicks: *own\n",
	} {
		if err := os.WriteFile(filepath.Join(parent, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := helm(t, "template", "all", parent, "--kube-version", "1.37.0")
	if err != nil {
		t.Fatal(err)
	}
	selectors := make(map[string]bool)
	for _, n := range documents(t, text) {
		if n["kind"] == "Deployment" {
			selectors[fmt.Sprint(at(t, n, "metadata", "name"), at(t, n, "spec", "selector"))] = true
		}
	}
	if len(selectors) != 2 {
		t.Errorf("the daemons of both are %v", selectors)
	}
}
