package pgproxy

import (
	"bufio"
	"errors"
	"net"
	"slices"
	"sync"
)

// session is one connection of a client, and the server's for it.
type session struct {
	proxy          *Proxy
	upstream       string
	client, server net.Conn
	prepared       prepared
	start          []byte // the message that begins the connection
	earlier        replay // what prepares statements
	transaction    replay // what was sent since the server was idle
	copying        string // the statement of the last query, which may be a COPY
	copied         int    // messages of its data

	mu    sync.Mutex
	heard *sync.Cond
	key   []byte // what a request to cancel must name
	owed  int    // how many times the server has yet to say that it is ready
	idle  bool   // it was not in a transaction when it last said so
	copy  bool   // it waits for the data of a COPY
	ended bool   // its connection has
	held  bool   // answers are kept
	kept  []byte
}

var errCutOff = errors.New("the connection is cut off")

// replay is what a client has sent, to send it again.
type replay struct {
	raw   []byte
	syncs int
}

func (r *replay) add(q *request) {
	r.raw = append(r.raw, q.raw...)
	r.syncs += q.syncs
}

func newSession(p *Proxy, upstream string, client, server net.Conn) *session {
	s := &session{proxy: p, upstream: upstream, client: client, server: server, prepared: make(prepared)}
	s.heard = sync.NewCond(&s.mu)
	return s
}

// begin passes the messages on that begin a connection. It offers no encryption.
func (s *session) begin() error {
	for {
		raw, code, err := readStart(s.client)
		if err != nil {
			return err
		}
		switch code {
		case sslRequest, gssEncRequest:
			if _, err := s.client.Write([]byte{'N'}); err != nil {
				return err
			}
			continue
		case cancelRequest: // The server answers by closing.
			if s.proxy.isCutOff(raw[8:]) {
				return errCutOff
			}
		default:
			s.start, s.owed = raw, 1
		}
		_, err = s.server.Write(raw)
		return err
	}
}

// answers passes on what the server says.
func (s *session) answers() {
	in := bufio.NewReader(s.server)
	for {
		m, err := readMessage(in)
		s.mu.Lock()
		if err != nil {
			s.ended = true
			if !s.held {
				_ = s.client.Close() // as the server has closed its end
			}
		} else {
			s.hear(m)
		}
		s.heard.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// hear takes one message of the server's. The caller holds the mutex.
func (s *session) hear(m message) {
	switch m.kind() {
	case 'Z': // ReadyForQuery: the state of the transaction
		s.owed--
		s.idle, s.copy = m[5] == 'I', false
	case 'K': // BackendKeyData
		s.key = m[5:]
	case 'G': // CopyInResponse
		s.copy = true
	}
	if s.held {
		s.kept = append(s.kept, m...)
	} else {
		_, _ = s.client.Write(m) // a client that is gone is noticed by requests
	}
}

// requests passes on what the client says, until a connection ends.
func (s *session) requests() {
	in := bufio.NewReader(s.client)
	for {
		r, err := s.prepared.read(in)
		if err != nil {
			_ = s.server.(*net.TCPConn).CloseWrite() // the server sees what we saw
			s.await(func() bool { return false })
			return
		}
		planned := s.record(r)
		if planned == nil {
			if !s.forward(r.raw) {
				return
			}
			continue
		}
		if !s.strike(planned, r) {
			return
		}
	}
}

// record keeps a request for a replay, and returns the fault that is planned for it.
func (s *session) record(r *request) *Planned {
	s.mu.Lock()
	if s.idle && s.owed == 0 {
		s.transaction = replay{}
	}
	s.owed += r.syncs
	s.mu.Unlock()
	if r.copyData {
		s.copied++
	} else if len(r.statements) > 0 {
		s.copying, s.copied = r.statements[len(r.statements)-1], 0
	}
	planned := s.proxy.take(r, s.copying, s.copied)
	if r.prepares && len(r.statements) == 0 {
		s.earlier.add(r)
	} else {
		s.transaction.add(r)
	}
	return planned
}

func (s *session) forward(raw []byte) bool {
	_, err := s.server.Write(raw)
	return err == nil
}

// await waits until the condition holds or the server has ended the connection. The condition is asked with the mutex held.
func (s *session) await(condition func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && !condition() {
		s.heard.Wait()
	}
}

// answered waits until the server has answered a request that was forwarded.
func (s *session) answered(r *request) {
	if r.copyData || r.ends == 'H' {
		return
	}
	s.await(func() bool { return s.owed == 0 || s.copy && r.ends != 'c' && r.ends != 'f' })
}

// hold keeps the server's answers back, from now on.
func (s *session) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

// resume passes on answers in place of those that were kept, and what follows.
func (s *session) resume(answers []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.client.Write(answers)
	s.held, s.kept = false, nil
	return err == nil && !s.ended
}

func (s *session) answer() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept
}

// strike has a fault happen to a request, and reports whether the connection goes on.
func (s *session) strike(p *Planned, r *request) bool {
	defer close(p.done)
	rest := r.raw
	s.hold()
	switch p.fault.At {
	case Inside:
		s.forward(rest[:len(rest)/2]) // that this failed, the end of the connection tells
		rest = rest[len(rest)/2:]
	case After:
		s.forward(rest)
		rest = nil
		s.answered(r)
	}
	if p.fault.Do != nil {
		p.fault.Do()
	}
	switch p.fault.Then {
	case Cut:
		s.cut()
		close(p.happened)
		return false
	case Double:
		answer, err := s.again(r)
		close(p.happened)
		return err == nil && s.resume(answer)
	}
	if p.fault.Then != Pass {
		s.cutOff()
	}
	close(p.happened)
	if p.fault.Then == Late {
		_ = s.client.Close() // that is the fault
	}
	if p.fault.Then != Pass {
		select {
		case <-p.release:
		case <-s.proxy.closed:
			return false
		}
	}
	on := p.fault.Then != Late && s.resume(s.answer())
	on = s.forward(rest) && on
	s.answered(r)
	return on
}

// cutOff has requests to cancel a query of this connection get lost, too, as many a client sends one when it gives up.
func (s *session) cutOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxy.cutOff(s.key)
}

// cut ends the server's connection, and returns when the server has seen it: the client's ends with the session.
func (s *session) cut() {
	_ = s.server.(*net.TCPConn).CloseWrite()
	s.await(func() bool { return false })
}

// again plays the transaction up to a request that was answered on another connection, and returns the answer to the request: the
// first one if the second transaction failed before.
func (s *session) again(r *request) ([]byte, error) {
	server, err := net.Dial("tcp", s.upstream)
	if err != nil {
		return nil, err
	}
	if !s.proxy.keep(server) {
		return nil, errCutOff
	}
	defer s.proxy.drop(server)
	played := slices.Concat(s.start, s.earlier.raw, s.transaction.raw)
	s.proxy.sessions.Go(func() { _, _ = server.Write(played) }) // what does not arrive is not answered
	in := bufio.NewReader(server)
	failed := false
	for skip := 1 + s.earlier.syncs + s.transaction.syncs - r.syncs; skip > 0; {
		m, err := readMessage(in)
		if err != nil {
			return nil, err
		}
		if m.kind() == 'Z' {
			skip, failed = skip-1, m[5] == 'E'
		}
	}
	var answer []byte
	for {
		m, err := readMessage(in)
		if err != nil {
			return nil, err
		}
		if answer = append(answer, m...); m.kind() != 'Z' {
			continue
		}
		if failed {
			return s.answer(), nil
		}
		return answer, nil
	}
}
