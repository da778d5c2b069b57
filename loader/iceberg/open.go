package iceberg

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/loader/iceberg/catalogs"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// Options are the settings of an application as far as they concern its table, and what reaches the table.
type Options struct {
	Application string
	consumer.TableConfig
	// Bucket is BUCKET. Tables in Glue whose database has no location are created in it.
	Bucket string
	// Schema is SCHEMA; nil without one.
	Schema *schema.Schema
	// Account has the region, the credentials and a client whose calls are bounded.
	Account aws.Config
	// S3 reads and writes the table's metadata.
	S3 *s3.Client
}

// Open opens the catalog of the Iceberg table of the setting TABLE, which must be valid, and returns the table. The table need not exist: Load creates it
// with TABLE_CREATE. A REST catalog is asked for its configuration; if it does not respond, Open may be called again. Calls to S3
// on behalf of iceberg-go end with ctx.
func Open(ctx context.Context, o Options) (*Table, error) {
	all, err := table.ParseURIs(o.Table)
	if err != nil {
		return nil, fmt.Errorf("TABLE: %w", err)
	}
	i := slices.IndexFunc(all, table.URI.Iceberg)
	if i < 0 {
		return nil, errors.New("TABLE names no Iceberg table")
	}
	uri := all[i]
	partition, err := table.ParsePartition(o.TablePartition)
	if err != nil {
		return nil, fmt.Errorf("TABLE_PARTITION: %w", err)
	}
	warehouse := o.TableWarehouse
	if warehouse == "" && uri.Kind == table.Glue {
		warehouse = "s3://" + o.Bucket + "/tables"
	}
	files := NewFiles(ctx, o.S3)
	c, err := catalogs.Open(ctx, catalogs.Settings{
		URI: uri, Account: o.Account, Bucket: o.S3, Files: files,
		Warehouse: warehouse, Signing: o.TableSigning, Token: o.TableToken,
	})
	if err != nil {
		return nil, err
	}
	return New(Settings{
		Application: o.Application, URI: uri, Schema: o.Schema, Create: o.TableCreate, Partition: partition, Location: o.TableLocation, Evolve: o.TableEvolve,
		SnapshotAge: o.TableSnapshotAge, Snapshots: o.TableSnapshots,
	}, c, files), nil
}
