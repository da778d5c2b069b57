// Mutants plants single faults in the code that keeps the promise, one at a time, and shows for each the test that
// notices it: a fault that no test notices may come back unseen. The list is mutants.txt.
//
//	go run ./internal/test/mutants                 # all of them
//	go run ./internal/test/mutants -run lease      # those whose line in -list has "lease" in it
//	go run ./internal/test/mutants -rotate 6       # another six with each commit
//
// It ends with an error unless every mutant is killed, that is, its test fails by itself and within the limit.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// options are the options of the command line.
type options struct {
	run      *regexp.Regexp
	rotate   int
	seed     int
	parallel int
	list     bool
	lab      lab
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string, out io.Writer) error {
	o, err := read(ctx, args)
	if err != nil {
		return err
	}
	all, err := parse(list)
	if err != nil {
		return fmt.Errorf("mutants.txt: %w", err)
	}
	all = slices.DeleteFunc(all, func(m mutant) bool { return !o.run.MatchString(m.line()) })
	all = turn(all, o.rotate, o.seed)
	if o.list {
		for _, m := range all {
			fmt.Fprintln(out, m.line())
		}
		return nil
	}
	return examine(ctx, o, all, out)
}

// read reads the command line. The seed of a rotation is the number of commits, unless it is given.
func read(ctx context.Context, args []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	run := flags.String("run", "", "take only mutants whose line in -list this regular expression matches")
	flags.IntVar(&o.rotate, "rotate", 0, "take only so many, beginning at another place for each seed; 0 takes all")
	flags.IntVar(&o.seed, "seed", -1, "where -rotate begins; defaults to the number of commits, or of the day in a shallow clone")
	flags.IntVar(&o.parallel, "parallel", 1, "how many mutants are tried at the same time")
	flags.DurationVar(&o.lab.limit, "limit", time.Minute, "how long a test may run")
	flags.BoolVar(&o.list, "list", false, "print the mutants instead of trying them")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	if o.run, err = regexp.Compile(*run); err != nil {
		return options{}, fmt.Errorf("-run %q: %w", *run, err)
	}
	if o.parallel < 1 || o.rotate < 0 {
		return options{}, fmt.Errorf("-parallel %d, -rotate %d: want at least 1, and 0 or more", o.parallel, o.rotate)
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return options{}, fmt.Errorf("find the module: %w", err)
	}
	o.lab.root = filepath.Dir(strings.TrimSpace(string(root)))
	if o.rotate > 0 && o.seed < 0 {
		if o.seed, err = commits(ctx, o.lab.root); err != nil {
			return options{}, err
		}
	}
	return o, nil
}

// commits returns the number of commits, or the number of the day if the history was not fetched.
func commits(ctx context.Context, root string) (int, error) {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	if shallow, err := git("rev-parse", "--is-shallow-repository"); err != nil || shallow == "true" {
		return int(time.Now().Unix() / (24 * 60 * 60)), nil
	}
	count, err := git("rev-list", "--count", "HEAD")
	if err != nil {
		return 0, fmt.Errorf("count the commits; -seed avoids this: %w", err)
	}
	return strconv.Atoi(count)
}

// turn picks n mutants, following those of the previous seed, or all if n is 0. Neighbours in the list mostly share a package,
// and so most of the build time.
func turn(all []mutant, n, seed int) []mutant {
	if n == 0 || len(all) <= n {
		return all
	}
	picked := make([]mutant, n)
	for i := range picked {
		picked[i] = all[(seed*n+i)%len(all)]
	}
	return picked
}

// line is the mutant in one line.
func (m *mutant) line() string { return fmt.Sprintf("%s: %s (%s %s)", m.file, m.name, m.pkg, m.test) }

// examine checks that the tests pass on the unchanged code, tries all mutants and prints the results.
func examine(ctx context.Context, o options, all []mutant, out io.Writer) error {
	began := time.Now()
	for pkg, tests := range testsOf(all) {
		if err := o.lab.control(ctx, pkg, tests); err != nil {
			return err
		}
	}

	results := make([]result, len(all))
	var busy sync.WaitGroup
	slots := make(chan struct{}, o.parallel)
	for i, m := range all {
		slots <- struct{}{}
		busy.Go(func() {
			defer func() { <-slots }()
			results[i] = o.lab.try(ctx, m)
		})
	}
	busy.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	dead := print(out, results)
	fmt.Fprintf(out, "%d mutants, %d killed, in %v\n", len(results), dead, time.Since(began).Round(time.Second))
	if dead != len(results) {
		return fmt.Errorf("%d mutants were not killed", len(results)-dead)
	}
	return nil
}

// testsOf returns the tests of the mutants by package, each once.
func testsOf(all []mutant) map[string][]string {
	tests := make(map[string][]string)
	for _, m := range all {
		if !slices.Contains(tests[m.pkg], m.test) {
			tests[m.pkg] = append(tests[m.pkg], m.test)
		}
	}
	return tests
}

// print prints the table, and below it the reasons for the mutants that were not killed. It returns how many were killed.
func print(out io.Writer, results []result) (dead int) {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, r := range results {
		fmt.Fprintf(table, "%s\t%.1f s\t%s\t%s\t%s\n", r.verdict, r.took.Seconds(), r.mutant.file, r.mutant.test, r.mutant.name)
	}
	_ = table.Flush() // to the same writer as the rest
	for _, r := range results {
		if r.verdict == killed {
			dead++
			continue
		}
		fmt.Fprintf(out, "\n%s: %s\n%s\n", r.verdict, r.mutant.line(), tail(r.detail))
	}
	return dead
}

// tail returns the end of a long output.
func tail(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
