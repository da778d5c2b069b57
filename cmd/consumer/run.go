package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/command"
)

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "deliver records until SIGTERM; the default",
		Long: `Delivers the records of STREAM_NAME to BUCKET until SIGTERM or SIGINT: then it writes what it holds, commits it and ends. A second
signal ends it at once, which loses nothing either: the next start delivers what was not committed. Any number of workers may run;
they share the shards. "consumer policy" prints the permissions that it needs.

Exit code: 0 stopped, or STOP_POSITION is reached; 1 failed; 2 the settings are wrong; 3 STOP_POSITION is reached, but records are
missing that the stream no longer held; 130 stopped before STOP_POSITION was reached.`,
		Example:     "STREAM_NAME=trips BUCKET=my-bucket consumer run",
		Annotations: map[string]string{command.Hint: "consumer validate checks the settings and what they name, without starting"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return profiled(func() error { return runDaemon(cmd.Context()) })
		},
	}
}

func runDaemon(ctx context.Context) (err error) {
	defer func() { err = command.StartFailed("consumer", err) }()
	cfg, err := loadSettings()
	if err != nil {
		return err
	}
	log := consumer.NewLogger(cfg)
	for _, warning := range cfg.Warnings() {
		log.Warn(warning)
	}
	limitMemory(cfg, log)
	account, err := awshttp.Account(ctx, awshttp.LogTo(log))
	if err != nil {
		return err
	}
	daemon, err := consumer.Open(ctx, cfg, consumer.Account{Config: account}, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.Close()) }()
	return exitWith(daemon.Run(ctx))
}

// exitWith gives an error of the daemon its exit code.
func exitWith(err error) error {
	switch {
	case errors.Is(err, consumer.ErrIncomplete): // another start would not deliver what is missing
		return &command.ExitError{Code: command.ExitIncomplete, Err: err}
	case errors.Is(err, consumer.ErrInterrupted):
		return &command.ExitError{Code: command.ExitInterrupted, Err: err}
	}
	return err
}
