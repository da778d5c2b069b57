package helm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/test/emulator"
)

type node = map[string]any

// everything turns on whatever is off by default.
var everything = []string{
	"aws.region=eu-west-1", "producer.enabled=true", "networkPolicy.enabled=true", "monitor.enabled=true",
	"autoscaling.enabled=true", "autoscaling.shards=8", "prometheusRule.enabled=true", "dashboard.enabled=true",
	`table.uri=glue://lake/trips\,postgres://db.example.com/lake/trips`, "table.tokenSecret=catalog", "settings.format=parquet",
	"postgres.existingSecret=db", "postgres.ca.configMap=rds",
}

// template renders the chart with the required values and those of sets.
func template(t *testing.T, sets ...string) (manifests []byte, err error) {
	t.Helper()
	args := []string{"template", "trips", "consumer", "--kube-version", "1.37.0", "--namespace", "pipeline", "--values", "consumer/ci/required.yaml"}
	for _, set := range sets {
		args = append(args, "--set", set)
	}
	return helm(t, args...)
}

// helm returns the output of helm.
func helm(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	cmd := emulator.KubernetesTools(t).Helm(t, args...)
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	if err := cmd.Run(); err != nil {
		return nil, errors.New(fault.String())
	}
	return out.Bytes(), nil
}

// render returns the resources by kind.
func render(t *testing.T, sets ...string) map[string]node {
	t.Helper()
	text, err := template(t, sets...)
	if err != nil {
		t.Fatal(err)
	}
	return resources(t, text)
}

// resources reads manifests, by kind.
func resources(t *testing.T, text []byte) map[string]node {
	t.Helper()
	found := make(map[string]node)
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var n node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if n != nil {
			found[n["kind"].(string)] = n
		}
	}
}

// at follows keys into mappings and numbers into lists.
func at(t *testing.T, from any, path ...any) any {
	t.Helper()
	for i, step := range path {
		switch s := step.(type) {
		case string:
			from = from.(node)[s]
		case int:
			list := from.([]any)
			if s >= len(list) {
				t.Fatalf("%v has %d elements", path[:i+1], len(list))
			}
			from = list[s]
		}
		if from == nil {
			return nil
		}
	}
	return from
}

func podSpec(t *testing.T, n node) node {
	t.Helper()
	if n["kind"] == "Pod" {
		return n["spec"].(node)
	}
	return at(t, n, "spec", "template", "spec").(node)
}

func container(t *testing.T, n node) node {
	t.Helper()
	return at(t, podSpec(t, n), "containers", 0).(node)
}

// containers returns all containers of a pod.
func containers(t *testing.T, n node) []node {
	t.Helper()
	var all []node
	for _, c := range podSpec(t, n)["containers"].([]any) {
		all = append(all, c.(node))
	}
	return all
}

func environment(c node) map[string]string {
	variables := make(map[string]string)
	for _, v := range c["env"].([]any) {
		variables[v.(node)["name"].(string)] = fmt.Sprint(v.(node)["value"])
	}
	return variables
}

func TestChart_PassesLint(t *testing.T) {
	tools := emulator.KubernetesTools(t)
	lint := func(chart string, more ...string) (string, error) {
		out, err := tools.Helm(t, append([]string{"lint", "--strict", chart, "--kube-version", "1.37.0", "--values", "consumer/ci/required.yaml"}, more...)...).CombinedOutput()
		return string(out), err
	}
	for _, more := range [][]string{nil, {"--values", "consumer/ci/postgres.yaml"}} {
		if out, err := lint("consumer", more...); err != nil {
			t.Error(out)
		}
	}
	broken := t.TempDir()
	if err := os.CopyFS(broken, os.DirFS("consumer")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "templates", "extra.yaml"), []byte("a: {{ .Values.nothing.here }}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := lint(broken); err == nil {
		t.Errorf("a template that fails is let through: %s", out)
	}
}

