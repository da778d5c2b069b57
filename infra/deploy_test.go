package infra_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/athena"
	"aws-streaming-pipeline/internal/test/emulator"
)

// account is an account of moto, which the scripts use through the real AWS CLI.
type account struct {
	t    *testing.T
	env  []string
	dist string
	cli  *cli
}

const region = "eu-west-1"

// scriptBound limits a script that hangs. A deployment takes half a minute of CLI calls, more on a busy machine.
const scriptBound = 8 * time.Minute

// open starts moto, adds what its CloudFormation lacks, and creates dummy packages: nobody runs them here.
func open(t *testing.T, env ...string) *account {
	t.Helper()
	tools, _ := emulator.Tools(t)
	moto := emulator.MotoWith(t, "testdata/stacks.py", env...)
	env = append(tools, "AWS_ENDPOINT_URL="+moto.URL, "DEPLOY_POLL_SECONDS=0")
	c := startCLI(t, env)
	// The command aws is this program. Under the race detector it would sleep for a second at its end (atexit_sleep_ms in the
	// documentation of Go's race detector), and a deployment runs a hundred commands.
	a := &account{t: t, dist: t.TempDir(), cli: c, env: append(env, c.env, "GORACE=atexit_sleep_ms=0", "PATH="+c.bin+string(os.PathListSeparator)+os.Getenv("PATH"))}
	for _, name := range []string{"init", "write-to-s3", "send-to-firehose", "scale-stream"} {
		a.pack(name, "1")
	}
	return a
}

// pack writes a package of a function.
func (a *account) pack(function, version string) {
	a.t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("bootstrap")
	if err == nil {
		_, err = fmt.Fprintf(f, "%s %s", function, version)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(a.dist, function+"-arm64.zip"), b.Bytes(), 0o600)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// run runs a script of this folder and returns its output, and whether it succeeds. It cannot ask questions.
func (a *account) run(script string, args ...string) (string, bool) {
	a.t.Helper()
	out, code := a.exit(script, args...)
	return out, code == 0
}

// exit runs a script, and returns what it says and its exit code.
func (a *account) exit(script string, args ...string) (string, int) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), scriptBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "./"+script, args...)
	cmd.Env = a.env
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		a.t.Fatalf("%s %v: %v\n%s", script, args, ctx.Err(), out)
	}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		a.t.Fatalf("%s %v: %v", script, args, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (a *account) deploy(args ...string) (string, bool) {
	a.t.Helper()
	return a.run("deploy", append([]string{"--stage", "dev", "--new-stage", "--region", region, "--no-build", "--dist", a.dist}, args...)...)
}

// want fails unless the value at a path of an answer, such as a[0].b, prints like the wanted value.
func want(t *testing.T, answer any, path string, wanted any) {
	t.Helper()
	if got := at(answer, path); fmt.Sprint(got) != fmt.Sprint(wanted) {
		t.Errorf("%s is %v, want %v", path, got, wanted)
	}
}

func at(v any, path string) any {
	for step := range strings.SplitSeq(strings.ReplaceAll(path, "[", ".["), ".") {
		var i int
		if _, err := fmt.Sscanf(step, "[%d]", &i); err == nil {
			many, _ := v.([]any)
			if i >= len(many) {
				return nil
			}
			v = many[i]
		} else if step != "" {
			v = asNode(v)[step]
		}
	}
	return v
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in\n%s", part, text)
		}
	}
}

const image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/pipeline/consumer:1.0.0"

