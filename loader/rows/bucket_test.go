package rows_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// bucket is an object of S3 in memory, whose answers can break.
type bucket struct {
	data     []byte
	etag     string
	ignores  bool // If-Match, as some services do
	breaks   int  // bytes after which each body breaks; 0 for none
	silent   bool // a broken body ends like a complete one
	after    int  // bodies after which they are empty; 0 for never
	requests []string
}

func newBucket(data []byte) *bucket { return &bucket{data: data, etag: `"abc"`} }

func (b *bucket) file(rows int) *checkpoint.File {
	return &checkpoint.File{Bucket: "bucket", Key: "data/file", Rows: int64(rows), Bytes: int64(len(b.data)), ETag: `"abc"`}
}

func (b *bucket) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	b.requests = append(b.requests, strings.TrimPrefix(aws.ToString(in.Range), "bytes="))
	if b.data == nil {
		return nil, &types.NoSuchKey{}
	}
	if match := aws.ToString(in.IfMatch); !b.ignores && match != "" && match != b.etag {
		return nil, preconditionFailed{}
	}
	out := &s3.GetObjectOutput{ETag: &b.etag}
	body := b.data
	if in.Range != nil {
		first, last := 0, len(b.data)-1
		if n, err := fmt.Sscanf(*in.Range, "bytes=%d-%d", &first, &last); n == 0 || first >= len(b.data) {
			return nil, fmt.Errorf("range %s: %w", *in.Range, err)
		}
		last = min(last, len(b.data)-1)
		body = body[first : last+1]
		out.ContentRange = aws.String(fmt.Sprintf("bytes %d-%d/%d", first, last, len(b.data)))
	}
	out.ContentLength = aws.Int64(int64(len(body)))
	if breaks := b.breaks; breaks > 0 && len(body) > breaks {
		if b.after > 0 && len(b.requests) > b.after {
			breaks = 0
		}
		end := errors.New("connection reset by peer")
		if b.silent {
			end = io.EOF
		}
		out.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:breaks]), failing{end}))
		return out, nil
	}
	out.Body = io.NopCloser(bytes.NewReader(body))
	return out, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type preconditionFailed struct{}

func (preconditionFailed) Error() string                 { return "412" }
func (preconditionFailed) ErrorCode() string             { return "PreconditionFailed" }
func (preconditionFailed) ErrorMessage() string          { return "" }
func (preconditionFailed) ErrorFault() smithy.ErrorFault { return smithy.FaultClient }

// written returns a file with the records that fit, their number, and those themselves.
func written(tb testing.TB, f writers.Format, records []record.Record) (data []byte, rows int, fit []record.Record) {
	tb.Helper()
	l := f.NewLayout()
	out := bytes.NewBuffer(l.Begin())
	block := l.NewBlock()
	place := func() {
		encoded, err := block.Encode()
		if err != nil {
			tb.Fatal(err)
		}
		rows += int(encoded.Rows)
		placed, err := l.Place(encoded)
		if err != nil {
			tb.Fatal(err)
		}
		out.Write(placed)
		if encoded.Release != nil {
			encoded.Release()
		}
	}
	for i := range records {
		if err := block.Append(&records[i]); errors.As(err, new(*record.Fault)) {
			continue
		} else if err != nil {
			tb.Fatal(err)
		}
		fit = append(fit, records[i])
		if block.Full() {
			place()
			block = l.NewBlock()
		}
	}
	place()
	end, err := l.End()
	if err != nil {
		tb.Fatal(err)
	}
	out.Write(end)
	return out.Bytes(), rows, fit
}
