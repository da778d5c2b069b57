package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/internal/logkey"
)

const (
	// exchange bounds the time of a request to a status page and its response, which is some megabytes at most.
	exchange = 30 * time.Second
	// connectionsPerAddress is far more than a browser, the kubelet or Prometheus open. Further connections are refused, so
	// that no pod can exhaust the program's memory or block its probes.
	connectionsPerAddress = 32
	// closing is how long requests have to end when the port is closed.
	closing = 2 * time.Second
)

// Port is the address at which a program shows its status, from its start to its end. What it shows may change. A nil Port
// shows nothing.
type Port struct {
	server  *http.Server
	shown   atomic.Pointer[http.Handler]
	serving sync.WaitGroup
}

// Open listens on an address and shows first. For an empty address it returns nil. Close the port.
func Open(address string, first http.Handler, log *slog.Logger) (*Port, error) {
	if address == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := new(Port)
	p.Show(first)
	p.server = New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.shown.Load()).ServeHTTP(w, r) }), exchange)
	p.serving.Go(func() {
		if err := p.server.Serve(PerAddress(listener, connectionsPerAddress)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("status page failed", logkey.Error, err)
		}
	})
	return p, nil
}

// Show has later requests answered by another handler.
func (p *Port) Show(handler http.Handler) {
	if p != nil {
		p.shown.Store(&handler)
	}
}

// Close ends the port, after requests under way have had a moment to end. It may be called several times.
func (p *Port) Close() {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		p.server.Close()
	}
	p.serving.Wait()
}
