// Package diagnosis says what an error of a service means for somebody who starts a program: what happened, by which setting,
// whether waiting can mend it, and what to do.
package diagnosis

import (
	"cmp"
	"errors"
	"os"
	"strings"

	"github.com/aws/smithy-go"
)

// Exit codes for findings that end a start.
const (
	exitFailed   = 1 // permission refused, a thing that does not exist
	exitSettings = 2 // settings, region, credentials that are not configured
)

// Finding is what an error means.
type Finding struct {
	// Final means that waiting cannot mend it: somebody has to change a setting, a permission or a resource.
	Final bool
	// Exit is the exit code of a program whose start a final finding ends: 2 for settings, region and credentials, 1 for
	// everything else.
	Exit int
	// Setting is the variable or the flag that it comes from; empty if no setting can be named.
	Setting string
	// Text says what happened, and Advice what to do, each without a period at its end.
	Text, Advice string
}

// String returns both sentences in one line.
func (f Finding) String() string {
	if f.Advice == "" {
		return f.Text
	}
	return f.Text + ": " + f.Advice
}

// Subject says what a call was for. All fields may be empty.
type Subject struct {
	// Thing is what the call needs, such as "stream trips" or "table postgres://db/lake/trips".
	Thing string
	// Setting names the thing, and has the value Value, such as STREAM_NAME and trips.
	Setting, Value string
	// Service is the SDK's name of the service, for calls that are not made with the SDK.
	Service string
	// Region is the region that the call went to.
	Region string
	// Endpoint is the flag that gave the endpoint, for programs that have one. Others take it from the variables of the SDK.
	Endpoint string
	// Getenv looks variables up; nil means os.Getenv.
	Getenv func(string) string
}

func (s Subject) getenv(name string) string {
	if s.Getenv == nil {
		return os.Getenv(name)
	}
	return s.Getenv(name)
}

// named begins a text by the setting: STREAM_NAME="trips".
func (s Subject) named() string {
	if s.Setting == "" {
		return ""
	}
	return s.Setting + `="` + s.Value + `": `
}

// what is the thing in a sentence.
func (s Subject) what() string { return cmp.Or(s.Thing, "what was asked for") }

// Of returns what an error means. An error that it does not know is not final, and is its own text.
func Of(err error, about Subject) Finding {
	if err == nil {
		return Finding{}
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return own.Finding
	}
	e := examined{error: err, about: about, text: err.Error(), service: about.Service}
	if operation := innermost(err); operation != nil {
		e.service, e.operation = operation.ServiceID, operation.OperationName
	}
	for _, known := range []func(examined) (Finding, bool){configuration, region, credentials, database, answer, network} {
		if f, ok := known(e); ok {
			if f.Final && f.Exit == 0 {
				f.Exit = exitFailed
			}
			return f
		}
	}
	return Finding{Text: e.text}
}

// examined is an error with what is known about it.
type examined struct {
	error
	about              Subject
	text               string
	service, operation string // of the SDK, empty if another library failed
}

func (e examined) Unwrap() error { return e.error }

func (e examined) has(texts ...string) bool {
	for _, text := range texts {
		if strings.Contains(e.text, text) {
			return true
		}
	}
	return false
}

// who is the service in a sentence.
func (e examined) who() string { return cmp.Or(e.service, "the service") }

// innermost returns the call that failed. A call that cannot get credentials fails because of a call to another service.
func innermost(err error) (operation *smithy.OperationError) {
	for {
		next, ok := errors.AsType[*smithy.OperationError](err)
		if !ok {
			return operation
		}
		operation, err = next, next.Err
	}
}

// Error is an error with its finding, for programs that end because of it.
type Error struct {
	Finding
	Err error
}

// Explain returns the error with its finding; nil for nil.
func Explain(err error, about Subject) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Of(err, about), err}
}

func (e *Error) Error() string { return e.Finding.String() }
func (e *Error) Unwrap() error { return e.Err }
