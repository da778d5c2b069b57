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

	"aws-streaming-pipeline/consumer"
)

// probeBound is how long a daemon that is alive may take to say so.
const probeBound = 5 * time.Second

// probe checks that the daemon with the same settings on this host is alive. It is meant for schedulers that run a command
// in a container without a shell, such as ECS. It fails when the daemon needs a restart, see /healthz.
func probe(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("probe takes no arguments, got %q", args)
	}
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return fmt.Errorf("invalid settings:\n%w", err)
	}
	if cfg.HTTPAddress == "" {
		return errors.New("HTTP_ADDRESS is empty, so the daemon cannot be probed")
	}
	host, port, err := net.SplitHostPort(cfg.HTTPAddress)
	if err != nil {
		return fmt.Errorf("HTTP_ADDRESS=%q: %w", cfg.HTTPAddress, err)
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
