// Package objects reads the bucket for operators' tools. The daemon does not use it: its sink (writers/s3sink) writes, and
// asks only for what it wrote itself.
//
// Bucket lists keys, fetches small objects whole (Read) and large ones into a temporary file (Download), and finds out
// which batch has written an object (Info, from its metadata; so the package knows writers). It reads lists of files of
// batches in the outbox (it is a checkpoint.Lists). Lines goes through the lines of a file, whatever its compression, with
// the decoders of writers/jsonl. What keys mean and what documents say is known in writers/layout.
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
	"aws-streaming-pipeline/writers"
)

// API are the calls that a Bucket makes; *s3.Client has them, and retries by itself.
type API interface {
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// ErrNotFound means that there is no object of that key.
var ErrNotFound = errors.New("there is no such object")

var errTooLarge = errors.New("it is larger")

// Bucket is a bucket that is only read. It is safe for concurrent use.
type Bucket struct {
	API  API
	Name string
}

// Info is what S3 says of an object.
type Info struct {
	Size    int64  // in bytes
	ETag    string // without quotes
	BatchID string // of the batch that has written it; empty if none has
}

// downloadAttempts bounds how often an object is fetched from its beginning: the SDK does not retry a body that breaks off.
const downloadAttempts = 3

// List goes through the objects whose keys begin with prefix and come behind after, in the order of their keys. After
// an error nothing follows.
func (b Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[types.Object, error] {
	return func(yield func(types.Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &prefix}
		if after != "" {
			in.StartAfter = &after
		}
		pages := s3.NewListObjectsV2Paginator(b.API, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
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

// Head asks for an object without its content; ErrNotFound if there is none. S3 tells an object that is missing from
// one that is forbidden only to who may list the bucket.
func (b Bucket) Head(ctx context.Context, key string) (Info, error) {
	out, err := b.API.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.Name, Key: &key})
	if err != nil {
		return Info{}, b.explain("head", key, err)
	}
	return info(out.ContentLength, out.ETag, out.Metadata), nil
}

// Read fetches an object of at most limit bytes; ErrNotFound if there is none.
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

// ReadList reads the object that holds the files of a batch, in the bucket that l names: Bucket is a checkpoint.Lists.
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

// File is an object's content in a temporary file that has no name any more: Close removes it.
type File struct {
	*os.File
	Info Info
}

// Download fetches an object into a temporary file (in TMPDIR), from its beginning again if the connection breaks;
// ErrNotFound if there is none.
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

// temporary makes a file that is gone when it is closed, or when the process ends.
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

// Unquote takes the quotes of HTTP from an ETag.
func Unquote(etag string) string { return strings.Trim(etag, `"`) }
