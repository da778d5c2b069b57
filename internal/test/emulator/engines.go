package emulator

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Python returns a command that runs a script with DuckDB and PyArrow, the independent readers of the files that this project
// writes. Without them the test or benchmark is skipped, like those that need an emulator.
func Python(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	return python(tb, fetched(tb, enginesBundle, "PyArrow and DuckDB", "python3"), script, args)
}

// Encoders returns a command that runs a script with fastavro, Google's Protobuf and its protoc, which write what this project
// reads. Without them the test is skipped, like those that need an emulator.
func Encoders(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	return python(tb, fetched(tb, encodersBundle, "fastavro and Protobuf", "python3"), script, args)
}

// Tables returns a command that runs a script with pyiceberg and with DuckDB and its extension for Iceberg, which read and change
// tables. Without them the test is skipped, like those that need an emulator.
func Tables(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	return python(tb, fetched(tb, tablesBundle, "pyiceberg and DuckDB's Iceberg extension", "python3"), script, args)
}

// python runs a script with the libraries of a bundle.
func python(tb testing.TB, dir, script string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(tb.Context(), "python3", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "lib"))
	return cmd
}

// JSONSchema returns a command that runs a Python script with the validator jsonschema, a dependency of moto. Without it the test
// is skipped, like those that need an emulator.
func JSONSchema(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, pythonBundle, "Python's jsonschema", "python3")
	cmd := exec.CommandContext(tb.Context(), "python3", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "lib"))
	return cmd
}

// Node returns a command that runs a Node.js script. Without node the test is skipped.
func Node(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		leaveOut(tb, "node", err)
	}
	return exec.CommandContext(tb.Context(), "node", append([]string{script}, args...)...)
}
