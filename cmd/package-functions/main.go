// Command package-functions builds the deployment packages of the Lambda functions, dist/<function>-<architecture>.zip, and
// prints the SHA-256 of each. The same sources produce the same packages.
//
//	go run ./cmd/package-functions --out dist --arch arm64 --add athena/trips.schema.json
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/lambdas/bundle"
)

func main() { command.Main(root()) }

func root() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "package-functions", Short: "build the deployment packages of the Lambda functions",
		Long: `Builds the deployment packages of the Lambda functions, <function>-<architecture>.zip, and prints the SHA-256 of each. The same sources
produce the same packages.`,
		Example: "go run ./cmd/package-functions --out dist --arch arm64 --add athena/trips.schema.json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o, cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "out", "dist", "output `folder` of the packages")
	f.StringVar(&o.architectures, "arch", strings.Join(bundle.Architectures, ","), "`architectures`, separated by commas")
	f.StringVar(&o.functions, "functions", strings.Join(bundle.Functions, ","), "`functions`, separated by commas")
	f.Var(&o.add, "add", "`file` to pack with the binary, such as the schema for SCHEMA; may be repeated")
	return cmd
}

// options are the command line.
type options struct {
	dir, architectures, functions string
	add                           command.List
}

func run(ctx context.Context, o options, out io.Writer) error {
	var more []bundle.File
	for _, path := range o.add {
		data, err := os.ReadFile(path)
		if err != nil {
			return command.Usagef("--add=%q: %w", path, err)
		}
		more = append(more, bundle.File{Name: filepath.Base(path), Data: data})
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	for _, function := range strings.Split(o.functions, ",") {
		for _, architecture := range strings.Split(o.architectures, ",") {
			data, err := bundle.Build(ctx, function, architecture, more...)
			if err != nil {
				return err
			}
			path := filepath.Join(o.dir, function+"-"+architecture+".zip")
			if err := os.WriteFile(path, data, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s  %s  %.1f MB\n", bundle.Hash(data), path, float64(len(data))/1e6)
		}
	}
	return nil
}
