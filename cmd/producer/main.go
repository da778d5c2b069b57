// Command producer sends the rows of a CSV, or made-up taxi trips, to a Kinesis data stream. See producer --help.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/producer"
)

// Exit statuses; the help text explains them.
const (
	exitSent        = 0
	exitFailed      = 1
	exitSettings    = 2
	exitBadRows     = 3
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal then ends the process
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	s, err := parseSettings(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitSent
	}
	if err == nil && s.writeCSV != "" {
		err := writeCSV(ctx, s, stdout)
		if err != nil {
			fmt.Fprintln(stderr, "producer:", err)
		}
		return statusOf(ctx, producer.Summary{}, err)
	}
	client, clientErr := newClient(ctx, s)
	if err := errors.Join(err, clientErr); err != nil {
		fmt.Fprintf(stderr, "producer: invalid settings:\n%v\n", err)
		return exitSettings
	}
	return send(ctx, s, client, stdout, stderr)
}

// newClient returns a client of the service.
func newClient(ctx context.Context, s settings) (*kinesis.Client, error) {
	loaded, err := awshttp.Account(ctx, config.WithRegion(s.region))
	if err != nil {
		return nil, err
	}
	if loaded.Region == "" {
		return nil, errors.New(`--region="": want a region in this flag, AWS_REGION or the profile`)
	}
	return kinesis.NewFromConfig(loaded, func(o *kinesis.Options) {
		if s.endpointURL != "" {
			o.BaseEndpoint = &s.endpointURL
		}
	}), nil
}

// send runs the producer and prints the report.
func send(ctx context.Context, s settings, client producer.Client, stdout, stderr io.Writer) (status int) {
	screen := newScreen(stderr)
	rows := newSource(s)
	bad := badRows{file: s.csv, out: screen}

	c := s.producer
	c.Source = func() (producer.Source, error) { return rows.open(ctx) }
	c.OnBadRow = bad.report
	c.OnProgress = func(p producer.Progress) { screen.progress(p, rows.done(p)) }
	c.ProgressEvery = screen.every()
	level := slog.LevelWarn
	if s.verbose {
		level = slog.LevelDebug
	}
	c.Log = slog.New(slog.NewTextHandler(screen, &slog.HandlerOptions{Level: level}))

	p, err := producer.New(c, client)
	if err != nil {
		fmt.Fprintln(stderr, "producer:", err)
		return exitSettings
	}
	interrupted := context.AfterFunc(ctx, func() {
		fmt.Fprintf(screen, "interrupted, waiting up to %s for calls in flight\n", c.DrainFor)
	})
	summary, err := p.Run(ctx)
	interrupted()
	screen.show("")
	status = statusOf(ctx, summary, err)
	report(stdout, summary)
	reportEnd(stderr, s, summary, err, status)
	return status
}

// statusOf returns the exit status of a run that ended with err.
func statusOf(ctx context.Context, summary producer.Summary, err error) int {
	var fault producer.Fault
	switch {
	case errors.As(err, &fault):
		return exitSettings
	case ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))):
		return exitInterrupted
	case err != nil:
		return exitFailed
	case summary.BadRows > 0:
		return exitBadRows
	}
	return exitSent
}
