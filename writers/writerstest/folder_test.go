package writerstest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/writerstest"
)

// A destination need not be a bucket: this one is a folder, in which a rename publishes a file.
func TestDestination_OnFolder(t *testing.T) {
	writerstest.TestDestination(t, func(t *testing.T) writerstest.Place {
		d := folder(t.TempDir())
		return writerstest.Place{
			Sink: d, Other: d, Missing: d + "missing",
			Get: func(t *testing.T, key string) []byte {
				names, _ := filepath.Glob(filepath.Join(d.visible(key, "*")))
				if len(names) == 0 {
					return nil
				}
				body, err := os.ReadFile(names[0])
				if err != nil {
					t.Fatal(err)
				}
				return body
			},
			Occupy: func(t *testing.T, spec writers.ObjectSpec, body []byte) {
				path := d.visible(spec.Key, spec.Metadata[writers.MetadataBatchID])
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, body, 0o600)); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// folder is the path of a folder. A visible file has a folder for its key, in which it is named after its batch.
type folder string

func (d folder) visible(key, batchID string) string {
	return filepath.Join(string(d), hex.EncodeToString([]byte(key)), batchID)
}

// hidden is the content of checkpoint.File.Staged for a folder.
type hidden struct {
	Path string `json:"path"`
}

func (d folder) Check(context.Context) error {
	_, err := os.Stat(string(d))
	return err
}

func (d folder) Begin(ctx context.Context, spec writers.ObjectSpec) (writers.Upload, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(string(d), "staged-")
	return &folderUpload{ctx: ctx, key: spec.Key, file: file}, err
}

func (d folder) Publish(_ context.Context, f checkpoint.File, batchID string) (string, error) {
	var h hidden
	if err := json.Unmarshal(f.Staged, &h); err != nil {
		return "", err
	}
	path := d.visible(f.Key, batchID)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	err := os.Rename(h.Path, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if others, _ := os.ReadDir(filepath.Dir(path)); len(others) > 0 {
			return "", writers.ErrForeignObject
		}
		return "", writers.ErrUploadGone
	}
	if err == nil && int64(len(body)) != f.Bytes {
		err = writers.ErrForeignObject
	}
	return fmt.Sprintf("%x", sha256.Sum256(body)), err
}

func (d folder) Abort(_ context.Context, f checkpoint.File) error {
	var h hidden
	if len(f.Staged) == 0 {
		return nil
	}
	if err := json.Unmarshal(f.Staged, &h); err != nil {
		return err
	}
	if err := os.Remove(h.Path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

type folderUpload struct {
	ctx   context.Context
	key   string
	file  *os.File
	bytes int64
}

func (u *folderUpload) Write(p []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	n, err := u.file.Write(p)
	u.bytes += int64(n)
	return n, err
}

func (u *folderUpload) Finish(context.Context) (checkpoint.File, error) {
	if err := context.Cause(u.ctx); err != nil {
		return checkpoint.File{}, err
	}
	err := errors.Join(u.file.Sync(), u.file.Close())
	return u.staged(), err
}

func (u *folderUpload) Abandon() checkpoint.File {
	_ = u.file.Close() // what was written is dropped anyway
	return u.staged()
}

func (u *folderUpload) staged() checkpoint.File {
	text, _ := json.Marshal(hidden{u.file.Name()}) // a string never fails
	return checkpoint.File{Key: u.key, Staged: text, Bytes: u.bytes}
}
