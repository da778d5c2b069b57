// Fuzz runs the repository's fuzz targets, each for a short time; go test runs only their seeds.
//
//	go run ./internal/test/fuzz -for 10s              # all of them
//	go run ./internal/test/fuzz -run Cost -for 1m     # those whose package and name match
//	go run ./internal/test/fuzz -rotate 2 -for 10s    # another two with each commit
//
// It ends with an error if a target fails; the failing input is then under the package's testdata.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	run := flags.String("run", "", "take only targets whose package and name this regular expression matches")
	rotate := flags.Int("rotate", 0, "take only so many, others with each commit; 0 takes all")
	each := flags.Duration("for", 10*time.Second, "how long each target runs")
	list := flags.Bool("list", false, "print the targets instead of running them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*run)
	if err != nil {
		return fmt.Errorf("-run %q: %w", *run, err)
	}
	all, err := targets(".")
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(t target) bool { return !match.MatchString(t.String()) })
	if *rotate > 0 {
		all = turn(all, *rotate, commits(ctx))
	}
	for _, t := range all {
		fmt.Println(t)
		if *list {
			continue
		}
		if err := t.fuzz(ctx, *each); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return nil
}

// target is a fuzz function.
type target struct{ pkg, name string }

func (t target) String() string { return t.pkg + " " + t.name }

func (t target) fuzz(ctx context.Context, d time.Duration) error {
	c := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", d.String(), t.pkg)
	var said bytes.Buffer
	c.Stdout, c.Stderr = io.MultiWriter(os.Stdout, &said), os.Stderr
	if err := c.Run(); err != nil && !outOfTime(said.String()) {
		return err
	}
	return nil
}

// outOfTime reports whether a target failed only because its time was over: on a busy machine go test's fuzzer reports that as a
// failure if an input is being tried at the time.
func outOfTime(said string) bool {
	return strings.Contains(said, "\n    context deadline exceeded\n") && !strings.Contains(said, "Failing input written to")
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// targets returns the fuzz functions below a folder, by package and name.
func targets(root string) (all []target, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range declaration.FindAllSubmatch(text, -1) {
			all = append(all, target{"./" + filepath.ToSlash(filepath.Dir(path)), string(m[1])})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return all, err
}

// turn picks n targets for a seed. They are far apart in the list, so that one run covers different packages.
func turn(all []target, n, seed int) []target {
	n = min(n, len(all))
	picked := make([]target, n)
	for i := range picked {
		picked[i] = all[(seed+i*len(all)/n)%len(all)]
	}
	return picked
}

// commits returns the number of commits, or the number of the day if the history was not fetched.
func commits(ctx context.Context) int {
	shallow, err := exec.CommandContext(ctx, "git", "rev-parse", "--is-shallow-repository").Output()
	if err == nil && strings.TrimSpace(string(shallow)) == "false" {
		count, err := exec.CommandContext(ctx, "git", "rev-list", "--count", "HEAD").Output()
		if n, wrong := strconv.Atoi(strings.TrimSpace(string(count))); err == nil && wrong == nil {
			return n
		}
	}
	return int(time.Now().Unix() / (24 * 60 * 60))
}
