package emulator

import (
	"os/exec"
	"testing"
)

// ParquetJava returns a command that reads Parquet files with parquet-java, checks their values against statistics, indexes and
// Bloom filters, and writes the rows of each FILE to FILE.rows, as JSON; see ReadParquet.java. Without the reader the test is
// skipped, like those that need an emulator.
func ParquetJava(tb testing.TB, files ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, parquetJavaBundle, "parquet-java", "java")
	args := append(java(dir, "512m", "ReadParquet"), files...)
	return exec.CommandContext(tb.Context(), args[0], args[1:]...)
}
