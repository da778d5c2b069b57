package awshttp

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// wideBytes is how much a connection reads and writes in a system call. crypto/tls writes each record, of 16 KiB at most, by
	// itself, and reads two at a time.
	wideBytes = 64 << 10
	// recordRoom is at least the size of a record on the wire (RFC 8446, section 5.2, and RFC 5246, section 6.2.3).
	recordRoom = 5 + 1<<14 + 2048
)

// buffers are pieces of wideBytes with room for one more record. Connections hold them only while bytes are under way.
var buffers = sync.Pool{New: func() any { return new([wideBytes + recordRoom]byte) }}

type buffer = *[wideBytes + recordRoom]byte

// widen makes t read and write up to wideBytes in a system call on the connections that it makes over TLS to a service. Those
// through a proxy for HTTP stay as they are: net/http makes them itself. So do those of a transport with a dialer for TLS of its own.
func widen(t *http.Transport) {
	if t.DialTLSContext != nil {
		return
	}
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	config := &tls.Config{}
	if t.TLSClientConfig != nil {
		config = t.TLSClientConfig
	}
	patience := t.TLSHandshakeTimeout
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		plain, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := config.Clone()
		c.DynamicRecordSizingDisabled = true // records are large from the first one on
		if c.ServerName == "" {
			c.ServerName = host
		}
		below := &gatherer{Conn: plain}
		conn := &wide{Conn: tls.Client(below, c), below: below}
		if err := shakeHands(ctx, conn.Conn, patience); err != nil {
			_ = plain.Close() // the error of the handshake counts
			return nil, err
		}
		return conn, nil
	}
}

// shakeHands makes the handshake in bounded time, and tells a trace of it, as net/http does.
func shakeHands(ctx context.Context, c *tls.Conn, patience time.Duration) error {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if patience > 0 {
		bounded, cancel = context.WithTimeoutCause(ctx, patience, handshakeTimeout{})
	}
	defer cancel()
	err := c.HandshakeContext(bounded)
	if err != nil && context.Cause(bounded) == (handshakeTimeout{}) {
		err = handshakeTimeout{}
	}
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(c.ConnectionState(), err)
	}
	return err
}

// handshakeTimeout is the error of a handshake that took too long.
type handshakeTimeout struct{}

func (handshakeTimeout) Error() string   { return "TLS handshake timeout" }
func (handshakeTimeout) Timeout() bool   { return true }
func (handshakeTimeout) Temporary() bool { return true }

// wide is a TLS connection that writes the records of one Write together. Nothing that Write has taken is held back when it returns.
type wide struct {
	*tls.Conn
	below *gatherer

	writing, closing atomic.Bool
}

// Write implements net.Conn. It must not be called concurrently, which net/http does not do.
func (w *wide) Write(p []byte) (int, error) {
	if len(p) <= 16<<10 { // one record
		return w.Conn.Write(p)
	}
	w.writing.Store(true)
	defer w.writing.Store(false)
	if w.closing.Load() {
		return 0, net.ErrClosed
	}
	w.below.gather()
	n, err := w.Conn.Write(p)
	if e := w.below.flush(); err == nil && e != nil {
		n, err = 0, e // how many arrived is not known
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom, by which net/http sends the body of a request. What one Read returns goes out before the next.
func (w *wide) ReadFrom(r io.Reader) (sent int64, err error) {
	b := buffers.Get().(buffer)
	defer buffers.Put(b)
	for {
		n, err := r.Read(b[:wideBytes])
		if n > 0 {
			if _, err := w.Write(b[:n]); err != nil {
				return sent, err
			}
			sent += int64(n)
		}
		if err == io.EOF {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
	}
}

// Close implements net.Conn. It ends a Write that is under way: crypto/tls would first wait to say goodbye.
func (w *wide) Close() error {
	w.closing.Store(true)
	if w.writing.Load() {
		return w.below.Close()
	}
	return w.Conn.Close()
}

// gatherer is the connection below TLS.
type gatherer struct {
	net.Conn

	// The fields of the reading side belong to crypto/tls's reader: from is what was read and not asked for yet, in held. full
	// means that the last read filled the memory that it was given, so that more is likely to be there.
	held buffer
	from []byte
	full bool

	mu        sync.Mutex // of the writing side
	gathering buffer     // nil: writes go out at once
	gathered  int
	failed    error // of a write: what TLS has written since then is lost, so nothing may follow
}

// Read implements net.Conn. It takes a buffer only if more bytes are likely to be there, and holds it until crypto/tls has taken what it
// contains: idle connections have none.
func (g *gatherer) Read(p []byte) (int, error) {
	if g.held == nil {
		if !g.full || len(p) >= wideBytes {
			n, err := g.Conn.Read(p)
			g.full = n == len(p)
			return n, err
		}
		b := buffers.Get().(buffer)
		n, err := g.Conn.Read(b[:wideBytes])
		g.full = n == wideBytes
		if n == 0 {
			buffers.Put(b)
			return 0, err
		}
		g.held, g.from = b, b[:n]
		// An error that came with bytes comes again.
	}
	n := copy(p, g.from)
	if g.from = g.from[n:]; len(g.from) == 0 {
		buffers.Put(g.held)
		g.held, g.from = nil, nil
	}
	return n, nil
}

// Write implements net.Conn.
func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gathering == nil {
		return g.write(p)
	}
	if g.gathered+len(p) > len(g.gathering) {
		if err := g.send(); err != nil {
			return 0, err
		}
		if len(p) > len(g.gathering) {
			return g.write(p)
		}
	}
	g.gathered += copy(g.gathering[g.gathered:], p)
	return len(p), nil
}

// gather keeps what is written until flush.
func (g *gatherer) gather() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gathering = buffers.Get().(buffer)
}

// flush writes what was gathered.
func (g *gatherer) flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.send()
	buffers.Put(g.gathering)
	g.gathering = nil
	return err
}

func (g *gatherer) send() error {
	if g.gathered == 0 {
		return g.failed
	}
	_, err := g.write(g.gathering[:g.gathered])
	g.gathered = 0
	return err
}

func (g *gatherer) write(p []byte) (n int, err error) {
	if g.failed == nil {
		n, g.failed = g.Conn.Write(p)
	}
	return n, g.failed
}
