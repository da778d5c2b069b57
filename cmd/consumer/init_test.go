package main_test

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// No package of this program allocates much when it is initialized: a regular expression with a large repetition once took 10 MB,
// of every process. The figures are those of the Go runtime (package runtime, GODEBUG=inittrace).
func TestConsumer_StartsWithLittleMemory(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "settings")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace strings.Builder
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	packages := regexp.MustCompile(`(?m)^init (\S+) .* (\d+) bytes, \d+ allocs$`).FindAllStringSubmatch(trace.String(), -1)
	if len(packages) < 20 {
		t.Fatalf("the trace has %d packages:\n%s", len(packages), &trace)
	}
	const most = 2_000_000
	for _, p := range packages {
		if n, err := strconv.Atoi(p[2]); err != nil || n > most && strings.HasPrefix(p[1], "aws-streaming-pipeline/") {
			t.Errorf("package %s allocates %s bytes when it is initialized, want %d at most; %v", p[1], p[2], most, err)
		}
	}
}