// Fields that a release of Kubernetes does not know are faults.
func TestChart_HoldsToTheSchemasOfThreeReleasesOfKubernetes(t *testing.T) {
	tools := emulator.KubernetesTools(t)
	if len(tools.Versions) != 3 {
		t.Fatalf("there are schemas of %v", tools.Versions)
	}
	write := func(text []byte) string {
		path := filepath.Join(t.TempDir(), "manifests.yaml")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var files []string
	var all []byte
	for _, sets := range [][]string{
		nil,
		everything,
		append(slices.Clone(everything), "autoscaling.type=keda", "autoscaling.keda.serverAddress=http://prometheus:9090", "monitor.kind=ServiceMonitor", "topologySpread=require"),
		append(slices.Clone(everything), "settings.stopPosition=2026-11-24T11:00:00Z"),
	} {
		text, err := template(t, sets...)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
		files = append(files, write(text))
	}
	for _, version := range tools.Versions {
		for _, file := range files {
			if out, err := tools.Validate(t, version, file).CombinedOutput(); err != nil {
				t.Errorf("Kubernetes %s: %s", version, out)
			}
		}
	}
	for _, field := range []string{"maxSurge", "unhealthyPodEvictionPolicy", "backoffLimit", "stabilizationWindowSeconds", "podMetricsEndpoints", "maxReplicaCount", "publishNotReadyAddresses", "podFailurePolicy"} {
		broken := bytes.ReplaceAll(all, []byte(field), []byte(field+"X"))
		if bytes.Equal(broken, all) {
			t.Errorf("%s is nowhere rendered", field)
			continue
		}
		if out, err := tools.Validate(t, tools.Versions[2], write(broken)).CombinedOutput(); err == nil {
			t.Errorf("the field %sX is let through: %s", field, out)
		}
	}
}

func TestChart_RefusesWhatCanNotWork(t *testing.T) {
	for _, c := range []struct{ set, says string }{
		{"settings.streamName=", "settings.streamName is required: the name of the Kinesis stream"},
		{"settings.bucket=", "settings.bucket is required: the S3 bucket for the files"},
		{"image.repository=", "image.repository is required"},
		{"image.digest=sha256:123", "image"},
		{"settings.shutdownGraze=30s", "shutdownGraze"},
		{"settings.shutdownGrace=30", "shutdownGrace"},
		{"settings.memoryBudget=256Mi", "memoryBudget"},
		{"settings.checkpointFile=/spool/file", "settings.checkpointFile is for a single worker"},
		{"settings.httpAddress=", "settings.httpAddress must contain a port"},
		{"settings.httpAddress=127.0.0.1:8080", "settings.httpAddress is a loopback address"},
		{"resources.limits.memory=300Mi", "resources.limits.memory is 300Mi, too little for settings.memoryBudget (256MiB) and the process"},
		{"extraEnv[0].name=BUCKET", "extraEnv sets BUCKET: set settings.bucket instead"},
		{"extraEnv[0].name=TABLE", "extraEnv sets TABLE: set table.uri instead"},
		{"extraEnv[0].name=TABLE_TOKEN", "extraEnv sets TABLE_TOKEN: set table.tokenSecret instead"},
		{"settings.table=glue://lake/trips", "table"},
		{"settings.tableToken=secret", "tableToken"},
		{"settings.postgresDsn=host=db", "postgresDsn"},
		{"settings.postgresTls=prefer", "postgresTls"},
		{"extraEnv[0].name=POSTGRES_DSN", "extraEnv sets POSTGRES_DSN: set postgres.existingSecret instead"},
		{"extraEnv[0].name=POSTGRES_SECRET", "extraEnv sets POSTGRES_SECRET: set postgres.secretArn instead"},
		{"extraEnv[0].name=POSTGRES_USER", "extraEnv sets POSTGRES_USER: set settings.postgresUser instead"},
		{"table.uri=glue://lake/trips", "table.uri with an Apache Iceberg table needs settings.format=parquet, which is jsonl"},
		{"table.uri=mysql://db/lake/trips", "table/uri"},
		{"table.uri=postgres://db/trips", "table/uri"},
		{`table.uri=glue://lake/trips\,`, "table.uri names several tables"},
		{`table.uri=glue://lake/trips\,s3://lake/trips,settings.format=parquet`, "table.uri names several tables: want at most one Apache Iceberg table and one PostgreSQL table"},
		{`table.uri=postgres://a/lake/trips\,postgres://b/lake/trips`, "table.uri names several tables"},
		{"table.uri=postgres://db/lake/trips,settings.format=firehose", "table.uri with a PostgreSQL table needs settings.format=jsonl or parquet"},
		{"table.uri=postgres://db/lake/trips", "want its credentials from postgres.existingSecret or postgres.secretArn, or settings.postgresAuth=iam"},
		{"table.uri=postgres://db/lake/trips,settings.postgresAuth=iam", "settings.postgresAuth=iam: want settings.postgresUser"},
		{"table.uri=postgres://db/lake/trips,postgres.secretArn=db", "secretArn"},
		{"table.uri=postgres://db/lake/trips,postgres.existingSecret=db,postgres.secretArn=arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf", "postgres.existingSecret and postgres.secretArn are set"},
		{"table.uri=postgres://db/lake/trips,postgres.existingSecret=db,postgres.ca.secret=ca,postgres.ca.configMap=ca", "postgres.ca.configMap and postgres.ca.secret are set"},
		{"postgres.existingSecret=db", "postgres is for the database of table.uri, which has no PostgreSQL table"},
		{"table.uri=glue://lake/trips,settings.format=parquet,settings.loaderHttpAddress=", "settings.loaderHttpAddress must contain a port"},
		{"table.tokenSecret=catalog", "table.tokenSecret is for the catalog of table.uri, which has no Apache Iceberg table"},
		{"spool=null", "spool is missing: these are the values of an older chart, which --reuse-values keeps"},
		{"nameOverride=My_Name", "nameOverride"},
		{"fullnameOverride=my.name", "fullnameOverride"},
		{"replicas=-1", "replicas"},
		{"topologySpread=perhaps", "topologySpread"},
		{"autoscaling.enabled=true", "autoscaling.shards is required"},
		{"autoscaling.enabled=true,autoscaling.shards=4,autoscaling.maxReplicas=5", "autoscaling.maxReplicas is 5, more than autoscaling.shards (4)"},
		{"autoscaling.enabled=true,autoscaling.shards=4,autoscaling.minReplicas=5", "autoscaling.minReplicas is 5, more than the maximum (4)"},
		{"autoscaling.enabled=true,autoscaling.shards=4,autoscaling.type=keda", "autoscaling.keda.serverAddress is required"},
	} {
		t.Run(c.set, func(t *testing.T) {
			t.Parallel()
			if _, err := template(t, c.set); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want a refusal that says %q, got %v", c.says, err)
			}
		})
	}
}

// ofLoaderAlone are settings that the daemon does not get: secrets, and where they are.
var ofLoaderAlone = []string{"TABLE_TOKEN", "POSTGRES_DSN", "POSTGRES_DSN_FILE", "POSTGRES_SECRET", "POSTGRES_CA_FILE"}

