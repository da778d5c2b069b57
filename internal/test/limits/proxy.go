package limits

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Service is the service that a Proxy fronts.
type Service string

const (
	Kinesis  Service = "Kinesis"
	DynamoDB Service = "DynamoDB"
	S3       Service = "S3"
	Lambda   Service = "Lambda"
)

// rules are the limits of a service. One goroutine at a time calls their methods.
type rules interface {
	// check returns why the service refuses a call; nil if it does not. It may change the body of the call.
	check(c *call) *refusal
	// learn records that the service has accepted a call, and its answer if wanted.
	learn(c *call, answer object)
	// wants reports whether learn needs the answer.
	wants(c *call) bool
}

// Proxy is an http.Handler that forwards requests within its limits to a service.
type Proxy struct {
	service Service
	rules   rules
	now     func() time.Time
	next    http.RoundTripper
	forward *httputil.ReverseProxy

	mu      sync.Mutex
	refused map[Rule]int
}

// New returns a Proxy for the service at an endpoint.
func New(service Service, endpoint string) (*Proxy, error) {
	backend, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("limits of %s: %w", service, err)
	}
	p := &Proxy{
		service: service, now: time.Now, refused: map[Rule]int{},
		next: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	switch service {
	case Kinesis:
		p.rules = newKinesisRules()
	case DynamoDB:
		p.rules = newDynamoDBRules()
	case S3:
		p.rules = newS3Rules()
	case Lambda:
		p.rules = lambdaRules{}
	default:
		return nil, fmt.Errorf("limits: service %q: want %s, %s, %s or %s", service, Kinesis, DynamoDB, S3, Lambda)
	}
	p.forward = &httputil.ReverseProxy{
		Transport:     p,
		FlushInterval: -1, // events of a subscription
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(backend)
			r.Out.Host = r.In.Host // as it was signed
		},
		// The program or the emulator has gone: the connection ends as it would without the proxy.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	return p, nil
}

// Before starts a Proxy for the service at an endpoint, for the duration of a test, and returns it with its own endpoint. The
// test fails if a call was refused by a rule that is neither a rate nor expected.
func Before(t testing.TB, service Service, endpoint string, expected ...string) (p *Proxy, own string) {
	t.Helper()
	p, err := New(service, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		for rule, n := range p.Refused() {
			if !rule.Rate && !slices.Contains(expected, rule.Name) {
				t.Errorf("%s would have refused %d calls: %s", service, n, rule.Name)
			}
		}
	})
	return p, server.URL
}

// Refused returns the number of refused calls, by rule.
func (p *Proxy) Refused() map[Rule]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.refused)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.forward.ServeHTTP(w, r) }

// RoundTrip implements http.RoundTripper: it refuses a request, or makes it.
func (p *Proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	c, err := p.identify(r)
	if err != nil {
		return nil, err
	}
	if refusal := p.check(c); refusal != nil {
		// The rest of the body is not needed, and nothing is lost if it cannot be closed.
		_ = r.Body.Close()
		return refusal.response(p.service, r), nil
	}
	if c.body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(c.body)), int64(len(c.body))
	}
	in, err := p.next.RoundTrip(r)
	if err != nil || in.StatusCode >= 300 {
		return in, err
	}
	var answer object
	if p.rules.wants(c) {
		if answer, err = p.read(in); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.now = p.now()
	p.rules.learn(c, answer)
	return in, nil
}

// read reads an answer and restores its body.
func (p *Proxy) read(in *http.Response) (object, error) {
	content, err := io.ReadAll(in.Body)
	if err = errors.Join(err, in.Body.Close()); err != nil {
		return nil, err
	}
	in.Body = io.NopCloser(bytes.NewReader(content))
	if p.service == S3 {
		return decodeXML(content), nil
	}
	// An answer that cannot be read is ignored.
	answer, _ := decode(in.Header, content)
	return answer, nil
}

func (p *Proxy) check(c *call) *refusal {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.now = p.now()
	refusal := signature(p.service, c)
	if refusal == nil {
		refusal = p.rules.check(c)
	}
	if refusal != nil {
		p.refused[refusal.rule]++
	}
	return refusal
}