// The life of a stage, from creation to deletion. The steps build on each other.
func TestStage_IsDeployedChangedAndDeleted(t *testing.T) {
	t.Parallel()
	a := open(t)
	check := func(name string, run func(t *testing.T)) bool {
		return t.Run(name, func(t *testing.T) {
			a.t = t
			run(t)
		})
	}
	step := func(name string, run func(t *testing.T)) {
		if !check(name, run) {
			t.FailNow() // what follows builds on it
		}
	}
	step("a dry run of nothing shows all stacks and makes none", func(t *testing.T) {
		out, ok := a.deploy("--dry-run", "--with-consumer", "--image", image, "--set", "RetentionHours=48")
		if !ok {
			t.Fatal(out)
		}
		has(t, out, "stage dev of streaming-pipeline does not exist in account 123456789012, region eu-west-1. Its stages there: none")
		part := out
		for _, kind := range []string{"data-sources", "stream", "athena", "consumer"} {
			_, part, _ = strings.Cut(part, "stack streaming-pipeline-dev-"+kind+", which is new\n")
			if part == "" {
				t.Fatalf("there is no stack %s after the others in\n%s", kind, out)
			}
			tpl := load(t, strings.Replace(kind, "consumer", "consumer-ecs", 1))
			own, _, _ := strings.Cut(part, "\nstack ")
			for id, r := range tpl.resources {
				if !regexp.MustCompile(`(?m)^  Add +` + r.kind + ` +` + id + `( \(if ` + r.condition + `\))?$`).MatchString(own) {
					t.Errorf("stack %s does not show %s %s", kind, r.kind, id)
				}
			}
			if shown := strings.Count(own, "  Add "); shown != len(tpl.resources) {
				t.Errorf("stack %s shows %d resources of %d", kind, shown, len(tpl.resources))
			}
		}
		has(t, out, "  RetentionHours is 48\n", "  Image is "+image+"\n", "  VpcId is vpc-", "it uses outputs of the stacks before it: AlarmTopicArn", "other parameters have their defaults")
		if strings.Contains(out, "is required") {
			t.Errorf("something is required:\n%s", out)
		}
		if left := at(a.aws("cloudformation", "describe-stacks"), "Stacks"); len(list(left)) != 0 {
			t.Errorf("the dry run leaves %v", left)
		}
	})
	step("a stage that does not exist is not created by mistake", func(t *testing.T) {
		out, ok := a.run("deploy", "--stage", "dve", "--region", region, "--no-build", "--dist", a.dist)
		if ok {
			t.Fatalf("succeeds:\n%s", out)
		}
		has(t, out, "stage dve of streaming-pipeline does not exist", "--new-stage creates it")
		if left := at(a.aws("cloudformation", "describe-stacks"), "Stacks"); len(list(left)) != 0 {
			t.Errorf("there are %v", left)
		}
	})
	step("without the placeholder the stream stack is not tried", func(t *testing.T) {
		out, ok := a.deploy("--dist", t.TempDir())
		if ok {
			t.Fatalf("succeeds:\n%s", out)
		}
		has(t, out, "the placeholder s3://streaming-pipeline-dev-deploy-123456789012-eu-west-1/functions/init-arm64.zip is missing", "--no-build")
		if strings.Contains(out, "stack streaming-pipeline-dev-stream") {
			t.Errorf("goes on:\n%s", out)
		}
	})
	step("all stacks are created", func(t *testing.T) {
		out, ok := a.deploy("--with-consumer", "--image", image)
		if !ok {
			t.Fatal(out)
		}
		has(t, out, "account 123456789012, region eu-west-1, stage dev of streaming-pipeline",
			"uploaded s3://streaming-pipeline-dev-deploy-123456789012-eu-west-1/functions/init-arm64.zip",
			"CREATE_COMPLETE          DeliveryStream", "created the role AWSServiceRoleForECS", "streaming-pipeline-dev-consumer: CREATE_COMPLETE", "ConsumerServiceName          consumer")
	})
	check("outputs are exported", func(t *testing.T) { checkExports(t, a) })
	check("buckets are as the templates say", func(t *testing.T) { checkBuckets(t, a) })
	check("the stream feeds two functions", func(t *testing.T) { checkStream(t, a) })
	check("Firehose writes 5 MB or 300 s", func(t *testing.T) { checkFirehose(t, a) })
	check("tables and queries are there", func(t *testing.T) { checkAthena(t, a) })
	check("the daemon runs on Fargate", func(t *testing.T) { checkConsumer(t, a) })
	check("every alarm is there", func(t *testing.T) { checkAlarms(t, a) })

	step("a dry run of a change shows it and changes nothing", func(t *testing.T) {
		out, ok := a.deploy("--with-consumer", "--dry-run", "--set", "RetentionHours=48")
		if !ok {
			t.Fatal(out)
		}
		has(t, out, "Modify   AWS::Kinesis::Stream")
		if strings.Count(out, "nothing to change") != 3 {
			t.Errorf("something else changes:\n%s", out)
		}
		want(t, a.aws("kinesis", "describe-stream-summary", "--stream-name", "streaming-pipeline-dev"), "StreamDescriptionSummary.RetentionPeriodHours", 24)
	})
	step("a parameter is changed", func(t *testing.T) {
		out, ok := a.deploy("--with-consumer", "--set", "RetentionHours=48", "--set", `PartitionQuery={customer:."a b"}`,
			"--set", "Table=glue://lake/trips,postgres://db.example.com/lake/trips", "--set", "Format=parquet",
			"--set", "PostgresAuth=iam", "--set", "PostgresUser=loader")
		if !ok {
			t.Fatal(out)
		}
		has(t, out, "Modify   AWS::Kinesis::Stream", "Modify   AWS::ECS::TaskDefinition", "streaming-pipeline-dev-stream: UPDATE_COMPLETE")
		want(t, a.aws("kinesis", "describe-stream-summary", "--stream-name", "streaming-pipeline-dev"), "StreamDescriptionSummary.RetentionPeriodHours", 48)
		task := a.aws("ecs", "describe-task-definition", "--task-definition", "streaming-pipeline-dev-consumer")
		want(t, variableOf(task, "PARTITION_QUERY"), "value", `{customer:."a b"}`)
		want(t, task, "taskDefinition.containerDefinitions[1].name", "loader")
		want(t, variableOf(task, "TABLE"), "value", "glue://lake/trips,postgres://db.example.com/lake/trips")
	})
	step("new code is another key, which the function is given; what was set before stays", func(t *testing.T) {
		a.pack("write-to-s3", "2")
		out, ok := a.deploy("--with-consumer")
		if !ok {
			t.Fatal(out)
		}
		has(t, out, "uploaded s3://", "functions/write-to-s3-arm64-", "Modify   AWS::Lambda::Function", "WriteToS3Function")
		if strings.Contains(out, "SendToFirehoseFunction\n") || strings.Contains(out, "AWS::Kinesis::Stream") || strings.Count(out, "nothing to change") != 3 {
			t.Errorf("something else changes, too:\n%s", out)
		}
		parameters := at(a.aws("cloudformation", "describe-stacks", "--stack-name", "streaming-pipeline-dev-stream"), "Stacks[0].Parameters")
		if key := parameter(parameters, "WriteToS3Key"); !regexp.MustCompile(`^functions/write-to-s3-arm64-[0-9a-f]{16}\.zip$`).MatchString(key) {
			t.Errorf("the code is %s", key)
		}
		if hours := parameter(parameters, "RetentionHours"); hours != "48" {
			t.Errorf("the retention is %s", hours)
		}
	})
	step("a mistyped stage, or another account, changes nothing", func(t *testing.T) {
		for _, script := range []string{"deploy", "destroy"} {
			out, ok := a.run(script, "--stage", "devv", "--region", region)
			if ok {
				t.Fatalf("succeeds:\n%s", out)
			}
			has(t, out, "in account 123456789012, region eu-west-1. Its stages there: dev")
			out, ok = a.run(script, "--stage", "dev", "--region", region, "--account", "210987654321")
			if ok {
				t.Fatalf("succeeds:\n%s", out)
			}
			has(t, out, "--account 210987654321: the credentials are those of account 123456789012")
		}
		if count := len(list(at(a.aws("cloudformation", "describe-stacks"), "Stacks"))); count != 4 {
			t.Errorf("there are %d stacks", count)
		}
	})
	step("data stops a deletion", func(t *testing.T) {
		out, ok := a.run("destroy", "--stage", "dev", "--region", region, "--yes-really")
		if ok {
			t.Fatalf("succeeds:\n%s", out)
		}
		has(t, out, "there are objects in streaming-pipeline-dev-deploy-123456789012-eu-west-1: --empty-buckets deletes them")
	})
	step("nobody to ask stops a deletion", func(t *testing.T) {
		out, ok := a.run("destroy", "--stage", "dev", "--region", region, "--empty-buckets")
		if ok {
			t.Fatalf("succeeds:\n%s", out)
		}
		has(t, out, "there is no terminal to ask on")
		if count := len(list(at(a.aws("cloudformation", "describe-stacks"), "Stacks"))); count != 4 {
			t.Errorf("%d stacks are left", count)
		}
	})
	step("told so, everything is deleted", func(t *testing.T) {
		out, ok := a.run("destroy", "--stage", "dev", "--region", region, "--empty-buckets", "--yes-really")
		if !ok {
			t.Fatal(out)
		}
		// Stacks that import are deleted before those that export.
		order := regexp.MustCompile(`(?m)^  streaming-pipeline-dev-([a-z-]+): DELETE_COMPLETE`).FindAllStringSubmatch(out, -1)
		var names []string
		for _, m := range order {
			names = append(names, m[1])
		}
		if !slices.Equal(names, []string{"consumer", "athena", "stream", "data-sources"}) {
			t.Errorf("deleted in the order %v:\n%s", names, out)
		}
		if left := at(a.aws("s3api", "list-buckets"), "Buckets"); len(list(left)) != 0 {
			t.Errorf("buckets are left: %v", left)
		}
		if left := at(a.aws("cloudformation", "list-exports"), "Exports"); len(list(left)) != 0 {
			t.Errorf("exports are left: %v", left)
		}
		if left := at(a.aws("kinesis", "list-streams"), "StreamNames"); len(list(left)) != 0 {
			t.Errorf("streams are left: %v", left)
		}
	})
}

