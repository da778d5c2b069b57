package awshttp_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aws-streaming-pipeline/internal/awshttp"
)

// do sends a request as the SDK does, and closes its body when the header of the answer is there.
func do(client interface {
	Do(*http.Request) (*http.Response, error)
}, url string, length int) error {
	stream, err := smithyhttp.NewStackRequest().(*smithyhttp.Request).SetStream(bytes.NewReader(make([]byte, length)))
	if err != nil {
		return err
	}
	r := stream.Build(context.Background())
	target, err := http.NewRequest(http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	r.Method, r.URL, r.Host, r.ContentLength = target.Method, target.URL, target.Host, int64(length)
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	r.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func TestKeep_HidesTheWriterToOfTheBodyAndNothingElse(t *testing.T) {
	var got atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got.Store(n)
		w.Write(make([]byte, 1<<20))
	}))
	defer server.Close()
	spy := &spy{Client: server.Client()}
	if err := do(awshttp.Keep(spy), server.URL, 100_000); err != nil {
		t.Fatal(err)
	}
	if spy.writerTo {
		t.Error("net/http is given a body that is an io.WriterTo")
	}
	if got.Load() != 100_000 {
		t.Errorf("%d of 100000 bytes arrived", got.Load())
	}
	// The SDK's body is one, or all of this would be for nothing.
	if err := do(spy, server.URL, 1); err != nil {
		t.Fatal(err)
	}
	if !spy.writerTo {
		t.Error("the SDK's body is not an io.WriterTo any more: Keep can go")
	}
}

type spy struct {
	*http.Client
	writerTo bool
}

func (s *spy) Do(r *http.Request) (*http.Response, error) {
	_, s.writerTo = r.Body.(io.WriterTo)
	return s.Client.Do(r)
}

// Thirty calls at a time, twice, over HTTP/1.1: as many connections, none of them opened anew. A call whose answer is a
// stream of events goes by HTTP/2.
func TestParallel_GivesEachCallAConnectionAndKeepsIt(t *testing.T) {
	const calls = 30
	var opened, streams atomic.Int64
	var together sync.WaitGroup
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			streams.Add(1)
			return
		}
		together.Done()
		together.Wait()
	}))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	client := awshttp.Parallel(sdkhttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		tr.TLSClientConfig.NextProtos = nil
	}))
	for range 2 {
		together.Add(calls)
		var done sync.WaitGroup
		for range calls {
			done.Go(func() {
				if err := do(client, server.URL, 10); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
	}
	if opened.Load() != calls {
		t.Errorf("%d connections were opened for %d calls at a time", opened.Load(), calls)
	}
	request, err := http.NewRequest(http.MethodPost, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if streams.Load() != 1 {
		t.Error("a stream of events did not go by HTTP/2")
	}
}

// A stream of events that nobody reads holds its sender back before it fills the memory, and the streams beside it go on,
// more of them than one connection takes.
func TestParallel_HoldsBackAStreamThatIsNotRead(t *testing.T) {
	const streams, each = 300, 8 << 20
	var written atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		for range each >> 10 {
			n, err := w.Write(make([]byte, 1<<10))
			if err != nil {
				return
			}
			written.Add(int64(n))
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := awshttp.Parallel(sdkhttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		tr.TLSClientConfig.NextProtos = nil
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(path string) io.ReadCloser {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		return response.Body
	}
	idle := open("/unread")
	defer idle.Close()
	for range streams {
		defer open("/read").Close()
	}
	const some = 128 << 10
	for last := int64(0); last < some || written.Load() != last; time.Sleep(200 * time.Millisecond) {
		last = written.Load()
	}
	if n := written.Load(); n > 1<<20 {
		t.Errorf("%d bytes were sent to who reads none", n)
	}
	if n, err := io.Copy(io.Discard, idle); err != nil || n != each {
		t.Errorf("%d bytes were read then, %v", n, err)
	}
}
