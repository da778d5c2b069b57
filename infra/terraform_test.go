package infra_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

const terraformExample = "examples/terraform"

// configuration is the Terraform example, with its expressions evaluated as Terraform would.
type configuration struct {
	t     *testing.T
	body  *hclsyntax.Body
	scope *hcl.EvalContext
}

func newConfiguration(t *testing.T, source []byte) *configuration {
	t.Helper()
	file, faults := hclsyntax.ParseConfig(source, "main.tf", hcl.InitialPos)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	read := function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := os.ReadFile(filepath.Join(terraformExample, args[0].AsString()))
			return cty.StringVal(string(text)), err
		},
	})
	c := &configuration{t: t, body: file.Body.(*hclsyntax.Body), scope: &hcl.EvalContext{
		Variables: map[string]cty.Value{}, Functions: map[string]function.Function{"jsonencode": stdlib.JSONEncodeFunc, "file": read},
	}}
	given := map[string]cty.Value{
		"subnets": cty.ListVal([]cty.Value{cty.StringVal("subnet-1")}), "security_groups": cty.ListVal([]cty.Value{cty.StringVal("sg-1")}),
		"execution_role_arn": cty.StringVal("arn:aws:iam::123456789012:role/ecsTaskExecutionRole"),
	}
	attributes := func(text string) cty.Value {
		return cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal(text), "arn": cty.StringVal(text), "name": cty.StringVal(text)})
	}
	resources := make(map[string]map[string]cty.Value)
	for _, b := range c.body.Blocks {
		switch b.Type {
		case "locals":
			values := make(map[string]cty.Value)
			for name, a := range b.Body.Attributes {
				values[name] = c.value(a)
			}
			c.scope.Variables["local"] = cty.ObjectVal(values)
		case "variable":
			if a := b.Body.Attributes["default"]; a != nil {
				given[b.Labels[0]] = c.value(a)
			}
		case "resource":
			if resources[b.Labels[0]] == nil {
				resources[b.Labels[0]] = make(map[string]cty.Value)
			}
			resources[b.Labels[0]][b.Labels[1]] = attributes(b.Labels[0] + "." + b.Labels[1])
		}
	}
	c.scope.Variables["path"] = cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(".")})
	c.scope.Variables["var"] = cty.ObjectVal(given)
	for kind, of := range resources {
		c.scope.Variables[kind] = cty.ObjectVal(of)
	}
	return c
}

func (c *configuration) value(a *hclsyntax.Attribute) cty.Value {
	c.t.Helper()
	v, faults := a.Expr.Value(c.scope)
	if faults.HasErrors() {
		c.t.Fatal(faults)
	}
	return v
}

// resource returns the body of the resource of a type.
func (c *configuration) resource(kind string) *hclsyntax.Body {
	c.t.Helper()
	for _, b := range c.body.Blocks {
		if b.Type == "resource" && b.Labels[0] == kind {
			return b.Body
		}
	}
	c.t.Fatalf("there is no %s", kind)
	return nil
}

// text returns an attribute of a resource, or of a block in it, as text.
func (c *configuration) text(kind string, path ...string) string {
	c.t.Helper()
	body := c.resource(kind)
	for _, name := range path[:len(path)-1] {
		i := slices.IndexFunc(body.Blocks, func(b *hclsyntax.Block) bool { return b.Type == name })
		if i < 0 {
			c.t.Fatalf("%s has no block %s", kind, name)
		}
		body = body.Blocks[i].Body
	}
	a := body.Attributes[path[len(path)-1]]
	if a == nil {
		c.t.Fatalf("%s has no %s", kind, strings.Join(path, "."))
	}
	v := c.value(a)
	if v.Type() == cty.String {
		return v.AsString()
	}
	out, err := stdlib.JSONEncode(v)
	if err != nil {
		c.t.Fatal(err)
	}
	return out.AsString()
}

// The example agrees with the stack's template, with the settings that the daemon has, and with its policy.
func TestTerraform_IsWhatTheStackIs(t *testing.T) {
	source, err := os.ReadFile(terraformExample + "/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	c := newConfiguration(t, source)
	cfg := daemonOf(t, []byte(c.text("aws_ecs_task_definition", "container_definitions")))
	table := load(t, "consumer-ecs").resources["CheckpointTable"].properties
	for _, same := range []struct {
		got  string
		want any
	}{
		{c.text("aws_dynamodb_table", "name"), cfg.Table()},
		{c.text("aws_dynamodb_table", "hash_key"), at(table, "KeySchema[0].AttributeName")},
		{c.text("aws_dynamodb_table", "billing_mode"), table["BillingMode"]},
		{c.text("aws_dynamodb_table", "attribute", "name"), at(table, "AttributeDefinitions[0].AttributeName")},
		{c.text("aws_dynamodb_table", "attribute", "type"), at(table, "AttributeDefinitions[0].AttributeType")},
		{c.text("aws_dynamodb_table", "point_in_time_recovery", "enabled"), "true"},
		{c.text("aws_dynamodb_table", "deletion_protection_enabled"), "true"},
		{c.text("aws_s3_bucket_lifecycle_configuration", "bucket"), cfg.Bucket},
		{c.text("aws_s3_bucket_lifecycle_configuration", "rule", "status"), "Enabled"},
		{c.text("aws_s3_bucket_lifecycle_configuration", "rule", "abort_incomplete_multipart_upload", "days_after_initiation"), "7"},
		{c.text("aws_ecs_task_definition", "task_role_arn"), "aws_iam_role.consumer"},
	} {
		if same.got != same.want {
			t.Errorf("it has %q, and the stack %q", same.got, same.want)
		}
	}
	// What the service does not refer to would be made after it, and removed before it.
	needs := make(map[string]bool)
	if a := c.resource("aws_ecs_service").Attributes["depends_on"]; a != nil {
		for _, v := range a.Expr.Variables() {
			needs[v.RootName()] = true
		}
	}
	for _, kind := range []string{"aws_dynamodb_table", "aws_iam_role_policy"} {
		if !needs[kind] {
			t.Errorf("the service does not depend on the %s", kind)
		}
	}
	isPolicyOf(t, []byte(c.text("aws_iam_role_policy", "policy")), &cfg, terraformExample)
}
