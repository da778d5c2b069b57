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
	dir := fetched(tb, enginesBundle, "PyArrow and DuckDB", "python3")
	cmd := exec.CommandContext(tb.Context(), "python3", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "lib"))
	return cmd
}
