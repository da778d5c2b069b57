package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"
)

const (
	// maxRequest bounds the body of a request in memory; the largest are parts.
	maxRequest = 64 << 20
	// serviceTimeout bounds a request to a stand-in.
	serviceTimeout = 30 * time.Second
)

// victim is the daemon behind a proxy, as traps see it.
type victim interface {
	kill(why string)
	// freeze reports whether the daemon was running before.
	freeze() bool
	thaw()
}

// proxy stands between one daemon and one service.
type proxy struct {
	worker  int
	service Service
	backend *url.URL
	// meet decides what happens to a request.
	meet   func(call) fate
	victim victim
	// rewrite changes the body of a request on its way; nil leaves it.
	rewrite func(c call, body []byte) []byte
	// allow reports whether the daemon may make a request; those that it may not are denied. Nil allows all.
	allow func(c call, r *http.Request, body []byte) bool
	// applied is called for every request that the service has accepted.
	applied func(c call)

	client *http.Client
	late   sync.WaitGroup // requests without a sender

	mu     sync.Mutex
	addr   string
	hold   int // socket that keeps the port while nobody listens
	server *http.Server
	served chan error
}

func (p *proxy) start() error {
	p.client = &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true},
		Timeout:   serviceTimeout,
	}
	var err error
	if p.hold, p.addr, err = reserve(); err != nil {
		return fmt.Errorf("reserve port for %s of daemon %d: %w", p.service, p.worker, err)
	}
	return p.open()
}

func (p *proxy) url() string { return "http://" + p.addr }

// open lets connections in.
func (p *proxy) open() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return nil
	}
	listener, err := (&net.ListenConfig{Control: shared}).Listen(context.Background(), "tcp", p.addr)
	if err != nil {
		return fmt.Errorf("listen for %s of daemon %d: %w", p.service, p.worker, err)
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	p.served = make(chan error, 1)
	go func(s *http.Server, served chan<- error) { served <- s.Serve(listener) }(p.server, p.served)
	return nil
}

// shut drops all connections, and refuses new ones until open.
func (p *proxy) shut() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil
	}
	err := p.server.Close()
	if served := <-p.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	p.server = nil
	return err
}

// close ends the proxy once the requests in flight are done.
func (p *proxy) close() error {
	err := p.shut()
	p.late.Wait()
	p.client.CloseIdleConnections()
	return errors.Join(err, syscall.Close(p.hold))
}

// ServeHTTP takes a request and lets the weather decide about it. A request that has begun is applied whatever happens to its
// sender.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return // the sender has gone
	}
	c := identify(p.worker, p.service, r, body)
	if p.allow != nil && !p.allow(c, r, body) {
		refusal(c, Forbidden).write(w, r)
		return
	}
	if p.rewrite != nil {
		body = p.rewrite(c, body)
	}
	send := func() answer { return p.send(c, r, body) }
	f := p.meet(c)
	if f.trap != nil {
		p.spring(w, r, f, send)
		return
	}
	switch f.kind {
	case "":
		send().write(w, r)
	case LostRequest:
		drop()
	case LostAnswer:
		send().discard()
		drop()
	case TornAnswer:
		send().tear(w, r)
	case LateAnswer:
		a := send()
		time.Sleep(f.delay)
		a.write(w, r)
	case LateRequest:
		p.later(f.delay, send)
		drop()
	case Doubled:
		send().discard()
		send().write(w, r)
	case Echoed:
		a := send()
		p.later(f.delay, send)
		a.write(w, r)
	case SlowAnswer:
		send().trickle(w, r, f.delay/4)
	case SlowPart:
		f.wait()
		send().write(w, r)
	case SlowComplete:
		p.complete(w, r, f, send)
	case FalseError:
		send().discard()
		refusal(c, LateError).write(w, r)
	default:
		refusal(c, f.kind).write(w, r)
	}
}

// spring applies a trap's action to the daemon.
func (p *proxy) spring(w http.ResponseWriter, r *http.Request, f fate, send func() answer) {
	defer close(f.trap.over)
	why := fmt.Sprintf("%s %s", f.trap.action, f.trap.operation)
	switch f.trap.action {
	case killBefore:
		p.victim.kill(why)
		drop()
	case killInFlight:
		p.victim.kill(why)
		p.later(f.delay, send)
		drop()
	case killAfter:
		send().discard()
		p.victim.kill(why)
		drop()
	}
	switch f.trap.action {
	case ignore:
		hang(r)
	case hush:
		send().discard()
		hang(r)
	case stall:
		send().stall(w, r)
	}
	// A daemon that another trap has frozen is thawed by that trap.
	pause := func() {
		if p.victim.freeze() {
			time.Sleep(f.trap.freeze)
			p.victim.thaw()
		}
	}
	switch f.trap.action {
	case freezeBefore:
		frozen := p.victim.freeze()
		time.Sleep(f.trap.freeze)
		a := send()
		if frozen {
			p.victim.thaw()
		}
		a.write(w, r)
	case freezeAfter:
		a := send()
		pause()
		a.write(w, r)
	case thawLate:
		pause()
		time.Sleep(f.delay / 4)
		send().write(w, r)
	}
}

// later sends a request whose sender does not wait for it.
func (p *proxy) later(delay time.Duration, send func() answer) {
	p.late.Go(func() {
		time.Sleep(delay)
		send().discard()
	})
}

// send forwards the request, and reports it to applied if the service accepts it.
func (p *proxy) send(c call, r *http.Request, body []byte) answer {
	a, err := p.forward(r, body)
	if err != nil {
		return refusal(c, Unavailable)
	}
	if a.status < 300 && p.applied != nil {
		p.applied(c)
	}
	return a
}

// forward makes the same request to the service. The host stays as the sender signed it.
func (p *proxy) forward(r *http.Request, body []byte) (answer, error) {
	to := *r.URL
	to.Scheme, to.Host = p.backend.Scheme, p.backend.Host
	out, err := http.NewRequest(r.Method, to.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	out.Header = r.Header.Clone()
	out.Host = r.Host
	for _, hop := range []string{"Connection", "Expect"} {
		out.Header.Del(hop)
	}
	in, err := p.client.Do(out)
	if err != nil {
		return answer{}, err
	}
	in.Header.Del("Connection")
	if target(r) == Subscribe && in.StatusCode == http.StatusOK {
		return answer{status: in.StatusCode, header: in.Header, events: in.Body}, nil
	}
	content, err := io.ReadAll(in.Body)
	if err = errors.Join(err, in.Body.Close()); err != nil {
		return answer{}, err
	}
	return answer{status: in.StatusCode, header: in.Header, body: content}, nil
}

// reserve binds a loopback port without listening, so that connections to it are refused and no other process gets it.
func reserve() (socket int, addr string, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, "", err
	}
	if err := reuse(fd); err != nil {
		return 0, "", errors.Join(err, syscall.Close(fd))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, "", errors.Join(err, syscall.Close(fd))
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, "", errors.Join(err, syscall.Close(fd))
	}
	return fd, fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port), nil
}

// shared lets a listener use the port that reserve holds.
func shared(_, _ string, conn syscall.RawConn) error {
	var err error
	controlled := conn.Control(func(fd uintptr) { err = reuse(int(fd)) })
	return errors.Join(controlled, err)
}

// reuse sets SO_REUSEPORT, which both sockets of a port need to have.
func reuse(fd int) error { return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soReusePort, 1) }

// soReusePort is SO_REUSEPORT of Linux, which package syscall lacks on some architectures.
const soReusePort = 15
