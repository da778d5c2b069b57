package localstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"aws-streaming-pipeline/internal/serve"
)

// Server is a Kinesis that listens on a loopback address.
type Server struct {
	*Kinesis
	listener net.Listener
	http     *http.Server
	served   chan error
}

// exchange limits the time of a call; a subscription lasts five minutes (API reference of SubscribeToShard).
const exchange = 10 * time.Minute

// shutdownBound is how long Close waits for calls in flight.
var shutdownBound = 5 * time.Second

// Start listens on a loopback address such as 127.0.0.1:4567, or 127.0.0.1:0 for a free port, and serves until Close. It
// refuses other addresses, because it does not check credentials.
func Start(addr string, options Options) (*Server, error) {
	k, err := New(options)
	if err != nil {
		return nil, err
	}
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start local Kinesis on %s: %w", addr, err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("start local Kinesis on %s: not a loopback address", addr)
	}
	listener, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		return nil, fmt.Errorf("start local Kinesis: %w", err)
	}
	s := &Server{
		Kinesis:  k,
		listener: listener,
		http:     serve.New(k, exchange),
		served:   make(chan error, 1),
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// URL returns the endpoint for clients, such as http://127.0.0.1:4567.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Close stops listening, waits a few seconds for calls in flight, and frees the port. Call it once.
func (s *Server) Close() error {
	close(s.done)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownBound)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		// Connections that a client has opened but not used yet count as busy for a while.
		err = s.http.Close()
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("close local Kinesis: %w", err)
	}
	return nil
}
