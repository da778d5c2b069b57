// Command producer sends the rows of a CSV, or made-up taxi trips, to a Kinesis data stream. See producer --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/producer"
)

func main() { command.Main(root()) }

func root() *cobra.Command {
	s := newSettings()
	cmd := &cobra.Command{
		Use: "producer", Short: "send the rows of a CSV, or generated taxi trips, to a Kinesis data stream", Long: help,
		Example: "producer --stream trips --csv train.csv\nproducer --stream trips --generate 100000 --seed 1 --rate 500\nproducer --generate 300 --write-csv trips.csv",
		Annotations: map[string]string{command.Environment: "AWS credentials, region and profile come from the environment or the shared files, as with every AWS SDK: " +
			"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_PROFILE. An emulator accepts any credentials."},
	}
	f := &flags{set: cmd.Flags()}
	s.add(f)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s.complete(f)
		return run(cmd, *s, errors.Join(f.faults...))
	}
	return cmd
}

// run does what the settings say, unless they have faults.
func run(cmd *cobra.Command, s settings, faults error) error {
	ctx, stdout, stderr := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	if faults == nil && s.writeCSV != "" {
		return writeCSV(ctx, s, stdout)
	}
	client, err := newClient(ctx, s)
	if err := errors.Join(faults, err); err != nil {
		return command.Usagef("invalid settings:\n%w", err)
	}
	status, err := send(ctx, s, client, stdout, stderr)
	if err == nil && status != 0 {
		err = &command.ExitError{Code: status} // the report says why
	}
	return err
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
func send(ctx context.Context, s settings, client producer.Client, stdout, stderr io.Writer) (status int, err error) {
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
		return 0, command.Usage(err)
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
	return status, nil
}

// about is the stream, for diagnoses.
func about(s settings) diagnosis.Subject {
	stream := string(s.producer.Stream)
	to := diagnosis.Subject{Thing: "stream " + stream, Setting: "--stream", Value: stream, Region: s.region}
	if s.endpointURL != "" {
		to.Endpoint = "--endpoint-url"
	}
	return to
}

// statusOf returns the exit status of a run that ended with err.
func statusOf(ctx context.Context, summary producer.Summary, err error) int {
	var fault producer.Fault
	switch {
	case errors.As(err, &fault):
		return command.ExitUsage
	case ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))):
		return command.ExitInterrupted
	case err != nil:
		if found := diagnosis.Of(err, diagnosis.Subject{}); found.Final {
			return found.Exit
		}
		return command.ExitFailed
	case summary.BadRows > 0:
		return command.ExitIncomplete
	}
	return 0
}
