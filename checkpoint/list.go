package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// FileList points to the object that holds the files of a batch whose item has no room for them. The object is written
// before the commit and deleted after the batch is forgotten; a leftover object does no harm.
type FileList struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Files  int    `json:"files"`  // their number
	Bytes  int64  `json:"bytes"`  // size of the object
	SHA256 string `json:"sha256"` // of its content, in hex
}

// ErrNoList means that the object of a FileList is gone or is not the one that the batch wrote.
var ErrNoList = errors.New("the list of files is lost")

// NewFileList describes the object with the content data, which EncodeFiles returned for the given number of files.
func NewFileList(bucket, key string, files int, data []byte) *FileList {
	return &FileList{Bucket: bucket, Key: key, Files: files, Bytes: int64(len(data)), SHA256: sum(data)}
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

func (l *FileList) validate() error {
	switch {
	case l.Bucket == "" || l.Key == "":
		return fmt.Errorf("bucket %q, key %q: want a name for both", l.Bucket, l.Key)
	case l.Files <= 0 || l.Bytes <= 0:
		return fmt.Errorf("%d files in %d bytes: want one or more of each", l.Files, l.Bytes)
	case len(l.SHA256) != 2*sha256.Size:
		return fmt.Errorf("SHA-256 %q: want %d hex digits", l.SHA256, 2*sha256.Size)
	}
	return nil
}

func (l *FileList) String() string { return fmt.Sprintf("s3://%s/%s", l.Bucket, l.Key) }

// decode returns the files of an object after checking that it is the one that batch id wrote.
func (l *FileList) decode(id string, data []byte, writtenBy string) ([]File, error) {
	if writtenBy != id {
		return nil, fmt.Errorf("%w: %s was written by batch %q", ErrNoList, l, writtenBy)
	}
	if int64(len(data)) != l.Bytes || sum(data) != l.SHA256 {
		return nil, fmt.Errorf("%w: %s has other content (%d bytes) than the batch wrote (%d bytes)", ErrNoList, l, len(data), l.Bytes)
	}
	files, err := DecodeFiles(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l, err)
	}
	if len(files) != l.Files {
		return nil, fmt.Errorf("%w: %s names %d files, the batch has %d", ErrNoList, l, len(files), l.Files)
	}
	return files, nil
}

// Lists reads the objects that FileLists point to.
type Lists interface {
	// ReadList returns the content of the object and the id of the batch that wrote it, empty if none did. It reads
	// from the bucket that l names. ErrNotFound means that there is no such object.
	ReadList(ctx context.Context, l FileList) (data []byte, batchID string, err error)
}

// Batches is the part of a Store that LoadBatch reads.
type Batches interface {
	Batch(ctx context.Context, id string) (Batch, error)
}

// LoadBatch reads one batch of the outbox with all its files, wherever they are; ErrNotFound if it is not there. With
// ErrNoList it still returns the batch, but without files: it cannot be published.
func LoadBatch(ctx context.Context, s Batches, lists Lists, id string) (Batch, error) {
	b, err := s.Batch(ctx, id)
	if err != nil || b.List == nil {
		return b, err
	}
	data, writtenBy, err := lists.ReadList(ctx, *b.List)
	if errors.Is(err, ErrNotFound) {
		// Another worker may have published and forgotten the batch between the two reads.
		if _, again := s.Batch(ctx, id); again != nil {
			return Batch{}, again
		}
		return b, fmt.Errorf("batch %s: %w: there is no object %s", id, ErrNoList, b.List)
	}
	if err != nil {
		return b, fmt.Errorf("batch %s: read its list of files: %w", id, err)
	}
	if b.Files, err = b.List.decode(id, data, writtenBy); err != nil {
		return b, fmt.Errorf("batch %s: %w", id, err)
	}
	return b, nil
}
