package catalogs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/iceberg-go/catalog"
	icebergio "github.com/apache/iceberg-go/io"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/glue"
	"aws-streaming-pipeline/loader/iceberg/catalogs"
	"aws-streaming-pipeline/record/table"
)

// site is a catalog with its surroundings.
type site struct {
	t        *testing.T
	settings catalogs.Settings
	faults   *faults // between the catalog's client and its service
	files    *files
	s3       emulator.Endpoint
	glue     *glue.Catalog // of a site whose catalog is Glue
}

// sites are the catalogs to test.
var sites = map[string]func(*testing.T) *site{
	"embedded on versitygw": func(t *testing.T) *site {
		return newSite(t, emulator.Versitygw(t), "s3://lake/tables/trips", isVersion)
	},
	"embedded on a folder": func(t *testing.T) *site {
		return newSite(t, demoBucket(t), "s3://lake/tables/trips", isVersion)
	},
	"Glue": func(t *testing.T) *site {
		s := newSite(t, demoBucket(t), "glue://lake/trips", func(r *http.Request) bool { return r.Header.Get("X-Amz-Target") == "AWSGlue.UpdateTable" })
		s.glue = glue.Start(t)
		s.settings.Account.BaseEndpoint = &s.glue.URL
		s.settings.Warehouse = "s3://lake/tables"
		s.createNamespace("lake")
		return s
	},
	"REST": func(t *testing.T) *site {
		store := emulator.Versitygw(t)
		s := newSite(t, store, "rest://host/lake.trips", func(r *http.Request) bool {
			return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/tables/trips")
		})
		s.settings.URI.Endpoint = emulator.IcebergCatalog(t, store, "s3://lake/warehouse")
		s.createNamespace("lake")
		return s
	},
}

func isVersion(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/metadata/v") && r.Header.Get("If-None-Match") == "*"
}

func demoBucket(t *testing.T) emulator.Endpoint {
	t.Helper()
	s, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return emulator.Endpoint{URL: s.URL(), Region: "us-east-1", AccessKey: "any", SecretKey: "any"}
}

func newSite(t *testing.T, store emulator.Endpoint, name string, commits func(*http.Request) bool) *site {
	t.Helper()
	u, err := table.ParseURI(name)
	must(t, err)
	s := &site{t: t, faults: &faults{HTTPClient: awshttp.Client(nil), commits: commits}, s3: store}
	s.settings.URI = u
	s.settings.Account = aws.Config{
		Region: store.Region, HTTPClient: s.faults,
		Credentials: credentials.NewStaticCredentialsProvider(store.AccessKey, store.SecretKey, ""),
	}
	s.settings.Bucket = s3.NewFromConfig(s.settings.Account, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &store.URL, true })
	_, err = s.settings.Bucket.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("lake")})
	must(t, err)
	s.files = &files{bucket: s.settings.Bucket}
	s.settings.Files = s.files
	return s
}

// open opens the catalog as a process of its own would.
func (s *site) open() catalog.Catalog {
	s.t.Helper()
	c, err := catalogs.Open(s.t.Context(), s.settings)
	must(s.t, err)
	return c
}

func (s *site) createNamespace(name string) {
	s.t.Helper()
	must(s.t, s.open().CreateNamespace(s.t.Context(), []string{name}, nil))
}

// fault is what happens to a commit on its way.
type fault string

const (
	lost    fault = "lost answer"
	doubled fault = "doubled"
	late    fault = "late"
	down    fault = "down" // the service did not see it
)

// faults is an HTTP client that plants one fault.
type faults struct {
	aws.HTTPClient
	commits func(*http.Request) bool

	mu     sync.Mutex
	next   fault
	before func() // what happens while the next commit is on its way
	held   []*http.Request
}

func (f *faults) plant(next fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = next
}

// planted reports whether a fault still waits for a commit.
func (f *faults) planted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next != ""
}

func (f *faults) take(r *http.Request) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.commits(r) {
		return ""
	}
	next := f.next
	f.next = ""
	if before := f.before; before != nil {
		f.before = nil
		f.mu.Unlock()
		before()
		f.mu.Lock()
	}
	return next
}

var errNetwork = errors.New("connection reset by the test")

func (f *faults) Do(r *http.Request) (*http.Response, error) {
	next := f.take(r)
	if next == "" {
		return f.HTTPClient.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	again := func() *http.Request {
		c := r.Clone(context.WithoutCancel(r.Context()))
		c.Body = io.NopCloser(bytes.NewReader(body))
		return c
	}
	switch next {
	case late:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.held = append(f.held, again())
		return nil, errNetwork
	case down:
		return nil, errNetwork
	}
	answer, err := f.HTTPClient.Do(again())
	if err != nil {
		return nil, err
	}
	if err := drain(answer); err != nil {
		return nil, err
	}
	if next == lost {
		return nil, errNetwork
	}
	return f.HTTPClient.Do(again())
}

func drain(answer *http.Response) error {
	_, err := io.Copy(io.Discard, answer.Body)
	return errors.Join(err, answer.Body.Close())
}

// deliver sends the commits that were late, and returns the status of each.
func (f *faults) deliver(t *testing.T) (statuses []int) {
	t.Helper()
	f.mu.Lock()
	held := f.held
	f.held = nil
	f.mu.Unlock()
	for _, r := range held {
		answer, err := f.HTTPClient.Do(r)
		must(t, err)
		must(t, drain(answer))
		statuses = append(statuses, answer.StatusCode)
	}
	return statuses
}

// files reads and writes files in S3, and counts those that are to be removed.
type files struct {
	bucket  *s3.Client
	removed atomic.Int64
}

var _ icebergio.WriteFileIO = (*files)(nil)

func split(name string) (bucket, key *string) {
	b, k, _ := strings.Cut(strings.TrimPrefix(name, "s3://"), "/")
	return &b, &k
}

func (f *files) Open(name string) (icebergio.File, error) {
	bucket, key := split(name)
	o, err := f.bucket.GetObject(context.Background(), &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer o.Body.Close()
	content, err := io.ReadAll(o.Body)
	return &file{bytes.NewReader(content), name}, err
}

func (f *files) Remove(string) error {
	f.removed.Add(1)
	return nil
}

func (f *files) Create(name string) (icebergio.FileWriter, error) {
	return &writer{files: f, name: name}, nil
}

func (f *files) WriteFile(name string, content []byte) error {
	bucket, key := split(name)
	_, err := f.bucket.PutObject(context.Background(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(content)})
	return err
}

type file struct {
	*bytes.Reader
	name string
}

func (f *file) Close() error               { return nil }
func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Name() string               { return f.name }
func (f *file) Mode() fs.FileMode          { return 0o400 }
func (f *file) ModTime() time.Time         { return time.Time{} }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }

type writer struct {
	bytes.Buffer
	files *files
	name  string
}

func (w *writer) Close() error { return w.files.WriteFile(w.name, w.Bytes()) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
