// Package gobuild builds the programs that tests run. All are built alike, and as a release is: a fresh clone then compiles each
// package once for all of them, and once more with the race detector for the tests. Compiling the AWS SDK takes a minute of CPU time.
package gobuild

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// NoCgo is the setting without which go would build with cgo.
const NoCgo = "CGO_ENABLED=0"

// Environment is that of a go command that builds a program.
func Environment() []string {
	// Without symbols, which panics and profiles do not need, linking takes a third less time.
	flags := strings.TrimSpace(os.Getenv("GOFLAGS") + " -trimpath -ldflags=-s")
	return append(os.Environ(), NoCgo, "GOFLAGS="+flags)
}

// Compile builds a package, which may be a path that begins with a dot, into a file, with options of go build.
func Compile(file, pkg string, options ...string) error {
	cmd := exec.Command("go", slices.Concat([]string{"build", "-o", file}, options, []string{pkg})...)
	// Few of the compiler's processes live long enough for the garbage collector to pay: a fifth of their time is its.
	cmd.Env = append(Environment(), "GOGC=400")
	if slices.Contains(options, "-race") {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// Build is Compile for a test, and returns the file.
func Build(tb testing.TB, file, pkg string, options ...string) string {
	tb.Helper()
	if err := Compile(file, pkg, options...); err != nil {
		tb.Fatal(err)
	}
	return file
}
