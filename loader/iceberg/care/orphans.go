package care

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/writers/layout"
)

// leastOrphanAge is how old a file must be at least before it is taken for an orphan. A commit writes its files before the
// table names them, and may take as long as its requests can live.
const leastOrphanAge = 24 * time.Hour

// Orphans finds the files under the table's location that no snapshot and no metadata file of the table needs: what
// commits left that failed, and what only expired snapshots needed. The daemon's files are never among them, wherever they
// are: one that no snapshot has may wait to be loaded. Unneeded finds those. Nor are files with hidden names, such as markers of
// complete folders.
func Orphans(ctx context.Context, t *table.Table, olderThan time.Duration) ([]table.OrphanFile, error) {
	if olderThan < leastOrphanAge {
		return nil, fmt.Errorf("orphans older than %s: want at least %s, because files of a commit under way are not named yet", olderThan, leastOrphanAge)
	}
	plan, err := t.PlanOrphanFiles(ctx, table.WithFilesOlderThan(olderThan), table.WithPrefixMismatchMode(table.PrefixMismatchIgnore),
		table.WithEqualSchemes(map[string]string{"s3,s3a,s3n": "s3"}))
	if err != nil {
		return nil, fmt.Errorf("find orphans: %w", err)
	}
	return slices.DeleteFunc(plan.OrphanFiles(), func(f table.OrphanFile) bool {
		_, ours := layout.ParseFile(f.Path)
		return ours || hidden(f.Path, t.Location())
	}), nil
}

// hidden reports whether a file, or a folder between it and the table's location, has a name that begins with _ or . and is not
// that of a partition. Apache Iceberg's own remove_orphan_files leaves such files alone, too (HiddenPathFilter,
// PartitionAwareHiddenPathFilter).
func hidden(path, location string) bool {
	for name := range strings.SplitSeq(strings.TrimPrefix(withoutScheme(path), withoutScheme(location)), "/") {
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") && !strings.Contains(name, "=") {
			return true
		}
	}
	return false
}

func withoutScheme(path string) string {
	if _, after, ok := strings.Cut(path, "://"); ok {
		return after
	}
	return path
}

// Remove deletes files that find has found, unless it does not find them again: the table may have changed since so that it
// needs one. It returns how many it deleted.
func Remove(ctx context.Context, files []table.OrphanFile, find func(context.Context) ([]table.OrphanFile, error), remove func(path string) error) (int, error) {
	again, err := find(ctx)
	if err != nil {
		return 0, err
	}
	still := map[string]bool{}
	for _, f := range again {
		still[f.Path] = true
	}
	removed := 0
	var faults []error
	for _, f := range files {
		if !still[f.Path] {
			continue
		}
		if err := remove(f.Path); err != nil {
			faults = append(faults, fmt.Errorf("remove %s: %w", f.Path, err))
			continue
		}
		removed++
	}
	return removed, errors.Join(faults...)
}
