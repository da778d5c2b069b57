package diagnosis

import (
	"net/url"
	"strings"

	"github.com/aws/smithy-go"
)

// Text returns an error as people read it at the end of a command: with what the error of a service means in the place of the text of the SDK, or
// of Go's HTTP client. What it means follows on a line of its own if the error is that of another library.
func Text(err error, about Subject) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	for _, call := range calls(err) {
		if found := Of(call, about); found.Text != call.Error() {
			text = strings.ReplaceAll(text, call.Error(), found.String())
		}
	}
	if why := Of(err, about).String(); !strings.Contains(text, why) {
		text += "\n" + why
	}
	return text
}

// calls returns the outermost calls that failed, unless they are explained.
func calls(err error) (failed []error) {
	switch e := err.(type) {
	case *Error:
	case *smithy.OperationError, *url.Error:
		return []error{err}
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			failed = append(failed, calls(each)...)
		}
	case interface{ Unwrap() error }:
		return calls(e.Unwrap())
	}
	return failed
}
