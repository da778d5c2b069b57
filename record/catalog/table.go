package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/glue"
	"aws-streaming-pipeline/record/schema"
)

// answersWithin bounds a call.
const answersWithin = 10 * time.Second

// table is a Table of the AWS Glue API. Its partition keys are in the keys of files, and not in the files.
type table struct {
	StorageDescriptor *struct{ Columns []column }
}

type column struct {
	Name, Type, Comment string
	Parameters          map[string]string
}

// Columns are what Read returns.
type Columns struct {
	from Source
	list []schema.HiveColumn
}

// Read reads the columns of the table. It makes one call, which takes at most 10 seconds, and does not repeat it. The error of a call
// that AWS Glue refuses is a smithy.APIError.
func (s Source) Read(ctx context.Context, account aws.Config) (Columns, error) {
	if s.Region != "" {
		account.Region = s.Region
	}
	client, err := glue.New(ctx, account)
	if err != nil {
		return Columns{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	found, err := s.get(ctx, client)
	if err != nil {
		return Columns{}, s.refused(err, account.Region)
	}
	c := Columns{from: s}
	if found.StorageDescriptor == nil {
		return c, nil
	}
	for _, column := range found.StorageDescriptor.Columns {
		// Apache Iceberg keeps columns that were dropped from its table (Apache Iceberg, IcebergToGlueConverter).
		if column.Parameters["iceberg.field.current"] != "false" {
			c.list = append(c.list, schema.HiveColumn{Name: column.Name, Type: column.Type, Comment: column.Comment})
		}
	}
	return c, nil
}

// get is GetTable, or GetTableVersion, of the AWS Glue API.
func (s Source) get(ctx context.Context, client *glue.Client) (*table, error) {
	request := map[string]string{"DatabaseName": s.Database}
	if s.Catalog != "" {
		request["CatalogId"] = s.Catalog
	}
	var answer struct {
		Table        *table
		TableVersion struct{ Table *table }
	}
	operation := "GetTable"
	if s.Version == "" {
		request["Name"] = s.Table
	} else {
		operation = "GetTableVersion"
		request["TableName"], request["VersionId"] = s.Table, s.Version
	}
	if err := client.Call(ctx, operation, request, &answer); err != nil {
		return nil, err
	}
	if answer.Table == nil {
		answer.Table = answer.TableVersion.Table
	}
	if answer.Table == nil {
		return nil, fmt.Errorf("the answer to %s has no table", operation)
	}
	return answer.Table, nil
}

// refused says what a failure means for whoever named the table.
func (s Source) refused(err error, region string) error {
	e, answered := errors.AsType[smithy.APIError](err)
	if !answered {
		return fmt.Errorf("AWS Glue: %w", err)
	}
	action := "glue:GetTable"
	what := "the table"
	if s.Version != "" {
		action, what = "glue:GetTableVersion", "version "+s.Version+" of the table"
	}
	switch e.ErrorCode() {
	case "EntityNotFoundException":
		of := "the account of the credentials"
		if s.Catalog != "" {
			of = "account " + s.Catalog
		}
		return fmt.Errorf("%s does not exist in the AWS Glue Data Catalog of %s in %s: %w", what, of, region, err)
	case "AccessDeniedException":
		return fmt.Errorf("want the permission %s for the table, its database and the catalog: %w", action, err)
	}
	return fmt.Errorf("AWS Glue: %w", err)
}

// Document returns the JSON Schema document of the columns, or an error that names each column that records in JSON cannot have.
func (c Columns) Document() ([]byte, error) {
	return schema.FromHive(c.from.Database+"."+c.from.Table, c.list, c.from.ExactCase)
}
