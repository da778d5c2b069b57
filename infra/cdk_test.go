package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
)

const cdkExample = "examples/cdk"

// synthesize runs the example with the CDK, and returns the template of its stack and the file that has it.
func synthesize(t *testing.T) (tpl template, file string) {
	t.Helper()
	folder := t.TempDir()
	if out, err := emulator.CDK(t, cdkExample+"/app.js", folder).CombinedOutput(); err != nil {
		t.Fatalf("synthesize: %v\n%s", err, out)
	}
	file = filepath.Join(folder, "trips-to-s3.template.json")
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, "trips-to-s3", source), file
}

// only returns the properties of the only resource of a type.
func (tpl template) only(t *testing.T, kind string) (id string, properties node) {
	t.Helper()
	ids := tpl.ofKind(kind)
	if len(ids) != 1 {
		t.Fatalf("there are %d of %s", len(ids), kind)
	}
	return ids[0], tpl.resources[ids[0]].properties
}

// asJSON is a value of a template in JSON. Numbers are texts in a template that was parsed.
func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// What the CDK makes of the example agrees with the stack's template, with the settings that the daemon has, and with its policy.
func TestCDK_IsWhatTheStackIs(t *testing.T) {
	tpl, file := synthesize(t)
	_, task := tpl.only(t, "AWS::ECS::TaskDefinition")
	cfg := daemonOf(t, asJSON(t, task["ContainerDefinitions"]))
	if faults := cdkFaults(t, tpl, cfg.Table(), cfg.Bucket); len(faults) != 0 {
		t.Error(strings.Join(faults, "\n"))
	}
	for _, planted := range []struct{ old, new, fault string }{
		{`"leaseKey"`, `"lease"`, "its keys is"},
		{`"PointInTimeRecoveryEnabled": true`, `"PointInTimeRecoveryEnabled": false`, "its recovery is"},
		{`"DeletionProtectionEnabled": true`, `"DeletionProtectionEnabled": false`, "its protection is"},
		{`"DaysAfterInitiation": 7`, `"DaysAfterInitiation": 1`, "its rule is"},
	} {
		edited := strings.ReplaceAll(tpl.source, planted.old, planted.new)
		faults := cdkFaults(t, parse(t, "edited", []byte(edited)), cfg.Table(), cfg.Bucket)
		if edited == tpl.source || !slices.ContainsFunc(faults, func(f string) bool { return strings.HasPrefix(f, planted.fault) }) {
			t.Errorf("with %s it says %q, want %q", planted.new, faults, planted.fault)
		}
	}
	role := text(list(asNode(task["TaskRoleArn"])["Fn::GetAtt"])[0])
	policies := list(tpl.resources[role].properties["Policies"])
	if len(policies) != 1 || tpl.resources[role].properties["ManagedPolicyArns"] != nil {
		t.Errorf("the role has the policies %v", policies)
	}
	isPolicyOf(t, asJSON(t, asNode(policies[0])["PolicyDocument"]), &cfg, cdkExample)
	for id, r := range tpl.resources {
		if r.kind == "AWS::IAM::Policy" && strings.Contains(text(r.properties["Roles"]), role) {
			t.Errorf("%s adds to the policy of the daemon", id)
		}
	}

	// The CDK joins texts with Fn::Join rather than Fn::Sub.
	for line := range strings.Lines(cfnLint(t, file)) {
		if !strings.Contains(line, ":I1022:") {
			t.Errorf("cfn-lint: %s", line)
		}
	}
}

// cdkFaults lists where a synthesized template differs from the stack in what outlives the daemon.
func cdkFaults(t *testing.T, tpl template, tableName, bucketName string) (faults []string) {
	t.Helper()
	ours := load(t, "consumer-ecs").resources["CheckpointTable"].properties
	id, table := tpl.only(t, "AWS::DynamoDB::Table")
	_, bucket := tpl.only(t, "AWS::S3::Bucket")
	for _, same := range []struct {
		what      string
		got, want any
	}{
		{"the table", table["TableName"], tableName},
		{"its keys", table["KeySchema"], ours["KeySchema"]},
		{"its attributes", table["AttributeDefinitions"], ours["AttributeDefinitions"]},
		{"its capacity", table["BillingMode"], ours["BillingMode"]},
		{"its recovery", table["PointInTimeRecoverySpecification"], ours["PointInTimeRecoverySpecification"]},
		{"its protection", table["DeletionProtectionEnabled"], "true"},
		{"it after the stack", tpl.resources[id].attributes["DeletionPolicy"], "Retain"},
		{"the bucket", bucket["BucketName"], bucketName},
		{"its rule", at(bucket, "LifecycleConfiguration.Rules[0].AbortIncompleteMultipartUpload"), node{"DaysAfterInitiation": "7"}},
		{"its rule", at(bucket, "LifecycleConfiguration.Rules[0].Status"), "Enabled"},
	} {
		if fmt.Sprint(same.got) != fmt.Sprint(same.want) {
			faults = append(faults, fmt.Sprintf("%s is %v, want %v", same.what, same.got, same.want))
		}
	}
	return faults
}
