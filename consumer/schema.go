package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/schema"
)

// maxSchemaBytes is the largest size of a schema file.
const maxSchemaBytes = 4 << 20

// SchemaServices are where schemas are read from.
type SchemaServices struct {
	AWS aws.Config // for tables of the AWS Glue Data Catalog
	S3  *s3.Client
}

// LoadSchema reads the schema that SCHEMA names: a file, s3://bucket/key, or the columns of a table in the AWS Glue Data Catalog (see
// catalog.Source). Without a name it returns nil. Requests are made through fetching, which may retry them.
func LoadSchema(ctx context.Context, name string, from SchemaServices, fetching func(func() error) error) (*schema.Schema, error) {
	if name == "" {
		return nil, nil
	}
	document, err := readSchema(ctx, name, from, fetching)
	if _, explained := errors.AsType[*diagnosis.Error](err); explained {
		return nil, err // it names the setting
	}
	if err != nil {
		err = fmt.Errorf("SCHEMA=%q: %w", name, err)
		if _, local := errors.AsType[*fs.PathError](err); local {
			err = wrongSetting("SCHEMA", err)
		}
		return nil, err
	}
	s, err := schema.Parse(filepath.Base(name), document)
	if err != nil {
		return nil, wrongSetting("SCHEMA", fmt.Errorf("SCHEMA=%q:\n%w", name, err))
	}
	return s, nil
}

func readSchema(ctx context.Context, name string, from SchemaServices, fetching func(func() error) error) ([]byte, error) {
	if catalog.IsSource(name) {
		return readTable(ctx, name, from.AWS, fetching)
	}
	location, remote := strings.CutPrefix(name, "s3://")
	if !remote {
		return os.ReadFile(name)
	}
	return readObject(ctx, location, from.S3, fetching)
}

// readTable returns the document of the columns of a table.
func readTable(ctx context.Context, name string, account aws.Config, fetching func(func() error) error) ([]byte, error) {
	source, err := catalog.ParseSource(name)
	if err != nil {
		return nil, err
	}
	var columns catalog.Columns
	err = fetching(func() (err error) {
		columns, err = source.Read(ctx, account)
		return err
	})
	if explained, ok := errors.AsType[*diagnosis.Error](err); ok {
		if _, refused := errors.AsType[smithy.APIError](err); refused {
			return nil, explained.Err // which says what is missing, and whose table it is
		}
	}
	if err != nil {
		return nil, err
	}
	return columns.Document()
}

func readObject(ctx context.Context, location string, client *s3.Client, fetching func(func() error) error) ([]byte, error) {
	bucket, key, ok := strings.Cut(location, "/")
	if !ok || bucket == "" || key == "" {
		return nil, errors.New("want a path or s3://bucket/key")
	}
	var document []byte
	err := fetching(func() error {
		object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
		if err != nil {
			return err
		}
		defer object.Body.Close()
		document, err = io.ReadAll(io.LimitReader(object.Body, maxSchemaBytes+1))
		return err
	})
	if err == nil && len(document) > maxSchemaBytes {
		err = fmt.Errorf("longer than %d bytes", maxSchemaBytes)
	}
	return document, err
}

// fits returns why files of the settings cannot be loaded with a schema, or nil.
func (c *Config) fits(s *schema.Schema) error {
	if _, database := c.PostgresTable(); database && s != nil && s.IgnoreCase && !c.kind().Columns {
		return fmt.Errorf("SCHEMA=%q: want a schema that does not ignore the case of members, such as glue://database/table?case=exact, or FORMAT=parquet: members of lines fill the columns of a PostgreSQL table by their exact names", c.Schema)
	}
	return nil
}

// Fits returns why files of the settings cannot be written with a schema, which may be nil. The settings must be valid.
func (c *Config) Fits(s *schema.Schema) error {
	if err := c.fits(s); err != nil {
		return err
	}
	_, err := c.dataFormat(s, "", metrics.Or(nil))
	return err
}
