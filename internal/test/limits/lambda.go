package limits

import (
	"encoding/json"
	"net/http"
	"strings"
)

// maxEvent bounds the request of an invocation that is waited for: "Lambda quotas" in the AWS Lambda Developer Guide, 6 MB; the
// RequestTooLargeException of Invoke says that it must be smaller than 6291456 bytes.
const maxEvent = 6 << 20

// invoke is the operation of Lambda that the rules cover.
const invoke = "Invoke"

// lambdaOperation returns the operation of a request, which has no name on the wire (AWS Lambda API Reference, "Invoke").
func lambdaOperation(r *http.Request) string {
	if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") && strings.HasSuffix(r.URL.Path, "/invocations") {
		return invoke
	}
	return r.Method
}

type lambdaRules struct{}

func (lambdaRules) check(c *call) *refusal {
	if c.operation != invoke {
		return nil
	}
	if len(c.body) >= maxEvent {
		r := refuse("request size", "RequestTooLargeException", "Request must be smaller than %d bytes for the InvokeFunction operation", maxEvent)
		r.status = http.StatusRequestEntityTooLarge
		return r
	}
	if !json.Valid(c.body) {
		return refuse("request is JSON", "InvalidRequestContentException", "Could not parse request body into json")
	}
	return nil
}

func (lambdaRules) learn(*call, object) {}

func (lambdaRules) wants(*call) bool { return false }