// The program reads the values that the chart sets, whatever their kind.
func TestDaemon_GetsTheSettings(t *testing.T) {
	env := environment(container(t, render(t, "table.uri=glue://lake/trips", "settings.format=parquet", "settings.maxOpenFiles=1000000", "settings.fileSize=10000000", "settings.kplHashFilter=true", "settings.timeZone=null", "aws.region=eu-west-1")["Deployment"]))
	for name, want := range map[string]string{
		"TABLE": "glue://lake/trips", "MAX_OPEN_FILES": "1000000", "FILE_SIZE": "10000000", "KPL_HASH_FILTER": "true", "STREAM_NAME": "trips", "AWS_REGION": "eu-west-1",
		"PREFIX": "data/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/",
	} {
		if env[name] != want {
			t.Errorf("%s=%q, want %q", name, env[name], want)
		}
	}
	if _, set := env["TIME_ZONE"]; set {
		t.Error("a setting of null is set")
	}
	for _, s := range consumer.Settings() {
		value, set := env[s.Name]
		if !set && s.Name != "TIME_ZONE" && !slices.Contains(ofLoaderAlone, s.Name) {
			t.Errorf("%s is not set", s.Name)
		}
		if s.Name == "SPOOL_DIR" {
			value = "" // a folder of the pod
		}
		t.Setenv(s.Name, value)
	}
	t.Setenv("TIME_ZONE", "UTC")
	if _, err := consumer.LoadConfig(); err != nil {
		t.Errorf("the program refuses what the chart sets: %v", err)
	}
}

func TestPods_HoldToTheRestrictedStandard(t *testing.T) {
	all := render(t, everything...)
	for _, kind := range []string{"Deployment", "Job", "Pod"} {
		spec := podSpec(t, all[kind])
		for _, c := range containers(t, all[kind]) {
			for what, pair := range map[string][2]any{
				"runAsNonRoot":   {at(t, spec, "securityContext", "runAsNonRoot"), true},
				"seccompProfile": {at(t, spec, "securityContext", "seccompProfile", "type"), "RuntimeDefault"},
				"token":          {spec["automountServiceAccountToken"], false},
				"escalation":     {at(t, c, "securityContext", "allowPrivilegeEscalation"), false},
				"root":           {at(t, c, "securityContext", "readOnlyRootFilesystem"), true},
				"capabilities":   {at(t, c, "securityContext", "capabilities", "drop"), []any{"ALL"}},
				"account":        {spec["serviceAccountName"], "trips-consumer"},
			} {
				if !reflect.DeepEqual(pair[0], pair[1]) {
					t.Errorf("%s of %s: %s is %v, want %v", c["name"], kind, what, pair[0], pair[1])
				}
			}
		}
	}
	if at(t, all["ServiceAccount"], "automountServiceAccountToken") != false {
		t.Error("the account's token is mounted")
	}
}

// An attacker who takes over the daemon gets nothing of the cluster: no role, no token, no part of the node.
func TestChart_AsksNothingOfTheCluster(t *testing.T) {
	known := []string{
		"Deployment", "Job", "Pod", "Service", "ServiceAccount", "ConfigMap", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget",
		"PodMonitor", "PrometheusRule",
	}
	all := render(t, everything...)
	for kind := range all {
		if !slices.Contains(known, kind) {
			t.Errorf("it makes a %s", kind)
		}
	}
	for _, kind := range []string{"Deployment", "Job", "Pod"} {
		spec := podSpec(t, all[kind])
		for _, field := range []string{"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} {
			if spec[field] != nil {
				t.Errorf("%s: %s is %v", kind, field, spec[field])
			}
		}
		if spec["enableServiceLinks"] != false {
			t.Errorf("%s: its environment has the services of the namespace", kind)
		}
		volumes, _ := spec["volumes"].([]any)
		for i, v := range volumes {
			if v.(node)["projected"] != nil {
				for _, source := range at(t, v, "projected", "sources").([]any) {
					if source.(node)["secret"] == nil && source.(node)["configMap"] == nil || len(source.(node)) != 1 {
						t.Errorf("%s: the volume %v has more than secrets and config maps that values name", kind, v)
					}
				}
				continue
			}
			if v.(node)["emptyDir"] == nil || at(t, spec, "volumes", i, "emptyDir", "sizeLimit") == nil {
				t.Errorf("%s: the volume %v is not an emptyDir with a limit", kind, v)
			}
		}
		for _, c := range containers(t, all[kind]) {
			if c["securityContext"].(node)["privileged"] != nil || at(t, c, "resources", "limits", "memory") == nil {
				t.Errorf("%s: privileged, or without a limit of memory: %v", kind, c)
			}
		}
	}
	if at(t, all["Service"], "spec", "type") != "ClusterIP" {
		t.Errorf("the port is open to others than the cluster: %v", at(t, all["Service"], "spec"))
	}
}

// One value adds the loader to each pod, with the daemon's settings and image.
func TestLoader_IsAddedByOneValue(t *testing.T) {
	if n := len(containers(t, render(t)["Deployment"])); n != 1 {
		t.Errorf("without a table there are %d containers", n)
	}
	all := render(t, "table.uri=s3://lake/trips", "settings.format=parquet", "networkPolicy.enabled=true", "monitor.enabled=true", "podAnnotations.a=b")
	pair := containers(t, all["Deployment"])
	if len(pair) != 2 {
		t.Fatalf("there are %d containers", len(pair))
	}
	daemon, loader := pair[0], pair[1]
	if daemon["name"] != "consumer" || loader["name"] != "loader" || !reflect.DeepEqual(loader["command"], []any{"/usr/local/bin/loader"}) {
		t.Errorf("the containers are %v and %v, which runs %v", daemon["name"], loader["name"], loader["command"])
	}
	for _, same := range []string{"image", "env", "securityContext", "imagePullPolicy"} {
		if !reflect.DeepEqual(daemon[same], loader[same]) {
			t.Errorf("%s is %v, that of the daemon %v", same, loader[same], daemon[same])
		}
	}
	for _, probe := range []string{"startupProbe", "livenessProbe"} {
		if at(t, loader, probe, "httpGet", "port") != "loader" || at(t, loader, probe, "httpGet", "path") != "/healthz" {
			t.Errorf("%s: %v", probe, loader[probe])
		}
	}
	if loader["readinessProbe"] != nil {
		t.Error("a catalog that is out makes the daemon's pod unready")
	}
	if at(t, loader, "ports", 0, "containerPort") != 8081 || at(t, loader, "ports", 0, "name") != "loader" {
		t.Errorf("ports: %v", loader["ports"])
	}
	annotations := at(t, all["Deployment"], "spec", "template", "metadata", "annotations")
	if want := (node{"a": "b", "kubectl.kubernetes.io/default-container": "consumer"}); !reflect.DeepEqual(annotations, want) {
		t.Errorf("annotations: %v", annotations)
	}
	if at(t, all["PodMonitor"], "spec", "podMetricsEndpoints", 1, "port") != "loader" || at(t, all["Service"], "spec", "ports", 1, "targetPort") != "loader" ||
		at(t, all["NetworkPolicy"], "spec", "ingress", 0, "ports", 1, "port") != "loader" {
		t.Error("the loader's metrics are out of reach")
	}
}

