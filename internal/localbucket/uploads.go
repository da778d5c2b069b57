package localbucket

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/johannesboyne/gofakes3"
)

// smallestPart is S3's minimum size of parts other than the last (Amazon S3 User Guide, "Amazon S3 multipart upload
// limits").
const smallestPart = 5 << 20

// entityTooSmall is an error code of S3 that gofakes3 does not define.
const entityTooSmall gofakes3.ErrorCode = "EntityTooSmall"

// upload is a multipart upload: a folder with this description and one file per part, named by its number and the MD5 of
// its content.
type upload struct {
	ID      string            `json:"upload_id"`
	Bucket  string            `json:"bucket"`
	Key     string            `json:"key"`
	Begun   time.Time         `json:"begun"`
	Headers map[string]string `json:"headers"`
}

type uploadPart struct {
	number int
	etag   string // hexadecimal MD5
	name   string
	size   int64
	time   time.Time
}

func uploadDir(id string) string { return path.Join(hidden, "uploads", id) }

const description = "upload.json"

// CreateMultipartUpload implements gofakes3.MultipartBackend, as do the methods below.
func (f *folder) CreateMultipartUpload(bucket, key string, meta map[string]string) (gofakes3.UploadID, error) {
	if _, err := objectName(bucket, key); err != nil {
		return "", err
	}
	u := upload{ID: uuid.NewString(), Bucket: bucket, Key: key, Begun: time.Now().UTC(), Headers: visible(meta)}
	b, err := json.Marshal(u)
	if err != nil {
		return "", err
	}
	if err := f.root.Mkdir(uploadDir(u.ID), 0o755); err != nil {
		return "", err
	}
	return gofakes3.UploadID(u.ID), f.root.WriteFile(path.Join(uploadDir(u.ID), description), b, 0o644)
}

// upload reads the description of an open upload.
func (f *folder) upload(bucket, key string, id gofakes3.UploadID) (upload, error) {
	var u upload
	if uuid.Validate(string(id)) != nil {
		return u, gofakes3.ErrNoSuchUpload
	}
	b, err := f.root.ReadFile(path.Join(uploadDir(string(id)), description))
	if errors.Is(err, fs.ErrNotExist) {
		return u, gofakes3.ErrNoSuchUpload
	}
	if err != nil {
		return u, err
	}
	if err := json.Unmarshal(b, &u); err != nil {
		return u, err
	}
	if u.Bucket != bucket || u.Key != key {
		return u, gofakes3.ErrNoSuchUpload
	}
	return u, nil
}

