package spool_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/writers/spool"
)

func TestFile_GivesBackWhatWasAppended(t *testing.T) {
	b := budget.New(100, nil)
	s, err := spool.New(t.TempDir(), 1000, b)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"one ", "two ", "three"} {
		if err := f.Append([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "one two three" {
		t.Fatalf("%q came back", got)
	}
	if n := int64(len(got)); s.Used() != n || b.Held(budget.Disk) != n || b.Used() != 0 {
		t.Fatalf("spool has %d bytes, the budget %d on disk and %d in memory", s.Used(), b.Held(budget.Disk), b.Used())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Used() != 0 || b.Held(budget.Disk) != 0 {
		t.Fatalf("%d and %d bytes are left", s.Used(), b.Held(budget.Disk))
	}
}

func TestSpool_LeavesNoNames(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.New(dir, 1000, budget.New(100, nil))
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Append([]byte("records")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 0 {
		t.Fatalf("a crash now would leave %v", entries)
	}
}

func TestFile_IsAsItWasWhenTheSpoolIsFull(t *testing.T) {
	s, err := spool.New(t.TempDir(), 10, budget.New(100, nil))
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Append(bytes.Repeat([]byte("a"), 6)); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(bytes.Repeat([]byte("b"), 5)); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("appending gave %v", err)
	}
	if b.Size() != 0 || s.Used() != 6 {
		t.Fatalf("file has %d bytes, spool %d", b.Size(), s.Used())
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(bytes.Repeat([]byte("b"), 10)); err != nil {
		t.Fatalf("the spool is empty again, and appending gave %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	// A failing disk counts as full.
	if err := b.Append([]byte("x")); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("appending to a closed file gave %v", err)
	}
}

func TestNew_RefusesADirectoryThatTakesNoFiles(t *testing.T) {
	if _, err := spool.New(filepath.Join(t.TempDir(), "missing"), 10, budget.New(100, nil)); err == nil {
		t.Fatal("taken")
	}
}
