package emulator

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// IcebergCatalog starts the Apache Iceberg REST catalog that Iceberg Java tests its own client with, and returns its URL. Tables
// are stored under the warehouse, such as s3://bucket/prefix, whose bucket must exist in s3. The catalog checks the requirements of a
// commit in one transaction of its database, accepts any credentials, and does not hand out those for s3: its clients must know
// them.
func IcebergCatalog(t *testing.T, s3 Endpoint, warehouse string) string {
	t.Helper()
	return start(t, emulator{name: "Iceberg's REST catalog", bundle: icebergJavaBundle, runtime: "java",
		command: func(t *testing.T, dir string, port, _ int) command {
			return command{
				dir: dir,
				args: append(java(dir, "256m", "RestCatalog", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"),
					strconv.Itoa(port), filepath.Join(t.TempDir(), "catalog.db"), warehouse, s3.URL, s3.Region, s3.AccessKey, s3.SecretKey),
			}
		}}).URL
}

// ReadTable returns a command that reads a table, namespace.name, with Iceberg Java and writes one line per row; see
// ReadTable.java. Without Java the test is skipped, like those that need an emulator.
func ReadTable(tb testing.TB, catalog string, s3 Endpoint, table string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, icebergJavaBundle, "Iceberg Java", "java")
	args := append(java(dir, "256m", "ReadTable", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"),
		catalog, s3.URL, s3.Region, s3.AccessKey, s3.SecretKey, table)
	return exec.CommandContext(tb.Context(), args[0], args[1:]...)
}