func parameter(parameters any, name string) string {
	for _, p := range list(parameters) {
		if asNode(p)["ParameterKey"] == name {
			return fmt.Sprint(asNode(p)["ParameterValue"])
		}
	}
	return ""
}

func variableOf(task any, name string) any {
	for _, c := range list(at(task, "taskDefinition.containerDefinitions")) {
		for _, v := range list(asNode(c)["environment"]) {
			if asNode(v)["name"] == name {
				return v
			}
		}
	}
	return nil
}

func checkExports(t *testing.T, a *account) {
	var wanted []string
	for _, tpl := range loadAll(t) {
		for name := range tpl.outputs {
			wanted = append(wanted, "streaming-pipeline-dev-"+name)
		}
	}
	var got []string
	for _, e := range list(at(a.aws("cloudformation", "list-exports"), "Exports")) {
		got = append(got, asNode(e)["Name"].(string))
		if asNode(e)["Value"] == "" {
			t.Errorf("%v is empty", e)
		}
	}
	slices.Sort(wanted)
	if slices.Sort(got); !slices.Equal(got, wanted) {
		t.Errorf("exported are\n%v\nwant\n%v", got, wanted)
	}
	for _, s := range list(at(a.aws("cloudformation", "describe-stacks"), "Stacks")) {
		if tags := fmt.Sprint(asNode(s)["Tags"]); !strings.Contains(tags, "streaming-pipeline") || !strings.Contains(tags, "dev") {
			t.Errorf("%v has the tags %s", asNode(s)["StackName"], tags)
		}
	}
}

