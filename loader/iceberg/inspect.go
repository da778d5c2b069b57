package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go/catalog"

	"aws-streaming-pipeline/record/table"
)

// Inspection is a table as Inspect found it.
type Inspection struct {
	// Missing means that Load would create the table, and NewNamespace that it would create its namespace, too.
	Missing, NewNamespace bool
	// Location is where the table's metadata is written; empty if only the catalog knows.
	Location string
	// Columns and Partition describe a table that exists. Lacking are the members of the records for which it has no column.
	Columns   int
	Partition []string
	Lacking   []string
}

// Inspect looks at the table without changing it, and returns what Load would do. previous is the definition that a loader stored last, as
// JSON, or empty. Its errors are those that Load would return, as far as they show without a change. The right to change the table, or to
// create it, is not among them.
func (d *Table) Inspect(ctx context.Context, previous json.RawMessage) (Inspection, error) {
	before, err := parsePrevious(previous)
	if err != nil {
		return Inspection{}, err
	}
	s, err := d.load(ctx, before)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return d.inspectMissing(ctx, before, err)
	}
	if err != nil {
		return Inspection{}, fmt.Errorf("load table %s: %w", d.Name(), err)
	}
	if before != nil && before.UUID != s.definition.UUID {
		return Inspection{}, fmt.Errorf("table %s has UUID %s, and the one that was loaded into has %s: restore it or, to go on with this one, see \"loader rebind\"", d.Name(), s.definition.UUID, before.UUID)
	}
	if _, err := table.NewView(s.definition, d.Schema); err != nil {
		return Inspection{}, fmt.Errorf("no files can be written for table %s: %w", d.Name(), err)
	}
	in := Inspection{Location: s.table.Location(), Columns: len(s.table.Schema().Fields())}
	for _, f := range s.definition.Spec.Fields {
		in.Partition = append(in.Partition, f.Name)
	}
	for _, c := range table.ColumnsOf(d.Schema) {
		if s.definition.Find(c.Member) == nil {
			in.Lacking = append(in.Lacking, c.Member)
		}
	}
	return in, nil
}

func parsePrevious(text json.RawMessage) (*table.Definition, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var d table.Definition
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read the definition that a loader stored: %w", err)
	}
	return &d, nil
}

// inspectMissing looks at what first would create.
func (d *Table) inspectMissing(ctx context.Context, previous *table.Definition, missing error) (in Inspection, err error) {
	if err := d.creatable(previous, missing); err != nil {
		return in, fmt.Errorf("load table %s: %w", d.Name(), err)
	}
	fields, err := (&ids{}).fieldsOf(table.ColumnsOf(d.Schema))
	if err == nil {
		_, err = d.newSpec(fields)
	}
	if err != nil {
		return in, fmt.Errorf("TABLE_PARTITION: %w", err)
	}
	in.Missing, in.Location = true, d.Location
	if len(d.URI.Namespace) > 0 {
		exists, err := d.catalog.CheckNamespaceExists(ctx, d.URI.Namespace)
		if err != nil {
			return in, fmt.Errorf("look for the namespace of table %s: %w", d.Name(), err)
		}
		in.NewNamespace = !exists
	}
	if d.URI.Kind == table.Embedded {
		in.Location = d.URI.Location()
	}
	return in, nil
}
