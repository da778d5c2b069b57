package infra_test

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParameters_HaveASentenceAndABound(t *testing.T) {
	// Rules for texts that a pattern cannot check.
	free := map[string]bool{"PartitionQuery": true, "TransformQuery": true, "BloomColumns": true}
	for _, tpl := range loadAll(t) {
		for name, p := range tpl.parameters {
			description, _ := p["Description"].(string)
			if !strings.HasSuffix(description, ".") {
				t.Errorf("%s: %s has the description %q, which is not a sentence", tpl.name, name, description)
			}
			_, pattern := p["AllowedPattern"]
			_, values := p["AllowedValues"]
			_, least := p["MinValue"]
			_, most := p["MaxValue"]
			aws := strings.HasPrefix(p["Type"].(string), "AWS::") || strings.HasPrefix(p["Type"].(string), "List<AWS::")
			if !pattern && !values && !(least && most) && !aws && !free[name] {
				t.Errorf("%s: %s takes anything", tpl.name, name)
			}
			if _, says := p["ConstraintDescription"]; pattern && !says {
				t.Errorf("%s: %s does not say what its pattern wants", tpl.name, name)
			}
		}
	}
}

// The linters do not check this if a template has a transform.
func TestTemplates_UseWhatTheyDeclare(t *testing.T) {
	for _, tpl := range loadAll(t) {
		used := make(map[string]bool)
		all := asAny(tpl).(node)
		for name, c := range tpl.conditions {
			all["condition "+name] = c
		}
		walk(all, "", func(_ string, v any) {
			switch v := v.(type) {
			case string:
				for _, m := range regexp.MustCompile(`\$\{([A-Za-z0-9]+)[.}]`).FindAllStringSubmatch(v, -1) {
					used[m[1]] = true
				}
			case node:
				for _, function := range []string{"Ref", "Condition"} {
					if name, ok := v[function].(string); ok {
						used[name] = true
					}
				}
				for _, function := range []string{"Fn::If", "Fn::FindInMap"} {
					if arguments, ok := v[function].([]any); ok {
						used[fmt.Sprint(arguments[0])] = true
					}
				}
			}
		})
		for _, name := range slices.Concat(slices.Collect(maps.Keys(tpl.parameters)), slices.Collect(maps.Keys(tpl.conditions))) {
			if !used[name] {
				t.Errorf("%s declares %s and does not use it", tpl.name, name)
			}
		}
	}
}

func TestTemplates_NameProjectAndStageAlike(t *testing.T) {
	all := loadAll(t)
	for _, name := range []string{"Project", "Stage"} {
		for _, tpl := range all {
			p := maps.Clone(tpl.parameters[name])
			if len(p) == 0 {
				t.Errorf("%s has no parameter %s", tpl.name, name)
			}
			first := maps.Clone(all[0].parameters[name])
			delete(p, "Description")
			delete(first, "Description")
			if !reflect.DeepEqual(p, first) {
				t.Errorf("%s: %s is %v, in %s it is %v", tpl.name, name, p, all[0].name, first)
			}
		}
	}
}

// The deploy script sets a parameter in all templates that have it.
func TestParameters_OfOneNameTakeTheSame(t *testing.T) {
	first := make(map[string]template)
	for _, tpl := range loadAll(t) {
		for name, p := range tpl.parameters {
			before, twice := first[name]
			if !twice {
				first[name] = tpl
				continue
			}
			// The script knows how ECS and Lambda write it.
			if name != "Architecture" && !reflect.DeepEqual(p["AllowedValues"], before.parameters[name]["AllowedValues"]) {
				t.Errorf("%s means one thing in %s and another in %s", name, before.name, tpl.name)
			}
		}
	}
}

