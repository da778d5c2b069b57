package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"aws-streaming-pipeline/consumer"
)

func runDaemon(ctx context.Context, _ []string, _ io.Writer) (err error) {
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return fmt.Errorf("invalid settings:\n%w", err)
	}
	log := newLogger(cfg)
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

func newLogger(cfg consumer.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo // unreachable for the daemon: Validate rejects other levels
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
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
