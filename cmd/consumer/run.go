package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"aws-streaming-pipeline/consumer"
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
	return daemon.Run(ctx)
}

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
