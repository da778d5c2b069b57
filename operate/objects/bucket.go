// Package objects reads a bucket for the operators' tools. The daemon does not use it: its sink, writers/s3sink, only
// reads back what it wrote itself.
//
// Bucket lists keys, reads small objects whole (Read), downloads large ones to a temporary file (Download), and returns
// the batch that wrote an object (Info, from the object's metadata). It also reads the file lists of batches in the
// outbox, as a checkpoint.Lists. Lines iterates over the lines of a file in any compression that writers/jsonl decodes.
// Package writers/layout defines keys and documents.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/listing"
	"aws-streaming-pipeline/writers"
)

// API is the set of S3 calls that a Bucket makes. *s3.Client implements it, with retries.
type API interface {
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// ErrNotFound means that no object has that key.
var ErrNotFound = errors.New("object not found")

var errTooLarge = errors.New("object is larger")

// Bucket gives read-only access to a bucket. It is safe for concurrent use.
type Bucket struct {
	API  API
	Name string
}

// Info describes an object, as S3 reports it.
type Info struct {
	Size    int64  // in bytes
	ETag    string // without quotes
	BatchID string // of the batch that wrote it; empty if no batch did
}

// downloadAttempts limits how often Download starts over: the SDK does not retry a response body that breaks off.
const downloadAttempts = 3

// List iterates over the objects whose keys begin with prefix and sort after the key after, in key order. It stops at the
// first error.
func (b Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[types.Object, error] {
	return func(yield func(types.Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &prefix}
		if after != "" {
			in.StartAfter = &after
		}
		pages := s3.NewListObjectsV2Paginator(b.API, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err == nil {
				err = listing.Check(page)
			}
			if err != nil {
				yield(types.Object{}, fmt.Errorf("list s3://%s/%s: %w", b.Name, prefix, err))
				return
			}
			for _, o := range page.Contents {
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

// Head returns an object's Info without its content, or ErrNotFound. S3 tells a missing object from a forbidden one only
// if the caller may list the bucket.
func (b Bucket) Head(ctx context.Context, key string) (Info, error) {
	out, err := b.API.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.Name, Key: &key})
	if err != nil {
		return Info{}, b.explain("head", key, err)
	}
	return info(out.ContentLength, out.ETag, out.Metadata), nil
}

// Read returns the content of an object of at most limit bytes, or ErrNotFound.
func (b Bucket) Read(ctx context.Context, key string, limit int64) ([]byte, Info, error) {
	out, err := b.API.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.Name, Key: &key})
	if err != nil {
		return nil, Info{}, b.explain("get", key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(io.LimitReader(out.Body, limit+1))
	if err != nil {
		return nil, Info{}, b.explain("get", key, err)
	}
	if int64(len(body)) > limit {
		return nil, Info{}, fmt.Errorf("get s3://%s/%s: %w than %d bytes", b.Name, key, errTooLarge, limit)
	}
	return body, info(out.ContentLength, out.ETag, out.Metadata), nil
}

// ReadList reads the list of a batch's files from the bucket that l names. It implements checkpoint.Lists.
func (b Bucket) ReadList(ctx context.Context, l checkpoint.FileList) (data []byte, batchID string, err error) {
	b.Name = l.Bucket
	data, found, err := b.Read(ctx, l.Key, l.Bytes)
	switch {
	case errors.Is(err, ErrNotFound):
		err = fmt.Errorf("%w: %w", checkpoint.ErrNotFound, err)
	case errors.Is(err, errTooLarge):
		err = fmt.Errorf("%w: %w", checkpoint.ErrNoList, err)
	}
	return data, found.BatchID, err
}

// File is the content of an object in an unlinked temporary file, which Close frees.
type File struct {
	*os.File
	Info Info
}

// Download copies an object to a temporary file in TMPDIR. It starts over if the connection breaks. It returns
// ErrNotFound if there is no such object.
func (b Bucket) Download(ctx context.Context, key string) (*File, error) {
	for attempt := 1; ; attempt++ {
		f, err := b.download(ctx, key)
		if err == nil {
			return f, nil
		}
		if attempt == downloadAttempts || ctx.Err() != nil || errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
}

func (b Bucket) download(ctx context.Context, key string) (*File, error) {
	out, err := b.API.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.Name, Key: &key})
	if err != nil {
		return nil, b.explain("get", key, err)
	}
	defer out.Body.Close()
	f, err := temporary()
	if err != nil {
		return nil, b.explain("get", key, err)
	}
	if _, err = io.Copy(f, out.Body); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(b.explain("get", key, err), f.Close())
	}
	return &File{File: f, Info: info(out.ContentLength, out.ETag, out.Metadata)}, nil
}

// temporary creates an unlinked file, which disappears when it is closed or the process ends.
func temporary() (*os.File, error) {
	f, err := os.CreateTemp("", "object-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (b Bucket) explain(act, key string, err error) error {
	_, absent := errors.AsType[*types.NotFound](err)
	_, noKey := errors.AsType[*types.NoSuchKey](err)
	if absent || noKey {
		err = ErrNotFound
	}
	return fmt.Errorf("%s s3://%s/%s: %w", act, b.Name, key, err)
}

func info(size *int64, etag *string, metadata map[string]string) Info {
	return Info{Size: aws.ToInt64(size), ETag: Unquote(aws.ToString(etag)), BatchID: metadata[writers.MetadataBatchID]}
}

// Unquote removes the quotes that HTTP puts around an ETag.
func Unquote(etag string) string { return strings.Trim(etag, `"`) }
