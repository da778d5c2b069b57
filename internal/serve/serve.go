// Package serve configures all HTTP servers of the product: no client can hold a connection, or its memory, for longer than
// a limit.
package serve

import (
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// headerTimeout bounds the time from the first byte of a request, or the start of its connection, to the end of its header.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long a connection stays open between two requests: longer than the interval of a scrape.
	idleTimeout = 2 * time.Minute
	// maxHeader is far above what probes, browsers, Prometheus and the AWS SDK send.
	maxHeader = 32 << 10
)

// New returns a server for the handler. It closes a connection if a request does not arrive within exchange, or if its
// response is not read within exchange.
func New(handler http.Handler, exchange time.Duration) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: min(headerTimeout, exchange), ReadTimeout: exchange, WriteTimeout: exchange, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
	}
}

// PerAddress returns a listener that allows at most most open connections per address and closes further ones at once. So a
// client that opens many connections uses up neither memory nor the slots of other clients, such as the kubelet.
func PerAddress(listener net.Listener, most int) net.Listener {
	return &perAddress{Listener: listener, most: most, open: make(map[string]int)}
}

type perAddress struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[string]int // connections by address
}

func (l *perAddress) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := host(conn.RemoteAddr())
		if l.take(address) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { l.leave(address) })}, nil
		}
		conn.Close()
	}
}

func (l *perAddress) take(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[address] >= l.most {
		return false
	}
	l.open[address]++
	return true
}

func (l *perAddress) leave(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[address]--; l.open[address] == 0 {
		delete(l.open, address)
	}
}

// host is an address without its port.
func host(a net.Addr) string {
	if name, _, err := net.SplitHostPort(a.String()); err == nil {
		return name
	}
	return a.String()
}

// counted notifies its listener when it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
