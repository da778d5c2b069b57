package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
)

// probeBound is how long a daemon that is alive may take to say so.
const probeBound = 5 * time.Second

func probeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "probe", Short: "check that the daemon with these settings is alive on this host",
		Long: `Asks the daemon with the same settings on this host whether it is alive. It is meant for schedulers that run a command in a container
without a shell, such as ECS. It makes no AWS calls.

Exit code: 0 alive; 1 no answer within 5 s, or the daemon needs a restart (see /healthz); 2 the settings are wrong.`,
		Example: "consumer probe",
		RunE:    func(cmd *cobra.Command, _ []string) error { return probe(cmd.Context(), cmd.OutOrStdout()) },
	}
}

// probe checks that the daemon with the same settings on this host is alive.
func probe(ctx context.Context, out io.Writer) error {
	cfg, err := loadSettings()
	if err != nil {
		return err
	}
	if cfg.HTTPAddress == "" {
		return command.Undone(errors.New("HTTP_ADDRESS is empty, so the daemon cannot be probed"))
	}
	host, port, err := net.SplitHostPort(cfg.HTTPAddress)
	if err != nil {
		return command.Undone(fmt.Errorf("HTTP_ADDRESS=%q: %w", cfg.HTTPAddress, err))
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, probeBound)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request) // never through a proxy
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, 1000))
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the daemon answers %s: %s", response.Status, strings.TrimSpace(string(said)))
	}
	_, err = out.Write(said)
	return err
}
