package s3sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/writers"
)

// ReadVersion implements writers.Versions. A version is an ETag. It needs s3:GetObject for the key, and s3:ListBucket to learn that
// there is no object.
func (s *Sink) ReadVersion(ctx context.Context, key string, limit int64) (body []byte, version string, err error) {
	err = s.try(ctx, request{operation: "GetObject", bucket: s.config.Bucket, key: key, body: limit, bounded: true, do: func(ctx context.Context) error {
		body, version = nil, ""
		out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.config.Bucket, Key: &key}, s.options)
		if _, absent := errors.AsType[*types.NoSuchKey](err); absent {
			return nil
		}
		if err != nil {
			return err
		}
		defer out.Body.Close()
		if version, err = result(out.ETag); err != nil {
			return err
		}
		body, err = io.ReadAll(io.LimitReader(out.Body, limit+1))
		return err
	}})
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("GetObject s3://%s/%s: it has more than %d bytes", s.config.Bucket, key, limit)
	}
	if err != nil {
		return nil, "", err
	}
	return body, version, nil
}

// PutVersion implements writers.Versions (Amazon S3 User Guide, "How to prevent object overwrites with conditional writes"). A store
// that ignores the condition, as some do that are compatible with S3, replaces whatever is there. It needs s3:PutObject and
// s3:GetObject for the key.
func (s *Sink) PutVersion(ctx context.Context, spec writers.ObjectSpec, body []byte, version string) (written string, err error) {
	bucket := s.config.Bucket
	in := s.putInput(bucket, &spec, body)
	if version == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &version
	}
	err = s.try(ctx, request{operation: "PutObject", bucket: bucket, key: spec.Key, body: int64(len(body)), bounded: true, do: func(ctx context.Context) error {
		in.Body = bytes.NewReader(body)
		out, err := s.client.PutObject(ctx, in, s.options, unsignedPayload)
		if unmatched(err) {
			return fmt.Errorf("%w: %w", writers.ErrReplaced, err)
		}
		if err != nil {
			return err
		}
		written, err = result(out.ETag)
		return err
	}})
	return written, err
}

// unmatched reports whether a condition did not hold. S3 answers 404 if there is no object that could match ("Conditional write
// behavior" on the same page).
func unmatched(err error) bool {
	switch statusOf(err) {
	case http.StatusPreconditionFailed:
		return true
	case http.StatusNotFound:
		return errorCode(err) == "NoSuchKey"
	}
	return false
}

// putInput describes a put.
func (s *Sink) putInput(bucket string, spec *writers.ObjectSpec, body []byte) *s3.PutObjectInput {
	return &s3.PutObjectInput{
		Bucket:               &bucket,
		Key:                  &spec.Key,
		ContentType:          optional(spec.ContentType),
		ContentEncoding:      optional(spec.ContentEncoding),
		ContentLength:        aws.Int64(int64(len(body))),
		Metadata:             spec.Metadata,
		ServerSideEncryption: s.config.Encryption,
		SSEKMSKeyId:          optional(s.config.KMSKeyID),
		ChecksumCRC32C:       aws.String(checksum(crc32.Checksum(body, castagnoli))),
	}
}
