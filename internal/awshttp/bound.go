package awshttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Bound returns a client that abandons an attempt after d, even while its response is being read. It is for calls with
// small requests and responses. A nil client means the SDK's own.
func Bound(client aws.HTTPClient, d time.Duration) aws.HTTPClient {
	return newBounded(client, d, false)
}

// Attend returns a client that abandons an attempt after d without progress: the service has read no byte of the request
// and sent none of the response. Time in which nobody reads the response does not count. A nil client means the SDK's own.
//
// The SDK itself waits forever: an open but silent connection would block its caller until the process ends. Calls that
// must end sooner have a tighter limit of their own.
func Attend(client aws.HTTPClient, d time.Duration) aws.HTTPClient {
	return newBounded(client, d, true)
}

type silenceKey struct{}

// MaySilence returns a context for a call to a service that may work for up to d before it sends the first byte: d takes the
// place of the time that Attend allows.
func MaySilence(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, silenceKey{}, d)
}

func newBounded(client aws.HTTPClient, d time.Duration, silence bool) aws.HTTPClient {
	if client == nil {
		client = sdkhttp.NewBuildableClient()
	}
	return bounded{client, d, silence}
}

// bounded is a client whose calls end in bounded time. A stream of events has no end to wait for: whoever reads one
// bounds its silence.
type bounded struct {
	aws.HTTPClient
	after   time.Duration
	silence bool // each move grants the time anew
}

func (b bounded) Do(r *http.Request) (*http.Response, error) {
	if isEventStream(r) {
		return b.HTTPClient.Do(r)
	}
	if d, ok := r.Context().Value(silenceKey{}).(time.Duration); ok && b.silence {
		b.after = d
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	a := &attempt{bounded: b, ctx: ctx, cancel: cancel}
	a.timer = time.AfterFunc(b.after, func() { cancel(&timeoutError{b.after, b.silence}) })
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = outgoing{r.Body, a}
	}
	answer, err := b.HTTPClient.Do(r)
	if err != nil {
		a.end()
		return answer, a.explain(err)
	}
	a.answered()
	answer.Body = incoming{answer.Body, a}
	return answer, nil
}

// attempt is one call under way.
type attempt struct {
	bounded
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	reading bool // the header of the answer is there: what still goes out grants no time
}

// sent notes that the service has taken bytes.
func (a *attempt) sent() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.silence && !a.reading {
		a.timer.Reset(a.after)
	}
}

// answered notes that the header is there. From now on the bound on silence runs only while somebody reads.
func (a *attempt) answered() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reading = true
	if a.silence {
		a.timer.Stop()
	}
}

// read reads from the body of the answer.
func (a *attempt) read(body io.Reader, p []byte) (int, error) {
	if a.silence {
		a.timer.Reset(a.after)
	}
	n, err := body.Read(p)
	if a.silence {
		a.timer.Stop()
	}
	if err != nil {
		a.end()
		if err != io.EOF {
			err = a.explain(err)
		}
	}
	return n, err
}

func (a *attempt) end() {
	a.timer.Stop()
	a.cancel(nil) // the first cause stays
}

// explain says that the bound is why an attempt failed, if it is.
func (a *attempt) explain(err error) error {
	if late, ok := context.Cause(a.ctx).(*timeoutError); ok {
		return late
	}
	return err
}

// outgoing is the body of a request.
type outgoing struct {
	io.ReadCloser
	attempt *attempt
}

func (o outgoing) Read(p []byte) (int, error) {
	o.attempt.sent() // net/http asks for more when what it had is on its way
	return o.ReadCloser.Read(p)
}

// incoming is the body of an answer.
type incoming struct {
	io.ReadCloser
	attempt *attempt
}

func (i incoming) Read(p []byte) (int, error) { return i.attempt.read(i.ReadCloser, p) }

func (i incoming) Close() error {
	defer i.attempt.end()
	return i.ReadCloser.Close()
}

// timeoutError ends an attempt that took too long. The SDK's retryer retries it.
type timeoutError struct {
	after   time.Duration
	silence bool
}

func (e *timeoutError) Error() string {
	if e.silence {
		return fmt.Sprintf("the service was silent for %v", e.after)
	}
	return fmt.Sprintf("no complete response within %v", e.after)
}

// Timeout implements net.Error, which the SDK's retryer checks.
func (*timeoutError) Timeout() bool { return true }
