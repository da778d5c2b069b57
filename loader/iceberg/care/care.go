// Package care keeps an Iceberg table sound and small: it audits the table against the manifests of the bucket, expires
// snapshots, finds and removes files that no snapshot needs, compacts small files, and loads batches again that a
// rollback took out of the table.
//
// Nothing here is needed for exactly-once loading, and nothing here is in its way: whatever moves the head of the table
// makes a loader's commit conflict, and the loader then looks again.
package care

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
)

// Load reads the table as it is now.
type Load func(ctx context.Context) (*table.Table, error)

// entries calls f for each entry of the data manifests of a snapshot, with those that mark a file as deleted.
func entries(ctx context.Context, fs io.IO, s *table.Snapshot, f func(iceberg.ManifestEntry)) error {
	manifests, err := s.Manifests(fs)
	if err != nil {
		return fmt.Errorf("read the manifests of snapshot %d: %w", s.SnapshotID, err)
	}
	for _, m := range manifests {
		if err := manifestEntries(ctx, fs, m, f); err != nil {
			return err
		}
	}
	return nil
}

func manifestEntries(ctx context.Context, fs io.IO, m iceberg.ManifestFile, f func(iceberg.ManifestEntry)) error {
	if m.ManifestContent() != iceberg.ManifestContentData {
		return nil
	}
	for entry, err := range m.Entries(fs, false) {
		if err != nil {
			return fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		f(entry)
	}
	return nil
}

// ancestry returns the snapshots from the head of the main branch back to the oldest that has not expired.
func ancestry(t *table.Table) []table.Snapshot {
	head := t.CurrentSnapshot()
	if head == nil {
		return nil
	}
	return table.AncestorsOf(head.SnapshotID, t.SnapshotByID)
}
