package localbucket

import (
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/johannesboyne/gofakes3"
)

// hidden is the folder next to the buckets. No bucket can have its name: those begin with a letter or a digit.
const hidden = ".localbucket"

// folder stores buckets as folders and objects as files.
type folder struct {
	root *os.Root
	mu   sync.RWMutex // held for writing while objects are created, changed or removed
}

var (
	_ gofakes3.Backend          = (*folder)(nil)
	_ gofakes3.MultipartBackend = (*folder)(nil)
)

func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{root: root}
	for _, d := range []string{"incoming", "metadata", "uploads"} {
		if err := root.MkdirAll(path.Join(hidden, d), 0o755); err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	return f, nil
}

func (f *folder) close() error { return f.root.Close() }

// attributes holds what the file of an object cannot.
type attributes struct {
	Headers map[string]string `json:"headers"` // as the client sent them
	ETag    string            `json:"etag"`    // hexadecimal
}

// attributesName returns the file of an object's attributes. It is a hash, because keys can be longer and have other
// characters than file names.
func attributesName(bucket, key string) string {
	sum := sha256.Sum256([]byte(bucket + "/" + key))
	return path.Join(hidden, "metadata", hex.EncodeToString(sum[:])+".json")
}

// objectName returns the file of an object. Keys that are not canonical paths are rejected: "a//b" and "a/b" differ in S3
// but not in a folder.
func objectName(bucket, key string) (string, error) {
	if key == "" || !filepath.IsLocal(key) || path.Clean(key) != key {
		return "", gofakes3.ErrorMessagef(gofakes3.ErrInvalidArgument, "key %q cannot be the path of a file", key)
	}
	return path.Join(bucket, key), nil
}

// ListBuckets implements gofakes3.Backend, as do the methods below.
func (f *folder) ListBuckets() ([]gofakes3.BucketInfo, error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var buckets []gofakes3.BucketInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() && e.Name() != hidden {
			buckets = append(buckets, gofakes3.BucketInfo{Name: e.Name(), CreationDate: gofakes3.NewContentTime(info.ModTime())})
		}
	}
	return buckets, nil
}

func (f *folder) CreateBucket(name string) error {
	if err := gofakes3.ValidateBucketName(name); err != nil {
		return err
	}
	err := f.root.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name)
	}
	return err
}

func (f *folder) BucketExists(name string) (bool, error) {
	if name == hidden || !filepath.IsLocal(name) {
		return false, nil
	}
	info, err := f.root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}

func (f *folder) DeleteBucket(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	objects, err := f.keys(name, "")
	if err != nil {
		return err
	}
	if len(objects) > 0 {
		return gofakes3.ResourceError(gofakes3.ErrBucketNotEmpty, name)
	}
	return f.root.RemoveAll(name)
}

func (f *folder) ForceDeleteBucket(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.root.RemoveAll(name)
}

// keys returns the keys of a bucket that begin with a prefix, in order.
func (f *folder) keys(bucket, prefix string) ([]string, error) {
	if exists, err := f.BucketExists(bucket); err != nil || !exists {
		return nil, cmp.Or(err, gofakes3.BucketNotFound(bucket))
	}
	// Only the folder that the prefix names can hold such keys.
	start := path.Join(bucket, path.Dir(prefix+"x"))
	var keys []string
	err := fs.WalkDir(f.root.FS(), start, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		if key := strings.TrimPrefix(name, bucket+"/"); strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		return nil
	})
	slices.Sort(keys)
	return keys, err
}

