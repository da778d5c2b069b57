// Package spool keeps encoded bytes on disk while they wait for S3 and memory is short.
//
// The bytes are useless after the process ends, because nothing is committed before it is in S3. The files are therefore
// unlinked: they disappear with the process, however it ends.
package spool

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"aws-streaming-pipeline/internal/budget"
)

// ErrFull means that the limit of the spool, or of the file system, is reached.
var ErrFull = errors.New("spool is full")

// Spool is a directory with a size limit. It is safe for concurrent use.
type Spool struct {
	dir    string
	limit  int64
	used   atomic.Int64
	budget *budget.Budget
}

// New returns a spool of at most limit bytes in dir, which must exist and be writable. The budget's account Disk shows
// its size.
func New(dir string, limit int64, b *budget.Budget) (*Spool, error) {
	s := &Spool{dir: dir, limit: limit, budget: b}
	f, err := s.Create()
	if err != nil {
		return nil, err
	}
	return s, f.Close()
}

// Used returns the number of bytes on disk.
func (s *Spool) Used() int64 { return s.used.Load() }

// Create creates an empty, unlinked file.
func (s *Spool) Create() (*File, error) {
	f, err := os.CreateTemp(s.dir, "part-*")
	if err != nil {
		return nil, fmt.Errorf("create spool file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink spool file: %w", err), f.Close())
	}
	return &File{spool: s, file: f}, nil
}

// File is a file in the spool. Append is for one goroutine at a time; ReadAt may run concurrently, on bytes that are
// already written.
type File struct {
	spool *Spool
	file  *os.File
	size  int64
}

// Append writes p to the end of the file. After an error, including ErrFull, the file is unchanged.
func (f *File) Append(p []byte) error {
	n := int64(len(p))
	if f.spool.used.Add(n) > f.spool.limit {
		f.spool.used.Add(-n)
		return ErrFull
	}
	if _, err := f.file.WriteAt(p, f.size); err != nil {
		f.spool.used.Add(-n)
		// A full or failing disk is not a reason to lose records: the bytes stay in memory.
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	f.size += n
	f.spool.budget.Add(budget.Disk, n)
	return nil
}

// Size returns the number of bytes in the file.
func (f *File) Size() int64 { return f.size }

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// Close frees the file.
func (f *File) Close() error {
	f.spool.used.Add(-f.size)
	f.spool.budget.Release(budget.Disk, f.size)
	f.size = 0
	return f.file.Close()
}
