package localstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/internal/serve"
)

// once is a listener with one connection.
type once struct{ conns chan net.Conn }

func (l once) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (l once) Close() error { return nil }

func (l once) Addr() net.Addr { return &net.TCPAddr{} }

// A subscription sends events as long as it lives: the server's limits are those of a call that lasts longer. The
// control, with the limit of a short exchange, is cut off.
func TestServer_LetsASubscriptionLiveItsTime(t *testing.T) {
	const every = 10 * time.Second
	events := func(bound time.Duration) (n int64) {
		synctest.Test(t, func(t *testing.T) {
			client, conn := net.Pipe()
			listener := once{make(chan net.Conn, 1)}
			listener.conns <- conn
			close(listener.conns)
			server := serve.New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for range defaultSubscriptionLife / every {
					time.Sleep(every)
					if _, err := w.Write([]byte{'e'}); err != nil || http.NewResponseController(w).Flush() != nil {
						return
					}
				}
			}), bound)
			done := make(chan struct{})
			go func() { defer close(done); _ = server.Serve(listener) }()
			transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
			answer, err := (&http.Client{Transport: transport}).Get("http://stream/")
			if err == nil {
				n, _ = io.Copy(io.Discard, answer.Body) // it ends early where it is cut off
				answer.Body.Close()
			}
			transport.CloseIdleConnections()
			client.Close()
			server.Close()
			<-done
		})
		return n
	}
	want := int64(defaultSubscriptionLife / every)
	if got := events(exchange); got != want {
		t.Errorf("%d events come of %d", got, want)
	}
	if got := events(time.Minute); got >= want {
		t.Errorf("%d events come of %d within a minute: the test proves nothing", got, want)
	}
}
