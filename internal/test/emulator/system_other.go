//go:build !linux

package emulator

import (
	"errors"
	"os"
	"syscall"
)

// The emulators run on Linux alone. Elsewhere the tests that need none of them compile and run.
var errOnlyLinux = errors.New("the emulators of the tests run on Linux")

func endsWithTests(*credential) *syscall.SysProcAttr { return nil }
func asUser(*credential) *syscall.SysProcAttr        { return nil }
func stopProcess(int) error                          { return errOnlyLinux }
func killProcess(int) error                          { return errOnlyLinux }
func lockFile(*os.File) error                        { return errOnlyLinux }
