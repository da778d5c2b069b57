package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/bench/rows"
)

// The surroundings are a stream and a bucket in a separate process, so that their cost is not counted toward the measured
// program. Both are served over TLS, like the services.

// address is where the process serves.
type address struct {
	Kinesis, S3, Control string
	// CA is the file with the certificate to trust.
	CA string
}

// order asks for a filled stream and a bucket, both with the same name.
type order struct {
	Name   string
	Set    string // of package rows
	Bytes  int    // of payload in all
	Shards int
	// Record, if not 0, is the approximate size of records in bytes, instead of the set's.
	Record int
	// File, if set, is written instead of a stream: one record per line, in Base64 unless Plain is set.
	File  string
	Plain bool
	// Rate is how many bytes per second are put after these, for Seconds. It may be 0.
	Rate, Seconds int
}

// state is what a stream holds, and the calls it has served.
type state struct {
	Records, Bytes int64 // ever put
	Unread         int64
	Feeding        bool
	// Calls are the calls of Kinesis and S3 since the order, by operation.
	Calls map[string]int64
	// Refused are those that were answered with an error.
	Refused int64
}

// serveSurroundings serves until its standard input ends. With limits it enforces Kinesis's rates per shard.
func serveSurroundings(dir string, limits bool, memory int64) error {
	s := &surroundings{dir: dir}
	config, ca, err := certificate(dir)
	if err != nil {
		return err
	}
	s.stream, err = localstream.New(localstream.Options{MaxBytes: memory, LimitReads: limits})
	if err != nil {
		return err
	}
	if s.bucket, err = localbucket.StartWith("127.0.0.1:0", s.folder(), localbucket.Options{TLS: config, Wrap: s.countS3}); err != nil {
		return err
	}
	defer s.bucket.Close()
	kinesis, stopKinesis, err := serve(inCBOR(http.HandlerFunc(s.kinesis)), config)
	if err != nil {
		return err
	}
	defer stopKinesis()
	control := http.NewServeMux()
	control.HandleFunc("POST /order", s.order)
	control.HandleFunc("GET /state", s.state)
	control.HandleFunc("POST /forget", s.forget)
	controlURL, stopControl, err := serve(control, nil)
	if err != nil {
		return err
	}
	defer stopControl()
	err = json.NewEncoder(os.Stdout).Encode(address{Kinesis: kinesis, S3: s.bucket.URL(), Control: controlURL, CA: ca})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // which ends with the parent
	return err
}

type surroundings struct {
	dir    string
	stream *localstream.Kinesis
	bucket *localbucket.Server

	calls   sync.Map // operation to *atomic.Int64
	refused atomic.Int64
	feeding atomic.Bool
	lines   struct {
		set string
		all [][]byte
	}
}

func (s *surroundings) folder() string { return filepath.Join(s.dir, "bucket") }

// kinesis counts the calls.
func (s *surroundings) kinesis(w http.ResponseWriter, r *http.Request) {
	s.count(r.Header.Get("X-Amz-Target"))
	s.stream.ServeHTTP(&watched{w, &s.refused}, r)
}

// countS3 counts the calls to the bucket. S3 bills a request by its method and, for POST, by what it does with an upload.
func (s *surroundings) countS3(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation := "S3." + r.Method
		switch q := r.URL.Query(); {
		case r.Method == http.MethodPut && q.Has("partNumber"):
			operation = "S3.UploadPart"
		case r.Method == http.MethodPost && q.Has("uploads"):
			operation = "S3.CreateMultipartUpload"
		case r.Method == http.MethodPost && q.Has("uploadId"):
			operation = "S3.CompleteMultipartUpload"
		}
		s.count(operation)
		h.ServeHTTP(w, r)
	})
}

type watched struct {
	http.ResponseWriter
	refused *atomic.Int64
}

