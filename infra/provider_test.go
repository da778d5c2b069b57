package infra_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"aws-streaming-pipeline/internal/test/emulator"
)

// schema is a resource in the schema of Terraform's provider of AWS.
type schema struct {
	root   string // of the groups
	groups map[string]map[string]argument
	class  string // declares what others may refer to
}

// argument is an argument of a resource or of a block, or a block.
type argument struct {
	required, block bool
	group           string // of a block
}

var (
	declaredGroup    = regexp.MustCompile(`(?ms)^export interface (\w+)( extends [\w.]+)? \{\n(.*?)^\}`)
	declaredArgument = regexp.MustCompile(`(?s)/\*\*\n(.*?)\*/\s+readonly \w+(\??): (\w+)?`)
	argumentName     = regexp.MustCompile(`docs/resources/\w+#(\w+) `)
	blockComment     = regexp.MustCompile(`(?m)^\s*\* \w+ block$`)
)

// readSchema returns the schema of a resource, or false if the provider has no such resource.
func readSchema(t *testing.T, folder, kind string) (schema, bool) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(folder, strings.ReplaceAll(strings.TrimPrefix(kind, "aws_"), "_", "-")+".d.ts"))
	if err != nil || !strings.HasPrefix(kind, "aws_") {
		return schema{}, false
	}
	s := schema{groups: make(map[string]map[string]argument)}
	var found bool
	if _, s.class, found = strings.Cut(string(source), fmt.Sprintf("static readonly tfResourceType = %q", kind)); !found {
		t.Fatalf("the declarations of %s have another form", kind)
	}
	for _, g := range declaredGroup.FindAllStringSubmatch(string(source), -1) {
		arguments := make(map[string]argument)
		for _, a := range declaredArgument.FindAllStringSubmatch(g[3], -1) {
			name := argumentName.FindStringSubmatch(a[1])
			if name == nil {
				t.Fatalf("%s: an argument of %s has no name:\n%s", kind, g[1], a[0])
			}
			arguments[name[1]] = argument{required: a[2] == "", block: blockComment.MatchString(a[1]), group: a[3]}
		}
		s.groups[g[1]] = arguments
		if g[2] != "" {
			s.root = g[1]
		}
	}
	return s, true
}

// refers reports whether a resource has an attribute.
func (s schema) refers(attribute string) bool {
	words := strings.Split(attribute, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Contains(s.class, "    get "+strings.Join(words, "")+"():")
}

// metaArguments are those that Terraform itself takes in every resource (Terraform language, "Meta-arguments").
var metaArguments = []string{"depends_on", "count", "for_each", "provider"}

// faults lists where a body does not fit a group of a schema.
func (s schema) faults(body *hclsyntax.Body, group, path string) []string {
	var faults []string
	arguments, known := s.groups[group]
	if !known {
		return []string{path + " is not declared"}
	}
	present := make(map[string]bool)
	for name := range body.Attributes {
		if slices.Contains(metaArguments, name) && !strings.Contains(path, ".") {
			continue
		}
		present[name] = true
		if a, known := arguments[name]; !known {
			faults = append(faults, path+" has no argument "+name)
		} else if a.block {
			faults = append(faults, path+"."+name+" is a block")
		}
	}
	for _, b := range body.Blocks {
		present[b.Type] = true
		if a, known := arguments[b.Type]; !known {
			faults = append(faults, path+" has no block "+b.Type)
		} else if !a.block {
			faults = append(faults, path+"."+b.Type+" is an argument")
		} else {
			faults = append(faults, s.faults(b.Body, a.group, path+"."+b.Type)...)
		}
	}
	for name, a := range arguments {
		if a.required && !present[name] {
			faults = append(faults, path+" needs "+name)
		}
	}
	return faults
}

// providerFaults lists where a configuration does not fit the provider's schema.
func providerFaults(t *testing.T, folder, source string) (faults []string, resources int) {
	t.Helper()
	file, diagnostics := hclsyntax.ParseConfig([]byte(source), "main.tf", hcl.InitialPos)
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	body := file.Body.(*hclsyntax.Body)
	for _, b := range body.Blocks {
		if b.Type != "resource" {
			continue
		}
		resources++
		if s, known := readSchema(t, folder, b.Labels[0]); !known {
			faults = append(faults, "there is no resource "+b.Labels[0])
		} else {
			faults = append(faults, s.faults(b.Body, s.root, b.Labels[0])...)
		}
	}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		e, ok := n.(*hclsyntax.ScopeTraversalExpr)
		if !ok || !strings.HasPrefix(e.Traversal.RootName(), "aws_") || len(e.Traversal) < 3 {
			return nil
		}
		kind, attribute := e.Traversal.RootName(), e.Traversal[2].(hcl.TraverseAttr).Name
		if s, known := readSchema(t, folder, kind); !known || !s.refers(attribute) {
			faults = append(faults, kind+" has no attribute "+attribute)
		}
		return nil
	})
	slices.Sort(faults)
	return faults, resources
}

// The example's resources, arguments, blocks and references are those of the provider's schema, and nothing that it requires is
// missing. Values are not checked against it. The example was checked once against version 5.5 as well.
func TestTerraform_FitsTheSchemaOfTheProvider(t *testing.T) {
	t.Parallel()
	folder := emulator.TerraformProvider(t)
	text, err := os.ReadFile(terraformExample + "/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	source := string(text)
	if faults, resources := providerFaults(t, folder, source); len(faults) != 0 || resources != 8 {
		t.Errorf("of %d resources: %q", resources, faults)
	}
	for _, planted := range []struct{ old, new, fault string }{
		{"hash_key ", "hash_keys ", "aws_dynamodb_table has no argument hash_keys"},
		{"point_in_time_recovery {", "point_in_time {", "aws_dynamodb_table has no block point_in_time"},
		{"days_after_initiation", "days", "aws_s3_bucket_lifecycle_configuration.rule.abort_incomplete_multipart_upload has no argument days"},
		{"    type = \"S\"\n", "", "aws_dynamodb_table.attribute needs type"},
		{"assume_role_policy = ", "description = ", "aws_iam_role needs assume_role_policy"},
		{"runtime_platform {", "runtime_platform = {", "aws_ecs_task_definition.runtime_platform is a block"},
		{"  retention_in_days = 30", "  name_prefix {}", "aws_cloudwatch_log_group.name_prefix is an argument"},
		{`resource "aws_ecs_cluster"`, `resource "aws_ecs_clusters"`, "there is no resource aws_ecs_clusters"},
		{"= aws_iam_role.consumer.arn", "= aws_iam_role.consumer.uri", "aws_iam_role has no attribute uri"},
		{"= aws_cloudwatch_log_group.consumer.name", "= aws_cloudwatch_log_group.consumer.group", "aws_cloudwatch_log_group has no attribute group"},
	} {
		broken := strings.Replace(source, planted.old, planted.new, 1)
		if planted.new == "runtime_platform = {" {
			broken = strings.Replace(broken, "cpu_architecture        = \"ARM64\"\n", "cpu_architecture        = \"ARM64\",\n", 1)
		}
		if broken == source {
			t.Errorf("main.tf has no %q", planted.old)
		}
		if faults, _ := providerFaults(t, folder, broken); !slices.Contains(faults, planted.fault) {
			t.Errorf("with %q it says %q, want %q", planted.new, faults, planted.fault)
		}
	}
}
