package awshttp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// counted counts the writes of a connection, and reads in pieces of at most most bytes if that is not 0.
type counted struct {
	net.Conn
	most   int
	writes *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func (c counted) Read(p []byte) (int, error) {
	if c.most > 0 {
		p = p[:min(len(p), 1+rand.IntN(c.most))]
	}
	return c.Conn.Read(p)
}

// echo is a service over TLS that hashes what it is sent, and answers with the hash and with as many bytes as it is asked for.
func echo(t *testing.T, version uint16) (*httptest.Server, []byte) {
	content := make([]byte, 1<<20+777)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(content)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		if _, err := io.Copy(hash, r.Body); err != nil {
			return // the client has gone
		}
		w.Header().Set("Hash", fmt.Sprintf("%x", hash.Sum(nil)))
		if r.URL.Path == "/close" {
			w.Header().Set("Connection", "close")
		}
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)+1))
		}
		_, _ = w.Write(content)
	}))
	s.Config.ErrorLog = nil
	s.TLS = &tls.Config{MaxVersion: version}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, content
}

// transport returns one that trusts the server, not yet widened.
func transport(s *httptest.Server) *http.Transport {
	t := s.Client().Transport.(*http.Transport).Clone()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.DialContext = nil
	return t
}

func post(c *http.Client, url string, body []byte) (got []byte, hash string, err error) {
	request, err := http.NewRequest(http.MethodPost, url, struct{ io.Reader }{bytes.NewReader(body)}) // without io.WriterTo, as Keep has it
	if err != nil {
		return nil, "", err
	}
	request.ContentLength = int64(len(body))
	r, err := c.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer r.Body.Close()
	got, err = io.ReadAll(r.Body)
	return got, r.Header.Get("Hash"), err
}

// Large bodies arrive whole both ways, on connections that are kept, whatever pieces the network makes of them; and they go out in few
// writes, where net/http alone makes one of each record.
func TestWide_MovesLargeBodiesInFewWrites(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, content := echo(t, version)
		for _, test := range []struct {
			name  string
			most  int // bytes of a read
			path  string
			wider bool
		}{
			{"at once", 0, "/", true},
			{"in small pieces", 3000, "/", true},
			{"in large pieces", 200_000, "/", true},
			{"closed after the answer", 0, "/close", true},
			{"the control, as net/http does it", 0, "/", false},
		} {
			t.Run(fmt.Sprintf("%s/%s", tls.VersionName(version), test.name), func(t *testing.T) {
				var writes, opened atomic.Int64
				tr := transport(s)
				defer tr.CloseIdleConnections()
				tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, address)
					opened.Add(1)
					return counted{c, test.most, &writes}, err
				}
				if test.wider {
					widen(tr)
				}
				client := &http.Client{Transport: tr}
				for _, size := range []int{0, 1, 16 << 10, 16<<10 + 1, wideBytes, wideBytes + 1, 3*wideBytes + 5, 1 << 20} {
					body := content[:size]
					before := writes.Load()
					got, hash, err := post(client, s.URL+test.path, body)
					if err != nil || !bytes.Equal(got, content) || hash != fmt.Sprintf("%x", sha256.Sum256(body)) {
						t.Fatalf("%d bytes: %v, %d of %d came back, arrived whole: %t", size, err, len(got), len(content), hash == fmt.Sprintf("%x", sha256.Sum256(body)))
					}
					// One more for the header, one for its rest of 4 KiB, and some for a handshake.
					if made := writes.Load() - before; test.wider == (made > int64(size/wideBytes+8)) && size == 1<<20 {
						t.Errorf("%d bytes took %d writes", size, made)
					}
				}
				if kept := opened.Load() == 1; kept != (test.path == "/") {
					t.Errorf("%d connections", opened.Load())
				}
			})
		}
	}
}

// What ends early or does not fit fails, and says why.
func TestWide_FailsLikeNetHTTP(t *testing.T) {
	s, _ := echo(t, tls.VersionTLS13)
	tr := transport(s)
	defer tr.CloseIdleConnections()
	widen(tr)
	client := &http.Client{Transport: tr}
	if _, _, err := post(client, s.URL+"/cut", nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an answer that is cut off: %v", err)
	}
	if _, _, err := post(client, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), nil); err == nil || !strings.Contains(err.Error(), "certificate is valid for") {
		t.Errorf("a certificate of another host: %v", err)
	}
	strange := transport(s)
	strange.TLSClientConfig.RootCAs = x509.NewCertPool()
	widen(strange)
	if _, _, err := post(&http.Client{Transport: strange}, s.URL, nil); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a certificate of nobody: %v", err)
	}
	if _, _, err := post(client, "https://127.0.0.1:1", nil); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
}

