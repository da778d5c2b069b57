package serve

import (
	"bufio"
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections stay within the process, so that they follow virtual time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.done)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Each client holds a connection as long as it can: one byte per second of a header or of a body, an answer of a megabyte that
// is not read, no second request. A server without bounds, the control, still has all of them after an hour.
func TestServer_LetsNoClientHoldAConnection(t *testing.T) {
	drip := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			for _, b := range []byte(text + strings.Repeat("x", 1<<20)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}
	}
	clients := map[string]struct {
		hold func(net.Conn)
		most time.Duration
	}{
		"says nothing":    {func(net.Conn) {}, headerTimeout},
		"header in drips": {drip("GET / HTTP/1.1\r\nHost: pod\r\nX-Slow: "), headerTimeout + exchange}, // it does not read the refusal either
		"body in drips":   {drip("PUT / HTTP/1.1\r\nHost: pod\r\nContent-Length: 1000000\r\n\r\n"), exchange + time.Minute},
		"does not read":   {func(c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\nHost: pod\r\n\r\n") }, exchange},
		"keeps it alive": {func(c net.Conn) {
			io.WriteString(c, "GET /short HTTP/1.1\r\nHost: pod\r\n\r\n")
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil {
				io.Copy(io.Discard, answer.Body)
			}
		}, idleTimeout},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		size := 1 << 20
		if r.URL.Path == "/short" {
			size = 2
		}
		w.Write(bytes.Repeat([]byte("a"), size))
	})
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			held := func(server *http.Server) (held time.Duration) {
				synctest.Test(t, func(t *testing.T) {
					listener, closed := newPipes(), make(chan time.Time, 1)
					server.ConnState = func(_ net.Conn, s http.ConnState) {
						if s == http.StateClosed {
							closed <- time.Now()
						}
					}
					var running sync.WaitGroup
					running.Go(func() { server.Serve(listener) })
					began, conn := time.Now(), listener.dial()
					running.Go(func() { client.hold(conn) })
					select {
					case at := <-closed:
						held = at.Sub(began)
					case <-time.After(time.Hour):
						held = time.Hour
					}
					conn.Close()
					server.Close()
					running.Wait()
				})
				return held
			}
			if got := held(New(handler, exchange)); got > client.most {
				t.Errorf("it holds the connection for %v, want %v at most", got, client.most)
			}
			if got := held(&http.Server{Handler: handler}); got < time.Hour {
				t.Errorf("without bounds it holds the connection for only %v: the test proves nothing", got)
			}
		})
	}
}

func TestServer_RefusesALargeHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener, server := newPipes(), New(http.NotFoundHandler(), exchange)
		go server.Serve(listener)
		conn := listener.dial()
		defer func() {
			conn.Close()
			server.Close()
			time.Sleep(time.Second) // the server lingers a moment, so that a client can read a refusal
		}()
		go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: pod\r\nX-Large: "+strings.Repeat("x", 2*maxHeader)+"\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answer %+v, %v", answer, err)
		}
	})
}

// One address opens as many connections as it can. Another one is served all the same, and so is the first after it has let go.
func TestPerAddress_LeavesRoomForOthers(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), exchange)
	done := make(chan error, 1)
	go func() { done <- server.Serve(PerAddress(inner, 4)) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	// dial asks from an address, and says whether it was answered. The connection stays open.
	dial := func(from string) (net.Conn, bool) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := dialer.DialContext(t.Context(), "tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: pod\r\n\r\n")
		_, err = http.ReadResponse(bufio.NewReader(conn), nil)
		return conn, err == nil
	}
	var held []net.Conn
	for range 10 {
		if conn, answered := dial("127.0.0.1"); answered {
			held = append(held, conn)
		}
	}
	if len(held) != 4 {
		t.Errorf("one address has %d connections, want 4", len(held))
	}
	if _, answered := dial("127.0.0.2"); !answered {
		t.Error("another address finds no room")
	}
	for _, conn := range held {
		conn.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, answered := dial("127.0.0.1"); answered {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("it finds no room after its connections are closed")
		}
	}
}

// The servers of the product are made here. Tools for tests make their own.
func TestServers_AreMadeHere(t *testing.T) {
	tools := []string{"internal/test/chaos", "internal/test/bench", "internal/test/lambdatest", "internal/serve"}
	files := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".." || slices.Contains(tools, name)) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if ofHTTP(n.Type, "Server") {
					t.Errorf("%s: this server has no bounds: want serve.New", files.Position(n.Pos()))
				}
			case *ast.CallExpr:
				if ofHTTP(n.Fun, "Serve", "ServeTLS", "ListenAndServe", "ListenAndServeTLS") {
					t.Errorf("%s: this serves without bounds: want serve.New", files.Position(n.Pos()))
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ofHTTP says whether an expression is one of these names of net/http.
func ofHTTP(e ast.Expr, names ...string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := s.X.(*ast.Ident)
	return ok && from.Name == "http" && slices.Contains(names, s.Sel.Name)
}

// TestPort_ShowsWhatIsShownLast asks a port over its life.
func TestPort_ShowsWhatIsShownLast(t *testing.T) {
	says := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	}
	log := slog.New(slog.DiscardHandler)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if p, err := Open(address, says("first"), log); err == nil {
		p.Close()
		t.Error("a port that is taken was opened")
	}
	free.Close()
	p, err := Open(address, says("first"), log)
	if err != nil {
		t.Fatal(err)
	}
	get := func() string {
		answer, err := http.Get("http://" + address)
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return string(text)
	}
	if got := get(); got != "first" {
		t.Errorf("got %q", got)
	}
	p.Show(says("second"))
	if got := get(); got != "second" {
		t.Errorf("got %q", got)
	}
	p.Close()
	p.Close()
	if got := get(); !strings.Contains(got, "refused") {
		t.Errorf("a closed port answers %q", got)
	}
	none, err := Open("", nil, log)
	none.Show(says("nobody"))
	none.Close()
	if none != nil || err != nil {
		t.Errorf("no address gives %v, %v", none, err)
	}
}
