package lambdatest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Service is a proxy between a function and a service. It records which operations were called, and can make calls fail.
type Service struct {
	URL string

	name string
	mu   sync.Mutex
	// fail answers a call if it returns true.
	fail    func(operation string, w http.ResponseWriter) bool
	calls   map[string]int
	failed  int
	backend http.Handler
}

// Serve starts a proxy for a backend. The name is the service's in IAM actions.
func Serve(tb testing.TB, name string, backend http.Handler) *Service {
	s := &Service{name: name, backend: backend, calls: make(map[string]int)}
	server := httptest.NewServer(s)
	tb.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Forward returns a backend at an address.
func Forward(tb testing.TB, address string) http.Handler {
	tb.Helper()
	target, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(target)
}

// Fail makes calls fail from now on, if the given function has answered them.
func (s *Service) Fail(fail func(operation string, w http.ResponseWriter) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// Unavailable answers like an overloaded service.
func Unavailable(_ string, w http.ResponseWriter) bool {
	w.WriteHeader(http.StatusServiceUnavailable)
	return true
}

// Silent accepts calls and answers none before the test ends.
func Silent(tb testing.TB) func(string, http.ResponseWriter) bool {
	return func(string, http.ResponseWriter) bool {
		<-tb.Context().Done()
		return true
	}
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := operationOf(r)
	s.mu.Lock()
	s.calls[operation]++
	fail := s.fail
	s.mu.Unlock()
	if fail != nil && fail(operation, w) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the connection can be used again
		s.mu.Lock()
		s.failed++
		s.mu.Unlock()
		return
	}
	s.backend.ServeHTTP(w, r)
}

// operationOf returns the name of the called operation: in the JSON protocol it is in a header, in the CBOR protocol in the path;
// calls to S3 are always puts.
func operationOf(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndexByte(target, '.')+1:]
	}
	if _, operation, ok := strings.Cut(r.URL.Path, "/operation/"); ok {
		return operation
	}
	if r.Method == http.MethodPut {
		return "PutObject"
	}
	return r.Method
}

// Failed counts the calls that were made to fail.
func (s *Service) Failed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Calls counts the calls of an operation.
func (s *Service) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation]
}

// actions returns the IAM actions of the calls so far.
func (s *Service) actions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for operation := range s.calls {
		list = append(list, s.name+":"+operation)
	}
	return list
}

// AssertPermissions fails the test unless the services together saw exactly the calls that the function's permissions list.
func AssertPermissions(tb testing.TB, function string, services ...*Service) {
	tb.Helper()
	var called, allowed []string
	for _, s := range services {
		called = append(called, s.actions()...)
	}
	for _, p := range Permissions()[function] {
		allowed = append(allowed, p.Action)
	}
	slices.Sort(called)
	slices.Sort(allowed)
	if called, allowed = slices.Compact(called), slices.Compact(allowed); !slices.Equal(called, allowed) {
		tb.Errorf("%s calls %q, its permissions are %q", function, called, allowed)
	}
}
