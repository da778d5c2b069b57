package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/layout"
	"aws-streaming-pipeline/writers/parquet"
	"aws-streaming-pipeline/writers/s3sink"
)

const bucketName = "out"

// site is a bucket and a lease table, filled by the pipeline itself. Its clock stands still until a test moves it.
type site struct {
	t      *testing.T
	dir    string // of the bucket
	client *s3.Client
	store  *local.Store
	sink   writers.Sink
	format writers.Format
	backup bool // Kinesis records are kept as they came, too

	mu      sync.Mutex
	now     time.Time
	batches int
}

var begin = time.Date(2026, 3, 14, 9, 10, 0, 0, time.UTC)

// batchID returns the id of a batch that was begun at a time; nth is the part of the id that distinguishes batches.
func batchID(begun time.Time, n int) string {
	ms := begun.UnixMilli()
	return fmt.Sprintf("%08x-%04x%s", ms>>16, ms&0xffff, nth(n))
}

func nth(n int) string { return fmt.Sprintf("-7000-8000-%012d", n) }

// fileOf returns the key of a file of a batch under data/y/.
func fileOf(begun time.Time, batch, n int) string {
	return layout.File{Name: "data/y/trips", Clock: begun, Batch: batchID(begun, batch), Number: n, Extension: ".jsonl"}.Key()
}

func newSite(t *testing.T, format writers.Format) *site {
	t.Helper()
	s := &site{t: t, format: format, now: begin, store: local.OpenMemory()}
	folder := t.TempDir()
	s.dir = filepath.Join(folder, bucketName)
	server, err := localbucket.Start("127.0.0.1:0", folder)
	must(t, err)
	t.Cleanup(func() { server.Close() })
	must(t, server.CreateBucket(bucketName))
	s.client = s3.New(s3.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		BaseEndpoint: aws.String(server.URL()), UsePathStyle: true, HTTPClient: awshttp.Keep(nil),
	})
	s.sink, err = s3sink.New(s.client, s3sink.Config{Bucket: bucketName, Budget: budget.New(256<<20, nil)})
	must(t, err)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, c jsonl.Compression) writers.Format {
	t.Helper()
	f, err := jsonl.New(jsonl.Config{Append: record.AppendJSONLine, Compression: c})
	must(t, err)
	return f
}

func columns(t *testing.T) writers.Format {
	t.Helper()
	f, err := parquet.New(parquet.Options{})
	must(t, err)
	return f
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// router routes records by their partition key.
type router struct{}

func (router) Partition(r *record.Record) (string, error) { return "data/" + r.PartitionKey + "/", nil }
func (router) KeyPrefix(partition string) string          { return partition }
func (router) ErrorPartition(t record.OutputType, _ time.Time) string {
	return "errors/" + string(t) + "/"
}

// worker starts a pipeline, which ends with the test or when stop is called.
func (s *site) worker(name string) (p *batch.Pipeline, stop func()) {
	s.t.Helper()
	m := metrics.New(prometheus.NewRegistry())
	shared, err := writers.NewShared(budget.New(256<<20, m), 2)
	must(s.t, err)
	faults, err := jsonl.New(jsonl.Config{Append: func(dst []byte, r *record.Record) ([]byte, error) {
		return record.AppendErrorLine(dst, r, r.Fault, record.Attempt{Count: 1, Ended: begin}), nil
	}})
	must(s.t, err)
	parts := batch.Parts{
		Store: s.store, Sink: s.sink, Shared: shared, Data: s.format, Errors: faults, Router: router{},
		Log: slog.New(slog.DiscardHandler), Metrics: m,
	}
	if s.backup {
		kept, err := jsonl.New(jsonl.Config{Append: func(dst []byte, r *record.Record) ([]byte, error) { return record.AppendBackupLine(dst, r), nil }})
		must(s.t, err)
		parts.Backup = &batch.Backup{Format: kept, Partition: func(time.Time) string { return "backup/" }}
	}
	p = batch.New(batch.Config{
		Worker: name, Stream: "trips", ManifestPrefix: "manifests/", Now: s.clock,
		Limits: batch.Limits{FileBytes: 64 << 20, Bytes: 256 << 20, Interval: 1000 * time.Hour},
		NewID: func() string {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.batches++
			return batchID(s.now, s.batches)
		},
	}, parts)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	s.t.Cleanup(stop)
	return p, stop
}

type hold struct {
	mu  sync.Mutex
	row checkpoint.Lease
}

func (h *hold) Lease() checkpoint.Lease { h.mu.Lock(); defer h.mu.Unlock(); return h.row }
func (h *hold) Restart(string)          {}
func (h *hold) Committed(r checkpoint.Range) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.row.Checkpoint, h.row.Arrival, h.row.Load = r.End, r.LastArrival, r.Load
}

// open takes the lease of a shard, and creates its row if necessary.
func (s *site) open(p *batch.Pipeline, shard, owner string) *batch.Cursor {
	s.t.Helper()
	ctx := context.Background()
	must(s.t, s.store.CreateLeases(ctx, []checkpoint.Lease{{Shard: shard, Checkpoint: checkpoint.TrimHorizon}}))
	row, err := s.store.Lease(ctx, shard)
	must(s.t, err)
	row, err = s.store.Acquire(ctx, row, owner)
	must(s.t, err)
	return p.Open(&hold{row: row})
}

// sequence returns the sequence number of the n-th record.
func sequence(n int) string { return fmt.Sprint(1_000_000 + n) }