func (w *watched) WriteHeader(status int) {
	if status != http.StatusOK {
		w.refused.Add(1)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *surroundings) count(operation string) {
	n, _ := s.calls.LoadOrStore(operation, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

func (s *surroundings) order(w http.ResponseWriter, r *http.Request) {
	var o order
	err := json.NewDecoder(r.Body).Decode(&o)
	if err == nil {
		err = s.fill(o)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.state(w, r)
}

func (s *surroundings) fill(o order) error {
	s.calls.Clear()
	s.refused.Store(0)
	set, ok := rows.Find(o.Set)
	if !ok {
		return fmt.Errorf("there is no set %q", o.Set)
	}
	if o.Record > 0 {
		set = set.Sized(o.Record)
	}
	if o.File != "" {
		return writeLines(o, set)
	}
	if err := errors.Join(s.bucket.CreateBucket(o.Name), s.stream.CreateStream(o.Name, o.Shards)); err != nil {
		return err
	}
	name := fmt.Sprint(set.Name, o.Record)
	if s.lines.set != name || len(s.lines.all) == 0 {
		s.lines.set, s.lines.all = name, set.Lines(max(o.Bytes, 16<<20))
	}
	size, n := 0, 0
	for ; size < o.Bytes; n++ {
		line := s.lines.all[n%len(s.lines.all)]
		if err := s.put(o.Name, n, line); err != nil {
			return err
		}
		size += len(line)
	}
	if o.Rate > 0 {
		s.feeding.Store(true)
		go s.feed(o, n)
	}
	return nil
}

func writeLines(o order, set rows.Set) (err error) {
	f, err := os.Create(o.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriter(f)
	var text []byte
	for line := range set.All() {
		if o.Bytes <= 0 {
			return out.Flush()
		}
		o.Bytes -= len(line)
		text = append(text[:0], line...)
		if !o.Plain {
			text = base64.StdEncoding.AppendEncode(text[:0], line)
		}
		if _, err := out.Write(append(text, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (s *surroundings) put(stream string, n int, line []byte) error {
	_, _, err := s.stream.Put(stream, localstream.Entry{PartitionKey: strconv.Itoa(n), Data: line})
	return err
}

// feed puts records at a rate. When memory is full it waits until they are read.
func (s *surroundings) feed(o order, n int) {
	defer s.feeding.Store(false)
	began, sent := time.Now(), 0
	for time.Since(began) < time.Duration(o.Seconds)*time.Second {
		for due := int(time.Since(began).Seconds() * float64(o.Rate)); sent < due; n++ {
			line := s.lines.all[n%len(s.lines.all)]
			if s.put(o.Name, n, line) != nil {
				break
			}
			sent += len(line)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *surroundings) state(w http.ResponseWriter, r *http.Request) {
	var answer state
	shards, err := s.stream.Shards(cmp.Or(r.URL.Query().Get("name"), "none"))
	if err == nil {
		for _, sh := range shards {
			answer.Records += sh.Put
			answer.Bytes += sh.PutBytes
			answer.Unread += sh.Unread
		}
	}
	answer.Feeding, answer.Refused = s.feeding.Load(), s.refused.Load()
	answer.Calls = map[string]int64{}
	s.calls.Range(func(operation, n any) bool {
		answer.Calls[operation.(string)] = n.(*atomic.Int64).Load()
		return true
	})
	_ = json.NewEncoder(w).Encode(answer) // the parent asks again
}

// forget drops a stream and the contents of the bucket with the same name.
func (s *surroundings) forget(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	request, err := http.NewRequest(http.MethodPost, "/", jsonBody(map[string]string{"StreamName": name}))
	if err == nil {
		request.Header.Set("X-Amz-Target", "Kinesis_20131202.DeleteStream")
		s.stream.ServeHTTP(w, request)
		err = os.RemoveAll(filepath.Join(s.folder(), name))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// serve answers on a free port of the loopback address.
func serve(h http.Handler, config *tls.Config) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, TLSConfig: config.Clone(), ReadHeaderTimeout: 10 * time.Second}
	url = "http://" + l.Addr().String()
	if config == nil {
		go server.Serve(l)
	} else {
		url = "https://" + l.Addr().String()
		go server.ServeTLS(l, "", "")
	}
	return url, func() { server.Close() }, nil
}

// certificate makes a certificate for the loopback address, and writes it where clients find it.
func certificate(dir string) (config *tls.Config, file string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, "", err
	}
	file = filepath.Join(dir, "ca.pem")
	err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file, err
}

// client is the parent's connection to the surroundings.
type client struct {
	address
	dir string
}

// startSurroundings starts them as a process that ends with this one.
func startSurroundings(ctx context.Context, dir string, limits bool, memory int64) (*client, error) {
	p, err := start(ctx, process{
		args: []string{self(), "surroundings", dir, strconv.FormatBool(limits), strconv.FormatInt(memory, 10)},
		env:  append(os.Environ(), "BENCH_ROLE=surroundings"), // read by the test binary
		log:  filepath.Join(dir, "surroundings.log"), pipe: true,
	})
	if err != nil {
		return nil, err
	}
	c := &client{dir: dir}
	if err := json.NewDecoder(p.out).Decode(&c.address); err != nil {
		return nil, fmt.Errorf("surroundings did not start: %w: %s", err, p.tail())
	}
	return c, nil
}

func (c *client) order(o order) (state, error) {
	return c.call(http.MethodPost, "/order?name="+o.Name, jsonBody(o))
}

func (c *client) state(name string) (state, error) {
	return c.call(http.MethodGet, "/state?name="+name, nil)
}

func (c *client) forget(name string) error {
	r, err := http.Post(c.Control+"/forget?name="+name, "", nil)
	if err != nil {
		return err
	}
	return r.Body.Close()
}

func (c *client) call(method, path string, body io.Reader) (s state, err error) {
	request, err := http.NewRequest(method, c.Control+path, body)
	if err != nil {
		return s, err
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		return s, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(r.Body) // only explains the status
		return s, fmt.Errorf("surroundings answered %s: %s", r.Status, text)
	}
	return s, json.NewDecoder(r.Body).Decode(&s)
}

// bucket returns the folder of a bucket.
func (c *client) bucket(name string) string { return filepath.Join(c.dir, "bucket", name) }
