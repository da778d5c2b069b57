// Package pgproxy is a proxy for PostgreSQL's wire protocol that does to chosen requests what a network, a crash or a frozen client
// does, and says when it has.
//
//	proxy := pgproxy.New(t, server.Address)
//	lost := proxy.Plan(pgproxy.Fault{Statement: regexp.MustCompile(`(?i)\bcommit\b`), At: pgproxy.After, Then: pgproxy.Cut})
//	... // the client connects to proxy.Address() without TLS
//	if !lost.Hit() { ... }
//
// It works on whole requests: messages that a client sends together, up to a Query, Sync or Flush. So the one write that holds several
// statements and COMMIT is one request. Data of a COPY is one request per message.
package pgproxy

import (
	"net"
	"slices"
	"sync"
	"testing"
)

// Proxy stands between clients and a server.
type Proxy struct {
	listener net.Listener
	closed   chan struct{}
	sessions sync.WaitGroup

	mu       sync.Mutex
	upstream string
	planned  []*Planned
	open     map[net.Conn]struct{}
	silent   map[string]bool // keys of connections that are frozen or late, or were
	refusing bool
	refused  int
}

// New returns a proxy for the server at an address, which trusts its clients. It ends with the test, with all its connections.
func New(tb testing.TB, upstream string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: listener, closed: make(chan struct{}), upstream: upstream, open: make(map[net.Conn]struct{}), silent: make(map[string]bool)}
	p.sessions.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// Address is where clients connect, without TLS.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Plan has a fault happen to the next request that it is for. A request meets one fault only, the one that was planned first.
func (p *Proxy) Plan(f Fault) *Planned {
	planned := &Planned{
		fault: f, proxy: p, happened: make(chan struct{}), release: make(chan struct{}), done: make(chan struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.planned = append(p.planned, planned)
	return planned
}

// Move has new connections go to another server.
func (p *Proxy) Move(upstream string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = upstream
}

// Refuse has new connections end at once, or no longer.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refuse
}

// Refused returns how many connections were refused.
func (p *Proxy) Refused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

func (p *Proxy) close() {
	close(p.closed)
	_ = p.listener.Close() // accept ends
	p.mu.Lock()
	for conn := range p.open {
		_ = conn.Close() // its session ends
	}
	p.open = nil
	p.mu.Unlock()
	p.sessions.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.sessions.Go(func() { p.serve(client) })
	}
}

// serve passes one connection on, until either end closes it.
func (p *Proxy) serve(client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	p.mu.Lock()
	upstream, refuse := p.upstream, p.refusing
	if refuse {
		p.refused++
	}
	p.mu.Unlock()
	if refuse {
		return
	}
	server, err := net.Dial("tcp", upstream)
	if err != nil || !p.keep(server) {
		return // the client sees it
	}
	defer p.drop(server)
	s := newSession(p, upstream, client, server)
	if s.begin() == nil {
		p.sessions.Go(s.answers)
		s.requests()
	}
}

// keep notes a connection, to close it with the proxy.
func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		_ = conn.Close() // the proxy ends
		return false
	}
	p.open[conn] = struct{}{}
	return true
}

func (p *Proxy) drop(conn net.Conn) {
	_ = conn.Close() // both ends know
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
}

func (p *Proxy) cutOff(key []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent[string(key)] = true
}

func (p *Proxy) isCutOff(key []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent[string(key)]
}

// take returns the fault that is planned for a request, and takes it off the plan.
func (p *Proxy) take(r *request, copied string, nth int) *Planned {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.planned, func(o *Planned) bool { return o.fault.matches(r, copied, nth) })
	if i < 0 {
		return nil
	}
	planned := p.planned[i]
	p.planned = slices.Delete(p.planned, i, i+1)
	planned.statements = r.statements
	return planned
}
