package compare_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/operate/compare"
	"aws-streaming-pipeline/operate/objects"
)

// store is a bucket in memory that knows when its objects were stored.
type store struct {
	t       *testing.T
	mu      sync.Mutex
	now     time.Time
	objects map[string]stored
	// brittle breaks off every body once.
	brittle bool
	gets    int
}

type stored struct {
	body []byte
	at   time.Time
}

var begin = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

func newStore(t *testing.T) *store {
	return &store{t: t, now: begin, objects: make(map[string]stored)}
}

func (s *store) put(key string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = stored{bytes.Clone(body), s.now}
}

func etag(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func (s *store) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const page = 7
	after := max(aws.ToString(in.StartAfter), aws.ToString(in.ContinuationToken))
	var keys []string
	for key := range s.objects {
		if strings.HasPrefix(key, *in.Prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	out := &s3.ListObjectsV2Output{IsTruncated: aws.Bool(len(keys) > page)}
	for _, key := range keys[:min(len(keys), page)] {
		o := s.objects[key]
		out.Contents = append(out.Contents, types.Object{
			Key: &key, Size: aws.Int64(int64(len(o.body))), LastModified: &o.at, ETag: aws.String(etag(o.body)),
		})
		out.NextContinuationToken = &key
	}
	return out, nil
}

func (s *store) HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	return nil, errors.New("nobody should ask")
}

func (s *store) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	o, ok := s.objects[*in.Key]
	if !ok {
		return nil, &types.NoSuchKey{}
	}
	if in.IfMatch != nil && *in.IfMatch != etag(o.body) {
		return nil, errors.New("precondition failed")
	}
	first := 0
	if in.Range != nil {
		if _, err := fmt.Sscanf(*in.Range, "bytes=%d-", &first); err != nil {
			return nil, err
		}
	}
	rest := o.body[first:]
	var body io.Reader = bytes.NewReader(rest)
	if s.brittle && in.Range == nil {
		body = io.MultiReader(bytes.NewReader(rest[:len(rest)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(body), ContentLength: aws.Int64(int64(len(rest))), ETag: aws.String(etag(o.body))}, nil
}

func (s *store) config() compare.Config {
	bucket := objects.Bucket{API: s, Name: "b"}
	return compare.Config{
		Theirs: compare.Delivery{Bucket: bucket, Prefix: "firehose/"}, Ours: compare.Delivery{Bucket: bucket, Prefix: "data/"},
		Examples: 20, TempDir: s.t.TempDir(), Now: func() time.Time { return s.now },
	}
}

func (s *store) compare(change func(*compare.Config)) *compare.Report {
	s.t.Helper()
	r, err := s.try(change)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *store) try(change func(*compare.Config)) (*compare.Report, error) {
	c := s.config()
	if change != nil {
		change(&c)
	}
	return compare.Run(s.t.Context(), c)
}