// Neither the values nor the daemon have the token of the catalog.
func TestLoader_HasItsTokenFromASecret(t *testing.T) {
	all := render(t, "table.uri=rest://catalog.example/lake.trips", "settings.format=parquet", "table.tokenSecret=catalog", "table.tokenKey=bearer")
	for _, c := range append(containers(t, all["Deployment"]), containers(t, all["Pod"])...) {
		var from any
		for _, v := range c["env"].([]any) {
			if v.(node)["name"] == "TABLE_TOKEN" {
				from = v.(node)["valueFrom"]
			}
		}
		if c["name"] != "loader" {
			if from != nil {
				t.Errorf("%s has the token", c["name"])
			}
		} else if want := (node{"secretKeyRef": node{"name": "catalog", "key": "bearer"}}); !reflect.DeepEqual(from, want) {
			t.Errorf("the loader has its token from %v", from)
		}
	}
}

// The loader alone gets what leads to the database: a file, which the kubelet renews, so that a new password needs no restart.
func TestLoader_HasItsDatabaseFromASecret(t *testing.T) {
	const uri = "table.uri=postgres://db.example.com/lake/public.trips"
	all := render(t, uri, "postgres.existingSecret=db", "postgres.secretKey=url", "postgres.ca.configMap=rds", "postgres.ca.key=bundle.pem")
	mounted := func(c node) (mounts []any) {
		list, _ := c["volumeMounts"].([]any)
		for _, m := range list {
			if m.(node)["name"] == "postgres" {
				mounts = append(mounts, m)
			}
		}
		return mounts
	}
	for _, c := range append(containers(t, all["Deployment"]), containers(t, all["Pod"])...) {
		env := environment(c)
		if c["name"] != "loader" {
			for _, name := range ofLoaderAlone {
				if _, set := env[name]; set {
					t.Errorf("%s has %s", c["name"], name)
				}
			}
			if len(mounted(c)) > 0 {
				t.Errorf("%s has the connection string", c["name"])
			}
			continue
		}
		// A mount with a subPath would not be renewed (Kubernetes, "Secrets").
		if want := []any{node{"name": "postgres", "mountPath": "/etc/postgres", "readOnly": true}}; !reflect.DeepEqual(mounted(c), want) {
			t.Errorf("the loader mounts %v", mounted(c))
		}
		if env["POSTGRES_DSN_FILE"] != "/etc/postgres/dsn" || env["POSTGRES_CA_FILE"] != "/etc/postgres/ca.pem" {
			t.Errorf("the loader reads %q and %q", env["POSTGRES_DSN_FILE"], env["POSTGRES_CA_FILE"])
		}
	}
	volumes := podSpec(t, all["Deployment"])["volumes"].([]any)
	want := node{"name": "postgres", "projected": node{"defaultMode": 0o440, "sources": []any{
		node{"secret": node{"name": "db", "items": []any{node{"key": "url", "path": "dsn"}}}},
		node{"configMap": node{"name": "rds", "items": []any{node{"key": "bundle.pem", "path": "ca.pem"}}}},
	}}}
	if !reflect.DeepEqual(volumes[len(volumes)-1], want) {
		t.Errorf("the volumes are %v", volumes)
	}

	const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"
	pair := containers(t, render(t, uri, "postgres.secretArn="+arn)["Deployment"])
	if daemon, loader := environment(pair[0]), environment(pair[1]); daemon["POSTGRES_SECRET"] != "" || loader["POSTGRES_SECRET"] != arn || len(mounted(pair[1])) > 0 {
		t.Errorf("with a secret in AWS the daemon has %q, the loader %q and %v", daemon["POSTGRES_SECRET"], loader["POSTGRES_SECRET"], mounted(pair[1]))
	}
	iam := render(t, uri, "settings.postgresAuth=iam", "settings.postgresUser=loader")["Deployment"]
	if loader := environment(containers(t, iam)[1]); loader["POSTGRES_AUTH"] != "iam" || loader["POSTGRES_USER"] != "loader" {
		t.Errorf("with IAM the loader authenticates by %q as %q", loader["POSTGRES_AUTH"], loader["POSTGRES_USER"])
	}
}