func (f *folder) ListBucket(bucket string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if prefix == nil {
		prefix = new(gofakes3.Prefix)
	}
	keys, err := f.keys(bucket, prefix.Prefix)
	if err != nil {
		return nil, err
	}
	list := gofakes3.NewObjectList()
	last, common := "", ""
	var count int64
	for _, key := range keys {
		group := commonPrefix(key, prefix)
		if page.HasMarker && (key <= page.Marker || group != "" && group <= page.Marker) || group != "" && group == common {
			continue
		}
		if page.MaxKeys > 0 && count == page.MaxKeys {
			list.IsTruncated, list.NextMarker = true, last
			break
		}
		count++
		if group != "" {
			common, last = group, group
			list.AddPrefix(group)
			continue
		}
		last = key
		content, err := f.content(bucket, key)
		if err != nil {
			return nil, err
		}
		list.Add(content)
	}
	return list, nil
}

// commonPrefix returns a key up to the first delimiter after the prefix; empty if there is none.
func commonPrefix(key string, p *gofakes3.Prefix) string {
	if p.Delimiter == "" {
		return ""
	}
	before, _, found := strings.Cut(key[len(p.Prefix):], p.Delimiter)
	if !found {
		return ""
	}
	return p.Prefix + before + p.Delimiter
}

func (f *folder) content(bucket, key string) (*gofakes3.Content, error) {
	info, err := f.root.Stat(path.Join(bucket, key))
	if err != nil {
		return nil, err
	}
	a, err := f.attributes(bucket, key)
	if err != nil {
		return nil, err
	}
	return &gofakes3.Content{
		Key: key, Size: info.Size(), ETag: `"` + a.ETag + `"`, LastModified: gofakes3.NewContentTime(info.ModTime()),
	}, nil
}

// attributes reads the attributes of an object. A file that was copied into the folder has none; its ETag is derived from
// its name.
func (f *folder) attributes(bucket, key string) (attributes, error) {
	var a attributes
	b, err := f.root.ReadFile(attributesName(bucket, key))
	if errors.Is(err, fs.ErrNotExist) {
		sum := md5.Sum([]byte(bucket + "/" + key))
		return attributes{ETag: hex.EncodeToString(sum[:])}, nil
	}
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(b, &a)
}

func (f *folder) HeadObject(bucket, key string) (*gofakes3.Object, error) {
	o, err := f.open(bucket, key)
	if err != nil {
		return nil, err
	}
	if err := o.Contents.Close(); err != nil {
		return nil, err
	}
	o.Contents = io.NopCloser(strings.NewReader(""))
	return o, nil
}

func (f *folder) GetObject(bucket, key string, request *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	o, err := f.open(bucket, key)
	if err != nil {
		return nil, err
	}
	o.Range, err = request.Range(o.Size)
	if err != nil {
		return nil, errors.Join(err, o.Contents.Close())
	}
	if o.Range != nil {
		file := o.Contents.(*os.File)
		o.Contents = &section{io.NewSectionReader(file, o.Range.Start, o.Range.Length), file}
	}
	return o, nil
}

// section is a part of an open file.
type section struct {
	io.Reader
	io.Closer
}

// open returns an object with its file as contents.
func (f *folder) open(bucket, key string) (*gofakes3.Object, error) {
	name, err := objectName(bucket, key)
	if err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	file, err := f.root.Open(name)
	if err != nil {
		return nil, gofakes3.KeyNotFound(key)
	}
	o, err := f.describe(file, bucket, key)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return o, nil
}

func (f *folder) describe(file *os.File, bucket, key string) (*gofakes3.Object, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, gofakes3.KeyNotFound(key)
	}
	a, err := f.attributes(bucket, key)
	if err != nil {
		return nil, err
	}
	sum, err := hex.DecodeString(a.ETag)
	if err != nil {
		return nil, fmt.Errorf("etag of %s: %w", key, err)
	}
	headers := map[string]string{"Last-Modified": info.ModTime().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	for k, v := range a.Headers {
		headers[k] = v
	}
	return &gofakes3.Object{Name: key, Metadata: headers, Size: info.Size(), Contents: file, Hash: sum}, nil
}

