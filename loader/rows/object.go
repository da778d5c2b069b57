package rows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
)

// Bucket is what is needed of the SDK's client for S3.
type Bucket interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// object reads an object of S3 in ranges, as long as it is the one that the file names.
type object struct {
	ctx    context.Context
	bucket Bucket
	file   *checkpoint.File
	size   int64
	etag   string // empty until the first answer, if the file does not say

	// broken is the last error of a request or a body. Whoever decodes the bytes cannot tell it from a torn file.
	broken error
}

// get requests the bytes from an offset to an end.
func (o *object) get(offset, end int64) (io.ReadCloser, error) {
	in := &s3.GetObjectInput{Bucket: &o.file.Bucket, Key: &o.file.Key}
	if o.etag != "" {
		in.IfMatch = &o.etag
	}
	switch {
	case end < o.size:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", offset, end-1))
	case offset > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := o.bucket.GetObject(o.ctx, in)
	if err != nil {
		return nil, o.explain(err)
	}
	if err := o.check(out, in.Range != nil, offset); err != nil {
		_ = out.Body.Close() // the error says more
		return nil, err
	}
	return out.Body, nil
}

// explain turns the service's errors into those that say that the file itself is at fault.
func (o *object) explain(err error) error {
	var absent *types.NoSuchKey
	if errors.As(err, &absent) {
		return ErrMissing
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "PreconditionFailed" {
		return fmt.Errorf("%w: it has another ETag than %s", ErrReplaced, o.etag)
	}
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && answer.HTTPStatusCode() == http.StatusRequestedRangeNotSatisfiable {
		return fmt.Errorf("%w: it is shorter than %d bytes", ErrReplaced, o.size)
	}
	return err
}

// check refuses an answer that is not of the object that the file names. Not every service knows If-Match.
func (o *object) check(out *s3.GetObjectOutput, ranged bool, offset int64) error {
	etag := aws.ToString(out.ETag)
	if o.etag == "" {
		o.etag = etag
	}
	if etag != o.etag {
		return fmt.Errorf("%w: its ETag is %s, not %s", ErrReplaced, etag, o.etag)
	}
	size := aws.ToInt64(out.ContentLength)
	if ranged {
		var first, last int64
		if _, err := fmt.Sscanf(aws.ToString(out.ContentRange), "bytes %d-%d/%d", &first, &last, &size); err != nil || first != offset {
			return fmt.Errorf("the answer has the bytes %q: want those from %d on", aws.ToString(out.ContentRange), offset)
		}
	}
	if size != o.size {
		return fmt.Errorf("%w: it has %d bytes, not %d", ErrReplaced, size, o.size)
	}
	return nil
}

// maxResumes bounds the requests in a row that bring nothing. The SDK retries a request; it cannot retry a body.
const maxResumes = 5

var pauses = backoff.Policy{First: 200 * time.Millisecond, Longest: 5 * time.Second}

// stream reads an object from an offset on. Where a body breaks, another request goes on.
type stream struct {
	object *object
	offset int64
	end    int64 // at most the object's
	body   io.ReadCloser
	idle   int // requests since the last byte
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.offset >= s.end {
			return 0, io.EOF
		}
		if s.body == nil {
			body, err := s.object.get(s.offset, s.end)
			if err != nil {
				s.object.broken = err
				return 0, err
			}
			s.body = body
		}
		n, err := s.body.Read(p)
		if s.offset += int64(n); n > 0 {
			s.idle = 0
		}
		if err != nil {
			if stop := s.interrupted(err); stop != nil {
				return n, stop
			}
		}
		if n > 0 {
			return n, nil
		}
	}
}

// interrupted ends a body, and returns an error if no other one is to follow. What comes after the last byte is a wrong checksum.
func (s *stream) interrupted(err error) error {
	_ = s.body.Close() // its bytes have been read
	s.body = nil
	if err == io.EOF && s.offset >= s.end {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if s.idle++; s.offset < s.end && s.idle <= maxResumes {
		pause := pauses.Pause(s.object.ctx, s.idle)
		if pause == nil {
			return nil
		}
		err = pause
	}
	s.object.broken = fmt.Errorf("after %d of %d bytes: %w", s.offset, s.end, err)
	return s.object.broken
}

// Close implements io.Closer.
func (s *stream) Close() error {
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}

// ReadAt implements io.ReaderAt, with a request of its own.
func (o *object) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= o.size {
		return 0, io.EOF
	}
	end := min(offset+int64(len(p)), o.size)
	s := &stream{object: o, offset: offset, end: end}
	defer func() { _ = s.Close() }() // what was asked for has been read, or the error says more
	n, err := io.ReadFull(s, p[:end-offset])
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}
