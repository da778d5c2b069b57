// Command fetch fills .cache/emulator with the AWS stand-ins that tests start: all of them, or the bundles named as
// arguments (npm, python, engines, encoders, tables, tools, shell, validator, sam, cdk, terraform, java, codecs, parquetjava,
// icebergjava, postgresql, go, prometheus, kubernetes, gitops). Bundles that are there already are left alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"aws-streaming-pipeline/internal/test/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := fetch(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fetch tries every bundle, so that one unreachable registry does not hide the others. A bundle that this machine lacks the
// runtime or the registry for is named and left out; if CI is true, it is an error.
func fetch(ctx context.Context, names []string) error {
	bundles := emulator.Bundles()
	for _, name := range names {
		if !slices.ContainsFunc(bundles, func(b emulator.Bundle) bool { return b.Name == name }) {
			return fmt.Errorf("no bundle is called %q", name)
		}
	}
	var failed []error
	for _, bundle := range bundles {
		if len(names) > 0 && !slices.Contains(names, bundle.Name) {
			continue
		}
		begun := time.Now()
		dir, err := bundle.Fetch(ctx)
		if errors.Is(err, emulator.ErrUnavailable) && os.Getenv("CI") != "true" {
			fmt.Printf("LEFT OUT: the tests that need bundle %s: %v\n", bundle.Name, err)
			continue
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		fmt.Printf("%-8s %s (%s)\n", bundle.Name, dir, time.Since(begun).Round(time.Millisecond))
	}
	return errors.Join(failed...)
}
