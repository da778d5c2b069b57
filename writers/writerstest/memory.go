package writerstest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers"
)

// memoryBucket is the bucket name of a Memory.
const memoryBucket = "memory"

// Memory is a bucket in memory, for tests. Create it with NewMemory.
type Memory struct {
	// Fault, if set before the first call, is called before every operation. If it returns an error, the operation fails
	// with it and does nothing. The operations are Begin, Write, Finish, Publish, Abort, Put, Written, ReadList,
	// DeleteList, ReadVersion, PutVersion and Check.
	Fault func(operation, key string) error

	mu      sync.Mutex
	next    int
	uploads map[string]*memoryUpload
	objects map[string]memoryObject
}

type memoryObject struct {
	spec writers.ObjectSpec
	body []byte
	etag string
}

var (
	_ writers.Sink     = (*Memory)(nil)
	_ writers.Versions = (*Memory)(nil)
)

// NewMemory returns an empty bucket.
func NewMemory() *Memory {
	return &Memory{uploads: make(map[string]*memoryUpload), objects: make(map[string]memoryObject)}
}

// Keys returns the keys of the visible objects, in order.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

// Object returns a visible object, or nil.
func (m *Memory) Object(key string) *Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return nil
	}
	return &Object{
		Body: slices.Clone(o.body), Metadata: maps.Clone(o.spec.Metadata),
		ContentType: o.spec.ContentType, ContentEncoding: o.spec.ContentEncoding,
	}
}

// Uploads returns the number of uploads that are neither published nor aborted.
func (m *Memory) Uploads() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.uploads)
}

func (m *Memory) fault(ctx context.Context, operation, key string) error {
	if m.Fault != nil {
		if err := m.Fault(operation, key); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// Begin implements writers.Sink.
func (m *Memory) Begin(ctx context.Context, spec writers.ObjectSpec) (writers.Upload, error) {
	if err := m.fault(ctx, "Begin", spec.Key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	u := &memoryUpload{bucket: m, ctx: ctx, spec: spec, staged: fmt.Sprintf(`{"memory":%d}`, m.next)}
	m.uploads[u.staged] = u
	return u, nil
}

// Publish implements writers.Sink.
func (m *Memory) Publish(ctx context.Context, f checkpoint.File, batchID string) (string, error) {
	if err := m.fault(ctx, "Publish", f.Key); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if u, ok := m.uploads[string(f.Staged)]; ok && u.finished {
		delete(m.uploads, u.staged)
		m.objects[f.Key] = memoryObject{spec: u.spec, body: u.body, etag: u.staged}
	}
	o, ok := m.objects[f.Key]
	if !ok {
		return "", fmt.Errorf("publish %s: %w", f.Key, writers.ErrUploadGone)
	}
	if o.spec.Metadata[writers.MetadataBatchID] != batchID || int64(len(o.body)) != f.Bytes {
		return "", fmt.Errorf("publish %s: %w", f.Key, writers.ErrForeignObject)
	}
	return o.etag, nil
}

// Abort implements writers.Sink.
func (m *Memory) Abort(ctx context.Context, f checkpoint.File) error {
	if err := m.fault(ctx, "Abort", f.Key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.uploads, string(f.Staged))
	return nil
}

// Put implements writers.Sink.
func (m *Memory) Put(ctx context.Context, spec writers.ObjectSpec, body []byte) error {
	if err := m.fault(ctx, "Put", spec.Key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	m.objects[spec.Key] = memoryObject{spec: spec, body: slices.Clone(body), etag: strconv.Itoa(m.next)}
	return nil
}

// ReadList implements writers.Sink. The only bucket is "memory".
func (m *Memory) ReadList(ctx context.Context, l checkpoint.FileList) ([]byte, string, error) {
	if err := m.fault(ctx, "ReadList", l.Key); err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[l.Key]
	if !ok || l.Bucket != memoryBucket {
		return nil, "", fmt.Errorf("read %s: %w", &l, checkpoint.ErrNotFound)
	}
	return slices.Clone(o.body), o.spec.Metadata[writers.MetadataBatchID], nil
}

// DeleteList implements writers.Sink.
func (m *Memory) DeleteList(ctx context.Context, l checkpoint.FileList) error {
	if err := m.fault(ctx, "DeleteList", l.Key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.Bucket == memoryBucket {
		delete(m.objects, l.Key)
	}
	return nil
}

// Written implements writers.Sink.
func (m *Memory) Written(ctx context.Context, _, key, batchID string) (bool, error) {
	if err := m.fault(ctx, "Written", key); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	return ok && o.spec.Metadata[writers.MetadataBatchID] == batchID, nil
}

// ReadVersion implements writers.Versions.
func (m *Memory) ReadVersion(ctx context.Context, key string, limit int64) ([]byte, string, error) {
	if err := m.fault(ctx, "ReadVersion", key); err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.objects[key]
	if int64(len(o.body)) > limit {
		return nil, "", fmt.Errorf("read %s: more than %d bytes", key, limit)
	}
	return slices.Clone(o.body), o.etag, nil
}

// PutVersion implements writers.Versions.
func (m *Memory) PutVersion(ctx context.Context, spec writers.ObjectSpec, body []byte, version string) (string, error) {
	if err := m.fault(ctx, "PutVersion", spec.Key); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[spec.Key].etag != version {
		return "", fmt.Errorf("put %s: %w", spec.Key, writers.ErrReplaced)
	}
	m.next++
	m.objects[spec.Key] = memoryObject{spec: spec, body: slices.Clone(body), etag: strconv.Itoa(m.next)}
	return m.objects[spec.Key].etag, nil
}

// Check implements writers.Sink.
func (m *Memory) Check(ctx context.Context) error { return m.fault(ctx, "Check", "") }

type memoryUpload struct {
	bucket   *Memory
	ctx      context.Context
	spec     writers.ObjectSpec
	staged   string
	body     []byte
	finished bool
	ended    bool
}

func (u *memoryUpload) Write(p []byte) (int, error) {
	if u.ended {
		return 0, fmt.Errorf("write %s: %w", u.spec.Key, writers.ErrFileClosed)
	}
	if err := u.bucket.fault(u.ctx, "Write", u.spec.Key); err != nil {
		return 0, err
	}
	u.body = append(u.body, p...)
	return len(p), nil
}

func (u *memoryUpload) Finish(ctx context.Context) (checkpoint.File, error) {
	if err := context.Cause(u.ctx); err != nil {
		return checkpoint.File{}, err
	}
	if err := u.bucket.fault(ctx, "Finish", u.spec.Key); err != nil {
		return checkpoint.File{}, err
	}
	u.bucket.mu.Lock()
	defer u.bucket.mu.Unlock()
	u.finished, u.ended = true, true
	return u.file(), nil
}

func (u *memoryUpload) Abandon() checkpoint.File {
	u.ended = true
	return u.file()
}

func (u *memoryUpload) file() checkpoint.File {
	return checkpoint.File{Bucket: memoryBucket, Key: u.spec.Key, Staged: json.RawMessage(u.staged), Bytes: int64(len(u.body))}
}
