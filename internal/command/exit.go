package command

import "errors"

// Exit codes.
const (
	ExitFindings = 1 // the command finished and found something to look at
	ExitUndone   = 2 // the command failed or did not finish
)

// ExitError is an error with an exit code; any other error exits with 1.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }

// Undone gives an error the exit code ExitUndone, unless it has a code already.
func Undone(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*ExitError](err); ok {
		return err
	}
	return &ExitError{ExitUndone, err}
}

// ExitCode returns the exit code of an error.
func ExitCode(err error) int {
	if e, ok := errors.AsType[*ExitError](err); ok {
		return e.Code
	}
	return 1
}
