package batch

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers"
)

// bucket is a Sink in memory. It keeps uploads and objects apart, and fails as told.
type bucket struct {
	mu      sync.Mutex
	next    int
	uploads map[string]*bytes.Buffer // by upload id
	objects map[string]object        // by key
	// fault is asked before (applied false) and after each call; its error takes the place of the answer.
	fault func(operation, key string, applied bool) error
	// likeS3 gives uploads ids, parts, ETags and checksums that are as long as S3's and compress as little.
	likeS3 bool
	hang   string // an operation that is not answered
	// versions has Publish succeed without an ETag for a file that was removed, as where a delete marker tells.
	versions bool
}

type object struct {
	body   []byte
	batch  string
	bucket string // where it was put to by name; empty for the sink's own
}

func newBucket() *bucket {
	return &bucket{uploads: make(map[string]*bytes.Buffer), objects: make(map[string]object)}
}

var errPlanted = errors.New("planted fault")

// call runs f between the two questions for faults.
func (b *bucket) call(operation, key string, f func() error) error {
	b.mu.Lock()
	fault := b.fault
	b.mu.Unlock()
	if fault != nil {
		if err := fault(operation, key, false); err != nil {
			return err
		}
	}
	b.mu.Lock()
	err := f()
	b.mu.Unlock()
	if err == nil && fault != nil {
		err = fault(operation, key, true)
	}
	return err
}

// plant sets the source of faults; nil for none.
func (b *bucket) plant(fault func(operation, key string, applied bool) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = fault
}

func (b *bucket) Begin(_ context.Context, spec writers.ObjectSpec) (writers.Upload, error) {
	u := &upload{bucket: b, key: spec.Key}
	err := b.call("begin", spec.Key, func() error {
		b.next++
		u.id = fmt.Sprint("upload-", b.next)
		if b.likeS3 {
			u.id = random(b.next, 96)
		}
		b.uploads[u.id] = new(bytes.Buffer)
		return nil
	})
	return u, err
}

func (b *bucket) Publish(ctx context.Context, f checkpoint.File, batch string) (etag string, err error) {
	removed := false
	err = b.call("publish", f.Key, func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if done, ok := b.objects[f.Key]; ok && done.batch == batch {
			return nil
		}
		body, ok := b.uploads[uploadOf(f)]
		if !ok && b.versions {
			removed = true
			return nil
		}
		if !ok {
			return writers.ErrUploadGone
		}
		b.objects[f.Key] = object{body: body.Bytes(), batch: batch}
		delete(b.uploads, uploadOf(f))
		return nil
	})
	if removed {
		return "", err
	}
	return "etag-" + uploadOf(f), err
}

func (b *bucket) Abort(ctx context.Context, f checkpoint.File) error {
	if b.hang == "abort" {
		<-ctx.Done()
		return ctx.Err()
	}
	return b.call("abort", f.Key, func() error {
		delete(b.uploads, uploadOf(f))
		return nil
	})
}

func (b *bucket) Put(_ context.Context, spec writers.ObjectSpec, body []byte) error {
	return b.call("put", spec.Key, func() error {
		b.objects[spec.Key] = object{bytes.Clone(body), spec.Metadata[writers.MetadataBatchID], spec.Bucket}
		return nil
	})
}

func (b *bucket) ReadList(_ context.Context, l checkpoint.FileList) (data []byte, batch string, err error) {
	err = b.call("read list", l.Key, func() error {
		o, ok := b.objects[l.Key]
		if !ok {
			return checkpoint.ErrNotFound
		}
		data, batch = bytes.Clone(o.body), o.batch
		return nil
	})
	return data, batch, err
}

func (b *bucket) DeleteList(_ context.Context, l checkpoint.FileList) error {
	return b.call("delete list", l.Key, func() error {
		delete(b.objects, l.Key)
		return nil
	})
}

func (b *bucket) Written(_ context.Context, _, key, batch string) (written bool, err error) {
	err = b.call("written", key, func() error {
		written = b.objects[key].batch == batch
		return nil
	})
	return written, err
}

func (b *bucket) Check(context.Context) error { return nil }

// lines returns the lines of all objects under a prefix, ordered.
func (b *bucket) lines(prefix string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for key, o := range b.objects {
		if strings.HasPrefix(key, prefix) {
			lines = append(lines, strings.Split(strings.TrimSuffix(string(o.body), "\n"), "\n")...)
		}
	}
	slices.Sort(lines)
	return lines
}

func (b *bucket) keys(prefix string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(b.objects)), func(k string) bool { return !strings.HasPrefix(k, prefix) })
}

func (b *bucket) pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.uploads)
}

type upload struct {
	bucket *bucket
	key    string
	id     string
	bytes  int64
}

func (u *upload) Write(p []byte) (int, error) {
	err := u.bucket.call("write", u.key, func() error {
		body, ok := u.bucket.uploads[u.id]
		if !ok {
			return writers.ErrUploadGone
		}
		body.Write(p)
		return nil
	})
	u.bytes += int64(len(p))
	return len(p), err
}

func (u *upload) Finish(ctx context.Context) (checkpoint.File, error) {
	err := u.bucket.call("finish", u.key, func() error {
		if u.bytes == 0 {
			return errors.New("nothing was written to the upload") // as S3, which completes no upload without parts
		}
		return ctx.Err()
	})
	return u.file(), err
}

func (u *upload) Abandon() checkpoint.File { return u.file() }

func (u *upload) file() checkpoint.File {
	f := checkpoint.File{Bucket: "memory", Key: u.key, Staged: staged(u.id), Bytes: u.bytes}
	if u.bucket.likeS3 {
		etag := fmt.Sprintf("%q", hex.EncodeToString([]byte(u.id[:16])))
		f.Staged = fmt.Appendf(nil, `{"upload_id":%q,"parts":[{"etag":%q,"bytes":%d,"checksum":"%s=="}]}`, u.id, etag, u.bytes, u.id[:6])
	}
	return f
}

func staged(upload string) json.RawMessage { return fmt.Appendf(nil, `{"upload_id":%q}`, upload) }

// uploadOf returns the id of the upload that a file is staged in.
func uploadOf(f checkpoint.File) string {
	var upload struct {
		ID string `json:"upload_id"`
	}
	if err := json.Unmarshal(f.Staged, &upload); err != nil {
		panic(err) // the bucket made it
	}
	return upload.ID
}

// random returns n bytes in base64 that follow from the seed.
func random(seed, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
