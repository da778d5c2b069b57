// Command package-functions builds the deployment packages of the Lambda functions, dist/<function>-<architecture>.zip, and
// prints the SHA-256 of each. The same sources produce the same packages.
//
//	go run ./cmd/package-functions -out dist -arch arm64 -add athena/trips.schema.json
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"aws-streaming-pipeline/internal/lambdas/bundle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "package-functions:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("package-functions", flag.ContinueOnError)
	dir := flags.String("out", "dist", "output folder of the packages")
	architectures := flags.String("arch", strings.Join(bundle.Architectures, ","), "architectures, separated by commas")
	functions := flags.String("functions", strings.Join(bundle.Functions, ","), "functions, separated by commas")
	var more []bundle.File
	flags.Func("add", "file to pack with the binary, such as the schema for SCHEMA; may be repeated", func(path string) error {
		data, err := os.ReadFile(path)
		more = append(more, bundle.File{Name: filepath.Base(path), Data: data})
		return err
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	for _, function := range strings.Split(*functions, ",") {
		for _, architecture := range strings.Split(*architectures, ",") {
			data, err := bundle.Build(ctx, function, architecture, more...)
			if err != nil {
				return err
			}
			path := filepath.Join(*dir, function+"-"+architecture+".zip")
			if err := os.WriteFile(path, data, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s  %s  %.1f MB\n", bundle.Hash(data), path, float64(len(data))/1e6)
		}
	}
	return nil
}
