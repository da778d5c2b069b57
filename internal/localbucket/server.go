// Package localbucket serves the S3 API over a plain folder on loopback, for the demo and for tests.
//
// An object is a readable file at <folder>/<bucket>/<key>, so any tool can read what the pipeline has written. The folder
// ".localbucket", next to the buckets, holds the objects' metadata and the parts of open uploads. Both survive a restart.
//
// Package gofakes3 handles the protocol, this package the storage. The storages of gofakes3 do not suffice: they keep
// parts in memory until an upload is completed, and lose them with the process. This one does what the pipeline's promise
// relies on: parts are invisible until the upload is completed; completing or aborting ends the upload (then
// NoSuchUpload); a completed object appears at once, with its metadata; parts below 5 MiB are rejected, except the last;
// CRC32C checksums are verified; and If-None-Match guards a completion. It accepts any credentials, so it listens only on
// loopback addresses.
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

// exchange limits the time to upload a part or download an object.
const exchange = 10 * time.Minute

// Server is a running endpoint.
type Server struct {
	folder *folder
	http   *http.Server
	url    string
	done   chan error
}

// Start serves the folder, which it creates if necessary, at a loopback address such as "127.0.0.1:0". The caller ends it
// with Close.
func Start(addr, dir string) (*Server, error) { return StartWith(addr, dir, Options{}) }

// Options change how a bucket is served.
type Options struct {
	// TLS is the configuration to serve with; nil means plain HTTP.
	TLS *tls.Config
	// Wrap, if set, returns a handler to serve instead of the bucket, which it can call.
	Wrap func(http.Handler) http.Handler
}

// StartWith is like Start, with options.
func StartWith(addr, dir string, o Options) (*Server, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("start local bucket: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("start local bucket: %q is not a loopback address, and the server does not authenticate clients", host)
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

// URL returns the endpoint. Clients use path-style addressing.
func (s *Server) URL() string { return s.url }

// CreateBucket creates a bucket unless it exists.
func (s *Server) CreateBucket(name string) error {
	err := s.folder.CreateBucket(name)
	if gofakes3.HasErrorCode(err, gofakes3.ErrBucketAlreadyExists) {
		return nil
	}
	return err
}

// Close stops the server. Requests in progress have a second to finish; then their connections are closed.
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