// Daemon and loader accept what the chart sets for a database, and nothing that the daemon does not get is required of it.
func TestPrograms_AcceptTheSettingsOfADatabase(t *testing.T) {
	const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"
	for name, sets := range map[string][]string{
		"a secret of the cluster": {"postgres.existingSecret=db", "postgres.ca.secret=ca", "settings.postgresUnique=true", "settings.postgresPartition=day"},
		"a secret of AWS":         {"postgres.secretArn=" + arn, "settings.postgresKey=trip_id", "settings.format=parquet"},
		"IAM":                     {"settings.postgresAuth=iam", "settings.postgresUser=loader", "settings.postgresFailoverWindow=0s"},
	} {
		deployment := render(t, append(sets, "table.uri=postgres://db.example.com:5433/lake/public.trips", "settings.spoolDir=")...)["Deployment"]
		for _, c := range containers(t, deployment) {
			t.Run(fmt.Sprint(name, " ", c["name"]), func(t *testing.T) {
				for variable, value := range environment(c) {
					t.Setenv(variable, value)
				}
				cfg, err := consumer.LoadConfig()
				if uri, ok := cfg.PostgresTable(); err != nil || !ok || uri.Endpoint != "db.example.com:5433" {
					t.Errorf("the database is %v: %v", uri, err)
				}
			})
		}
	}
}