// Names consist of project and stage, so that stages do not collide in an account.
func TestNames_HoldProjectAndStage(t *testing.T) {
	named := []string{
		"BucketName", "Name", "TableName", "LogGroupName", "FunctionName", "AlarmName", "TopicName", "DeliveryStreamName",
		"ClusterName", "Family", "PolicyName",
	}
	// The stage is in the names of their owners.
	exempt := map[string]bool{"AWS::Athena::NamedQuery": true, "AWS::Lambda::Permission": true, "AWS::Lambda::EventSourceMapping": true, "AWS::Logs::LogStream": true}
	seen := 0
	for _, tpl := range loadAll(t) {
		for id, r := range tpl.resources {
			if exempt[r.kind] {
				continue
			}
			for _, property := range named {
				name, ok := r.properties[property]
				if !ok {
					continue
				}
				seen++
				if text := fmt.Sprint(name); !strings.Contains(text, "${Project}") || !strings.Contains(text, "${Stage}") {
					t.Errorf("%s: %s has the %s %s", tpl.name, id, property, text)
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d names were looked at", seen)
	}
}

func TestExports_AreNamedForTheirOutputs(t *testing.T) {
	for _, tpl := range loadAll(t) {
		for name, output := range tpl.outputs {
			if want := (node{"Fn::Sub": "${Project}-${Stage}-" + name}); !reflect.DeepEqual(output["Export"], node{"Name": want}) {
				t.Errorf("%s: output %s is exported as %v", tpl.name, name, output["Export"])
			}
			if output["Description"] == nil {
				t.Errorf("%s: output %s has no description", tpl.name, name)
			}
		}
	}
}

func TestImports_AreExportedBefore(t *testing.T) {
	exported := make(map[string]bool)
	for _, tpl := range loadAll(t) {
		count := 0
		walk(asAny(tpl), "", func(path string, v any) {
			imported, ok := v.(node)
			if !ok || imported["Fn::ImportValue"] == nil {
				return
			}
			count++
			name, _ := imported["Fn::ImportValue"].(node)["Fn::Sub"].(string)
			if !exported[name] {
				t.Errorf("%s imports %q at %s, which no stack before it exports", tpl.name, name, path)
			}
		})
		if tpl.name != stacks[0] && count == 0 {
			t.Errorf("%s imports nothing", tpl.name)
		}
		for name := range tpl.outputs {
			exported["${Project}-${Stage}-"+name] = true
		}
	}
}

func asAny(tpl template) any {
	all := node{}
	for id, r := range tpl.resources {
		all[id] = r.attributes
	}
	for id, o := range tpl.outputs {
		all["output "+id] = o
	}
	return all
}

func TestBuckets_AreEncryptedPrivateAndTidy(t *testing.T) {
	count := 0
	for _, tpl := range loadAll(t) {
		for _, id := range tpl.ofKind("AWS::S3::Bucket") {
			count++
			p := tpl.resources[id].properties
			for _, property := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
				if asNode(p["PublicAccessBlockConfiguration"])[property] != "true" {
					t.Errorf("%s: %s has not %s", tpl.name, id, property)
				}
			}
			if !strings.Contains(fmt.Sprint(p["BucketEncryption"]), "SSEAlgorithm") {
				t.Errorf("%s: %s is not encrypted", tpl.name, id)
			}
			aborts := false
			for _, rule := range list(asNode(p["LifecycleConfiguration"])["Rules"]) {
				days := asNode(asNode(rule)["AbortIncompleteMultipartUpload"])["DaysAfterInitiation"]
				aborts = aborts || days == "7" && asNode(rule)["Status"] == "Enabled" && asNode(rule)["Prefix"] == nil
			}
			if !aborts {
				t.Errorf("%s: %s does not drop incomplete uploads after 7 days", tpl.name, id)
			}
			if !onlyTLS(tpl, id) {
				t.Errorf("%s: %s answers without TLS", tpl.name, id)
			}
		}
	}
	if count != 3 {
		t.Errorf("looked at %d buckets", count)
	}
}

// onlyTLS reports whether a policy denies everything on the bucket and its objects without TLS.
func onlyTLS(tpl template, bucket string) bool {
	for _, id := range tpl.ofKind("AWS::S3::BucketPolicy") {
		p := tpl.resources[id].properties
		if !reflect.DeepEqual(p["Bucket"], node{"Ref": bucket}) {
			continue
		}
		for _, s := range list(asNode(p["PolicyDocument"])["Statement"]) {
			want := node{
				"Sid": "OnlyTLS", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
				"Resource":  []any{node{"Fn::GetAtt": []any{bucket, "Arn"}}, node{"Fn::Sub": "${" + bucket + ".Arn}/*"}},
				"Condition": node{"Bool": node{"aws:SecureTransport": "false"}},
			}
			if reflect.DeepEqual(s, want) {
				return true
			}
		}
	}
	return false
}

// Resources that hold data stay in prod when their stack is deleted or replaces them, but not when its creation fails:
// their names would be taken (CloudFormation Template Reference, "DeletionPolicy attribute"; "UpdateReplacePolicy
// attribute" has no such value). Nothing may prevent that deletion.
func TestData_OutlivesItsStackInProd(t *testing.T) {
	deleted := node{"Fn::If": []any{"IsProd", "RetainExceptOnCreate", "Delete"}}
	replaced := node{"Fn::If": []any{"IsProd", "Retain", "Delete"}}
	isProd := node{"Fn::Equals": []any{node{"Ref": "Stage"}, "prod"}}
	count := 0
	for _, tpl := range loadAll(t) {
		for _, kind := range []string{"AWS::S3::Bucket", "AWS::Kinesis::Stream", "AWS::DynamoDB::Table"} {
			for _, id := range tpl.ofKind(kind) {
				count++
				a := tpl.resources[id].attributes
				if !reflect.DeepEqual(a["DeletionPolicy"], deleted) || !reflect.DeepEqual(a["UpdateReplacePolicy"], replaced) {
					t.Errorf("%s: %s has the policies %v and %v", tpl.name, id, a["DeletionPolicy"], a["UpdateReplacePolicy"])
				}
				if !reflect.DeepEqual(tpl.conditions["IsProd"], isProd) || !strings.Contains(tpl.source, "Transform: AWS::LanguageExtensions") {
					t.Errorf("%s: a condition in a policy needs IsProd and the transform", tpl.name)
				}
				protection := asNode(a["Properties"])["DeletionProtectionEnabled"]
				if protection != nil && (!reflect.DeepEqual(protection, node{"Ref": "DeletionProtection"}) || tpl.parameters["DeletionProtection"]["Default"] != "false") {
					t.Errorf("%s: %s is protected while it is created: %v", tpl.name, id, protection)
				}
			}
		}
	}
	if count != 5 {
		t.Errorf("looked at %d resources", count)
	}
}

func TestLogs_AreKeptForAWhile(t *testing.T) {
	for _, tpl := range loadAll(t) {
		for _, id := range tpl.ofKind("AWS::Logs::LogGroup") {
			if tpl.resources[id].properties["RetentionInDays"] == nil {
				t.Errorf("%s: %s keeps logs for ever", tpl.name, id)
			}
		}
		for _, id := range tpl.ofKind("AWS::Lambda::Function") {
			group := asNode(asNode(tpl.resources[id].properties["LoggingConfig"])["LogGroup"])["Ref"]
			if group == nil || tpl.resources[group.(string)].kind != "AWS::Logs::LogGroup" {
				t.Errorf("%s: %s logs into a group that Lambda makes, which keeps logs for ever", tpl.name, id)
			}
		}
	}
}

// Each alarm notifies somebody or changes something.
func TestAlarms_HaveAnAction(t *testing.T) {
	count := 0
	for _, tpl := range loadAll(t) {
		for _, id := range tpl.ofKind("AWS::CloudWatch::Alarm") {
			count++
			p := tpl.resources[id].properties
			if len(list(p["AlarmActions"])) == 0 || p["AlarmActions"] == nil || p["AlarmDescription"] == nil || p["TreatMissingData"] == nil {
				t.Errorf("%s: %s has no action, no description, or does not say what missing data mean", tpl.name, id)
			}
		}
	}
	if count < 20 {
		t.Errorf("looked at %d alarms", count)
	}
}

// CloudFormation takes templates of the first size from a file, and of the second from a bucket, which the first stack has
// yet to create (AWS CloudFormation User Guide, "Understand CloudFormation quotas").
func TestTemplates_FitIntoARequest(t *testing.T) {
	const fromFile, fromBucket = 51200, 1 << 20
	for i, tpl := range loadAll(t) {
		limit := fromBucket
		if i == 0 {
			limit = fromFile
		}
		if len(tpl.source) > limit {
			t.Errorf("%s has %d bytes, more than %d", tpl.name, len(tpl.source), limit)
		}
		if count := len(tpl.parameters); count > 200 {
			t.Errorf("%s has %d parameters, more than 200", tpl.name, count)
		}
	}
}

func TestMappings_RetryWithinBoundsAndLoseNothing(t *testing.T) {
	tpl := load(t, "stream")
	ids := tpl.ofKind("AWS::Lambda::EventSourceMapping")
	if len(ids) != 2 {
		t.Fatalf("the mappings are %v", ids)
	}
	for _, id := range ids {
		p := tpl.resources[id].properties
		for property, want := range map[string]any{
			"BisectBatchOnFunctionError": "true", "FunctionResponseTypes": []any{"ReportBatchItemFailures"}, "StartingPosition": "TRIM_HORIZON",
			"MaximumBatchingWindowInSeconds": node{"Ref": "BatchWindowSeconds"}, "MaximumRetryAttempts": node{"Ref": "MaximumRetryAttempts"},
			"MaximumRecordAgeInSeconds": node{"Ref": "MaximumRecordAgeSeconds"},
		} {
			if !reflect.DeepEqual(p[property], want) {
				t.Errorf("%s: %s is %v, want %v", id, property, p[property], want)
			}
		}
		if asNode(asNode(p["DestinationConfig"])["OnFailure"])["Destination"] == nil {
			t.Errorf("%s drops batches that it gives up", id)
		}
	}
	// Records must not leave the stream before Lambda gives them up.
	age, hours := tpl.parameters["MaximumRecordAgeSeconds"]["Default"], tpl.parameters["RetentionHours"]["Default"]
	if number(t, age) >= 3600*number(t, hours) {
		t.Errorf("records are tried for %v s of a retention of %v h", age, hours)
	}
}

// Containers run as nobody, from an image that they cannot change, and have time for their last commit.
func TestContainers_AreConfined(t *testing.T) {
	tpl := load(t, "consumer-ecs")
	var names []string
	for _, id := range tpl.ofKind("AWS::ECS::TaskDefinition") {
		for _, c := range containers(tpl, id) {
			names = append(names, c["Name"].(string))
			if c["ReadonlyRootFilesystem"] != "true" || c["User"] != "65532:65532" || c["Privileged"] != nil {
				t.Errorf("container %s is not confined: %v", c["Name"], c)
			}
			if !reflect.DeepEqual(asNode(asNode(c["LinuxParameters"])["Capabilities"])["Drop"], []any{"ALL"}) {
				t.Errorf("container %s has capabilities", c["Name"])
			}
			if asNode(c["LogConfiguration"])["LogDriver"] != "awslogs" {
				t.Errorf("container %s has no logs", c["Name"])
			}
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"collector", "consumer", "loader", "producer"}) {
		t.Errorf("looked at %v", names)
	}
}

// A collector or a loader that crashes is restarted without affecting the daemon. The daemon itself is replaced by the
// service.
func TestCompanions_AreRestarted(t *testing.T) {
	for _, name := range []string{"collector", "loader"} {
		c := container(t, load(t, "consumer-ecs"), "ConsumerTask", name)
		// The period is 60 to 1800 s, within which a container is restarted once (Amazon ECS API Reference,
		// ContainerRestartPolicy).
		if want := (node{"Enabled": "true", "RestartAttemptPeriod": "60"}); c["Essential"] != "false" || !reflect.DeepEqual(c["RestartPolicy"], want) {
			t.Errorf("the %s is essential=%v and restarted by %v", name, c["Essential"], c["RestartPolicy"])
		}
	}
}

// One parameter adds the loader to the task.
func TestLoader_IsThereIfThereIsATable(t *testing.T) {
	tpl := load(t, "consumer-ecs")
	empty := node{"Fn::Not": []any{node{"Fn::Equals": []any{node{"Ref": "Table"}, ""}}}}
	if !reflect.DeepEqual(tpl.conditions["LoadsTable"], empty) || tpl.parameters["Table"]["Default"] != "" {
		t.Errorf("the loader is there if %v, and Table is %v unless set", tpl.conditions["LoadsTable"], tpl.parameters["Table"]["Default"])
	}
	count := 0
	for _, c := range list(tpl.resources["ConsumerTask"].properties["ContainerDefinitions"]) {
		if choice := list(asNode(c)["Fn::If"]); len(choice) == 3 {
			count++
			if choice[0] != "LoadsTable" || asNode(choice[1])["Name"] != "loader" || !reflect.DeepEqual(choice[2], node{"Ref": "AWS::NoValue"}) {
				t.Errorf("a container is there by %v", choice)
			}
		}
	}
	if count != 1 {
		t.Errorf("%d containers have a condition", count)
	}
	// The token is nowhere in the template or its parameters.
	c := container(t, tpl, "ConsumerTask", "loader")
	secrets := node{"Fn::If": []any{"HasTableToken", []any{node{"Name": "TABLE_TOKEN", "ValueFrom": node{"Ref": "TableTokenArn"}}}, node{"Ref": "AWS::NoValue"}}}
	if !reflect.DeepEqual(c["Secrets"], secrets) || environment(c)["TABLE_TOKEN"] != nil {
		t.Errorf("the token comes from %v", c["Secrets"])
	}
	if !reflect.DeepEqual(c["EntryPoint"], []any{"/usr/local/bin/loader"}) {
		t.Errorf("it runs %v", c["EntryPoint"])
	}
}

// An image in a private registry is pulled with credentials, which may be read only then.
func TestImage_IsPulledWithCredentialsWhereTheyAreGiven(t *testing.T) {
	tpl := load(t, "consumer-ecs")
	given := []any{"HasCredentials", node{"CredentialsParameter": node{"Ref": "RegistryCredentialsArn"}}, node{"Ref": "AWS::NoValue"}}
	for name, task := range map[string]string{"consumer": "ConsumerTask", "loader": "ConsumerTask", "producer": "ProducerTask"} {
		if c := container(t, tpl, task, name); !reflect.DeepEqual(c["RepositoryCredentials"], node{"Fn::If": given}) {
			t.Errorf("%s is pulled with %v", name, c["RepositoryCredentials"])
		}
	}
	secrets := make(map[string]any)
	walk(tpl.resources["ExecutionRole"].properties, "", func(_ string, v any) {
		if choice := list(asNode(v)["Fn::If"]); len(choice) == 3 && asNode(choice[1])["Action"] == "secretsmanager:GetSecretValue" {
			secrets[choice[0].(string)] = asNode(choice[1])["Resource"]
		}
	})
	want := map[string]any{"HasCredentials": node{"Ref": "RegistryCredentialsArn"}, "HasTableToken": node{"Ref": "TableTokenArn"}}
	if !reflect.DeepEqual(secrets, want) {
		t.Errorf("secrets may be read as %v, want %v: each if it is given, and no other", secrets, want)
	}
}

// A deployment starts new tasks before it stops old ones, rolls back if they do not start, and leaves their count to the
// autoscaling.
func TestService_RollsBackWhatDoesNotStart(t *testing.T) {
	properties := load(t, "consumer-ecs").resources["Service"].properties
	if count := properties["DesiredCount"]; count != nil {
		t.Errorf("every update takes the service back to %v tasks", count)
	}
	d := asNode(properties["DeploymentConfiguration"])
	want := node{
		"MinimumHealthyPercent": "100", "MaximumPercent": "200", "DeploymentCircuitBreaker": node{"Enable": "true", "Rollback": "true"},
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("deployments are %v", d)
	}
}

// Pairs of CPU and memory that Fargate supports (Amazon ECS Developer Guide, "Task definition parameters for Fargate",
// Task size). The validator does not see that both come from one row of the mapping.
func TestTaskSizes_AreThoseOfFargate(t *testing.T) {
	least := map[int]int{512: 1024, 1024: 2048, 2048: 4096, 4096: 8192}
	sizes := strings.Split(load(t, "consumer-ecs").source, "\n")
	count := 0
	for _, line := range sizes {
		var name string
		var cpu, memory int
		if n, _ := fmt.Sscanf(strings.NewReplacer(`"`, "", ",", "", "}", "", "{", "").Replace(line), "    %s Cpu: %d Memory: %d", &name, &cpu, &memory); n != 3 {
			continue
		}
		count++
		if memory < least[cpu] || memory > 8*cpu || memory%1024 != 0 || least[cpu] == 0 {
			t.Errorf("Fargate has no task of %d units and %d MiB", cpu, memory)
		}
	}
	if count != 4 {
		t.Errorf("looked at %d sizes", count)
	}
}

func number(t *testing.T, v any) int {
	t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
