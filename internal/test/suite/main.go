// Command suite runs the tests of the packages that it is given, as make test does:
//
//	go run ./internal/test/suite ./...
//
// All of them run with the race detector, but those in plain.go, which start no goroutines: the detector would find nothing and make
// them five times as long. Of those, the tests that are about goroutines run with the race detector too.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run tests the packages, also those that come after one that fails.
func run(ctx context.Context, patterns []string) error {
	listed, err := output(ctx, append([]string{"list"}, patterns...))
	if err != nil {
		return err
	}
	packages := strings.Fields(listed)
	var failed []error
	for _, args := range steps(packages) {
		failed = append(failed, command(ctx, args))
	}
	return errors.Join(failed...)
}

// steps are the go commands that test the packages.
func steps(packages []string) [][]string {
	var light, rest []string
	for _, p := range packages {
		if slices.Contains(plain, strings.TrimPrefix(p, module)) {
			light = append(light, p)
		} else {
			rest = append(rest, p)
		}
	}
	// Many tests wait for other processes, so more packages than cores run at once. make lint vets all packages. The garbage collector of
	// the compiler would take a fifth of its time.
	test := []string{"test", "-vet=off", "-timeout=30m", "-p=" + strconv.Itoa(runtime.NumCPU()+2), "-toolexec=env GOGC=400"}
	var all [][]string
	if len(light) > 0 {
		// Built as the programs are that the tests of the other packages build.
		all = append(all, slices.Concat(test, []string{"-trimpath"}, light), slices.Concat(test, []string{"-race", "-run=" + concurrent}, light))
	}
	if len(rest) > 0 {
		all = append(all, slices.Concat(test, []string{"-race"}, rest))
	}
	return all
}

// command runs a go command whose output is that of this program.
func command(ctx context.Context, args []string) error {
	flags := args[:slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, module) })]
	line := fmt.Sprintf("go %s (%d packages)", strings.Join(flags, " "), len(args)-len(flags))
	fmt.Println(line)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if !slices.Contains(args, "-race") {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}

func output(ctx context.Context, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}