// Who writes a password into table.uri by mistake must not find it in the log of a deployment.
func TestChart_DoesNotRepeatAPassword(t *testing.T) {
	for _, uri := range []string{"postgres://loader:hunter2@db/lake/trips", "rest://loader:hunter2@catalog.example/lake.trips"} {
		_, err := template(t, "table.uri="+uri, "settings.format=parquet", "postgres.existingSecret=db")
		if err == nil || !strings.Contains(err.Error(), "table.uri holds a user or password") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// OpenShift gives each namespace a range of ids, and rejects pods that name others. The settings that README.md
// recommends omit the ids and keep the rest.
func TestPods_LeaveTheirIDsToOpenShift(t *testing.T) {
	_, section, _ := strings.Cut(string(read(t, "consumer/README.md")), "### OpenShift\n")
	_, block, _ := strings.Cut(section, "```yaml\n")
	block, _, found := strings.Cut(block, "```")
	if !found {
		t.Fatal("README.md has no values for OpenShift")
	}
	file := filepath.Join(t.TempDir(), "openshift.yaml")
	if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := helm(t, "template", "trips", "consumer", "--values", "consumer/ci/required.yaml", "--values", file, "--kube-version", "1.37.0", "--set", strings.Join(everything, ","))
	if err != nil {
		t.Fatal(err)
	}
	all := resources(t, text)
	for _, kind := range []string{"Deployment", "Job", "Pod"} {
		spec := podSpec(t, all[kind])
		context := spec["securityContext"].(node)
		for _, id := range []string{"runAsUser", "runAsGroup", "fsGroup"} {
			if value, set := context[id]; set {
				t.Errorf("%s: %s is %v, want none", kind, id, value)
			}
		}
		if context["runAsNonRoot"] != true || at(t, context, "seccompProfile", "type") != "RuntimeDefault" ||
			at(t, container(t, all[kind]), "securityContext", "readOnlyRootFilesystem") != true {
			t.Errorf("%s: the rest is gone: %v", kind, context)
		}
	}
	if at(t, podSpec(t, render(t)["Deployment"]), "securityContext", "runAsUser") != 65532 {
		t.Error("without these values the user is another than the image's")
	}
}

func TestNetworkPolicy_LetsOutToWhatIsNeeded(t *testing.T) {
	egress := func(sets ...string) []any {
		return at(t, render(t, append(sets, "networkPolicy.enabled=true")...)["NetworkPolicy"], "spec", "egress").([]any)
	}
	cidrs := func(rules []any) (found []string) {
		for _, rule := range rules {
			to, _ := rule.(node)["to"].([]any)
			for _, peer := range to {
				found = append(found, fmt.Sprint(at(t, rule, "ports", 0, "port"), " ", at(t, peer, "ipBlock", "cidr")))
			}
		}
		return found
	}
	// The endpoint of EKS Pod Identity has an address of each family (EKS User Guide, "Understand how EKS Pod Identity works").
	agent := []string{"80 169.254.170.23/32", "80 fd00:ec2::23/128"}
	if got := cidrs(egress()); !slices.Equal(got, agent) {
		t.Errorf("by default it lets out to %v", got)
	}
	// Whoever reaches the metadata service has the role of the node.
	if got := cidrs(egress("networkPolicy.instanceMetadata=true")); !slices.Equal(got, append(slices.Clone(agent), "80 169.254.169.254/32", "80 fd00:ec2::254/128")) {
		t.Errorf("with the metadata service it lets out to %v", got)
	}
	if got := cidrs(egress("networkPolicy.to[0].ipBlock.cidr=10.0.0.0/16")); !slices.Equal(got, append([]string{"443 10.0.0.0/16"}, agent...)) {
		t.Errorf("with HTTPS to a VPC alone it lets out to %v", got)
	}
	// A policy cannot name the host of a database, so by default it is at a private address.
	database := func(port string, sets ...string) []any {
		return egress(append(sets, "table.uri=postgres://db.example.com"+port+"/lake/trips", "postgres.existingSecret=db")...)
	}
	private := func(port string) (rules []string) {
		for _, cidr := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"} {
			rules = append(rules, port+" "+cidr)
		}
		return append(rules, agent...)
	}
	if got := cidrs(database("")); !slices.Equal(got, private("5432")) {
		t.Errorf("with a database it lets out to %v", got)
	}
	if got := cidrs(database(":6432")); !slices.Equal(got, private("6432")) {
		t.Errorf("with a database at another port it lets out to %v", got)
	}
	if got := cidrs(database("", "networkPolicy.database[0].ipBlock.cidr=203.0.113.7/32")); !slices.Equal(got, append([]string{"5432 203.0.113.7/32"}, agent...)) {
		t.Errorf("with the database's address it lets out to %v", got)
	}
}

func TestDaemon_IsNotKilledWhileItHandsOver(t *testing.T) {
	for set, want := range map[string]int{
		"settings.shutdownGrace=30s":                                2*30 + 2*10 + 10,
		"settings.shutdownGrace=1m30s,settings.failoverTime=20s":    2*90 + 2*20 + 10,
		"settings.shutdownGrace=1h,settings.failoverTime=1s":        2*3600 + 2*1 + 10,
		"settings.shutdownGrace=1500ms,settings.failoverTime=1.25s": 2*2 + 2*2 + 10,
	} {
		if got := podSpec(t, render(t, set)["Deployment"])["terminationGracePeriodSeconds"]; got != want {
			t.Errorf("%s: terminationGracePeriodSeconds is %v, want %d", set, got, want)
		}
	}
}

func TestDaemon_HasTheMemoryThatItsBudgetTakes(t *testing.T) {
	for set, want := range map[string][2]string{
		"settings.memoryBudget=256MiB":                              {"389Mi", "389Mi"}, // 1.1 * (72 + 1.1 * 256)
		"settings.memoryBudget=1GiB":                                {"1319Mi", "1319Mi"},
		"settings.memoryBudget=100MB":                               {"195Mi", "195Mi"}, // 95.4 MiB
		"settings.memoryBudget=268435456":                           {"389Mi", "389Mi"},
		"settings.format=parquet":                                   {"389Mi", "389Mi"}, // the same
		"resources.limits.memory=1Gi,resources.limits.cpu=2":        {"1Gi", "1Gi"},
		"resources.limits.memory=329Mi":                             {"329Mi", "329Mi"}, // nine tenths are 33/32 of the budget and 32 MiB
		"resources.limits.memory=1Gi,resources.requests.memory=1Mi": {"1Gi", "1Mi"},
	} {
		r := container(t, render(t, set)["Deployment"])["resources"]
		if got := [2]string{fmt.Sprint(at(t, r, "limits", "memory")), fmt.Sprint(at(t, r, "requests", "memory"))}; got != want {
			t.Errorf("%s: limit and request are %v, want %v", set, got, want)
		}
		if at(t, r, "requests", "cpu") != "250m" {
			t.Errorf("%s: the request of CPU is gone", set)
		}
	}
}

func TestDaemon_HasProbesAndAVolumeForItsSpool(t *testing.T) {
	all := render(t, "settings.httpAddress=:9000", "settings.spoolSize=10GiB")
	spec, c := podSpec(t, all["Deployment"]), container(t, all["Deployment"])
	for probe, path := range map[string]string{"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"} {
		if at(t, c, probe, "httpGet", "path") != path || at(t, c, probe, "httpGet", "port") != "http" {
			t.Errorf("%s: %v", probe, c[probe])
		}
	}
	if at(t, c, "ports", 0, "containerPort") != 9000 {
		t.Errorf("ports: %v", c["ports"])
	}
	if got := at(t, spec, "volumes", 0, "emptyDir", "sizeLimit"); got != "11811160064" {
		t.Errorf("the spool of 10 GiB has a volume of %v", got)
	}
	if at(t, c, "volumeMounts", 0, "mountPath") != "/spool" || at(t, spec, "volumes", 0, "name") != "spool" {
		t.Error("the spool is not mounted")
	}
	bare := podSpec(t, render(t, "settings.spoolDir=")["Deployment"])
	if at(t, bare, "volumes", 0, "name") == "spool" {
		t.Error("there is a volume for a spool that is off")
	}
}

// The chart's own autoscaler is the one that docs/sizing.md shows and the simulation there uses.
func TestAutoscaling_IsTheDocumentedOne(t *testing.T) {
	_, block, _ := strings.Cut(string(read(t, "../docs/sizing.md")), "<!-- autoscaling -->\n```yaml\n")
	block, _, found := strings.Cut(block, "```\n<!-- /autoscaling -->")
	var documented node
	if err := yaml.Unmarshal([]byte(block), &documented); err != nil || !found {
		t.Fatalf("docs/sizing.md has no autoscaler: %v", err)
	}
	all := render(t, "autoscaling.enabled=true", fmt.Sprintf("autoscaling.shards=%v", documented["maxReplicas"]))
	spec := at(t, all["HorizontalPodAutoscaler"], "spec").(node)
	target := spec["scaleTargetRef"].(node)
	delete(spec, "scaleTargetRef")
	if !reflect.DeepEqual(spec, documented) {
		t.Errorf("the chart scales by\n%v\nthe docs by\n%v", spec, documented)
	}
	if target["name"] != at(t, all["Deployment"], "metadata", "name") || target["kind"] != "Deployment" {
		t.Errorf("it scales %v", target)
	}
	if at(t, all["Deployment"], "spec", "replicas") != nil {
		t.Error("an upgrade would set the replicas back")
	}
}

// An upgrade that removes the number of replicas resets it to 1, whoever set it before. So while the autoscaler is in
// charge, the chart repeats the number of the cluster. Rendered without a cluster, it omits the number.
func TestAutoscaling_LeavesTheReplicasThatThereAre(t *testing.T) {
	for name, c := range map[string]struct {
		live any // replicas; nil for no deployment
		sets []string
		want any
	}{
		"turned on":                {7, []string{"autoscaling.enabled=true", "autoscaling.shards=8"}, 7},
		"turned on, with KEDA":     {7, []string{"autoscaling.enabled=true", "autoscaling.shards=8", "autoscaling.type=keda", "autoscaling.keda.serverAddress=http://prometheus:9090"}, 7},
		"on, stopped by hand":      {0, []string{"autoscaling.enabled=true", "autoscaling.shards=8"}, 0},
		"on from the first":        {nil, []string{"autoscaling.enabled=true", "autoscaling.shards=8"}, nil},
		"off, the chart's own say": {7, []string{"replicas=3"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"template", "trips", "consumer", "--namespace", "pipeline", "--values", "consumer/ci/required.yaml",
				"--kube-version", "1.37.0", "--dry-run=server", "--kube-apiserver", apiServer(t, c.live)}
			for _, set := range c.sets {
				args = append(args, "--set", set)
			}
			text, err := helm(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			if got := at(t, resources(t, text)["Deployment"], "spec", "replicas"); got != c.want {
				t.Errorf("the deployment has %v replicas, the chart renders %v, want %v", c.live, got, c.want)
			}
		})
	}
}

// apiServer is a Kubernetes API with one deployment with that many replicas, or none. It returns its address.
func apiServer(t *testing.T, replicas any) string {
	t.Helper()
	answers := map[string]node{
		"/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
		"/api":     {"kind": "APIVersions", "versions": []string{"v1"}},
		"/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []node{{
			"name": "apps", "versions": []node{{"groupVersion": "apps/v1", "version": "v1"}}, "preferredVersion": node{"groupVersion": "apps/v1", "version": "v1"},
		}}},
		"/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []node{}},
		"/apis/apps/v1": {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "apps/v1", "resources": []node{{
			"name": "deployments", "singularName": "deployment", "namespaced": true, "kind": "Deployment", "verbs": []string{"get", "list"},
		}}},
	}
	if replicas != nil {
		answers["/apis/apps/v1/namespaces/pipeline/deployments/trips-consumer"] = node{
			"kind": "Deployment", "apiVersion": "apps/v1", "metadata": node{"name": "trips-consumer", "namespace": "pipeline"}, "spec": node{"replicas": replicas},
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = node{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound}
		}
		json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAutoscaling_ByKEDAEndsAtTheShards(t *testing.T) {
	keda := func(sets ...string) node {
		return render(t, append(sets, "autoscaling.enabled=true", "autoscaling.type=keda", "autoscaling.shards=8", "autoscaling.keda.serverAddress=http://prometheus:9090")...)["ScaledObject"]
	}
	if most := at(t, keda(), "spec", "maxReplicaCount"); most != 8 {
		t.Errorf("maxReplicaCount is %v", most)
	}
	six := keda("autoscaling.maxReplicas=6")
	const pods = `{namespace="pipeline",pod=~"trips-consumer-.*"}`
	for i, want := range []node{
		{"query": "sum(rate(consumer_read_bytes_total" + pods + "[15m]))", "threshold": "14000000"},
		{"query": "max(consumer_shard_behind_latest_seconds" + pods + " + (time() - consumer_shard_read_timestamp_seconds" + pods + "))", "threshold": "120"},
	} {
		want["serverAddress"] = "http://prometheus:9090"
		if got := at(t, six, "spec", "triggers", i, "metadata"); !reflect.DeepEqual(got, want) {
			t.Errorf("trigger %d is %v, want %v", i, got, want)
		}
	}
	if most := at(t, six, "spec", "maxReplicaCount"); most != 6 {
		t.Errorf("maxReplicaCount is %v", most)
	}
}

func TestSelectors_FindTheDaemonAlone(t *testing.T) {
	all := render(t, everything...)
	labels := func(n node) node { return at(t, n, "spec", "template", "metadata", "labels").(node) }
	matches := func(selector any, labels node) bool {
		for key, value := range selector.(node) {
			if labels[key] != value {
				return false
			}
		}
		return true
	}
	for what, selector := range map[string]any{
		"Deployment": at(t, all["Deployment"], "spec", "selector", "matchLabels"), "Service": at(t, all["Service"], "spec", "selector"),
		"PodDisruptionBudget": at(t, all["PodDisruptionBudget"], "spec", "selector", "matchLabels"),
		"spread":              at(t, podSpec(t, all["Deployment"]), "topologySpreadConstraints", 0, "labelSelector", "matchLabels"),
	} {
		if !matches(selector, labels(all["Deployment"])) || matches(selector, labels(all["Job"])) || matches(selector, at(t, all["Pod"], "metadata", "labels").(node)) {
			t.Errorf("%s selects by %v", what, selector)
		}
	}
	if policy := at(t, all["NetworkPolicy"], "spec", "podSelector", "matchLabels"); !matches(policy, labels(all["Deployment"])) || !matches(policy, labels(all["Job"])) {
		t.Errorf("the network policy selects by %v", policy)
	}
}

// STOP_POSITION makes the daemon a Job: a Deployment would start it again and again. Its pods are a work queue, so that all
// of them end with success, or none.
func TestReplay_IsAJobByOneValue(t *testing.T) {
	const stop = "settings.stopPosition=2026-11-24T11:00:00Z"
	all := render(t, stop, "replicas=3", "autoscaling.enabled=true", "autoscaling.shards=8", "monitor.enabled=true")
	for _, kind := range []string{"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Pod"} {
		if all[kind] != nil {
			t.Errorf("there is a %s: %v", kind, at(t, all[kind], "metadata", "name"))
		}
	}
	job, deployment := all["Job"], render(t, "replicas=3")["Deployment"]
	if at(t, job, "spec", "parallelism") != 3 || at(t, job, "spec", "completions") != nil || podSpec(t, job)["restartPolicy"] != "Never" {
		t.Errorf("the Job is %v", at(t, job, "spec"))
	}
	if rule := at(t, job, "spec", "podFailurePolicy", "rules", 0).(node); rule["action"] != "FailJob" || at(t, rule, "onExitCodes", "values", 0) != 3 {
		t.Errorf("records that are lost do not fail the Job: %v", rule)
	}
	ours, theirs := container(t, job), container(t, deployment)
	if got := environment(ours)["STOP_POSITION"]; got != "2026-11-24T11:00:00Z" || environment(theirs)["STOP_POSITION"] != "" {
		t.Errorf("STOP_POSITION is %q", got)
	}
	delete(ours, "env")
	delete(theirs, "env")
	if !reflect.DeepEqual(ours, theirs) {
		t.Errorf("the container is\n%v, that of the Deployment\n%v", ours, theirs)
	}
	if service := at(t, all["Service"], "spec", "selector"); component(t, service) != component(t, at(t, job, "spec", "template", "metadata", "labels")) {
		t.Errorf("the service does not select the Job's pods, but %v", service)
	}

	name := func(sets ...string) any { return at(t, render(t, append(sets, stop)...)["Job"], "metadata", "name") }
	first := name()
	for _, change := range []string{"settings.startPosition=2026-11-24T10:00:00Z", "settings.prefix=again/", "image.tag=v2", "resources.requests.cpu=500m"} {
		if name(change) == first {
			t.Errorf("%s changes a Job that is there", change)
		}
	}
}

// The last batches of a replay are loaded after its daemons have ended, so the loader is not in their pods.
func TestReplay_HasItsLoaderApart(t *testing.T) {
	table := []string{"table.uri=s3://lake/trips", "settings.format=parquet"}
	all := render(t, append(table, "settings.stopPosition=2026-11-24T11:00:00Z")...)
	if n := len(containers(t, all["Job"])); n != 1 {
		t.Errorf("the Job has %d containers, and ends with the last", n)
	}
	loader := container(t, all["Deployment"])
	want := containers(t, render(t, table...)["Deployment"])[1]
	delete(loader, "env")
	delete(want, "env")
	if !reflect.DeepEqual(loader, want) {
		t.Errorf("the loader is\n%v, want\n%v", loader, want)
	}
	selector := at(t, all["Deployment"], "spec", "selector", "matchLabels")
	for kind, want := range map[string]string{"Deployment": "loader", "Job": "daemon"} {
		if got := component(t, at(t, all[kind], "spec", "template", "metadata", "labels")); got != want || component(t, selector) != "loader" {
			t.Errorf("the pods of the %s are a %v, and the loader's Deployment selects %v", kind, got, selector)
		}
	}
}

func component(t *testing.T, labels any) any {
	t.Helper()
	return at(t, labels, "app.kubernetes.io/component")
}

// A Job is immutable, so its name depends on what it sends. A failed Job must not send again.
func TestProducer_SendsOnceForEachChange(t *testing.T) {
	name := func(sets ...string) any {
		return at(t, render(t, append(sets, "producer.enabled=true")...)["Job"], "metadata", "name")
	}
	first := name()
	if again := name("settings.format=parquet"); again != first {
		t.Errorf("an upgrade of the daemon sends again: %v, %v", first, again)
	}
	for _, change := range []string{"producer.generate=5", "producer.seed=2", "image.tag=v2", "settings.streamName=other"} {
		if name(change) == first {
			t.Errorf("%s changes a Job that is there", change)
		}
	}
	if limit := at(t, render(t, "producer.enabled=true")["Job"], "spec", "backoffLimit"); limit != 0 {
		t.Errorf("backoffLimit is %v", limit)
	}
}

func TestFiles_AreServed(t *testing.T) {
	all := render(t, "prometheusRule.enabled=true", "dashboard.enabled=true")
	var file node
	if err := yaml.Unmarshal(read(t, "consumer/files/alerts.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(at(t, all["PrometheusRule"], "spec", "groups"), file["groups"]) { // so its addresses of runbooks are the default
		t.Error("the PrometheusRule is not what the file says")
	}
	if at(t, all["ConfigMap"], "data", "consumer.json") != string(read(t, "consumer/files/dashboard.json")) {
		t.Error("the dashboard is not what the file says")
	}
	if off := render(t); off["PrometheusRule"] != nil || off["ConfigMap"] != nil {
		t.Error("rules or dashboard are there without having been asked for")
	}
}

// The dashboard's panels link to the runbooks that the alerts name, wherever these are.
func TestDashboard_LinksToTheRunbooksOfTheValues(t *testing.T) {
	for value, want := range map[string]string{
		"https://wiki.example.com/{alert}.html?v=1": "https://wiki.example.com/ConsumerNotReady.html?v=1",
		"https://wiki.example.com/runbooks/":        "https://wiki.example.com/runbooks/ConsumerNotReady",
		"":                                          "",
	} {
		text := at(t, render(t, "dashboard.enabled=true", "prometheusRule.runbookUrl="+value)["ConfigMap"], "data", "consumer.json").(string)
		var dashboard struct {
			Panels []struct{ Links []struct{ Title, URL string } }
		}
		if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
			t.Fatal(err)
		}
		links := 0
		for _, p := range dashboard.Panels {
			for _, l := range p.Links {
				links++
				if l.Title == "Runbook ConsumerNotReady" && l.URL != want {
					t.Errorf("%q: the link is %s, want %s", value, l.URL, want)
				}
			}
		}
		if (links > 0) != (want != "") || len(dashboard.Panels) < 30 {
			t.Errorf("%q: %d links in %d panels", value, links, len(dashboard.Panels))
		}
	}
}

// The demo's DynamoDB is of the version that the tests run.
func TestDemo_StartsTheDynamoDBThatIsTested(t *testing.T) {
	pinned := regexp.MustCompile(`<artifactId>DynamoDBLocal</artifactId>\s*<version>([^<]+)</version>`).FindSubmatch(read(t, "../internal/test/emulator/java/pom.xml"))
	image := regexp.MustCompile(`image: docker.io/amazon/dynamodb-local:(\S+)`).FindSubmatch(read(t, "demo/dynamodb.yaml"))
	if pinned == nil || image == nil || string(pinned[1]) != string(image[1]) {
		t.Errorf("the demo has %q, the tests %q", image, pinned)
	}
}
