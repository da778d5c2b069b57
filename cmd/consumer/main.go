// Command consumer is the daemon that delivers a Kinesis stream into large files in S3, every record exactly once.
//
// It is set by environment variables; "consumer settings" lists them.
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

// command is one of the words after the program's name.
type command struct {
	name, about string
	run         func(ctx context.Context, args []string, out io.Writer) error
}

var commands = []command{
	{"run", "deliver records until SIGTERM; the default", runDaemon},
	{"ddl", "print the Athena table of a schema", printDDL},
	{"schema", "propose a schema from samples (schema infer FILE), or take one from a registry (schema from-registry)", schemaTools},
	{"audit", "prove from the manifests and the bucket that every record was delivered once", auditBucket},
	{"checkpoint", "show the lease table, move positions, import another consumer's", checkpoints},
	{"check", "send a record to each shard and wait for the files that hold them", checkDelivery},
	{"redrive", "send error records back to a stream", redriveErrors},
	{"policy", "print the least IAM policy for these settings, of the daemon or with --operator of these commands", printPolicy},
	{"probe", "ask the daemon with these settings on this host whether it is alive", probe},
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
	return fmt.Errorf("there is no command %q; consumer help lists them", args[0])
}

func usage(out io.Writer) error {
	fmt.Fprintf(out, "Delivers a Kinesis stream into large files in S3, every record exactly once.\n\nusage: consumer [command]\n\n")
	for _, c := range commands {
		fmt.Fprintf(out, "  %-10s %s\n", c.name, c.about)
	}
	_, err := fmt.Fprintf(out, "\nAWS credentials, region and endpoints come from the usual variables (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3, ...).\n")
	return err
}

// untilSignal returns a context that the first SIGTERM or SIGINT ends. The second ends the process at once.
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
