// Package awshttp makes the HTTP clients of the AWS SDK keep their connections.
package awshttp

import (
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Keep returns a client that sends requests through the given one, or through the SDK's own if that is nil.
//
// The SDK closes a request's body as soon as the answer's header is there (smithy-go, transport/http, ClientHandler).
// net/http may then still be about to look whether the body has ended. The SDK's body answers that look, made through
// io.WriterTo, with the error io.EOF, which net/http takes for a failed write: it closes the connection while the answer
// is being read. The faster the service answers, the more often; then calls fail that were applied. Without io.WriterTo
// net/http reads, and takes io.EOF for the end that it is.
func Keep(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = sdkhttp.NewBuildableClient()
	}
	return keeper{client}
}

// Bound returns a client that gives up an attempt after d. A client that is not of the SDK's making, or has a bound
// already, is returned as it is.
func Bound(client aws.HTTPClient, d time.Duration) aws.HTTPClient {
	switch c := client.(type) {
	case nil:
		return Keep(sdkhttp.NewBuildableClient().WithTimeout(d))
	case keeper:
		return keeper{Bound(c.HTTPClient, d)}
	case *sdkhttp.BuildableClient:
		if c.GetTimeout() == 0 {
			return c.WithTimeout(d)
		}
	}
	return client
}

type keeper struct{ aws.HTTPClient }

func (k keeper) Do(r *http.Request) (*http.Response, error) {
	if _, ok := r.Body.(io.WriterTo); ok {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return k.HTTPClient.Do(r)
}
