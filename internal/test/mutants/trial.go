package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// verdict is the result of a mutant.
type verdict string

const (
	killed   verdict = "killed"   // the test failed
	survived verdict = "SURVIVED" // the test passed
	hung     verdict = "HUNG"     // the test reached the limit, which is too slow to notice a fault
	crashed  verdict = "CRASHED"  // the program ended, but no test failed
	broken   verdict = "NO BUILD" // the mutated code does not compile
	lost     verdict = "LOST"     // the snippet is not in the code exactly once: the list has to follow the code
)

// result is a verdict with its reasons.
type result struct {
	mutant  mutant
	verdict verdict
	took    time.Duration // of the test
	detail  string
}

// lab builds and runs test programs of the module under root. It never changes the module: go build gets the mutated
// files by -overlay.
type lab struct {
	root  string
	limit time.Duration // of one run
}

// control returns an error unless the tests of a package pass on the unchanged code.
func (l *lab) control(ctx context.Context, pkg string, tests []string) error {
	binary, output, err := l.build(ctx, mutant{pkg: pkg}, "")
	if err != nil {
		return fmt.Errorf("build the tests of %s: %w\n%s", pkg, err, output)
	}
	defer os.RemoveAll(filepath.Dir(binary))
	for _, test := range tests {
		output, passed := l.run(ctx, binary, mutant{pkg: pkg, test: test})
		switch {
		case !passed:
			return fmt.Errorf("%s %s fails without a mutant:\n%s", pkg, test, tail(output))
		case !strings.Contains(output, "--- PASS: "):
			return fmt.Errorf("%s has no test %s, or it was skipped:\n%s", pkg, test, tail(output))
		}
	}
	return nil
}

// try plants the mutant and runs its test.
func (l *lab) try(ctx context.Context, m mutant) result {
	source, err := m.source(l.root)
	if err != nil {
		return result{m, lost, 0, err.Error()}
	}
	binary, output, err := l.build(ctx, m, source)
	if err != nil {
		return result{m, broken, 0, output}
	}
	defer os.RemoveAll(filepath.Dir(binary))
	began := time.Now()
	output, passed := l.run(ctx, binary, m)
	return result{m, judge(output, passed), time.Since(began), output}
}

// judge reads the output of a test program.
func judge(output string, passed bool) verdict {
	switch {
	case passed:
		return survived
	case strings.Contains(output, "panic: test timed out after"):
		return hung
	case strings.Contains(output, "--- FAIL: "):
		return killed
	}
	return crashed
}

// build builds the test program of the mutant's package, with source replacing its file unless that is empty. The caller removes
// the program's folder.
func (l *lab) build(ctx context.Context, m mutant, source string) (binary, output string, err error) {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir) // the earlier error counts
		}
	}()
	binary = filepath.Join(dir, "tests")
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", binary}
	if source != "" {
		overlay, err := l.overlay(dir, m.file, source)
		if err != nil {
			return "", "", err
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, m.pkg)...)
	cmd.Dir = l.root
	out, err := cmd.CombinedOutput()
	return binary, string(out), err
}

func (l *lab) overlay(dir, file, source string) (string, error) {
	mutated, overlay := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(l.root, file): mutated}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(mutated, []byte(source), 0o600); err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// run runs the mutant's test. The program ends by itself at the limit, or is killed.
func (l *lab) run(ctx context.Context, binary string, m mutant) (output string, passed bool) {
	ctx, cancel := context.WithTimeout(ctx, l.limit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", pattern(m.test), "-test.v", "-test.count=1", "-test.failfast",
		"-test.timeout", l.limit.String())
	cmd.Dir = filepath.Join(l.root, m.pkg)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		fmt.Fprintf(&out, "\npanic: test timed out after %v, and did not end by itself\n", l.limit)
	}
	return out.String(), err == nil
}

// pattern returns a -run pattern that matches only the given test.
func pattern(test string) string { return "^" + strings.ReplaceAll(test, "/", "$/^") + "$" }