// A proxy for HTTP, to which net/http makes the connection itself, passes bodies on.
func TestWide_LeavesProxiesAlone(t *testing.T) {
	s, content := echo(t, tls.VersionTLS13)
	var tunnels atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "want CONNECT", http.StatusBadRequest)
			return
		}
		tunnels.Add(1)
		far, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer far.Close()
		near, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(far, near)
		_, _ = io.Copy(near, far)
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	tr := transport(s)
	defer tr.CloseIdleConnections()
	tr.Proxy = http.ProxyURL(at)
	widen(tr)
	for range 2 {
		got, hash, err := post(&http.Client{Transport: tr}, s.URL, content)
		if err != nil || !bytes.Equal(got, content) || hash != fmt.Sprintf("%x", sha256.Sum256(content)) {
			t.Fatalf("through a proxy: %v, %d bytes", err, len(got))
		}
	}
	if tunnels.Load() != 1 {
		t.Errorf("%d tunnels, want 1", tunnels.Load())
	}
}

// A connection that waits for the next answer holds no buffer; nor does one that waits for more of an answer that came slowly.
func TestWide_HoldsNoBufferWhileItIsIdle(t *testing.T) {
	s, content := echo(t, tls.VersionTLS13)
	tr := transport(s)
	defer tr.CloseIdleConnections()
	widen(tr)
	var conns []*wide
	dial := tr.DialTLSContext
	tr.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil {
			conns = append(conns, c.(*wide))
		}
		return c, err
	}
	client := &http.Client{Transport: tr}
	for range 3 {
		if _, _, err := post(client, s.URL, content); err != nil {
			t.Fatal(err)
		}
	}
	tr.CloseIdleConnections() // the reader of the connection ends, so that its fields may be looked at
	for _, c := range conns {
		c.below.mu.Lock()
		defer c.below.mu.Unlock()
		if c.below.gathering != nil {
			t.Error("an idle connection holds a buffer of the writing side")
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections", len(conns))
	}
}

// scripted is a connection whose peer has sent everything; reads counts how it is asked for.
type scripted struct {
	net.Conn
	left  []byte
	reads []int
	fail  error
}

func (s *scripted) Read(p []byte) (int, error) {
	s.reads = append(s.reads, len(p))
	if len(s.left) == 0 {
		return 0, s.fail
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

func TestGatherer_ReadsManyRecordsAtATimeAndHandsOutEachByte(t *testing.T) {
	all := make([]byte, 3*wideBytes+100)
	for i := range all {
		all[i] = byte(i * i >> 3)
	}
	below := &scripted{left: bytes.Clone(all), fail: os.ErrDeadlineExceeded}
	g := &gatherer{Conn: below}
	var got []byte
	p := make([]byte, 34<<10)
	for {
		n, err := g.Read(p)
		got = append(got, p[:n]...)
		if err != nil {
			if err != os.ErrDeadlineExceeded {
				t.Fatal(err)
			}
			break
		}
	}
	if !bytes.Equal(got, all) {
		t.Errorf("%d of %d bytes, equal: %t", len(got), len(all), bytes.Equal(got, all))
	}
	if len(below.reads) > 6 {
		t.Errorf("%d reads: %v", len(below.reads), below.reads)
	}
	if g.held != nil {
		t.Error("a connection at which nothing arrives holds a buffer")
	}
	below.left = []byte("more") // after the deadline was moved
	if n, err := g.Read(p); err != nil || string(p[:n]) != "more" {
		t.Errorf("after a deadline: %q, %v", p[:n], err)
	}
}

// identity returns a server whose certificate and settings tests use. It has to be made outside of a bubble.
func identity(t *testing.T) *httptest.Server {
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	return s
}

// pipe returns both ends of a TLS connection in memory, ours wide.
func pipe(t *testing.T, server *httptest.Server) (near *wide, far *tls.Conn, plain net.Conn) {
	ours, theirs := net.Pipe()
	below := &gatherer{Conn: ours}
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName, config.DynamicRecordSizingDisabled = "127.0.0.1", true
	near = &wide{Conn: tls.Client(below, config), below: below}
	far = tls.Server(theirs, server.TLS.Clone())
	var done sync.WaitGroup
	done.Go(func() {
		if err := far.HandshakeContext(t.Context()); err != nil {
			t.Error(err)
		}
	})
	// The server's session tickets are read by the first Read.
	done.Go(func() {
		if err := near.HandshakeContext(t.Context()); err != nil {
			t.Error(err)
		}
	})
	_ = near.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = near.Read(make([]byte, 1))
	_ = near.SetReadDeadline(time.Time{})
	done.Wait()
	return near, far, theirs
}

// A peer that reads nothing does not hold up Close, and a deadline ends a Write for good: what it had gathered is lost.
func TestWide_EndsAWriteThatNobodyReads(t *testing.T) {
	server := identity(t)
	for _, size := range []int{1000, 40_000, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			near, _, _ := pipe(t, server)
			began := time.Now()
			failed := make(chan error)
			go func() {
				_, err := near.Write(make([]byte, size))
				failed <- err
			}()
			synctest.Wait()
			if err := near.Close(); err != nil {
				t.Errorf("%d bytes: close: %v", size, err)
			}
			if err := <-failed; !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%d bytes: write: %v", size, err)
			}
			if took := time.Since(began); took > 0 {
				t.Errorf("%d bytes: Close took %v", size, took)
			}
			if _, err := near.Write(make([]byte, size)); err == nil {
				t.Errorf("%d bytes: a closed connection takes more", size)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			near, _, plain := pipe(t, server)
			defer plain.Close()
			_ = near.SetWriteDeadline(time.Now().Add(time.Minute))
			if _, err := near.Write(make([]byte, size)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes: %v", size, err)
			}
			_ = near.SetWriteDeadline(time.Time{})
			go io.Copy(io.Discard, plain)
			if _, err := near.Write(make([]byte, size)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes after a deadline: %v", size, err)
			}
			_ = near.Close()
		})
	}
}

