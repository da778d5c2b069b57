// Command consumer is the daemon that delivers a Kinesis stream to large files in S3, every record exactly once.
//
// It is configured by environment variables; "consumer settings" lists them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"aws-streaming-pipeline/internal/version"
)

// command is a subcommand.
type command struct {
	name, about string
	run         func(ctx context.Context, args []string, out io.Writer) error
}

var commands = []command{
	{"run", "deliver records until SIGTERM; the default", runDaemon},
	{"ddl", "print the Athena table of a schema", printDDL},
	{"schema", "propose a schema from samples (schema infer FILE), or fetch one from a registry (schema from-registry)", schemaTools},
	{"audit", "prove from the manifests and the bucket that every record was delivered once", auditBucket},
	{"checkpoint", "show the lease table, move positions, or import them from another consumer", checkpoints},
	{"check", "send a record to each shard and wait for the files that hold them", checkDelivery},
	{"redrive", "send error records back to a stream", redriveErrors},
	{"policy", "print the minimal IAM policy for the daemon with these settings, or with --operator for these commands", printPolicy},
	{"probe", "check that the daemon with these settings is alive on this host", probe},
	{"settings", "list the environment variables", settings},
	{"version", "print the version", func(_ context.Context, _ []string, out io.Writer) error {
		_, err := fmt.Fprintln(out, version.String())
		return err
	}},
}

func main() {
	ctx, stop := untilSignal()
	defer stop()
	if err := dispatch(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "consumer:", err)
		os.Exit(exitCode(err))
	}
}

func dispatch(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return runDaemon(ctx, nil, out)
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], out)
		}
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		return usage(out)
	}
	return fmt.Errorf("unknown command %q; consumer help lists the commands", args[0])
}

func usage(out io.Writer) error {
	fmt.Fprintf(out, "Delivers a Kinesis stream to large files in S3, every record exactly once.\n\nusage: consumer [command]\n\n")
	for _, c := range commands {
		fmt.Fprintf(out, "  %-10s %s\n", c.name, c.about)
	}
	_, err := fmt.Fprintf(out, "\nAWS credentials, region and endpoints come from the standard variables (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3, ...).\n")
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