func checkBuckets(t *testing.T, a *account) {
	for _, kind := range []string{"deploy", "output", "athena"} {
		bucket := "streaming-pipeline-dev-" + kind + "-123456789012-eu-west-1"
		want(t, a.aws("s3api", "get-bucket-encryption", "--bucket", bucket), "ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm", "AES256")
		want(t, a.aws("s3api", "get-public-access-block", "--bucket", bucket), "PublicAccessBlockConfiguration",
			node{"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true})
		want(t, a.aws("s3api", "get-bucket-lifecycle-configuration", "--bucket", bucket), "Rules[0].AbortIncompleteMultipartUpload.DaysAfterInitiation", 7)
		tags := fmt.Sprint(a.aws("s3api", "get-bucket-tagging", "--bucket", bucket))
		has(t, tags, "project", "streaming-pipeline", "stage", "dev")
		if kind != "athena" {
			want(t, a.aws("s3api", "get-bucket-versioning", "--bucket", bucket), "Status", "Enabled")
		}
	}
	schema := a.aws("s3api", "head-object", "--bucket", "streaming-pipeline-dev-deploy-123456789012-eu-west-1", "--key", "schema/trips.json")
	want(t, schema, "ContentLength", len(athena.TripsSchema))
}

func checkStream(t *testing.T, a *account) {
	summary := at(a.aws("kinesis", "describe-stream-summary", "--stream-name", "streaming-pipeline-dev"), "StreamDescriptionSummary")
	want(t, summary, "OpenShardCount", 2)
	want(t, summary, "RetentionPeriodHours", 24)
	want(t, summary, "StreamModeDetails.StreamMode", "PROVISIONED")

	for function, variable := range map[string]node{
		"write-to-s3":      {"DESTINATION_S3_BUCKET": "streaming-pipeline-dev-output-123456789012-eu-west-1"},
		"send-to-firehose": {"FIREHOSE_DELIVERY_STREAM": "streaming-pipeline-dev"},
		"scale-stream":     {"STREAM_NAME": "streaming-pipeline-dev", "DRY_RUN": "false", "MAX_SHARDS": "16"},
	} {
		c := a.aws("lambda", "get-function-configuration", "--function-name", "streaming-pipeline-dev-"+function)
		want(t, c, "Handler", "bootstrap")
		want(t, c, "Runtime", "provided.al2023")
		want(t, c, "Architectures", "[arm64]")
		for name, value := range variable {
			want(t, c, "Environment.Variables."+name, value)
		}
		if role := fmt.Sprint(c["Role"]); !strings.Contains(role, logicalRole(function)) {
			t.Errorf("%s has the role %s", function, role)
		}
	}
	mappings := list(at(a.aws("lambda", "list-event-source-mappings"), "EventSourceMappings"))
	if len(mappings) != 2 {
		t.Fatalf("the mappings are %v", mappings)
	}
	for _, m := range mappings {
		want(t, m, "BatchSize", 1000)
		want(t, m, "MaximumBatchingWindowInSeconds", 60)
		want(t, m, "FunctionResponseTypes", "[ReportBatchItemFailures]")
		want(t, m, "DestinationConfig.OnFailure.Destination", "arn:aws:s3:::streaming-pipeline-dev-output-123456789012-eu-west-1")
		want(t, m, "EventSourceArn", "arn:aws:kinesis:eu-west-1:123456789012:stream/streaming-pipeline-dev")
	}
	groups := a.aws("logs", "describe-log-groups")
	kept := make(map[string]any)
	for _, g := range list(groups["logGroups"]) {
		kept[asNode(g)["logGroupName"].(string)] = asNode(g)["retentionInDays"]
	}
	for _, name := range []string{"/aws/lambda/streaming-pipeline-dev-write-to-s3", "/aws/kinesisfirehose/streaming-pipeline-dev", "/streaming-pipeline/dev/consumer"} {
		if fmt.Sprint(kept[name]) != "30" {
			t.Errorf("%s keeps logs for %v days", name, kept[name])
		}
	}
	rule := a.aws("events", "describe-rule", "--name", "streaming-pipeline-dev-scale-stream")
	want(t, rule, "ScheduleExpression", "rate(1 minute)")
}

func logicalRole(function string) string {
	return map[string]string{"write-to-s3": "WriteToS3Role", "send-to-firehose": "SendToFirehoseRole", "scale-stream": "ScaleStreamRole"}[function]
}

func checkFirehose(t *testing.T, a *account) {
	d := at(a.aws("firehose", "describe-delivery-stream", "--delivery-stream-name", "streaming-pipeline-dev"), "DeliveryStreamDescription")
	want(t, d, "DeliveryStreamType", "DirectPut")
	s3 := at(d, "Destinations[0].ExtendedS3DestinationDescription")
	want(t, s3, "Prefix", "context=firehose_delivery/")
	want(t, s3, "ErrorOutputPrefix", "errors/firehose/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/")
	want(t, s3, "BufferingHints", node{"IntervalInSeconds": 300, "SizeInMBs": 5})
	want(t, s3, "BucketARN", "arn:aws:s3:::streaming-pipeline-dev-output-123456789012-eu-west-1")
	want(t, s3, "CloudWatchLoggingOptions.Enabled", true)
}

func checkAthena(t *testing.T, a *account) {
	group := a.aws("athena", "get-work-group", "--work-group", "streaming-pipeline-dev")
	want(t, group, "WorkGroup.Configuration.BytesScannedCutoffPerQuery", "1.073741824e+10")
	want(t, group, "WorkGroup.Configuration.EnforceWorkGroupConfiguration", true)
	queries, err := filepath.Glob("../athena/queries/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	if ids := list(a.aws("athena", "list-named-queries", "--work-group", "streaming-pipeline-dev")["NamedQueryIds"]); len(ids) != len(queries) {
		t.Errorf("%d of %d queries are there", len(ids), len(queries))
	}
	const root = "s3://streaming-pipeline-dev-output-123456789012-eu-west-1/"
	for _, table := range athena.Tables("streaming-pipeline-dev-output-123456789012-eu-west-1") {
		got := at(a.aws("glue", "get-table", "--database-name", "streaming_pipeline_dev", "--name", table.Name), "Table")
		want(t, got, "StorageDescriptor.Location", table.Location)
		parameters := asNode(at(got, "Parameters"))
		if parameters["storage.location.template"] != table.LocationTemplate || !strings.HasPrefix(table.LocationTemplate, root) {
			t.Errorf("%s lies in %v", table.Name, parameters["storage.location.template"])
		}
		if parameters["projection.enabled"] != "true" || len(list(at(got, "PartitionKeys"))) != len(table.Partitions) {
			t.Errorf("%s is not projected over %v", table.Name, table.Partitions)
		}
	}
}

func checkConsumer(t *testing.T, a *account) {
	table := at(a.aws("dynamodb", "describe-table", "--table-name", "streaming-pipeline-dev-checkpoints"), "Table")
	want(t, table, "KeySchema", []any{node{"AttributeName": "leaseKey", "KeyType": "HASH"}})
	want(t, table, "BillingModeSummary.BillingMode", "PAY_PER_REQUEST")

	service := at(a.aws("ecs", "describe-services", "--cluster", "streaming-pipeline-dev", "--services", "consumer"), "services[0]")
	want(t, service, "desiredCount", 1)

	task := a.aws("ecs", "describe-task-definition", "--task-definition", "streaming-pipeline-dev-consumer")
	if len(list(at(task, "taskDefinition.containerDefinitions"))) != 2 {
		t.Errorf("without a table the containers are %v", at(task, "taskDefinition.containerDefinitions"))
	}
	want(t, task, "taskDefinition.cpu", 1024)
	want(t, task, "taskDefinition.memory", 2048)
	for name, value := range map[string]string{
		"STREAM_NAME": "streaming-pipeline-dev", "BUCKET": "streaming-pipeline-dev-output-123456789012-eu-west-1",
		"CHECKPOINT_TABLE": "streaming-pipeline-dev-checkpoints", "CHECKPOINT_TABLE_CREATE": "false", "SPOOL_DIR": "/spool",
		"PREFIX": "data/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/",
	} {
		want(t, variableOf(task, name), "value", value)
	}
	parameters := at(a.aws("cloudformation", "describe-stacks", "--stack-name", "streaming-pipeline-dev-consumer"), "Stacks[0].Parameters")
	for name, value := range map[string]string{
		"ImageRepositoryArn": "arn:aws:ecr:eu-west-1:123456789012:repository/pipeline/consumer", "Image": image,
		"Architecture": "ARM64", "AssignPublicIp": "ENABLED",
	} {
		if got := parameter(parameters, name); got != value {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
	policies := list(a.aws("application-autoscaling", "describe-scaling-policies", "--service-namespace", "ecs")["ScalingPolicies"])
	if len(policies) != 2 {
		t.Errorf("the scaling policies are %v", policies)
	}
	target := a.aws("application-autoscaling", "describe-scalable-targets", "--service-namespace", "ecs")
	want(t, target, "ScalableTargets[0].MaxCapacity", 4)
}

func checkAlarms(t *testing.T, a *account) {
	var wanted []string
	for _, tpl := range loadAll(t) {
		for _, id := range tpl.ofKind("AWS::CloudWatch::Alarm") {
			if c := tpl.resources[id].condition; c == "LoadsTable" || c == "TableInPostgres" {
				continue // there is no table
			}
			name := tpl.resources[id].properties["AlarmName"].(node)["Fn::Sub"].(string)
			wanted = append(wanted, strings.NewReplacer("${Project}", "streaming-pipeline", "${Stage}", "dev").Replace(name))
		}
	}
	there := make(map[string]bool)
	for _, alarm := range list(a.aws("cloudwatch", "describe-alarms")["MetricAlarms"]) {
		there[asNode(alarm)["AlarmName"].(string)] = true
	}
	slices.Sort(wanted)
	if got := slices.Sorted(maps.Keys(there)); !reflect.DeepEqual(got, wanted) {
		t.Errorf("the alarms are %v, want %v", got, wanted)
	}
}

// A stack that waits for an operator is not touched, and the script says what to do.
func TestDeploy_SaysHowToGoOnWithAStackThatIsStuck(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	stub := `#!/bin/sh
case "$1 $2" in
"sts get-caller-identity") echo arn:aws:iam::123456789012:user/test ;;
"cloudformation describe-stacks") printf 'status\t%s\nid\tstack\nprotected\tFalse\n' "$STATUS" ;;
*) echo "aws $*: not expected" >&2; exit 1 ;;
esac
`
	if err := os.WriteFile(filepath.Join(folder, "aws"), []byte(stub), 0o700); err != nil {
		t.Fatal(err)
	}
	const command = "aws cloudformation %s --region eu-west-1 --stack-name streaming-pipeline-dev-data-sources. Then deploy again"
	for status, says := range map[string]string{
		"ROLLBACK_COMPLETE":      fmt.Sprintf(command, "delete-stack"),
		"ROLLBACK_FAILED":        fmt.Sprintf(command, "delete-stack"),
		"DELETE_FAILED":          fmt.Sprintf(command, "delete-stack"),
		"IMPORT_ROLLBACK_FAILED": fmt.Sprintf(command, "delete-stack"),
		"UPDATE_ROLLBACK_FAILED": fmt.Sprintf(command, "continue-update-rollback"),
		"UPDATE_IN_PROGRESS":     "somebody else is changing it",
		"ROLLBACK_IN_PROGRESS":   "somebody else is changing it",
	} {
		a := &account{t: t, dist: folder, env: []string{"PATH=" + folder + string(os.PathListSeparator) + os.Getenv("PATH"), "STATUS=" + status}}
		if out, ok := a.deploy(); ok || !strings.Contains(out, "is "+status) || !strings.Contains(out, says) {
			t.Errorf("with a stack that is %s it says %q, want %q", status, out, says)
		}
	}
}

// stubAWS creates a command aws that writes its arguments to a file and answers by a script, and an account that uses it.
func stubAWS(t *testing.T, answers string) (a *account, calls func() string) {
	t.Helper()
	folder := t.TempDir()
	log := filepath.Join(folder, "calls")
	stub := "#!/bin/sh\necho \"$*\" >>'" + log + "'\nfor last; do case $last in file://*parameters.json) cat \"${last#file://}\" >>'" + log + "' ;; esac; done\n" + answers
	if err := os.WriteFile(filepath.Join(folder, "aws"), []byte(stub), 0o700); err != nil {
		t.Fatal(err)
	}
	a = &account{t: t, dist: folder, env: []string{"PATH=" + folder + string(os.PathListSeparator) + os.Getenv("PATH"), "DEPLOY_POLL_SECONDS=0"}}
	for _, name := range []string{"init", "write-to-s3", "send-to-firehose", "scale-stream"} {
		a.pack(name, "1")
	}
	return a, func() string {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// The parameters of a consumer that was imported, and whose first update failed, have neither a network nor an image.
func TestDeploy_FindsTheNetworkOfAStackThatHasBeenImportedAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, parameters string
		finds            bool
	}{
		{"imported alone", `parameter\tProject\nparameter\tStage\nparameter\tDeletionProtection\n`, true},
		{"deployed", `parameter\tProject\nparameter\tVpcId\nparameter\tSubnetIds\nparameter\tImage\n`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, calls := stubAWS(t, `case "$1 $2" in
"sts get-caller-identity") echo arn:aws:iam::123456789012:user/test ;;
"cloudformation describe-stacks") case $* in
*-consumer*) printf 'status\tUPDATE_ROLLBACK_COMPLETE\nid\tstack\nprotected\tFalse\n`+c.parameters+`' ;;
*) printf 'status\tUPDATE_COMPLETE\nid\tstack\nprotected\tFalse\noutput\tDeploymentBucketName\tbucket\noutput\tStreamName\tstream\n' ;;
esac ;;
"cloudformation describe-change-set") printf "FAILED\tThe submitted information didn't contain changes.\n" ;;
"ec2 describe-vpcs") echo vpc-1 ;;
"ec2 describe-subnets") echo subnet-1 ;;
esac
`)
			if out, ok := a.deploy("--with-consumer"); ok == c.finds || c.finds && !strings.Contains(out, "needs --image the first time") {
				t.Errorf("without an image:\n%s", out)
			}
			if out, ok := a.deploy("--with-consumer", "--image", image); !ok {
				t.Fatal(out)
			}
			if got := strings.Contains(calls(), `{"ParameterKey":"VpcId","ParameterValue":"vpc-1"}`); got != c.finds {
				t.Errorf("it looks for the network: %v, want %v", got, c.finds)
			}
		})
	}
}

// A stream that leaves on-demand mode begins with its current shards, unless the caller gives their number.
func TestDeploy_LeavesAStreamItsShardsAsItLeavesOnDemandMode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode string // of the stream
		sets []string
		want string
	}{
		{"ON_DEMAND", []string{"--set", "StreamMode=PROVISIONED"}, `{"ParameterKey":"ShardCount","ParameterValue":"16"}`},
		{"ON_DEMAND", []string{"--set", "StreamMode=PROVISIONED", "--set", "ShardCount=8"}, `{"ParameterKey":"ShardCount","ParameterValue":"8"}`},
		{"ON_DEMAND", []string{"--set", "RetentionHours=48"}, `{"ParameterKey":"ShardCount","UsePreviousValue":true}`},
		{"PROVISIONED", []string{"--set", "RetentionHours=48"}, `{"ParameterKey":"ShardCount","ParameterValue":"16"}`},
		{"PROVISIONED", []string{"--set", "StreamMode=ON_DEMAND"}, `{"ParameterKey":"ShardCount","UsePreviousValue":true}`},
	} {
		a, calls := stubAWS(t, `case "$1 $2" in
"sts get-caller-identity") echo arn:aws:iam::123456789012:user/test ;;
"cloudformation describe-stacks")
	printf 'status\tUPDATE_COMPLETE\nid\tstack\nprotected\tFalse\nshards\t2\nparameter\tShardCount\noutput\tDeploymentBucketName\tbucket\noutput\tStreamName\tstream\n' ;;
"cloudformation describe-change-set") case $* in
*Status*) echo CREATE_COMPLETE ;;
*-stream*) printf 'Modify\tFalse\tAWS::Kinesis::Stream\tStream\n' ;;
esac ;;
"kinesis describe-stream-summary") printf '`+c.mode+`\t16\t24\n' ;;
esac
`)
		if out, ok := a.deploy(append(c.sets, "--dry-run")...); !ok {
			t.Fatal(out)
		}
		all := calls()
		if last := all[strings.LastIndex(all, `"ShardCount"`)-len(`{"ParameterKey":`):]; !strings.HasPrefix(last, c.want) {
			t.Errorf("a stream in mode %s, %v: %.80s, want %s", c.mode, c.sets, last, c.want)
		}
	}
}

// Mistakes on the command line are reported before any call, with the exit code that they have in the programs.
func TestScripts_RefuseWhatTheyDoNotKnow(t *testing.T) {
	a := &account{t: t, env: []string{"PATH=" + os.Getenv("PATH")}}
	for _, c := range []struct {
		script string
		args   []string
		says   string
	}{
		{"deploy", nil, "--stage is required"},
		{"deploy", []string{"--stage", "Dev"}, "--stage Dev: want 2 to 8 lower-case letters and digits"},
		{"deploy", []string{"--stage"}, "--stage needs a value"},
		{"deploy", []string{"--stage", "dev", "--project", "x"}, "--project x: want 3 to 18"},
		{"deploy", []string{"--stage", "dev", "--arch", "mips"}, "--arch mips: want arm64 or amd64"},
		{"deploy", []string{"--stage", "dev", "--set", "RetentionHours"}, "--set RetentionHours: want NAME=VALUE"},
		{"deploy", []string{"--stage", "dev", "--set", "Retention=48"}, "no template of data-sources stream athena has this parameter"},
		{"deploy", []string{"--stage", "dev", "--set", "Stage=prod"}, "--set Stage: use --stage"},
		{"deploy", []string{"--stage", "dev", "--set", "MaxTasks=3"}, "no template of data-sources stream athena has this parameter"},
		{"deploy", []string{"--stag", "dev"}, "--stag is not known"},
		{"deploy", []string{"--stage", "dev", "--region", "Ireland"}, "--region Ireland: want a region such as eu-west-1"},
		{"deploy", []string{"--stage", "dev", "--account", "1234"}, "--account 1234: want the 12 digits of an account"},
		{"deploy", []string{"--stage", "dev", "--image", "owner/consumer:1"}, "--image owner/consumer:1: want --with-consumer as well"},
		{"deploy", []string{"--stage", "dev", "--vpc", "vpc-1"}, "want --with-consumer as well"},
		{"deploy", []string{"--stage", "dev", "--with-consumer", "--image", "localhost:5000/consumer"}, "--image localhost:5000/consumer: want a tag or a digest"},
		{"deploy", []string{"--stage", "dev", "--with-consumer", "--set", "Image=consumer"}, "--image consumer: want a tag or a digest"},
		{"deploy", []string{"--stage", "dev", "--with-consumer", "--vpc", "default"}, "--vpc default: want the id of a VPC"},
		{"deploy", []string{"--stage", "dev", "--with-consumer", "--subnets", "subnet-1 subnet-2"}, "want ids of subnets with commas between them"},
		{"destroy", []string{"--stage", "dev", "--region", "eu-west"}, "--region eu-west: want a region"},
		{"destroy", []string{"--stage", "prod"}, "nothing is deleted without --yes-really"},
		{"destroy", []string{"--stage", "prod", "--yes-really", "--empty-buckets"}, "in prod the buckets stay"},
		{"destroy", []string{"--stage", "dev", "--all"}, "--all is not known"},
	} {
		if out, code := a.exit(c.script, c.args...); code != 2 || !strings.Contains(out, c.says) {
			t.Errorf("%s %v ends with %d and says %q, want 2 and %q", c.script, c.args, code, out, c.says)
		}
	}
	for _, script := range []string{"deploy", "destroy"} {
		if out, ok := a.run(script, "--help"); !ok || !strings.Contains(out, "--stage NAME") {
			t.Errorf("%s --help: %s", script, out)
		}
	}
}
