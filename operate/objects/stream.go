package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/backoff"
)

// streamFailures limits how often in a row a stream breaks without a byte in between.
const streamFailures = 5

var streamPauses = backoff.Policy{First: 200 * time.Millisecond, Longest: 5 * time.Second}

// Stream is the content of one version of an object, as a stream. It is for one goroutine.
type Stream struct {
	ctx      context.Context
	bucket   Bucket
	key      string
	etag     *string
	body     io.ReadCloser
	size, at int64
	failures int // in a row
	err      error
}

// Open returns the content of an object, or ErrNotFound. If etag is not empty, only content of that ETag will do.
//
// If a body breaks off, the stream asks for the rest, from the byte at which it stopped, with the condition that the object is
// still the same: the SDK does not retry a body. The context applies to the whole stream.
func (b Bucket) Open(ctx context.Context, key, etag string) (*Stream, error) {
	s := &Stream{ctx: ctx, bucket: b, key: key}
	in := &s3.GetObjectInput{Bucket: &b.Name, Key: &key}
	if etag != "" {
		in.IfMatch = aws.String(`"` + etag + `"`)
	}
	out, err := b.API.GetObject(ctx, in)
	if err != nil {
		return nil, b.explain("get", key, err)
	}
	s.body, s.etag, s.size = out.Body, out.ETag, aws.ToInt64(out.ContentLength)
	return s, nil
}

// Read implements io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	for s.err == nil {
		n, err := s.body.Read(p)
		s.at += int64(n)
		if n > 0 {
			s.failures = 0
		}
		if errors.Is(err, io.EOF) && s.at < s.size {
			err = io.ErrUnexpectedEOF
		}
		switch {
		case errors.Is(err, io.EOF):
			s.err = io.EOF
		case err != nil:
			s.err = s.resume(err)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, s.err
}

// resume asks for the rest of the content after the error why. It returns an error if there is no more hope. An error after
// the last byte, such as a wrong checksum, is final.
func (s *Stream) resume(why error) error {
	if s.failures++; s.at >= s.size || s.failures > streamFailures {
		return s.bucket.explain("get", s.key, fmt.Errorf("after %d of %d bytes: %w", s.at, s.size, why))
	}
	if err := streamPauses.Pause(s.ctx, s.failures); err != nil {
		return s.bucket.explain("get", s.key, err)
	}
	out, err := s.bucket.API.GetObject(s.ctx, &s3.GetObjectInput{
		Bucket: &s.bucket.Name, Key: &s.key, IfMatch: s.etag, Range: aws.String(fmt.Sprintf("bytes=%d-", s.at)),
	})
	if err != nil {
		return s.bucket.explain("get", s.key, err)
	}
	_ = s.body.Close() // it is broken
	s.body = out.Body
	if n := aws.ToInt64(out.ContentLength); n != s.size-s.at {
		return s.bucket.explain("get", s.key, fmt.Errorf("asked for the %d bytes that are left, got %d", s.size-s.at, n))
	}
	return nil
}

// Close implements io.Closer.
func (s *Stream) Close() error { return s.body.Close() }
