package awshttp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"aws-streaming-pipeline/internal/awshttp"
)

// wire is a connection that can die as behind a NAT that has forgotten it: nothing arrives any more, and neither side hears
// of it.
type wire struct {
	net.Conn
	dead atomic.Bool
}

func (w *wire) Write(p []byte) (int, error) {
	if w.dead.Load() {
		return len(p), nil
	}
	return w.Conn.Write(p)
}

// dialed is a listener of the connections that are dialed in the same process.
type dialed struct {
	accept chan net.Conn
	mu     sync.Mutex
	wires  []*wire
}

func (d *dialed) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	ours, theirs := &wire{Conn: near}, &wire{Conn: far}
	d.mu.Lock()
	d.wires = append(d.wires, ours, theirs)
	d.mu.Unlock()
	d.accept <- theirs
	return ours, nil
}

// die ends all connections and returns how many there were.
func (d *dialed) die() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.wires {
		w.dead.Store(true)
	}
	return len(d.wires) / 2
}

// cut closes all connections.
func (d *dialed) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.wires {
		_ = w.Close()
	}
}

func (d *dialed) Accept() (net.Conn, error) {
	c, ok := <-d.accept
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (d *dialed) Close() error   { close(d.accept); return nil }
func (d *dialed) Addr() net.Addr { return &net.TCPAddr{} }

// All subscriptions of a worker share a connection or two. One that has died must not keep those that come after it for as
// long as the kernel tries to send.
func TestParallel_LeavesAConnectionOfStreamsThatIsDead(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.EnableHTTP2 = true
	certified.StartTLS()
	defer certified.Close()
	trusting := certified.Client().Transport.(*http.Transport).TLSClientConfig
	synctest.Test(t, func(t *testing.T) {
		wires := &dialed{accept: make(chan net.Conn)}
		server := &http.Server{TLSConfig: certified.TLS.Clone(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				t.Errorf("a call by %s", r.Proto)
			}
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.ServeTLS(wires, "", "") })
		defer func() {
			wires.cut()
			_ = server.Close()
			serving.Wait()
		}()
		client := awshttp.Parallel(sdkhttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
			tr.TLSClientConfig = trusting.Clone()
			tr.TLSClientConfig.NextProtos = nil
			tr.DialContext = wires.dial
		}))
		const silence, patience = 35 * time.Second, 30 * time.Second // of consumer/source
		subscribe := func() (io.ReadCloser, error) {
			ctx, cancel := context.WithCancel(t.Context())
			bound := time.AfterFunc(patience, cancel)
			defer bound.Stop()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://example.com/", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")
			response, err := client.Do(request)
			if err != nil {
				cancel()
				return nil, err
			}
			t.Cleanup(cancel)
			return response.Body, nil
		}
		first, err := subscribe()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // nothing is sent, and the connection stays
		if n := wires.die(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		closing := time.AfterFunc(silence, func() { _ = first.Close() })
		_, _ = first.Read(make([]byte, 1))
		closing.Stop()
		if second, err := subscribe(); err != nil {
			t.Errorf("the stream after the one that died: %v", err)
		} else {
			_ = second.Close()
		}
	})
}
