package iceberg

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/lake"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/loadertest"
	"aws-streaming-pipeline/record/table"
)

// site is the REST catalog of Iceberg Java with its bucket, between which and our client faults are planted.
type site struct {
	t       *testing.T
	store   emulator.Endpoint
	catalog string
	bucket  *s3.Client
	lake    *lake.Lake
	network network
	s3      requests
	tables  int
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, store: emulator.Versitygw(t)}
	s.network.commits = func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/tables/")
	}
	s.bucket = s3.New(s3.Options{
		Region: s.store.Region, BaseEndpoint: &s.store.URL, UsePathStyle: true, HTTPClient: &s.s3,
		Credentials: credentials.NewStaticCredentialsProvider(s.store.AccessKey, s.store.SecretKey, ""),
	})
	_, err := s.bucket.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("lake")})
	must(t, err)
	s.catalog = emulator.IcebergCatalog(t, s.store, "s3://lake/warehouse")
	s.lake = lake.Open(t, s.catalog, s.store)
	return s
}

// restTable is a table of the site, for the suite of loadertest.
type restTable struct {
	*site
	Settings
	foreign int
}

// table returns a table that does not exist yet.
func (s *site) table() *restTable {
	s.tables++
	u := table.URI{Kind: table.REST, Endpoint: s.catalog, Namespace: []string{"lake"}, Table: fmt.Sprint("trips", s.tables)}
	return &restTable{site: s, Settings: Settings{Application: "trips", URI: u, Create: true, Evolve: true}}
}

func (r *restTable) reader() lake.Table { return r.lake.Table("lake." + r.URI.Table) }

// Open implements loadertest.Table.
func (r *restTable) Open() loader.Destination {
	r.t.Helper()
	c, err := rest.NewCatalog(r.t.Context(), "lake", r.catalog, rest.WithCustomTransport(&r.network))
	must(r.t, err)
	return New(r.Settings, c, NewFiles(r.t.Context(), r.bucket))
}

func (r *restTable) load() *state {
	r.t.Helper()
	s, err := r.Open().Load(r.t.Context(), nil)
	must(r.t, err)
	return s.(*state)
}

// Fail implements loadertest.Table.
func (r *restTable) Fail(f loadertest.Fault) { r.network.plant(f) }

// Hit implements loadertest.Table.
func (r *restTable) Hit() bool { return r.network.wasHit() }

// Release implements loadertest.Table.
func (r *restTable) Release(context.Context) error { return r.network.release() }

// Write implements loadertest.Table. The files are not written: nobody reads them.
func (r *restTable) Write(_ context.Context, d *table.Definition, id string, n int) (checkpoint.Batch, error) {
	b := checkpoint.Batch{ID: id, Tables: []string{r.URI.String()}}
	for i := range n {
		description := table.Description{UUID: d.UUID, Schema: d.Schema, Spec: d.Spec.ID, Splits: []int64{4}}
		for range d.Spec.Fields {
			description.Partition = append(description.Partition, binary.LittleEndian.AppendUint32(nil, uint32(20000+i)))
		}
		text, err := json.Marshal(description)
		if err != nil {
			return b, err
		}
		b.Files = append(b.Files, checkpoint.File{Bucket: "lake", Key: fmt.Sprintf("data/%s/%s-%d.parquet", r.URI.Table, id, i), Rows: 10, Bytes: 1000, Table: text})
	}
	return b, nil
}

// Foreign implements loadertest.Table.
func (r *restTable) Foreign(context.Context) error {
	r.foreign++
	return r.reader().Append(lake.Row{"event_id": fmt.Sprint("foreign", r.foreign), "_arrived_at": "2026-01-03T10:00:00+00:00"})
}

// Expire implements loadertest.Table.
func (r *restTable) Expire(context.Context) error {
	_, err := r.reader().Expire()
	return err
}

// Live implements loadertest.Table.
func (r *restTable) Live(context.Context) (map[string]int, error) {
	live := make(map[string]int)
	for _, f := range r.reader().Files(r.t, "") {
		if strings.HasPrefix(f.Path, "s3://lake/data/") {
			live[f.Path]++
		}
	}
	return live, nil
}

var errNetwork = errors.New("connection reset by the test")

// network carries requests to the catalog, and plants a fault in the next commit.
type network struct {
	commits func(*http.Request) bool

	mu     sync.Mutex
	fault  loadertest.Fault
	status int // an answer that comes instead of a commit
	hit    bool
	held   *http.Request

	sent atomic.Int64
}

func (n *network) plant(f loadertest.Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault, n.hit = f, false
}

func (n *network) wasHit() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hit
}

// Do implements the HTTP client of the SDK.
func (n *network) Do(r *http.Request) (*http.Response, error) { return n.RoundTrip(r) }

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.sent.Add(1)
	commits := n.commits(r)
	n.mu.Lock()
	fault, status := n.fault, n.status
	if commits {
		n.fault, n.status = 0, 0
		n.hit = n.hit || fault != 0 || status != 0
	}
	n.mu.Unlock()
	if !commits || fault == 0 && status == 0 {
		return http.DefaultTransport.RoundTrip(r)
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
	if status != 0 {
		return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
	}
	switch fault {
	case loadertest.RequestLost:
		return nil, errNetwork
	case loadertest.Late:
		n.mu.Lock()
		defer n.mu.Unlock()
		n.held = again()
		return nil, errNetwork
	}
	if err := discard(http.DefaultTransport.RoundTrip(again())); err != nil {
		return nil, err
	}
	if fault == loadertest.AnswerLost {
		return nil, errNetwork
	}
	return http.DefaultTransport.RoundTrip(again())
}

func (n *network) release() error {
	n.mu.Lock()
	held := n.held
	n.held = nil
	n.mu.Unlock()
	if held == nil {
		return nil
	}
	return discard(http.DefaultTransport.RoundTrip(held))
}

func discard(answer *http.Response, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return errors.Join(err, answer.Body.Close())
}

// requests counts requests to S3 by method, and those for data files.
type requests struct {
	mu   sync.Mutex
	n    map[string]int
	data int
}

// Do implements the HTTP client of the SDK.
func (q *requests) Do(r *http.Request) (*http.Response, error) {
	q.mu.Lock()
	if q.n == nil {
		q.n = make(map[string]int)
	}
	q.n[r.Method]++
	if strings.HasPrefix(r.URL.Path, "/lake/data/") {
		q.data++
	}
	q.mu.Unlock()
	return http.DefaultClient.Do(r)
}

func (q *requests) reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n, q.data = nil, 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