func (f *folder) UploadPart(bucket, key string, id gofakes3.UploadID, number int, size int64, input io.Reader) (string, error) {
	u, err := f.upload(bucket, key, id)
	if err != nil {
		return "", err
	}
	temporary, sum, n, err := f.receive(path.Join(hidden, "incoming"), input)
	if err != nil {
		return "", err
	}
	defer f.root.Remove(temporary) // already gone on success
	if n != size {
		return "", gofakes3.ErrIncompleteBody
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	parts, err := f.parts(u)
	if err != nil {
		return "", err
	}
	etag := hex.EncodeToString(sum)
	name := path.Join(uploadDir(u.ID), fmt.Sprintf("%05d-%s", number, etag))
	if err := f.root.Rename(temporary, name); err != nil {
		return "", err
	}
	for _, p := range parts {
		if p.number == number && p.name != name {
			if err := f.root.Remove(p.name); err != nil {
				return "", err
			}
		}
	}
	return `"` + etag + `"`, nil
}

// parts returns the parts of an upload by number, or NoSuchUpload if it has ended. The caller holds the lock.
func (f *folder) parts(u upload) ([]uploadPart, error) {
	entries, err := fs.ReadDir(f.root.FS(), uploadDir(u.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, gofakes3.ErrNoSuchUpload
	}
	if err != nil {
		return nil, err
	}
	var parts []uploadPart
	for _, e := range entries {
		number, etag, found := strings.Cut(e.Name(), "-")
		if !found {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, err
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		parts = append(parts, uploadPart{n, etag, path.Join(uploadDir(u.ID), e.Name()), info.Size(), info.ModTime()})
	}
	slices.SortFunc(parts, func(a, b uploadPart) int { return cmp.Compare(a.number, b.number) })
	return parts, nil
}

func (f *folder) CompleteMultipartUpload(bucket, key string, id gofakes3.UploadID, request *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u, err := f.upload(bucket, key, id)
	if err != nil {
		return "", "", err
	}
	there, err := f.parts(u)
	if err != nil {
		return "", "", err
	}
	parts, err := choose(there, request.Parts)
	if err != nil {
		return "", "", err
	}
	temporary, err := f.join(parts)
	if err != nil {
		return "", "", err
	}
	etag, err := combine(parts)
	if err != nil {
		return "", "", err
	}
	if err := f.show(temporary, bucket, key, attributes{Headers: u.Headers, ETag: etag}); err != nil {
		return "", "", errors.Join(err, f.root.Remove(temporary))
	}
	return "", `"` + etag + `"`, f.end(u)
}

// end removes an upload, beginning with its description: without it there is no upload, even if parts are left.
func (f *folder) end(u upload) error {
	if err := f.root.Remove(path.Join(uploadDir(u.ID), description)); err != nil {
		return err
	}
	return f.root.RemoveAll(uploadDir(u.ID))
}

// choose returns the parts that a request names, by S3's rules.
func choose(there []uploadPart, wanted []gofakes3.CompletedPart) ([]uploadPart, error) {
	if len(wanted) == 0 {
		return nil, gofakes3.ErrMalformedXML
	}
	if !slices.IsSortedFunc(wanted, func(a, b gofakes3.CompletedPart) int { return cmp.Compare(a.PartNumber, b.PartNumber) }) {
		return nil, gofakes3.ErrInvalidPartOrder
	}
	var chosen []uploadPart
	for i, w := range wanted {
		at := slices.IndexFunc(there, func(p uploadPart) bool {
			return p.number == w.PartNumber && p.etag == strings.Trim(w.ETag, `"`)
		})
		if at < 0 {
			return nil, gofakes3.ErrInvalidPart
		}
		if i < len(wanted)-1 && there[at].size < smallestPart {
			return nil, entityTooSmall
		}
		chosen = append(chosen, there[at])
	}
	return chosen, nil
}

// join concatenates the parts in a new file.
func (f *folder) join(parts []uploadPart) (name string, err error) {
	name = path.Join(hidden, "incoming", uuid.NewString())
	file, err := f.root.Create(name)
	if err != nil {
		return "", err
	}
	for _, p := range parts {
		if err = f.copyTo(file, p.name); err != nil {
			break
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, f.root.Remove(name))
	}
	return name, nil
}

func (f *folder) copyTo(w io.Writer, name string) error {
	file, err := f.root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

// combine returns the ETag of an object: the MD5 of the MD5s of its parts. S3 appends the number of parts, which gofakes3
// cannot do.
func combine(parts []uploadPart) (string, error) {
	digest := md5.New()
	for _, p := range parts {
		sum, err := hex.DecodeString(p.etag)
		if err != nil {
			return "", err
		}
		digest.Write(sum)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func (f *folder) AbortMultipartUpload(bucket, key string, id gofakes3.UploadID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	u, err := f.upload(bucket, key, id)
	if err != nil {
		return err
	}
	return f.end(u)
}

func (f *folder) ListParts(bucket, key string, id gofakes3.UploadID, marker int, limit int64) (*gofakes3.ListMultipartUploadPartsResult, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	u, err := f.upload(bucket, key, id)
	if err != nil {
		return nil, err
	}
	parts, err := f.parts(u)
	if err != nil {
		return nil, err
	}
	result := &gofakes3.ListMultipartUploadPartsResult{Bucket: bucket, Key: key, UploadID: id, PartNumberMarker: marker, MaxParts: limit}
	for _, p := range parts {
		if p.number <= marker {
			continue
		}
		if int64(len(result.Parts)) == limit {
			result.IsTruncated = true
			break
		}
		result.NextPartNumberMarker = p.number
		result.Parts = append(result.Parts, gofakes3.ListMultipartUploadPartItem{
			PartNumber: p.number, ETag: `"` + p.etag + `"`, Size: p.size, LastModified: gofakes3.NewContentTime(p.time),
		})
	}
	return result, nil
}

// ListMultipartUploads lists all uploads of a bucket with the prefix at once: a folder never holds enough of them to need
// pages.
func (f *folder) ListMultipartUploads(bucket string, _ *gofakes3.UploadListMarker, prefix gofakes3.Prefix, limit int64) (*gofakes3.ListMultipartUploadsResult, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	entries, err := fs.ReadDir(f.root.FS(), path.Join(hidden, "uploads"))
	if err != nil {
		return nil, err
	}
	result := &gofakes3.ListMultipartUploadsResult{Bucket: bucket, Prefix: prefix.Prefix, MaxUploads: limit}
	for _, e := range entries {
		var u upload
		b, err := f.root.ReadFile(path.Join(uploadDir(e.Name()), description))
		if err != nil || json.Unmarshal(b, &u) != nil {
			continue // is being created
		}
		if u.Bucket == bucket && strings.HasPrefix(u.Key, prefix.Prefix) {
			result.Uploads = append(result.Uploads, gofakes3.ListMultipartUploadItem{
				Key: u.Key, UploadID: gofakes3.UploadID(u.ID), Initiated: gofakes3.NewContentTime(u.Begun),
			})
		}
	}
	slices.SortFunc(result.Uploads, func(a, b gofakes3.ListMultipartUploadItem) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), a.Initiated.Compare(b.Initiated.Time))
	})
	return result, nil
}
