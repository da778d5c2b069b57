package iceberg

import (
	"context"
	"fmt"

	icebergtable "github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/loader/iceberg/care"
)

// Table returns the table in this state.
func (s *state) Table() *icebergtable.Table { return s.table }

// Now returns the table as the catalog has it now, for the operator's commands.
func (d *Table) Now(ctx context.Context) (*icebergtable.Table, error) {
	t, err := d.catalog.LoadTable(ctx, d.URI.Identifier())
	if err != nil {
		return nil, fmt.Errorf("load table %s: %w", d.Name(), err)
	}
	return t, nil
}

// Files returns what reads and writes the table's files.
func (d *Table) Files() Files { return d.files }

// Care implements loader.Caretaker: it expires snapshots.
func (d *Table) Care(ctx context.Context) error {
	if d.SnapshotAge <= 0 || d.Snapshots <= 0 {
		return nil
	}
	t, err := d.Now(ctx)
	if err != nil {
		return err
	}
	if _, _, err := care.Expire(ctx, t, d.SnapshotAge, d.Snapshots); err != nil {
		return commitError(err)
	}
	return nil
}
