package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Python returns a command that runs a script with DuckDB and PyArrow at hand, the independent readers of the files
// that this project writes. Without them the test or benchmark is left out, as those that need an emulator are.
func Python(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Minute)
	defer cancel()
	dir, err := enginesBundle.Fetch(ctx)
	if errors.Is(err, ErrUnavailable) {
		line := fmt.Sprintf("LEFT OUT: PyArrow and DuckDB: %v", err)
		if os.Getenv("CI") == "true" {
			tb.Fatal(line)
		}
		fmt.Fprintln(os.Stderr, line)
		tb.Skip(line)
	}
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), "python3", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "lib"))
	return cmd
}
