// Command loader loads the files that the daemon has delivered into the table that the setting TABLE names, every batch exactly
// once, and takes care of that table.
//
// It reads the daemon's settings; "consumer settings" lists them. It is a program of its own because its libraries are many times
// as large as the daemon.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"aws-streaming-pipeline/internal/version"
)

// command is a subcommand. The file of each one adds it to commands.
type command struct {
	name, about string
	run         func(ctx context.Context, args []string, out io.Writer) error
}

var commands = []command{{"version", "print the version", func(_ context.Context, _ []string, out io.Writer) error {
	_, err := fmt.Fprintln(out, version.String())
	return err
}}}

func main() {
	ctx, stop := untilSignal()
	defer stop()
	if err := dispatch(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "loader:", err)
		os.Exit(exitCode(err))
	}
}

func dispatch(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return runLoader(ctx, nil, out)
	}
	for _, c := range commands {
		if c.name == args[0] {
			return unlessHelp(c.run(ctx, args[1:], out))
		}
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		return usage(out)
	}
	return fmt.Errorf("unknown command %q; loader help lists the commands", args[0])
}

func usage(out io.Writer) error {
	fmt.Fprintf(out, "Loads the files that the daemon has delivered into the table that TABLE names, every batch exactly once.\n\nusage: loader [command]\n\n")
	for _, c := range slices.SortedFunc(slices.Values(commands), func(a, b command) int { return cmp.Compare(a.name, b.name) }) {
		fmt.Fprintf(out, "  %-10s %s\n", c.name, c.about)
	}
	_, err := fmt.Fprintf(out, "\nThe settings are the daemon's: \"consumer settings\" lists them. AWS credentials, region and endpoints come from the standard\nvariables (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3, ...).\n")
	return err
}

// untilSignal returns a context that the first SIGTERM or SIGINT cancels. The second ends the process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		s := <-signals
		cancel(fmt.Errorf("got %v", s))
		<-signals
		os.Exit(130)
	}()
	return ctx, func() { cancel(nil) }
}
