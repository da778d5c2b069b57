// Command suite runs the tests of the packages that it is given, as make test does:
//
//	go run ./internal/test/suite ./...
//
// All of them run with the race detector where it can find something; see lists.go. What the detector would only make slow runs without.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"aws-streaming-pipeline/internal/test/gobuild"
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
	list := exec.CommandContext(ctx, "go", append([]string{"list"}, patterns...)...)
	list.Stderr = os.Stderr
	listed, err := list.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	first, lanes := plan(strings.Fields(string(listed)))
	if first != nil {
		if err := command(ctx, first); err != nil {
			return err
		}
	}
	failed := make([][]error, len(lanes))
	var running sync.WaitGroup
	for i, lane := range lanes {
		running.Go(func() {
			for _, args := range lane {
				failed[i] = append(failed[i], command(ctx, args))
			}
		})
	}
	running.Wait()
	return errors.Join(slices.Concat(failed...)...)
}

// plan returns the go commands that test the packages: one that comes before all others, if there is any, and lanes that run at the same
// time, because many tests wait for other processes.
func plan(packages []string) (first []string, lanes [][][]string) {
	// make lint vets all packages. The garbage collector of the compiler would take a fifth of its time.
	tool := "-toolexec=env GOGC=400"
	test := []string{"test", "-vet=off", "-timeout=30m", "-p=" + strconv.Itoa(runtime.NumCPU()), tool}
	// What has no detector is built as the programs are that tests build; see package gobuild.
	plainly, raced := append(slices.Clone(test), "-trimpath"), append(slices.Clone(test), "-race")

	var codecs, rest []string
	apart := make(map[string][]string) // packages by the pattern of their tests
	for _, p := range packages {
		name := strings.TrimPrefix(p, module)
		if slices.Contains(plain, name) {
			codecs = append(codecs, p)
			continue
		}
		rest = append(rest, p)
		if tests, ok := large[name]; ok {
			apart[tests] = append(apart[tests], p)
		}
	}
	var quick [][]string
	if len(codecs) > 0 {
		quick = append(quick, slices.Concat(plainly, codecs), slices.Concat(raced, []string{"-run=" + concurrent}, codecs))
	}
	for _, tests := range slices.Sorted(maps.Keys(apart)) {
		if tests == all {
			lanes = append(lanes, [][]string{slices.Concat(plainly, apart[tests])})
			continue
		}
		quick = append(quick, slices.Concat(plainly, []string{"-run=" + tests}, apart[tests]))
	}
	if len(rest) > 0 {
		lanes = append(lanes, [][]string{slices.Concat(raced, rest)})
	}
	if len(quick) > 0 {
		lanes = append(lanes, quick)
	}
	if len(apart) > 0 {
		// Otherwise several lanes would compile the same packages at the same time.
		first = []string{"build", "-trimpath", tool, module + "cmd/..."}
	}
	return first, lanes
}

// command runs a go command whose output is that of this program.
func command(ctx context.Context, args []string) error {
	flags := args[:slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, module) })]
	line := fmt.Sprintf("go %s (%d packages)", strings.Join(flags, " "), len(args)-len(flags))
	fmt.Println(line)
	began := time.Now()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	// make runs this program without cgo, too, and the detector needs it.
	cgo := gobuild.NoCgo
	if slices.Contains(args, "-race") {
		cgo = "CGO_ENABLED=1"
	}
	cmd.Env = append(os.Environ(), cgo)
	err := cmd.Run()
	fmt.Printf("%s: %v\n", line, time.Since(began).Round(time.Second))
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}
