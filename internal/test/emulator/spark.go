package emulator

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
)

// sparkBundle is not among Bundles: it has half a gigabyte, and only make spark uses it.
var sparkBundle = Bundle{
	Name:  "spark",
	tool:  "mvn",
	files: []string{"requirements.txt", "pom.xml", "spark.py"},
	install: func(ctx context.Context, dir string) error {
		if err := installPython(ctx, dir); err != nil {
			return err
		}
		return copyJars(ctx, dir, "jars")
	},
}

// Spark returns a command that runs SQL statements in Apache Spark, in which an Iceberg REST catalog is the catalog lake, and prints
// the rows of each statement as a line of JSON. Without Spark the test is skipped, like those that need an emulator.
func Spark(tb testing.TB, catalog string, s3 Endpoint, statements ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, sparkBundle, "Apache Spark", "java")
	args := append([]string{catalog, s3.URL, s3.Region, s3.AccessKey, s3.SecretKey}, statements...)
	return python(tb, dir, filepath.Join(dir, "spark.py"), args)
}