func (f *folder) PutObject(bucket, key string, meta map[string]string, input io.Reader, size int64, conditions *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	var none gofakes3.PutObjectResult
	temporary, sum, n, err := f.receive(path.Join(hidden, "incoming"), input)
	if err != nil {
		return none, err
	}
	defer f.root.Remove(temporary) // already gone on success
	if n != size {
		return none, gofakes3.ErrIncompleteBody
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if conditions != nil {
		if err := f.check(bucket, key, conditions); err != nil {
			return none, err
		}
	}
	return none, f.show(temporary, bucket, key, attributes{Headers: visible(meta), ETag: hex.EncodeToString(sum)})
}

// check evaluates the conditions of a put against the existing object.
func (f *folder) check(bucket, key string, conditions *gofakes3.PutConditions) error {
	info := gofakes3.ConditionalObjectInfo{}
	if _, err := f.root.Stat(path.Join(bucket, key)); err == nil {
		a, err := f.attributes(bucket, key)
		if err != nil {
			return err
		}
		info.Exists = true
		if info.Hash, err = hex.DecodeString(a.ETag); err != nil {
			return err
		}
	}
	return gofakes3.CheckPutConditions(conditions, &info)
}

// receive writes a body to a new file in a folder and returns its MD5, which S3 returns as the ETag.
func (f *folder) receive(dir string, input io.Reader) (name string, sum []byte, size int64, err error) {
	name = path.Join(dir, uuid.NewString())
	file, err := f.root.Create(name)
	if err != nil {
		return "", nil, 0, err
	}
	digest := md5.New()
	size, err = io.Copy(io.MultiWriter(file, digest), input)
	if err = errors.Join(err, file.Close()); err != nil {
		_ = f.root.Remove(name) // at worst an unused file is left
		return "", nil, 0, refusal(err)
	}
	return name, digest.Sum(nil), size, nil
}

// refusal returns the API error in an error of the body's reader, if there is one.
func refusal(err error) error {
	if errors.Is(err, gofakes3.ErrBadDigest) {
		return gofakes3.ErrBadDigest
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return gofakes3.ErrIncompleteBody
	}
	return err
}

// visible returns the headers that a later GET or HEAD returns.
func visible(meta map[string]string) map[string]string {
	kept := make(map[string]string)
	for k, v := range meta {
		if strings.HasPrefix(k, "X-Amz-Meta-") || strings.HasPrefix(k, "Content-") {
			kept[k] = v
		}
	}
	return kept
}

// show makes a file visible as an object, after writing its attributes. The caller holds the lock.
func (f *folder) show(temporary, bucket, key string, a attributes) error {
	name, err := objectName(bucket, key)
	if err != nil {
		return err
	}
	if info, err := f.root.Stat(name); err == nil && info.IsDir() {
		return gofakes3.ErrorMessagef(gofakes3.ErrInvalidArgument, "key %q is the folder of another key", key)
	}
	if err := f.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return gofakes3.ErrorMessagef(gofakes3.ErrInvalidArgument, "key %q is below another key", key)
	}
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := f.root.WriteFile(attributesName(bucket, key), b, 0o644); err != nil {
		return err
	}
	return f.root.Rename(temporary, name)
}

func (f *folder) DeleteObject(bucket, key string) (gofakes3.ObjectDeleteResult, error) {
	var none gofakes3.ObjectDeleteResult
	name, err := objectName(bucket, key)
	if err != nil {
		return none, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return none, err
	}
	if err := f.root.Remove(attributesName(bucket, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return none, err
	}
	return none, nil
}

func (f *folder) DeleteMulti(bucket string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	var result gofakes3.MultiDeleteResult
	for _, key := range keys {
		if _, err := f.DeleteObject(bucket, key); err != nil {
			failed := gofakes3.ErrorResultFromError(err)
			failed.Key = key
			result.Error = append(result.Error, failed)
			continue
		}
		result.Deleted = append(result.Deleted, gofakes3.ObjectID{Key: key})
	}
	return result, nil
}

func (f *folder) CopyObject(fromBucket, fromKey, toBucket, toKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObject(f, fromBucket, fromKey, toBucket, toKey, meta)
}
