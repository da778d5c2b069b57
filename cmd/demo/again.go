package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
)

// again builds this program with the build tag table and runs that with the same arguments. Without the tag it has no Iceberg
// library, which is many times as large as all the rest.
func again(ctx context.Context, args []string, out, errs io.Writer) (err error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("--table: this program does not say from which package it was built: start it with go run ./cmd/demo")
	}
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("--table builds the demo again with Apache Iceberg, which needs the go command: %w", err)
	}
	if found, err := exec.CommandContext(ctx, "go", "list", info.Path).CombinedOutput(); err != nil {
		return fmt.Errorf("--table builds the demo again with Apache Iceberg: start it in the repository: %s", found)
	}
	dir, err := os.MkdirTemp("", "demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintln(out, "building the demo with Apache Iceberg, which takes some minutes the first time")
	program := filepath.Join(dir, "demo")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "table", "-o", program, info.Path)
	build.Stdout, build.Stderr = errs, errs
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the demo with Apache Iceberg: %w", err)
	}
	demo := exec.Command(program, args...)
	demo.Stdin, demo.Stdout, demo.Stderr = os.Stdin, out, errs
	if err := demo.Start(); err != nil {
		return err
	}
	// It stops by itself, as this program would.
	defer context.AfterFunc(ctx, func() { _ = demo.Process.Signal(syscall.SIGTERM) })()
	return demo.Wait()
}
