package infra_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/test/emulator"
)

// update is the flag -update of the packages with golden files, one of which these tests use.
func update() bool { f := flag.Lookup("update"); return f != nil && f.Value.String() == "true" }

// scriptCalls are the commands of the AWS CLI in the scripts, with the permissions that they need by the Service Authorization Reference.
// CloudFormation reads templates that were uploaded as the caller.
var scriptCalls = map[string][]string{
	"cloudformation continue-update-rollback": nil, // only named in a message
	"cloudformation create-change-set":        {"cloudformation:CreateChangeSet", "cloudformation:TagResource"},
	"cloudformation delete-change-set":        {"cloudformation:DeleteChangeSet"}, "cloudformation delete-stack": {"cloudformation:DeleteStack"},
	"cloudformation describe-change-set": {"cloudformation:DescribeChangeSet"}, "cloudformation describe-stack-events": {"cloudformation:DescribeStackEvents"},
	"cloudformation describe-stacks": {"cloudformation:DescribeStacks"}, "cloudformation execute-change-set": {"cloudformation:ExecuteChangeSet"},
	"cloudformation update-termination-protection": {"cloudformation:UpdateTerminationProtection"},
	"configure get":           nil,
	"dynamodb describe-table": {"dynamodb:DescribeTable"},
	"ec2 describe-subnets":    {"ec2:DescribeSubnets"}, "ec2 describe-vpcs": {"ec2:DescribeVpcs"},
	"iam create-service-linked-role": {"iam:CreateServiceLinkedRole"}, "kinesis describe-stream-summary": {"kinesis:DescribeStreamSummary"},
	"s3 cp": {"s3:GetObject", "s3:PutObject"}, "s3api delete-objects": {"s3:DeleteObject", "s3:DeleteObjectVersion"}, "s3api head-bucket": {"s3:ListBucket"},
	"s3api list-object-versions": {"s3:ListBucketVersions"}, "s3api list-objects-v2": {"s3:ListBucket"},
	"sts get-caller-identity": nil, // needs no permission
}

// handlers returns the permissions that CloudFormation needs to create, read, update and delete a resource of each type: they are in
// the schemas of the resource providers (CloudFormation Command Line Interface User Guide, "Resource type schema"), which
// cfn-lint ships.
func handlers(t *testing.T) map[string][]string {
	t.Helper()
	env, _ := emulator.Tools(t)
	folder := ""
	for _, v := range env {
		if paths, ok := strings.CutPrefix(v, "PYTHONPATH="); ok {
			folder = filepath.Join(filepath.SplitList(paths)[0], "cfnlint", "data", "schemas", "resources")
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no schemas in %s: %v", folder, err)
	}
	// Most of the 1,900 schemas are of other types: only those that name a type of ours are decoded.
	var kinds [][]byte
	for _, tpl := range loadAll(t) {
		for _, r := range tpl.resources {
			kinds = append(kinds, []byte(`"`+r.kind+`"`))
		}
	}
	found := make(map[string]map[string]bool)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(kinds, func(kind []byte) bool { return bytes.Contains(source, kind) }) {
			continue
		}
		var schema struct {
			TypeName string
			Handlers map[string]struct{ Permissions []string }
		}
		if err := json.Unmarshal(source, &schema); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, handler := range schema.Handlers {
			if name == "list" { // which CloudFormation does not call for a stack
				continue
			}
			if found[schema.TypeName] == nil {
				found[schema.TypeName] = make(map[string]bool)
			}
			for _, action := range handler.Permissions {
				found[schema.TypeName][action] = true
			}
		}
	}
	all := make(map[string][]string, len(found))
	for kind, actions := range found {
		all[kind] = slices.Sorted(maps.Keys(actions))
	}
	return all
}

