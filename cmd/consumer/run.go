package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
)

func runDaemon(ctx context.Context, _ []string, _ io.Writer) (err error) {
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return fmt.Errorf("invalid settings:\n%w", err)
	}
	log := consumer.NewLogger(cfg)
	limitMemory(cfg, log)
	account, err := loadAccount(ctx)
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
	if errors.Is(err, consumer.ErrIncomplete) {
		return &command.ExitError{Code: exitIncomplete, Err: err}
	}
	return err
}

// exitIncomplete is the exit code of a run with STOP_POSITION that has come to its end without all records: another
// start would not deliver them. Every other failure has exit code 1.
const exitIncomplete = 3

// settings lists the environment variables by subject.
func settings(_ context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("settings takes no arguments, got %q", args[0])
	}
	w := bufio.NewWriter(out)
	for _, g := range consumer.SettingGroups() {
		fmt.Fprintf(w, "%s\n", g.Title)
		for _, s := range g.Settings {
			fmt.Fprintf(w, "  %s\n      %s\n", s.Name, s.Help())
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
