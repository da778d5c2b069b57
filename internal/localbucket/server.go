// Package localbucket serves the S3 API over a plain folder on loopback, for the demo and for tests.
//
// An object is a readable file at <folder>/<bucket>/<key>, so what the pipeline has written can be looked at with
// anything. Beside the buckets lies ".localbucket", with the objects' metadata and the parts of uploads that are not
// completed; both survive a restart.
//
// The protocol front is gofakes3, the storage behind it is this package's. Its own storages do not fit: they keep parts
// in memory until an upload is completed, and lose them with the process. What the pipeline's promise rests on is held
// to: parts are invisible until the upload is completed, completing or aborting ends the upload (NoSuchUpload from then
// on), a completed object appears all at once and with its metadata, parts below 5 MiB are refused except for the last
// one, CRC32C checksums are verified, and If-None-Match guards a completion. It knows no users: any credentials are
// good, so it listens on loopback addresses only.
package localbucket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/johannesboyne/gofakes3"

	"aws-streaming-pipeline/internal/serve"
)

// exchange bounds the upload of a part and the download of an object.
const exchange = 10 * time.Minute

// Server is a running endpoint.
type Server struct {
	folder *folder
	http   *http.Server
	url    string
	done   chan error
}

// Start serves the folder, which is made if it is missing, at a loopback address such as "127.0.0.1:0". The caller
// ends it with Close.
func Start(addr, dir string) (*Server, error) { return StartWith(addr, dir, Options{}) }

// Options change how a bucket is served.
type Options struct {
	// TLS has the certificate to serve with; nil is plain HTTP.
	TLS *tls.Config
	// Wrap, if set, returns what answers in place of the bucket, by asking it.
	Wrap func(http.Handler) http.Handler
}

// StartWith is Start with options.
func StartWith(addr, dir string, o Options) (*Server, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("start local bucket: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("start local bucket: %q is not a loopback address, and the server asks for no password", host)
	}
	f, err := openFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("start local bucket: %w", err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start local bucket: %w", err), f.close())
	}
	s := &Server{
		folder: f,
		http:   serve.New(handler(f), exchange),
		url:    "http://" + l.Addr().String(),
		done:   make(chan error, 1),
	}
	if o.Wrap != nil {
		s.http.Handler = o.Wrap(s.http.Handler)
	}
	if o.TLS != nil {
		l, s.url = tls.NewListener(l, o.TLS), "https://"+l.Addr().String()
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// URL is the endpoint. Clients address buckets by path.
func (s *Server) URL() string { return s.url }

// CreateBucket makes a bucket; it is no error if there is one.
func (s *Server) CreateBucket(name string) error {
	err := s.folder.CreateBucket(name)
	if gofakes3.HasErrorCode(err, gofakes3.ErrBucketAlreadyExists) {
		return nil
	}
	return err
}

// Close stops the server. Requests that are under way have a second to end; after it their connections are closed.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var err error
	if s.http.Shutdown(ctx) != nil {
		err = s.http.Close()
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, s.folder.close())
}
