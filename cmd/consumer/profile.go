//go:build profile

package main

import (
	"errors"
	"os"
	"runtime/pprof"
)

// With the build tag "profile", "consumer run" writes its CPU profile to the file that CPU_PROFILE names. The benchmark
// uses it to show where the time goes.
func profiled(run func() error) error {
	path := os.Getenv("CPU_PROFILE")
	if path == "" {
		return run()
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	err = run()
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}
