package emulator

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// terraformBundle has the schema of Terraform's provider of AWS. The provider itself is in no package registry, but the
// declarations that CDK Terrain generates from its schema are.
var terraformBundle = Bundle{
	Name:  "terraform",
	tool:  "npm",
	files: []string{"package.json", "package-lock.json", ".npmrc"},
	install: func(ctx context.Context, dir string) error {
		if err := run(ctx, dir, nil, "npm", "ci"); err != nil {
			return err
		}
		return keepDeclarations(dir)
	},
}

// keepDeclarations moves the declarations of the provider to resources/, and removes the rest, which is twelve times as large.
func keepDeclarations(dir string) error {
	packages := filepath.Join(dir, "node_modules")
	files, err := filepath.Glob(filepath.Join(packages, "@cdktn", "provider-aws", "lib", "*", "index.d.ts"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "resources"), 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Rename(file, filepath.Join(dir, "resources", filepath.Base(filepath.Dir(file))+".d.ts")); err != nil {
			return err
		}
	}
	return os.RemoveAll(packages)
}

// TerraformProvider returns a folder with the schema of Terraform's provider of AWS, as TypeScript declarations: dynamodb-table.d.ts
// for the resource aws_dynamodb_table. Without it the test is skipped.
func TerraformProvider(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(fetched(tb, terraformBundle, "the schema of Terraform's provider", "npm"), "resources")
}