// intake returns records first to last; every tenth is faulty and every seventh came in an aggregate of two.
func (s *site) intake(partition string, first, last int) batch.Intake {
	in := batch.Intake{}
	for n := first; n <= last; n++ {
		r := record.Record{
			SequenceNumber: sequence(n), PartitionKey: partition, Arrival: s.clock().Add(time.Duration(n) * time.Millisecond),
			Data: fmt.Appendf(nil, `{"n":%d}`, n),
		}
		in.Last, in.LastArrival = r.SequenceNumber, r.Arrival
		if s.backup {
			in.Raw = append(in.Raw, r)
		}
		if n == first {
			in.FirstArrival = r.Arrival
		}
		switch {
		case n%10 == 0:
			r.Data = []byte("no JSON")
		case n%7 == 0:
			r.Aggregated = true
			in.Records = append(in.Records, r)
			r.SubSequence = 1
		}
		in.Records = append(in.Records, r)
	}
	return in
}

// deliver commits an intake as one batch and waits until it is published.
func (s *site) deliver(c *batch.Cursor, in batch.Intake) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	must(s.t, c.Append(ctx, in))
	must(s.t, c.Drain(ctx))
	for {
		snap, err := s.store.Scan(ctx)
		must(s.t, err)
		if len(snap.Batches) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// goodSite is a bucket to which two workers have delivered two shards: shard 1 handed over between them, shard 2 to its
// end. It has four batches in three hours.
func goodSite(t *testing.T, format writers.Format) *site {
	t.Helper()
	s := newSite(t, format)
	s.fill()
	return s
}

func (s *site) fill() {
	t := s.t
	t.Helper()
	a, stopA := s.worker("a")
	one, two := s.open(a, "shard-1", "a"), s.open(a, "shard-2", "a")
	must(t, two.Append(t.Context(), s.intake("x", 5000, 5020)))
	s.deliver(one, s.intake("x", 1, 30)) // batch 1: both shards
	s.advance(40 * time.Minute)
	s.deliver(one, s.intake("y", 31, 60)) // batch 2
	stopA()
	s.advance(40 * time.Minute)
	b, _ := s.worker("b")
	one, two = s.open(b, "shard-1", "b"), s.open(b, "shard-2", "b")
	end := s.intake("x", 5021, 5040)
	end.End = true
	must(t, two.Append(t.Context(), end))
	s.deliver(one, s.intake("x", 61, 90)) // batch 3: the end of shard 2
	s.advance(40 * time.Minute)
	s.deliver(one, s.intake("z", 91, 120)) // batch 4
	s.advance(time.Minute)
}

func (s *site) config() audit.Config {
	return audit.Config{
		Bucket: objects.Bucket{API: s.client, Name: bucketName}, ManifestPrefix: "manifests/",
		Prefixes: []string{"data/", "errors/"}, Now: s.clock,
	}
}

func (s *site) audit(change func(*audit.Config)) *audit.Report {
	s.t.Helper()
	c := s.config()
	if change != nil {
		change(&c)
	}
	r, err := audit.Run(s.t.Context(), c)
	must(s.t, err)
	return r
}

func deep(c *audit.Config) { c.Deep = true }

// keys returns the keys that contain all parts.
func (s *site) keys(parts ...string) []string {
	s.t.Helper()
	var keys []string
	bucket := objects.Bucket{API: s.client, Name: bucketName}
	for o, err := range bucket.List(s.t.Context(), "", "") {
		must(s.t, err)
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(*o.Key, p) }) {
			keys = append(keys, *o.Key)
		}
	}
	return keys
}

// key returns the only key that contains all parts.
func (s *site) key(parts ...string) string {
	s.t.Helper()
	keys := s.keys(parts...)
	if len(keys) != 1 {
		s.t.Fatalf("%d keys with %q: %q", len(keys), parts, keys)
	}
	return keys[0]
}

func (s *site) get(key string) (body []byte, metadata map[string]string) {
	s.t.Helper()
	out, err := s.client.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
	must(s.t, err)
	defer out.Body.Close()
	body, err = io.ReadAll(out.Body)
	must(s.t, err)
	return body, out.Metadata
}

func (s *site) put(key string, body []byte, metadata map[string]string) {
	s.t.Helper()
	_, err := s.client.PutObject(s.t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucketName), Key: &key, Body: bytes.NewReader(body), Metadata: metadata,
	})
	must(s.t, err)
}

func (s *site) remove(key string) {
	s.t.Helper()
	_, err := s.client.DeleteObject(s.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: &key})
	must(s.t, err)
}

// change replaces the content of a file as if the batch had written it: the manifest has the new size and ETag.
func (s *site) change(batchID, key string, edit func([]byte) []byte) {
	s.t.Helper()
	body, metadata := s.get(key)
	body = edit(body)
	s.put(key, body, metadata)
	info, err := objects.Bucket{API: s.client, Name: bucketName}.Head(s.t.Context(), key)
	must(s.t, err)
	s.editManifest(batchID, func(m *layout.Manifest) {
		for i := range m.Files {
			if m.Files[i].Key == key {
				m.Files[i].Bytes, m.Files[i].ETag = info.Size, info.ETag
			}
		}
	})
}

// editManifest changes the manifest of a batch; if its id or time changes, the manifest gets another key.
func (s *site) editManifest(batchID string, edit func(*layout.Manifest)) {
	s.t.Helper()
	body, metadata := s.get(s.key("manifests/", batchID))
	m, err := layout.DecodeManifest(body)
	must(s.t, err)
	edit(&m)
	body, err = json.Marshal(m)
	must(s.t, err)
	s.put(m.Key("manifests/"), body, metadata)
}

// path returns the path of an object's file.
func (s *site) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

func (s *site) truncate(key string) {
	s.t.Helper()
	info, err := os.Stat(s.path(key))
	must(s.t, err)
	must(s.t, os.Truncate(s.path(key), info.Size()-5))
}