// scripted are the permissions that the scripts need themselves.
func scripted(t *testing.T) (actions []string) {
	t.Helper()
	call := regexp.MustCompile(`\bcfn ([a-z-]+)|\baws ([a-z0-9]+ [a-z0-9-]+)|call=\(([a-z0-9]+ [a-z0-9-]+)`)
	seen := make(map[string]bool)
	for _, name := range []string{"deploy", "destroy", "lib.sh", "import.sh"} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(source)) {
			if strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			for _, m := range call.FindAllStringSubmatch(line, -1) {
				name := m[2] + m[3]
				if m[1] != "" {
					name = "cloudformation " + m[1]
				}
				seen[name] = true
			}
		}
	}
	for name := range seen {
		needs, known := scriptCalls[name]
		if !known {
			t.Errorf("the scripts call aws %s, whose permissions the test does not know", name)
		}
		actions = append(actions, needs...)
	}
	for name := range scriptCalls {
		if !seen[name] {
			t.Errorf("no script calls aws %s", name)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// deployer returns the policy for a stack, or for what the scripts do besides.
func deployer(actions []string) iam.Policy {
	p := iam.Policy{Version: iam.Version}
	var roles, linked, rest []string
	for _, action := range actions {
		switch {
		case action == "iam:CreateServiceLinkedRole":
			linked = append(linked, action)
		case strings.HasPrefix(action, "iam:"):
			roles = append(roles, action)
		default:
			rest = append(rest, action)
		}
	}
	allow := func(sid, resource string, actions []string) {
		if len(actions) > 0 {
			p.Statement = append(p.Statement, iam.Statement{Sid: sid, Effect: iam.Allow, Action: actions, Resource: iam.Texts{resource}})
		}
	}
	allow("Resources", "*", rest)
	allow("Roles", "arn:aws:iam::*:role/streaming-pipeline-*", roles)
	allow("ServiceLinkedRoles", "arn:aws:iam::*:role/aws-service-role/*", linked)
	return p
}

// The deployer's policies are what the templates' resources and the scripts need. IAM takes managed policies of 6,144 characters
// without white space, and ten of them for a role (IAM User Guide, "IAM and AWS STS quotas").
func TestDeployer_MayDoWhatTheTemplatesNeed(t *testing.T) {
	t.Parallel()
	all := handlers(t)
	want := map[string]iam.Policy{"scripts": deployer(scripted(t))}
	for _, tpl := range loadAll(t) {
		var actions []string
		for id, r := range tpl.resources {
			if len(all[r.kind]) == 0 {
				t.Errorf("%s: there is no schema of %s, the type of %s", tpl.name, r.kind, id)
			}
			actions = append(actions, all[r.kind]...)
		}
		slices.Sort(actions)
		want[tpl.name] = deployer(slices.Compact(actions))
	}
	for name, p := range want {
		body, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if size := len(strings.Join(strings.Fields(string(body)), "")); size > 6144 {
			t.Errorf("the policy for %s has %d characters, and IAM takes 6,144", name, size)
		}
		file := filepath.Join("deployer", name+".json")
		if update() {
			if err := os.WriteFile(file, append(body, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != string(body)+"\n" {
			t.Errorf("%s differs from what the templates, the schemas and the scripts need, %v: go test ./infra -run Deployer -update", file, err)
		}
	}
	if files, err := filepath.Glob("deployer/*.json"); err != nil || len(files) != len(want) {
		t.Errorf("the policies are %v, want %d", files, len(want))
	}
	// The control: a type less is a policy that lacks its permissions.
	if p := want["stream"]; !p.Allows(iam.Need{Action: "kinesis:CreateStream", Resource: "x"}) || want["athena"].Allows(iam.Need{Action: "kinesis:CreateStream", Resource: "x"}) {
		t.Error("kinesis:CreateStream is not where a stream is")
	}
}

// docs/permissions.md shows what each role of the stacks is allowed.
func TestPermissionsPage_ShowsTheRolesOfTheStacks(t *testing.T) {
	page, err := os.ReadFile("../docs/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tpl := range loadAll(t) {
		for _, id := range tpl.ofKind("AWS::IAM::Role") {
			if id == "ConsumerRole" || id == "ProducerRole" { // whose policies the page has in full
				continue
			}
			list := actions(t, tpl.resources[id])
			slices.Sort(list)
			row := fmt.Sprintf("| `%s` | `%s` |", id, strings.Join(slices.Compact(list), "` `"))
			if !strings.Contains(string(page), row) {
				t.Errorf("docs/permissions.md has no row that begins with\n%s", row)
			}
		}
	}
}
