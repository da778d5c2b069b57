// Package spool keeps encoded bytes on disk while they wait for S3 and memory is short.
//
// What lies there is of no use after the process has ended: nothing is committed before S3 has it. The files therefore
// have no name; they vanish with the process, however it ends.
package spool

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"aws-streaming-pipeline/internal/budget"
)

// ErrFull means that the spool has reached its bound, or the file system its own.
var ErrFull = errors.New("spool is full")

// Spool is a directory with a bound. It is safe for concurrent use.
type Spool struct {
	dir    string
	limit  int64
	used   atomic.Int64
	budget *budget.Budget
}

// New returns a spool of at most limit bytes in dir, which must exist and allow files to be made. What it holds is
// shown in the budget's account Disk.
func New(dir string, limit int64, b *budget.Budget) (*Spool, error) {
	s := &Spool{dir: dir, limit: limit, budget: b}
	f, err := s.Create()
	if err != nil {
		return nil, err
	}
	return s, f.Close()
}

// Used is the number of bytes on disk.
func (s *Spool) Used() int64 { return s.used.Load() }

// Create makes an empty file without a name.
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

// File is a run of bytes on disk. Append is for one goroutine at a time; ReadAt may run beside it on bytes that are
// already there.
type File struct {
	spool *Spool
	file  *os.File
	size  int64
}

// Append writes p at the end. After an error, ErrFull among them, the file is as long as it was.
func (f *File) Append(p []byte) error {
	n := int64(len(p))
	if f.spool.used.Add(n) > f.spool.limit {
		f.spool.used.Add(-n)
		return ErrFull
	}
	if _, err := f.file.WriteAt(p, f.size); err != nil {
		f.spool.used.Add(-n)
		// A full or failing disk is no reason to lose records: the bytes stay where they are.
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	f.size += n
	f.spool.budget.Add(budget.Disk, n)
	return nil
}

// Size is the number of bytes in the file.
func (f *File) Size() int64 { return f.size }

// ReadAt is io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// Close removes the file.
func (f *File) Close() error {
	f.spool.used.Add(-f.size)
	f.spool.budget.Release(budget.Disk, f.size)
	f.size = 0
	return f.file.Close()
}
