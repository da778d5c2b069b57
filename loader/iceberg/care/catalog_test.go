package care_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
)

// folder is a catalog of one table whose files are in a folder. It checks what a commit asserts, as catalogs do.
type folder struct {
	mu       sync.Mutex
	dir      string
	metadata table.Metadata
	version  int
	removed  int // files, by the library
}

func newFolder(t *testing.T, schema *iceberg.Schema, spec *iceberg.PartitionSpec) *folder {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "trips")
	metadata, err := table.NewMetadata(schema, spec, table.UnsortedSortOrder, dir, iceberg.Properties{"format-version": "2"})
	must(t, err)
	return &folder{dir: dir, metadata: metadata}
}

func (f *folder) location() string {
	return filepath.Join(f.dir, "metadata", fmt.Sprintf("v%d.metadata.json", f.version))
}

func (f *folder) fs(context.Context) (io.IO, error) { return counted{f: f}, nil }

func (f *folder) LoadTable(context.Context, table.Identifier) (*table.Table, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return table.New(table.Identifier{"lake", "trips"}, f.metadata, f.location(), f.fs, f), nil
}

func (f *folder) CommitTable(_ context.Context, _ table.Identifier, requirements []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range requirements {
		if err := r.Validate(f.metadata); err != nil {
			return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
		}
	}
	updated, err := table.UpdateTableMetadata(f.metadata, updates, f.location())
	if err != nil {
		return nil, "", err
	}
	f.metadata = updated
	f.version++
	return updated, f.location(), nil
}

// counted is the local file system, and counts what the library removes.
type counted struct {
	io.LocalFS
	f *folder
}

func (c counted) Remove(name string) error {
	c.f.removed++
	return c.LocalFS.Remove(name)
}
