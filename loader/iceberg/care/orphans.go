package care

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/iceberg-go/table"
)

// leastOrphanAge is how old a file must be at least before it is taken for an orphan. A commit writes its files before the
// table names them, and may take as long as its requests can live.
const leastOrphanAge = 24 * time.Hour

// Orphans finds the files under the table's location that no snapshot and no metadata file of the table needs: what
// commits left that failed, and what only expired snapshots needed. Files outside that location, such as those that the
// daemon writes under its own prefix, are never among them.
func Orphans(ctx context.Context, t *table.Table, olderThan time.Duration) (table.OrphanCleanupPlan, error) {
	if olderThan < leastOrphanAge {
		return table.OrphanCleanupPlan{}, fmt.Errorf("orphans older than %s: want at least %s, because files of a commit under way are not named yet", olderThan, leastOrphanAge)
	}
	plan, err := t.PlanOrphanFiles(ctx, table.WithFilesOlderThan(olderThan), table.WithPrefixMismatchMode(table.PrefixMismatchIgnore),
		table.WithEqualSchemes(map[string]string{"s3,s3a,s3n": "s3"}))
	if err != nil {
		return plan, fmt.Errorf("find orphans: %w", err)
	}
	return plan, nil
}

// RemoveOrphans deletes the files of a plan, unless the table has changed so that it needs one of them. It returns how
// many it deleted.
func RemoveOrphans(ctx context.Context, load Load, plan table.OrphanCleanupPlan, olderThan time.Duration, remove func(path string) error) (int, error) {
	t, err := load(ctx)
	if err != nil {
		return 0, err
	}
	again, err := Orphans(ctx, t, olderThan)
	if err != nil {
		return 0, err
	}
	still := map[string]bool{}
	for _, path := range again.Files() {
		still[path] = true
	}
	removed := 0
	var faults []error
	for _, path := range plan.Files() {
		if !still[path] {
			continue
		}
		if err := remove(path); err != nil {
			faults = append(faults, fmt.Errorf("remove %s: %w", path, err))
			continue
		}
		removed++
	}
	return removed, errors.Join(faults...)
}
