package care

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader/manifests"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// Unneeded finds files of the daemon that were loaded into the table and that no snapshot needs any more, because they
// were compacted or deleted since: the snapshots that had them have expired. The window must end so long ago that no
// snapshot from then is kept.
//
// A file that a rollback took out of the table looks the same once the snapshots that were rolled back have expired. So
// after a rollback, Reload comes first.
func Unneeded(ctx context.Context, w manifests.Window, outbox checkpoint.Tables, t *table.Table) ([]table.OrphanFile, error) {
	if oldest := oldestSnapshot(t); !oldest.IsZero() && w.To.After(oldest) {
		return nil, fmt.Errorf("files of batches sealed before %s: want a time before the oldest snapshot of the table, %s",
			w.To.UTC().Format(time.RFC3339), oldest.UTC().Format(time.RFC3339))
	}
	a := &auditor{window: w, report: &AuditReport{Counts: map[Kind]int64{}}, files: map[string]*expected{}, waiting: map[string]bool{}}
	if err := w.Each(ctx, a.expect); err != nil {
		return nil, err
	}
	if err := a.readOutbox(ctx, outbox); err != nil {
		return nil, err
	}
	if err := needed(ctx, t, func(path string) { delete(a.files, path) }); err != nil {
		return nil, err
	}
	var unneeded []table.OrphanFile
	for path, f := range a.files {
		if a.waiting[f.batch] {
			continue
		}
		bucket := w.Bucket
		bucket.Name = f.described.Bucket
		_, err := bucket.Head(ctx, f.described.Key)
		if errors.Is(err, objects.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, ours := layout.ParseFile(f.described.Key); !ours {
			continue
		}
		unneeded = append(unneeded, table.OrphanFile{Path: path, SizeBytes: f.described.Bytes})
	}
	return unneeded, nil
}

func oldestSnapshot(t *table.Table) (oldest time.Time) {
	for _, s := range t.Metadata().Snapshots() {
		if at := time.UnixMilli(s.TimestampMs); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// needed calls f for each file of each snapshot.
func needed(ctx context.Context, t *table.Table, f func(path string)) error {
	fs, err := t.FS(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, s := range t.Metadata().Snapshots() {
		manifests, err := s.Manifests(fs)
		if err != nil {
			return fmt.Errorf("read the manifests of snapshot %d: %w", s.SnapshotID, err)
		}
		for _, m := range manifests {
			if seen[m.FilePath()] {
				continue
			}
			seen[m.FilePath()] = true
			err := manifestEntries(ctx, fs, m, func(entry iceberg.ManifestEntry) {
				if entry.Status() != iceberg.EntryStatusDELETED {
					f(entry.DataFile().FilePath())
				}
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
