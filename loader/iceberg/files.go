package iceberg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"time"

	icebergio "github.com/apache/iceberg-go/io"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Files reads and writes the metadata of tables in S3: files of some megabytes at most, each of which it holds in memory.
//
// It removes nothing. iceberg-go cleans up after a commit that seems to have failed, but the commit may have been applied, and
// then the files are part of the table. Those that no table needs are found and removed apart, by the table's care.
type Files struct {
	bucket *s3.Client
	ctx    context.Context // of the calls: the interfaces of iceberg-go pass none

	removals *atomic.Int64
}

var (
	_ icebergio.WriteFileIO = Files{}
	_ icebergio.ReadFileIO  = Files{}
	_ icebergio.ListableIO  = Files{}
)

// NewFiles returns Files whose calls end with ctx.
func NewFiles(ctx context.Context, bucket *s3.Client) Files {
	return Files{bucket, ctx, new(atomic.Int64)}
}

// within returns the same Files, whose calls end with ctx.
func (f Files) within(ctx context.Context) Files { return Files{f.bucket, ctx, f.removals} }

// Removals returns how often Remove was called.
func (f Files) Removals() int64 { return f.removals.Load() }

// Remove does nothing; see Files.
func (f Files) Remove(string) error {
	f.removals.Add(1)
	return nil
}

// Open reads a file.
func (f Files) Open(name string) (icebergio.File, error) {
	content, err := f.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &file{bytes.NewReader(content), path.Base(name)}, nil
}

// ReadFile reads a file. The error is fs.ErrNotExist if there is none.
func (f Files) ReadFile(name string) ([]byte, error) {
	bucket, key, err := splitLocation(name)
	if err != nil {
		return nil, err
	}
	object, err := f.bucket.GetObject(f.ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if missing := new(types.NoSuchKey); errors.As(err, &missing) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer object.Body.Close()
	content, err := io.ReadAll(object.Body)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return content, nil
}

// Create returns a writer whose Close writes the file.
func (f Files) Create(name string) (icebergio.FileWriter, error) {
	return &writer{files: f, name: name}, nil
}

// errNotS3 means that something else answered, such as a login page. S3 always names the ETag of what it has written (Amazon S3 API
// Reference, PutObject).
var errNotS3 = errors.New("the answer has no ETag, so it is not S3's")

// WriteFile writes a file. After a nil error it is durable and readable.
func (f Files) WriteFile(name string, content []byte) error {
	bucket, key, err := splitLocation(name)
	if err != nil {
		return err
	}
	out, err := f.bucket.PutObject(f.ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(content)})
	if err == nil && aws.ToString(out.ETag) == "" {
		err = errNotS3
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

// splitLocation splits a location in S3. Older engines write s3a or s3n for the same place.
func splitLocation(location string) (bucket, key string, err error) {
	scheme, rest, _ := strings.Cut(location, "://")
	bucket, key, _ = strings.Cut(rest, "/")
	switch scheme {
	case "s3", "s3a", "s3n":
		if bucket != "" && key != "" {
			return bucket, key, nil
		}
	}
	return "", "", &fs.PathError{Op: "find", Path: location, Err: errors.New("want s3://bucket/key")}
}

// file is a file that was read.
type file struct {
	*bytes.Reader
	name string
}

func (f *file) Close() error               { return nil }
func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Name() string               { return f.name }
func (f *file) Mode() fs.FileMode          { return 0o400 }
func (f *file) ModTime() time.Time         { return time.Time{} }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }

// writer is a file that is being written.
type writer struct {
	bytes.Buffer
	files Files
	name  string
}

func (w *writer) Close() error { return w.files.WriteFile(w.name, w.Bytes()) }
