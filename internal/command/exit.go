package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/diagnosis"
)

// Exit codes, the same in all programs. 0 is success.
const (
	ExitFailed      = 1   // the command ran and failed
	ExitFindings    = 1   // the command finished and found something to look at
	ExitUsage       = 2   // the command line or the settings are wrong: nothing was started
	ExitUndone      = 2   // a check could not be done
	ExitIncomplete  = 3   // the command came to its end, but without everything: what is left out it has said
	ExitInterrupted = 130 // interrupted by a signal
)

// exitCodes describes them in a program's help.
const exitCodes = "Exit codes: 0 done; 1 failed, or found something; 2 the command line or the settings are wrong, or a check could not be done; " +
	"3 ended without everything; 130 interrupted."

// ExitError is an error with an exit code; any other error exits with ExitFailed. Without Err nothing is printed, because the command
// has already said what is to say.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprint("exit code ", e.Code)
	}
	return e.Err.Error()
}
func (e *ExitError) Unwrap() error { return e.Err }

// UsageError is an error in the command line. It exits with ExitUsage.
type UsageError struct {
	Err  error
	Hint string // the line after the error, such as one that names the help
}

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usage marks an error as one in the command line. Nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &UsageError{Err: err}
}

// Usagef is an error in the command line, which should name the flag, its value, and what is wanted.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// withHint completes an error in the command line of a command with the line that names its help.
func withHint(cmd *cobra.Command, err error) error {
	if usage, ok := errors.AsType[*UsageError](err); ok && usage.Hint == "" {
		usage.Hint = cmd.CommandPath() + " --help shows the flags"
		if about := cmd.Annotations[Hint]; about != "" {
			usage.Hint += "; " + about
		}
	}
	return err
}

// Hint is the annotation of a command with a text that its errors in the command line end with.
const Hint = "hint"

// InvalidSettings is what a command ends with whose settings are wrong.
func InvalidSettings(err error) error {
	return &ExitError{ExitUsage, fmt.Errorf("invalid settings:\n%w", err)}
}

// Undone gives an error the exit code ExitUndone, unless it has a code already.
func Undone(err error) error {
	if err == nil || ExitCode(err) != ExitFailed {
		return err
	}
	if _, ok := errors.AsType[*ExitError](err); ok {
		return err
	}
	return &ExitError{ExitUndone, err}
}

// ExitCode returns the exit code of an error.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*ExitError](err); ok {
		return e.Code
	}
	if _, ok := errors.AsType[*UsageError](err); ok {
		return ExitUsage
	}
	if found := diagnosis.Of(err, diagnosis.Subject{}); found.Final {
		return found.Exit
	}
	return ExitFailed
}

// StartFailed completes the error of a program that could not start, because of its settings or of a service, with the command that
// checks all of them.
func StartFailed(program string, err error) error {
	if _, explained := errors.AsType[*diagnosis.Error](err); !explained && ExitCode(err) != ExitUsage {
		return err
	}
	return &ExitError{ExitCode(err), fmt.Errorf("%w\n\"%s validate\" checks all settings, and each service that they need", err, program)}
}