// Each Write is on its way when it returns, and so is what each Read of a body gave, however long the next one takes.
func TestWide_HoldsNothingBack(t *testing.T) {
	server := identity(t)
	synctest.Test(t, func(t *testing.T) {
		near, far, _ := pipe(t, server)
		body, more := io.Pipe()
		sent := make(chan error, 1)
		go func() {
			_, err := near.ReadFrom(body)
			sent <- err
		}()
		for _, size := range []int{1, 5000, 16 << 10, 40_000, wideBytes} {
			go more.Write(bytes.Repeat([]byte{byte(size)}, size))
			got := make([]byte, size)
			if _, err := io.ReadFull(far, got); err != nil || got[size-1] != byte(size) {
				t.Fatalf("%d bytes: %v", size, err)
			}
			synctest.Wait()
		}
		broken := errors.New("the disk is gone")
		more.CloseWithError(broken)
		if err := <-sent; err != broken {
			t.Errorf("a body that fails: %v", err)
		}
		go far.CloseWrite() // a half-closed connection can still be written to
		if _, err := near.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("half-closed: %v", err)
		}
		go near.Write(make([]byte, 50_000))
		if _, err := io.ReadFull(far, make([]byte, 50_000)); err != nil {
			t.Errorf("after a half-close: %v", err)
		}
		_ = near.below.Close()
		_ = far.NetConn().Close()
	})
}

// A peer that takes the connection and says nothing is given up, and the connection closed.
func TestWide_GivesUpASilentHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(io.Discard, far)
		}()
		tr := &http.Transport{
			TLSHandshakeTimeout: 10 * time.Second,
			DialContext:         func(context.Context, string, string) (net.Conn, error) { return near, nil },
		}
		widen(tr)
		began := time.Now()
		_, err := tr.DialTLSContext(t.Context(), "tcp", "example.com:443")
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		<-gone
	})
}

func TestParallel_WidensCalls(t *testing.T) {
	s, content := echo(t, tls.VersionTLS13)
	var writes atomic.Int64
	client := Client(sdkhttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig = transport(s).TLSClientConfig
		tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			return counted{c, 0, &writes}, err
		}
	}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if n, err := io.Copy(io.Discard, answer.Body); err != nil || n != int64(len(content)) || writes.Load() > int64(len(content)/wideBytes+10) {
		t.Errorf("%d bytes, %v, %d writes", n, err, writes.Load())
	}
}

// BenchmarkWide moves 8 MiB over TLS each way, on connections with and without.
func BenchmarkWide(b *testing.B) {
	content := make([]byte, 8<<20)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(content)
	}))
	s.StartTLS()
	defer s.Close()
	for name, change := range map[string]func(*http.Transport){"wide": widen, "net/http": func(*http.Transport) {}} {
		b.Run(name, func(b *testing.B) {
			tr := transport(s)
			defer tr.CloseIdleConnections()
			change(tr)
			client := &http.Client{Transport: tr}
			b.SetBytes(int64(2 * len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if got, _, err := post(client, s.URL, content); err != nil || len(got) != len(content) {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}
