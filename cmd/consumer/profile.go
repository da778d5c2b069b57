//go:build profile

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/pprof"
)

// With the build tag "profile", "consumer run" writes its CPU profile to the file that CPU_PROFILE names. The benchmark
// uses it to show where the time goes.
func init() {
	run := program.Commands[0].Run
	program.Commands[0].Run = func(ctx context.Context, args []string, out io.Writer) error {
		path := os.Getenv("CPU_PROFILE")
		if path == "" {
			return run(ctx, args, out)
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return errors.Join(err, f.Close())
		}
		err = run(ctx, args, out)
		pprof.StopCPUProfile()
		return errors.Join(err, f.Close())
	}
}
