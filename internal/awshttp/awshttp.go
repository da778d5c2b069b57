// Package awshttp makes the HTTP clients of the AWS SDK keep their connections, have enough of them, and abandon calls
// that get no response.
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
// The SDK closes a request's body as soon as the response header has arrived (smithy-go, transport/http, ClientHandler).
// At that time, net/http may not yet have checked whether the body has ended. If it does so through io.WriterTo, the SDK's
// body returns the error io.EOF, which net/http treats as a failed write: it closes the connection while the response is
// being read, and a call that was applied fails. The faster the service, the more often. Without io.WriterTo, net/http
// reads the body, and treats io.EOF as its end.
func Keep(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = sdkhttp.NewBuildableClient()
	}
	return keeper{client}
}

// idlePerHost is the number of connections to one service that are kept: one for each shard that is read and each part
// that is uploaded, for as many as a worker has. The SDK's 10 would have most of them opened anew, with a TLS handshake.
const idlePerHost = 1024

// waitingPerStream bounds what a stream of events holds in its connection while nobody reads it. It is what may be under
// way to a reader, too: 2 MB/s, Kinesis's rate of a shard, as long as the way there and back takes less than 130 ms.
const waitingPerStream = 256 << 10

// frameBytes is how large the frames of such a stream may be. The default of 16 KiB costs a fifth more processor time.
const frameBytes = 128 << 10

// streamsSilent is how long a connection of streams may be silent until the service is asked for a sign of life, and again how
// long it has for that. All streams share few connections, and those that come after a stream that was given up would be put
// on one that is dead, until the kernel has tried for a quarter of an hour. The AWS SDK for Java asks every 5 s
// (Http2Configuration, healthCheckPingPeriod).
const streamsSilent = 15 * time.Second

// Parallel returns a client that uses HTTP/1.1, with a connection for each concurrent call, and keeps the connections. With
// HTTP/2, all calls to a service share one connection: responses of megabytes are split into frames of 16 KiB, are copied
// two more times, and wait for one another. Calls that need HTTP/2, whose response is a stream of events, use it.
// A client that is not the SDK's is returned unchanged; nil means the SDK's own.
func Parallel(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = sdkhttp.NewBuildableClient()
	}
	c, ok := client.(*sdkhttp.BuildableClient)
	if !ok {
		return client
	}
	return parallel{
		streams: c.WithTransportOptions(func(t *http.Transport) {
			t.HTTP2 = &http.HTTP2Config{
				MaxReceiveBufferPerStream: waitingPerStream, MaxReadFrameSize: frameBytes,
				SendPingTimeout: streamsSilent, PingTimeout: streamsSilent,
			}
		}),
		calls: c.WithTransportOptions(func(t *http.Transport) {
			t.Protocols = new(http.Protocols)
			t.Protocols.SetHTTP1(true)
			t.ForceAttemptHTTP2, t.TLSNextProto = false, nil
			if t.TLSClientConfig != nil { // the SDK's transport has already put HTTP/2 into its offer
				t.TLSClientConfig.NextProtos = []string{"http/1.1"}
			}
			t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, idlePerHost
			widen(t)
		}),
	}
}

type parallel struct{ calls, streams aws.HTTPClient }

// isEventStream reports whether a request is the call to which Kinesis responds with a stream of events, over HTTP/2 only.
func isEventStream(r *http.Request) bool {
	return r.Header.Get("X-Amz-Target") == "Kinesis_20131202.SubscribeToShard"
}

func (p parallel) Do(r *http.Request) (*http.Response, error) {
	if isEventStream(r) {
		return p.streams.Do(r)
	}
	return p.calls.Do(r)
}

type keeper struct{ aws.HTTPClient }

func (k keeper) Do(r *http.Request) (*http.Response, error) {
	if _, ok := r.Body.(io.WriterTo); ok {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return k.HTTPClient.Do(r)
}
