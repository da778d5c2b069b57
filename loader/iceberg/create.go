package iceberg

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"

	"aws-streaming-pipeline/record/table"
)

// created are the properties of a table that is created.
var created = iceberg.Properties{
	"format-version":                             "2",
	"write.format.default":                       "parquet",
	"write.parquet.compression-codec":            "zstd",
	"commit.manifest-merge.enabled":              "true",
	"write.metadata.delete-after-commit.enabled": "true", // by the catalogs that do it
	"write.metadata.previous-versions-max":       "100",
}

// create creates the table and its namespace. It does nothing if another loader was first.
func (d *Table) create(ctx context.Context) error {
	columns := table.ColumnsOf(d.Schema)
	fields, err := (&ids{}).fieldsOf(columns)
	if err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	spec, err := d.newSpec(fields)
	if err != nil {
		return fmt.Errorf("create it: TABLE_PARTITION: %w", err)
	}
	if err := d.createNamespace(ctx); err != nil {
		return fmt.Errorf("create its namespace: %w", err)
	}
	options := []catalog.CreateTableOpt{catalog.WithProperties(created), catalog.WithPartitionSpec(spec)}
	if d.Location != "" {
		options = append(options, catalog.WithLocation(d.Location))
	}
	_, err = d.catalog.CreateTable(ctx, d.URI.Identifier(), iceberg.NewSchema(0, fields...), options...)
	if err != nil && !errors.Is(err, catalog.ErrTableAlreadyExists) {
		return fmt.Errorf("create it: %w", err)
	}
	return nil
}

func (d *Table) newSpec(fields []iceberg.NestedField) (*iceberg.PartitionSpec, error) {
	none := members{}
	spec, err := table.NewSpec(d.Partition, none.columns(fields))
	if err != nil {
		return nil, err
	}
	var partition []iceberg.PartitionField
	for _, f := range spec.Fields {
		transform, err := iceberg.ParseTransform(f.Transform)
		if err != nil {
			return nil, err
		}
		partition = append(partition, iceberg.PartitionField{SourceIDs: []int{f.Source}, FieldID: f.ID, Name: f.Name, Transform: transform})
	}
	made := iceberg.NewPartitionSpec(partition...)
	return &made, nil
}

func (d *Table) createNamespace(ctx context.Context) error {
	namespace := d.URI.Namespace
	if len(namespace) == 0 {
		return nil
	}
	exists, err := d.catalog.CheckNamespaceExists(ctx, namespace)
	if err != nil || exists {
		return err
	}
	err = d.catalog.CreateNamespace(ctx, namespace, nil)
	if err == nil {
		return nil
	}
	// Catalogs differ in the error that they return if another loader was first.
	if exists, again := d.catalog.CheckNamespaceExists(ctx, namespace); again == nil && exists {
		return nil
	}
	return err
}
