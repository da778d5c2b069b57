package lambdas

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/klauspost/compress/gzip"
)

// Objects writes objects to S3. Each is written atomically, with a single request.
type Objects struct {
	client *s3.Client
	gzip   bool
}

// NewObjects returns a writer that compresses objects if compress is set.
func NewObjects(account aws.Config, compress bool) *Objects {
	client := s3.NewFromConfig(account, func(o *s3.Options) {
		// Until the function's time is up, there is nothing better to do than retry.
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = 0
			r.MaxBackoff = Retries.Longest
			r.RateLimiter = ratelimit.None
		})
	})
	return &Objects{client: client, gzip: compress}
}

// Put writes lines of JSON under a key that ends in .json, or in .json.gz if they are compressed, and returns the object's
// address and its size. It retries until ctx ends. A nil error means that the object is durable; an existing object with
// the same key is replaced.
func (o *Objects) Put(ctx context.Context, bucket, name string, lines []byte) (address string, size int, err error) {
	key, body, kind := name+".json", lines, "application/x-ndjson"
	if o.gzip {
		key, kind = key+".gz", "application/gzip"
		if body, err = compress(lines); err != nil {
			return "", 0, fmt.Errorf("compress s3://%s/%s: %w", bucket, key, err)
		}
	}
	address = "s3://" + bucket + "/" + key
	out, err := o.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), ContentType: &kind,
	})
	if err == nil && aws.ToString(out.ETag) == "" { // S3 always names it (Amazon S3 API Reference, PutObject)
		err = errors.New("the answer has no ETag, so it is not S3's")
	}
	if err != nil {
		return "", 0, fmt.Errorf("put %s: %w", address, err)
	}
	return address, len(body), nil
}

// compress returns one gzip member. It holds no time, so the same lines yield the same bytes.
func compress(lines []byte) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, len(lines)/4+64))
	w := gzip.NewWriter(b)
	if _, err := w.Write(lines); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
