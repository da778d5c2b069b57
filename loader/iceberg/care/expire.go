package care

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/iceberg-go/table"
)

// Expire removes snapshots older than age from the table's metadata, but never the newest keep of them. It returns how
// many it removed, and the table as it is then. The files that only those snapshots needed stay where they are, for
// Orphans.
//
// If somebody else changes the table meanwhile, nothing is expired and the error says so.
func Expire(ctx context.Context, t *table.Table, age time.Duration, keep int) (int, *table.Table, error) {
	before := len(t.Metadata().Snapshots())
	if before <= keep {
		return 0, t, nil
	}
	txn := t.NewTransaction()
	err := txn.ExpireSnapshots(table.WithOlderThan(age), table.WithRetainLast(keep), table.WithPostCommit(false))
	if err != nil {
		return 0, t, fmt.Errorf("expire snapshots: %w", err)
	}
	staged, err := txn.StagedTable()
	if err != nil {
		return 0, t, fmt.Errorf("expire snapshots: %w", err)
	}
	expired := before - len(staged.Metadata().Snapshots())
	if expired == 0 {
		return 0, t, nil
	}
	after, err := txn.Commit(ctx)
	if err != nil {
		return 0, t, fmt.Errorf("expire snapshots: %w", err)
	}
	return expired, after, nil
}
