package emulator

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Python returns a command that runs a script with DuckDB and PyArrow at hand, the independent readers of the files
// that this project writes. Without them the test or benchmark is left out, as those that need an emulator are.
func Python(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	return python(tb, fetched(tb, enginesBundle, "PyArrow and DuckDB", "python3"), script, args)
}

// Encoders returns a command that runs a script with fastavro, Google's Protobuf and its protoc at hand, which write what
// this project reads. Without them the test is left out, as those that need an emulator are.
func Encoders(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	return python(tb, fetched(tb, encodersBundle, "fastavro and Protobuf", "python3"), script, args)
}

// python runs a script with the libraries of a bundle.
func python(tb testing.TB, dir, script string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(tb.Context(), "python3", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "lib"))
	return cmd
}

// JSONSchema returns a command that runs a script of Python with the validator jsonschema at hand, which moto depends on. Without
// it the test is left out, as those that need an emulator are.
func JSONSchema(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, pythonBundle, "Python's jsonschema", "python3")
	cmd := exec.CommandContext(tb.Context(), "python3", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "lib"))
	return cmd
}

// Node returns a command that runs a script of node. Without node the test is left out.
func Node(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		leaveOut(tb, "node", err)
	}
	return exec.CommandContext(tb.Context(), "node", append([]string{script}, args...)...)
}
